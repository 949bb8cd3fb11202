import copy
import math

import keras
import numpy as np
import pytest

from kerasnas.examples import Examples
from kerasnas.scoring import Scoring, metric_of, outputs_of, part_to_judge, served, through
from search_spaces.detection import Detection
from search_spaces.task import Classification, Regression


def examples(n=40):
    rng = np.random.default_rng(0)
    return Examples(rng.normal(size=(n, 3)).astype(np.float32), np.arange(n) % 2)


def linear(units=2):
    inputs = keras.Input((3,))
    return keras.Model(inputs, keras.layers.Dense(units, kernel_initializer="ones")(inputs))


def test_scores_of_the_task_are_told_beside_the_metrics_of_keras():
    model, data = linear(), examples()
    model.compile("sgd", "mse")
    logs = {}
    scoring = Scoring(Classification(2), data, ["f1", "auc"])
    scoring.set_model(model)
    scoring.on_epoch_end(0, logs)
    scores = Classification(2).scores(data.y, model(data.x[:]).numpy())
    assert logs == {"val_f1": scores["f1"], "val_auc": scores["auc"]}


def test_a_score_that_is_undefined_is_not_a_number():
    data = examples()
    one_class = Examples(data.x, np.zeros(40, int))
    scoring, logs = Scoring(Classification(2), one_class, ["auc"]), {}
    scoring.set_model(linear())
    scoring.on_epoch_end(0, logs)
    assert math.isnan(logs["val_auc"])


def test_a_copy_for_another_trial_shares_the_examples():
    scoring = Scoring(Classification(2), examples(), ["f1"])
    assert copy.deepcopy(scoring)._validation is scoring._validation


def test_outputs_are_those_of_the_model_in_order():
    model, data = linear(), examples(600)
    np.testing.assert_allclose(outputs_of(model, data), model(data.x[:]), atol=1e-6)


def test_large_answers_are_judged_on_fewer_examples():
    data = examples(2000)
    assert len(part_to_judge(data, (None, 10))) == 2000
    assert len(part_to_judge(data, (None, 10), most=100)) == 100
    assert len(part_to_judge(data, (None, 512, 512, 10))) == 15
    assert len(part_to_judge(data, [(None, 2), (None, 3)])) == 2000  # a foreign model


def test_boxes_are_served_as_the_maps_that_the_loss_takes():
    boxes = np.full((6, 2, 5), -1, np.float32)
    boxes[:, 0] = 0.25, 0.25, 0.75, 0.75, 1
    task = Detection(2, image_shape=(16, 16, 1))
    data = Examples(np.zeros((6, 16, 16, 1), np.uint8), boxes)
    (_, y), *_ = served(data, 3, task)
    np.testing.assert_allclose(y, task.encoded(boxes[:3]), atol=1e-6)


def test_what_runs_before_a_file_is_run_on_its_examples():
    data, front = examples(), linear(4)
    assert through(None, data) is data
    through_it = through(front, data)
    assert through_it.x.shape == (40, 4)
    np.testing.assert_array_equal(through_it.y, data.y)


@pytest.mark.parametrize(
    ("task", "targets", "outputs", "value"),
    [
        (Classification(2), np.array([0, 1]), np.array([[1.0, 0], [1, 0]]), 0.5),
        (Regression(), np.array([[0.0], [2]]), np.array([[0.0], [2]]), 1.0),
    ],
)
def test_the_metric_of_a_task_is_its_measure(task, targets, outputs, value):
    assert metric_of(task)(targets, outputs) == value

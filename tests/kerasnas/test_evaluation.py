"""What is told of a finished search, played: its folder is written without searching."""

import keras
import numpy as np
import pytest

import kerasnas
import tflite_export
from kerasnas.evaluation import Evaluation
from kerasnas.journal import Journal
from kerasnas.result import FILE, JOURNAL, MODEL
from kerasnas.tasks import described
from search_spaces import Classification, Regression


def table(count, wrong=0):
    """Rows whose largest column is the class, but for the first few."""
    y = np.arange(count) % 3
    x = np.eye(3, dtype="float32")[y] + 0.1 * np.random.default_rng(0).random((count, 3))
    y[:wrong] = (y[:wrong] + 1) % 3
    return x.astype("float32"), y


@pytest.fixture
def finished(tmp_path):
    """A search that returned the identity, and its file."""

    def make(task=None, space="MLP:0", with_file=True, **others):
        task = Classification(3) if task is None else task
        folder = tmp_path / "search"
        folder.mkdir()
        settings = {
            "space": space,
            "layout": "table",
            "task": described(task),
            "objective": "val_loss",
            "direction": "min",
            **others,
        }
        Journal(folder / JOURNAL).append({"event": "session", "settings": settings})
        model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(3)])
        model.layers[0].set_weights([5 * np.eye(3), np.zeros(3)])
        model.save(folder / MODEL)
        if with_file:
            content = tflite_export.convert(model, "int8", table(60)[0])
            (folder / FILE).write_bytes(content)
        return kerasnas.open_search(tmp_path)

    return make


def test_model_file_and_plain_method_answer_the_same_examples(finished):
    found = finished().evaluate(table(60, wrong=6), table(90))
    assert (found.examples, found.measure) == (60, "accuracy")
    assert list(found) == ["model", "file", "baseline"]
    for scores in found.values():
        assert scores["accuracy"] == pytest.approx(0.9)
    assert found.baseline_name == "logistic regression"
    assert found["model"] == found.model
    assert found.model["loss"] != found.file["loss"]


def test_what_there_is_not_is_left_out(finished):
    found = finished(with_file=False).evaluate(table(60))
    assert list(found) == ["model"]
    assert found.file is None
    assert found.baseline is None


def test_targets_keep_their_units(finished):
    task = Regression(3)
    x, _ = table(60)
    found = finished(task).evaluate((x, 5 * x + 2), (x, 5 * x + 2))
    assert found.model["mae"] == pytest.approx(2, abs=1e-5)
    assert found.file["mae"] == pytest.approx(2, abs=0.1)
    assert found.baseline["r2"] == pytest.approx(1, abs=1e-3)
    assert found.baseline_name == "ridge regression"


def test_an_evaluation_prints_as_a_table():
    scores = {"loss": 0.25, "mean_iou": 0.875}
    found = Evaluation(1234, "mean_iou", scores, {"mean_iou": 0.86}, scores, "chance")
    assert str(found).splitlines() == [
        "1,234 examples      mean_iou        loss",
        "Keras model            0.875        0.25",
        "its .tflite file        0.86            ",
        "chance                 0.875        0.25",
    ]


def test_answers_of_unknown_form_are_refused(finished):
    with pytest.raises(ValueError, match=r"of a search space.*my_models\.build.*verify"):
        finished(space="my_models.build").evaluate(table(60))


def test_a_search_without_a_result_cannot_be_judged(finished):
    result = finished()
    (result.folder / MODEL).unlink()
    with pytest.raises(LookupError, match="Continue the search"):
        result.evaluate(table(60))


def test_examples_are_resized_as_those_of_the_search(finished):
    result = finished(layout="images", image_size=[8, 6], input_shape=[8, 6, 1])
    images = np.zeros((4, 16, 12, 1), np.uint8), np.arange(4) % 3
    assert result.read(images).x.example_shape == (8, 6, 1)
    with pytest.raises(ValueError, match=r"shape of those .* Received: \[4, 3, 1\], where"):
        result.read(images, image_size=(4, 3))


def test_examples_of_another_shape_are_refused(finished):
    rows = np.zeros((4, 5), np.float32), np.arange(4) % 3
    with pytest.raises(ValueError, match=r"Received: \[5\], where the search had \[3\]"):
        finished(input_shape=[3]).read(rows)

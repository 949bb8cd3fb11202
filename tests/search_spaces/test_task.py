import keras
import numpy as np
import pytest

from search_spaces.blocks import conv, reshape
from search_spaces.detection import Detection
from search_spaces.mlp import MLP
from search_spaces.mobile import MobileNet
from search_spaces.network import freeze, input_node
from search_spaces.segmentation import Segmentation
from search_spaces.task import Classification, NextToken, Regression, check_feature_map
from search_spaces.tcn import TemporalConvNet


@pytest.mark.parametrize("shape", [(8, 6, 3), (9, 4), (5,)])
@pytest.mark.parametrize(("task", "units"), [(Classification(7), 7), (Regression(2), 2)])
def test_one_answer_an_example_whatever_the_rank_of_its_features(shape, task, units):
    network = freeze(task.head(input_node(shape)))
    assert network.output_shape == (units,)
    pooled = [record for record in network.layers if record.op == "global_average_pool"]
    assert len(pooled) == (len(shape) > 1)


def test_an_answer_for_each_position_of_a_text():
    assert freeze(NextToken(50).head(input_node((12, 8)))).output_shape == (12, 50)


@pytest.mark.parametrize("rate", [0.0, 0.5])
def test_dropout_comes_before_the_last_layer(rate):
    layers = freeze(Classification(3, dropout=rate).head(input_node((4,)))).layers
    expected = ["input", "dropout", "dense"] if rate else ["input", "dense"]
    assert [record.op for record in layers] == expected


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: Classification(1), r"at least 2 classes\. Received: num_classes=1\."),
        (lambda: Regression(0), r"at least 1 number\. Received: units=0\."),
        (lambda: NextToken(1), r"at least 2 different tokens\. Received: vocabulary=1\."),
    ],
)
def test_a_task_without_a_question_is_refused(make, said):
    with pytest.raises(ValueError, match=said):
        make()


@pytest.mark.parametrize(
    ("task", "labels"),
    [
        (Classification(3), np.array([2, 0])),
        (Classification(3, one_hot=True), np.eye(3)[[2, 0]]),
    ],
)
def test_losses_take_logits_and_labels_as_they_are(task, labels):
    logits = np.array([[0.0, 1.0, 2.0], [3.0, 1.0, 0.0]], "float32")
    arguments = task.compile_arguments()
    expected = np.mean(np.log(np.exp(logits).sum(1)) - [2.0, 3.0])
    assert float(arguments["loss"](labels, logits)) == pytest.approx(expected, rel=1e-5)
    (metric,) = arguments["metrics"]
    metric.update_state(labels, logits)
    assert (metric.name, float(metric.result())) == ("accuracy", 1.0)


@pytest.mark.parametrize("task", [Classification(3), Regression(), NextToken(9)])
def test_losses_and_metrics_are_stock(task):
    arguments = task.compile_arguments()
    for stock in (arguments["loss"], *arguments["metrics"]):
        assert keras.saving.serialize_keras_object(stock)["registered_name"] is None


def test_what_is_not_in_rows_and_columns_is_refused():
    check_feature_map("Segmentation", conv(input_node((4, 4, 1)), 2))
    with pytest.raises(ValueError, match=r"Received: features of shape \(9, 4\)"):
        check_feature_map("Segmentation", input_node((9, 4)))


@pytest.mark.parametrize("task", [Segmentation(3), Detection(3)])
def test_features_of_a_series_are_no_image(task):
    series = reshape(input_node((13, 4)), (13, 1, 4))
    with pytest.raises(ValueError, match=r"\(13, 1, 4\), of an input of shape \(13, 4\)"):
        task.head(series)


@pytest.mark.parametrize(
    ("space", "shape"),
    [
        (MobileNet, (16, 16, 3)),  # no sequence goes in
        (TemporalConvNet, (13, 4)),  # none comes out
        (MLP, (16,)),
    ],
)
def test_the_next_token_is_asked_for_at_each_position(space, shape):
    with pytest.raises(ValueError, match=r"each position of a sequence\. Received: features"):
        space(shape, task=NextToken(50)).network({})


def test_a_shortened_sequence_has_lost_positions():
    x = reshape(input_node((12, 8)), (6, 16))
    with pytest.raises(ValueError, match=r"shape \(6, 16\), of an input of shape \(12, 8\)"):
        NextToken(50).head(x)

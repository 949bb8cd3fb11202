import keras
import keras_tuner
import numpy as np
import pytest

from search_spaces.mobile import MOBILENET_V3_SMALL, MobileNet
from search_spaces.segmentation import Segmentation
from search_spaces.unet import UNet


def test_any_space_of_feature_maps_gives_a_class_for_each_pixel():
    space = MobileNet((33, 20, 3), task=Segmentation(4))
    network = space.network({})
    assert network.output_shape == (33, 20, 4)
    conv, resize = network.layers[-2:]
    assert (conv.op, conv.shape[-1], resize.op) == ("conv", 4, "resize")


def test_nothing_is_resized_that_has_the_size_of_the_image():
    assert UNet((16, 16, 1), 2).network({}).layers[-1].op == "conv"


def test_pooled_features_are_refused():
    space = MobileNet((32, 32, 3), task=Segmentation(2), layout=MOBILENET_V3_SMALL)
    with pytest.raises(
        ValueError, match=r"rows and columns\. Received: features of shape \(1"
    ):
        space.network({})


def test_a_single_class_is_refused():
    with pytest.raises(ValueError, match=r"Received: num_classes=1\."):
        Segmentation(1)


def test_more_mean_iou_is_better():
    objective = Segmentation(2).objective
    assert (objective.name, objective.direction) == ("val_mean_iou", "max")
    assert isinstance(objective, keras_tuner.Objective)


def test_loss_and_metric_are_those_of_the_definition():
    rng = np.random.default_rng(0)
    labels = rng.integers(3, size=(2, 5, 4))
    labels[0, 0] = 255
    logits = rng.normal(size=(2, 5, 4, 3)).astype("float32")
    arguments = Segmentation(3, ignore_class=255).compile_arguments()
    (metric,) = arguments["metrics"]
    counted = labels != 255
    right = np.take_along_axis(logits, np.where(counted, labels, 0)[..., None], -1)[..., 0]
    losses = np.log(np.exp(logits).sum(-1)) - right
    assert float(arguments["loss"](labels, logits)) == pytest.approx(
        losses[counted].mean(), rel=1e-5
    )
    metric.update_state(labels, logits)
    answers = logits.argmax(-1)
    shares = []
    for label in range(3):
        true, answered = (labels == label) & counted, (answers == label) & counted
        shares.append((true & answered).sum() / (true | answered).sum())
    assert float(metric.result()) == pytest.approx(np.mean(shares), rel=1e-5)
    assert metric.name == "mean_iou"


def test_loss_and_metric_are_stock():
    arguments = Segmentation(3).compile_arguments()
    for stock in (arguments["loss"], *arguments["metrics"]):
        assert type(stock).__module__.startswith("keras.")
        assert keras.saving.serialize_keras_object(stock)["registered_name"] is None

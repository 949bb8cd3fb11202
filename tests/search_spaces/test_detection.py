import math
import subprocess
import sys

import keras
import numpy as np
import pytest

from search_spaces.boxes import decode, encode_boxes
from search_spaces.detection import CenterLoss, Detection
from search_spaces.detector import Detector
from search_spaces.mobile import MOBILENET_V3_SMALL, MobileNet
from search_spaces.testing import step

IMAGE = (64, 96, 3)


def losses_by_hand(target, prediction, classes, size_weight, offset_weight):
    """The loss of one image, written out cell by cell."""
    total, objects = 0.0, 0
    for row in range(target.shape[0]):
        for column in range(target.shape[1]):
            y, x = target[row, column], prediction[row, column]
            for c in range(classes):
                p = 1 / (1 + math.exp(-x[c]))
                if y[c] == 1:
                    objects += 1
                    total -= (1 - p) ** 2 * math.log(p)
                else:
                    total -= (1 - y[c]) ** 4 * p**2 * math.log(1 - p)
            if (y[:classes] == 1).any():
                errors = np.abs(y[classes:] - x[classes:])
                total += size_weight * errors[:2].sum() + offset_weight * errors[2:].sum()
    return total / max(objects, 1)


def test_the_loss_is_that_of_the_definition(random_boxes):
    rng = np.random.default_rng(1)
    boxes = random_boxes(rng, 5)
    encoded = [
        encode_boxes(boxes, [0, 1, 2, 2, 0], num_classes=3, image_shape=IMAGE),
        encode_boxes([], [], num_classes=3, image_shape=IMAGE),
    ]
    predictions = rng.normal(size=(2, 16, 24, 7)).astype("float32")
    loss = CenterLoss(0.3, 0.7, reduction=None)(np.stack(encoded), predictions)
    expected = [
        losses_by_hand(*pair, 3, 0.3, 0.7) for pair in zip(encoded, predictions, strict=True)
    ]
    np.testing.assert_allclose(np.asarray(loss), expected, rtol=1e-4)


@pytest.mark.parametrize("image_shape", [IMAGE, (66, 91, 3)])
def test_a_finer_target_is_reduced_to_the_grid_of_the_prediction(
    image_shape, as_prediction, random_boxes
):
    rng = np.random.default_rng(2)
    boxes = random_boxes(rng, 3)
    fine, coarse = (
        encode_boxes(boxes, [0, 1, 1], num_classes=2, image_shape=image_shape, stride=stride)
        for stride in (4, 8)
    )
    prediction = as_prediction(coarse, 2)
    exact = float(CenterLoss()(fine[None], prediction[None]))
    away = prediction.copy()
    centre = np.argwhere((coarse[..., :2] == 1).any(-1))[0]
    away[centre[0], centre[1], 2:] += [1, -1, 0.5, -0.25]
    # Per object: sizes weigh a half, and offsets count in cells of 4 pixels.
    expected = (0.5 * (1 + 1) + 2 * (0.5 + 0.25)) / 3
    found = float(CenterLoss()(fine[None], away[None])) - exact
    assert found == pytest.approx(expected, rel=1e-3)


def test_a_target_on_a_coarser_grid_is_refused():
    with pytest.raises(ValueError, match=r"Received: a target of 8x12 cells and a pred"):
        CenterLoss()(np.zeros((1, 8, 12, 5)), np.zeros((1, 16, 24, 5)))


def test_an_untrained_network_expects_few_objects():
    network = MobileNet((32, 32, 3), task=Detection(2)).network({})
    shift = dict(network.layers[-1].settings)["offset"]
    assert network.output_shape[-1] == 6
    np.testing.assert_allclose(1 / (1 + np.exp(-np.array(shift[:2]))), 0.1)
    assert shift[2:] == (0.0,) * 4


def test_pooled_features_are_refused():
    space = MobileNet((32, 32, 3), task=Detection(2), layout=MOBILENET_V3_SMALL)
    with pytest.raises(
        ValueError, match=r"rows and columns\. Received: features of shape \(1"
    ):
        space.network({})


def test_no_class_is_refused():
    with pytest.raises(ValueError, match=r"Received: num_classes=0\."):
        Detection(0)


@pytest.mark.slow
def test_a_saved_detector_loads_here_as_it_is_and_elsewhere_without_its_loss(tmp_path):
    space = Detector((32, 32, 1), 2)
    model = space.build(space.hyperparameters())
    step(model, space.network({}))
    model.save(tmp_path / "compiled.keras")
    keras.Model(model.inputs, model.outputs).save(tmp_path / "plain.keras")
    again = keras.models.load_model(tmp_path / "compiled.keras")
    assert again.loss.get_config() == model.loss.get_config()
    x = np.random.default_rng(0).normal(size=(1, 32, 32, 1)).astype("float32")
    np.save(tmp_path / "x.npy", x)
    program = """
import sys
import keras, numpy as np
loaded = [
    keras.models.load_model("compiled.keras", compile=False),
    keras.models.load_model("plain.keras"),
]
assert "search_spaces" not in sys.modules
np.save("y.npy", [model.predict(np.load("x.npy"), verbose=0) for model in loaded])
"""
    subprocess.run([sys.executable, "-c", program], cwd=tmp_path, check=True, timeout=300)
    for answer in np.load(tmp_path / "y.npy"):
        np.testing.assert_allclose(answer, model.predict(x, verbose=0), rtol=1e-4, atol=1e-5)
    keras.backend.clear_session()


@pytest.mark.slow
def test_a_detector_learns_to_find_squares():
    rng = np.random.default_rng(0)
    shape = (32, 32, 1)

    def example():
        side, top, left = rng.integers(6, 14), *rng.integers(0, 18, size=2)
        image = rng.normal(scale=0.1, size=shape)
        image[top : top + side, left : left + side] += 1
        box = np.clip(np.array([[top, left, top + side, left + side]]) / 32, 0, 1)
        return image, box

    images, boxes = zip(*(example() for _ in range(576)), strict=True)
    targets = [encode_boxes(b, [0], num_classes=1, image_shape=shape) for b in boxes]
    x, y = np.stack(images).astype("float32"), np.stack(targets)
    keras.utils.set_random_seed(0)
    space = Detector(shape, 1)
    for stride in (4, 8):
        hp = space.hyperparameters()
        hp.values |= {"detector/stride": stride, "stem/stride": 1, "stage3/depth": 0}
        model = space.build(hp)
        model.optimizer.learning_rate = 3e-3
        model.fit(x[:512], y[:512], batch_size=32, epochs=8, verbose=0)
        overlaps = []
        for prediction, truth in zip(
            model.predict(x[512:], verbose=0), boxes[512:], strict=True
        ):
            found, _, _ = decode(prediction, shape, max_boxes=1, threshold=0.1)
            overlaps.append(max((_overlap(one, truth[0]) for one in found), default=0))
        assert np.mean(np.array(overlaps) > 0.5) > 0.8, stride
        keras.backend.clear_session()


def _overlap(one, other):
    sides = np.minimum(one[2:], other[2:]) - np.maximum(one[:2], other[:2])
    common = np.maximum(sides, 0).prod()
    areas = sum((box[2:] - box[:2]).prod() for box in (one, other))
    return common / (areas - common)

import keras_tuner
import numpy as np
import pytest
import tensorflow as tf

from kerasnas.augmentation import augmentation, decisions, declare
from search_spaces.decisions import Decisions
from search_spaces.detection import Detection
from search_spaces.segmentation import Segmentation
from search_spaces.task import Classification, MultiLabel, NextToken, Regression

LABELS = np.array([2, 0, 1, 1])
SHAPES = {
    "images": (9, 8, 1),
    "audio": (9, 8, 1),
    "waveform": (64,),
    "series": (9, 8),
    "table": (7,),
    "tokens": (12,),
}


def of_noise(*shape):
    return np.random.default_rng(0).normal(size=shape).astype("float32")


def batch(layout, count=4):
    if layout == "tokens":
        return np.random.default_rng(0).integers(2, 99, (count, 12)).astype("int32")
    return of_noise(count, *SHAPES[layout])


def everything(shape, layout, task=None):
    return {decision.name: 1.0 for decision in decisions(shape, layout, task)}


def names(*arguments):
    return [decision.name for decision in decisions(*arguments)]


class TestImages:
    def test_images_stay_what_they_are(self):
        blob = np.zeros((200, 28, 28, 1), "uint8")
        blob[:, 10:18, 10:18] = 255
        varied, _ = augmentation((28, 28, 1))(blob, None, (0, 0))
        assert varied.shape == blob.shape
        assert varied.dtype == tf.float32
        varied = varied.numpy()
        mass = varied.sum(axis=(1, 2, 3)) / blob[0].sum()
        assert 0.6 < mass.min() < mass.mean() < mass.max() < 1.6
        rows = (varied.sum(axis=(2, 3)) * np.arange(28)).sum(1) / varied.sum(axis=(1, 2, 3))
        assert abs(rows.mean() - 13.5) < 0.5
        assert rows.std() > 0.5

    def test_only_colour_photographs_are_mirrored_unless_asked_for(self):
        ramp = np.broadcast_to(np.arange(32.0)[:, None], (32, 32, 1))
        mirrored = []
        for channels, settings in [(1, {}), (3, {}), (1, {"mirror": 1}), (3, {"mirror": 0})]:
            x = np.repeat(np.repeat(ramp[None], 100, 0), channels, -1).astype("float32")
            varied, _ = augmentation((32, 32, channels), settings=settings)(x, None, (0, 0))
            slope = varied.numpy()[:, 16, 24, 0] - varied.numpy()[:, 16, 8, 0]
            mirrored.append(float(np.mean(slope < 0)))
        assert mirrored[0] == mirrored[3] == 0
        assert 0.3 < mirrored[1] < 0.7
        assert 0.3 < mirrored[2] < 0.7

    def test_quantities_of_images_are_not_mirrored(self):
        assert "mirror" not in names((32, 32, 3), "images", Regression(1))


class TestTargets:
    def test_masks_move_with_their_images(self):
        mask = np.zeros((30, 16, 16), "int32")
        mask[:, 4:9, 5:12] = 2
        task = Segmentation(3, ignore_class=255)
        vary = augmentation((16, 16, 1), "images", task, {"mirror": 1})
        x, y = vary((mask[..., None] == 2).astype("float32"), mask, (0, 1))
        assert y.dtype == tf.int32
        seen, moved = x.numpy()[..., 0], y.numpy()
        sure = (abs(seen - 0.5) > 0.3) & (moved != 255)
        np.testing.assert_array_equal(moved[sure] == 2, seen[sure] > 0.5)
        assert (moved == 255).any()
        assert (moved != mask).any(axis=(1, 2)).mean() > 0.9

    def test_boxes_move_with_their_images(self):
        box = np.broadcast_to(np.float32([[0.25, 0.2, 0.6, 0.7, 1]]), (30, 1, 5))
        image = np.zeros((30, 20, 20, 1), "float32")
        image[:, 5:12, 4:14] = 1
        vary = augmentation((20, 20, 1), "images", Detection(2), {"mirror": 1})
        x, y = vary(image, box, (0, 1))
        area = (y[..., 2] - y[..., 0]) * (y[..., 3] - y[..., 1])
        np.testing.assert_allclose(x.numpy().mean((1, 2, 3)), area[:, 0], rtol=0.02)
        rows = (x.numpy().sum((2, 3)) * (np.arange(20) + 0.5)).sum(1) / x.numpy().sum(
            (1, 2, 3)
        )
        np.testing.assert_allclose(rows / 20, (y[:, 0, 0] + y[:, 0, 2]) / 2, atol=5e-3)

    def test_levels_leave_masks_and_boxes(self):
        mask = np.random.default_rng(0).integers(0, 3, (4, 9, 8)).astype("int32")
        vary = augmentation((9, 8, 1), "images", Segmentation(3), {"geometry": 0, "level": 1})
        x, y = vary(of_noise(4, 9, 8, 1), mask, (0, 0))
        np.testing.assert_array_equal(y, mask)
        assert not np.array_equal(x, of_noise(4, 9, 8, 1))

    def test_labels_stay_as_they_were(self):
        for layout, shape in SHAPES.items():
            vary = augmentation(shape, layout, None, everything(shape, layout))
            _, y = vary(batch(layout), LABELS, (0, 0))
            np.testing.assert_array_equal(y, LABELS)
            assert y.dtype == LABELS.dtype

    @pytest.mark.parametrize(
        ("task", "mixed"),
        [
            (None, False),
            (Classification(3), False),
            (Classification(3, one_hot=True), True),
            (MultiLabel(3), True),
            (Regression(3), True),
            (Segmentation(3), False),
            (Detection(3), False),
        ],
    )
    def test_examples_are_mixed_only_where_answers_can_be(self, task, mixed):
        assert ("mix" in names((9, 8, 1), "images", task)) == mixed
        assert "mix" not in names((12,), "tokens", task)

    def test_mixed_labels_are_probabilities(self):
        task = Classification(3, one_hot=True)
        vary = augmentation((9, 8, 1), "images", task, {"mix": 1})
        _, y = vary(batch("images"), np.eye(3, dtype="float32")[LABELS], (0, 0))
        np.testing.assert_allclose(tf.reduce_sum(y, 1), 1, rtol=1e-5)
        assert ((y.numpy() > 0) & (y.numpy() < 1)).any()

    def test_nothing_varies_for_other_tasks(self):
        assert decisions((12,), "tokens", NextToken(99)) == []
        assert augmentation((12,), "tokens", NextToken(99)) is None


SEVERAL = {"photo": (9, 8, 1), "depth": (18, 16, 1), "columns": (7,)}
LAYOUTS = {"photo": "images", "depth": "images", "columns": "table"}


class TestSeveralInputs:
    def inputs(self):
        return {name: of_noise(4, *shape) for name, shape in SEVERAL.items()}

    def test_each_varies_by_its_layout_and_on_its_own(self):
        settings = {"depth/geometry": 0, "columns/erase": 1, "photo/geometry": 1}
        vary = augmentation(SEVERAL, LAYOUTS, Classification(3), settings)
        x, y = vary(self.inputs(), LABELS, (0, 0))
        changed = {name for name in x if not np.array_equal(x[name], self.inputs()[name])}
        assert changed == {"photo", "columns"}
        np.testing.assert_array_equal(y, LABELS)

    def test_images_of_several_sizes_move_alike_with_their_mask(self):
        mask = np.zeros((20, 18, 16), "int32")
        mask[:, 4:10, 2:12] = 1
        depth = mask[..., None].astype("float32")
        photo = depth.reshape(20, 9, 2, 8, 2, 1).mean((2, 4))
        task = Segmentation(2)
        assert names(SEVERAL, LAYOUTS, task)[:2] == ["geometry", "mirror"]
        vary = augmentation(SEVERAL, LAYOUTS, task, {"mirror": 1})
        x, y = vary({"depth": depth, "photo": photo, "columns": of_noise(20, 7)}, mask, (0, 0))
        large, small = x["depth"].numpy(), x["photo"].numpy()
        np.testing.assert_array_less(
            abs(large.reshape(20, 9, 2, 8, 2, 1).mean((2, 4)) - small).mean(), 0.03
        )
        sure = abs(large[..., 0] - 0.5) > 0.3
        np.testing.assert_array_equal(y.numpy()[sure] == 1, large[..., 0][sure] > 0.5)

    def test_all_are_mixed_in_the_same_shares(self):
        settings = {"mix": 1, "photo/geometry": 0, "depth/geometry": 0}
        vary = augmentation(SEVERAL, LAYOUTS, Regression(1), settings)
        y = of_noise(4, 1)
        x, mixed = vary(self.inputs(), y, (0, 0))
        share = (mixed - y) / (np.roll(y, 1, axis=0) - y)
        for name, before in self.inputs().items():
            each = tf.reshape(share, [-1] + [1] * (before.ndim - 1)).numpy()
            expected = before + each * (np.roll(before, 1, axis=0) - before)
            np.testing.assert_allclose(x[name], expected, atol=1e-4)


class TestSettings:
    def test_defaults_are_the_fixed_recipe(self):
        x = batch("series")
        default = {name: value for name, _, value in decisions((9, 8), "series")}
        one, _ = augmentation((9, 8), "series")(x, LABELS, (0, 0))
        other, _ = augmentation((9, 8), "series", None, default)(x, LABELS, (0, 0))
        np.testing.assert_array_equal(one, other)

    def test_decisions_are_declared_in_order_and_read_again(self):
        hp = keras_tuner.HyperParameters()
        settings = declare(hp, (32, 32, 3), "images", Classification(3))
        assert settings == {"geometry": 1.0, "mirror": 1.0, "level": 0.0, "erase": 0.0}
        choice = next(known for known in hp.space if known.name == "augment/geometry")
        assert choice.values == [0.0, 0.5, 1.0]
        assert choice.ordered
        chosen = Decisions({"augment/erase": 0.5, "augment/mirror": 0.0})
        assert declare(chosen, (32, 32, 3), "images", Classification(3)) == {
            "geometry": 1.0,
            "mirror": 0.0,
            "level": 0.0,
            "erase": 0.5,
        }

    def test_tokens_stay_what_they_are_unless_asked_for(self):
        assert augmentation((12,), "tokens") is None
        x = np.full((50, 12), 7, np.int32)
        varied, _ = augmentation((12,), "tokens", None, {"erase": 1})(x, None, (0, 0))
        assert set(np.unique(varied)) == {1, 7}

    def test_less_strength_varies_less(self):
        x = batch("series", 50)
        distance = [
            float(np.std(augmentation((9, 8), "series", strength=s)(x, None, (0, 0))[0] - x))
            for s in (0.1, 0.5, 1.0)
        ]
        assert distance == sorted(distance)
        assert distance[0] > 0

    @pytest.mark.parametrize("layout", SHAPES)
    def test_without_strength_nothing_varies(self, layout):
        settings = everything(SHAPES[layout], layout)
        assert augmentation(SHAPES[layout], layout, None, settings, 0.0) is None

    @pytest.mark.parametrize("layout", SHAPES)
    def test_the_least_strength_leaves_examples_all_but_as_they_are(self, layout):
        x = batch(layout)
        vary = augmentation(SHAPES[layout], layout, None, everything(SHAPES[layout], layout)
                            | ({"mirror": 0} if layout == "images" else {}), 1e-6)  # fmt: skip
        np.testing.assert_allclose(vary(x, LABELS, (0, 1))[0], x, atol=1e-3)

    def test_tables_are_left_as_they_are_unless_asked_for(self):
        assert augmentation((9,), "table") is None

    @pytest.mark.parametrize("layout", SHAPES)
    def test_the_same_seed_varies_alike_and_another_otherwise(self, layout):
        vary = augmentation(SHAPES[layout], layout, None, everything(SHAPES[layout], layout))
        one, same, other = (
            vary(batch(layout), LABELS, (0, seed))[0].numpy() for seed in (1, 1, 2)
        )
        np.testing.assert_array_equal(one, same)
        assert not np.array_equal(one, other)

    @pytest.mark.parametrize(
        ("layout", "shape"),
        [("images", (9, 8)), ("audio", (9, 8)), ("series", (9,)), ("waveform", (64, 1))],
    )
    def test_a_single_channel_may_be_left_out(self, layout, shape):
        x = of_noise(4, *shape)
        vary = augmentation(shape, layout, None, everything(shape, layout))
        varied, _ = vary(x, LABELS, (0, 0))
        assert varied.shape == x.shape
        assert not np.array_equal(varied, x)

    @pytest.mark.parametrize("layout", SHAPES)
    def test_the_range_of_the_batch_is_not_left(self, layout):
        x = batch(layout, 50)
        vary = augmentation(SHAPES[layout], layout, None, everything(SHAPES[layout], layout))
        varied, _ = vary(x, None, (0, 0))
        assert varied.numpy().max() <= x.max() + 1e-4
        assert varied.numpy().min() >= min(x.min(), 1) - 1e-4

    @pytest.mark.parametrize("layout", SHAPES)
    def test_it_works_in_a_data_set_without_changing_shapes(self, layout):
        task = Classification(3, one_hot=True)
        shape = SHAPES[layout]
        vary = augmentation(shape, layout, task, everything(shape, layout, task))
        y = np.eye(3, dtype="float32")[LABELS]
        data = tf.data.Dataset.from_tensor_slices((batch(layout), y)).batch(3)
        served = data.map(lambda x, y: vary(x, y, tf.constant([1, 2], tf.int64)))
        assert served.element_spec[0].shape[1:] == shape
        assert [len(x) for x, _ in served] == [3, 1]

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            (((9, 8, 1), "image"), "Did you mean 'images'"),
            (((9, 8, 1), "images", None, {"geometri": 1}), "Did you mean 'geometry'"),
            (((9, 8, 1), "images", Segmentation(3), {"erase": 1}), "no such variation"),
            (((9, 8, 1), "images", None, {"mix": 1}), "no such variation"),
            (((12,), "tokens", NextToken(9), {"erase": 1}), "Leave it out"),
            (((9, 8, 1), "images", None, {"geometry": 2}), "from 0, nothing, to 1"),
            (({"a": (3,)}, {"b": "table"}), "same names in both"),
        ],
    )
    def test_settings_that_do_not_suit_are_refused(self, arguments, message):
        with pytest.raises(ValueError, match=message):
            augmentation(*arguments)

import numpy as np
import pytest
import tensorflow as tf

from kerasnas import variations
from kerasnas.preprocessing import UNKNOWN

SEED = (0, 3)


def of_noise(*shape):
    return np.random.default_rng(0).normal(size=shape).astype("float32")


def ramp(count, length, channels=1):
    """Rises by one a place, so that a value tells where it was read."""
    places = np.arange(length, dtype="float32")[:, None]
    return np.broadcast_to(places, (count, length, channels)).copy()


class TestTime:
    def test_bands_stay_where_they_are(self):
        x = np.zeros((20, 49, 40, 1), "float32")
        x[:, 20:30, 7] = 1.0
        varied = variations.moved_in_time(x, 1.0, SEED).numpy()[..., 0]
        assert set(np.argwhere(varied > 0.5)[:, 2]) == {7}

    def test_waveforms_shift_by_whole_samples_within_a_tenth(self):
        x = ramp(200, 101)[..., 0] + 1
        x -= x.mean(axis=1, keepdims=True)  # what comes in is then 0
        varied = variations.shifted(x, 1.0, SEED).numpy()
        found = set()
        for before, after in zip(x, varied, strict=True):
            by = next(
                by
                for by in range(-10, 11)
                if np.allclose(after[max(0, -by) : 101 - max(0, by)],
                               before[max(0, by) : 101 - max(0, -by)], atol=1e-4)
            )  # fmt: skip
            found.add(by)
        assert found == set(range(-10, 11))

    def test_slices_lie_within_a_series(self):
        varied = variations.sliced(ramp(200, 101, 2), 1.0, SEED).numpy()
        np.testing.assert_allclose(varied[..., 0], varied[..., 1])
        first, last = varied[:, 0, 0], varied[:, -1, 0]
        assert first.min() >= 0
        assert last.max() <= 100 + 1e-4
        assert 80 - 1e-3 <= (last - first).min() < 90 < (last - first).max()
        steps = np.diff(varied[..., 0], axis=1)
        np.testing.assert_allclose(
            steps, np.broadcast_to(steps[:, :1], steps.shape), atol=1e-3
        )


class TestLevels:
    def test_waveforms_get_louder_or_softer_by_at_most_6_db(self):
        x = of_noise(200, 500)
        x[0] *= 10  # so that no other is cut
        ratio = variations.louder(x, 1.0, SEED).numpy()[1:].std(1) / x[1:].std(1)
        assert 0.5 - 1e-3 <= ratio.min() < 0.6
        assert 1.8 < ratio.max() <= 2.0 + 1e-3

    def test_channels_of_an_image_change_alike(self):
        x = of_noise(50, 8, 8, 3)
        x[0] *= 10
        varied = variations.brightened(x, 1.0, SEED).numpy()[1:]
        before = x[1:]
        for image, varied_image in zip(
            before.reshape(49, -1), varied.reshape(49, -1), strict=True
        ):
            slope, offset = np.polyfit(image, varied_image, 1)
            np.testing.assert_allclose(slope * image + offset, varied_image, atol=1e-3)
            assert 1 / 1.31 < slope < 1.31

    @pytest.mark.parametrize(
        "vary",
        [
            lambda x: variations.brightened(x.reshape(50, 8, 8, 3), 1.0, SEED),
            lambda x: variations.louder(x, 1.0, SEED),
            lambda x: variations.jittered(x, 1.0, SEED, share=0.3),
            lambda x: variations.leveled(x.reshape(50, 64, 3), 1.0, SEED, factor=2.0),
        ],
    )
    def test_the_range_of_the_batch_is_not_left(self, vary):
        x = of_noise(50, 192)
        varied = vary(x).numpy()
        assert varied.min() >= x.min()
        assert varied.max() <= x.max()

    def test_noise_follows_the_deviation(self):
        x = of_noise(200, 29, 2) * np.array([1.0, 100.0], "float32")
        noise = variations.jittered(x, 0.5, SEED, share=0.1).numpy() - x
        np.testing.assert_allclose(noise.std(axis=(0, 1)) / x.std(axis=(0, 1)), 0.05, rtol=0.1)


class TestHiding:
    def test_frames_and_bands_are_hidden_behind_the_mean(self):
        x = of_noise(50, 49, 40, 1)
        varied = variations.hidden_spans(x, 1.0, SEED).numpy()
        bands = np.ptp(varied[..., 0], axis=1) < 1e-6  # a band of one value
        assert bands.any()
        assert bands.sum(axis=1).max() <= 0.15 * 40 + 1
        frames = np.ptp(varied[..., 0], axis=2) < 1e-6
        assert frames.any()
        assert frames.sum(axis=1).max() <= 0.15 * 49 + 1

    def test_a_rectangle_of_an_image_is_hidden_and_the_rest_left(self):
        x = of_noise(100, 20, 20, 3)
        varied = variations.hidden(x, 1.0, SEED).numpy()
        sizes = []
        for before, after in zip(x, varied, strict=True):
            changed = (before != after).any(axis=-1)
            rows, columns = np.flatnonzero(changed.any(1)), np.flatnonzero(changed.any(0))
            assert changed.sum() == len(rows) * len(columns)
            np.testing.assert_allclose(after[changed], np.broadcast_to(
                before.mean((0, 1)), after[changed].shape), atol=1e-5)  # fmt: skip
            sizes.append(changed.sum())
        assert max(sizes) <= 11 * 11
        assert np.mean(np.array(sizes) > 0) > 0.7

    def test_tokens_are_forgotten_and_padding_is_not(self):
        x = np.random.default_rng(0).integers(2, 50, (100, 64)).astype("int32")
        x[:, 50:] = 0
        varied = variations.forgotten(x, 1.0, SEED).numpy()
        assert varied.dtype == np.int32
        np.testing.assert_array_equal(varied[:, 50:], 0)
        lost = varied[:, :50] == UNKNOWN
        np.testing.assert_array_equal(varied[:, :50][~lost], x[:, :50][~lost])
        assert 0.18 < lost.mean() < 0.22

    def test_columns_are_swapped_between_rows(self):
        x = np.arange(5000, dtype="float32").reshape(500, 10)
        varied = variations.swapped(x, 0.5, SEED).numpy()
        changed = varied != x
        assert 0.08 < changed.mean() < 0.12
        np.testing.assert_array_equal(varied[changed], np.roll(x, 1, axis=0)[changed])


class TestMixing:
    def test_answers_are_mixed_in_the_shares_of_the_examples(self):
        y = np.eye(4, dtype="float32")[np.arange(400) % 4]
        x = y[:, :, None] * np.ones((400, 4, 3), "float32")
        (varied,), mixed = variations.mixed([tf.constant(x)], tf.constant(y), 1.0, SEED)
        np.testing.assert_allclose(varied.numpy().mean(-1), mixed, atol=1e-6)
        np.testing.assert_allclose(mixed.numpy().sum(1), 1, rtol=1e-6)
        own = (mixed.numpy() * y).sum(1)
        assert own.min() >= 0.5 - 1e-6
        assert own.min() < 0.6 < 0.95 < own.max()

    def test_all_inputs_are_mixed_in_the_same_shares(self):
        x = tf.constant(of_noise(50, 6))
        (one, other), _ = variations.mixed([x, 2 * x[:, :3]], x, 1.0, SEED)
        np.testing.assert_allclose(2 * one[:, :3], other, rtol=1e-5, atol=1e-5)

    def test_a_cut_replaces_a_rectangle_in_some_images_and_blends_in_others(self):
        y = np.eye(2, dtype="float32")[np.arange(200) % 2]
        x = np.broadcast_to(y[:, :1].reshape(-1, 1, 1, 1), (200, 12, 10, 1)).astype("float32")
        (varied,), mixed = variations.mixed(
            [tf.constant(x)], tf.constant(y), 1.0, SEED, cut=True
        )
        varied = varied.numpy()
        np.testing.assert_allclose(varied.mean((1, 2, 3)), mixed[:, 0], atol=1e-5)
        blended = np.ptp(varied, axis=(1, 2, 3)) == 0
        assert 0.4 < blended.mean() < 0.7
        assert set(np.unique(varied[~blended])) == {0.0, 1.0}

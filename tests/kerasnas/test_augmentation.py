import numpy as np
import pytest

from kerasnas.augmentation import augmentation


def of_noise(*shape):
    return np.random.default_rng(0).normal(size=shape).astype("float32")


class TestAugmentation:
    def test_the_same_seed_varies_alike_and_another_otherwise(self):
        vary = augmentation((8, 8, 1))
        x = of_noise(4, 8, 8, 1)
        one, same, other = (vary(x, (0, seed)).numpy() for seed in (1, 1, 2))
        np.testing.assert_array_equal(one, same)
        assert not np.array_equal(one, other)

    def test_images_stay_what_they_are(self):
        blob = np.zeros((200, 28, 28, 1), "uint8")
        blob[:, 10:18, 10:18] = 255
        varied = augmentation((28, 28, 1))(blob, (0, 0)).numpy()
        assert varied.shape == blob.shape
        assert varied.dtype == np.float32
        mass = varied.sum(axis=(1, 2, 3)) / blob[0].sum()
        assert 0.6 < mass.min() < mass.mean() < mass.max() < 1.6
        rows = (varied.sum(axis=(2, 3)) * np.arange(28)).sum(1) / varied.sum(axis=(1, 2, 3))
        assert abs(rows.mean() - 13.5) < 0.5
        assert rows.std() > 0.5

    def test_only_colour_photographs_are_mirrored(self):
        ramp = np.broadcast_to(np.arange(32.0)[:, None], (32, 32, 1))
        mirrored = []
        for channels in (1, 3):
            x = np.repeat(np.repeat(ramp[None], 100, 0), channels, -1).astype("float32")
            varied = augmentation((32, 32, channels))(x, (0, 0)).numpy()
            slope = varied[:, 16, 24, 0] - varied[:, 16, 8, 0]
            mirrored.append(float(np.mean(slope < 0)))
        assert mirrored[0] == 0
        assert 0.3 < mirrored[1] < 0.7


class TestAudio:
    def test_frames_and_bands_are_hidden_behind_the_mean(self):
        x = of_noise(50, 49, 40, 1)
        varied = augmentation((49, 40, 1), layout="audio")(x, (0, 0)).numpy()
        flat = np.ptp(varied[..., 0], axis=1) < 1e-6  # a band of one value
        assert flat.any()
        assert flat.sum(axis=1).max() <= 0.15 * 40 + 1
        frames = np.ptp(varied[..., 0], axis=2) < 1e-6
        assert frames.any()
        assert frames.sum(axis=1).max() <= 0.15 * 49 + 1

    def test_bands_stay_where_they_are(self):
        x = np.zeros((20, 49, 40, 1), "float32")
        x[:, 20:30, 7] = 1.0
        varied = augmentation((49, 40, 1), layout="audio")(x, (0, 3)).numpy()[..., 0]
        assert set(np.argwhere(varied > 0.5)[:, 2]) == {7}


class TestSeries:
    def test_noise_follows_the_deviation_of_a_channel(self):
        x = of_noise(200, 29, 2) * [1.0, 100.0]
        noise = augmentation((29, 2), layout="series")(x, (0, 0)).numpy() - x
        share = noise.std(axis=(0, 1)) / x.std(axis=(0, 1))
        np.testing.assert_allclose(share, 0.05, rtol=0.1)

    def test_a_constant_channel_stays_constant(self):
        x = np.ones((4, 29, 2), "float32")
        varied = augmentation((29, 2), layout="series")(x, (0, 0)).numpy()
        np.testing.assert_array_equal(varied, x)


def test_tables_are_left_as_they_are():
    assert augmentation((9,), layout="table") is None


@pytest.mark.parametrize(
    ("layout", "shape"), [("images", (9, 8, 1)), ("audio", (9, 8, 1)), ("series", (9, 8))]
)
def test_without_strength_nothing_varies(layout, shape):
    x = of_noise(4, *shape)
    varied = augmentation(shape, 0.0, layout)(x, (0, 1)).numpy()
    np.testing.assert_allclose(varied, x, atol=1e-4)

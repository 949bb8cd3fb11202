import numpy as np
import pytest


@pytest.fixture(scope="session")
def shades():
    """A problem that every network solves: three classes of grey, 8x8 uint8."""

    def make(count=60, classes=3, seed=0, shape=(8, 8, 1)):
        rng = np.random.default_rng(seed)
        y = np.arange(count) % classes
        noise = rng.integers(0, 20, (count, *shape))
        x = (noise + 80 * y.reshape(-1, *[1] * len(shape))).astype("uint8")
        return x, y

    return make

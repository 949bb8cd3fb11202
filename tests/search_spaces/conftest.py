import numpy as np
import pytest


@pytest.fixture
def as_prediction():
    """From a target to what a network that has learned it perfectly would return."""

    def make(target, num_classes):
        prediction = target.copy()
        heat = np.clip(target[..., :num_classes], 1e-4, 1 - 1e-4)
        prediction[..., :num_classes] = np.log(heat / (1 - heat))
        return prediction

    return make


@pytest.fixture
def random_boxes():
    """So many boxes of any place and size within an image."""

    def make(rng, count):
        sizes = rng.uniform(0.05, 0.3, size=(count, 2))
        corners = rng.uniform(0, 1 - sizes)
        return np.concatenate([corners, corners + sizes], axis=1)

    return make

import keras
import numpy as np
import pytest
from keras import layers

from search_spaces.blocks import activation, conv, max_pool
from search_spaces.space import SearchSpace, choose


class Small(SearchSpace):
    """Networks of one or two convolutions."""

    def body(self, hp, x):
        widths = {f"conv{n}": lambda x, n=n: conv(x, n, 3) for n in (4, 8, 16)}
        x = max_pool(choose(hp, "first", x, widths))
        x = choose(hp, "second", x, {"skip": lambda x: x, **widths})
        return activation(x, "relu") if hp.Boolean("rectified") else x


@pytest.fixture(scope="session")
def space():
    return Small((8, 8, 1), 3, rescaling=(1 / 255, 0.0))


@pytest.fixture
def dense():
    """A network of dense layers with given kernels and biases of 0."""

    def make(*weights, function="relu", end=None, between=()):
        x = start = keras.Input(weights[0].shape[:1])
        for number, kernel in enumerate(weights):
            last = number + 1 == len(weights)
            x = layers.Dense(kernel.shape[1], activation=end if last else None)(x)
            if not last:
                for layer in between:
                    x = layer()(x)
                x = layers.Activation(function)(x)
        model = keras.Model(start, x)
        made = [layer for layer in model.layers if isinstance(layer, layers.Dense)]
        for layer, kernel in zip(made, weights, strict=True):
            layer.kernel.assign(kernel)
        return model

    return make


@pytest.fixture
def drawn():
    """Matrices of normal numbers, float32."""

    def make(*shapes, seed=0):
        rng = np.random.default_rng(seed)
        return [rng.standard_normal(shape).astype("float32") for shape in shapes]

    return make

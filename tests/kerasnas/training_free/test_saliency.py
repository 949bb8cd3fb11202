"""Scores of weights and gradients, against NumPy by hand, differences and PyTorch."""

import keras
import numpy as np
import pytest
from keras import layers

from kerasnas.training_free import grad_norm, snip, synflow
from kerasnas.training_free.copies import Unscorable

CROSS_ENTROPY = keras.losses.SparseCategoricalCrossentropy(from_logits=True)


def flow(*kernels):
    """The sum over all paths of the products of absolute weights."""
    total = np.ones(len(kernels[0]))
    for kernel in kernels:
        total = total @ np.abs(kernel)
    return total.sum()


class TestSynflow:
    @pytest.mark.parametrize("function", ["relu", "relu6", "hard_silu"])
    def test_a_chain_passes_the_sum_of_paths_through_each_layer(self, dense, drawn, function):
        kernels = drawn((3, 40), (40, 30), (30, 2))
        model = dense(*kernels, function=function)
        assert synflow(model) == pytest.approx(3 * flow(*kernels))

    def test_normalisation_passes_on_whatever_it_has_learned(self, dense, drawn):
        kernels = drawn((3, 4), (4, 2))
        model = dense(*kernels, between=[layers.BatchNormalization])
        norm = model.layers[2]
        norm.set_weights([np.full(4, value) for value in (3.0, 1.0, -2.0, 5.0)])
        assert synflow(model) == pytest.approx(2 * flow(*kernels))

    def test_a_squashed_end_makes_no_difference(self, dense, drawn):
        kernels = drawn((3, 4), (4, 2))
        assert synflow(dense(*kernels, end="softmax")) == synflow(dense(*kernels))

    def test_branches_count_by_their_depth(self, drawn):
        one, two = drawn((3, 3), (3, 3))
        start = keras.Input((3,))
        deep = layers.Dense(3)(layers.Dense(3)(start))
        model = keras.Model(start, layers.Add()([start, deep]))
        for layer, kernel in zip(model.layers[1:3], (one, two), strict=True):
            layer.kernel.assign(kernel)
        # A weight's share is that of the paths it lies on: none on the shortcut.
        assert synflow(model) == pytest.approx(2 * flow(one, two))

    def test_what_float32_cannot_hold_is_no_trouble(self, dense):
        kernels = [np.full((50, 50), 4.0, "float32")] * 20
        score = synflow(dense(*kernels))
        assert score > 1e40
        assert score == pytest.approx(20 * 50 * 200.0**20)

    def test_convolutions_equal_pytorch(self):
        torch = pytest.importorskip("torch")
        start = keras.Input((6, 6, 2))
        x = layers.Conv2D(5, 3, use_bias=False)(start)
        x = layers.DepthwiseConv2D(3, use_bias=False)(layers.ReLU(6.0)(x))
        x = layers.GlobalAveragePooling2D()(layers.ReLU()(x))
        model = keras.Model(start, layers.Dense(3, use_bias=False)(x))
        conv, depthwise, dense = (
            torch.tensor(np.abs(w), dtype=torch.float64) for w in model.get_weights()
        )
        kernels = [
            conv.permute(3, 2, 0, 1).clone().requires_grad_(),
            depthwise.permute(2, 3, 0, 1).clone().requires_grad_(),
            dense.clone().requires_grad_(),
        ]
        y = torch.conv2d(torch.ones(1, 2, 6, 6, dtype=torch.float64), kernels[0])
        y = torch.conv2d(y, kernels[1], groups=5).mean(dim=(2, 3)) @ kernels[2]
        y.sum().backward()
        expected = sum(float((w * w.grad).sum().detach()) for w in kernels)
        assert synflow(model) == pytest.approx(expected)


class TestLossShares:
    @pytest.fixture
    def problem(self, drawn):
        (x,) = drawn((16, 5), seed=1)
        return x, np.arange(16) % 3

    @pytest.fixture
    def references(self, drawn, problem):
        """A network with normalisation; its kernels' gradients by PyTorch."""
        torch = pytest.importorskip("torch")
        kernels = drawn((5, 8), (8, 3))
        one, two = (torch.tensor(kernel, requires_grad=True) for kernel in kernels)
        x, y = map(torch.tensor, problem)
        hidden = x @ one
        hidden = torch.nn.functional.batch_norm(hidden, None, None, training=True, eps=1e-3)
        torch.nn.functional.cross_entropy(hidden.relu() @ two, y).backward()
        return kernels, [one.grad.numpy(), two.grad.numpy()]

    @pytest.fixture
    def model(self, dense, references):
        kernels, _ = references
        dropped = layers.Dropout
        made = dense(*kernels, between=[layers.BatchNormalization, lambda: dropped(0.5)])
        made.compile(loss=CROSS_ENTROPY)
        return made

    def test_snip_equals_pytorch_without_dropout(self, model, references, problem):
        expected = sum(np.abs(w * g).sum() for w, g in zip(*references, strict=True))
        assert snip(model, *problem) == pytest.approx(expected, rel=1e-4)

    def test_the_norm_equals_pytorch_without_dropout(self, model, references, problem):
        expected = sum(np.linalg.norm(g) for g in references[1])
        assert grad_norm(model, *problem) == pytest.approx(expected, rel=1e-4)

    def test_snip_is_the_change_of_the_loss_to_first_order(self, dense, drawn, problem):
        kernels, step = drawn((5, 1)), 1e-3
        x, y = problem[0], problem[1][:, None].astype("float32")

        def loss(kernel):
            return np.mean(np.square(x.astype(float) @ kernel - y))

        expected = 0.0
        for place in range(5):
            less, more = (kernels[0].astype(float) for _ in "ab")
            less[place] *= 1 - step
            more[place] *= 1 + step
            expected += abs(loss(more) - loss(less)) / (2 * step)
        model = dense(*kernels)
        model.compile(loss="mse")
        assert snip(model, x, y) == pytest.approx(expected, rel=1e-4)

    def test_a_loss_on_probabilities_is_that_of_the_logits(self, dense, drawn, problem):
        kernels = drawn((5, 8), (8, 3))
        logits, chances = dense(*kernels), dense(*kernels, end="softmax")
        logits.compile(loss=CROSS_ENTROPY)
        chances.compile(loss="sparse_categorical_crossentropy")
        assert snip(logits, *problem) == pytest.approx(snip(chances, *problem), rel=1e-4)

    @pytest.mark.parametrize("score", [snip, grad_norm])
    def test_a_loss_is_needed(self, dense, drawn, problem, score):
        with pytest.raises(ValueError, match=r"Call `model.compile\(loss=...\)`"):
            score(dense(*drawn((5, 3))), *problem)


def test_kernels_are_needed():
    start = keras.Input((4, 4, 2))
    model = keras.Model(start, layers.GlobalAveragePooling2D()(start))
    with pytest.raises(Unscorable, match="which has none"):
        synflow(model)


def test_a_shared_layer_is_one_kernel(drawn):
    (kernel,) = drawn((3, 3))
    start, shared = keras.Input((3,)), layers.Dense(3)
    model = keras.Model(start, shared(shared(start)))
    shared.kernel.assign(kernel)
    assert synflow(model) == pytest.approx(2 * flow(kernel, kernel))


def test_kernels_must_lead_to_the_output():
    start = keras.Input((3,))
    # A constant is all that the output has of the kernel.
    model = keras.Model(start, layers.Rescaling(0.0)(layers.Dense(2)(start)))
    assert synflow(model) == 0.0


def test_a_subclassed_model_is_refused():
    class Own(keras.Model):
        def call(self, x):
            return x

    with pytest.raises(TypeError, match=r"Start it with `keras.Input`"):
        synflow(Own())

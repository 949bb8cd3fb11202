import keras
import numpy as np
import pytest

from search_spaces import blocks
from search_spaces.mobile import MobileNet
from search_spaces.network import freeze, input_node, input_nodes
from search_spaces.realise import realise


def every_operation():
    x = blocks.rescale(input_node((16, 12, 2)), (0.5, 2.0), (-1.0, 0.0))
    x = blocks.separable(blocks.conv(x, 8, stride=2), 8)
    y = blocks.inverted_residual(x, 8, expansion=2, squeeze=0.25, activation="hard_silu")
    x = blocks.add(blocks.max_pool(y, 2), blocks.average_pool(x, 2))
    x = blocks.multiply(x, blocks.activation(x, "sigmoid"))
    return freeze(blocks.dense(blocks.dropout(blocks.global_average_pool(x), 0.5), 3))


def without_padding():
    """Rectangles, and what the networks of others are made of."""
    x = blocks.conv(input_node((17, 12, 2)), 6, (4, 3), (2, 1), padding="valid")
    x = blocks.depthwise(blocks.pad(x, ((1, 0), (2, 1))), (2, 5), 2, padding="valid")
    x = blocks.average_pool(blocks.max_pool(x, (2, 1), 1), 2, padding="valid")
    return freeze(blocks.dense(blocks.flatten(blocks.reshape(x, (4, 1, 6))), 3))


@pytest.mark.parametrize("describe", [every_operation, without_padding])
def test_the_model_has_the_described_shapes_at_every_layer(describe):
    network = describe()
    model = realise(network)
    for record, layer in zip(network.layers, model.layers, strict=True):
        assert layer.output.shape[1:] == record.shape


def test_the_model_computes_what_numpy_computes():
    x = blocks.rescale(input_node((4, 4, 1)), 2.0, 1.0)
    x = blocks.conv(x, 1, 1, activation="linear", norm=False)
    model = realise(freeze(blocks.dense(blocks.global_average_pool(x), 1)))
    model.set_weights([np.full(w.shape, 3.0) for w in model.weights])
    images = np.random.default_rng(0).normal(size=(2, 4, 4, 1))
    mean = (3 * (2 * images + 1) + 3).mean(axis=(1, 2))
    np.testing.assert_allclose(model(images), 3 * mean + 3, rtol=1e-5)


def test_only_stock_layers_are_used():
    for layer in realise(every_operation()).layers:
        assert type(layer).__module__.startswith("keras.")


def test_the_saved_model_loads_and_agrees(tmp_path):
    model = realise(every_operation(), seed=0)
    images = np.ones((2, 16, 12, 2))
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_allclose(loaded(images), model(images), atol=1e-6)


def test_a_seed_fixes_the_weights_and_only_a_seed():
    network = MobileNet((8, 8, 1), 3).network({})
    first, same, other = (realise(network, seed=seed).get_weights() for seed in (0, 0, 1))
    assert all(np.array_equal(a, b) for a, b in zip(first, same, strict=True))
    assert not all(np.array_equal(a, b) for a, b in zip(first, other, strict=True))


def test_layers_of_one_network_start_from_different_weights():
    x = input_node((8, 8, 4))
    for _ in range(2):
        x = blocks.conv(x, 4, 3, norm=False)
    kernels = [w for w in realise(freeze(x), seed=0).get_weights() if w.ndim == 4]
    assert not np.array_equal(*kernels)


@pytest.mark.parametrize("dtype", [None, "mixed_float16"])
def test_answers_are_float32_whatever_the_policy(dtype):
    model = realise(every_operation(), dtype=dtype)
    assert model.output.dtype == "float32"
    assert model.layers[2].compute_dtype == ("float16" if dtype else "float32")


def test_layers_are_named_alike_in_every_session():
    names = [[layer.name for layer in realise(every_operation()).layers] for _ in range(2)]
    assert names[0] == names[1]


def test_squares_are_described_alike_however_they_are_written():
    x = input_node((8, 8, 1))
    assert freeze(blocks.conv(x, 4, (3, 3), (2, 2))) == freeze(blocks.conv(x, 4, 3, 2))


def test_a_window_larger_than_the_image_is_refused_without_padding():
    with pytest.raises(ValueError, match="a window of 5x5 pixels on an image of 4x4"):
        blocks.conv(input_node((4, 4, 1)), 2, 5, padding="valid")


def test_unknown_padding_is_refused():
    with pytest.raises(ValueError, match="Received: padding='full'"):
        blocks.conv(input_node((4, 4, 1)), 2, padding="full")


def test_values_are_neither_lost_nor_made_by_a_reshape():
    with pytest.raises(ValueError, match=r"\(4, 4, 1\) to be reshaped to \(5, 3\)"):
        blocks.reshape(input_node((4, 4, 1)), (5, 3))


def test_several_inputs_are_called_by_their_names():
    nodes = input_nodes({"b": (4,), "a": (6,)}, {"a": "int32"})
    x = blocks.flatten(blocks.embedding(nodes["a"], 9, 2))
    model = realise(freeze(blocks.dense(blocks.concatenate(x, nodes["b"]), 3)))
    assert [(tensor.name, tensor.dtype) for tensor in model.inputs] == [
        ("a", "int32"),
        ("b", "float32"),
    ]
    answers = model({"a": np.zeros((2, 6), np.int32), "b": np.zeros((2, 4), np.float32)})
    assert answers.shape == (2, 3)

"""Weights and multiply-accumulates of a Keras model, counted on the model itself.

Independent of descriptions: what is counted are the arrays of weights and the shapes of
tensors that Keras made. The tests hold the costs on paper against it.
"""

from __future__ import annotations

import math
from typing import Any

import keras
from keras import layers

__all__ = ["check_stock", "count_macs", "count_params"]


def count_params(model: keras.Model) -> int:
    """Weights of a model, trainable or not."""
    return sum(math.prod(weight.shape) for weight in model.weights)


def count_macs(model: keras.Model) -> int:
    """Multiply-accumulates of a functional model for one example.

    Products of matrices count: convolutions, dense and recurrent layers, attention. What only
    scales, adds, compares or looks up does not, as in the literature.

    Raises:
        TypeError: If a layer has matrices of weights and nothing is known of their use.
    """
    return sum(_macs(layer) for layer in model.layers)


def _macs(layer: Any) -> int:
    kernels = [
        tuple(weight.shape)
        for weight in layer.weights
        if len(weight.shape) > 1 and not weight.path.endswith("bias")
    ]
    weights = sum(map(math.prod, kernels))
    match layer:
        case layers.Conv1D() | layers.Conv2D() | layers.DepthwiseConv2D() | layers.Dense():
            # All weights at each pixel, or position, of the output.
            return int(weights * math.prod(layer.output.shape[1:-1]))
        case layers.Conv2DTranspose():
            return int(weights * math.prod(layer.input.shape[1:-1]))
        case layers.EinsumDense():
            return _einsum_macs(layer)
        case layers.MultiHeadAttention():
            return _attention_macs(layer, weights)
        case layers.GRU() | layers.LSTM() | layers.Bidirectional():
            # All weights at each step, those of both directions.
            return int(weights * layer.input.shape[1])
        case layers.Embedding():
            return 0  # looked up
        case keras.Model():
            return sum(map(_product_macs, layer.operations))
        case _ if not kernels:
            return 0
    raise TypeError(
        "The multiply-accumulates of a layer with matrices must be known. Received: "
        f"{type(layer).__name__} with kernels of {kernels}. Say how often they are used."
    )


def _product_macs(operation: Any) -> int:
    """Of an operation in a model within the model, a front end: products with constants."""
    if type(operation).__name__ != "Matmul":
        return 0
    return int(math.prod(operation.output.shape[1:]) * operation.input.shape[-1])


def _einsum_macs(layer: layers.EinsumDense) -> int:
    inputs, output = layer.equation.split("->")
    tensor, kernel = inputs.split(",")
    sizes = dict(zip(kernel, layer.kernel.shape, strict=True))
    sizes |= dict(zip(tensor[1:], layer.input.shape[1:], strict=True))
    summed = set(sizes) - set(output)
    if math.prod(sizes[axis] for axis in summed) == 1:
        return 0  # a product with one weight each, nothing is added up
    return math.prod(sizes.values())


def _attention_macs(layer: layers.MultiHeadAttention, weights: int) -> int:
    length, settings = int(layer.output.shape[1]), layer.get_config()
    per_head = settings["key_dim"] + (settings["value_dim"] or settings["key_dim"])
    # Four projections of each position; then all pairs of positions, for scores and sums.
    return int(length * weights + length**2 * settings["num_heads"] * per_head)


def check_stock(model: keras.Model) -> None:
    """Refuse a model that needs more than Keras to be loaded.

    Raises:
        TypeError: If it, or a layer inside, is of another package.
    """
    for layer in model._flatten_layers():
        home = type(layer).__module__
        if home.split(".")[0] != "keras":
            raise TypeError(
                f"A realised network must consist of Keras' own layers. Received: "
                f"{type(layer).__qualname__} of {home}. Describe it by operations that "
                "`realise` has a layer for."
            )

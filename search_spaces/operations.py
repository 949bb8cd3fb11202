"""What each kind of layer does to shapes, and what it costs.

One `Operation` a kind: the output shape, the number of weights and the multiply-accumulates
follow from the settings and the input shapes alone. Shapes leave the batch out; images are
`(height, width, channels)`. `realise.py` holds the Keras layer that belongs to each name.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

Shape = tuple[int, ...]
Settings = Mapping[str, Any]

__all__ = ["OPERATIONS", "Operation", "Settings", "Shape"]


class Operation(NamedTuple):
    """A kind of layer, as arithmetic.

    Attributes:
        shape: `(settings, input shapes) -> output shape`.
        params: `(settings, input shapes) -> weights`, trainable or not, as Keras counts them.
        macs: `(settings, input shapes, output shape) -> multiply-accumulates` for one example;
            only convolutions and dense layers have any, as in the literature.
        commutative: Whether the order of the inputs makes no difference.
    """

    shape: Callable[[Settings, Sequence[Shape]], Shape]
    params: Callable[[Settings, Sequence[Shape]], int] = lambda s, x: 0
    macs: Callable[[Settings, Sequence[Shape], Shape], int] = lambda s, x, y: 0
    commutative: bool = False


def _same(s: Settings, x: Sequence[Shape]) -> Shape:
    return x[0]


def _window(s: Settings, x: Sequence[Shape], channels: int) -> Shape:
    # "same" padding: every started stride gives one output.
    height, width, _ = x[0]
    stride = s["stride"]
    return -(-height // stride), -(-width // stride), channels


def _pooled(s: Settings, x: Sequence[Shape]) -> Shape:
    return _window(s, x, x[0][-1])


def _global_pooled(s: Settings, x: Sequence[Shape]) -> Shape:
    channels = x[0][-1]
    return (1, 1, channels) if s["keepdims"] else (channels,)


def _broadcast(s: Settings, x: Sequence[Shape]) -> Shape:
    ranks = {len(shape) for shape in x}
    sizes = [set(axis) - {1} for axis in zip(*x, strict=False)]
    if len(ranks) > 1 or any(len(axis) > 1 for axis in sizes):
        raise ValueError(
            f"Tensors that are added or multiplied must have the same shape, or 1 where they "
            f"differ. Received: shapes={list(x)}. Bring them to one shape first, e.g. with "
            "a 1x1 convolution."
        )
    return tuple(max(axis) for axis in zip(*x, strict=True))


def _conv_params(s: Settings, x: Sequence[Shape]) -> int:
    weights = s["kernel"] ** 2 * x[0][-1] * s["filters"]
    return int(weights + s["bias"] * s["filters"])


def _depthwise_params(s: Settings, x: Sequence[Shape]) -> int:
    channels = x[0][-1]
    return int((s["kernel"] ** 2 + s["bias"]) * channels)


def _dense_params(s: Settings, x: Sequence[Shape]) -> int:
    return int((x[0][-1] + s["bias"]) * s["units"])


def _conv_macs(s: Settings, x: Sequence[Shape], y: Shape) -> int:
    return math.prod(y) * int(s["kernel"]) ** 2 * x[0][-1]


def _depthwise_macs(s: Settings, x: Sequence[Shape], y: Shape) -> int:
    return math.prod(y) * int(s["kernel"]) ** 2


def _dense_macs(s: Settings, x: Sequence[Shape], y: Shape) -> int:
    return math.prod(y) * x[0][-1]


OPERATIONS: dict[str, Operation] = {
    "input": Operation(lambda s, x: s["shape"]),
    "rescale": Operation(_same),
    "conv": Operation(lambda s, x: _window(s, x, s["filters"]), _conv_params, _conv_macs),
    "depthwise": Operation(_pooled, _depthwise_params, _depthwise_macs),
    "dense": Operation(lambda s, x: (*x[0][:-1], s["units"]), _dense_params, _dense_macs),
    # Scale, shift, moving mean and moving variance.
    "batch_norm": Operation(_same, lambda s, x: 4 * x[0][-1]),
    "activation": Operation(_same),
    "dropout": Operation(_same),
    "max_pool": Operation(_pooled),
    "average_pool": Operation(_pooled),
    "global_average_pool": Operation(_global_pooled),
    "add": Operation(_broadcast, commutative=True),
    "multiply": Operation(_broadcast, commutative=True),
}

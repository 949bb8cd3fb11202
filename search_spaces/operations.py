"""What each kind of layer does to shapes, and what it costs.

One `Operation` a kind: the output shape, the number of weights and the multiply-accumulates
follow from the settings and the input shapes alone. Shapes leave the batch out; images are
`(height, width, channels)`, sequences `(length, channels)`, tables `(columns,)`. `realise.py`
holds the Keras layer that belongs to each name.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from search_spaces.front_end import FrontEnd

Shape = tuple[int, ...]
Size = int | tuple[int, int]
Settings = Mapping[str, Any]

__all__ = ["OPERATIONS", "Operation", "Settings", "Shape", "Size", "pair", "single"]


def pair(value: Size) -> tuple[int, int]:
    """A size in pixels as `(height, width)`: one number is both."""
    return value if isinstance(value, tuple) else (value, value)


def single(value: Size) -> Size:
    """A size as descriptions have it: one number where height and width are the same."""
    high, wide = pair(value)
    return high if high == wide else (high, wide)


class Operation(NamedTuple):
    """A kind of layer, as arithmetic.

    Attributes:
        shape: `(settings, input shapes) -> output shape`.
        params: `(settings, input shapes) -> weights`, trainable or not, as Keras counts them.
        macs: `(settings, input shapes, output shape) -> multiply-accumulates` for one example;
            only products of matrices have any, as in the literature: convolutions, dense and
            recurrent layers, attention.
        commutative: Whether the order of the inputs makes no difference.
        statistics: `(settings, input shapes) -> weights` among `params` that follow the data
            rather than gradients.
    """

    shape: Callable[[Settings, Sequence[Shape]], Shape]
    params: Callable[[Settings, Sequence[Shape]], int] = lambda s, x: 0
    macs: Callable[[Settings, Sequence[Shape], Shape], int] = lambda s, x, y: 0
    commutative: bool = False
    statistics: Callable[[Settings, Sequence[Shape]], int] = lambda s, x: 0


def _same(s: Settings, x: Sequence[Shape]) -> Shape:
    return x[0]


def _window(s: Settings, x: Sequence[Shape], window: Size, channels: int) -> Shape:
    height, width, _ = x[0]
    down, right = pair(s["stride"])
    if s.get("padding") == "valid":
        # Only windows that lie inside the image count.
        high, wide = _spread(window, s.get("dilation", 1))
        if high > height or wide > width:
            raise ValueError(
                "A window must fit into the image where nothing is padded. Received: a window "
                f"of {high}x{wide} pixels on an image of {height}x{width}. Use a smaller "
                'window, or padding="same".'
            )
        height, width = height - high + 1, width - wide + 1
    # "same" padding: every started stride gives one output.
    return -(-height // down), -(-width // right), channels


def _spread(window: Size, dilation: Size) -> tuple[int, int]:
    """The pixels that a window with gaps reaches over, as `(height, width)`."""
    (high, wide), (down, right) = pair(window), pair(dilation)
    return (high - 1) * down + 1, (wide - 1) * right + 1


def _pooled(s: Settings, x: Sequence[Shape]) -> Shape:
    return _window(s, x, s["size"], x[0][-1])


def _padded(s: Settings, x: Sequence[Shape]) -> Shape:
    (top, bottom), (left, right) = s["padding"]
    height, width, channels = x[0]
    return top + height + bottom, left + width + right, channels


def _cropped(s: Settings, x: Sequence[Shape]) -> Shape:
    (top, bottom), (left, right) = s["cropping"]
    height, width, channels = x[0]
    if top + bottom >= height or left + right >= width:
        raise ValueError(
            "Something of an image must be left when it is cropped. Received: "
            f"cropping={s['cropping']} of an image of {height}x{width} pixels. Crop less."
        )
    return height - top - bottom, width - left - right, channels


def _narrowed(s: Settings, x: Sequence[Shape]) -> Shape:
    return *x[0][:-1], s["channels"]


def _resized(s: Settings, x: Sequence[Shape]) -> Shape:
    height, width = s["size"]
    return height, width, x[0][-1]


def _concatenated(s: Settings, x: Sequence[Shape]) -> Shape:
    if len({shape[:-1] for shape in x}) > 1:
        raise ValueError(
            "Tensors that are concatenated must have the same shape up to the channels. "
            f"Received: shapes={list(x)}. Bring them to one size first, e.g. by pooling."
        )
    return (*x[0][:-1], sum(shape[-1] for shape in x))


def _recurrent(s: Settings, x: Sequence[Shape]) -> Shape:
    width = s["units"] * (2 if s["bidirectional"] else 1)
    return (x[0][0], width) if s["sequences"] else (width,)


def _reshaped(s: Settings, x: Sequence[Shape]) -> Shape:
    shape: Shape = s["shape"]
    if math.prod(shape) != math.prod(x[0]):
        raise ValueError(
            "A tensor must keep the number of its values when it is reshaped. Received: "
            f"{x[0]} to be reshaped to {shape}. Give a shape of {math.prod(x[0])} values."
        )
    return shape


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


def _area(s: Settings) -> int:
    return math.prod(pair(s["kernel"]))


def _norm_params(s: Settings, x: Sequence[Shape]) -> int:
    # Moving mean and moving variance, and unless left out a scale and a shift.
    return (2 + int(s.get("scale", True)) + int(s.get("center", True))) * x[0][-1]


def _norm_statistics(s: Settings, x: Sequence[Shape]) -> int:
    return 2 * x[0][-1]


def _attention_params(s: Settings, x: Sequence[Shape]) -> int:
    # Queries, keys and values, and the way back, each with biases.
    channels, inner = x[0][-1], s["heads"] * s["width"]
    return int(4 * channels * inner + 3 * inner + channels)


def _positioned(s: Settings, x: Sequence[Shape]) -> Shape:
    length, channels = x[0]
    return length, s.get("width", channels)


def _position_params(s: Settings, x: Sequence[Shape]) -> int:
    length, channels = x[0]
    # What only adds has a factor as well, see `realise`.
    return (channels + length) * s["width"] if "width" in s else 1 + length * channels


def _position_macs(s: Settings, x: Sequence[Shape], y: Shape) -> int:
    return math.prod(y) * x[0][-1] if "width" in s else 0


_GATES = {"gru": 3, "lstm": 4}


def _recurrent_weights(s: Settings, x: Sequence[Shape]) -> int:
    """Elements of the matrices that are multiplied at each step."""
    weights = _GATES[s["cell"]] * s["units"] * (x[0][-1] + s["units"])
    return int(weights * (2 if s["bidirectional"] else 1))


def _recurrent_params(s: Settings, x: Sequence[Shape]) -> int:
    # Keras' GRU has a bias for what comes in and one for what comes back.
    biases = _GATES[s["cell"]] * s["units"] * (2 if s["cell"] == "gru" else 1)
    return _recurrent_weights(s, x) + int(biases * (2 if s["bidirectional"] else 1))


def _conv_params(s: Settings, x: Sequence[Shape]) -> int:
    weights = _area(s) * x[0][-1] * s["filters"]
    return int(weights + s["bias"] * s["filters"])


def _depthwise_params(s: Settings, x: Sequence[Shape]) -> int:
    channels = x[0][-1]
    return int((_area(s) + s["bias"]) * channels)


def _dense_params(s: Settings, x: Sequence[Shape]) -> int:
    return int((x[0][-1] + s["bias"]) * s["units"])


def _conv_macs(s: Settings, x: Sequence[Shape], y: Shape) -> int:
    return math.prod(y) * _area(s) * x[0][-1]


def _depthwise_macs(s: Settings, x: Sequence[Shape], y: Shape) -> int:
    return math.prod(y) * _area(s)


def _dense_macs(s: Settings, x: Sequence[Shape], y: Shape) -> int:
    return math.prod(y) * x[0][-1]


def _attention_macs(s: Settings, x: Sequence[Shape], y: Shape) -> int:
    # Of a causal one the masked half is computed all the same.
    (length, channels), inner = x[0], s["heads"] * s["width"]
    return int(4 * length * channels * inner + 2 * length * length * inner)


def _front_end(s: Settings, x: Sequence[Shape]) -> FrontEnd:
    return FrontEnd.of({**s, "samples": x[0][0]})


def _front_end_macs(s: Settings, x: Sequence[Shape], y: Shape) -> int:
    # What runs before the file is not among its costs.
    return _front_end(s, x).macs if s["in_graph"] else 0


def _recurrent_macs(s: Settings, x: Sequence[Shape], y: Shape) -> int:
    return x[0][0] * _recurrent_weights(s, x)


OPERATIONS: dict[str, Operation] = {
    "input": Operation(lambda s, x: s["shape"]),
    "front_end": Operation(lambda s, x: _front_end(s, x).shape, macs=_front_end_macs),
    "rescale": Operation(_same),
    "conv": Operation(
        lambda s, x: _window(s, x, s["kernel"], s["filters"]), _conv_params, _conv_macs
    ),
    "depthwise": Operation(
        lambda s, x: _window(s, x, s["kernel"], x[0][-1]), _depthwise_params, _depthwise_macs
    ),
    "dense": Operation(lambda s, x: (*x[0][:-1], s["units"]), _dense_params, _dense_macs),
    "batch_norm": Operation(_same, _norm_params, statistics=_norm_statistics),
    "layer_norm": Operation(_same, lambda s, x: 2 * x[0][-1]),
    "activation": Operation(_same),
    "dropout": Operation(_same),
    "max_pool": Operation(_pooled),
    "average_pool": Operation(_pooled),
    "global_average_pool": Operation(_global_pooled),
    "pad": Operation(_padded),
    "crop": Operation(_cropped),
    "narrow": Operation(_narrowed),
    "resize": Operation(_resized),
    "flatten": Operation(lambda s, x: (math.prod(x[0]),)),
    "reshape": Operation(_reshaped),
    "embedding": Operation(
        lambda s, x: (*x[0], s["width"]), lambda s, x: int(s["vocabulary"] * s["width"])
    ),
    "position": Operation(_positioned, _position_params, _position_macs),
    "sinusoid": Operation(_same),
    "attention": Operation(_same, _attention_params, _attention_macs),
    "recurrent": Operation(_recurrent, _recurrent_params, _recurrent_macs),
    "concatenate": Operation(_concatenated),
    "add": Operation(_broadcast, commutative=True),
    "multiply": Operation(_broadcast, commutative=True),
}

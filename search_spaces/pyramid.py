"""The features of a network at each resolution, found in its description.

So any space of images can be the encoder of a `UNet` and the backbone of a `Detector`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import keras_tuner

from search_spaces import members
from search_spaces.decisions import Decisions
from search_spaces.network import Layer, Node, input_node
from search_spaces.space import SearchSpace

__all__ = ["check_encoder", "deepest_level", "grid_shape", "pyramid"]

_RAW = ("input", "rescale", "resize", "pad", "crop")  # still the image
_MEETS = ("add", "concatenate")


def pyramid(features: Node) -> dict[int, Node]:
    """Features by level, the number of times that the image was halved, finest first.

    At each level it is the last sum or concatenation, or the last layer that all that follows
    passes through: the output of a stage, whatever its blocks are made of. The wide middle of
    an inverted residual that ends a level is passed over for the narrow tensor before it. The
    deepest level has what the body returns, unless that is pooled. Levels that a network
    skips, as one with a stem stride of 4 does, are missing.

    Args:
        features: What the body of a space of images returned.

    Returns:
        Nodes of shape `(rows, columns, channels)`; none if there are no features in rows and
        columns.
    """
    layers = features.described()
    sides = features.input_shape[:2]
    axis = sides.index(max(sides))
    levels: dict[int, int] = {}
    raw = True
    for index in _stations(layers, features.index):
        op, _, _, shape = layers[index]
        raw = raw and op in _RAW
        if not raw and len(shape) == 3:
            levels[round(math.log2(sides[axis] / shape[axis]))] = index
    deepest = max(levels, default=0)
    return {
        level: features.at(index if level == deepest else _narrow(layers, index))
        for level, index in sorted(levels.items())
    }


def grid_shape(image_shape: tuple[int, ...], stride: int) -> tuple[int, int]:
    """Rows and columns of cells of `stride` pixels on an image; those cut off count."""
    return -(-image_shape[0] // stride), -(-image_shape[1] // stride)


def deepest_level(space: SearchSpace) -> int:
    """The deepest level among the default and the members of all first and all last values.

    The last have the most blocks in most spaces, and with them the most halvings. Decoders
    have decisions for so many levels; of a member that goes deeper, the levels below are
    passed at one go.
    """
    outermost = [members.member(space, pick).values for pick in (_first, _last)]
    found = [space.default(), *outermost]
    return max(max(_levels(space, Decisions(values)), default=0) for values in found)


def check_encoder(name: str, space: SearchSpace, input_shape: tuple[int, ...]) -> None:
    """Refuse spaces whose features cannot be used by another space.

    Args:
        name: Name of the other space, for the message.
        space: The space whose body is to be used.
        input_shape: The shape that it must have been made for.

    Raises:
        ValueError: If it is for other inputs, or its features are not in rows and columns.
    """
    if space.input_shape != input_shape:
        raise ValueError(
            f"{name} and the space inside it must have the same input. Received: "
            f"input_shape={input_shape} and {type(space).__name__} for {space.input_shape}. "
            "Pass the same shape to both."
        )
    if not _levels(space, Decisions({})):
        raise ValueError(
            f"{name} needs features in rows and columns. Received: {type(space).__name__}, "
            "which has none. Use a space of convolutions, such as `MobileNet`."
        )


def _levels(space: SearchSpace, hp: keras_tuner.HyperParameters) -> dict[int, Node]:
    return pyramid(space.body(hp, input_node(space.input_shape)))


def _stations(layers: Sequence[Layer], output: int) -> list[int]:
    """Layers that all paths from here to the output pass, and those where branches meet."""
    last_reader = {output: output}
    for index in range(output, -1, -1):
        if index in last_reader:
            for source in layers[index].inputs:
                last_reader.setdefault(source, index)
    stations = []
    furthest = 0  # that is read into from before this layer
    for index in sorted(last_reader):
        if furthest <= index or layers[index].op in _MEETS:
            stations.append(index)
        furthest = max(furthest, last_reader[index])
    return stations


def _narrow(layers: Sequence[Layer], index: int) -> int:
    """The narrow tensor that this layer is the widened form of, or the layer itself."""
    widened = index
    while layers[widened].op in ("activation", "batch_norm"):
        (widened,) = layers[widened].inputs
    op, inputs, settings, shape = layers[widened]
    if op != "conv" or dict(settings)["kernel"] != 1:
        return index
    (source,) = inputs
    before = layers[source]
    bottleneck = before.op in (*_MEETS, "batch_norm")  # linear, so not a whole unit
    if bottleneck and before.shape[:2] == shape[:2] and before.shape[-1] < shape[-1]:
        return source
    return index


def _first(name: str, values: Sequence[Any]) -> Any:
    return values[0]


def _last(name: str, values: Sequence[Any]) -> Any:
    return values[-1]

"""EfficientNet: one network, scaled in depth, width and resolution."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, ClassVar, NamedTuple

import keras_tuner

from search_spaces.blocks import (
    add,
    conv,
    depthwise,
    fitted,
    make_divisible,
    resize,
    squeeze_excite,
)
from search_spaces.mobile import fitted_strides
from search_spaces.network import Node
from search_spaces.space import SearchSpace, check_images
from search_spaces.task import Task

__all__ = ["EfficientNet", "published"]

_SMALLEST = 8  # pixels
_DEPTHS = (0.25, 0.5, 1.0, 1.2, 1.4, 1.8)
_WIDTHS = (0.25, 0.5, 0.75, 1.0, 1.1, 1.2, 1.4)
_RESOLUTIONS = (0.5, 0.75, 1.0)
_STEM, _HEAD = 32, 1280  # channels at width 1


class _Stage(NamedTuple):
    """A row of the paper's table 1; the fields as there."""

    channels: int
    stride: int
    depth: int
    kernel: int
    expansion: int


_STAGES = (
    _Stage(16, 1, 1, 3, 1),
    _Stage(24, 2, 2, 3, 6),
    _Stage(40, 2, 2, 5, 6),
    _Stage(80, 2, 3, 3, 6),
    _Stage(112, 1, 3, 5, 6),
    _Stage(192, 2, 4, 5, 6),
    _Stage(320, 1, 1, 3, 6),
)

# Of B0 to B4: pixels, width and depth. B1 was published with a depth of 1.1, which makes as
# many blocks of 1, 2, 3 and 4 as 1.2 does.
_PUBLISHED = (
    (224, 1.0, 1.0),
    (240, 1.0, 1.2),
    (260, 1.1, 1.2),
    (300, 1.2, 1.4),
    (380, 1.4, 1.8),
)


class EfficientNet(SearchSpace):
    """EfficientNet-B0 with compound scaling, down to microcontrollers.

    A stem, seven stages of inverted residuals with squeeze-and-excite, a wide 1x1 convolution
    and the task's head. Three coefficients scale all of it: blocks a stage are multiplied by
    `depth` and rounded up, channels by `width` and rounded to multiples of 8, the sides of the
    image by `resolution`, which the network resizes itself.

    | decision             | values                           | what it sets                  |
    |----------------------|----------------------------------|-------------------------------|
    | `depth`              | 0.25, 0.5, 1.0, 1.2, 1.4, 1.8    | multiplies blocks a stage:    |
    |                      |                                  | 1, 2, 2, 3, 3, 4, 1           |
    | `width`              | 0.25, 0.5, 0.75, 1.0, 1.1, 1.2,  | multiplies 32, then 16, 24,   |
    |                      | 1.4                              | 40, 80, 112, 192, 320, 1280   |
    | `resolution`         | 0.5, 0.75, 1.0                   | multiplies height and width   |
    | `activation`         | relu6, hard_silu, silu           | activations but the gates'    |
    | `squeeze`            | 0.0, 0.25                        | bottleneck of squeeze-and-    |
    |                      |                                  | excite / a block's input      |
    | `stage{i}/kernel`    | 3, 5                             | depthwise kernels, pixels     |
    | `stage{i}/expansion` | 1, 3, 4, 6                       | middle of a block / its input |

    That is `6 * 7 * 3 * 3 * 2 * 8**7` sets of decisions, 1.6e9; resolutions that would bring
    an image under 8 pixels are left out. By default activations are relu6 without
    squeeze-and-excite, as in EfficientNet-Lite: of those, int8 keeps the accuracy. With silu
    and squeeze-and-excite, as first published, much can be lost.

    Images under 64 pixels are halved less: see `mobile.fitted_strides`. Kernels are no larger
    than features have use for: see `blocks.fitted`. `published(n)` gives the decisions of
    EfficientNet-Bn, of which B0 takes images of 224x224 pixels.

    Args:
        input_shape: `(height, width, channels)` of one image, at least 8x8 pixels.
        num_classes: Number of classes; the model returns this many logits.
        task: Any other task, instead of `num_classes`.
        rescaling: As in `SearchSpace`.
        depths: Values of `depth` instead, positive.
        widths: Values of `width` instead, positive.
        resolutions: Values of `resolution` instead, positive.

    Raises:
        ValueError: If the input is no image, or smaller than 8x8, or there are no values to
            choose a coefficient from, or not all of them are positive.

    References:
        Tan and Le, "EfficientNet: Rethinking Model Scaling for Convolutional Neural
        Networks", ICML 2019, https://arxiv.org/abs/1905.11946. Unlike there the coefficients
        are free of each other, dropout does not grow with them, and whole blocks are never
        dropped in training.
    """

    layouts: ClassVar[tuple[str, ...]] = ("images", "audio")

    def __init__(
        self,
        input_shape: Sequence[int],
        num_classes: int | None = None,
        *,
        task: Task | None = None,
        rescaling: tuple[Any, Any] | None = None,
        depths: Sequence[float] = _DEPTHS,
        widths: Sequence[float] = _WIDTHS,
        resolutions: Sequence[float] = _RESOLUTIONS,
    ) -> None:
        super().__init__(input_shape, num_classes, task=task, rescaling=rescaling)
        check_images("EfficientNet", self.input_shape, _SMALLEST)
        side = min(self.input_shape[:2])
        self._depths = _coefficients("depths", depths)
        self._widths = _coefficients("widths", widths)
        self._resolutions = [
            value
            for value in _coefficients("resolutions", resolutions)
            if round(side * value) >= _SMALLEST
        ] or [1.0]
        self._stem, self._strides = fitted_strides(side, [stage.stride for stage in _STAGES])

    def body(self, hp: keras_tuner.HyperParameters, x: Node) -> Node:
        depth = hp.Choice("depth", self._depths, default=_preferred(self._depths, 0.5))
        width = hp.Choice("width", self._widths, default=_preferred(self._widths, 0.5))
        resolution = hp.Choice(
            "resolution", self._resolutions, default=_preferred(self._resolutions, 1.0)
        )
        activation = hp.Choice("activation", ["relu6", "hard_silu", "silu"])
        squeeze = hp.Choice("squeeze", [0.0, 0.25])
        height, right, _ = x.shape
        x = resize(x, (round(height * resolution), round(right * resolution)))
        x = conv(x, make_divisible(_STEM * width), 3, self._stem, activation)
        for i, stage in enumerate(_STAGES):
            kernel = hp.Choice(f"stage{i}/kernel", [3, 5], default=stage.kernel)
            expansion = hp.Choice(f"stage{i}/expansion", [1, 3, 4, 6], default=stage.expansion)
            for block in range(math.ceil(depth * stage.depth)):
                x = _block(
                    x,
                    make_divisible(stage.channels * width),
                    kernel,
                    self._strides[i] if block == 0 else 1,
                    expansion,
                    squeeze,
                    activation,
                )
        return conv(x, make_divisible(_HEAD * width), 1, activation=activation)


def published(version: int) -> tuple[int, dict[str, Any]]:
    """Pixels and decisions of EfficientNet-B0 to B4.

    Args:
        version: A number from 0 to 4.

    Returns:
        The side of the images, and the decisions: B0 is
        `EfficientNet((224, 224, 3), 1000).network(decisions)`.

    Raises:
        ValueError: If there is no such version in the space.
    """
    if version not in range(len(_PUBLISHED)):
        raise ValueError(
            f"The space holds EfficientNet-B0 to B{len(_PUBLISHED) - 1}. Received: "
            f"version={version}. Choose one of them."
        )
    pixels, width, depth = _PUBLISHED[version]
    decisions = {"depth": depth, "width": width, "activation": "silu", "squeeze": 0.25}
    return pixels, decisions


def _coefficients(name: str, values: Sequence[float]) -> list[float]:
    if not values or min(values) <= 0:
        raise ValueError(
            f"A coefficient has one or more positive values. Received: {name}={values}. Leave "
            "the argument out for the usual ones."
        )
    return [float(value) for value in values]


def _preferred(values: Sequence[float], value: float) -> float:
    return value if value in values else values[0]


def _block(
    x: Node,
    filters: int,
    kernel: int,
    stride: int,
    expansion: int,
    squeeze: float,
    activation: str,
) -> Node:
    """An inverted residual whose squeeze-and-excite is measured by the block's input."""
    y = conv(x, x.channels * expansion, 1, activation=activation) if expansion > 1 else x
    y = depthwise(y, fitted(y, kernel, stride), stride, activation)
    if squeeze:
        inner, gate = ("silu", "sigmoid") if activation == "silu" else ("relu", "hard_sigmoid")
        y = squeeze_excite(y, max(1, int(x.channels * squeeze)), inner, gate)
    y = conv(y, filters, 1, activation="linear")
    return add(x, y) if x.shape == y.shape else y

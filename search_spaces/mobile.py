"""Mobile networks: inverted residuals, from a few kilobytes up."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, ClassVar, NamedTuple

import keras_tuner

from search_spaces.blocks import (
    conv,
    dense,
    fitted,
    global_average_pool,
    inverted_residual,
    make_divisible,
)
from search_spaces.network import Node
from search_spaces.space import SearchSpace, check_images
from search_spaces.task import Task

__all__ = [
    "MNASNET_B1",
    "MOBILENET_V2",
    "MOBILENET_V3_LARGE",
    "MOBILENET_V3_SMALL",
    "Layout",
    "MobileNet",
    "Stage",
    "fitted_strides",
]

_CHANNELS = (16, 24, 40, 80, 160, 320)
_DEPTHS = (0, 1, 2, 3, 4)
_KERNELS = (3, 5)
_EXPANSIONS = (1, 3, 6)
_ACTIVATIONS = ("relu6", "hard_silu")


class Stage(NamedTuple):
    """A run of equal blocks, as the rows of the papers' tables have it.

    Attributes:
        channels: Output channels at width 1.
        stride: Step of the first block's depthwise convolution, 1 or 2.
        depth: Blocks, from 1 to 4. This and what follows are the defaults of decisions.
        kernel: Side of the depthwise kernels, pixels, 3 or 5.
        expansion: Middle of a block over its input channels.
        squeeze: Whether there is squeeze-and-excite, at a quarter of the middle.
        activation: Name of the activation.
    """

    channels: int
    stride: int = 2
    depth: int = 1
    kernel: int = 3
    expansion: float = 3
    squeeze: bool = False
    activation: str = "relu6"


class Layout(NamedTuple):
    """Stages between a stem and a head.

    Attributes:
        stages: From the image to the features. A published "stage" whose blocks differ is
            several of these, all but the first with a stride of 1.
        stem: Channels of the first convolution; half and one and a half times as many can be
            chosen too.
        head_expansion: Channels of the last 1x1 convolution over its input's, 0 for none.
        head_units: Units of a dense layer on the pooled features, before the task's own; 0
            for none.
        activation: Activation of the stem and of the head.
    """

    stages: tuple[Stage, ...]
    stem: int = 16
    head_expansion: int = 0
    head_units: int = 0
    activation: str = "relu6"


MOBILENET_V2 = Layout(
    (
        Stage(16, 1, 1, expansion=1),
        Stage(24, 2, 2, expansion=6),
        Stage(32, 2, 3, expansion=6),
        Stage(64, 2, 4, expansion=6),
        Stage(96, 1, 3, expansion=6),
        Stage(160, 2, 3, expansion=6),
        Stage(320, 1, 1, expansion=6),
    ),
    stem=32,
    head_expansion=4,
)
"""MobileNetV2 (table 2 of Sandler et al., 2018)."""

MOBILENET_V3_SMALL = Layout(
    (
        Stage(16, 2, 1, 3, 1, True, "relu"),
        Stage(24, 2, 1, 3, 72 / 16, False, "relu"),
        Stage(24, 1, 1, 3, 88 / 24, False, "relu"),
        Stage(40, 2, 1, 5, 4, True, "hard_silu"),
        Stage(40, 1, 2, 5, 6, True, "hard_silu"),
        Stage(48, 1, 2, 5, 3, True, "hard_silu"),
        Stage(96, 2, 3, 5, 6, True, "hard_silu"),
    ),
    head_expansion=6,
    head_units=1024,
    activation="hard_silu",
)
"""MobileNetV3-Small (table 2 of Howard et al., 2019)."""

MOBILENET_V3_LARGE = Layout(
    (
        Stage(16, 1, 1, 3, 1, False, "relu"),
        Stage(24, 2, 1, 3, 4, False, "relu"),
        Stage(24, 1, 1, 3, 3, False, "relu"),
        Stage(40, 2, 3, 5, 3, True, "relu"),
        Stage(80, 2, 1, 3, 6, False, "hard_silu"),
        Stage(80, 1, 1, 3, 2.5, False, "hard_silu"),
        Stage(80, 1, 2, 3, 2.3, False, "hard_silu"),
        Stage(112, 1, 2, 3, 6, True, "hard_silu"),
        Stage(160, 2, 3, 5, 6, True, "hard_silu"),
    ),
    head_expansion=6,
    head_units=1280,
    activation="hard_silu",
)
"""MobileNetV3-Large (table 1 of Howard et al., 2019)."""

MNASNET_B1 = Layout(
    (
        Stage(16, 1, 1, 3, 1, activation="relu"),
        Stage(24, 2, 3, 3, 3, activation="relu"),
        Stage(40, 2, 3, 5, 3, activation="relu"),
        Stage(80, 2, 3, 5, 6, activation="relu"),
        Stage(96, 1, 2, 3, 6, activation="relu"),
        Stage(192, 2, 4, 5, 6, activation="relu"),
        Stage(320, 1, 1, 3, 6, activation="relu"),
    ),
    stem=32,
    head_expansion=4,
    activation="relu",
)
"""MnasNet-B1, the one without squeeze-and-excite (Tan et al., 2019)."""


class MobileNet(SearchSpace):
    """Inverted residuals in the family of MobileNetV2, V3 and MnasNet.

    A stem, stages of inverted residuals, an optional wide 1x1 convolution, and the task's
    head. Each stage after the first halves the resolution, and there are as many as bring
    the shorter side of the image to about 5 pixels: 2 stages for 8x8, 3 for 28x28, 4 for
    32x32 and 96x96, 5 for 224x224; the stem's larger stride, the default from 16 pixels on,
    halves once more. A stage of depth 0 is left out with its halving, so small members are
    really small. Kernels are no larger than features have use for (`blocks.fitted`). Every
    operation has an int8 kernel in TFLite.

    | decision              | values                | what it sets                           |
    |-----------------------|-----------------------|----------------------------------------|
    | `stem/stride`         | 1, 2 (2, 4 from 64px) | step of the first convolution          |
    | `stem/filters`        | 8, 16, 24             | its channels                           |
    | `stage{i}/depth`      | 0, 1, 2, 3, 4         | blocks in the stage                    |
    | `stage{i}/kernel`     | 3, 5                  | side of the depthwise kernels, pixels  |
    | `stage{i}/expansion`  | 1, 3, 6               | middle of a block / its input channels |
    | `stage{i}/width`      | 0.5, 1.0, 1.5, 2.0    | multiplies 16, 24, 40, 80, 160, 320    |
    | `stage{i}/squeeze`    | False, True           | squeeze-and-excite at a quarter        |
    | `stage{i}/activation` | relu6, hard_silu      | activation (hard_silu is h-swish)      |
    | `head/expansion`      | 0, 2, 4               | last 1x1 convolution / its input       |

    Decisions of a stage are conditional on its depth. That is `18 * 385**num_stages` sets of
    decisions: 2,668,050 for 8x8, 1.0e9 for 28x28.

    A `layout` puts other stages in their place, among them the published ones, each of which
    is the default of its space: `MobileNet((224, 224, 3), 1000, layout=MOBILENET_V2)` with
    all decisions at their defaults is MobileNetV2. What a layout has beside the values above
    can be chosen as well: other expansions, the activation relu, and with h-swish at both
    ends the decisions below. Images under 64 pixels are halved less: the earliest strides of
    2 become 1, such that the features have about 5 pixels.

    | decision of a layout  | values                | what it sets                           |
    |-----------------------|-----------------------|----------------------------------------|
    | `stem/activation`     | hard_silu, relu6      | activation of the first convolution    |
    | `head/activation`     | hard_silu, relu6      | activations of the head                |
    | `head/units`          | 0, half of it, all    | dense layer on the pooled features     |

    With `n` expansions and `m` activations a stage of a layout has `1 + 64 * n * m` settings:
    there are `18 * 385**7` sets of decisions with the layout of MobileNetV2, and
    `228 * 577 * 769**2 * 513 * 385**3` with that of V3-Small.

    Args:
        input_shape: `(height, width, channels)` of one image, at least 8x8 pixels.
        num_classes: Number of classes; the model returns this many logits.
        task: Any other task, instead of `num_classes`.
        rescaling: As in `SearchSpace`.
        layout: Stages, stem and head, instead of those that follow from the image: one of
            `MOBILENET_V2`, `MOBILENET_V3_SMALL`, `MOBILENET_V3_LARGE` and `MNASNET_B1`, or
            your own.

    Raises:
        ValueError: If the input is no image, or smaller than 8x8, or the layout has a stage
            of which the defaults are no values of the decisions.

    References:
        Sandler et al., "MobileNetV2: Inverted Residuals and Linear Bottlenecks", CVPR 2018,
        https://arxiv.org/abs/1801.04381.
        Howard et al., "Searching for MobileNetV3", ICCV 2019,
        https://arxiv.org/abs/1905.02244.
        Tan et al., "MnasNet: Platform-Aware Neural Architecture Search for Mobile", CVPR
        2019, https://arxiv.org/abs/1807.11626.
        Unlike in all three, without a layout the number of stages follows the image, and
        stages can be left out.
    """

    layouts: ClassVar[tuple[str, ...]] = ("images", "audio")

    def __init__(
        self,
        input_shape: Sequence[int],
        num_classes: int | None = None,
        *,
        task: Task | None = None,
        rescaling: tuple[Any, Any] | None = None,
        layout: Layout | None = None,
    ) -> None:
        super().__init__(input_shape, num_classes, task=task, rescaling=rescaling)
        check_images("MobileNet", self.input_shape, 8)
        side = min(self.input_shape[:2])
        self._published = layout is not None
        self._coarse = side >= 16  # pixels: from here on halving at once costs little accuracy
        self._stem_stride = 2 if side >= 64 else 1
        if layout is None:
            count = min(_halvings(side) + 2 - self._stem_stride, len(_CHANNELS))
            strides = [1] + [2] * (count - 1)
            layout = Layout(tuple(map(Stage, _CHANNELS, strides)))
        else:
            _check(layout)
            _, strides = fitted_strides(side, [stage.stride for stage in layout.stages])
        self._layout = layout
        self._strides = strides

    @property
    def num_stages(self) -> int:
        """Number of stages that a member can have."""
        return len(self._strides)

    def body(self, hp: keras_tuner.HyperParameters, x: Node) -> Node:
        layout = self._layout
        strides = [self._stem_stride, 2 * self._stem_stride]
        # What is asked for each place of an image needs finer features.
        larger = self._coarse and not self._published and not self.task.dense
        stride = hp.Choice("stem/stride", strides, default=strides[larger])
        stems = [layout.stem // 2, layout.stem, layout.stem * 3 // 2]
        filters = hp.Choice("stem/filters", stems, default=layout.stem)
        activation = self._outer_activation(hp, "stem/activation")
        # A kernel of 3 would step over pixels at a stride of 4.
        x = conv(x, filters, 3 if stride < 4 else 7, stride, activation)
        for i, stage in enumerate(layout.stages):
            x = self._stage(hp, x, i, stage)
        return self._head(hp, x)

    def _stage(self, hp: keras_tuner.HyperParameters, x: Node, i: int, stage: Stage) -> Node:
        depth = hp.Choice(f"stage{i}/depth", list(_DEPTHS), default=stage.depth)
        with hp.conditional_scope(f"stage{i}/depth", list(_DEPTHS[1:])):
            kernel = hp.Choice(f"stage{i}/kernel", list(_KERNELS), default=stage.kernel)
            expansion = _choice(hp, f"stage{i}/expansion", _EXPANSIONS, stage.expansion)
            width = hp.Choice(f"stage{i}/width", [0.5, 1.0, 1.5, 2.0], default=1.0)
            squeeze = hp.Boolean(f"stage{i}/squeeze", default=stage.squeeze)
            activation = _choice(hp, f"stage{i}/activation", _ACTIVATIONS, stage.activation)
        for block in range(depth):
            stride = self._strides[i] if block == 0 else 1
            x = inverted_residual(
                x,
                make_divisible(width * stage.channels),
                kernel=fitted(x, kernel, stride),
                stride=stride,
                expansion=expansion,
                squeeze=0.25 if squeeze else 0.0,
                activation=activation,
            )
        return x

    def _head(self, hp: keras_tuner.HyperParameters, x: Node) -> Node:
        layout = self._layout
        expansions = sorted({0, 2, 4, layout.head_expansion})
        expansion = hp.Choice("head/expansion", expansions, default=layout.head_expansion)
        units = 0
        with hp.conditional_scope("head/expansion", expansions[1:]):
            activation = self._outer_activation(hp, "head/activation")
            if layout.head_units:
                options = [0, layout.head_units // 2, layout.head_units]
                units = hp.Choice("head/units", options, default=layout.head_units)
        if not expansion:
            return x
        x = conv(x, make_divisible(x.channels * expansion), 1, activation=activation)
        return dense(global_average_pool(x), units, activation) if units else x

    def _outer_activation(self, hp: keras_tuner.HyperParameters, name: str) -> str:
        """The activation of stem or head: a decision where it is dear on some devices."""
        if self._layout.activation != "hard_silu":
            return self._layout.activation
        picked: str = hp.Choice(name, ["hard_silu", "relu6"])
        return picked


def fitted_strides(side: int, strides: Sequence[int]) -> tuple[int, list[int]]:
    """Strides of a network for large images, fitted to smaller ones.

    From 64 pixels on all are kept, and there is a stem with a stride of 2 before them. For
    less the stem has 1, and the earliest strides become 1 until the shorter side comes down
    to about 5 pixels: details of small images are looked at longer.

    Args:
        side: Pixels of the shorter side of the images.
        strides: Steps of the stages, 1 or 2.

    Returns:
        The stride of the stem, and those of the stages.
    """
    if side >= 64:
        return 2, list(strides)
    spare = sum(stride > 1 for stride in strides) - _halvings(side)
    fitted = []
    for stride in strides:
        drop = stride > 1 and spare > 0
        spare -= drop
        fitted.append(1 if drop else stride)
    return 1, fitted


def _halvings(side: int) -> int:
    """How often an image is halved until its side has about 5 pixels, at least once."""
    return max(1, round(math.log2(side / 5)))


def _choice(
    hp: keras_tuner.HyperParameters, name: str, common: Sequence[Any], own: Any
) -> Any:
    """A decision among what all stages have in common and what is a stage's own."""
    options = [*common, own] if own not in common else list(common)
    if not isinstance(own, str):
        # One type a decision: whole numbers where all are.
        kind = float if own % 1 else int
        options, own = sorted(map(kind, options)), kind(own)
    return hp.Choice(name, options, default=own)


def _check(layout: Layout) -> None:
    for i, stage in enumerate(layout.stages):
        if (
            stage.stride not in (1, 2)
            or stage.depth not in _DEPTHS[1:]
            or stage.kernel not in _KERNELS
            or min(stage.channels, stage.expansion) <= 0
        ):
            raise ValueError(
                "A stage has a stride of 1 or 2, 1 to 4 blocks, kernels of 3 or 5 pixels, and "
                f"positive channels and expansion. Received: stage {i} of the layout = "
                f"{stage}. Split a deeper stage in two, the second with a stride of 1."
            )

"""Mobile networks: inverted residuals, from a few kilobytes up."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import keras_tuner

from search_spaces.blocks import conv, inverted_residual, make_divisible
from search_spaces.network import Node
from search_spaces.space import SearchSpace
from search_spaces.task import Task

__all__ = ["MobileNet"]

_CHANNELS = (16, 24, 40, 80, 160, 320)


class MobileNet(SearchSpace):
    """Inverted residuals in the family of MobileNetV2, V3 and EfficientNet.

    A stem, stages of inverted residuals, an optional wide 1x1 convolution, and the task's
    head. Each stage after the first halves the resolution, and there are as many as bring
    the shorter side of the image to about 5 pixels: 2 stages for 8x8, 3 for 28x28, 4 for
    32x32 and 96x96, 5 for 224x224; the stem's larger stride, the default from 16 pixels on,
    halves once more. A stage of depth 0 is left out with its halving, so small members are
    really small. Every operation has an int8 kernel in TFLite.

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

    Args:
        input_shape: `(height, width, channels)` of one image, at least 8x8 pixels.
        num_classes: Number of classes; the model returns this many logits.
        task: Any other task, instead of `num_classes`.
        rescaling: As in `SearchSpace`.

    Raises:
        ValueError: If the input is no image, or smaller than 8x8.

    References:
        Sandler et al., "MobileNetV2: Inverted Residuals and Linear Bottlenecks", CVPR 2018,
        https://arxiv.org/abs/1801.04381.
        Howard et al., "Searching for MobileNetV3", ICCV 2019,
        https://arxiv.org/abs/1905.02244.
        Unlike both, the number of stages follows the image and stages can be left out.
    """

    def __init__(
        self,
        input_shape: Sequence[int],
        num_classes: int | None = None,
        *,
        task: Task | None = None,
        rescaling: tuple[Any, Any] | None = None,
    ) -> None:
        super().__init__(input_shape, num_classes, task=task, rescaling=rescaling)
        if len(self.input_shape) != 3 or min(self.input_shape[:2]) < 8:
            raise ValueError(
                "MobileNet needs images (height, width, channels) of at least 8x8 pixels. "
                f"Received: input_shape={tuple(input_shape)}. Resize them, or add the "
                "channel axis to grey images."
            )
        side = min(self.input_shape[:2])
        halvings = max(1, round(math.log2(side / 5)))
        self._stem_stride = 2 if side >= 64 else 1
        self._coarse = side >= 16  # pixels: from here on halving at once costs little accuracy
        self.num_stages = min(halvings + 2 - self._stem_stride, len(_CHANNELS))

    def body(self, hp: keras_tuner.HyperParameters, x: Node) -> Node:
        strides = [self._stem_stride, 2 * self._stem_stride]
        stride = hp.Choice("stem/stride", strides, default=strides[self._coarse])
        filters = hp.Choice("stem/filters", [8, 16, 24], default=16)
        # A kernel of 3 would step over pixels at a stride of 4.
        x = conv(x, filters, kernel=3 if stride < 4 else 7, stride=stride)
        for i in range(self.num_stages):
            x = self._stage(hp, x, i)
        expansion = hp.Choice("head/expansion", [0, 2, 4])
        return conv(x, make_divisible(x.channels * expansion), 1) if expansion else x

    def _stage(self, hp: keras_tuner.HyperParameters, x: Node, i: int) -> Node:
        depth = hp.Choice(f"stage{i}/depth", [0, 1, 2, 3, 4], default=1)
        with hp.conditional_scope(f"stage{i}/depth", [1, 2, 3, 4]):
            kernel = hp.Choice(f"stage{i}/kernel", [3, 5])
            expansion = hp.Choice(f"stage{i}/expansion", [1, 3, 6], default=3)
            width = hp.Choice(f"stage{i}/width", [0.5, 1.0, 1.5, 2.0], default=1.0)
            squeeze = hp.Boolean(f"stage{i}/squeeze")
            activation = hp.Choice(f"stage{i}/activation", ["relu6", "hard_silu"])
        for block in range(depth):
            x = inverted_residual(
                x,
                make_divisible(width * _CHANNELS[i]),
                kernel=kernel,
                stride=2 if block == 0 and i > 0 else 1,
                expansion=expansion,
                squeeze=0.25 if squeeze else 0.0,
                activation=activation,
            )
        return x

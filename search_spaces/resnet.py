"""Residual networks, and plain stacks of convolutions: the classic macro space."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import keras_tuner

from search_spaces import blocks
from search_spaces.network import Node, layer
from search_spaces.space import SearchSpace, check_images, choose
from search_spaces.task import Task

__all__ = ["ResNet", "baseline", "resnet8", "resnet50"]

Values = Mapping[str, Any]

_SMALLEST = 8  # pixels a side of an image
_HALVED = 5  # pixels a side from which on halving leaves a kernel of 5 something to see
_FILTERS = 16  # of the first stage; each further one has twice as many
_BLOCKS = ("basic", "bottleneck", "plain")
_EXPANSION = 4  # output channels of a bottleneck / its middle


class ResNet(SearchSpace):
    """Stages of units of convolution, normalisation and ReLU, with shortcuts or without.

    A stem, stages, and the task's head. Each stage after the first halves the resolution, down
    to images of 3 or 4 pixels on the shorter side; a stage of depth 0 is left out with its
    halving. A block is one of three kinds:

    - `plain`: one unit, no shortcut: a stack of them is a network in the manner of VGG;
    - `basic`: two units and a shortcut around them;
    - `bottleneck`: 1x1 to `width` channels, the kernel, 1x1 to four times `width`, and a
      shortcut. The kernel takes the stride, not the first 1x1, as in later implementations.

    A shortcut that must change shape is a 1x1 convolution. `ResNet(..., blocks=("plain",))` is
    the plain convolutional space. Every operation has an int8 kernel in TFLite.

    | decision           | values                       | what it sets                        |
    |--------------------|------------------------------|-------------------------------------|
    | `stem/kind`        | conv3, conv3_s2, conv7_pool  | the first convolution, see below    |
    | `stem/filters`     | 16, 32, 64                   | its channels                        |
    | `stage{i}/depth`   | 0, 1, 2, 3, 4, 6             | blocks in the stage                 |
    | `stage{i}/block`   | basic, bottleneck, plain     | kind of the blocks                  |
    | `stage{i}/kernel`  | 3, 5                         | side of the kernels, pixels         |
    | `stage{i}/width`   | 0.5, 1.0, 2.0, 4.0           | multiplies `16 * 2**i` channels     |

    The stems are a 3x3 convolution, the same of stride 2, and for images of 32x32 pixels or
    more a 7x7 convolution and a 3x3 max pool, both of stride 2. Decisions of a stage are
    conditional on its depth. That is `3 * stems * 121**num_stages` sets of decisions:
    10,629,366 for 8x8, 1.9e9 for 32x32 and larger.

    Args:
        input_shape: `(height, width, channels)` of one image, at least 8x8 pixels.
        num_classes: Number of classes; the model returns this many logits.
        task: Any other task, instead of `num_classes`.
        rescaling: As in `SearchSpace`.
        num_stages: Number of stages; by default as many as halvings have an effect without a
            stride in the stem, but 3 or 4.
        blocks: The kinds of blocks to choose from; the first is the default.
        biases: Whether convolutions before a normalisation keep their bias. It has no effect
            on what the network can compute, and training does not move it; Keras' ResNet-50
            and the ResNet-8 of MLPerf Tiny have it.
        projection_norm: Whether 1x1 convolutions of shortcuts are normalised, as in the paper;
            otherwise they have a bias.

    Raises:
        ValueError: If the input is no image or smaller than 8x8, there is no stage, or a kind
            of block is unknown or listed twice.

    References:
        He et al., "Deep Residual Learning for Image Recognition", CVPR 2016,
        https://arxiv.org/abs/1512.03385.
        Simonyan and Zisserman, "Very Deep Convolutional Networks for Large-Scale Image
        Recognition", ICLR 2015, https://arxiv.org/abs/1409.1556, without its dense layers.
        Unlike both, small images are not halved further, and stages can be left out.
    """

    layouts: ClassVar[tuple[str, ...]] = ("images", "audio")

    def __init__(
        self,
        input_shape: Sequence[int],
        num_classes: int | None = None,
        *,
        task: Task | None = None,
        rescaling: tuple[Any, Any] | None = None,
        num_stages: int | None = None,
        blocks: Sequence[str] = _BLOCKS,
        biases: bool = False,
        projection_norm: bool = True,
    ) -> None:
        super().__init__(input_shape, num_classes, task=task, rescaling=rescaling)
        check_images("ResNet", input_shape, _SMALLEST)
        if num_stages is not None and num_stages < 1:
            raise ValueError(
                f"ResNet needs at least 1 stage. Received: num_stages={num_stages}. Leave it "
                "out to let the image decide."
            )
        if not blocks or not set(blocks) <= set(_BLOCKS) or len(set(blocks)) < len(blocks):
            raise ValueError(
                f"Kinds of blocks are {', '.join(_BLOCKS)}. Received: blocks={tuple(blocks)}. "
                'List one or more of them once, e.g. blocks=("plain",) for no shortcuts.'
            )
        side = min(self.input_shape[:2])
        self.num_stages = num_stages or min(4, max(3, 1 + _halvings(side)))
        self._blocks = tuple(blocks)
        self._biases = biases
        self._projection_norm = projection_norm
        stems = ["conv3", "conv3_s2"] if side < 32 else ["conv3", "conv3_s2", "conv7_pool"]
        # The first is the default: about 16 pixels a side are left to the first stage.
        first = 0 if side < 32 else 1 if side < 64 else 2
        self._stems = stems[first:] + stems[:first]

    def body(self, hp: keras_tuner.HyperParameters, x: Node) -> Node:
        x = self._stem(hp, x)
        for i in range(self.num_stages):
            x = self._stage(hp, x, i)
        return x

    def _stem(self, hp: keras_tuner.HyperParameters, x: Node) -> Node:
        filters = hp.Choice("stem/filters", [16, 32, 64])
        kinds = {
            "conv3": lambda x: self._unit(x, filters, 3),
            "conv3_s2": lambda x: self._unit(x, filters, 3, stride=2),
            "conv7_pool": lambda x: blocks.max_pool(self._unit(x, filters, 7, stride=2), 3, 2),
        }
        return choose(hp, "stem/kind", x, {kind: kinds[kind] for kind in self._stems})

    def _stage(self, hp: keras_tuner.HyperParameters, x: Node, i: int) -> Node:
        depth = hp.Choice(f"stage{i}/depth", [0, 1, 2, 3, 4, 6], default=1)
        with hp.conditional_scope(f"stage{i}/depth", [1, 2, 3, 4, 6]):
            kernel = hp.Choice(f"stage{i}/kernel", [3, 5])
            width = hp.Choice(f"stage{i}/width", [0.5, 1.0, 2.0, 4.0], default=1.0)
            kinds = {
                "plain": self._plain,
                "basic": self._basic,
                "bottleneck": self._bottleneck,
            }

            def stack(kind: str, x: Node) -> Node:
                halved = i > 0 and min(x.shape[:2]) >= _HALVED
                for block in range(depth):
                    stride = 2 if halved and block == 0 else 1
                    x = kinds[kind](x, int(width * (_FILTERS << i)), kernel, stride)
                return x

            alternatives = {kind: functools.partial(stack, kind) for kind in self._blocks}
            return choose(hp, f"stage{i}/block", x, alternatives)

    def _plain(self, x: Node, width: int, kernel: int, stride: int) -> Node:
        return self._unit(x, width, kernel, stride)

    def _basic(self, x: Node, width: int, kernel: int, stride: int) -> Node:
        y = self._unit(x, width, kernel, stride)
        y = self._unit(y, width, kernel, activation="linear")
        return self._joined(x, y, stride)

    def _bottleneck(self, x: Node, width: int, kernel: int, stride: int) -> Node:
        y = self._unit(x, width, 1)
        y = self._unit(y, width, kernel, stride)
        y = self._unit(y, _EXPANSION * width, 1, activation="linear")
        return self._joined(x, y, stride)

    def _joined(self, x: Node, y: Node, stride: int) -> Node:
        """What a block made of `x`, with the shortcut around it."""
        if x.shape != y.shape:
            if self._projection_norm:
                x = self._unit(x, y.channels, 1, stride, activation="linear")
            else:
                x = blocks.conv(x, y.channels, 1, stride, activation="linear", norm=False)
        return blocks.activation(blocks.add(x, y), "relu")

    def _unit(
        self, x: Node, filters: int, kernel: int, stride: int = 1, activation: str = "relu"
    ) -> Node:
        if not self._biases:
            return blocks.conv(x, filters, kernel, stride, activation)
        x = layer("conv", x, filters=filters, kernel=kernel, stride=stride, bias=True)
        return blocks.activation(blocks.batch_norm(x), activation)


def baseline(
    input_shape: Sequence[int],
    num_classes: int | None = None,
    *,
    task: Task | None = None,
    rescaling: tuple[Any, Any] | None = None,
) -> tuple[ResNet, dict[str, Any]]:
    """A small network designed by hand, to put beside what a search finds.

    Five 3x3 units of 32, 64 (stride 2), 64, 128 (stride 2) and 128 channels, global average
    pooling, and the task's last layer: 279,008 weights without that layer for a colour image
    (278,176 of them trained). Images of 8 pixels are halved once only.

    Args:
        input_shape: As in `ResNet`.
        num_classes: As in `ResNet`.
        task: As in `ResNet`.
        rescaling: As in `ResNet`.

    Returns:
        A space and the decisions of the network in it:

    ```python
    space, values = search_spaces.resnet.baseline((32, 32, 3), 10)
    network = space.network(values)
    ```
    """
    space = ResNet(
        input_shape,
        num_classes,
        task=task,
        rescaling=rescaling,
        num_stages=3,
        blocks=("plain",),
    )
    values = {"stem/kind": "conv3", "stem/filters": 32, "stage0/depth": 0}
    return space, values | _stages((0, 2, 2), "plain", 2.0)


def resnet8() -> tuple[ResNet, dict[str, Any]]:
    """ResNet-8 of MLPerf Tiny for CIFAR-10: a space and its decisions there.

    78,666 weights, as its reference counts them: trained or not, with biases before the
    normalisations and shortcuts that have a bias instead of a normalisation
    (https://github.com/mlcommons/tiny, `benchmark/training/image_classification`). The
    reference ends in a softmax, which changes no decision.
    """
    space = ResNet((32, 32, 3), 10, biases=True, projection_norm=False)
    values = {"stem/kind": "conv3", "stem/filters": 16}
    return space, values | _stages((1, 1, 1, 0), "basic", 1.0)


def resnet50() -> tuple[ResNet, dict[str, Any]]:
    """ResNet-50 of He et al. for ImageNet: a space and its decisions there.

    25,557,032 trained weights, as torchvision's has. Keras' counts 25,636,712: 53,120 moving
    statistics more, and 26,560 biases before normalisations (`biases=True`).
    """
    space = ResNet((224, 224, 3), 1000)
    values = {"stem/kind": "conv7_pool", "stem/filters": 64}
    return space, values | _stages((3, 4, 6, 3), "bottleneck", 4.0)


def _stages(depths: Sequence[int], block: str, width: float) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for i, depth in enumerate(depths):
        values[f"stage{i}/depth"] = depth
        if depth:
            values |= {
                f"stage{i}/block": block,
                f"stage{i}/kernel": 3,
                f"stage{i}/width": width,
            }
    return values


def _halvings(side: int) -> int:
    """How often an image can be halved."""
    count = 0
    while side >= _HALVED:
        side, count = -(-side // 2), count + 1
    return count

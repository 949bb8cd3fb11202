"""Detectors: a single-shot head without anchors on the features of any space of images."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, ClassVar

import keras_tuner

from search_spaces.blocks import add, conv, depthwise, max_pool, resize
from search_spaces.detection import Detection
from search_spaces.mobile import MobileNet
from search_spaces.network import Node
from search_spaces.pyramid import check_encoder, grid_shape, pyramid
from search_spaces.space import SearchSpace, check_images, choose
from search_spaces.task import Task

__all__ = ["Detector"]

Block = Callable[[Node], Node]

_SMALLEST = 16  # pixels: two cells of 8


class Detector(SearchSpace):
    """Objects as points: heat map, size and offset for each cell of a grid over the image.

    A backbone makes features at several resolutions. A top-down path starts at the coarsest
    and goes to the grid: at each level it enlarges what it has to the backbone's features
    there and adds them, both brought to the same channels. A tower of convolutions on the
    grid and the task's 1x1 convolution follow: one tensor `(rows, columns, num_classes + 4)`,
    described in `Detection`, of which `detection.decode` reads boxes.

    | decision          | values             | what it sets                       |
    |-------------------|--------------------|------------------------------------|
    | `detector/stride` | 4, 8               | side of a cell, pixels             |
    | `detector/width`  | 16, 32, 48, 64     | channels of the path and the tower |
    | `detector/up`     | nearest, bilinear  | how coarse features are enlarged   |
    | `detector/depth`  | 1, 2, 3            | convolutions of the tower          |
    | `detector/kind`   | conv, separable    | kind of them                       |

    That is 96 times the size of the backbone. Targets are made for cells of 4 pixels and serve
    both strides: see `detection.CenterLoss`. A backbone that halves the image less often than
    the grid has its features pooled, and where it halves no further `detector/up` makes no
    difference.

    Args:
        input_shape: `(height, width, channels)` of one image, at least 16x16 pixels.
        num_classes: Number of classes; short for `task=Detection(num_classes)`.
        task: Any other task on a grid, instead of `num_classes`.
        rescaling: As in `SearchSpace`.
        backbone: A space of images of the same `input_shape` whose body is the backbone; what
            it is for is of no account. By default `MobileNet`.
        activation: Name of the activation of top-down path and tower.

    Raises:
        ValueError: If the input is no image, or smaller than 16x16, or the backbone is for
            other images or has no features in rows and columns.

    References:
        Zhou et al., "Objects as Points", 2019, https://arxiv.org/abs/1904.07850.
        Lin et al., "Feature Pyramid Networks for Object Detection", CVPR 2017,
        https://arxiv.org/abs/1612.03144. Unlike there only the finest level of the top-down
        path is used.
    """

    layouts: ClassVar[tuple[str, ...]] = ("images",)
    tasks: ClassVar[tuple[type[Task], ...]] = (Detection,)

    def __init__(
        self,
        input_shape: Sequence[int],
        num_classes: int | None = None,
        *,
        task: Task | None = None,
        rescaling: tuple[Any, Any] | None = None,
        backbone: SearchSpace | None = None,
        activation: str = "relu6",
    ) -> None:
        if task is None and num_classes is not None:
            task, num_classes = Detection(int(num_classes)), None
        super().__init__(input_shape, num_classes, task=task, rescaling=rescaling)
        check_images("Detector", self.input_shape, _SMALLEST)
        self._backbone = backbone or MobileNet(self.input_shape, task=self.task)
        check_encoder("Detector", self._backbone, self.input_shape)
        self._activation = activation

    def body(self, hp: keras_tuner.HyperParameters, x: Node) -> Node:
        features = pyramid(self._backbone.body(hp, x))
        stride = hp.Choice("detector/stride", [4, 8])
        width = hp.Choice("detector/width", [16, 32, 48, 64], default=32)
        up = hp.Choice("detector/up", ["nearest", "bilinear"])
        depth = hp.Choice("detector/depth", [1, 2, 3])
        x = _top_down(features, stride.bit_length() - 1, width, up)
        for _ in range(depth):
            x = choose(hp, "detector/kind", x, self._kinds(width))
        return x

    def _kinds(self, width: int) -> dict[str, Block]:
        function = self._activation
        return {
            "conv": lambda x: conv(x, width, activation=function),
            "separable": lambda x: conv(
                depthwise(x, activation=function), width, 1, activation=function
            ),
        }


def _top_down(features: dict[int, Node], target: int, width: int, up: str) -> Node:
    """Features on the grid of cells of `2**target` pixels, from all levels above it."""
    level = max(features)
    x = features[level]
    grid = grid_shape(x.input_shape, 2**target)
    if level < target:
        # As the backbone itself would have halved it.
        return conv(max_pool(x, 2 ** (target - level)), width, 1, activation="linear")
    x = conv(x, width, 1, activation="linear")
    for finer in range(level - 1, target - 1, -1):
        if finer in features:
            lateral = conv(features[finer], width, 1, activation="linear")
            height, right, _ = lateral.shape
            x = add(resize(x, (height, right), up), lateral)
    return resize(x, grid, up)

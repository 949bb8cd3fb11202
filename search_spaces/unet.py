"""U-Net: features of all resolutions for an answer at each pixel."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar

import keras_tuner

from search_spaces.blocks import (
    concatenate,
    conv,
    depthwise,
    fitted,
    make_divisible,
    max_pool,
    resize,
)
from search_spaces.network import Node
from search_spaces.pyramid import check_encoder, deepest_level, grid_shape, pyramid
from search_spaces.segmentation import Segmentation
from search_spaces.space import SearchSpace, check_images, choose
from search_spaces.task import Task

__all__ = ["UNet", "ronneberger"]

Block = Callable[[Node], Node]

_SMALLEST = 8  # pixels
_WIDTHS = (8, 16, 32, 64)  # channels of the first stage


class UNet(SearchSpace):
    """An encoder, and a decoder that brings its features back to the size of the image.

    The encoder halves the image stage by stage. The decoder goes the other way: at each level
    it enlarges what it has to the encoder's features there, joins both, and mixes them with
    convolutions. A level of depth 0 is left out; what the decoder ends with is brought to the
    size of the image behind the last convolution. Any size of image is taken, odd ones too.

    | decision             | values                       | what it sets                      |
    |----------------------|------------------------------|-----------------------------------|
    | `levels`             | 1, 2, 3, 4 (up to 4 pixels)  | halvings of the encoder           |
    | `width`              | 8, 16, 32, 64                | channels of stage 0; each stage   |
    |                      |                              | doubles them                      |
    | `stage{i}/depth`     | 1, 2                         | convolutions in the stage         |
    | `stage{i}/kind`      | conv, separable              | kind of them                      |
    | `decoder{i}/depth`   | 0, 1, 2                      | convolutions at level `i`         |
    | `decoder{i}/width`   | 0.25, 0.5, 1.0               | their channels / the encoder's    |
    | `decoder{i}/up`      | nearest, bilinear,           | how pixels are enlarged, and      |
    |                      | nearest_conv, bilinear_conv  | whether a 2x2 convolution follows |
    | `decoder{i}/kind`    | conv, separable              | kind of convolutions              |

    Decisions of stages and levels are conditional on `levels`, and those of a level on its
    depth. The first convolution of all is never separable: with few channels to filter it
    would see nothing. That is `4 * 3 * 4 * 49 = 2,352` sets of decisions for 8x8 pixels, and
    `12 * sum(4**n * 49**n)` for `n` up to the number of levels, 1.8e10 for 64x64 and more.

    With an `encoder`, its decisions replace the first four rows, and its features at each
    level are found in its description (`pyramid.py`). Those of the levels that a member lacks
    make no difference.

    Args:
        input_shape: `(height, width, channels)` of one image, at least 8x8 pixels.
        num_classes: Number of classes; short for `task=Segmentation(num_classes)`.
        task: Any other task with an answer for each pixel, instead of `num_classes`.
        rescaling: As in `SearchSpace`.
        encoder: A space of images of the same `input_shape` whose body is the encoder; what
            it is for is of no account. By default convolutions with pooling between them.
        norm: Whether batch normalisation follows convolutions.
        activation: Name of their activation.

    Raises:
        ValueError: If the input is no image, or smaller than 8x8, or the encoder is for other
            images or has no features in rows and columns.

    Reference:
        Ronneberger et al., "U-Net: Convolutional Networks for Biomedical Image Segmentation",
        MICCAI 2015, https://arxiv.org/abs/1505.04597. Unlike there images are padded, so that
        the answer has their size, and normalised. `ronneberger` gives the decisions of the
        paper's network.
    """

    layouts: ClassVar[tuple[str, ...]] = ("images",)
    tasks: ClassVar[tuple[type[Task], ...]] = (Segmentation,)

    def __init__(
        self,
        input_shape: Sequence[int],
        num_classes: int | None = None,
        *,
        task: Task | None = None,
        rescaling: tuple[Any, Any] | None = None,
        encoder: SearchSpace | None = None,
        norm: bool = True,
        activation: str = "relu",
    ) -> None:
        if task is None and num_classes is not None:
            task, num_classes = Segmentation(int(num_classes)), None
        super().__init__(input_shape, num_classes, task=task, rescaling=rescaling)
        check_images("UNet", self.input_shape, _SMALLEST)
        self._unit: dict[str, Any] = {"norm": norm, "activation": activation}
        self._encoder = encoder
        if encoder is None:
            side = min(self.input_shape[:2])
            self.levels = min(4, int(math.log2(side / 4)))
        else:
            check_encoder("UNet", encoder, self.input_shape)
            self.levels = deepest_level(encoder)

    def body(self, hp: keras_tuner.HyperParameters, x: Node) -> Node:
        if self._encoder is None:
            levels = hp.Choice(
                "levels", list(range(1, self.levels + 1)), default=min(3, self.levels)
            )
            features = self._encode(hp, x, levels)
        else:
            features = pyramid(self._encoder.body(hp, x))
            levels = max(features)
        x = features[levels]
        for i in reversed(range(self.levels)):
            with self._from_levels(hp, i + 1):
                if self._encoder is not None or i < levels:
                    x = self._decode(hp, x, i, features if i < levels else None)
        return x

    def _from_levels(
        self, hp: keras_tuner.HyperParameters, fewest: int
    ) -> contextlib.AbstractContextManager[None]:
        """Where decisions are made that need so many levels at least."""
        if self._encoder is not None or fewest <= 1:
            return contextlib.nullcontext()
        scope: contextlib.AbstractContextManager[None] = hp.conditional_scope(
            "levels", list(range(fewest, self.levels + 1))
        )
        return scope

    def _encode(
        self, hp: keras_tuner.HyperParameters, x: Node, levels: int
    ) -> dict[int, Node]:
        """Features of the plain encoder by level."""
        features: dict[int, Node] = {}
        width = hp.Choice("width", list(_WIDTHS), default=16)
        for i in range(self.levels + 1):
            with self._from_levels(hp, i):
                if i <= levels:
                    x = features[i] = self._stage(hp, max_pool(x) if i else x, i, width << i)
        return features

    def _stage(self, hp: keras_tuner.HyperParameters, x: Node, i: int, filters: int) -> Node:
        depth = hp.Choice(f"stage{i}/depth", [1, 2], default=2)
        if i == 0:
            x, depth = conv(x, filters, **self._unit), depth - 1
            with hp.conditional_scope("stage0/depth", [2]):
                return self._units(hp, "stage0/kind", x, filters, depth)
        return self._units(hp, f"stage{i}/kind", x, filters, depth)

    def _decode(
        self,
        hp: keras_tuner.HyperParameters,
        x: Node,
        i: int,
        features: Mapping[int, Node] | None,
    ) -> Node:
        """Level `i` of the decoder; only its decisions where there are no features."""
        depth = hp.Choice(f"decoder{i}/depth", [0, 1, 2], default=1)
        with hp.conditional_scope(f"decoder{i}/depth", [1, 2]):
            if not depth:
                return x
            width = hp.Choice(f"decoder{i}/width", [0.25, 0.5, 1.0], default=0.5)
            if features is None:
                hp.Choice(f"decoder{i}/up", list(self._ups((1, 1), 1)))
                hp.Choice(f"decoder{i}/kind", list(self._kinds(1)))
                return x
            skip = features.get(i)
            filters = make_divisible(width * (skip.channels if skip else x.channels / 2))
            size = skip.shape[:2] if skip else grid_shape(x.input_shape, 2**i)
            x = choose(hp, f"decoder{i}/up", x, self._ups((size[0], size[1]), filters))
            x = concatenate(x, skip) if skip else x
            return self._units(hp, f"decoder{i}/kind", x, filters, depth)

    def _units(
        self, hp: keras_tuner.HyperParameters, name: str, x: Node, filters: int, count: int
    ) -> Node:
        """So many convolutions, all of the kind that is chosen."""
        for _ in range(count):
            x = choose(hp, name, x, self._kinds(filters))
        return x

    def _kinds(self, filters: int) -> dict[str, Block]:
        unit = self._unit
        return {
            # Features of an encoder can be a single pixel high.
            "conv": lambda x: conv(x, filters, fitted(x, 3), **unit),
            "separable": lambda x: conv(
                depthwise(x, fitted(x, 3), **unit), filters, 1, **unit
            ),
        }

    def _ups(self, size: tuple[int, int], filters: int) -> dict[str, Block]:

        def convolved(x: Node) -> Node:
            return conv(x, filters, fitted(x, 2), **self._unit)

        return {
            "nearest": lambda x: resize(x, size, "nearest"),
            "bilinear": lambda x: resize(x, size, "bilinear"),
            "nearest_conv": lambda x: convolved(resize(x, size, "nearest")),
            "bilinear_conv": lambda x: convolved(resize(x, size, "bilinear")),
        }


def ronneberger() -> dict[str, Any]:
    """Decisions of the network of Ronneberger et al. (2015).

    They are those of `UNet((572, 572, 1), 2, norm=False)`: 31,030,658 weights. The figure that
    is usual elsewhere, 31,031,685, is that of a much copied program
    (https://github.com/zhixuhao/unet): it ends in a 3x3 convolution to 2 channels and a 1x1
    convolution to 1, of 1,157 weights, where the paper has a 1x1 convolution of 130.
    """
    levels = 4
    decisions: dict[str, Any] = {"levels": levels, "width": 64}
    for i in range(levels + 1):
        decisions |= {f"stage{i}/depth": 2, f"stage{i}/kind": "conv"}
    for i in range(levels):
        level = {"depth": 2, "width": 1.0, "up": "nearest_conv", "kind": "conv"}
        decisions |= {f"decoder{i}/{name}": value for name, value in level.items()}
    return decisions

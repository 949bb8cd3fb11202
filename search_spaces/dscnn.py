"""Depthwise-separable networks for audio features: keywords on a microcontroller."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any, ClassVar

import keras_tuner

from search_spaces.blocks import (
    activation,
    add,
    conv,
    depthwise,
    dropout,
    make_divisible,
    reshape,
)
from search_spaces.cells import counts
from search_spaces.network import Node
from search_spaces.space import SearchSpace, choose
from search_spaces.task import Classification, Task

__all__ = ["DSCNN", "ds_cnn"]

_SMALLEST = 4  # frames, and bands
_STAGES = 3


class DSCNN(SearchSpace):
    """Depthwise-separable convolutions over audio features, as in DS-CNN.

    A first convolution with a rectangular kernel, for frames and bands are no pixels: how much
    time and how wide a part of the spectrum it sees, and how finely, are decisions of their
    own. Its kernel is at least as long as its step, so that nothing is overlooked. Then three
    stages of depthwise-separable blocks, and the task's head, which averages over what is left
    of time and spectrum. Kernels are never larger than what they filter, and features with a
    side below 4 are not halved further.

    | decision             | values                 | what it sets                            |
    |----------------------|------------------------|-----------------------------------------|
    | `stem/kernel_frames` | 3, 5, 10               | frames that the first kernel sees       |
    | `stem/kernel_bands`  | 3, 4, 8                | bands that it sees                      |
    | `stem/stride_frames` | 1, 2 (2, 4 from 96)    | its step in time                        |
    | `stem/stride_bands`  | 1, 2 (2, 4 from 32)    | its step in the spectrum                |
    | `stem/filters`       | 16, 32, 64, 96, 128    | its channels                            |
    | `stem/dropout`       | 0.0, 0.2               | rate behind it                          |
    | `stage{i}/depth`     | 0, 1, 2, 3, 4          | blocks in the stage                     |
    | `stage{i}/kernel`    | 3, 5                   | side of the depthwise kernels           |
    | `stage{i}/stride`    | 1, 2                   | step of the stage's first block         |
    | `stage{i}/width`     | 1.0, 1.5, 2.0          | channels / channels of the stem         |
    | `stage{i}/block`     | separable, residual    | whether a sum goes around a block       |
    | `head/dropout`       | 0.0, 0.2, 0.4          | rate before the head                    |

    Decisions of a stage are conditional on its depth. That is `1080 * 97**3` = 985,686,840
    sets of decisions.

    Args:
        input_shape: `(frames, bands)` of one recording's features, or `(frames, bands,
            channels)`; at least 4 frames of 4 bands.
        num_classes: Number of classes; the model returns this many logits.
        task: Any other task, instead of `num_classes`.
        rescaling: As in `SearchSpace`; numbers, for one of `(frames, bands)`.
        filters: Channels that the first convolution can have.

    Raises:
        ValueError: If the input has other axes, or fewer frames or bands, or `filters` are
            not one or more different whole numbers.

    References:
        Zhang et al., "Hello Edge: Keyword Spotting on Microcontrollers", 2017,
        https://arxiv.org/abs/1711.07128.
        Banbury et al., "MLPerf Tiny Benchmark", 2021, https://arxiv.org/abs/2106.07597.
        Unlike both, blocks can have sums around them, and widths can grow.
    """

    layouts: ClassVar[tuple[str, ...]] = ("audio", "images")

    def __init__(
        self,
        input_shape: Sequence[int],
        num_classes: int | None = None,
        *,
        task: Task | None = None,
        rescaling: tuple[Any, Any] | None = None,
        filters: Sequence[int] = (16, 32, 64, 96, 128),
    ) -> None:
        super().__init__(input_shape, num_classes, task=task, rescaling=rescaling)
        if len(self.input_shape) not in (2, 3) or min(self.input_shape[:2]) < _SMALLEST:
            raise ValueError(
                "DSCNN needs audio features (frames, bands) or (frames, bands, channels), at "
                f"least {_SMALLEST}x{_SMALLEST}. Received: input_shape="
                f"{tuple(input_shape)}. Cut longer windows, or compute more bands."
            )
        self.filters = list(counts("filters", filters, 1))
        frames, bands = self.input_shape[:2]
        self._strides_frames = [1, 2] if frames < 96 else [2, 4]
        self._strides_bands = [1, 2] if bands < 32 else [2, 4]

    def body(self, hp: keras_tuner.HyperParameters, x: Node) -> Node:
        if len(x.shape) == 2:
            x = reshape(x, (*x.shape, 1))
        x = self._stem(hp, x)
        width = x.channels
        for i in range(_STAGES):
            x = _stage(hp, x, i, width)
        return dropout(x, hp.Choice("head/dropout", [0.0, 0.2, 0.4]))

    def _stem(self, hp: keras_tuner.HyperParameters, x: Node) -> Node:
        kernel = (
            hp.Choice("stem/kernel_frames", [3, 5, 10], default=5),
            hp.Choice("stem/kernel_bands", [3, 4, 8], default=4),
        )
        stride = (
            hp.Choice("stem/stride_frames", self._strides_frames, default=2),
            hp.Choice("stem/stride_bands", self._strides_bands, default=2),
        )
        filters = hp.Choice(
            "stem/filters", self.filters, default=self.filters[len(self.filters) // 2]
        )
        kernel = max(kernel[0], stride[0]), max(kernel[1], stride[1])
        x = conv(x, filters, _fitting(kernel, x), stride, activation="relu")
        return dropout(x, hp.Choice("stem/dropout", [0.0, 0.2]))


def _fitting(kernel: tuple[int, int], x: Node) -> tuple[int, int]:
    return min(kernel[0], x.shape[0]), min(kernel[1], x.shape[1])


def _stage(hp: keras_tuner.HyperParameters, x: Node, i: int, width: int) -> Node:
    depth = hp.Choice(f"stage{i}/depth", [0, 1, 2, 3, 4], default=2)
    with hp.conditional_scope(f"stage{i}/depth", [1, 2, 3, 4]):
        kernel = hp.Choice(f"stage{i}/kernel", [3, 5])
        stride = hp.Choice(f"stage{i}/stride", [1, 2], default=2 if i else 1)
        factor = hp.Choice(f"stage{i}/width", [1.0, 1.5, 2.0])
        blocks = functools.partial(
            _blocks, depth=depth, kernel=kernel, stride=stride, width=width, factor=factor
        )
        return choose(
            hp,
            f"stage{i}/block",
            x,
            {
                "separable": lambda x: blocks(x, _separable),
                "residual": lambda x: blocks(x, _residual),
            },
        )


def _blocks(
    x: Node,
    block: Callable[[Node, int, int, int], Node],
    *,
    depth: int,
    kernel: int,
    stride: int,
    width: int,
    factor: float,
) -> Node:
    # The published widths 172 and 276 are no multiples of 8.
    filters = width if factor == 1 else make_divisible(width * factor)
    for number in range(depth):
        halves = stride == 2 and number == 0 and min(x.shape[:2]) >= _SMALLEST
        x = block(x, filters, kernel, 2 if halves else 1)
    return x


def _separable(
    x: Node, filters: int, kernel: int, stride: int, function: str = "relu"
) -> Node:
    y = depthwise(x, _fitting((kernel, kernel), x), stride, activation="relu")
    return conv(y, filters, 1, activation=function)


def _residual(x: Node, filters: int, kernel: int, stride: int) -> Node:
    if stride > 1 or x.channels != filters:
        return _separable(x, filters, kernel, stride)
    y = _separable(x, filters, kernel, stride, "linear")
    return activation(add(x, y), "relu")


def ds_cnn(size: str = "S", num_classes: int = 12) -> tuple[DSCNN, dict[str, Any]]:
    """DS-CNN for keywords, from 49 frames of 10 coefficients: its space and decisions.

    `S` is also the reference network of MLPerf Tiny, whose Keras model has 23,756 trainable
    parameters; 576 of them are biases before batch normalisation, which make no difference
    and which we leave out. For the three sizes Hello Edge publishes 38.6, 189.2 and 497.6 KB:
    the weights with normalisation folded in, and the two largest activations, a byte each.

    Args:
        size: `"S"`, `"M"` or `"L"`.
        num_classes: Number of keywords.

    Raises:
        ValueError: If the size is another.
    """
    if size not in _SIZES:
        raise ValueError(
            f"DS-CNN was published in sizes {', '.join(_SIZES)}. Received: size={size!r}. "
            "Use one of them."
        )
    filters, stride_bands, stride, depths = _SIZES[size]
    values: dict[str, Any] = {
        "stem/kernel_frames": 10,
        "stem/kernel_bands": 4,
        "stem/stride_frames": 2,
        "stem/stride_bands": stride_bands,
        "stem/filters": filters,
        "stem/dropout": 0.2,
        "head/dropout": 0.4,
    }
    for i, depth in enumerate(depths):
        values[f"stage{i}/depth"] = depth
        if depth:
            values |= {
                f"stage{i}/kernel": 3,
                f"stage{i}/stride": 1 if i else stride,
                f"stage{i}/width": 1.0,
                f"stage{i}/block": "separable",
            }
    task = Classification(num_classes, dropout=0.0)
    return DSCNN((49, 10, 1), task=task, filters=(filters,)), values


# Channels, the stem's step in the spectrum, the first block's step, blocks a stage.
_SIZES = {
    "S": (64, 2, 1, (4, 0, 0)),
    "M": (172, 1, 2, (4, 0, 0)),
    "L": (276, 1, 2, (4, 1, 0)),
}

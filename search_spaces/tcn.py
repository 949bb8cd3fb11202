"""Temporal convolutional networks: for time series, and for audio features as series."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Sequence
from typing import Any, ClassVar, NamedTuple

import keras_tuner

from search_spaces.blocks import (
    activation,
    add,
    conv,
    depthwise,
    dropout,
    make_divisible,
    max_pool,
    pad,
    reshape,
    squeeze_excite,
)
from search_spaces.cells import counts
from search_spaces.network import Node
from search_spaces.sequences import over_steps
from search_spaces.space import SearchSpace, check_series, choose
from search_spaces.task import Classification, Task

__all__ = ["TemporalConvNet", "tc_resnet8", "tcn_sequential_mnist"]

_SHORTEST = 4  # steps
_SQUEEZE = 4  # channels of a squeeze-and-excite per channel of its bottleneck


class TemporalConvNet(SearchSpace):
    """Convolutions along time, from plain ones to residual blocks that look far back.

    A series `(length, channels)` becomes an image one pixel wide, because devices have
    two-dimensional operators only; kernels are `k`x1. A stem that can be left out, stages of
    blocks, and the task's head. From block to block the distance of the steps that a kernel
    reads may double, so that what a network sees grows exponentially with its depth. That
    distance counts in steps of the input: where a stage has halved the series, a kernel
    reaches as far with half the dilation. Neither kernel nor dilation is ever larger than
    the series, so no weight reads padding only; and a series of fewer than 4 steps is not
    shortened further.

    With `causal` no output depends on steps that come after it, so that a network can follow
    a stream: series are padded in front only, and squeeze-and-excite, which weighs channels
    by the whole series, is left out.

    | decision                | values                 | what                              |
    |-------------------------|------------------------|-----------------------------------|
    | `causal`                | False, True            | outputs know the past only        |
    | `squeeze`               | False, True            | squeeze-and-excite in blocks      |
    | `dilation`              | 1, 2                   | its growth from block to block    |
    | `dropout`               | 0.0, 0.1, 0.2, 0.3     | rate behind each block            |
    | `stem/filters`          | 0, 16, 32, 64          | channels of a first convolution   |
    | `stem/kernel`           | 3, 5, 9                | its length, steps                 |
    | `stem/stride`           | 1, 2                   | its step; 1, 2, 4 from 128 steps  |
    |                         |                        | and 4, 8, 16 from 1,024 on        |
    | `stage{i}/depth`        | 0, 1, 2, 3             | blocks; not 0 in the first stage  |
    | `stage{i}/kernel`       | 3, 5, 9                | length of their kernels, steps    |
    | `stage{i}/filters`      | 16, 24, 32, 48, 64, 96 | channels                          |
    | `stage{i}/downsampling` | none, stride, max_pool | how the stage halves the series   |
    | `stage{i}/block`        | residual, separable,   | kind of the blocks                |
    |                         | inverted, plain        |                                   |
    | `stage{i}/expansion`    | 2, 4, 6                | middle of an inverted block / its |
    |                         |                        | input channels                    |

    `residual` is two convolutions with a sum around them, `separable` the same of depthwise
    and 1x1 convolutions, `inverted` MobileNetV2's block, `plain` one convolution and no sum.
    `squeeze` is conditional on `causal`, `stem/kernel` and `stem/stride` on a stem, those of
    a stage on its depth, `expansion` on its block. A stem's kernel is at least twice its
    stride less 1, so that no step is overlooked. That is `456 * 972 * 973**(num_stages - 1)`
    sets of decisions for series of fewer than 128 steps and `672 * 972 *
    973**(num_stages - 1)` from there on: 4.3e8 for 25 steps, 6.0e14 for 784.

    Args:
        input_shape: `(length, channels)` of one series, at least 4 steps.
        num_classes: Number of classes; the model returns this many logits.
        task: Any other task, instead of `num_classes`.
        rescaling: As in `SearchSpace`.
        num_stages: Number of stages; by default 2 to 4, more for longer series.
        filters: Channels that a stage can have.
        kernels: Lengths that kernels can have.

    Raises:
        ValueError: If the input is no series, or shorter than 4 steps, there is no stage, or
            channels or lengths of kernels are not one or more different whole numbers.

    References:
        Bai et al., "An Empirical Evaluation of Generic Convolutional and Recurrent Networks
        for Sequence Modeling", 2018, https://arxiv.org/abs/1803.01271. We normalise batches
        instead of weights, and as in ResNet the sum is activated rather than the second
        convolution.
        Choi et al., "Temporal Convolution for Real-time Keyword Spotting on Mobile Devices",
        Interspeech 2019, https://arxiv.org/abs/1904.03814. Our projections around a block
        are linear.
        Wang et al., "Time Series Classification from Scratch with Deep Neural Networks: A
        Strong Baseline", IJCNN 2017, https://arxiv.org/abs/1611.06455 (plain blocks).
    """

    layouts: ClassVar[tuple[str, ...]] = ("series",)

    def __init__(
        self,
        input_shape: Sequence[int],
        num_classes: int | None = None,
        *,
        task: Task | None = None,
        rescaling: tuple[Any, Any] | None = None,
        num_stages: int | None = None,
        filters: Sequence[int] = (16, 24, 32, 48, 64, 96),
        kernels: Sequence[int] = (3, 5, 9),
    ) -> None:
        super().__init__(input_shape, num_classes, task=task, rescaling=rescaling)
        check_series("TemporalConvNet", self.input_shape, _SHORTEST)
        if num_stages is not None and num_stages < 1:
            raise ValueError(
                f"TemporalConvNet needs at least 1 stage. Received: num_stages={num_stages}. "
                "Leave it out to let the series decide."
            )
        length = self.input_shape[0]
        if num_stages is None:
            num_stages = min(4, max(2, round(math.log2(length / 6))))
        self.num_stages = num_stages
        self.filters = list(counts("filters", filters, 1))
        self.kernels = list(counts("kernels", kernels, 1))
        self._strides = [1, 2] if length < 128 else [1, 2, 4] if length < 1024 else [4, 8, 16]

    def body(self, hp: keras_tuner.HyperParameters, x: Node) -> Node:
        x = reshape(x, (x.shape[0], 1, x.shape[1]))
        causal = bool(hp.Boolean("causal"))
        with hp.conditional_scope("causal", [False]):
            squeeze = bool(hp.Boolean("squeeze"))
        growth = hp.Choice("dilation", [1, 2], default=2)
        rate = hp.Choice("dropout", [0.0, 0.1, 0.2, 0.3], default=0.1)
        x, step = self._stem(hp, x, causal)
        blocks_before = 0
        for i in range(self.num_stages):
            style = _Style(causal, squeeze, rate, growth, blocks_before, step)
            depth, x, shortened = self._stage(hp, x, i, style)
            blocks_before += depth
            step *= 2 if shortened else 1
        return x

    def _stem(
        self, hp: keras_tuner.HyperParameters, x: Node, causal: bool
    ) -> tuple[Node, int]:
        filters = hp.Choice("stem/filters", [0, 16, 32, 64], default=32)
        with hp.conditional_scope("stem/filters", [16, 32, 64]):
            kernel = hp.Choice("stem/kernel", self.kernels)
            stride = hp.Choice("stem/stride", self._strides, default=self._strides[-2])
        if not filters:
            return x, 1
        kernel = max(kernel, 2 * stride - 1)
        return _along_time(conv, x, kernel, stride, causal=causal, filters=filters), stride

    def _stage(
        self, hp: keras_tuner.HyperParameters, x: Node, i: int, style: _Style
    ) -> tuple[int, Node, bool]:
        depth = hp.Choice(f"stage{i}/depth", [0, 1, 2, 3] if i else [1, 2, 3], default=1)
        with hp.conditional_scope(f"stage{i}/depth", [1, 2, 3]):
            kernel = hp.Choice(f"stage{i}/kernel", self.kernels)
            filters = hp.Choice(f"stage{i}/filters", self.filters, default=self._default(i))
            halving = hp.Choice(
                f"stage{i}/downsampling",
                ["none", "stride", "max_pool"],
                default="stride" if i else "none",
            )
            if x.shape[0] < _SHORTEST:
                halving = "none"
            stage = functools.partial(
                _stage,
                depth=depth,
                filters=filters,
                kernel=kernel,
                halving=halving,
                style=style,
            )

            def inverted(x: Node) -> Node:
                expansion = hp.Choice(f"stage{i}/expansion", [2, 4, 6])
                return stage(x, functools.partial(_inverted, expansion=expansion))

            y = choose(
                hp,
                f"stage{i}/block",
                x,
                {
                    "residual": lambda x: stage(x, _residual),
                    "separable": lambda x: stage(x, _separable),
                    "inverted": inverted,
                    "plain": lambda x: stage(x, _plain),
                },
            )
        return depth, y, depth > 0 and halving != "none"

    def _default(self, i: int) -> int:
        return self.filters[min(i + 2, len(self.filters) - 1)]


class _Style(NamedTuple):
    """What all blocks of a network share, and where a stage stands in it."""

    causal: bool
    squeeze: bool
    dropout: float
    growth: int  # of the dilation, from block to block
    blocks_before: int
    step: int  # steps of the input that a step of the stage's input stands for


class _Block(NamedTuple):
    """One block of a stage: everything but its kind."""

    filters: int
    kernel: int
    stride: int
    dilation: int
    causal: bool
    squeeze: bool


def _stage(
    x: Node,
    kind: Callable[[Node, _Block], Node],
    *,
    depth: int,
    filters: int,
    kernel: int,
    halving: str,
    style: _Style,
) -> Node:
    step = style.step
    if halving == "max_pool":
        # What stands for a step knows it and, where it must not know the next, the one before.
        x = pad(x, ((1, 0), (0, 0))) if style.causal else x
        x = max_pool(x, (2, 1), padding="valid" if style.causal else "same")
    step *= 1 if halving == "none" else 2
    for number in range(depth):
        reach = style.growth ** (style.blocks_before + number)  # steps of the input
        stride = 2 if halving == "stride" and number == 0 else 1
        dilation = max(1, reach // step)
        block = _Block(filters, kernel, stride, dilation, style.causal, style.squeeze)
        x = dropout(kind(x, block), style.dropout)
    return x


def _residual(x: Node, block: _Block) -> Node:
    y = _filtered(conv, x, block, block.stride, filters=block.filters)
    y = _filtered(conv, y, block, filters=block.filters, activation="linear")
    return _sum(x, y, block)


def _separable(x: Node, block: _Block) -> Node:
    y = conv(_filtered(depthwise, x, block, block.stride), block.filters, 1, activation="relu")
    y = conv(_filtered(depthwise, y, block), block.filters, 1, activation="linear")
    return _sum(x, y, block)


def _inverted(x: Node, block: _Block, expansion: int) -> Node:
    y = conv(x, make_divisible(x.channels * expansion), 1, activation="relu")
    y = _squeezed(_filtered(depthwise, y, block, block.stride), block)
    y = conv(y, block.filters, 1, activation="linear")
    return add(x, y) if x.shape == y.shape else y


def _plain(x: Node, block: _Block) -> Node:
    y = _filtered(conv, x, block, block.stride, filters=block.filters)
    return _squeezed(y, block)


def _sum(x: Node, y: Node, block: _Block) -> Node:
    if x.shape != y.shape:
        x = conv(x, block.filters, 1, (block.stride, 1), activation="linear")
    return activation(add(x, _squeezed(y, block)), "relu")


def _squeezed(x: Node, block: _Block) -> Node:
    if not block.squeeze:
        return x
    return squeeze_excite(x, make_divisible(x.channels / _SQUEEZE))


def _filtered(
    operation: Callable[..., Node], x: Node, block: _Block, stride: int = 1, **settings: Any
) -> Node:
    return _along_time(
        operation,
        x,
        block.kernel,
        stride,
        dilation=block.dilation,
        causal=block.causal,
        **settings,
    )


def _along_time(
    operation: Callable[..., Node],
    x: Node,
    kernel: int,
    stride: int = 1,
    *,
    dilation: int = 1,
    causal: bool = False,
    **settings: Any,
) -> Node:
    """`conv` or `depthwise` with a kernel of `kernel`x1 that the series has room for."""
    length = x.shape[0]
    # Before the last step that is computed there may be fewer than in the series.
    kernel = min(kernel, 1 + (length - 1) // stride * stride if causal else length)
    if stride > 1 or kernel == 1:
        dilation = 1
    else:
        dilation = min(dilation, max(1, (length - 1) // (kernel - 1)))
    settings = {"activation": "relu"} | settings
    return over_steps(operation, x, kernel, stride, dilation, causal, **settings)


def tc_resnet8(num_classes: int = 12) -> tuple[TemporalConvNet, dict[str, Any]]:
    """TC-ResNet8 for keywords, from 98 frames of 40 coefficients: its space and decisions.

    Choi et al. (2019) publish 66 K parameters.
    """
    space = TemporalConvNet((98, 40), task=Classification(num_classes, dropout=0.5))
    values: dict[str, Any] = {
        "causal": False,
        "squeeze": False,
        "dilation": 1,
        "dropout": 0.0,
        "stem/filters": 16,
        "stem/kernel": 3,
        "stem/stride": 1,
        "stage3/depth": 0,
    }
    for i, filters in enumerate((24, 32, 48)):
        values |= {
            f"stage{i}/depth": 1,
            f"stage{i}/kernel": 9,
            f"stage{i}/filters": filters,
            f"stage{i}/downsampling": "stride",
            f"stage{i}/block": "residual",
        }
    return space, values


def tcn_sequential_mnist() -> tuple[TemporalConvNet, dict[str, Any]]:
    """The network of Bai et al. (2018) for the pixels of MNIST one by one: space, decisions.

    Eight blocks of kernels of 7 and 25 channels, with dilations from 1 to 128. They publish
    about 70 K parameters.
    """
    space = TemporalConvNet((784, 1), 10, filters=(25,), kernels=(7,), num_stages=4)
    values: dict[str, Any] = {"causal": True, "dilation": 2, "dropout": 0.0, "stem/filters": 0}
    for i in range(4):
        values |= {
            f"stage{i}/depth": 2,
            f"stage{i}/kernel": 7,
            f"stage{i}/filters": 25,
            f"stage{i}/downsampling": "none",
            f"stage{i}/block": "residual",
        }
    return space, values

"""Pieces of cells, as NASNet, AmoebaNet, ENAS and DARTS search them.

Their order is rectify, convolve, normalise: what a cell adds up or concatenates is linear, and
who reads it rectifies it. Where several rectify or pool the same, `freeze` makes one layer of
it. Kernels are no larger than features have use for (`blocks.fitted`).
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ParamSpec, cast

import keras_tuner

from search_spaces.blocks import (
    activation,
    average_pool,
    batch_norm,
    concatenate,
    conv,
    crop,
    fitted,
    max_pool,
    pad,
    subsample,
)
from search_spaces.network import Layer, Node, input_node, layer
from search_spaces.operations import Shape, single
from search_spaces.space import check_images

__all__ = [
    "OPERATIONS",
    "alternatives",
    "check_operations",
    "chosen_stem",
    "conv_norm",
    "counts",
    "dilated_conv",
    "factorized_reduction",
    "fit",
    "operation",
    "pick",
    "remembered",
    "separable_conv",
    "separated_conv",
]

P = ParamSpec("P")


def remembered(block: Callable[P, Node]) -> Callable[P, Node]:
    """Make a block quick: its layers are worked out once for each shape of its input.

    A network of 20 cells has 1,500 layers in a few dozen different blocks.

    Args:
        block: From a node, the first argument, and hashable other arguments to the node of
            the layer that it describes last.
    """

    @functools.lru_cache(maxsize=4096)
    def records(shape: Shape, *given: Any, **named: Any) -> tuple[Layer, ...]:
        start: Any = input_node(shape)
        cast(Callable[..., Node], block)(start, *given, **named)
        return tuple(start.described()[1:])

    @functools.wraps(block)
    def repeat(*given: P.args, **named: P.kwargs) -> Node:
        x: Any = given[0]
        layers, source, ahead = x._layers, x.index, len(x._layers) - 1
        for op, inputs, settings, shape in records(x.shape, *given[1:], **cast(Any, named)):
            moved = tuple([i + ahead if i else source for i in inputs])
            layers.append(Layer(op, moved, settings, shape))
        return Node(layers, len(layers) - 1)

    return repeat


@remembered
def conv_norm(x: Node, filters: int, kernel: int = 1, stride: int = 1) -> Node:
    """Rectify, convolve, normalise."""
    kept = fitted(x, kernel, stride)
    return conv(_rectified(x), filters, kept, stride, activation="linear")


@remembered
def separable_conv(x: Node, filters: int, kernel: int, stride: int = 1) -> Node:
    """Two separable convolutions, each rectified before and normalised behind.

    A separable convolution is a depthwise and a 1x1 convolution with nothing between them.

    Args:
        x: Images.
        filters: Output channels.
        kernel: Side of the depthwise kernels, pixels.
        stride: Step of the first depthwise convolution.
    """
    x = _separable(_rectified(x), filters, kernel, stride)
    return _separable(_rectified(x), filters, kernel)


@remembered
def dilated_conv(x: Node, filters: int, kernel: int, stride: int = 1) -> Node:
    """One separable convolution that reads every other pixel, rectified and normalised.

    Arguments as in `separable_conv`.
    """
    x = _rectified(x)
    if stride == 1:
        return _separable(x, filters, kernel, dilation=2)
    # At every other pixel, a kernel that reads every other pixel sees just these.
    return _separable(subsample(x, stride), filters, kernel)


@remembered
def separated_conv(x: Node, filters: int, kernel: int, stride: int = 1) -> Node:
    """A flat convolution, then an upright one, rectified before and normalised behind.

    Arguments as in `separable_conv`, but kernels are `kernel` pixels long and 1 wide.
    """
    right, down = (1, stride), (stride, 1)
    flat = {"kernel": fitted(x, (1, kernel), right), "stride": single(right)}
    x = layer("conv", _rectified(x), filters=filters, bias=False, **flat)
    return conv(x, filters, fitted(x, (kernel, 1), down), down, activation="linear")


@remembered
def factorized_reduction(x: Node, filters: int) -> Node:
    """Halve images and lose no row: two 1x1 convolutions at every other pixel.

    The second one begins a pixel further down and to the right; each gives half of the
    channels. Images are rectified before, and both outputs normalised together. Of an odd side
    the second convolution sees one row of zeros, so that their outputs have one size.

    Args:
        x: Images of 2 pixels or more a side.
        filters: Output channels, at least 2.
    """
    x = _rectified(x)
    height, width, _ = x.shape
    odd = ((0, height % 2), (0, width % 2))
    shifted = crop(pad(x, odd) if height % 2 or width % 2 else x, ((1, 0), (1, 0)))
    first = layer("conv", x, filters=filters - filters // 2, kernel=1, stride=2, bias=False)
    second = layer("conv", shifted, filters=filters // 2, kernel=1, stride=2, bias=False)
    return batch_norm(concatenate(first, second))


def fit(x: Node, shape: Shape, filters: int) -> Node:
    """Bring `x` to the height and width of `shape`, the same or half, and to `filters`."""
    if x.shape[:2] == shape[:2]:
        return conv_norm(x, filters)
    return factorized_reduction(x, filters)


_CONVOLUTIONS: dict[str, tuple[Callable[[Node, int, int, int], Node], int]] = {
    "sep_conv_3x3": (separable_conv, 3),
    "sep_conv_5x5": (separable_conv, 5),
    "sep_conv_7x7": (separable_conv, 7),
    "dil_conv_3x3": (dilated_conv, 3),
    "dil_conv_5x5": (dilated_conv, 5),
    "conv_1x1": (conv_norm, 1),
    "conv_3x3": (conv_norm, 3),
    "conv_3x1_1x3": (separated_conv, 3),
    "conv_7x1_1x7": (separated_conv, 7),
}
_POOLS: dict[str, tuple[Callable[[Node, int, int], Node], int]] = {
    "max_pool_3x3": (max_pool, 3),
    "max_pool_5x5": (max_pool, 5),
    "max_pool_7x7": (max_pool, 7),
    "avg_pool_3x3": (average_pool, 3),
}

# Pixels a side of which 2 are left to the last cells: the reduction cells halve images twice,
# the stem for ImageNet three times.
_SMALLEST = {"cifar": 8, "imagenet": 64}

OPERATIONS = (*_CONVOLUTIONS, *_POOLS, "skip_connect")
"""Names of the operations of a cell, as published genotypes have them."""


def operation(name: str, filters: int, stride: int, x: Node) -> Node:
    """What the edge of a cell does.

    Pools leave channels alone, so where `x` has not `filters` of them a 1x1 convolution
    follows. `skip_connect` leaves `x` alone, and where that is not possible fits it.

    Args:
        name: One of `OPERATIONS`.
        filters: Output channels.
        stride: 1, or 2 to halve images.
        x: Images.
    """
    if name in _CONVOLUTIONS:
        convolve, kernel = _CONVOLUTIONS[name]
        return convolve(x, filters, kernel, stride)
    if name in _POOLS:
        pool, size = _POOLS[name]
        x = pool(x, size, stride)
        return x if x.channels == filters else conv(x, filters, 1, activation="linear")
    if stride == 1:
        return x if x.channels == filters else conv_norm(x, filters)
    return factorized_reduction(x, filters)


@functools.lru_cache
def alternatives(
    names: tuple[str, ...], filters: int, stride: int
) -> Mapping[str, Callable[[Node], Node]]:
    """The operations of these names, for `choose`: functions from node to node."""
    return {name: functools.partial(operation, name, filters, stride) for name in names}


def counts(name: str, given: int | Sequence[int], least: int) -> tuple[int, ...]:
    """Numbers to choose from, given as one or several.

    Args:
        name: Name of the argument, for the message.
        given: A number, or several different ones; the first is the default.
        least: What each must be at least.

    Raises:
        ValueError: If there is none, one twice, or one that is smaller.
    """
    several = tuple(given) if isinstance(given, Sequence) else (given,)
    large = [isinstance(one, int) and one >= least for one in several]
    if not several or not all(large) or len(set(several)) < len(several):
        raise ValueError(
            f"`{name}` is a whole number from {least} up, or different ones to choose from. "
            f"Received: {name}={given}. Write for example {name}={4 * least}."
        )
    return several


def pick(hp: keras_tuner.HyperParameters, name: str, several: Sequence[int]) -> int:
    """The number that is decided on; of a single one nothing is asked."""
    return several[0] if len(several) == 1 else int(hp.Choice(name, list(several)))


def check_operations(names: Sequence[str]) -> tuple[str, ...]:
    """The names, if each is one of `OPERATIONS` and there is no other like it.

    Raises:
        ValueError: If not, or if there is none.
    """
    unknown = [name for name in names if name not in OPERATIONS]
    if unknown or not names or len(set(names)) < len(names):
        raise ValueError(
            f"The operations of a cell are different ones of {', '.join(OPERATIONS)}. "
            f"Received: operations={tuple(names)}. Choose among these."
        )
    return tuple(names)


def chosen_stem(name: str, stem: str | None, input_shape: Shape) -> str:
    """The stem of a space with two reduction cells: `"cifar"` or `"imagenet"`.

    Args:
        name: Name of the space, for the message.
        stem: One of them; `None` is the second from 96 pixels a side on, else the first.
        input_shape: Shape of one example.

    Raises:
        ValueError: If it is neither, or the input no image of the size that it takes.
    """
    if stem is None:
        stem = "imagenet" if min(input_shape[:2], default=0) >= 96 else "cifar"
    if stem not in _SMALLEST:
        raise ValueError(
            'A stem is "cifar", at full resolution, or "imagenet", which halves images before '
            f"the first cell. Received: stem={stem!r}. Use one of them."
        )
    check_images(name, input_shape, _SMALLEST[stem])
    return stem


def _rectified(x: Node) -> Node:
    return activation(x, "relu")


def _separable(x: Node, filters: int, kernel: int, stride: int = 1, dilation: int = 1) -> Node:
    kept = fitted(x, kernel, stride, dilation)
    # Of a single pixel there is no next one to read.
    gaps = {"dilation": dilation} if dilation > 1 and kept != 1 else {}
    x = layer("depthwise", x, bias=False, kernel=kept, stride=stride, **gaps)
    return conv(x, filters, 1, activation="linear")

"""Building blocks of networks: functions from node to node.

They describe; nothing is built. A convolution here is the usual unit of convolution, batch
normalisation and activation, which becomes one operator on a device.
"""

from __future__ import annotations

import functools

from search_spaces.network import Node, layer
from search_spaces.operations import Size, pair, single

__all__ = [
    "activation",
    "add",
    "attention",
    "average_pool",
    "batch_norm",
    "concatenate",
    "conv",
    "crop",
    "dense",
    "depthwise",
    "dropout",
    "embedding",
    "fitted",
    "flatten",
    "global_average_pool",
    "identity",
    "inverted_residual",
    "layer_norm",
    "make_divisible",
    "max_pool",
    "multiply",
    "narrow",
    "pad",
    "position_embedding",
    "recurrent",
    "rescale",
    "reshape",
    "resize",
    "separable",
    "sinusoid",
    "squeeze_excite",
    "subsample",
    "upsample",
    "zero",
]


def make_divisible(channels: float, divisor: int = 8) -> int:
    """Round to a multiple of `divisor`, at least `divisor` and never more than 10 % down.

    The rule of the MobileNet papers: kernels on phones and microcontrollers are written for
    channel counts that are multiples of 8 (4 at least).
    """
    rounded = max(divisor, int(channels + divisor / 2) // divisor * divisor)
    return rounded + divisor if rounded < 0.9 * channels else rounded


def fitted(x: Node, kernel: Size, stride: Size = 1, dilation: Size = 1) -> Size:
    """The largest kernel up to `kernel` that is of use in images as small as `x`.

    On 2x2 pixels the outer ring of a kernel of 5 reads nothing but the zeros around them: its
    weights would take space and time, and no training would move them. Of the kernel that is
    returned every weight reads a pixel somewhere, if `conv` or `depthwise` pads as usual.

    Args:
        x: Images.
        kernel: Side of the kernel that is wanted, or `(height, width)`, pixels.
        stride: Step of the convolution, or `(down, right)`, pixels.
        dilation: Distance of the pixels that the kernel reads, or `(down, right)`.

    Returns:
        `kernel`, or what of it fits: each axis by itself.
    """
    axes = zip(x.shape[:2], pair(kernel), pair(stride), pair(dilation), strict=True)
    high, wide = (_fitted_length(*axis) for axis in axes)
    return single((high, wide))


@functools.cache
def _fitted_length(length: int, kernel: int, stride: int, dilation: int) -> int:
    steps = range(0, length, stride)
    for taps in range(kernel, 1, -1):
        reach = (taps - 1) * dilation + 1
        before = max(steps[-1] + reach - length, 0) // 2  # as TensorFlow pads
        places = [tap * dilation - before for tap in range(taps)]
        if all(any(0 <= step + place < length for step in steps) for place in places):
            return taps
    return 1


def identity(x: Node) -> Node:
    """Leave `x` as it is; the "skip" of a `choose`."""
    return x


def activation(x: Node, function: str = "relu6") -> Node:
    """Apply `function`: any of Keras' names; `"linear"` adds nothing."""
    return x if function == "linear" else layer("activation", x, function=function)


def conv(
    x: Node,
    filters: int,
    kernel: Size = 3,
    stride: Size = 1,
    activation: str = "relu6",
    norm: bool = True,
    padding: str = "same",
    dilation: Size = 1,
) -> Node:
    """Convolution, batch normalisation and activation.

    Args:
        x: Images `(height, width, channels)`.
        filters: Output channels.
        kernel: Side of the square kernel, or `(height, width)`, pixels.
        stride: Step, or `(down, right)`, pixels; the output side is the input side over it,
            rounded up.
        activation: Name of the activation; `"linear"` for none.
        norm: Whether batch normalisation follows; without it the convolution has a bias.
        padding: `"same"` surrounds the image with zeros so that every pixel is a centre;
            `"valid"` adds none, and the input side shrinks by the kernel's less 1 first.
        dilation: Distance of the pixels that a kernel reads, or `(down, right)`; larger sees
            farther at the same cost. Only with a stride of 1: a kernel of dilation 2 and
            stride 2 reads every other pixel, so `subsample` and then convolve.
    """
    x = layer(
        "conv",
        x,
        filters=filters,
        kernel=single(kernel),
        stride=single(stride),
        bias=not norm,
        **_padding(padding),
        **_dilation(dilation, stride),
    )
    return _finish(x, activation, norm)


def depthwise(
    x: Node,
    kernel: Size = 3,
    stride: Size = 1,
    activation: str = "relu6",
    norm: bool = True,
    padding: str = "same",
    dilation: Size = 1,
) -> Node:
    """Depthwise convolution: one kernel a channel. Arguments as in `conv`."""
    x = layer(
        "depthwise",
        x,
        kernel=single(kernel),
        stride=single(stride),
        bias=not norm,
        **_padding(padding),
        **_dilation(dilation, stride),
    )
    return _finish(x, activation, norm)


def separable(
    x: Node, filters: int, kernel: int = 3, stride: int = 1, activation: str = "relu6"
) -> Node:
    """Depthwise, then 1x1 convolution, each normalised and activated (MobileNetV1)."""
    return conv(depthwise(x, kernel, stride, activation), filters, 1, activation=activation)


def dense(x: Node, units: int, activation: str = "linear") -> Node:
    """Fully connected layer with bias over the last axis."""
    return _finish(layer("dense", x, units=units, bias=True), activation, norm=False)


def max_pool(
    x: Node, size: Size = 2, stride: Size | None = None, padding: str = "same"
) -> Node:
    """Maximum over windows of `size`; stride defaults to `size`. Padding as in `conv`."""
    stride = single(size if stride is None else stride)
    return layer("max_pool", x, size=single(size), stride=stride, **_padding(padding))


def average_pool(
    x: Node, size: Size = 2, stride: Size | None = None, padding: str = "same"
) -> Node:
    """Mean over windows of `size`; stride defaults to `size`. Padding as in `conv`."""
    stride = single(size if stride is None else stride)
    return layer("average_pool", x, size=single(size), stride=stride, **_padding(padding))


def subsample(x: Node, stride: Size = 2) -> Node:
    """Every `stride`-th pixel, the first among them: sides are divided and rounded up."""
    return max_pool(x, 1, stride)


def resize(x: Node, size: tuple[int, int], interpolation: str = "bilinear") -> Node:
    """Bring images to a `size` of `(height, width)` pixels.

    Args:
        x: Images.
        size: Height and width, larger or smaller than those of `x`.
        interpolation: `"nearest"` repeats pixels, `"bilinear"` blends neighbours.
    """
    if interpolation not in ("nearest", "bilinear"):
        raise ValueError(
            'Interpolation must be "nearest" or "bilinear". Received: '
            f"interpolation={interpolation!r}. Use one of them."
        )
    if x.shape[:2] == tuple(size):
        return x
    return layer("resize", x, size=tuple(size), interpolation=interpolation)


def upsample(x: Node, factor: Size = 2, interpolation: str = "nearest") -> Node:
    """Enlarge images by `factor`, or `(down, right)`: `resize` to so many times the size."""
    height, width, _ = x.shape
    down, right = pair(factor)
    return resize(x, (height * down, width * right), interpolation)


def batch_norm(x: Node, center: bool = True, scale: bool = True) -> Node:
    """Batch normalisation of the last axis, with or without a shift and a scale."""
    given = {"center": center, "scale": scale}
    return layer("batch_norm", x, **{name: False for name, has in given.items() if not has})


def layer_norm(x: Node) -> Node:
    """Normalise each position over its channels (Ba et al., 2016)."""
    return layer("layer_norm", x)


def global_average_pool(x: Node, keepdims: bool = False) -> Node:
    """Mean over all axes but the last.

    Of images `(channels,)`, or `(1, 1, channels)` with `keepdims`; of sequences `(channels,)`.
    """
    return layer("global_average_pool", x, keepdims=keepdims)


def dropout(x: Node, rate: float) -> Node:
    """Dropout while training; a rate of 0 adds nothing."""
    return layer("dropout", x, rate=rate) if rate else x


def rescale(
    x: Node, scale: float | tuple[float, ...], offset: float | tuple[float, ...] = 0.0
) -> Node:
    """`x * scale + offset`, numbers or one a channel: how raw inputs are normalised."""
    return layer("rescale", x, scale=scale, offset=offset)


def pad(x: Node, padding: tuple[tuple[int, int], tuple[int, int]]) -> Node:
    """Surround images with zeros: `((top, bottom), (left, right))` pixels."""
    return layer("pad", x, padding=padding)


def crop(x: Node, cropping: tuple[tuple[int, int], tuple[int, int]]) -> Node:
    """Cut the edges of images off: `((top, bottom), (left, right))` pixels."""
    return layer("crop", x, cropping=cropping)


def narrow(x: Node, channels: int) -> Node:
    """The first `channels` channels of images."""
    return x if channels == x.channels else layer("narrow", x, channels=channels)


def flatten(x: Node) -> Node:
    """All values of `x` in a row: from `(height, width, channels)` to one axis."""
    return layer("flatten", x)


def reshape(x: Node, shape: tuple[int, ...]) -> Node:
    """The values of `x` in another shape."""
    return layer("reshape", x, shape=shape)


def zero(x: Node) -> Node:
    """Nothing, in the shape of `x`: a multiplication by zero, which keeps what it reads."""
    return rescale(x, 0.0)


def embedding(x: Node, vocabulary: int, width: int) -> Node:
    """A learned vector a token: from `(length,)` of whole numbers to `(length, width)`.

    Args:
        x: Tokens, each from 0 to `vocabulary - 1`.
        vocabulary: Number of different tokens.
        width: Channels of a vector.
    """
    return layer("embedding", x, vocabulary=vocabulary, width=width)


def position_embedding(x: Node, width: int | None = None) -> Node:
    """Add a learned vector to each position of `(length, channels)`.

    Args:
        x: A sequence.
        width: Channels to project to at the same time, which makes it a dense layer whose bias
            differs from position to position; `None` only adds. Keras has no layer that does
            nothing but that: the one used multiplies by a single weight as well, 1 at first.
    """
    return layer("position", x, **({} if width is None else {"width": width}))


def sinusoid(x: Node) -> Node:
    """Add sines and cosines of the position to `(length, channels)`.

    The encoding of Vaswani et al. (2017): wavelengths from 2 pi to 20,000 pi, sines in the
    even channels and cosines in the odd ones. It has no weights.
    """
    return layer("sinusoid", x)


def attention(x: Node, heads: int, width: int | None = None, causal: bool = False) -> Node:
    """Multi-head attention of a sequence to itself (Vaswani et al., 2017).

    Args:
        x: A sequence `(length, channels)`.
        heads: Number of heads; each looks for something else.
        width: Channels of all heads together, a multiple of `heads`; those of `x` unless
            given.
        causal: Whether positions see only themselves and those before.

    Raises:
        ValueError: If `width` is not a multiple of `heads`.
    """
    width = x.channels if width is None else width
    if width % heads:
        raise ValueError(
            "The channels of attention are shared evenly among its heads. Received: "
            f"width={width}, heads={heads}. Use a width that is a multiple of {heads}."
        )
    return layer("attention", x, heads=heads, width=width // heads, causal=causal)


def recurrent(
    x: Node,
    units: int,
    cell: str = "gru",
    sequences: bool = True,
    bidirectional: bool = False,
) -> Node:
    """A recurrent layer over `(length, channels)`.

    Args:
        x: A sequence.
        units: Width of the state.
        cell: `"gru"` (Cho et al., 2014) or `"lstm"` (Hochreiter and Schmidhuber, 1997), a
            third larger.
        sequences: Whether the state after each position is returned, `(length, units)`, or
            the last one alone, `(units,)`.
        bidirectional: Whether a second layer reads the sequence from its end; both states are
            concatenated. It takes twice the weights and needs the whole sequence.
    """
    if cell not in ("gru", "lstm"):
        raise ValueError(
            f'A recurrent cell is "gru" or "lstm". Received: cell={cell!r}. Use one of them.'
        )
    return layer(
        "recurrent",
        x,
        units=units,
        cell=cell,
        sequences=sequences,
        bidirectional=bidirectional,
    )


def concatenate(*inputs: Node) -> Node:
    """Join tensors along the channels; a single one is left as it is."""
    return layer("concatenate", *inputs) if len(inputs) > 1 else inputs[0]


def add(*inputs: Node) -> Node:
    """Sum of tensors of one shape."""
    return layer("add", *inputs)


def multiply(*inputs: Node) -> Node:
    """Product of tensors; sizes of 1 are broadcast."""
    return layer("multiply", *inputs)


def squeeze_excite(
    x: Node, filters: int, activation: str = "relu", gate: str = "hard_sigmoid"
) -> Node:
    """Weigh channels by what the whole image holds (Hu et al., 2018).

    The gate is a hard sigmoid, as in MobileNetV3: exact in int8. 1x1 convolutions on the
    pooled image rather than dense layers keep the tensor four-dimensional, which saves the
    reshapes that a device would otherwise run.

    Args:
        x: Images.
        filters: Channels of the bottleneck between the two 1x1 convolutions.
        activation: Name of the activation of the bottleneck.
        gate: Name of the activation that weighs: `"hard_sigmoid"`, or `"sigmoid"` as first
            published.
    """
    weights = global_average_pool(x, keepdims=True)
    weights = conv(weights, filters, 1, activation=activation, norm=False)
    weights = conv(weights, x.channels, 1, activation=gate, norm=False)
    return multiply(x, weights)


def inverted_residual(
    x: Node,
    filters: int,
    kernel: Size = 3,
    stride: int = 1,
    expansion: float = 6,
    squeeze: float = 0.0,
    activation: str = "relu6",
) -> Node:
    """Widen, filter each channel, narrow; add the input where shapes allow.

    The block of MobileNetV2 (Sandler et al., 2018) with the squeeze-and-excite of V3 (Howard
    et al., 2019) on the wide tensor. The narrow output is linear.

    Args:
        x: Images.
        filters: Output channels.
        kernel: Side of the depthwise kernel, or `(height, width)`, pixels.
        stride: Step of the depthwise convolution.
        expansion: Width of the middle over the input channels; at 1 there is no first 1x1
            convolution.
        squeeze: Bottleneck of the squeeze-and-excite over the middle's channels; 0 for none.
        activation: Name of the activation inside.
    """
    wide = make_divisible(x.channels * expansion)
    y = conv(x, wide, 1, activation=activation) if expansion != 1 else x
    y = depthwise(y, kernel, stride, activation)
    if squeeze:
        y = squeeze_excite(y, make_divisible(y.channels * squeeze))
    y = conv(y, filters, 1, activation="linear")
    return add(x, y) if x.shape == y.shape else y


def _padding(padding: str) -> dict[str, str]:
    # Left out where it is what it has always been, so that networks keep their digests.
    if padding not in ("same", "valid"):
        raise ValueError(
            f'Padding must be "same" or "valid". Received: padding={padding!r}. Use `pad` '
            "for any other, before a convolution without padding."
        )
    return {} if padding == "same" else {"padding": padding}


def _dilation(dilation: Size, stride: Size) -> dict[str, Size]:
    if single(dilation) == 1:
        return {}
    if single(stride) != 1:
        raise ValueError(
            "A dilated convolution must have a stride of 1. Received: "
            f"dilation={dilation}, stride={stride}. Use `subsample` before it, with half the "
            "dilation at a stride of 2."
        )
    return {"dilation": single(dilation)}


def _finish(x: Node, function: str, norm: bool) -> Node:
    return activation(layer("batch_norm", x) if norm else x, function)

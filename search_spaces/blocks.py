"""Building blocks of networks: functions from node to node.

They describe; nothing is built. A convolution here is the usual unit of convolution, batch
normalisation and activation, which becomes one operator on a device.
"""

from __future__ import annotations

from search_spaces.network import Node, layer
from search_spaces.operations import Size, single

__all__ = [
    "activation",
    "add",
    "average_pool",
    "conv",
    "dense",
    "depthwise",
    "dropout",
    "flatten",
    "global_average_pool",
    "identity",
    "inverted_residual",
    "make_divisible",
    "max_pool",
    "multiply",
    "pad",
    "rescale",
    "reshape",
    "separable",
    "squeeze_excite",
]


def make_divisible(channels: float, divisor: int = 8) -> int:
    """Round to a multiple of `divisor`, at least `divisor` and never more than 10 % down.

    The rule of the MobileNet papers: kernels on phones and microcontrollers are written for
    channel counts that are multiples of 8 (4 at least).
    """
    rounded = max(divisor, int(channels + divisor / 2) // divisor * divisor)
    return rounded + divisor if rounded < 0.9 * channels else rounded


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
    """
    x = layer(
        "conv",
        x,
        filters=filters,
        kernel=single(kernel),
        stride=single(stride),
        bias=not norm,
        **_padding(padding),
    )
    return _finish(x, activation, norm)


def depthwise(
    x: Node,
    kernel: Size = 3,
    stride: Size = 1,
    activation: str = "relu6",
    norm: bool = True,
    padding: str = "same",
) -> Node:
    """Depthwise convolution: one kernel a channel. Arguments as in `conv`."""
    x = layer(
        "depthwise",
        x,
        kernel=single(kernel),
        stride=single(stride),
        bias=not norm,
        **_padding(padding),
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


def global_average_pool(x: Node, keepdims: bool = False) -> Node:
    """Mean over height and width: `(channels,)`, or `(1, 1, channels)` with `keepdims`."""
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


def flatten(x: Node) -> Node:
    """All values of `x` in a row: from `(height, width, channels)` to one axis."""
    return layer("flatten", x)


def reshape(x: Node, shape: tuple[int, ...]) -> Node:
    """The values of `x` in another shape."""
    return layer("reshape", x, shape=shape)


def add(*inputs: Node) -> Node:
    """Sum of tensors of one shape."""
    return layer("add", *inputs)


def multiply(*inputs: Node) -> Node:
    """Product of tensors; sizes of 1 are broadcast."""
    return layer("multiply", *inputs)


def squeeze_excite(x: Node, filters: int) -> Node:
    """Weigh channels by what the whole image holds (Hu et al., 2018).

    The gate is a hard sigmoid, as in MobileNetV3: exact in int8. 1x1 convolutions on the
    pooled image rather than dense layers keep the tensor four-dimensional, which saves the
    reshapes that a device would otherwise run.

    Args:
        x: Images.
        filters: Channels of the bottleneck between the two 1x1 convolutions.
    """
    gate = global_average_pool(x, keepdims=True)
    gate = conv(gate, filters, 1, activation="relu", norm=False)
    gate = conv(gate, x.channels, 1, activation="hard_sigmoid", norm=False)
    return multiply(x, gate)


def inverted_residual(
    x: Node,
    filters: int,
    kernel: int = 3,
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
        kernel: Side of the depthwise kernel, pixels.
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


def _finish(x: Node, function: str, norm: bool) -> Node:
    return activation(layer("batch_norm", x) if norm else x, function)

"""Networks that others have timed on microcontrollers, as the programs that were run.

Shapes only: what an operator costs depends on nothing else. `NETWORKS` holds the four of
MLPerf Tiny and five of MCUNet, `OPERATORS` single operators out of tables of kernels.

| network                           | what it is                                        |
|-----------------------------------|---------------------------------------------------|
| `ds-cnn`                          | MLPerf Tiny, keyword spotting, 49 x 10 x 1        |
| `resnet-8`                        | MLPerf Tiny, image classification, 32 x 32 x 3    |
| `mobilenet`                       | MLPerf Tiny, visual wake words, 96 x 96 x 3       |
| `autoencoder`                     | MLPerf Tiny, anomaly detection, 640               |
| `person`                          | TFLM's person detection: one grey channel         |
| `mcunet-in0` to `mcunet-in3`      | MCUNet for ImageNet, 48, 96, 160 and 176 pixels   |
| `mbv2-w0.3`                       | MobileNetV2, width 0.3, 80 x 80 x 3               |

The first four are described in mlcommons/tiny, the last two rows in mit-han-lab/tinyml,
`mcunet/assets/configs`.
"""

from __future__ import annotations

from collections.abc import Callable

from edge_devices.program import Operator, Program, Tensor

__all__ = ["NETWORKS", "OPERATORS", "program"]

Pair = int | tuple[int, int]


def program(name: str) -> Program:
    """The program of a network of `NETWORKS` or of an operator of `OPERATORS`."""
    return {**NETWORKS, **OPERATORS}[name]()


class _Chain:
    """A program while it is written, one operator after the other."""

    def __init__(self, *shape: int) -> None:
        self.tensors = [Tensor((1, *shape))]
        self.operators: list[Operator] = []

    @property
    def last(self) -> int:
        return len(self.tensors) - 1

    @property
    def shape(self) -> tuple[int, ...]:
        return self.tensors[-1].shape[1:]

    def conv(
        self, filters: int, kernel: Pair = 1, stride: int = 1, source: int | None = None
    ) -> _Chain:
        kernel = _pair(kernel)
        source = self.last if source is None else source
        height, width, channels = self.tensors[source].shape[1:]
        return self._add(
            "CONV_2D",
            (-(-height // stride), -(-width // stride), filters),
            (source,),
            weights=(filters, *kernel, channels),
            window=kernel,
            stride=(stride, stride),
            bias=True,
        )

    def depthwise(self, kernel: int = 3, stride: int = 1) -> _Chain:
        height, width, channels = self.shape
        return self._add(
            "DEPTHWISE_CONV_2D",
            (-(-height // stride), -(-width // stride), channels),
            (self.last,),
            weights=(1, kernel, kernel, channels),
            window=(kernel, kernel),
            stride=(stride, stride),
            bias=True,
        )

    def pool(self, window: Pair | None = None, op: str = "AVERAGE_POOL_2D") -> _Chain:
        height, width, channels = self.shape
        if window is None:  # all of it
            return self._add(op, (1, 1, channels), (self.last,), window=(height, width))
        return self._add(op, self.shape, (self.last,), window=_pair(window))

    def dense(self, units: int) -> _Chain:
        return self._add(
            "FULLY_CONNECTED",
            (units,),
            (self.last,),
            weights=(units, self.shape[-1]),
            bias=True,
        )

    def elementwise(self, op: str, *others: int) -> _Chain:
        return self._add(op, self.shape, (self.last, *others))

    def flatten(self) -> _Chain:
        return self._add("RESHAPE", (self.tensors[-1].elements,), (self.last,))

    def program(self) -> Program:
        return Program(tuple(self.tensors), tuple(self.operators), (0,), (self.last,))

    def _add(
        self,
        op: str,
        shape: tuple[int, ...],
        inputs: tuple[int, ...],
        *,
        weights: tuple[int, ...] = (),
        bias: bool = False,
        window: tuple[int, int] = (1, 1),
        stride: tuple[int, int] = (1, 1),
    ) -> _Chain:
        self.tensors.append(Tensor((1, *shape)))
        self.operators.append(
            Operator(op, inputs, (self.last,), weights, bias, window, stride, "SAME")
        )
        return self


def _pair(size: Pair) -> tuple[int, int]:
    return (size, size) if isinstance(size, int) else size


def ds_cnn() -> Program:
    """Depthwise separable network for keywords, 2.7 million multiply-accumulates."""
    chain = _Chain(49, 10, 1).conv(64, (10, 4), 2)
    for _ in range(4):
        chain.depthwise().conv(64)
    return chain.pool().flatten().dense(12).elementwise("SOFTMAX").program()


def resnet_8() -> Program:
    """Three residual blocks, 12.5 million multiply-accumulates."""
    chain = _Chain(32, 32, 3).conv(16, 3)
    for filters, stride in ((16, 1), (32, 2), (64, 2)):
        entry = chain.last
        chain.conv(filters, 3, stride).conv(filters, 3)
        if stride > 1:
            branch = chain.last
            chain.conv(filters, 1, stride, source=entry).elementwise("ADD", branch)
        else:
            chain.elementwise("ADD", entry)
    return chain.pool().flatten().dense(10).elementwise("SOFTMAX").program()


def mobilenet(channels: int = 3) -> Program:
    """MobileNetV1, width 0.25, 96 pixels, two classes."""
    chain = _Chain(96, 96, channels).conv(8, 3, 2)
    for filters, stride in (
        *((16, 1), (32, 2), (32, 1), (64, 2), (64, 1), (128, 2)),
        *((128, 1),) * 5,
        *((256, 2), (256, 1)),
    ):
        chain.depthwise(3, stride).conv(filters)
    return chain.pool().flatten().dense(2).elementwise("SOFTMAX").program()


def autoencoder() -> Program:
    """Ten fully connected layers, 264 thousand multiply-accumulates."""
    chain = _Chain(640)
    for units in (*(128,) * 4, 8, *(128,) * 4, 640):
        chain.dense(units)
    return chain.program()


# Of each inverted residual: kernel, expansion, output channels, stride.
_MCUNET = {
    "mcunet-in0": (
        48,
        24,
        (
            *((3, 1, 16, 1), (5, 4, 16, 2), (3, 3, 16, 1), (3, 4, 16, 1), (7, 5, 24, 2)),
            *((5, 4, 24, 1), (5, 5, 24, 1), (7, 5, 48, 2), (5, 4, 48, 1), (3, 5, 56, 1)),
            *((5, 4, 56, 1), (3, 5, 56, 1), (3, 6, 112, 2), (5, 4, 112, 1), (3, 6, 192, 1)),
        ),
    ),
    "mcunet-in1": (
        96,
        16,
        (
            *((3, 1, 8, 1), (3, 4, 16, 2), (3, 3, 16, 1), (7, 3, 24, 2), (3, 5, 24, 1)),
            *((3, 5, 40, 2), (7, 4, 40, 1), (5, 4, 48, 1), (3, 3, 48, 1), (3, 4, 48, 1)),
            *((7, 5, 96, 2), (5, 4, 96, 1), (5, 4, 96, 1), (3, 6, 160, 1)),
        ),
    ),
    "mcunet-in2": (
        160,
        16,
        (
            *((3, 1, 8, 1), (5, 3, 16, 2), (7, 6, 16, 1), (3, 5, 16, 1), (5, 5, 16, 1)),
            *((3, 5, 24, 2), (7, 6, 24, 1), (5, 6, 24, 1), (7, 4, 40, 2), (5, 5, 40, 1)),
            *((3, 5, 48, 1), (5, 5, 48, 1), (3, 4, 48, 1), (5, 6, 96, 2), (5, 4, 96, 1)),
            *((5, 3, 96, 1), (3, 4, 96, 1), (5, 5, 160, 1)),
        ),
    ),
    "mcunet-in3": (
        176,
        16,
        (
            *((3, 1, 8, 1), (7, 3, 16, 2), (3, 5, 16, 1), (7, 5, 16, 1), (5, 4, 16, 1)),
            *((5, 5, 24, 2), (5, 5, 24, 1), (5, 5, 24, 1), (3, 5, 40, 2), (7, 6, 40, 1)),
            *((5, 4, 40, 1), (5, 5, 48, 1), (7, 5, 48, 1), (3, 5, 48, 1), (3, 6, 96, 2)),
            *((7, 5, 96, 1), (3, 4, 96, 1), (7, 5, 160, 1)),
        ),
    ),
    "mbv2-w0.3": (
        80,
        16,
        (
            *((3, 1, 8, 1), (3, 6, 8, 2), (3, 6, 8, 1), (3, 6, 16, 2), (3, 6, 16, 1)),
            *((3, 6, 16, 1), (3, 6, 24, 2), (3, 6, 24, 1), (3, 6, 24, 1), (3, 6, 24, 1)),
            *((3, 6, 32, 1), (3, 6, 32, 1), (3, 6, 32, 1), (3, 6, 48, 2), (3, 6, 48, 1)),
            *((3, 6, 48, 1), (3, 6, 96, 1)),
        ),
    ),
}
_FEATURES = {"mbv2-w0.3": 384}  # a last 1x1 convolution before the classifier


def mcunet(name: str) -> Program:
    """A network of MCUNet's configurations: inverted residuals, 1000 classes."""
    pixels, stem, blocks = _MCUNET[name]
    chain = _Chain(pixels, pixels, 3).conv(stem, 3, 2)
    for kernel, expansion, filters, stride in blocks:
        entry, channels = chain.last, chain.shape[-1]
        if expansion > 1:
            chain.conv(channels * expansion)
        chain.depthwise(kernel, stride).conv(filters)
        if stride == 1 and channels == filters:
            chain.elementwise("ADD", entry)
    if name in _FEATURES:
        chain.conv(_FEATURES[name])
    return chain.pool().flatten().dense(1000).program()


def _valid(
    op: str, shape: tuple[int, int, int], weights: tuple[int, int, int, int]
) -> Program:
    """One convolution of stride 1 without padding."""
    height, width, _ = shape
    filters = weights[-1] if op == "DEPTHWISE_CONV_2D" else weights[0]
    written = (height - weights[1] + 1, width - weights[2] + 1, filters)
    tensors = (Tensor((1, *shape)), Tensor((1, *written)))
    operator = Operator(op, (0,), (1,), weights, True, weights[1:3], (1, 1), "VALID")
    return Program(tensors, (operator,), (0,), (1,))


NETWORKS: dict[str, Callable[[], Program]] = {
    "ds-cnn": ds_cnn,
    "resnet-8": resnet_8,
    "mobilenet": mobilenet,
    "autoencoder": autoencoder,
    "person": lambda: mobilenet(1),
    **{name: (lambda name=name: mcunet(name)) for name in _MCUNET},  # type: ignore[misc]
}

OPERATORS: dict[str, Callable[[], Program]] = {
    "ds-cnn/conv": lambda: _Chain(49, 10, 1).conv(64, (10, 4), 2).program(),
    "ds-cnn/depthwise": lambda: _Chain(25, 5, 64).depthwise().program(),
    "ds-cnn/pointwise": lambda: _Chain(25, 5, 64).conv(64).program(),
    "ds-cnn/pool": lambda: _Chain(25, 5, 64).pool().program(),
    "ds-cnn/reshape": lambda: _Chain(1, 1, 64).flatten().program(),
    "ds-cnn/dense": lambda: _Chain(64).dense(12).program(),
    "ds-cnn/softmax": lambda: _Chain(12).elementwise("SOFTMAX").program(),
    "conv3x3/32x32x64/64": lambda: _Chain(32, 32, 64).conv(64, 3).program(),
    "conv1x1/32x32x64/64": lambda: _Chain(32, 32, 64).conv(64).program(),
    "depthwise3x3/32x32x64": lambda: _Chain(32, 32, 64).depthwise().program(),
    "dense/512/256": lambda: _Chain(512).dense(256).program(),
    "average_pool3x3/32x32x64": lambda: _Chain(32, 32, 64).pool(3).program(),
    "add/4096": lambda: _Chain(4096).elementwise("ADD", 0).program(),
    "mul/4096": lambda: _Chain(4096).elementwise("MUL", 0).program(),
    "add/32x32x16": lambda: _Chain(32, 32, 16).elementwise("ADD", 0).program(),
    "mul/32x32x16": lambda: _Chain(32, 32, 16).elementwise("MUL", 0).program(),
    "hard_swish/32x32x16": lambda: _Chain(32, 32, 16).elementwise("HARD_SWISH").program(),
    "leaky_relu/32x32x16": lambda: _Chain(32, 32, 16).elementwise("LEAKY_RELU").program(),
    "mean/32x32x16": lambda: _Chain(32, 32, 16).pool(op="MEAN").program(),
    "conv1x1/10x10x64/64": lambda: _Chain(10, 10, 64).conv(64).program(),
    "conv1x1/8x8x16/16": lambda: _Chain(8, 8, 16).conv(16).program(),
    "conv3x3/10x10x3/64": lambda: _valid("CONV_2D", (10, 10, 3), (64, 3, 3, 3)),
    "depthwise3x3/18x18x16": lambda: _valid("DEPTHWISE_CONV_2D", (18, 18, 16), (1, 3, 3, 16)),
    # Eight output channels for each of four: as many multiply-accumulates as 32 channels.
    "depthwise5x5/12x12x32": lambda: _Chain(10, 10, 32).depthwise(5).program(),
    "max_pool3x3/16x16x16": lambda: _Chain(16, 16, 16).pool(3, "MAX_POOL_2D").program(),
    "average_pool3x3/16x16x16": lambda: _Chain(16, 16, 16).pool(3).program(),
    "dense/265/3": lambda: _Chain(265).dense(3).program(),
    "add/1615": lambda: _Chain(1615).elementwise("ADD", 0).program(),
    "mul/1615": lambda: _Chain(1615).elementwise("MUL", 0).program(),
}

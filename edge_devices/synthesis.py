"""A `.tflite` file of a network that nobody has trained: random weights, real operators.

What a compiler or an interpreter makes of a network depends on its operators, its shapes and
its types, hardly on its weights. So a description becomes a file at once, without TensorFlow,
and a candidate can be compiled for an NPU or timed before it is trained.
"""

from __future__ import annotations

import collections
import functools
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from edge_devices.program import Operator, Program, Tensor
from edge_devices.spelling import did_you_mean

__all__ = ["OPERATORS", "file"]

Array = NDArray[Any]
Shape = tuple[int, ...]


def file(program: Program, seed: int = 0) -> bytes:
    """Write a program as a `.tflite` file with random weights.

    The file has the operators, shapes and types of the program, and zeros for the biases
    that a convolution lacks. It is quantized as the converter does it: activations by one
    scale and zero point each, weights of convolutions and dense layers by a scale per output
    channel and a zero point of 0, biases by the product of the scales of input and weights.
    Operators that only move values around (pooling, reshape, concatenation, padding) keep
    their input's scale, and those with a known range (softmax, sigmoid, tanh) have the one
    that is prescribed. Weights are normally distributed and fill the range of each channel,
    as trained ones do; that matters where they are compressed. They are scaled so that
    activations neither vanish nor saturate.

    Args:
        program: What the file is to compute. Its activations are of int8, int16 or float32.
        seed: Seeds the weights, scales and zero points. Equal seeds give equal bytes.

    Returns:
        The content of the file. It has one signature, `"serving_default"`, with inputs
        `"input"` (`"input_1"`, ... if there are several) and outputs `"output"`.

    Raises:
        ValueError: If it cannot write an operator or a type, which it names.

    Reference:
        "LiteRT 8-bit quantization specification",
        https://ai.google.dev/edge/litert/conversion/tensorflow/quantization/quantization_spec.
        Unlike that page, and like the converter of TensorFlow 2.21, dense layers are
        quantized per channel too.
    """
    _check(program)
    return _Writer(program, np.random.default_rng(seed)).content()


class _Quantization(NamedTuple):
    """A scale and a zero point, or one of each a channel along `axis`."""

    scales: Array
    zero_points: Array
    axis: int = 0


class _Kind(NamedTuple):
    """How one operator of the schema is written.

    Attributes:
        options: Name of its table of options, or "".
        version: The version of the operator that takes int8.
        constants: Operands after its activations, made from the program and the operator.
        first: Whether those constants come before its activations.
        keeps_scale: Whether its output must have its inputs' scale.
        range: The range of its output, where it is prescribed.
        from_zero: Whether its output is never negative.
    """

    options: str
    version: int = 2
    constants: Callable[[Program, Operator], list[Array]] | None = None
    first: bool = False
    keeps_scale: bool = False
    range: tuple[float, float] | None = None
    from_zero: bool = False


def _shapes(program: Program, operator: Operator) -> tuple[Shape, Shape]:
    return program.tensors[operator.inputs[0]].shape, program.tensors[
        operator.outputs[0]
    ].shape


def _reduced_axes(program: Program, operator: Operator) -> list[Array]:
    """Axes of a mean: those between the batch and what is left at the end."""
    before, after = _shapes(program, operator)
    if len(before) == len(after):
        axes = [i for i, (a, b) in enumerate(zip(before, after, strict=True)) if a != b]
        axes = axes or list(range(1, len(before) - 1))
    else:
        axes = list(range(1, 1 + len(before) - len(after)))
    return [np.array(axes, np.int32)]


def _new_shape(program: Program, operator: Operator) -> list[Array]:
    return [np.array(_shapes(program, operator)[1], np.int32)]


def _paddings(program: Program, operator: Operator) -> list[Array]:
    """As much before as after, the odd one after."""
    totals = [b - a for a, b in zip(*_shapes(program, operator), strict=True)]
    return [np.array([[total // 2, total - total // 2] for total in totals], np.int32)]


def _new_size(program: Program, operator: Operator) -> list[Array]:
    return [np.array(_shapes(program, operator)[1][1:3], np.int32)]


def _slice(program: Program, operator: Operator) -> list[Array]:
    """A slice from the start of every axis: where one begins makes no difference to a cost."""
    _, after = _shapes(program, operator)
    begin = np.zeros(len(after), np.int32)
    return [begin, np.array(after, np.int32), np.ones(len(after), np.int32)]


def _split_axis(program: Program, operator: Operator) -> list[Array]:
    before, after = _shapes(program, operator)
    axes = [i for i, (a, b) in enumerate(zip(before, after, strict=True)) if a != b]
    return [np.array((axes or [len(before) - 1])[0], np.int32)]


def _permutation(program: Program, operator: Operator) -> list[Array]:
    """The first permutation, in order, that turns one shape into the other."""
    before, after = _shapes(program, operator)
    free, axes = list(range(len(before))), []
    for size in after:
        axes.append(next(axis for axis in free if before[axis] == size))
        free.remove(axes[-1])
    return [np.array(axes, np.int32)]


_UNIT, _SYMMETRIC = (0.0, 255 / 256), (-1.0, 127 / 128)

_KINDS = {
    "CONV_2D": _Kind("Conv2DOptions", 3),
    "DEPTHWISE_CONV_2D": _Kind("DepthwiseConv2DOptions", 3),
    "FULLY_CONNECTED": _Kind("FullyConnectedOptions", 4),
    "ADD": _Kind("AddOptions"),
    "SUB": _Kind("SubOptions"),
    "MUL": _Kind("MulOptions"),
    "MEAN": _Kind("ReducerOptions", 2, _reduced_axes),
    "SUM": _Kind("ReducerOptions", 2, _reduced_axes),
    "REDUCE_MAX": _Kind("ReducerOptions", 2, _reduced_axes, keeps_scale=True),
    "AVERAGE_POOL_2D": _Kind("Pool2DOptions", keeps_scale=True),
    "MAX_POOL_2D": _Kind("Pool2DOptions", keeps_scale=True),
    "RESHAPE": _Kind("ReshapeOptions", 1, _new_shape, keeps_scale=True),
    "TRANSPOSE": _Kind("TransposeOptions", 2, _permutation, keeps_scale=True),
    "PAD": _Kind("PadOptions", 2, _paddings, keeps_scale=True),
    "CONCATENATION": _Kind("ConcatenationOptions", keeps_scale=True),
    "RESIZE_NEAREST_NEIGHBOR": _Kind(
        "ResizeNearestNeighborOptions", 2, _new_size, keeps_scale=True
    ),
    "RESIZE_BILINEAR": _Kind("ResizeBilinearOptions", 2, _new_size, keeps_scale=True),
    "GATHER": _Kind("GatherOptions", 2, keeps_scale=True),
    "SELECT_V2": _Kind("SelectV2Options", 1, keeps_scale=True),
    "STRIDED_SLICE": _Kind("StridedSliceOptions", 2, _slice, keeps_scale=True),
    "UNPACK": _Kind("UnpackOptions", 2, keeps_scale=True),
    "PACK": _Kind("PackOptions", 2, keeps_scale=True),
    "SPLIT": _Kind("SplitOptions", 2, _split_axis, first=True, keeps_scale=True),
    "BATCH_MATMUL": _Kind("BatchMatMulOptions", 2),
    "SQUARED_DIFFERENCE": _Kind("SquaredDifferenceOptions", 2, from_zero=True),
    "RSQRT": _Kind("", 2, from_zero=True),
    "SOFTMAX": _Kind("SoftmaxOptions", range=_UNIT),
    "LOGISTIC": _Kind("", range=_UNIT),
    "TANH": _Kind("", range=_SYMMETRIC),
    "HARD_SWISH": _Kind("HardSwishOptions", 1),
    "RELU": _Kind("", from_zero=True),
    "RELU6": _Kind("", range=(0.0, 6.0)),
    "LEAKY_RELU": _Kind("LeakyReluOptions"),
    "ELU": _Kind("", 1),
    "GELU": _Kind("GeluOptions"),
    "QUANTIZE": _Kind("QuantizeOptions"),
    "DEQUANTIZE": _Kind("DequantizeOptions"),
}

OPERATORS = tuple(_KINDS)
"""Names of the operators that can be written."""

_WEIGHTED = ("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED")
_STEPS = {"int8": (-128, 127), "int16": (-32767, 32767)}
_FLOATS = ("float32",)
_TOKENS = ("int32",)
_WEIGHT_TYPES = ("int8", "int4", "float32")


def _check(program: Program) -> None:
    unknown = sorted({op.op for op in program.operators} - _KINDS.keys())
    if unknown:
        raise ValueError(
            "A file with random weights cannot have these operators. Received: "
            f"{', '.join(unknown)}. {did_you_mean(unknown[0], _KINDS)}Known: "
            f"{', '.join(_KINDS)}. Convert the trained model instead."
        )
    others = {program.tensors[index].dtype for index in program.inputs} & set(_TOKENS)
    types = {tensor.dtype for tensor in program.tensors} - {*_STEPS, *_FLOATS} - others
    if types:
        raise ValueError(
            "Activations must be int8, int16 or float32, inputs int32 as well. Received: "
            f"{', '.join(sorted(types))}. Convert the trained model instead."
        )
    for operator in program.operators:
        if operator.op in _WEIGHTED and not operator.weights:
            raise ValueError(
                f"Weights must be constants of the file. Received: {operator.op} without "
                "`weights`. Use layers with weights of their own."
            )
        _check_shape(program, operator)
        if operator.op in _WEIGHTED and operator.weight_dtype not in _WEIGHT_TYPES:
            raise ValueError(
                f"Weights must be of {', '.join(_WEIGHT_TYPES)}. Received: {operator.op} with "
                f"weights of {operator.weight_dtype}. Convert the trained model instead."
            )


def _check_shape(program: Program, operator: Operator) -> None:
    """Refuse windows whose output has another size than the runtime will give it."""
    if operator.op not in ("CONV_2D", "DEPTHWISE_CONV_2D", "AVERAGE_POOL_2D", "MAX_POOL_2D"):
        return
    before, after = _shapes(program, operator)
    reach = zip(operator.window, operator.dilation, strict=True)
    lost = [0 if operator.padding == "SAME" else (size - 1) * gap for size, gap in reach]
    expected = tuple(
        -(-(size - less) // step)
        for size, less, step in zip(before[1:3], lost, operator.stride, strict=True)
    )
    if after[1:3] != expected:
        raise ValueError(
            "A window's output must have the size that window, stride and padding give it: "
            f"{expected}. Received: {operator.op} from {before} to {after} with window "
            f"{operator.window}, stride {operator.stride}, padding {operator.padding!r}, "
            f"dilation {operator.dilation}. Convert the trained model instead."
        )


def _ranges(program: Program, rng: np.random.Generator) -> list[tuple[float, float]]:
    """A plausible range of real numbers for every activation."""
    # Tensors that must share a scale point to the first of them.
    first = list(range(len(program.tensors)))

    def root(index: int) -> int:
        while first[index] != index:
            index = first[index]
        return index

    for operator in program.operators:
        if _KINDS[operator.op].keeps_scale:
            one, *others = sorted({root(i) for i in (*operator.inputs, *operator.outputs)})
            for other in others:
                first[other] = one
    # Nothing below zero has a root.
    rooted = {i for o in program.operators if o.op == "RSQRT" for i in o.inputs}
    made: dict[int, tuple[float, float]] = {root(i): (0.0, 1.0) for i in program.inputs}
    prescribed: dict[int, tuple[float, float]] = {}
    for operator in program.operators:
        kind = _KINDS[operator.op]
        top = rng.uniform(2.5, 5.0)
        if operator.op == "SUM":
            before, after = (
                program.tensors[i[0]] for i in (operator.inputs, operator.outputs)
            )
            top *= before.elements / after.elements
        positive = kind.from_zero or operator.activation or rooted & {*operator.outputs}
        low = 0.0 if positive else -rng.uniform(0.5, 1.0) * top
        for index in map(root, operator.outputs):
            if kind.range is not None:
                prescribed.setdefault(index, kind.range)
            elif not kind.keeps_scale:
                made.setdefault(index, (low, top))
    every = made | prescribed
    return [every.get(root(i), (-1.0, 1.0)) for i in range(len(program.tensors))]


def _quantization(tensor: Tensor, ends: tuple[float, float]) -> _Quantization | None:
    if tensor.dtype in (*_FLOATS, *_TOKENS):
        return None
    low, high = _STEPS[tensor.dtype]
    if tensor.dtype == "int16":  # always symmetric
        scale, zero = max(-ends[0], ends[1]) / high, 0
    else:
        scale = (ends[1] - ends[0]) / (high - low)
        zero = round(low - ends[0] / scale)
    return _Quantization(np.array([scale], np.float32), np.array([zero], np.int64))


class _Writer:
    """One pass from a program to the objects of the schema, then to bytes."""

    def __init__(self, program: Program, rng: np.random.Generator) -> None:
        from ai_edge_litert import schema_py_generated as schema

        self._schema = schema
        self._program, self._rng = program, rng
        self._buffers: list[Any] = [schema.BufferT()]  # the first one is always empty
        self._tensors: list[Any] = []
        self._codes: dict[str, int] = {}
        self._shared_constants: dict[Any, int] = {}
        # Operators that are one layer at several times share its weights.
        constants = collections.Counter((c.dtype, c.shape) for c in program.constants or ())
        self._weights_left = constants if program.constants is not None else None
        self._written: dict[Any, tuple[int, Array | None, dict[Any, int]]] = {}
        ranges = _ranges(program, rng)
        self._quantizations = [
            _quantization(tensor, ends)
            for tensor, ends in zip(program.tensors, ranges, strict=True)
        ]
        ends = {*program.inputs, *program.outputs}
        for index, (tensor, parameters) in enumerate(
            zip(program.tensors, self._quantizations, strict=True)
        ):
            name = self._name(index) if index in ends else ""
            self._tensor(tensor.shape, tensor.dtype, parameters, name=name)

    def content(self) -> bytes:
        schema, program = self._schema, self._program
        graph = schema.SubGraphT()
        graph.operators = [self._operator(operator) for operator in program.operators]
        graph.tensors = self._tensors
        graph.inputs, graph.outputs = list(program.inputs), list(program.outputs)
        graph.name = "main"
        model = schema.ModelT()
        model.version = 3
        model.subgraphs = [graph]
        model.buffers = self._buffers
        model.operatorCodes = [self._code(name) for name in self._codes]
        model.signatureDefs = [self._signature()]
        return _packed(model)

    def _name(self, index: int) -> str:
        program = self._program
        kind = "input" if index in program.inputs else "output"
        positions = program.inputs if kind == "input" else program.outputs
        number = positions.index(index)
        return f"{kind}_{number}" if number else kind

    def _signature(self) -> Any:
        signature = self._schema.SignatureDefT()
        signature.signatureKey = "serving_default"
        signature.subgraphIndex = 0
        signature.inputs = [self._map(index) for index in self._program.inputs]
        signature.outputs = [self._map(index) for index in self._program.outputs]
        return signature

    def _map(self, index: int) -> Any:
        entry = self._schema.TensorMapT()
        entry.name, entry.tensorIndex = self._name(index), index
        return entry

    def _code(self, name: str) -> Any:
        code = self._schema.OperatorCodeT()
        code.builtinCode = getattr(self._schema.BuiltinOperator, name)
        # Older readers look into the older field, which has one byte.
        code.deprecatedBuiltinCode = min(code.builtinCode, 127)
        code.version = _KINDS[name].version
        return code

    def _tensor(
        self,
        shape: Sequence[int],
        dtype: str,
        parameters: _Quantization | None,
        values: Array | None = None,
        name: str = "",
    ) -> int:
        tensor = self._schema.TensorT()
        tensor.shape = np.asarray(shape, np.int32)
        tensor.type = getattr(self._schema.TensorType, dtype.upper())
        tensor.name = name
        tensor.hasRank = True
        tensor.buffer = 0
        if values is not None:
            buffer = self._schema.BufferT()
            buffer.data = np.frombuffer(values.tobytes(), np.uint8)
            tensor.buffer = len(self._buffers)
            self._buffers.append(buffer)
        if parameters is not None:
            quantization = self._schema.QuantizationParametersT()
            quantization.scale = parameters.scales
            quantization.zeroPoint = parameters.zero_points
            quantization.quantizedDimension = parameters.axis
            tensor.quantization = quantization
        self._tensors.append(tensor)
        return len(self._tensors) - 1

    def _operator(self, operator: Operator) -> Any:
        kind = _KINDS[operator.op]
        written = self._schema.OperatorT()
        written.opcodeIndex = self._codes.setdefault(operator.op, len(self._codes))
        constants = self._constants(operator, kind)
        inputs = [*operator.inputs, *constants]
        if operator.op == "SELECT_V2":
            inputs = [constants[0], *operator.inputs, constants[1]]
        elif kind.first or (operator.op == "GATHER" and operator.weight_dtype != "int32"):
            inputs = [*constants, *operator.inputs]
        written.inputs = inputs
        written.outputs = list(operator.outputs)
        if kind.options:
            written.builtinOptionsType = getattr(self._schema.BuiltinOptions, kind.options)
            written.builtinOptions = self._options(operator, kind.options)
        return written

    def _constants(self, operator: Operator, kind: _Kind) -> list[int]:
        if operator.op in _WEIGHTED:
            return self._weights(operator)
        if kind.constants is not None:
            return [
                self._shared(
                    ("int32", values.tobytes(), values.shape),
                    functools.partial(self._tensor, values.shape, "int32", None, values),
                )
                for values in kind.constants(self._program, operator)
            ]
        if operator.op == "GATHER":
            return [self._gathered(operator)]
        if operator.op == "SELECT_V2":
            return self._masked(operator)
        if operator.op in ("ADD", "SUB", "MUL") and len(operator.inputs) == 1:
            dtype = self._program.tensors[operator.inputs[0]].dtype
            shape = operator.weights or (1,)
            if shape != (1,):
                return [self._operand(shape, dtype)]
            return [self._shared((dtype, shape), lambda: self._operand(shape, dtype))]
        return []

    def _shared(self, key: Any, write: Callable[[], int]) -> int:
        """A constant that several operators read; the converter writes such once."""
        if key not in self._shared_constants:
            self._shared_constants[key] = write()
        return self._shared_constants[key]

    def _gathered(self, operator: Operator) -> int:
        """A table of weights, or the rows that are taken of an activation."""
        shape = operator.weights
        if operator.weight_dtype == "int32":
            order = np.arange(shape[0], dtype=np.int32)[::-1].copy()
            return self._shared(
                ("int32", order.tobytes(), shape),
                lambda: self._tensor(shape, "int32", None, order),
            )
        values = self._rng.integers(-127, 128, shape).astype(np.int8)
        return self._tensor(shape, "int8", self._quantizations[operator.outputs[0]], values)

    def _masked(self, operator: Operator) -> list[int]:
        """What is kept, and the number that takes the place of the rest."""
        kept = np.tril(np.ones(operator.weights, np.bool_))
        mask = self._shared(
            ("bool", operator.weights),
            lambda: self._tensor(operator.weights, "bool", None, kept),
        )
        lowest = np.array(-128, np.int8)
        same = self._quantizations[operator.outputs[0]]
        return [mask, self._tensor((), "int8", same, lowest)]

    def _operand(self, shape: Shape, dtype: str) -> int:
        """A constant that is added or multiplied: around 1, of the type of the other."""
        real = self._rng.uniform(0.5, 1.5, shape).astype(np.float32)
        parameters = _quantization(Tensor(shape, dtype), (0.0, float(real.max())))
        if parameters is None:
            return self._tensor(shape, dtype, None, real)
        values = np.rint(real / parameters.scales[0]) + parameters.zero_points[0]
        clipped = np.clip(values, *_STEPS[dtype])
        return self._tensor(shape, dtype, parameters, clipped.astype(dtype))

    def _weights(self, operator: Operator) -> list[int]:
        """Weights and biases; the weights of an earlier operator where there are no others."""
        key = operator.weight_dtype, operator.weights
        if self._weights_left is not None:
            self._weights_left[key] -= 1
        if self._weights_left is None or self._weights_left[key] >= 0:
            self._written[key] = self._kernel(operator)
        index, scales, biases = self._written[key]
        if not operator.bias and operator.op == "FULLY_CONNECTED":
            return [index, -1]  # a place that may stay empty
        source = self._quantizations[operator.inputs[0]]
        step = None if source is None else float(source.scales[0])
        # Integer convolutions need biases; the converter writes zeros as well.
        if (step, operator.bias) not in biases:
            biases[step, operator.bias] = self._biases(operator, scales, step)
        return [index, biases[step, operator.bias]]

    def _kernel(self, operator: Operator) -> tuple[int, Array | None, dict[Any, int]]:
        """Weights: their tensor, their scales, and room for biases of their operators."""
        shape = operator.weights
        axis = 3 if operator.op == "DEPTHWISE_CONV_2D" else 0
        others = tuple(i for i in range(len(shape)) if i != axis)
        fan_in = int(np.prod([shape[i] for i in others]))
        real = self._rng.standard_normal(shape, np.float32) / np.float32(np.sqrt(fan_in))
        if operator.weight_dtype == "float32":
            return self._tensor(shape, "float32", None, real), None, {}
        most = 7 if operator.weight_dtype == "int4" else 127
        scales = np.maximum(np.abs(real).max(axis=others), 1e-6) / np.float32(most)
        along = [1] * len(shape)
        along[axis] = -1
        values = np.rint(real / scales.reshape(along)).astype(np.int8)
        packed = _nibbles(values) if operator.weight_dtype == "int4" else values
        parameters = _Quantization(scales, np.zeros(len(scales), np.int64), axis)
        return self._tensor(shape, operator.weight_dtype, parameters, packed), scales, {}

    def _biases(self, operator: Operator, scales: Array | None, step: float | None) -> int:
        """Biases in steps of the weights' scales times the input's."""
        channels = operator.weights[3 if operator.op == "DEPTHWISE_CONV_2D" else 0]
        real = self._rng.normal(0.0, 0.2, channels) * operator.bias
        if scales is None or step is None:  # float arithmetic
            return self._tensor((channels,), "float32", None, real.astype(np.float32))
        wide = self._program.tensors[operator.inputs[0]].dtype == "int16"
        kind = "int64" if wide else "int32"
        steps = scales * np.float32(step)
        values = np.rint(real / steps).astype(kind)
        zeros = np.zeros(channels, np.int64)
        parameters = _Quantization(steps.astype(np.float32), zeros)
        return self._tensor((channels,), kind, parameters, values)

    def _options(self, operator: Operator, name: str) -> Any:
        schema = self._schema
        options = getattr(schema, name + "T")()
        before, after = _shapes(self._program, operator)
        settings = {
            "padding": getattr(schema.Padding, operator.padding),
            "strideH": operator.stride[0],
            "strideW": operator.stride[1],
            "dilationHFactor": operator.dilation[0],
            "dilationWFactor": operator.dilation[1],
            "num": len(operator.outputs),
            "numSplits": len(operator.outputs),
            "valuesCount": len(operator.inputs),
            "filterHeight": operator.window[0],
            "filterWidth": operator.window[1],
            "depthMultiplier": operator.weights[-1] // before[-1] if operator.weights else 1,
            "fusedActivationFunction": getattr(
                schema.ActivationFunctionType, operator.activation or "NONE"
            ),
            "keepDims": len(before) == len(after),
            "keepNumDims": len(after) > 2,
            "newShape": list(after),
            "beta": 1.0,
            "alpha": 0.2,
            "halfPixelCenters": True,
        }
        if "axis" in vars(options):
            settings["axis"] = self._joined_axis(operator)
        for setting, value in settings.items():
            if setting in vars(options):
                setattr(options, setting, value)
        return options

    def _joined_axis(self, operator: Operator) -> int:
        if operator.op in ("PACK", "UNPACK"):
            return 0
        if operator.op == "GATHER":
            return 0 if operator.weight_dtype != "int32" else 1
        before, after = _shapes(self._program, operator)
        differ = [i for i, (a, b) in enumerate(zip(before, after, strict=True)) if a != b]
        return differ[0] if differ else len(after) - 1


def _nibbles(values: Array) -> Array:
    """Two 4-bit values a byte, the first one low."""
    flat = values.reshape(-1)
    padded = np.concatenate([flat, np.zeros(len(flat) % 2, np.int8)]).view(np.uint8) & 15
    return np.asarray(padded[::2] | padded[1::2] << 4, np.uint8)


def _packed(model: Any) -> bytes:
    import flatbuffers  # type: ignore[import-untyped]

    class Builder(flatbuffers.Builder):
        """Writes equal vectors once, and weights where the schema asks for them."""

        def __init__(self) -> None:
            super().__init__(1 << 16)
            self._written: dict[Any, int] = {}

        def CreateNumpyVector(self, x: Any) -> int:
            key = (x.dtype.str, x.tobytes())
            if key not in self._written:
                if x.dtype == np.uint8:
                    self.Prep(16, x.nbytes)  # which Python's generated code forgets
                self._written[key] = super().CreateNumpyVector(x)
            return self._written[key]

        def CreateString(self, s: Any, *args: Any, **kwargs: Any) -> int:
            if s not in self._written:
                self._written[s] = super().CreateString(s, *args, **kwargs)
            return self._written[s]

    builder = Builder()
    builder.Finish(model.Pack(builder), file_identifier=b"TFL3")
    return bytes(builder.Output())

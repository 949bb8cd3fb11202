"""What TensorFlow Lite Micro makes of a file: whether it runs, what it needs and computes.

The interpreter of microcontrollers is run as it is, built for this machine, from the package
`tflite-micro`. Its C++ does not always survive what it is given, so it runs in a process of
its own (`edge_devices.isolation`).
"""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from edge_devices import isolation
from edge_devices.inputs import Given, as_inputs, by_name, count, input_names, taken
from edge_devices.source import Source, content_of

__all__ = [
    "OPERATORS",
    "Agreement",
    "Arena",
    "Port",
    "TFLMModel",
    "arena",
    "compare_interpreters",
    "refusal",
]

Array = NDArray[Any]

OPERATORS = frozenset(
    """
    ABS ADD ADD_N ARG_MAX ARG_MIN ASSIGN_VARIABLE AVERAGE_POOL_2D BATCH_MATMUL
    BATCH_TO_SPACE_ND BROADCAST_ARGS BROADCAST_TO CALL_ONCE CAST CEIL CONCATENATION CONV_2D
    COS CUMSUM DEPTHWISE_CONV_2D DEPTH_TO_SPACE DEQUANTIZE DIV DYNAMIC_UPDATE_SLICE ELU
    EMBEDDING_LOOKUP EQUAL EXP EXPAND_DIMS FILL FLOOR FLOOR_DIV FLOOR_MOD FULLY_CONNECTED
    GATHER GATHER_ND GREATER GREATER_EQUAL HARD_SWISH IF L2_NORMALIZATION L2_POOL_2D
    LEAKY_RELU LESS LESS_EQUAL LOG LOGICAL_AND LOGICAL_NOT LOGICAL_OR LOGISTIC LOG_SOFTMAX
    MAXIMUM MAX_POOL_2D MEAN MINIMUM MIRROR_PAD MUL NEG NOT_EQUAL PACK PAD PADV2 PRELU
    QUANTIZE READ_VARIABLE REDUCE_ALL REDUCE_MAX REDUCE_MIN RELU RELU6 RESHAPE
    RESIZE_BILINEAR RESIZE_NEAREST_NEIGHBOR REVERSE_V2 ROUND RSQRT SELECT_V2 SHAPE SIN SLICE
    SOFTMAX SPACE_TO_BATCH_ND SPACE_TO_DEPTH SPLIT SPLIT_V SQRT SQUARE SQUARED_DIFFERENCE
    SQUEEZE STRIDED_SLICE SUB SUM SVDF TANH TRANSPOSE TRANSPOSE_CONV
    UNIDIRECTIONAL_SEQUENCE_LSTM UNPACK VAR_HANDLE WHILE ZEROS_LIKE
    """.split()
)
"""What its resolver can register (micro_mutable_op_resolver.h), as the schema calls it.

TensorFlow Lite has about 100 operators more; there is no kernel for those here.
"""

_TIMEOUT = 300.0  # seconds for one call
_AT_ONCE = 64  # examples in one call
_ADVICE = (
    "Other files still run. Convert the model again with default settings; if that crashes "
    "too, TensorFlow Lite Micro has a bug with one of its operators: use another layer."
)


class Arena(NamedTuple):
    """Bytes of the tensor arena, as TensorFlow Lite Micro's recording allocator reports them.

    `activations` is the same on every target: tensors and scratch buffers, laid out by the
    memory planner. `persistent` holds structures with pointers, so it is larger on this
    64-bit machine than on a 32-bit microcontroller, and depends on the release.

    Attributes:
        activations: Its head, used again from operator to operator.
        persistent: Its tail, kept as long as the interpreter.
        parts: What the tail is made of, by the allocator's own names; they add up to less
            than the whole, the rest is the interpreter's bookkeeping.
    """

    activations: int
    persistent: int
    parts: dict[str, int]

    @property
    def total(self) -> int:
        """Bytes of both; give a device a tenth more."""
        return self.activations + self.persistent


class Port(NamedTuple):
    """An input or output: its type and, if quantized, what its values stand for.

    A quantized value `q` stands for the real number `(q - zero_point) * scale`.

    Attributes:
        shape: Its shape with the batch, which is 1.
        dtype: NumPy's name of its type.
        scale: Width of one quantization step; `None` if it is not quantized.
        zero_point: The quantized value that stands for 0; `None` if it is not quantized.
    """

    shape: tuple[int, ...]
    dtype: str
    scale: float | None
    zero_point: int | None

    def quantized(self, real: ArrayLike) -> Array:
        """Values as the file takes them."""
        values = np.asarray(real)
        if self.scale is None or self.zero_point is None:
            return values.astype(self.dtype)
        limits = np.iinfo(self.dtype)
        steps = np.round(values.astype(np.float32) / np.float32(self.scale)) + self.zero_point
        clipped: Array = np.clip(steps, limits.min, limits.max)
        return clipped.astype(self.dtype)

    def real(self, raw: Array) -> Array:
        """Numbers that values of the file stand for."""
        if self.scale is None or self.zero_point is None:
            return raw
        numbers: Array = (raw.astype(np.float32) - self.zero_point) * np.float32(self.scale)
        return numbers


class Agreement(NamedTuple):
    """How far two interpreters agree on a file.

    Attributes:
        same_class: Share of the examples with the same largest output, 0 to 1. With a single
            output: on the same side of 0, or of one half if the file's quantized outputs
            all lie between 0 and 1.
        largest_difference: Largest difference of an output, in quantization steps; of a
            float output, as a number.
        examples: Number of examples.
    """

    same_class: float
    largest_difference: float
    examples: int


def arena(source: Source) -> Arena:
    """Run a file once in TensorFlow Lite Micro and report the memory it takes.

    Args:
        source: Path or bytes of a `.tflite` file.

    Returns:
        The arena of this machine's build, see `Arena`.

    Raises:
        ImportError: If `tflite-micro` is not installed.
        ValueError: If it does not run the file, with the reason it gives.
        edge_devices.isolation.Crash: If it crashes.
    """
    text = _call("measured the arena of", _allocations, content_of(source))
    total = dict(re.findall(r"Arena allocation (\w+) (\d+) bytes", text))
    parts = re.findall(r"'([\w ]+)' used (\d+) bytes", text)
    return Arena(
        int(total["head"]), int(total["tail"]), {name: int(size) for name, size in parts}
    )


def refusal(source: Source) -> str | None:
    """Say why TensorFlow Lite Micro does not run a file; `None` if it does.

    Args:
        source: Path or bytes of a `.tflite` file.

    Raises:
        ImportError: If `tflite-micro` is not installed.
    """
    try:
        arena(source)
    except (ValueError, isolation.Crash, TimeoutError) as error:
        return str(error)
    return None


class TFLMModel:
    """A `.tflite` file run by TensorFlow Lite Micro; takes and returns real numbers.

    Inputs are quantized, outputs dequantized, by the file's own scales and zero points. One
    example at a time is run, by the portable reference kernels. Vendors' kernels (CMSIS-NN,
    ESP-NN) are written to return the same int8 values.

    Args:
        source: Path or bytes of a file with one output.

    Attributes:
        inputs: What the file takes, by the names of its signature, in the order of the file.
        output: What it returns.

    Raises:
        ImportError: If `tflite-micro` is not installed.
        ValueError: If it does not run the file, or there are several outputs.
        edge_devices.isolation.Crash: If it crashes.
    """

    def __init__(self, source: Source) -> None:
        self._content = content_of(source)
        ports, self.output = _call("opened", _micro_ports, self._content)
        self.inputs: dict[str, Port] = dict(
            zip(input_names(self._content), ports, strict=True)
        )

    @property
    def input(self) -> Port | Mapping[str, Port]:
        """What the file takes; of several inputs, `inputs`."""
        return next(iter(self.inputs.values())) if len(self.inputs) == 1 else self.inputs

    def predict(self, x: Given) -> NDArray[np.float32]:
        """Run a batch of examples, one after another.

        Args:
            x: Real (not quantized) inputs, `(n, *input.shape[1:])`; of several inputs an
                array for each, by name.

        Returns:
            Real outputs, `(n, *output.shape[1:])`.

        Raises:
            ValueError: If the examples have another shape than the file's input, or inputs
                are missing.
            edge_devices.isolation.Crash: If it crashes.
        """
        examples = _examples(x, self.inputs)
        raw = self._run(_micro_outputs, examples)
        return np.asarray(self.output.real(raw), np.float32)

    def _run(self, runner: Any, examples: Mapping[str, Array]) -> Array:
        outputs = []
        for start in range(0, count(examples), _AT_ONCE):
            some = by_name(taken(examples, slice(start, start + _AT_ONCE)), self.inputs)
            outputs.append(_call("ran", runner, self._content, list(some.values())))
        empty = np.empty((0, *self.output.shape[1:]), self.output.dtype)
        return np.concatenate([empty, *outputs])


def compare_interpreters(source: Source, x: Given, *, portable: bool = False) -> Agreement:
    """Run a file in TensorFlow Lite Micro and in LiteRT, and compare their outputs.

    LiteRT runs as on a phone or computer, with its fast kernels (XNNPACK). Those round in
    other places, and over some ten operators that comes to a few steps, which is no fault.
    Its portable kernels round as TensorFlow Lite Micro's do, to a step.

    Args:
        source: Path or bytes of a `.tflite` file with one output.
        x: Real inputs, `(n, ...)`; of several inputs by name.
        portable: Whether LiteRT takes its portable kernels instead of the fast ones.

    Returns:
        How far they agree.

    Raises:
        ImportError: If `tflite-micro` is not installed.
        ValueError: If either does not run the file, or `x` has another shape or is empty.
    """
    model = TFLMModel(source)
    examples = _examples(x, model.inputs)
    if not count(examples):
        shapes = ", ".join(str(array.shape) for array in examples.values())
        raise ValueError(
            "Comparing needs at least one example. Received: x of shape "
            f"{shapes}. Pass some of the test data."
        )
    micro = model._run(_micro_outputs, examples)
    lite = model._run(_portable_outputs if portable else _lite_outputs, examples)
    unit = model.output.real if model.output.scale is None else np.float64
    difference = np.abs(np.asarray(unit(micro), float) - np.asarray(unit(lite), float))
    same = _classes(micro, model.output) == _classes(lite, model.output)
    return Agreement(float(same.mean()), float(difference.max()), count(examples))


def _classes(raw: Array, port: Port) -> Array:
    flat = port.real(raw).reshape(len(raw), -1)
    if flat.shape[1] > 1:
        return np.asarray(flat.argmax(axis=1))
    middle = 0.0
    if port.scale is not None:
        limits = np.iinfo(port.dtype)
        ends = port.real(np.array([limits.min, limits.max]))
        middle = 0.5 if 0 <= ends[0] and ends[1] <= 1 else 0.0
    return np.asarray(flat[:, 0] > middle)


def _examples(x: Given, ports: Mapping[str, Port]) -> dict[str, Array]:
    examples = by_name(as_inputs(x), ports)
    for name, array in examples.items():
        if array.shape[1:] != ports[name].shape[1:]:
            called = f"Inputs {name!r}" if len(ports) > 1 else "Inputs"
            raise ValueError(
                f"{called} must have shape {('n', *ports[name].shape[1:])}. Received: shape "
                f"{array.shape}. Reshape them, or add the batch axis with `x[None]`."
            )
    return {name: ports[name].quantized(array) for name, array in examples.items()}


def _call(verb: str, function: Any, content: bytes, *args: Any) -> Any:
    if importlib.util.find_spec("tflite_micro") is None:
        raise ImportError(
            "TensorFlow Lite Micro is not installed. It comes with an extra: "
            "`pip install 'kerasnas[micro]'`."
        )
    return isolation.call(
        function,
        content,
        *args,
        timeout=_TIMEOUT,
        doing=f"TensorFlow Lite Micro {verb} a file of {len(content):,} bytes",
        advice=_ADVICE,
    )


# What follows runs in the other process.


def _micro(content: bytes) -> Any:
    from ai_edge_litert import schema_py_generated as schema
    from tflite_micro.python.tflite_micro import runtime

    try:
        model = schema.Model.GetRootAs(content)
        behind = sum(model.Buffers(i).Size() > 0 for i in range(model.BuffersLength()))
        size = _enough(content, model)
    except Exception as error:
        raise ValueError(_reason(content, error)) from error
    if behind:
        # It would take them for activations, and compute with whatever is there.
        raise ValueError(
            "TensorFlow Lite Micro looks for weights inside the FlatBuffer only. Received: a "
            f"file of {len(content):,} bytes with {behind} tensors stored behind it, as some "
            "quantizers do. Export it with `tflite_export.export`, which puts them inside."
        )
    try:
        return runtime.Interpreter.from_bytes(content, arena_size=size)
    except Exception as error:
        raise ValueError(_reason(content, error)) from error


def _enough(content: bytes, model: Any) -> int:
    """An arena that cannot be too small: the interpreter may crash if it nearly is."""
    elements = 0
    for graph in map(model.Subgraphs, range(model.SubgraphsLength())):
        for tensor in map(graph.Tensors, range(graph.TensorsLength())):
            elements += int(np.prod(tensor.ShapeAsNumpy())) if tensor.ShapeLength() else 1
    return 2 * len(content) + 8 * elements + (1 << 20)


def _reason(content: bytes, error: Exception) -> str:
    said = [line.strip() for line in isolation.written().splitlines() if line.strip()]
    # The first line names the cause, those after it what failed because of that.
    why = said[0] if said else str(error)
    return (
        "TensorFlow Lite Micro does not run this file. Received: a file of "
        f'{len(content):,} bytes ({why}). Export with `quantization="int8"` and layers that '
        "microcontrollers support."
    )


def _allocations(content: bytes) -> str:
    interpreter = _micro(content)
    index = 0
    while (details := _details(interpreter.get_input_details, index)) is not None:
        interpreter.set_input(np.zeros(details["shape"], details["dtype"]), index)
        index += 1
    _invoke(interpreter, content)
    before = len(isolation.written())
    interpreter.print_allocations()
    return isolation.written()[before:]


def _invoke(interpreter: Any, content: bytes) -> None:
    try:
        interpreter.invoke()
    except Exception as error:
        raise ValueError(_reason(content, error)) from error


def _details(get: Any, index: int) -> Any:
    try:
        return get(index)
    except (IndexError, RuntimeError, ValueError):
        return None


def _micro_ports(content: bytes) -> tuple[list[Port], Port]:
    interpreter = _micro(content)
    if _details(interpreter.get_output_details, 1) is not None:
        raise ValueError(
            "Files with several outputs are not supported yet. Received: a file of "
            f"{len(content):,} bytes. Use `tflite_micro` itself for this one."
        )
    inputs: list[Port] = []
    while (details := _details(interpreter.get_input_details, len(inputs))) is not None:
        inputs.append(_port(details))
    return inputs, _port(interpreter.get_output_details(0))


def _port(details: dict[str, Any]) -> Port:
    parameters = details["quantization_parameters"]
    scales, zero_points = parameters["scales"], parameters["zero_points"]
    quantized = len(scales) > 0 and scales[0] != 0.0
    return Port(
        tuple(int(size) for size in details["shape"]),
        np.dtype(details["dtype"]).name,
        float(scales[0]) if quantized else None,
        int(zero_points[0]) if quantized else None,
    )


def _micro_outputs(content: bytes, inputs: list[Array]) -> Array:
    interpreter = _micro(content)
    outputs = []
    for example in zip(*inputs, strict=True):
        for index, value in enumerate(example):
            interpreter.set_input(value[None], index)
        _invoke(interpreter, content)
        outputs.append(np.array(interpreter.get_output(0)))
    return np.concatenate(outputs)


def _portable_outputs(content: bytes, inputs: list[Array]) -> Array:
    return _lite_outputs(content, inputs, "BUILTIN_REF")


def _lite_outputs(content: bytes, inputs: list[Array], kernels: str = "AUTO") -> Array:
    from ai_edge_litert.interpreter import Interpreter, OpResolverType

    interpreter = Interpreter(
        model_content=content,
        num_threads=1,
        experimental_op_resolver_type=OpResolverType[kernels],
    )
    interpreter.allocate_tensors()
    sources, (target,) = interpreter.get_input_details(), interpreter.get_output_details()
    outputs = []
    for example in zip(*inputs, strict=True):
        for source, value in zip(sources, example, strict=True):
            interpreter.set_tensor(source["index"], value[None])
        interpreter.invoke()
        outputs.append(interpreter.get_tensor(target["index"]))
    return np.concatenate(outputs)

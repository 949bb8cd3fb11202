"""From a Keras model to the bytes of a `.tflite` file."""

from __future__ import annotations

import contextlib
import difflib
import re
from collections.abc import Mapping
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from edge_devices.inputs import Given, Inputs, as_inputs, by_name, examples
from tflite_export.attribution import described, operators_of_layers
from tflite_export.calibration import check_inputs
from tflite_export.compaction import compact as compacted
from tflite_export.compaction import packed, unpacked
from tflite_export.inspection import FloatingOperator, floating_operators
from tflite_export.precision import in_float32
from tflite_export.quantization import INTEGER, check_quantization, quantize
from tflite_export.recurrence import unrolled
from tflite_export.rewriting import quantizable
from tflite_export.signature import arranged, input_specs, shapes_of
from tflite_export.silence import silence

__all__ = ["check", "convert", "float_file", "of_operators"]

_HALF = {tf.float16, tf.bfloat16}
_LOOPS = {"While", "StatelessWhile"}
_CONVERSIONS = {"QUANTIZE", "DEQUANTIZE"}
_NO_BUILTIN = re.compile(r"'tfl?\.(\w+)' op is neither a custom op nor a flex op")


def convert(
    model: keras.Model,
    quantization: str = "int8",
    calibration: Given | None = None,
    *,
    mixed: Mapping[str, str] | None = None,
    compact: bool = True,
) -> bytes:
    """Convert a model to a `.tflite` file of batch 1 and built-in operators only.

    | `quantization` | weights            | activations | input and output |
    |----------------|--------------------|-------------|------------------|
    | `"float32"`    | float32            | float32     | float32          |
    | `"float16"`    | float16            | float32     | float32          |
    | `"dynamic"`    | int8               | float32     | float32          |
    | `"int8"`       | int8               | int8        | int8             |
    | `"int16x8"`    | int8               | int16       | int16            |
    | `"int4"`       | int4, depthwise 8  | int8        | int8             |

    The model is converted once to float32, by `float_file`, and that file is quantized, by
    `quantize`. Files of the last three kinds compute with integers and nothing else. Where
    `quantize` has no int8 form of an operator but the TensorFlow converter has one (LeakyReLU,
    minimum, a ReLU6 that nothing can be fused with), an `"int8"` file is the converter's.
    Recurrent layers are unrolled in those three kinds, a step after the other, and loops in
    the others. Tokens must not be negative.

    A model of several inputs becomes a file that has them in the order of their names, which
    are those of `keras.Input(name=)`, or of the dictionary that the model takes; inputs
    without a name are called `input_0`, `input_1` and so on, in the model's own order.

    The model is not changed; equal weights give equal bytes. Standard output and error are
    silenced meanwhile, for the whole process.

    Args:
        model: A built Keras 3 model with one output, functional if it has several inputs.
            Half-precision models are converted from a float32 copy.
        quantization: One of the table.
        calibration: For the last three: inputs `(n, ...)` as the model takes them, from which
            the ranges of all activations are measured. 100 to 500 are enough. Of several
            inputs a dictionary of arrays by name.
        mixed: From names of layers to a precision of their own: `"float32"`, `"int8"`,
            `"int16x8"` or `"int4"`. Layers that are fused into one operator have one
            precision: the activation that of its convolution. The file's output has the
            precision of the last layer.
        compact: Leave out what no interpreter needs; see `tflite_export.compact`. `False`
            keeps the names of inner tensors, for tools that address layers by name.

    Returns:
        The content of the file.

    Raises:
        ValueError: If the model, its shapes, its operators or the calibration data do not
            allow the conversion. Unsupported operators are named with their layers.
        TypeError: If `model` is not a Keras model.

    Example:

    ```python
    content = tflite_export.convert(model, "int8", x_train[:256], mixed={"logits": "int16x8"})
    ```
    """
    specs = check(model, quantization, calibration)
    if quantization not in INTEGER:
        content = float_file(model)
        content = quantize(content, quantization, mixed=of_operators(mixed, content, model))
        return compacted(content) if compact else content
    assert calibration is not None  # `check` has refused that
    samples = as_inputs(calibration)
    check_inputs(samples, shapes_of(specs), "calibration")
    function = _function(model, specs, integer=True)
    float_content = _converted(_converter(function), function, model)
    by_operator = of_operators(mixed, float_content, model)
    content = quantize(float_content, quantization, samples, mixed=by_operator)
    floats = _floats(content, by_operator)
    if floats and quantization == "int8" and not mixed:
        converter = _converter(function, _cast(samples, specs))
        content = _converted(converter, function, model)
        floats = _floats(content, by_operator)
    if floats:
        _refuse_floats(floats, quantization, model)
    return compacted(content) if compact else content


def float_file(model: keras.Model, *, integer: bool = False) -> bytes:
    """Convert a model to the float32 file that all quantized ones are made of.

    The model is traced with its weights as constants, so that no variables have to be saved,
    loaded and frozen. That takes a fifth of the time of `TFLiteConverter.from_keras_model`
    (0.4 against 3 to 5 s for a MobileNet of 18 convolutions) and leaks no memory.

    Args:
        model: As in `convert`.
        integer: Write negations and squares as products, which have an integer form.

    Returns:
        The content of the file, with the names of inner tensors.

    Raises:
        ValueError: If the model, its shapes or its operators do not allow the conversion.
        TypeError: If `model` is not a Keras model.
    """
    function = _function(model, check(model, "float32", None), integer)
    return _converted(_converter(function), function, model)


def of_operators(
    mixed: Mapping[str, str] | None, content: bytes, model: keras.Model
) -> dict[str, str]:
    """Precisions of layers as precisions of the operators that they became.

    Args:
        mixed: From names of layers to precisions.
        content: The bytes of the model's float file.
        model: The model.

    Returns:
        From names of operators to precisions.

    Raises:
        ValueError: If a name is not a layer's, or the layer is no part of the file.
    """
    if not mixed:
        return {}
    operators = operators_of_layers(content, [layer.name for layer in model.layers])
    chosen = {}
    for name, precision in mixed.items():
        if name not in operators:
            near = difflib.get_close_matches(name, operators, n=1, cutoff=0.0)
            raise ValueError(
                f"mixed must name layers of the model. Received: {name!r}, not a layer of "
                f"{model.name!r}. Did you mean {near[0]!r}?"
            )
        if not operators[name]:
            raise ValueError(
                "mixed must name layers that the file computes. Received: layer "
                f"{name!r}, of which no operator is left. Leave it out."
            )
        chosen.update(dict.fromkeys(operators[name], precision))
    return chosen


def check(model: keras.Model, quantization: str, calibration: Any) -> dict[str, tf.TensorSpec]:
    """Say before any work what `convert` would refuse.

    Args:
        model: As in `convert`.
        quantization: As in `convert`.
        calibration: Only whether it is `None` is looked at.

    Returns:
        Name, type and batch-1 shape of the file's (not yet quantized) inputs, in the order in
        which the model has them.

    Raises:
        ValueError: For an unknown quantization, missing calibration, or a model with
            dynamic shapes or no known input shape.
        TypeError: If `model` is not a Keras model.
    """
    check_quantization(quantization)
    if not isinstance(model, keras.Model):
        raise TypeError(
            f"model must be a Keras 3 model. Received: {type(model).__name__}. Load a saved "
            "one with `keras.models.load_model(path)`."
        )
    if keras.backend.backend() != "tensorflow":
        raise ValueError(
            "Export needs the TensorFlow backend. Received: "
            f"keras.backend.backend()={keras.backend.backend()!r}. Save the model, set "
            "KERAS_BACKEND=tensorflow and load it again."
        )
    specs = input_specs(model)
    if quantization in INTEGER and calibration is None:
        shapes = {name: ("n", *spec.shape[1:]) for name, spec in specs.items()}
        several = len(shapes) > 1
        raise ValueError(
            f"{quantization} export needs calibration data. Received: calibration=None. Pass "
            f"about 100 unlabelled inputs of shape{'s' * several} "
            f"{shapes if several else next(iter(shapes.values()))}, e.g. "
            '`calibration=x_train[:100]`, or use `quantization="dynamic"`, which needs none.'
        )
    return specs


def _cast(samples: Inputs, specs: Mapping[str, tf.TensorSpec]) -> dict[str, Any]:
    """Samples by name in the types that the model takes."""
    return {
        name: array.astype(specs[name].dtype.as_numpy_dtype)
        for name, array in by_name(samples, specs).items()
    }


def _trace(model: keras.Model, specs: Mapping[str, tf.TensorSpec]) -> Any:
    """The model as a concrete function of its inputs, its weights constants of the graph."""
    values = [(variable, variable.value.numpy()) for variable in model.variables]

    def serve(*inputs: Any) -> dict[str, Any]:
        x = arranged(model, dict(zip(specs, inputs, strict=True)))
        constants = [(variable, tf.constant(value)) for variable, value in values]
        with keras.StatelessScope(state_mapping=constants):
            outputs = keras.tree.flatten(model(x, training=False))
        if len(outputs) != 1:
            raise ValueError(
                "Models with several outputs cannot be exported yet. Received: model="
                f"{model.name!r} with {len(outputs)} outputs. Join them into one, e.g. with "
                "`keras.layers.Concatenate`."
            )
        return {"output": outputs[0]}

    function = tf.function(serve, input_signature=list(specs.values()), autograph=False)
    return function.get_concrete_function()


def _function(model: keras.Model, specs: Mapping[str, tf.TensorSpec], integer: bool) -> Any:
    """The trace of a model in float32; with `integer` of operators that have such a form."""
    function = _traced(model, specs, integer)
    if _halves(function):
        function = _traced(in_float32(model), specs, integer)
        _refuse_halves(function, model)
    if integer:
        _refuse_loops(function, model)
        function = quantizable(function)
    return function


def _traced(model: keras.Model, specs: Mapping[str, tf.TensorSpec], integer: bool) -> Any:
    with unrolled(model) if integer else contextlib.nullcontext():
        return _trace(model, specs)


def _converter(function: Any, samples: Mapping[str, Any] | None = None) -> Any:
    """The converter to float32, or with samples to int8."""
    converter = tf.lite.TFLiteConverter.from_concrete_functions([function], tf.Module())
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS]
    if samples is not None:
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        several = len(samples) > 1  # whose order is the converter's own
        converter.representative_dataset = lambda: (
            example if several else list(example.values()) for example in examples(samples)
        )
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
        converter.inference_input_type = converter.inference_output_type = tf.int8
    return converter


def _converted(converter: Any, function: Any, model: keras.Model) -> bytes:
    try:
        with silence():
            content = bytes(converter.convert())
    except Exception as error:
        raise ValueError(_refusal(str(error), function, model)) from error
    return content if len(function.inputs) == 1 else _sorted(content)


def _sorted(content: bytes) -> bytes:
    """The file with its inputs in the order of their names: the converter has its own."""
    file = unpacked(content)
    (signature,) = file.signatureDefs
    signature.inputs.sort(key=lambda entry: entry.name)
    given = np.array([entry.tensorIndex for entry in signature.inputs], np.int32)
    file.subgraphs[0].inputs = given
    return packed(file)


def _floats(content: bytes, wanted: Mapping[str, str]) -> list[FloatingOperator]:
    """The operators that compute in float without having been told to."""
    names = {name for name, precision in wanted.items() if precision == "float32"}
    return [
        operator
        for operator in floating_operators(content)
        if operator.output not in names and not (names and operator.name in _CONVERSIONS)
    ]


def _halves(function: Any) -> list[Any]:
    operations = function.graph.get_operations()
    return [op for op in operations if any(t.dtype in _HALF for t in op.outputs)]


def _refuse_halves(function: Any, model: keras.Model) -> None:
    if halves := _halves(function):
        names, scopes = [op.type for op in halves], [op.name for op in halves]
        raise ValueError(
            "The model computes in half precision even where its layers are told float32. "
            f"Received: model={model.name!r} with {_described(names, scopes, model)}. Let "
            "custom layers pass their own `dtype_policy` on instead of naming a type."
        )


def _refuse_loops(function: Any, model: keras.Model) -> None:
    # The converter's calibrator does not survive a loop: the process dies of a segmentation
    # fault, so this cannot be left to it.
    loops = [op.name for op in function.graph.get_operations() if op.type in _LOOPS]
    if loops:
        raise ValueError(
            "Integer files cannot hold loops. Received: model="
            f"{model.name!r} with {_described(['While'] * len(loops), loops, model)}. Use "
            "Keras' recurrent layers, which are unrolled for such files wherever Keras tracks "
            "them (as a layer of the model or an attribute of one, not inside of a function), "
            'write the steps one by one, or use `quantization="dynamic"`.'
        )


def _refuse_floats(
    floats: list[FloatingOperator], quantization: str, model: keras.Model
) -> None:
    names, outputs = zip(*floats, strict=True)
    raise ValueError(
        f"{quantization} export needs integer arithmetic throughout, but TensorFlow Lite "
        f"keeps some operators in float. Received: model={model.name!r} with "
        f"{_described(names, outputs, model)}. Use other layers there (ReLU6 and "
        "BatchNormalization have integer forms), let them be float "
        '(`mixed={layer: "float32"}`), or use `quantization="dynamic"`.'
    )


def _refusal(message: str, function: Any, model: keras.Model) -> str:
    missing = sorted(set(_NO_BUILTIN.findall(message)))
    if not missing:
        return (
            f"TensorFlow Lite cannot convert this model. Received: model={model.name!r} "
            f"({message.strip().splitlines()[0] if message.strip() else 'no reason given'}). "
            "Convert parts of it to find the layer responsible, and use another one there."
        )
    found = [op for op in function.graph.get_operations() if op.type in missing]
    names = [op.type for op in found] or missing
    outputs = [op.name for op in found] or [""] * len(missing)
    return (
        "The model needs operators that TensorFlow Lite has no built-in form of. Received: "
        f"model={model.name!r} with {_described(names, outputs, model)}. Use other layers "
        "there: files with Flex or custom operators do not run on small devices."
    )


def _described(names: Any, scopes: Any, model: keras.Model) -> str:
    return described(names, scopes, [layer.name for layer in model.layers])

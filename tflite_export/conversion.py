"""From a Keras model to the bytes of a `.tflite` file."""

from __future__ import annotations

import difflib
import re
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import ArrayLike

from tflite_export.calibration import check_inputs
from tflite_export.compaction import compact as compacted
from tflite_export.inspection import floating_operators
from tflite_export.precision import in_float32
from tflite_export.rewriting import quantizable
from tflite_export.silence import silence

__all__ = ["QUANTIZATIONS", "check", "convert"]

QUANTIZATIONS = ("float32", "float16", "dynamic", "int8")

_HALF = {tf.float16, tf.bfloat16}
_LOOPS = {"While", "StatelessWhile"}
_NO_BUILTIN = re.compile(r"'tfl?\.(\w+)' op is neither a custom op nor a flex op")


def convert(
    model: keras.Model,
    quantization: str = "int8",
    calibration: ArrayLike | None = None,
    *,
    compact: bool = True,
) -> bytes:
    """Convert a model to a `.tflite` file of batch 1 and built-in operators only.

    | `quantization` | weights | arithmetic           | input and output |
    |----------------|---------|----------------------|------------------|
    | `"float32"`    | float32 | float32              | float32          |
    | `"float16"`    | float16 | float32              | float32          |
    | `"dynamic"`    | int8    | int8 where it pays   | float32          |
    | `"int8"`       | int8    | int8, nothing else   | int8             |

    The model is traced with its weights as constants, so that no variables have to be saved,
    loaded and frozen. That takes a fifth of the time of `TFLiteConverter.from_keras_model`
    (0.7 against 3 to 5 s for a MobileNet of 18 convolutions) and leaks no memory. The model
    is not changed; equal weights give equal bytes. Standard output and error are silenced
    meanwhile, for the whole process.

    Args:
        model: A built Keras 3 model with one input and one output. Half-precision models
            are converted from a float32 copy.
        quantization: One of the table.
        calibration: For `"int8"`: inputs `(n, ...)` as the model takes them, from which the
            ranges of all activations are measured. 100 to 500 are enough.
        compact: Leave out what no interpreter needs; see `tflite_export.compact`. `False`
            keeps the names of inner tensors, for tools that address layers by name.

    Returns:
        The content of the file.

    Raises:
        ValueError: If the model, its shapes, its operators or the calibration data do not
            allow the conversion. Unsupported operators are named with their layers.
        TypeError: If `model` is not a Keras model.
    """
    spec = check(model, quantization, calibration)
    shape = tuple(spec.shape[1:])
    function = _trace(model, spec)
    if _halves(function):
        function = _trace(in_float32(model), spec)
        _refuse_halves(function, model)
    samples = None
    if quantization == "int8":
        samples = np.asarray(calibration)
        check_inputs(samples, shape, "calibration")
        samples = samples.astype(spec.dtype.as_numpy_dtype)
        _refuse_loops(function, model)
        function = quantizable(function)
    converter = _converter(function, quantization, samples)
    try:
        with silence():
            content = bytes(converter.convert())
    except Exception as error:
        raise ValueError(_refusal(str(error), function, model)) from error
    if quantization == "int8":
        _refuse_floats(content, model)
    return compacted(content) if compact else content


def check(model: keras.Model, quantization: str, calibration: Any) -> tf.TensorSpec:
    """Say before any work what `convert` would refuse.

    Args:
        model: As in `convert`.
        quantization: As in `convert`.
        calibration: Only whether it is `None` is looked at.

    Returns:
        Name, type and batch-1 shape of the file's (not yet quantized) input.

    Raises:
        ValueError: For an unknown quantization, missing calibration, or a model with
            dynamic shapes, several inputs or no known input shape.
        TypeError: If `model` is not a Keras model.
    """
    if quantization not in QUANTIZATIONS:
        near = difflib.get_close_matches(str(quantization), QUANTIZATIONS, n=1, cutoff=0.0)
        raise ValueError(
            f"quantization must be one of {', '.join(map(repr, QUANTIZATIONS))}. "
            f"Received: quantization={quantization!r}. Did you mean {near[0]!r}?"
        )
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
    spec = _input_spec(model)
    if quantization == "int8" and calibration is None:
        raise ValueError(
            "int8 export needs calibration data. Received: calibration=None. Pass about 100 "
            f"unlabelled inputs of shape {('n', *spec.shape[1:])}, e.g. "
            '`calibration=x_train[:100]`, or use `quantization="dynamic"`, which needs none.'
        )
    return spec


def _input_spec(model: keras.Model) -> tf.TensorSpec:
    inputs = getattr(model, "inputs", None)
    if inputs is None:
        # A subclassed model knows the shape it was built with, not its inputs.
        shape = (model.get_build_config() or {}).get("input_shape")
        sized = shape if isinstance(shape, tuple | list) else ()
        inputs = [keras.KerasTensor((None, *sized[1:]))] if sized else []
    if len(inputs) > 1:
        raise ValueError(
            "Models with several inputs cannot be exported yet. Received: model="
            f"{model.name!r} with inputs {[tensor.name for tensor in inputs]}. Join them into "
            "one input and split it inside the model."
        )
    if not inputs:
        raise ValueError(
            "The model's input shape is not known. Received: an unbuilt model "
            f"{model.name!r}. Call it once, or `model.build((None, ...))`."
        )
    (tensor,) = inputs
    batch, *shape = tensor.shape
    if None in shape:
        raise ValueError(
            "Only the batch dimension may be dynamic: a .tflite file has fixed shapes. "
            f"Received: model={model.name!r} with input shape {tuple(tensor.shape)}. Rebuild "
            "it with `keras.Input` of the full shape and copy the weights: "
            "`fixed.set_weights(model.get_weights())`."
        )
    if batch not in (None, 1):
        raise ValueError(
            f"The file takes one input at a time. Received: model={model.name!r} with a "
            f"fixed batch of {batch}. Rebuild it with `keras.Input` without `batch_size` and "
            "copy the weights: `free.set_weights(model.get_weights())`."
        )
    dtype = tf.as_dtype(keras.backend.standardize_dtype(tensor.dtype))
    generated = tensor.name.startswith(("keras_tensor", "input_layer"))
    name = "input" if generated else re.sub(r"\W", "_", tensor.name)
    return tf.TensorSpec((1, *shape), tf.float32 if dtype.is_floating else dtype, name)


def _trace(model: keras.Model, spec: tf.TensorSpec) -> Any:
    """The model as a concrete function of one input, its weights constants of the graph."""
    values = [(variable, variable.value.numpy()) for variable in model.variables]

    def serve(x: Any) -> dict[str, Any]:
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

    function = tf.function(serve, input_signature=[spec], autograph=False)
    return function.get_concrete_function()


def _converter(function: Any, quantization: str, samples: Any) -> Any:
    converter = tf.lite.TFLiteConverter.from_concrete_functions([function], tf.Module())
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS]
    if quantization != "float32":
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
    if quantization == "float16":
        converter.target_spec.supported_types = [tf.float16]
    if quantization == "int8":
        converter.representative_dataset = lambda: ([sample[None]] for sample in samples)
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
        converter.inference_input_type = converter.inference_output_type = tf.int8
    return converter


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
            "int8 export cannot quantize loops. Received: model="
            f"{model.name!r} with {_described(['While'] * len(loops), loops, model)}. Build "
            'recurrent layers with `unroll=True`, or use `quantization="dynamic"`.'
        )


def _refuse_floats(content: bytes, model: keras.Model) -> None:
    floating = floating_operators(content)
    if floating:
        names, outputs = zip(*floating, strict=True)
        raise ValueError(
            "int8 export needs integer arithmetic throughout, but TensorFlow Lite keeps some "
            f"operators in float. Received: model={model.name!r} with "
            f"{_described(names, outputs, model)}. Use other layers there (ReLU6 and "
            'BatchNormalization have integer forms), or `quantization="dynamic"`.'
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
    """Operators, each with the layer it comes from where that is known, none twice."""
    layers = {layer.name for layer in model.layers}
    texts = []
    for name, scope in zip(names, scopes, strict=True):
        # TensorFlow makes scopes unique by a suffix: layer `dense` becomes `dense_1`.
        parts = [
            p for part in re.split("[/;]", scope) for p in (part, part.rpartition("_")[0])
        ]
        layer = next((part for part in reversed(parts) if part in layers), None)
        texts.append(f"{name} (layer {layer!r})" if layer else name)
    return ", ".join(dict.fromkeys(texts))

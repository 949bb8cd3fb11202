"""From a float32 `.tflite` file to its quantized forms, without converting the model again."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np
from litert_quantizer.algorithm_manager import AlgorithmName
from litert_quantizer.model_modifier import ModelModifier
from litert_quantizer.params_generator import ParamsGenerator
from litert_quantizer.qtyping import QuantGranularity, TFLOperationName
from litert_quantizer.recipe_manager import RecipeManager
from litert_quantizer.utils.tfl_flatbuffer_utils import read_model
from numpy.typing import ArrayLike

from edge_devices.inputs import Given, Inputs, as_inputs, by_name
from tflite_export.calibration import check_inputs
from tflite_export.compaction import self_contained
from tflite_export.inspection import operators_in
from tflite_export.interpreter import TFLiteModel
from tflite_export.masking import masks
from tflite_export.ranges import Range, Ranges, comparable, measure
from tflite_export.rewriting import named, settled, widened
from tflite_export.silence import silence
from tflite_export.weight_ranges import output_ranges, weight_ranges

__all__ = ["INTEGER", "PRECISIONS", "QUANTIZATIONS", "check_quantization", "quantize"]

QUANTIZATIONS = ("float32", "float16", "dynamic", "int8", "int16x8", "int4")
INTEGER = ("int8", "int16x8", "int4")
"""Those that compute with integers throughout, and so need calibration data."""
PRECISIONS = ("float32", "int8", "int16x8", "int4")
"""What single layers of a file may be given, as far as the file's own precision allows it."""

_ALL = TFLOperationName.ALL_SUPPORTED
_DEAD = 1e-6


def quantize(
    content: bytes,
    quantization: str = "int8",
    calibration: Given | None = None,
    *,
    mixed: Mapping[str, str] | None = None,
    ranges: Ranges | None = None,
) -> bytes:
    """Quantize a float32 file by `litert-quantizer`, some operators otherwise than the rest.

    | `quantization` | weights            | activations | input and output |
    |----------------|--------------------|-------------|------------------|
    | `"float32"`    | float32            | float32     | float32          |
    | `"float16"`    | float16            | float32     | float32          |
    | `"dynamic"`    | int8               | float32     | float32          |
    | `"int8"`       | int8               | int8        | int8             |
    | `"int16x8"`    | int8               | int16       | int16            |
    | `"int4"`       | int4, depthwise 8  | int8        | int8             |

    Weights are symmetric and have one scale a channel, of 4 bits in dense layers one in all,
    which is what TensorFlow Lite Micro computes. Activations have one scale a tensor;
    their ranges are the smallest and largest values of all calibration inputs (the quantizer's
    own moving average would forget the first of them, and clip). That takes about 0.1 s for
    a MobileNet of 18 convolutions and 256 inputs, a third of what the TensorFlow converter
    takes for an int8 file of the same operators and accuracy.

    Where neighbours differ in precision the file has a QUANTIZE or DEQUANTIZE between them.
    Operators without a kernel in the precision asked for stay in float: see
    `floating_operators`. `hard_swish`, which has none for 16 bits, is rewritten for them.

    Args:
        content: The bytes of a float32 file. Names of inner tensors are what
            `mixed` goes by, so do not `compact` it before.
        quantization: One of the table.
        calibration: Inputs `(n, ...)` as the model takes them, of several inputs by name, if
            anything becomes integer.
        mixed: From names of operators (as in `sensitivities`) to a precision of their own:
            `"float32"`, `"int8"`, `"int16x8"` or `"int4"`. In `"dynamic"` and `"float16"`
            files only `"float32"` is possible. The file's output has the precision of the
            last operator; its inputs are in float if one of them is read by nothing but
            operators in float.
        ranges: Ranges of activations, as of `ranges.measure`, instead of `calibration`.

    Returns:
        The bytes of the file, names kept. Equal arguments give equal bytes.

    Raises:
        ValueError: If a name or precision is unknown, or the calibration data does not fit.
        TypeError: If the calibration data is not numeric.
    """
    check_quantization(quantization)
    content = named(content)
    mixed = _checked(mixed or {}, quantization, content)
    if quantization == "float32" and not mixed:
        return content
    names = [operator.name for operator in operators_in(content)]
    wide = {name for name in names if mixed.get(name, quantization) == "int16x8"}
    content, added = widened(content, wide)
    if {quantization, *mixed.values()} & set(INTEGER):
        if ranges is None:
            ranges = measure(content, _inputs(content, calibration, quantization))
        ranges = {**ranges, **{name: range_ for name, (_, range_) in added.items()}}
        content, masked = masks(content, ranges)
        ranges = comparable(content, ranges | masked)
    mixed |= {name: mixed[origin] for name, (origin, _) in added.items() if origin in mixed}
    recipe = RecipeManager()
    _add(recipe, ".*", quantization)
    scopes = {operator.name: operator.outputs for operator in operators_in(content)}
    for name, precision in mixed.items():
        if precision != quantization:
            scope = "".join(f"{output};" for output in scopes[name])
            _add(recipe, f"^{re.escape(scope)}$", precision)
    ranges = {name: _alive(range_) for name, range_ in (ranges or {}).items()}

    def precision_of(name: str) -> str:
        return mixed.get(name, quantization)

    if mixed and _read_in_float(content, ranges, precision_of):
        recipe.add_quantization_config(
            ".*", TFLOperationName.INPUT, algorithm_key=AlgorithmName.NO_QUANTIZE
        )

    ranges |= output_ranges(content, ranges, precision_of)
    statistics = {name: _statistics(*range_) for name, range_ in ranges.items()}
    weights = weight_ranges(content, ranges, precision_of)
    statistics |= {name: _statistics(*range_) for name, range_ in weights.items()}
    model = read_model(content)
    with silence():  # it draws progress bars
        parameters = ParamsGenerator(model).generate_quantization_parameters(
            recipe, statistics, enable_progress_bar=False
        )
        modifier = ModelModifier(model)
        quantized = bytes(modifier.modify_model(parameters, enable_progress_bar=False))
    return self_contained(settled(quantized))


def check_quantization(quantization: str, choices: Iterable[str] = QUANTIZATIONS) -> None:
    """Refuse a quantization that is not among `choices`, with the nearest that is.

    Raises:
        ValueError: If it is not.
    """
    choices = tuple(choices)
    if quantization not in choices:
        near = difflib.get_close_matches(str(quantization), choices, n=1, cutoff=0.0)
        raise ValueError(
            f"quantization must be one of {', '.join(map(repr, choices))}. "
            f"Received: quantization={quantization!r}. Did you mean {near[0]!r}?"
        )


def _checked(mixed: Mapping[str, str], quantization: str, content: bytes) -> dict[str, str]:
    possible = ("float32",) if quantization in ("dynamic", "float16") else PRECISIONS
    names = [operator.name for operator in operators_in(content)]
    for name, precision in mixed.items():
        if precision not in possible:
            raise ValueError(
                f"Layers of a {quantization!r} file can be {', '.join(map(repr, possible))}. "
                f"Received: mixed={{{name!r}: {precision!r}}}."
            )
        if name not in names:
            near = difflib.get_close_matches(name, names, n=1, cutoff=0.0)
            raise ValueError(
                f"No operator of the file has this name. Received: mixed={{{name!r}: "
                f"{precision!r}}}. Did you mean {near[0]!r}? `sensitivities` lists all names."
            )
    return dict(mixed)


def _inputs(content: bytes, calibration: Given | None, quantization: str) -> Inputs:
    if calibration is None:
        raise ValueError(
            f"{quantization} needs calibration data. Received: calibration=None. Pass about "
            "100 unlabelled inputs as the model takes them, or the ranges of its activations."
        )
    infos, inputs = TFLiteModel(content).inputs, as_inputs(calibration)
    shapes = {name: info.shape[1:] for name, info in infos.items()}
    only = next(iter(shapes.values())) if len(shapes) == 1 else shapes
    check_inputs(inputs, only, "calibration")
    given = by_name(inputs, infos)
    return {name: array.astype(infos[name].dtype) for name, array in given.items()}


def _read_in_float(content: bytes, ranges: Ranges, precision_of: Callable[[str], str]) -> bool:
    """Whether an input of numbers is read by nothing but operators in float.

    Rounding it to 8 bits would take away what they were left in float for. The quantizer
    cannot tell inputs apart: where one stays in float, all do.
    """
    operators = operators_in(content)
    computed = {name for operator in operators for name in operator.outputs}
    readers: dict[str, set[str]] = {}
    for operator in operators:
        for name in (set(operator.inputs) & ranges.keys()) - computed:  # no tokens
            readers.setdefault(name, set()).add(precision_of(operator.name))
    return any(precisions == {"float32"} for precisions in readers.values())


def _alive(range_: Range) -> Range:
    """A range with a step that kernels can compute with.

    What is always zero, as behind a dead ReLU, has any step; an endless fine one overflows.
    """
    return (0.0, 1.0) if max(map(abs, range_)) < _DEAD else range_


def _statistics(low: ArrayLike, high: ArrayLike) -> dict[str, Any]:
    """A range as the quantizer takes it."""
    return {
        "min": np.atleast_1d(np.asarray(low, np.float32)),
        "max": np.atleast_1d(np.asarray(high, np.float32)),
    }


def _add(recipe: RecipeManager, scope: str, precision: str) -> None:
    """Give operators of a scope a precision; what is added later wins."""
    if precision == "float32":
        recipe.add_quantization_config(scope, _ALL, algorithm_key=AlgorithmName.NO_QUANTIZE)
    elif precision == "float16":
        recipe.add_weight_only_config(
            scope, _ALL, 16, algorithm_key=AlgorithmName.FLOAT_CASTING
        )
    elif precision == "dynamic":
        recipe.add_dynamic_config(scope, _ALL, 8)
    else:
        recipe.add_static_config(scope, _ALL, 16 if precision == "int16x8" else 8, 8)
    if precision == "int4":
        # No kernel has depthwise weights of 4 bits, and TensorFlow Lite Micro's for dense
        # layers has one scale only.
        recipe.add_static_config(scope, TFLOperationName.CONV_2D, 8, 4)
        recipe.add_static_config(
            scope, TFLOperationName.FULLY_CONNECTED, 8, 4, QuantGranularity.TENSORWISE
        )

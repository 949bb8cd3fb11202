"""`export`: convert, verify, write, report."""

from __future__ import annotations

import os
import uuid
from pathlib import Path
from typing import Any

import keras

from tflite_export.calibration import draw, first, random_inputs
from tflite_export.conversion import check, convert
from tflite_export.inspection import operators, tensor_dtypes
from tflite_export.interpreter import TFLiteModel
from tflite_export.report import Report
from tflite_export.verification import compare, decision, predict

__all__ = ["export"]

_MOST_VERIFIED = 10_000
_RANDOM_INPUTS = 64


def export(
    model: keras.Model,
    path: str | os.PathLike[str],
    quantization: str = "int8",
    calibration: Any = None,
    *,
    validation_data: Any = None,
    num_calibration: int = 256,
    seed: int | None = 0,
) -> Report:
    """Write a model as a `.tflite` file, having run it against the model.

    The file takes one input at a time, uses built-in operators only, and with `"int8"`
    (the default) computes with integers only. It appears at `path` complete or not at all.

    Args:
        model: A built Keras 3 model with one input and one output. It is not changed.
        path: The file to write. Missing folders are made, an existing file is replaced.
        quantization: `"float32"`, `"float16"` (half the size, computes in float32),
            `"dynamic"` (int8 weights, float input and output) or `"int8"`.
        calibration: Typical inputs, as the model takes them, which `"int8"` needs: a
            `tf.data.Dataset`, batched or not, or NumPy arrays; of `x`, `(x, y)`,
            `(x, y, weights)` or a TFDS dictionary such as `{"image": x, "label": y}`.
        validation_data: What to verify the file on, in the same forms; the first 10,000.
            Labels that are class numbers or one-hot vectors give accuracies. `None` takes
            the calibration sample, or random inputs if there is none.
        num_calibration: How many inputs are drawn from `calibration`. More takes longer and
            covers rare activations better, but also outliers.
        seed: Seeds the draw. `None` draws fresh entropy; `0` is a seed.

    Returns:
        What the file contains and how well it matches the model.

    Raises:
        ValueError: If the model or the data do not allow the export. Said before any work
            is done, except for operators that only the converter can judge.
        TypeError: If `model` is not a Keras model, or the data is of no known form.
        IsADirectoryError: If `path` is a folder.

    Example:

    ```python
    report = tflite_export.export(
        model, "flowers.tflite", "int8", calibration=train_ds, validation_data=test_ds
    )
    assert report.accuracy_tflite > report.accuracy_keras - 0.01
    ```
    """
    spec = check(model, quantization, calibration)
    shape = tuple(spec.shape[1:])
    target = Path(path)
    if target.is_dir():
        raise IsADirectoryError(
            f"path must name a file. Received: the folder {str(path)!r}. "
            f"Pass e.g. {str(target / 'model.tflite')!r}."
        )
    sample = None
    if calibration is not None:
        sample = draw(calibration, shape, num_calibration, seed)
    if validation_data is not None:
        judged, verified_on = first(validation_data, shape, _MOST_VERIFIED), "validation_data"
    elif sample is not None:
        judged, verified_on = sample, "calibration"
    else:
        judged, verified_on = random_inputs(shape, _RANDOM_INPUTS, seed), "random inputs"

    content = convert(model, quantization, None if sample is None else sample.inputs)
    file = TFLiteModel(content)
    expected = predict(model, judged.inputs, spec.dtype.name)
    actual = file.predict(judged.inputs)
    comparison = compare(expected, actual, judged.labels, decision(model, expected.shape))
    _write(target, content)
    return Report(
        path=str(path),
        quantization=quantization,
        bytes=len(content),
        verified_on=verified_on,
        num_verified=len(judged.inputs),
        agreement=comparison.agreement,
        accuracy_keras=comparison.accuracy_keras,
        accuracy_tflite=comparison.accuracy_tflite,
        max_abs_error=comparison.max_abs_error,
        mean_abs_error=comparison.mean_abs_error,
        input=file.input,
        output=file.output,
        operators=operators(content),
        tensor_dtypes=tensor_dtypes(content),
    )


def _write(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex}")
    try:
        temporary.write_bytes(content)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)

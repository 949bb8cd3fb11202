"""`export`: convert, verify, mend, write, report; `verify`: a file that exists."""

from __future__ import annotations

import dataclasses
import os
import uuid
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import keras
import numpy as np

from edge_devices.inputs import Inputs, count, taken
from tflite_export.attribution import layer_of
from tflite_export.calibration import Samples, check_ranges, draw, first, random_inputs
from tflite_export.compaction import compact
from tflite_export.conversion import check, convert, float_file, of_operators
from tflite_export.inspection import operators, operators_in, tensor_dtypes
from tflite_export.interpreter import TFLiteModel
from tflite_export.quantization import INTEGER
from tflite_export.remedies import (
    AccuracyDropError,
    Course,
    Judge,
    Judged,
    recalibrate,
    retune,
    unlike,
    widen,
)
from tflite_export.report import ACCURACY, Remedy, Report
from tflite_export.signature import Shapes, shapes_of
from tflite_export.verification import (
    Comparison,
    Metric,
    compare,
    confidence_interval,
    decision,
    fitting,
    predict,
    scored,
)

__all__ = ["check_drop", "export", "verify"]

_MOST_VERIFIED = 10_000
_MOST_NUMBERS = 2**26  # of all outputs together: 256 MB of the model's, as many of the file's
_RANDOM_INPUTS = 64
_ROUNDING = 1e-9
_MORE = 4  # times as many calibration inputs, when those were not enough


def export(
    model: keras.Model,
    path: str | os.PathLike[str],
    quantization: str = "int8",
    calibration: Any = None,
    *,
    validation_data: Any = None,
    num_calibration: int = 256,
    seed: int | None = 0,
    mixed: Mapping[str, str] | None = None,
    max_accuracy_drop: float | None = 0.01,
    fine_tuning_data: Any = None,
    allow_wide: bool = True,
    allow_float: bool = True,
    metric: Metric | None = None,
    metric_name: str | None = None,
) -> Report:
    """Write a model as a `.tflite` file, having run it against the model.

    The file takes one example at a time, uses built-in operators only, and with `"int8"`
    (the default) computes with integers only. It appears at `path` complete or not at all.

    If a file of integers is less accurate on the validation data than `max_accuracy_drop`
    allows, remedies are tried until one is enough, and reported: better calibration (four
    times the inputs, ranges without outliers, equalized channels); the most sensitive layers
    with more bits, as few as needed, which is the one case of a file that is not integer
    throughout; training on with rounding. They are chosen by the validation data, so judge a
    file that was mended on data of its own where it matters.

    Args:
        model: A built Keras 3 model with one output. If it has several inputs it must be
            functional; the file has them in the order of their names. It is not changed.
        path: The file to write. Missing folders are made, an existing file is replaced.
        quantization: `"float32"`, `"float16"` (half the size, computes in float32),
            `"dynamic"` (int8 weights, float input and output), `"int8"`, `"int16x8"` (16-bit
            activations: more exact, slower, not for every device) or `"int4"` (weights of 4
            bits: half the size of int8, less exact).
        calibration: Typical inputs, as the model takes them, which the last three need: a
            `tf.data.Dataset`, batched or not, or NumPy arrays; of `x`, `(x, y)`,
            `(x, y, weights)` or a TFDS dictionary such as `{"image": x, "label": y}`. Of
            several inputs `x` is a dictionary by name, or a tuple in the model's order.
        validation_data: What to verify the file on, in the same forms; the first 10,000, of
            large outputs such as maps of pixels as many as make 67 million numbers.
            Labels that are class numbers or one-hot vectors give accuracies; a `metric`
            takes any. `None` takes the calibration sample, or random inputs if there is none.
        num_calibration: How many inputs are drawn from `calibration`. More takes longer and
            covers rare activations better, but also outliers.
        seed: Seeds the draw. `None` draws fresh entropy; `0` is a seed.
        mixed: Precisions of single layers, as in `convert`.
        max_accuracy_drop: How much less accurate than the model a file of integers may be on
            labelled validation data: 0.01 is one point. `None` takes the file as it is. With
            a `metric`, how much lower that may be.
        fine_tuning_data: Labelled training data, as in `fine_tune`, if the last remedy is to
            be tried; the model must be compiled.
        allow_wide: Whether layers may be given 16-bit activations.
        allow_float: Whether layers may be left in float: no, if the device has no floats.
        metric: What files are judged by instead of the accuracy: a function from labels, as
            the validation data have them, and outputs in real numbers, both NumPy arrays
            `(n, ...)`, to a share of 1, larger is better; e.g. a mean intersection over
            union, or the share of the variance that a regression explains.
        metric_name: What the metric is called in the report; its function's name by default.

    Returns:
        What the file contains and how well it matches the model.

    Raises:
        AccuracyDropError: If the file is too inaccurate after all remedies. The best one is
            written; the error's `report` says what is known of it.
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
    check_drop(max_accuracy_drop)
    shape = shapes_of(check(model, quantization, calibration))
    target = Path(path)
    if target.is_dir():
        raise IsADirectoryError(
            f"path must name a file. Received: the folder {str(path)!r}. "
            f"Pass e.g. {str(target / 'model.tflite')!r}."
        )
    sample = None
    if calibration is not None:
        sample = draw(calibration, shape, num_calibration, seed)
    judged_by = None if metric is None else (_called(metric, metric_name), metric)
    test = _Test(model, shape, validation_data, sample, seed, judged_by)
    if sample is not None and quantization in INTEGER:
        others = test.inputs if test.on == "validation_data" else None
        check_ranges(sample.inputs, others, _rescaling(model))

    inputs = None if sample is None else sample.inputs
    content = convert(model, quantization, inputs, mixed=mixed, compact=False)

    def judge(file: bytes) -> float:
        return test.of(file).metric_tflite or 0.0

    comparison = test.of(content)
    remedies: tuple[Remedy, ...] = ()
    limit = max_accuracy_drop
    if quantization not in INTEGER or test.on != "validation_data":
        limit = None
    if inputs is not None and limit is not None and _exceeds(comparison, limit):
        more = draw(calibration, shape, _MORE * num_calibration, seed).inputs
        course = Course(Judged(content, judge(content)), _wanted(comparison, limit))
        _mend(
            course,
            model,
            quantization,
            (inputs, more),
            judge,
            mixed=mixed,
            allow_wide=allow_wide,
            allow_float=allow_float,
        )
        if fine_tuning_data is not None:
            course.take(retune(model, fine_tuning_data, quantization, judge, seed))
        content, remedies = course.best.content, tuple(course.remedies)
        comparison = test.of(content)
    written = compact(content)
    _write(target, written)
    named = _layer_names(content, model)
    report = test.report(
        comparison,
        written,
        path=str(path),
        quantization=quantization,
        max_accuracy_drop=limit,
        remedies=remedies,
        mixed={named(name): kind for name, kind in unlike(content, quantization).items()},
    )
    if limit is not None and _exceeds(comparison, limit):
        raise AccuracyDropError(report)
    return report


def verify(
    model: keras.Model,
    path: str | os.PathLike[str],
    validation_data: Any = None,
    *,
    quantization: str = "int8",
    seed: int | None = 0,
    metric: Metric | None = None,
    metric_name: str | None = None,
) -> Report:
    """Run a file that exists against the model it came from.

    The file was chosen, and mended if need be, on other data; what is reported here is fair.

    Args:
        model: The model.
        path: The file.
        validation_data: As in `export`; `None` takes random inputs.
        quantization: What the file was exported as, for the report.
        seed: Seeds the random inputs.
        metric: As in `export`.
        metric_name: As in `export`.

    Returns:
        What the file contains and how well it matches the model.

    Raises:
        ValueError: If the model, the file or the data do not fit each other.
        FileNotFoundError: If there is no such file.
    """
    shape = shapes_of(check(model, "float32", None))
    content = Path(path).read_bytes()
    judged_by = None if metric is None else (_called(metric, metric_name), metric)
    test = _Test(model, shape, validation_data, None, seed, judged_by)
    if validation_data is not None:
        test.on = "test data"
    return test.report(
        test.of(content), content, path=str(path), quantization=quantization, mixed={}
    )


class _Test:
    """Inputs that files are run on, and what the model answers to them.

    Args:
        model: The model.
        shape: Shape of one input; of several one for each, by name.
        validation_data: What to run on, or `None`.
        sample: What to run on for want of that, or `None` for random inputs.
        seed: Seeds the random inputs.
        judged_by: Name and function of the metric that counts; `None` for the accuracy.

    Raises:
        ValueError: If there is a metric, but no labels for it, or no score of the model.

    Attributes:
        inputs: The inputs.
        on: What they are, for the report.
    """

    def __init__(
        self,
        model: keras.Model,
        shape: Shapes,
        validation_data: Any,
        sample: Samples | None,
        seed: int | None,
        judged_by: tuple[str, Metric] | None,
    ) -> None:
        if validation_data is not None:
            given, self.on = first(validation_data, shape, _MOST_VERIFIED), "validation_data"
        elif sample is not None:
            given, self.on = sample, "calibration"
        else:
            given, self.on = random_inputs(shape, _RANDOM_INPUTS, seed), "random inputs"
        size = predict(model, taken(given.inputs, slice(1))).size
        some = slice(max(1, _MOST_NUMBERS // size))
        self.inputs = taken(given.inputs, some)
        self._labels = None if given.labels is None else given.labels[some]
        self._expected = predict(model, self.inputs)
        self._decide = decision(model, self._expected.shape, self._labels)
        self._name = ACCURACY if judged_by is None else judged_by[0]
        self._metric = None if judged_by is None else judged_by[1]
        if self._metric is None:
            return
        if self._labels is None:
            raise ValueError(
                "A metric needs labels, all of one shape. Received: metric "
                f"{self._name!r} and {self.on} without such labels. Pass "
                "`validation_data=(x, y)`."
            )
        scored(self._metric, self._labels, self._expected)
        if not fitting(self._labels, self._expected.shape):
            self._decide = None  # e.g. boxes, read from a map of numbers of several kinds

    def of(self, file: bytes) -> Comparison:
        """How a file compares with the model."""
        actual = TFLiteModel(file).predict(self.inputs)
        return compare(self._expected, actual, self._labels, self._decide, self._metric)

    def report(self, comparison: Comparison, content: bytes, **known: Any) -> Report:
        """What is known of a file that was compared."""
        file, number = TFLiteModel(content), count(self.inputs)
        return Report(
            bytes=len(content),
            verified_on=self.on,
            num_verified=number,
            input=file.input,
            output=file.output,
            operators=operators(content),
            tensor_dtypes=tensor_dtypes(content),
            interval_keras=_interval(comparison.accuracy_keras, number),
            interval_tflite=_interval(comparison.accuracy_tflite, number),
            metric_name=self._name,
            **dataclasses.asdict(comparison),
            **known,
        )


def _called(metric: Metric, name: str | None) -> str:
    return name or str(getattr(metric, "__name__", type(metric).__name__))


def check_drop(drop: Any) -> None:
    """Refuse a `max_accuracy_drop` that is no share.

    Raises:
        ValueError: If it is neither `None` nor a number from 0 to 1.
    """
    if drop is None or (isinstance(drop, int | float) and 0 <= drop < 1):
        return
    raise ValueError(
        "max_accuracy_drop is a share of all answers, from 0 to 1. Received: "
        f"max_accuracy_drop={drop!r}. 0.01 is one point; None takes any file."
    )


def _exceeds(comparison: Comparison, limit: float) -> bool:
    """Whether the file is less accurate than the model by more than the limit."""
    return (comparison.metric_tflite or 0.0) < _wanted(comparison, limit)


def _wanted(comparison: Comparison, limit: float) -> float:
    """The score that the file must have; without labels any will do."""
    if comparison.metric_keras is None:
        return 0.0
    return comparison.metric_keras - limit - _ROUNDING


def _mend(
    course: Course,
    model: keras.Model,
    quantization: str,
    samples: tuple[Inputs, Inputs],
    judge: Judge,
    *,
    mixed: Mapping[str, str] | None,
    allow_wide: bool,
    allow_float: bool,
) -> None:
    """Try what needs no training: better calibration, then more bits for some layers.

    Args:
        course: What it is for.
        model: The model, which is converted to float once.
        quantization: Of the file to make.
        samples: The calibration inputs that the file was made with, and more of them.
        judge: From the bytes of a file to its accuracy.
        mixed: Precisions of single layers.
        allow_wide: Whether layers may be given 16-bit activations.
        allow_float: Whether layers may be left in float.
    """
    few, more = samples
    floats = float_file(model, integer=True)
    fixed = of_operators(mixed, floats, model)
    course.take(recalibrate(floats, quantization, more, count(few), judge, fixed))
    if course.over:
        return
    course.take(
        widen(
            course.best.source or floats,
            quantization,
            more,
            course.best.ranges,
            judge,
            course.wanted,
            mixed=fixed,
            allow_wide=allow_wide,
            allow_float=allow_float,
            named=_layer_names(floats, model),
        )
    )


def _layer_names(content: bytes, model: keras.Model) -> Callable[[str], str]:
    """From the names of a file's operators to those of layers, where they are known."""
    layers = [layer.name for layer in model.layers]
    scopes = {
        operator.name: (*operator.outputs, *operator.constants)
        for operator in operators_in(content)
    }
    return lambda name: layer_of(scopes.get(name, (name,)), layers) or name


def _interval(accuracy: float | None, count: int) -> tuple[float, float] | None:
    return None if accuracy is None else confidence_interval(accuracy, count)


def _rescaling(model: keras.Model) -> float | None:
    """The largest factor by which a model rescales its inputs first; `None` if it does not."""
    layers = [x for x in model.layers if not isinstance(x, keras.layers.InputLayer)]
    if len(layers) + 1 < len(model.layers):
        return None  # of several inputs it is not known which one it is
    if not layers or not isinstance(layers[0], keras.layers.Rescaling):
        return None
    return float(np.abs(layers[0].scale).max())


def _write(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex}")
    try:
        temporary.write_bytes(content)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)

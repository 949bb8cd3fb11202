"""From a trained model and its file to the package that ships, with what is known of both."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

import tflite_export
from edge_devices.device import Device, devices
from edge_devices.units import format_cost
from kerasnas import companions
from kerasnas.examples import Examples
from kerasnas.limits import format_duration
from kerasnas.result import SearchResult
from kerasnas.scoring import metric_of, served
from kerasnas.tasks import described
from search_spaces.detection import Detection
from search_spaces.segmentation import Segmentation
from search_spaces.task import Classification, MultiLabel, NextToken, Regression, Task
from tflite_export.interpreter import TFLiteModel
from tflite_export.packaging import Package, package
from tflite_export.remedies import AccuracyDropError
from tflite_export.report import Report

__all__ = ["BATCH", "VERIFIED", "Shipment", "export"]

VERIFIED = 10_000
"""Test examples at most."""

BATCH = 256
"""Examples that are run at once."""

_CALIBRATION = 4_096  # examples of which the export draws its calibration sample
_LOOKED_AT = 2_000  # examples from which the range of the inputs is told


def export(
    model: keras.Model,
    path: str | os.PathLike[str],
    quantization: str,
    train: Examples | None,
    test: Examples | None,
    *,
    task: Task | None = None,
    device: Device | None = None,
    points: float | None = 1.0,
    seed: int = 0,
) -> tuple[Report, AccuracyDropError | None]:
    """Export a model, and keep the file even if it is less accurate than it may be.

    Args:
        model: The Keras model.
        path: The file to write.
        quantization: As in `tflite_export.export`.
        train: What to calibrate on, to choose remedies on and to train on where quantizing
            costs too much.
        test: What the file is judged on in the end.
        task: By whose measure, and what the targets are; `None` is by accuracy.
        device: What it is for: an NPU has no floats, so no layer may be left in them.
        points: Percent points of the measure that quantization may cost; `None` takes the file
            as it is.
        seed: Seeds the draw of the calibration sample.

    Returns:
        What is known of the file, and the error that says it is not accurate enough.
    """
    optional: dict[str, Any] = {}
    judged_by: dict[str, Any] = {}
    if task is not None:
        judged_by = {"metric": metric_of(task), "metric_name": task.measure}
    if train is not None:
        # Of every class, because files and folders are often sorted by class.
        some = train.stratified_subset(_CALIBRATION, seed)
        optional["calibration"] = some.dataset(BATCH)
        # What is tried on a file is chosen on these, so that the test part only judges it.
        optional["validation_data"] = optional["calibration"]
        if model.compiled:
            optional["fine_tuning_data"] = served(train, BATCH, task)
    failure = None
    try:
        report = tflite_export.export(
            model,
            path,
            quantization,
            max_accuracy_drop=None if points is None else points / 100,
            allow_float=device is None or device.npu is None,
            seed=seed,
            **judged_by,
            **optional,
        )
    except AccuracyDropError as error:
        report, failure = error.report, error
    if test is not None:
        judged = tflite_export.verify(
            model, path, test.dataset(BATCH), quantization=quantization, **judged_by
        )
        report = dataclasses.replace(
            judged,
            remedies=report.remedies,
            mixed=report.mixed,
            max_accuracy_drop=report.max_accuracy_drop,
        )
    return report, failure


@dataclasses.dataclass(frozen=True)
class Shipment:
    """A model that is to be packaged, and where it comes from.

    Args:
        model: The Keras model.
        report: What the export found.
        dataset: Name of the data set.
        class_names: Names of the classes, or `None`.
        train: Examples it was made from.
        test: Examples it was judged on.
        task: What it answers.
        result: The search that found it, or `None`.
        limits: Upper bounds that were asked for, in base units.
        device: What it is for, or `None`.
        seconds: How long finding it took, or `None`.
        versions: Versions of the software.
    """

    model: keras.Model
    report: Report
    dataset: str
    class_names: Sequence[str] | None
    train: Examples
    test: Examples
    task: Task
    result: SearchResult | None = None
    limits: Mapping[str, float] = dataclasses.field(default_factory=dict)
    device: Device | None = None
    seconds: float | None = None
    versions: Mapping[str, str] = dataclasses.field(default_factory=dict)

    def package(self, folder: str | os.PathLike[str], content: bytes) -> Package:
        """Write the package; see `tflite_export.package`."""
        return package(
            folder,
            content,
            self.report,
            labels=self._labels(),
            input=self._of_inputs(_sentence),
            task=described(self.task)["name"],
            value_range=self._of_inputs(lambda _, values: _ends(values)),
            description=f"{_PURPOSE[type(self.task)]} such as those of {self.dataset}.",
            sample=self.test.x[0],
            limits=self.limits,
            devices=_first(self.device),
            data=self._data(),
            confusion=self._confusion(content),
            search=self._search(),
            versions=self.versions,
        )

    def _labels(self) -> list[str] | None:
        """Names of the classes, or their numbers; `None` where the task has none."""
        classes = getattr(self.task, "num_classes", None)
        if classes is None:
            return None
        names = self.class_names or [str(index) for index in range(classes)]
        return list(names) if len(names) == classes > 1 else None

    def _of_inputs(self, function: Callable[[str | None, NDArray[Any]], Any]) -> Any:
        """What a function makes of layout and values of an input; of several by name."""
        layout = None if self.result is None else self.result.settings.get("layout")
        some = self.train.stratified_subset(_LOOKED_AT, 0).x[:]
        if not isinstance(some, dict):
            return function(layout, some)
        layouts = layout if isinstance(layout, dict) else {}
        return {name: function(layouts.get(name), values) for name, values in some.items()}

    def _data(self) -> dict[str, Any]:
        labels = self._labels()
        shape, dtype = self.train.x.example_shape, self.train.x.dtype
        facts: dict[str, Any] = {
            "data set": self.dataset,
            "examples to train and choose on": f"{len(self.train):,}",
            "examples to judge on, never used before": f"{len(self.test):,}",
            "inputs": f"{shape}, {dtype}",
        }
        if labels and isinstance(self.task, Classification):
            first = int(self.test.strata[0])
            name = "example.npz" if isinstance(shape, dict) else "example.npy"
            facts[f"`{name}`"] = f"the first test example, of class {labels[first]}"
        return facts | ({} if self.result is None else companions.described(self.result))

    def _confusion(self, content: bytes) -> list[list[int]] | None:
        if not isinstance(self.task, Classification):
            return None
        classes = self.task.num_classes
        answers = TFLiteModel(content).predict(self.test.x[:])
        if answers.shape[1:] != (classes,):
            return None
        return _counted(self.test.strata, answers.argmax(axis=1), classes)

    def _search(self) -> dict[str, Any] | None:
        if self.result is None:
            return None
        settings, answer = self.result.settings, self.result.answer or {}
        limits = settings.get("limits") or {}
        return {
            "method": settings.get("strategy"),
            "space": str(settings.get("space", "")).partition(":")[0],
            "optimised": ", ".join(settings.get("objectives") or [self.result.objective[0]]),
            "device": "" if self.device is None else self.device.name,
            "limits": ", ".join(f"{k} {format_cost(k, v)}" for k, v in limits.items()),
            "candidates trained": len(self.result.leaderboard()),
            "time": "" if self.seconds is None else format_duration(self.seconds),
            "seed": settings.get("seed"),
            "trained on the validation part too": "yes" if answer.get("refitted") else "no",
            "decisions": answer.get("values") or {},
        }


_PURPOSE: dict[type[Task], str] = {
    Classification: "Classifies examples",
    MultiLabel: "Tells which of several labels examples have,",
    Regression: "Tells quantities of examples",
    Segmentation: "Tells the class of each pixel of images",
    Detection: "Finds objects in images",
    NextToken: "Tells what comes next in sequences",
}


def _ends(values: NDArray[Any]) -> tuple[float, float]:
    """The least and the largest value that an input has."""
    if values.dtype == np.uint8:
        return 0.0, 255.0
    return float(values.min()), float(values.max())


def _sentence(layout: str | None, values: NDArray[Any]) -> str:
    least, largest = _ends(values)
    what = _described(values.shape[1:], layout)
    if layout == "tokens":
        return f"{what} from {least:g} to {largest:g}."
    return (
        f"{what}, with values from {least:g} to {largest:g} as they are: the model "
        "normalises them."
    )


def _described(shape: tuple[int, ...], layout: str | None) -> str:
    """What one input is."""
    plural = "s" * (shape[-1] > 1)
    if layout == "audio":
        return f"Audio features of {shape[0]} frames and {shape[1]} bands"
    if layout == "tokens":
        return f"{shape[0]} tokens, whole numbers"
    if layout == "waveform":
        return f"A waveform of {shape[0]} samples"
    if len(shape) == 3:
        return f"An image of {shape[0]}x{shape[1]} pixels and {shape[2]} channel{plural}"
    if len(shape) == 2:
        return f"A series of {shape[0]} steps and {shape[1]} channel{plural}"
    return f"A row of {shape[0]} column{plural}"


def _counted(
    truth: NDArray[np.int64], answers: NDArray[np.int64], classes: int
) -> list[list[int]]:
    """How often examples of a class (row) were taken for each (column)."""
    counts = np.zeros((classes, classes), int)
    np.add.at(counts, (truth, answers), 1)
    return [[int(count) for count in row] for row in counts]


def _first(device: Device | None) -> list[Device]:
    """All devices, the one that matters first."""
    others = [each for each in devices() if device is None or each.name != device.name]
    return others if device is None else [device, *others]

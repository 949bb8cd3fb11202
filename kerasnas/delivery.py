"""What a search found, delivered: its file, judged on the test part, and a summary."""

from __future__ import annotations

import dataclasses
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import keras

from edge_devices.device import Device
from edge_devices.units import format_cost
from kerasnas import companions
from kerasnas.costs import exceeded
from kerasnas.parts import NamedData
from kerasnas.result import FILE, SearchResult
from kerasnas.scoring import metric_of, part_to_judge, through
from kerasnas.shipping import BATCH, VERIFIED, Shipment, export
from search_spaces.space import WEIGHT_BITS
from search_spaces.task import Task
from tflite_export import verify
from tflite_export.interpreter import TFLiteModel
from tflite_export.packaging import Package
from tflite_export.report import Remedy, Report

__all__ = ["Delivery"]


class Delivery:
    """The file of a search, and the data that were before it and behind it.

    What was chosen, and mended if need be, on the validation part is taken as it is; another
    file is exported where it is asked for, or where the search was interrupted before.

    Args:
        model: What the search returned.
        result: The search.
        data: What it was given, with a test part that only judges the file.
        folder: Where `model.tflite` is written, and what is beside it.
        device: What it is for, or `None`.
        quantization: As in `tflite_export.export`; `None` goes by the device and the search.
        points: Percent points of the task's measure that quantization may cost.
        seed: Seeds the draw of calibration and test examples.

    Raises:
        RuntimeError: If the file is over the limits of the search.

    Attributes:
        file: The path of the file.
        quantization: What it is.
        report: What is known of it.
        task: What it answers.
    """

    def __init__(
        self,
        model: keras.Model,
        result: SearchResult,
        data: NamedData,
        *,
        folder: Path,
        device: Device | None,
        quantization: str | None,
        points: float,
        seed: int,
    ) -> None:
        assert result.task is not None  # a search's own
        self.task: Task = result.task
        self.file = folder / FILE
        self._model = model
        self._result = result
        self._device = device
        self._points = points
        self._seed = seed
        self._answer = result.answer or {"values": {}, "costs": {}}
        self._front, self._network = result.exported(model)
        train, test = (result.read(part) for part in (data.train, data.test))
        test = test.stratified_subset(VERIFIED, seed)
        self._train, self._test = through(self._front, train), through(self._front, test)
        self.quantization = quantization or self._usual()
        chosen = quantization is None and self._answer == result.winner
        if chosen and (result.folder / FILE).exists():
            self.report = self._verified()
        else:
            self.report = self._exported()
        self._check_limits()

    def package(self, dataset: str, seconds: float, versions: Mapping[str, str]) -> Package:
        """Write all that is needed to use the file beside it.

        Args:
            dataset: Name of the data set.
            seconds: How long finding it took.
            versions: Of the software.

        Returns:
            What was written; the report knows its final size then.
        """
        made = Shipment(
            model=self._network,
            report=self.report,
            dataset=dataset,
            class_names=self._result.settings["class_names"],
            train=self._train,
            test=self._test,
            task=self.task,
            result=self._result,
            limits=self._result.settings["limits"],
            device=self._device,
            seconds=seconds,
            versions=versions,
        ).package(self.file.parent, self.file.read_bytes())
        beside = companions.write(self._result, self.file.parent, self._front)
        self.report = dataclasses.replace(self.report, bytes=made.bytes)
        return made._replace(files=(*made.files, *beside))

    def scores(self) -> dict[str, float]:
        """All scores of the file on the test part, or on what of it fits into memory."""
        part = part_to_judge(self._test, self._network.output_shape)
        outputs = TFLiteModel(self.file).predict(part.x[:])
        return {name: float(x) for name, x in self.task.scores(part.y, outputs).items()}

    def summary(self) -> dict[str, Any]:
        """What is known, ready for JSON."""
        settings, measure = self._result.settings, self.task.measure
        return {
            "task": settings["task"],
            f"test_{measure}_float": self.report.metric_keras,
            f"test_{measure}_{self.quantization}": self.report.metric_tflite,
            "test_scores": self.scores(),
            "test_examples": self.report.num_verified,
            "tflite_bytes": self.report.bytes,
            "params": self._model.count_params(),
            "macs": self._answer["costs"].get("macs"),
            "trials": len(self._result.trials),
            "finished": self._result.winner is not None,
            "best": self._answer["values"],
            "classes": settings["class_names"] or getattr(self.task, "num_classes", None),
            "limits": settings["limits"],
            "device": None if self._device is None else self._device.name,
            "seed": self._seed,
            "export": self.report.to_dict(),
        }

    def check_drop(self) -> None:
        """Refuse a file that is worse than it may be, whatever was tried.

        Raises:
            RuntimeError: If it is, on the validation part.
        """
        lost = 100 * (self._answer.get("drop") or 0.0)
        if lost > self._points:
            raise RuntimeError(
                "The file is less accurate than is allowed, whatever was tried. Received: "
                f"--max-accuracy-drop {self._points:g}, and {lost:.2f} points lost on the "
                f"validation part. {self.file} is the best there is. Allow more, or search "
                "longer."
            )

    def _usual(self) -> str:
        if self._answer["values"].get(WEIGHT_BITS) == 4:
            return "int4"
        return "int8" if self._device is None else self._device.quantization

    def _verified(self) -> Report:
        """The file that the search chose, judged on the test part."""
        shutil.copyfile(self._result.folder / FILE, self.file)
        report: Report = verify(
            self._network,
            self.file,
            self._test.dataset(BATCH),
            quantization=self.quantization,
            metric=metric_of(self.task),
            metric_name=self.task.measure,
        )
        remedies = tuple(Remedy(**remedy) for remedy in self._answer.get("remedies", ()))
        return dataclasses.replace(
            report, remedies=remedies, max_accuracy_drop=self._points / 100
        )

    def _exported(self) -> Report:
        """Another file, which is taken as it is."""
        report, _ = export(
            self._network,
            self.file,
            self.quantization,
            self._train,
            self._test,
            task=self.task,
            device=self._device,
            points=None,
            seed=self._seed,
        )
        return report

    def _check_limits(self) -> None:
        limits = self._result.settings["limits"]  # the device's are among them
        broken = exceeded(self.file.read_bytes(), limits, self._device)
        if broken:
            raise RuntimeError(
                "The file is over its limits. Received: "
                + ", ".join(
                    f"{name} {format_cost(name, cost)} of {format_cost(name, limits[name])}"
                    for name, cost in broken.items()
                )
                + f" as {self.quantization}. The limits are kept for int8 by a search that "
                "ends; search longer, or export as int8."
            )

"""What is known of an exported file."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tflite_export.interpreter import TensorInfo

__all__ = ["ACCURACY", "Remedy", "Report"]

ACCURACY = "accuracy"
"""Name of what files are judged by unless a metric is given."""

_WIDTH = 12


@dataclass(frozen=True)
class Remedy:
    """One attempt to bring a file's accuracy back.

    Attributes:
        name: What was done.
        detail: To what, or why it was not possible.
        bytes: Size of the file it made; 0 if none.
        accuracy_before: Accuracy of the best file until then, or its score by the metric that
            counts.
        accuracy: The same of the file it made, or as before if none.
        seconds: How long it took.
        kept: Whether its file is the best one, so far.
    """

    name: str
    detail: str
    bytes: int
    accuracy_before: float
    accuracy: float
    seconds: float
    kept: bool

    def __str__(self) -> str:
        if not self.bytes:
            return f"{self.name}: {self.detail}"
        verdict = "kept" if self.kept else "no better"
        return (
            f"{self.name} ({self.detail}): {self.accuracy_before:.2%} -> {self.accuracy:.2%}, "
            f"{self.bytes:,} bytes, {self.seconds:.1f} s, {verdict}"
        )


@dataclass(frozen=True)
class Report:
    """A `.tflite` file: what it is, what it contains, and how well it matches its model.

    `print(report)` shows it as a table; `report.to_dict()` goes into JSON.

    Attributes:
        path: Where the file is.
        quantization: As it was exported, one of those that `convert` lists.
        bytes: Size of the file.
        verified_on: What file and model were both run on: `"test data"` if the file was made
            before and only verified; when it was made `"validation_data"`, else
            `"calibration"`, else `"random inputs"`, which say little about real ones.
        num_verified: On how many inputs.
        agreement: Share of decisions on which file and model agree; `None` if the outputs
            are quantities, not classes.
        accuracy_keras: Share of labels the model gets right; `None` without class labels.
        accuracy_tflite: Share of labels the file gets right; `None` without class labels.
        max_abs_error: Largest difference of an output, in the output's unit.
        mean_abs_error: Mean difference of an output.
        input: The file's input; of several a dictionary by the names of its signature.
        output: The file's output.
        operators: Number of operators of each kind.
        tensor_dtypes: Number of tensors of each type, weights included.
        interval_keras: Where the model's true accuracy is with 95 % confidence, as far as the
            number of inputs tells (Wilson's interval); `None` without class labels.
        interval_tflite: The same of the file.
        max_accuracy_drop: How much less accurate the file was allowed to be; `None` for any.
            If files are judged by another metric, how much lower that might be.
        remedies: What was tried to keep to that, in order.
        mixed: Layers that are in another precision than `quantization` says, by name.
        metric_name: What file and model are judged by: the accuracy, unless a metric was
            given.
        metric_keras: The model's score by that, a share of 1; `None` if it was not known.
        metric_tflite: The same of the file.
    """

    path: str
    quantization: str
    bytes: int
    verified_on: str
    num_verified: int
    agreement: float | None
    accuracy_keras: float | None
    accuracy_tflite: float | None
    max_abs_error: float
    mean_abs_error: float
    input: TensorInfo | Mapping[str, TensorInfo]
    output: TensorInfo
    operators: Mapping[str, int]
    tensor_dtypes: Mapping[str, int]
    interval_keras: tuple[float, float] | None = None
    interval_tflite: tuple[float, float] | None = None
    max_accuracy_drop: float | None = None
    remedies: tuple[Remedy, ...] = ()
    mixed: Mapping[str, str] = dataclasses.field(default_factory=dict)
    metric_name: str = ACCURACY
    metric_keras: float | None = None
    metric_tflite: float | None = None

    def __post_init__(self) -> None:
        if self.metric_name == ACCURACY and self.metric_keras is None:
            # Frozen, but not finished: without a metric the accuracy is what counts.
            object.__setattr__(self, "metric_keras", self.accuracy_keras)
            object.__setattr__(self, "metric_tflite", self.accuracy_tflite)

    @property
    def accuracy_drop(self) -> float | None:
        """How much less accurate the file is than the model; `None` if nothing was judged.

        If they are judged by another metric, how much lower that is.
        """
        if self.metric_keras is None or self.metric_tflite is None:
            return None
        return self.metric_keras - self.metric_tflite

    def to_dict(self) -> dict[str, Any]:
        """The report as dictionaries, lists, text and numbers, ready for JSON."""
        return dataclasses.asdict(self) | {"accuracy_drop": self.accuracy_drop}

    def __str__(self) -> str:
        rows = {"file": f"{self.path}, {self.quantization}, {self.bytes:,} bytes"}
        rows["verified on"] = f"{self.verified_on} ({self.num_verified:,})"
        if self.agreement is not None:
            rows["agreement"] = f"{self.agreement:.2%}"
        if self.metric_name != ACCURACY and self.metric_keras is not None:
            rows[self.metric_name] = (
                f"{self.metric_tflite:.2%} (Keras {self.metric_keras:.2%})"
            )
        if self.accuracy_keras is not None:
            rows["accuracy"] = f"{self.accuracy_tflite:.2%} (Keras {self.accuracy_keras:.2%})"
        if self.interval_tflite is not None and self.interval_keras is not None:
            rows["95 % within"] = (
                f"{_interval(self.interval_tflite)} (Keras {_interval(self.interval_keras)})"
            )
        for number, remedy in enumerate(self.remedies, 1):
            rows[f"remedy {number}"] = str(remedy)
        if self.mixed:
            rows["mixed"] = ", ".join(f"{name} {kind}" for name, kind in self.mixed.items())
        rows["error"] = f"max {self.max_abs_error:.3g}, mean {self.mean_abs_error:.3g}"
        if isinstance(self.input, TensorInfo):
            rows["input"] = str(self.input)
        else:
            rows |= {f"input {name}": str(info) for name, info in self.input.items()}
        rows["output"] = str(self.output)
        rows["operators"] = _counted(self.operators)
        rows["tensors"] = _counted(self.tensor_dtypes)
        width = max(_WIDTH, *map(len, rows))
        return "\n".join(f"{name:<{width}} {text}" for name, text in rows.items())


def _counted(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{count} {name}" for name, count in counts.items())


def _interval(interval: tuple[float, float]) -> str:
    return f"{interval[0]:.2%} to {interval[1]:.2%}"

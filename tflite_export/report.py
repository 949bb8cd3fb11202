"""What is known of an exported file."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tflite_export.interpreter import TensorInfo

__all__ = ["Report"]


@dataclass(frozen=True)
class Report:
    """A `.tflite` file: what it is, what it contains, and how well it matches its model.

    `print(report)` shows it as a table; `report.to_dict()` goes into JSON.

    Attributes:
        path: Where the file is.
        quantization: As it was exported: `"float32"`, `"float16"`, `"dynamic"` or `"int8"`.
        bytes: Size of the file.
        verified_on: What file and model were both run on: `"validation_data"`, else
            `"calibration"`, else `"random inputs"`, which say little about real ones.
        num_verified: On how many inputs.
        agreement: Share of decisions on which file and model agree; `None` if the outputs
            are quantities, not classes.
        accuracy_keras: Share of labels the model gets right; `None` without class labels.
        accuracy_tflite: Share of labels the file gets right; `None` without class labels.
        max_abs_error: Largest difference of an output, in the output's unit.
        mean_abs_error: Mean difference of an output.
        input: The file's input.
        output: The file's output.
        operators: Number of operators of each kind.
        tensor_dtypes: Number of tensors of each type, weights included.
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
    input: TensorInfo
    output: TensorInfo
    operators: Mapping[str, int]
    tensor_dtypes: Mapping[str, int]

    def to_dict(self) -> dict[str, Any]:
        """The report as dictionaries, lists, text and numbers, ready for JSON."""
        return dataclasses.asdict(self)

    def __str__(self) -> str:
        rows = {"file": f"{self.path}, {self.quantization}, {self.bytes:,} bytes"}
        rows["verified on"] = f"{self.verified_on} ({self.num_verified:,})"
        if self.agreement is not None:
            rows["agreement"] = f"{self.agreement:.2%}"
        if self.accuracy_keras is not None:
            rows["accuracy"] = f"{self.accuracy_tflite:.2%} (Keras {self.accuracy_keras:.2%})"
        rows["error"] = f"max {self.max_abs_error:.3g}, mean {self.mean_abs_error:.3g}"
        rows["input"], rows["output"] = str(self.input), str(self.output)
        rows["operators"] = _counted(self.operators)
        rows["tensors"] = _counted(self.tensor_dtypes)
        return "\n".join(f"{name:<12} {text}" for name, text in rows.items())


def _counted(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{count} {name}" for name, count in counts.items())

"""A latency model of operators that somebody timed on a device of their own."""

from __future__ import annotations

import csv
import dataclasses
import json
import math
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from edge_devices.latency import LatencyModel
from edge_devices.program import Operator, Program, Tensor

__all__ = ["OperatorTable"]

Rows = str | os.PathLike[str] | Iterable[Mapping[str, Any]]

_EXAMPLE = '{"op": "CONV_2D", "macs": 512000, "bytes": 20096, "latency_ms": 6.3}'
_SHAPES = ("input_shape", "output_shape")
_RANKS = {"CONV_2D": 4, "DEPTHWISE_CONV_2D": 4, "FULLY_CONNECTED": 2}  # of the weights
_ANY = ""  # the price of operators that the table does not have


class _Price(NamedTuple):
    """Milliseconds of one operator, of one multiply-accumulate and of one byte."""

    operator: float
    mac: float
    byte: float

    def milliseconds(self, macs: float, size: float) -> float:
        return self.operator + self.mac * macs + self.byte * size


class _Row(NamedTuple):
    op: str
    macs: float
    size: float
    milliseconds: float


@dataclasses.dataclass(frozen=True)
class OperatorTable(LatencyModel):
    """Prices of operators by type: so much each, per multiply-accumulate and per byte.

    An operator type that was not timed is charged what all rows together say.

    Attributes:
        prices: By operator; under `""` that of all rows.
        rows: Number of timings.
        error: Median and worst error, as fractions, on rows left out of the fit one at a
            time; `None` with a single row.
    """

    prices: Mapping[str, _Price] = dataclasses.field(hash=False)
    rows: int
    error: tuple[float, float] | None

    @staticmethod
    def fit(rows: Rows) -> OperatorTable:
        """Fit prices to timings, by non-negative least squares of the relative error.

        | column         | what it is                                                        |
        |----------------|-------------------------------------------------------------------|
        | `op`           | name in the TensorFlow Lite schema, e.g. `CONV_2D`; required      |
        | `latency_ms`   | milliseconds; required                                            |
        | `macs`         | multiply-accumulates                                              |
        | `bytes`        | bytes read and written: activations and weights                   |
        | `input_shape`  | instead of the two: shape of the input, as `1x32x32x16` or a list |
        | `output_shape` | shape of the output                                               |
        | `weights`      | shape of the weights in the file, e.g. `16x3x3x8`; may be empty   |

        Args:
            rows: Path of a CSV file with a header or of a JSON file with a list of objects,
                or such a list. Other columns are ignored.

        Raises:
            TypeError: If `rows` is neither a path nor rows.
            ValueError: If there is no row, columns are missing, or a number is not one.
        """
        table = [_read(number, row) for number, row in enumerate(_rows(rows), 1)]
        if not table:
            raise ValueError(
                f"A device is described by timed operators. Received: no row. Give at least "
                f"one, for example {_EXAMPLE}."
            )
        return OperatorTable(_prices(table), len(table), _left_out(table))

    def milliseconds(self, program: Program) -> float | None:
        total = 0.0
        for operator in program.operators:
            price = self.prices.get(operator.op, self.prices[_ANY])
            macs = float(program.macs(operator))
            total += price.milliseconds(macs, _size(program, operator))
        return total

    def __str__(self) -> str:
        ops = sorted(op for op in self.prices if op != _ANY)
        error = (
            f"off by {self.error[0]:.0%} in the median and {self.error[1]:.0%} at most on "
            "rows it was not fitted to"
            if self.error
            else "its error is not known"
        )
        return f"fitted to {self.rows} timed operators ({', '.join(ops)}); {error}"


def _rows(rows: Any) -> list[Mapping[str, Any]]:
    if isinstance(rows, str | os.PathLike):
        path = Path(rows)
        if path.suffix.lower() == ".json":
            rows = json.loads(path.read_text())
        elif path.suffix.lower() == ".csv":
            with path.open(newline="") as file:
                rows = list(csv.DictReader(file))
        else:
            raise ValueError(
                "Timed operators are read from a .csv or a .json file. "
                f"Received: {os.fspath(path)!r}. Save the table as one of them."
            )
    listed = (
        list(rows) if isinstance(rows, Iterable) and not isinstance(rows, Mapping) else None
    )
    if listed is None or not all(isinstance(row, Mapping) for row in listed):
        raise TypeError(
            "Timed operators are a list of mappings, or a file of them. Received: "
            f"{type(rows).__name__}. A row is, for example, {_EXAMPLE}."
        )
    return listed


def _read(number: int, row: Mapping[str, Any]) -> _Row:
    given = {name for name, value in row.items() if value not in (None, "")}
    missing = [name for name in ("op", "latency_ms") if name not in given]
    if not missing and not given & {"macs", "bytes"}:
        missing = [name for name in _SHAPES if name not in given]
        if len(missing) == len(_SHAPES):
            missing = ["macs or bytes (or input_shape and output_shape)"]
    if missing:
        raise ValueError(
            f"Row {number} of the timed operators lacks {', '.join(missing)}. Received: the "
            f"columns {', '.join(sorted(map(str, given))) or 'none'}. A row is, for example, "
            f"{_EXAMPLE}."
        )
    op = str(row["op"]).strip().upper()
    milliseconds = _number(number, "latency_ms", row["latency_ms"])
    if not milliseconds > 0:
        raise ValueError(
            f"latency_ms in row {number} of the timed operators must be positive. Received: "
            f"{row['latency_ms']!r}. Leave operators out that take no time."
        )
    if given & {"macs", "bytes"}:
        macs, size = (
            _number(number, name, row[name]) if name in given else 0.0
            for name in ("macs", "bytes")
        )
        return _Row(op, macs, size, milliseconds)
    weights = _shape(number, "weights", row["weights"]) if "weights" in given else ()
    read, written = (Tensor(_shape(number, name, row[name])) for name in _SHAPES)
    program = Program((read, written), (Operator(op, (0,), (1,), weights),), (0,), (1,))
    operator = program.operators[0]
    if len(weights) != _RANKS.get(op, len(weights)):
        raise ValueError(
            f"weights in row {number} of the timed operators must be the shape that the file "
            f"has. Received: op={op!r}, weights={row.get('weights')!r}. Write, for example, "
            "16x3x3x8 for 16 filters of 3 x 3 over 8 channels."
        )
    macs = float(program.macs(operator))
    return _Row(op, macs, _size(program, operator), milliseconds)


def _number(number: int, name: str, value: Any) -> float:
    try:
        found = float(value)
    except (TypeError, ValueError):
        found = math.nan
    if not 0 <= found < math.inf:
        raise ValueError(
            f"{name} in row {number} of the timed operators must be a number, not below 0. "
            f"Received: {value!r}. Write it without a unit."
        )
    return found


def _shape(number: int, name: str, value: Any) -> tuple[int, ...]:
    parts = re.split(r"[x,;\s]+", value.strip("()[] ")) if isinstance(value, str) else value
    try:
        shape = tuple(int(part) for part in parts)
    except (TypeError, ValueError):
        shape = ()
    if not shape or min(shape) < 1:
        raise ValueError(
            f"{name} in row {number} of the timed operators must be a shape. Received: "
            f"{value!r}. Write, for example, 1x32x32x16."
        )
    return shape


def _size(program: Program, operator: Operator) -> float:
    moved = sum(program.tensors[i].bytes for i in (*operator.inputs, *operator.outputs))
    read = operator.weight_bytes
    if operator.op == "GATHER":  # which reads the rows that it writes
        read = min(read, program.tensors[operator.outputs[0]].bytes)
    return float(moved + read)


def _prices(table: Sequence[_Row]) -> dict[str, _Price]:
    types = {row.op for row in table}
    prices = {op: _price([row for row in table if row.op == op]) for op in sorted(types)}
    return {**prices, _ANY: _price(table)}


def _price(table: Sequence[_Row]) -> _Price:
    from scipy.optimize import nnls

    features = np.array([[1.0, row.macs, row.size] for row in table])
    features /= np.array([[row.milliseconds] for row in table])
    scale = np.maximum(features.max(axis=0), np.finfo(float).tiny)
    found, _ = nnls(features / scale, np.ones(len(table)))
    return _Price(*(float(x) for x in found / scale))


def _left_out(table: Sequence[_Row]) -> tuple[float, float] | None:
    if len(table) < 2:
        return None
    errors = []
    for index, row in enumerate(table):
        rest = [*table[:index], *table[index + 1 :]]
        same = [other for other in rest if other.op == row.op]
        predicted = _price(same or rest).milliseconds(row.macs, row.size)
        errors.append(abs(predicted / row.milliseconds - 1))
    return float(np.median(errors)), max(errors)

"""Tables in text files: a header, and a row of values a line."""

from __future__ import annotations

import csv
import pathlib
import re
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_devices.spelling import did_you_mean
from kerasnas.archives import decoded
from kerasnas.parts import NamedData, held_out
from search_spaces.task import Regression

__all__ = ["table"]

_DELIMITERS = ",;\t|"
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")
_WHOLE = re.compile(r"[+-]?\d{1,18}")
_CODE = re.compile(r"0\d+")  # such as postal codes: as numbers they would lose their zeros


def table(path: pathlib.Path, target: str | None, ignore: Sequence[str] = ()) -> NamedData:
    """Open a table as columns by name, and its test part.

    The first line names the columns. Values are separated by commas, semicolons, tabs or
    bars, whichever the header has most of. A column whose values are all numbers holds
    numbers; any other holds categories. Both parts have like shares of the values of the
    target, or of its ranges if it is a quantity.

    Args:
        path: The file.
        target: Column that is to be told; `None` is the last one.
        ignore: Columns to leave out, such as those that only name rows.

    Raises:
        ValueError: If lines differ in length, columns are missing or have no names of their
            own, values are missing, or a column holds both numbers and texts.
    """
    header, rows = _read(path)
    unknown = [name for name in (target, *ignore) if name is not None and name not in header]
    if unknown:
        raise ValueError(
            f"There is no such column. Received: {unknown[0]!r} of {path}, whose columns are "
            f"{', '.join(header)}. {did_you_mean(unknown[0], header)}Check the spelling."
        )
    kept = [name for name in header if name not in ignore]
    target = target or (kept[-1] if kept else None)
    if target not in kept or len(kept) < 2:
        raise ValueError(
            "A table needs a column to tell and one to tell it from. Received: "
            f"{path} with {', '.join(kept) or 'nothing'}, of which {target!r} is to be told. "
            "Leave fewer columns out."
        )
    columns = {
        name: _column(name, [row[number] for row in rows], path)
        for number, name in enumerate(header)
        if name in kept
    }
    y = columns.pop(target)
    train, test = (
        ({name: values[part] for name, values in columns.items()}, y[part])
        for part in held_out(*_strata(y))
    )
    return NamedData(train, test, np.unique(y).tolist() if y.dtype.kind == "U" else None)


def _read(path: pathlib.Path) -> tuple[list[str], list[list[str]]]:
    """The names of the columns and the rows, empty lines left out."""
    lines = decoded(path).splitlines(keepends=True)
    first = next((line for line in lines if line.strip()), "")
    delimiter = max(_DELIMITERS, key=first.count)
    reader = csv.reader(lines, delimiter=delimiter, skipinitialspace=True)
    rows = []
    for row in reader:
        if not row:
            continue
        rows.append([value.strip() for value in row])
        if len(row) != len(rows[0]):
            raise ValueError(
                "All lines of a table have a value for each column. Received: "
                f"{len(row)} values in line {reader.line_num} of {path}, which has "
                f"{len(rows[0])} columns. Mend the line, and quote values that hold a "
                f"{delimiter!r}."
            )
    if len(rows) < 2:
        raise ValueError(
            "A table has a line that names its columns, and rows. Received: "
            f"{path} of {len(rows)} line{'s' * (len(rows) != 1)}. Check the file."
        )
    header = rows.pop(0)
    if not all(header) or len(set(header)) < len(header):
        raise ValueError(
            f"Each column of a table has a name of its own. Received: {path} with the "
            f"columns {header}. Name them in the first line."
        )
    return header, rows


def _column(name: str, values: Sequence[str], path: pathlib.Path) -> NDArray[Any]:
    """Whole numbers, numbers or texts."""
    numbers = [bool(_NUMBER.fullmatch(value)) for value in values]
    if "" in values:
        raise ValueError(
            f"A row has a value in each column. Received: nothing in {_place(values, '')} of "
            f"the column {name!r} of {path}. Fill in what is missing, or leave the rows or "
            "the column out."
        )
    if all(numbers) and not any(_CODE.fullmatch(value) for value in values):
        whole = all(_WHOLE.fullmatch(value) for value in values)
        return np.array(values).astype(np.int64 if whole else np.float64)
    if any(numbers) and not all(numbers):
        number, other = values[numbers.index(True)], values[numbers.index(False)]
        raise ValueError(
            "A column holds numbers or texts, not both. Received: "
            f"{number!r} ({_place(values, number)}) and {other!r} ({_place(values, other)}) "
            f"in the column {name!r} of {path}. Convert them to one kind, fill in what is "
            "missing, or leave the column out."
        )
    return np.array(values)


def _place(values: Sequence[str], value: str) -> str:
    return f"row {values.index(value) + 1}"


def _strata(y: NDArray[Any]) -> tuple[NDArray[np.int64], list[str] | None]:
    """A class number of each row, by which it is split, and the names of the classes."""
    values, classes, counts = np.unique(y, return_inverse=True, return_counts=True)
    if y.dtype.kind == "U" or (y.dtype.kind == "i" and counts.min() > 1):
        return np.asarray(classes, np.int64), [str(value) for value in values]
    return Regression().strata(y[:, np.newaxis].astype(np.float32)), None

"""Rows of stored arrays: selected by number, read when they are needed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["Fields", "Inputs", "Rows", "inputs_of", "join"]

_CHUNK = 256  # rows gathered at a time when all are read


class Rows:
    """Selected rows of an array, gathered when they are read.

    `rows[3]`, `rows[:100]` and `np.asarray(rows)` give arrays. Until then nothing is copied,
    so that the parts of a data set cost nothing, even of one larger than memory.

    Args:
        array: The stored array, an `np.memmap` too, or rows of one.
        rows: Row numbers in `array`; `None` selects all.
    """

    array: NDArray[Any]
    rows: NDArray[np.int64]

    def __init__(self, array: NDArray[Any] | Rows, rows: NDArray[np.int64] | None = None):
        rows = np.arange(len(array)) if rows is None else np.asarray(rows, np.int64)
        if isinstance(array, Rows):
            self.array, self.rows = array.array, array.rows[rows]
        else:
            self.array, self.rows = array, rows

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, key: Any) -> Any:
        return self.array[self.rows[key]]

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        if copy is False:
            raise ValueError("Rows of an array cannot be read without a copy.")
        return np.asarray(self[:], dtype)

    @property
    def dtype(self) -> np.dtype[Any]:
        """As of the stored array."""
        return self.array.dtype

    @property
    def shape(self) -> tuple[int, ...]:
        """As of an array of these rows."""
        return (len(self), *self.array.shape[1:])

    @property
    def ndim(self) -> int:
        """As of the stored array."""
        return self.array.ndim

    @property
    def example_shape(self) -> tuple[int, ...]:
        """Shape of one row."""
        return self.array.shape[1:]

    def take(self, rows: NDArray[np.int64]) -> Rows:
        """Select some of these rows, without copying any."""
        return Rows(self, rows)

    def chunks(self) -> Iterator[NDArray[Any]]:
        """Read all rows, in order, a few hundred at a time."""
        for start in range(0, len(self), _CHUNK):
            yield self[start : start + _CHUNK]


class Fields:
    """Several inputs of each example, by name: the same rows of several arrays.

    `fields["age"]` gives the `Rows` of one input; `fields[3]` and `fields[:100]` give
    dictionaries of arrays, as Keras models of several inputs take them.

    Args:
        fields: Arrays or rows of one length by name. They are kept in the order of their
            names, in which Keras, too, has the inputs of a model.

    Raises:
        ValueError: If there is none, or they differ in length.
    """

    def __init__(self, fields: Mapping[str, NDArray[Any] | Rows]) -> None:
        self._fields = {name: Rows(fields[name]) for name in sorted(fields)}
        lengths = {name: len(rows) for name, rows in self._fields.items()}
        if len(set(lengths.values())) != 1:
            raise ValueError(
                f"All inputs must be of one length. Received: lengths {lengths}. Give each "
                "example a value of each input."
            )

    def __len__(self) -> int:
        return len(next(iter(self._fields.values())))

    def __getitem__(self, key: Any) -> Any:
        if isinstance(key, str):
            return self._fields[key]
        return {name: rows[key] for name, rows in self._fields.items()}

    @property
    def names(self) -> list[str]:
        """The names of the inputs, sorted."""
        return list(self._fields)

    @property
    def dtype(self) -> dict[str, np.dtype[Any]]:
        """Of each input."""
        return {name: rows.dtype for name, rows in self._fields.items()}

    @property
    def example_shape(self) -> dict[str, tuple[int, ...]]:
        """Shape of one row of each input."""
        return {name: rows.example_shape for name, rows in self._fields.items()}

    def take(self, rows: NDArray[np.int64]) -> Fields:
        """Select some of these rows, without copying any."""
        return Fields({name: field.take(rows) for name, field in self._fields.items()})

    def chunks(self) -> Iterator[dict[str, NDArray[Any]]]:
        """Read all rows, in order, a few hundred at a time."""
        for start in range(0, len(self), _CHUNK):
            yield self[start : start + _CHUNK]


Inputs = Rows | Fields
"""What goes into a network: one input, or several by name."""


def inputs_of(x: Any) -> Inputs:
    """Wrap an array, or arrays by name; what is wrapped already stays as it is."""
    if isinstance(x, Rows | Fields):
        return x
    return Fields(x) if isinstance(x, Mapping) else Rows(x)


def join(parts: Sequence[Inputs]) -> Inputs:
    """The rows of all parts, one after another; not copied where they are of one array."""
    first = parts[0]
    if isinstance(first, Fields):
        return Fields({name: _joined([part[name] for part in parts]) for name in first.names})
    return _joined([part for part in parts if isinstance(part, Rows)])


def _joined(parts: Sequence[Rows]) -> Rows:
    array = parts[0].array
    if all(part.array is array for part in parts):
        return Rows(array, np.concatenate([part.rows for part in parts]))
    return Rows(np.concatenate([part[:] for part in parts]))

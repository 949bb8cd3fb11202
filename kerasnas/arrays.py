"""Data sets given whole: arrays, lists and tensors, each as one array or as one a column."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import tensorflow as tf

from kerasnas.elements import leaves_of
from kerasnas.input_reader import varying_sizes
from kerasnas.sequences import padded

__all__ = ["FORMS", "input_of", "inputs_of_list", "labels_of", "shape_of", "unragged"]

FORMS = (
    "Pass a tf.data.Dataset of (x, y), (x, y, sample_weight) or {'image': x, 'label': y}, "
    'or the same tuples of arrays; texts or tokens without labels need task="next_token".'
)
"""What a data set may be, for messages."""


def input_of(leaf: Any, length: int | None, name: str) -> Any:
    """One input as an array, or as one a column.

    Args:
        leaf: An array, a tensor, ragged or not, a list, or columns by name.
        length: Steps or tokens to pad or cut sequences of several lengths to.
        name: What to call the data set in messages.

    Raises:
        TypeError: If it is none of these.
        ValueError: If examples differ in size, or in length and no length is given.
    """
    if isinstance(leaf, Mapping):
        return {
            str(key): column if isinstance(column, list) else np.asarray(column)
            for key, column in leaf.items()
        }
    if isinstance(leaf, tf.RaggedTensor):
        leaf = leaf.to_list()
    _check_array(leaf, name)
    try:
        return np.asarray(leaf)
    except ValueError as error:  # nested lists that do not make a block
        shapes = [shape_of(row) for row in leaf]
        if not all(shape is not None and len(shape) in (1, 2) for shape in shapes) or (
            len({shape[1:] for shape in shapes if shape is not None}) > 1
        ):
            different = sorted({str(shape or "ragged") for shape in shapes})
            raise varying_sizes(name, f"{' and '.join(different[:2])}.") from error
        return padded(leaf, length, name)


def inputs_of_list(x: Any, y: Any) -> Any:
    """Several inputs in a list, as Keras' `fit` takes them, as a tuple; all else as it is.

    A list is one of inputs where each entry, but not the list itself, has a row a label.

    Args:
        x: What goes in.
        y: Labels, as `labels_of` gives them.
    """
    if not isinstance(x, list) or not x or y is None:
        return x
    count = len(next(leaves_of(y), ()))
    arrays = all(hasattr(one, "__array__") and len(one.shape) for one in x)
    arrays = arrays and any(len(one.shape) > 1 for one in x)  # else likely a table's rows
    return tuple(x) if arrays and {len(one) for one in x} == {count} != {len(x)} else x


def labels_of(y: Any, name: str) -> Any:
    """Labels as one array, as one a name, or as a list where they do not make an array.

    Args:
        y: An array, a tensor, ragged or not, a list, one dictionary or one an example; or
            `None`.
        name: What to call the data set in messages.

    Raises:
        TypeError: If they are none of these.
    """
    if y is None:
        return None
    if isinstance(y, Mapping):
        return {key: unragged(column) for key, column in y.items()}
    y = unragged(y)
    _check_array(y, name)
    rows = y.tolist() if getattr(getattr(y, "dtype", None), "kind", "") == "O" else y
    if isinstance(rows, tuple | list) and any(isinstance(one, Mapping) for one in rows):
        return list(rows)
    try:
        array = np.asarray(y)
    except ValueError:
        return list(y)  # `kerasnas.labels` knows what the matter is
    # NumPy makes texts of numbers among texts: `kerasnas.labels` looks at them one by one.
    return list(y) if array.dtype.kind in "US" and isinstance(y, tuple | list) else array


def _check_array(leaf: Any, name: str) -> None:
    if not (isinstance(leaf, tuple | list) or hasattr(leaf, "__array__")):
        raise TypeError(
            f"The {name} must be a data set. Received: {type(leaf).__name__}. {FORMS}"
        )


def unragged(values: Any) -> Any:
    """A ragged tensor as nested lists; all else as it is."""
    return values.to_list() if isinstance(values, tf.RaggedTensor) else values


def shape_of(row: Any) -> tuple[int, ...] | None:
    """Shape of an example, or `None` where it does not make a block."""
    try:
        return tuple(np.shape(row))
    except ValueError:
        return None

"""Elements of data sets: inputs and labels, one example or a batch, arrays or their specs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

__all__ = [
    "LAYOUTS",
    "ONE",
    "combined",
    "is_batched",
    "is_column",
    "is_frame",
    "is_text",
    "leaves_of",
    "sliced",
]

LAYOUTS = {
    "images": (2, 3),
    "audio": (2, 3),
    "waveform": (1, 2),
    "series": (1, 2),
    "table": (1,),
    "tokens": (1,),
    "text": (0,),
}
"""Number of axes that an example may come with, by what the axes are."""

ONE = ""
"""Name of an input that has none."""


def is_text(dtype: Any) -> bool:
    """Whether a type, NumPy's or TensorFlow's, is that of strings."""
    if isinstance(dtype, np.dtype):
        return dtype.kind in "USO"
    return bool(tf.as_dtype(dtype) == tf.string)


def is_frame(x: Any) -> bool:
    """Whether it is a data frame of some library: columns by name."""
    return hasattr(x, "columns") and hasattr(x, "__getitem__") and not isinstance(x, Mapping)


def is_column(leaf: Any) -> bool:
    """Whether it holds one value an example: batched, or the spec of one."""
    if isinstance(leaf, list | tuple):
        return not any(isinstance(value, list | tuple) or np.ndim(value) for value in leaf)
    return len(getattr(leaf, "shape", (0, 0))) <= 1 and hasattr(leaf, "dtype")


def is_batched(fields: dict[str, Any], y: Any, given: Mapping[str, str | None]) -> bool:
    """Whether elements are batches, as far as shapes tell.

    Args:
        fields: Inputs by name, arrays or specs; columns by name among them.
        y: Labels, likewise; `None` if there are none.
        given: The layouts of inputs that are known.
    """
    leaves = tf.nest.flatten(fields)
    targets = tf.nest.flatten(y) if y is not None else []
    shapes = [tuple(leaf.shape) for leaf in (*leaves, *targets)]
    if not all(shapes):
        return False  # a single number or text
    if list(fields) != [ONE] or isinstance(fields[ONE], Mapping):
        return _leading(shapes)
    x_shape = shapes[0]
    if len(x_shape) == 1 and not is_text(leaves[0].dtype):
        return False  # one row of numbers: an example has an axis at least
    ranks = LAYOUTS.get(given[ONE] or "", ())
    if y is None:  # texts, or tokens
        return len(x_shape) == (1 if is_text(leaves[0].dtype) else 2)
    if isinstance(y, Mapping):
        return len(x_shape) == 4 or (bool(ranks) and len(x_shape) - 1 in ranks[-1:])
    y_shape = shapes[1]
    if len(y_shape) == 1 and len(x_shape) != 4:
        floating = not is_text(y.dtype) and tf.as_dtype(y.dtype).is_floating
        return _is_batch_of_labels(x_shape, y_shape, floating, ranks)
    if len(x_shape) == 3 and len(y_shape) in (2, 3):
        # An image with its mask, or grey images with theirs.
        one_image = x_shape[-1] in (1, 3, 4) and x_shape[:2] == y_shape[:2]
        one_mask = len(y_shape) == 2 or (y_shape[-1] == 1 and x_shape[0] != y_shape[-1])
        return not (one_image and one_mask)
    return len(x_shape) == 4 or _leading(shapes)


def _leading(shapes: Sequence[tuple[Any, ...]]) -> bool:
    """Whether all begin with the same number, or all with an unknown one."""
    return len({shape[0] for shape in shapes}) == 1


def _is_batch_of_labels(
    x_shape: tuple[int | None, ...],
    y_shape: tuple[int | None, ...],
    probabilities: bool,
    ranks: Sequence[int],
) -> bool:
    # (a, ...) with (d,): examples and their classes, or one example and its one-hot.
    if x_shape[0] != y_shape[0] or (ranks and len(x_shape) - 1 not in ranks):
        return False
    if x_shape[0] is None or not probabilities or (ranks and len(x_shape) not in ranks):
        return True
    # Floating labels may be classes, but as many may be one example's one-hot.
    return len(x_shape) == 3 and x_shape[-1] not in (1, 3, 4)


def combined(chunks: Sequence[Any]) -> Any:
    """Labels or columns of all chunks, one after another.

    Those of one column must be of one kind: NumPy would make texts of numbers beside texts.
    """
    if not chunks or chunks[0] is None:
        return None
    if isinstance(chunks[0], Mapping):
        return {key: combined([chunk[key] for chunk in chunks]) for key in chunks[0]}
    if any(isinstance(chunk, list) for chunk in chunks):
        return [label for chunk in chunks for label in chunk]
    whole = np.concatenate([np.asarray(chunk) for chunk in chunks])
    return _decoded(whole) if whole.dtype.kind in "SO" else whole


def _decoded(array: NDArray[Any]) -> NDArray[Any]:
    """Strings of TensorFlow, which are bytes, as text."""
    if array.dtype.kind == "S" or (len(array) and isinstance(array.flat[0], bytes)):
        texts = [value.decode("utf-8", "replace") for value in array.ravel()]
        return np.array(texts, object).reshape(array.shape)
    return array


def leaves_of(field: Any) -> Iterator[Any]:
    """The arrays of an input or of labels: one, or one a name."""
    return iter(field.values()) if isinstance(field, Mapping) else iter([field])


def sliced(field: Any, part: slice) -> Any:
    """Some rows of an array, or of all arrays by name."""
    if isinstance(field, Mapping):
        return {key: column[part] for key, column in field.items()}
    return field[part]

"""Tokens and the tokens that follow them, which are one sequence: cut and padded alike."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from kerasnas.arrays import shape_of, unragged
from kerasnas.sequences import padded

__all__ = ["cut_with", "followed", "padded_alike", "texts_of_tokens"]


def texts_of_tokens(x: Any) -> list[NDArray[Any]] | None:
    """Texts as token numbers: one long array, or lists of several lengths; else `None`.

    Rows of one length are examples, not texts.
    """
    x = unragged(x)
    if not (isinstance(x, list | tuple) or hasattr(x, "__array__")):
        return None
    if isinstance(x, list | tuple) and x and isinstance(x[0], str):
        return None  # as an array each would take as much memory as the longest
    shape = shape_of(x)
    texts = [x] if shape is not None and len(shape) == 1 else x if shape is None else []
    arrays = [np.asarray(text) for text in texts if len(shape_of(text) or ()) == 1]
    whole = len(arrays) == len(texts) and all(one.dtype.kind in "iu" for one in arrays)
    return arrays if arrays and whole else None


def padded_alike(x: Any, y: Any, length: int) -> tuple[Any, Any]:
    """Pad or cut tokens and those that follow as the one sequence that they are.

    Args:
        x: An input, arrays or lists.
        y: Its labels.
        length: Tokens of an example.

    Returns:
        Tokens and labels `(n, length)`, zeros behind what is short; or what was given, where
        `y` is not `x`, shifted by one.
    """
    x = unragged(x)
    if not (_are_sequences(x) and _are_sequences(y)) or len(x) != len(y):
        return x, y
    pairs = (
        (np.asarray(ids), np.asarray(next_ids)) for ids, next_ids in zip(x, y, strict=True)
    )
    whole = [np.append(ids, after[-1:]) for ids, after in pairs if _is_shifted(ids, after)]
    if len(whole) < len(x):
        return x, y
    block = padded(whole, length + 1)
    return block[:, :-1], block[:, 1:]


def cut_with(x: Any, y: Any) -> Any:
    """The labels of tokens that were cut, cut alike where they are those that follow.

    Args:
        x: A chunk of tokens `(n, length)`, or of any other input.
        y: Its labels, uncut.
    """
    if getattr(x, "ndim", 0) != 2 or getattr(y, "ndim", 0) != 2:
        return y
    length = x.shape[1]
    if not 1 < length < y.shape[1] or (y[:, : length - 1] != x[:, 1:]).any():
        return y
    return y[:, :length]


def followed(tokens: NDArray[Any], name: str) -> tuple[NDArray[Any], NDArray[Any]]:
    """Tokens but for the last, and those that follow each of them.

    Args:
        tokens: A chunk of them, `(n, length)`.
        name: What to call the data set in messages.

    Raises:
        ValueError: If there is but one an example.
    """
    if tokens.shape[1] < 2:
        raise ValueError(
            "The next token needs sequences of two tokens or more. Received: examples of "
            f"{tokens.shape[1]} token in the {name}. Pass longer sequences, or all tokens as "
            "one array, (tokens,)."
        )
    return tokens[:, :-1], tokens[:, 1:]


def _are_sequences(rows: Any) -> bool:
    return (isinstance(rows, list | tuple) or hasattr(rows, "__array__")) and bool(
        len(rows) and len(shape_of(rows[0]) or ()) == 1
    )


def _is_shifted(ids: NDArray[Any], after: NDArray[Any]) -> bool:
    return (
        len(ids) > 1
        and len(ids) == len(after)
        and ids.dtype.kind in "iu"
        and bool((ids[1:] == after[:-1]).all())
    )

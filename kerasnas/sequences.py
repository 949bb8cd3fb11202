"""Sequences of one length: padded, cut, and cut out of long ones."""

from __future__ import annotations

import numbers
from collections.abc import Collection, Hashable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "WINDOW",
    "block_split",
    "distinct_split",
    "padded",
    "size_of",
    "token_ids",
    "windows",
]

WINDOW = 64
"""Tokens of a language model's examples, where no length is given."""

_RUNS = 10  # in which a part is held out
_LARGEST = 2**31 - 1


def padded(
    sequences: Any, length: int | None = None, name: str = "training data"
) -> NDArray[Any]:
    """Bring sequences to one length: zeros behind what is short, the end of what is long cut.

    Args:
        sequences: An array, or a list of arrays `(steps,)` or `(steps, channels)`.
        length: Steps or tokens of each. `None` needs sequences that are of one length.
        name: What the data set is called in messages.

    Returns:
        `(n, length)` or `(n, length, channels)`.

    Raises:
        ValueError: If lengths differ and `length` is `None`, or it is below 1; or if
            sequences differ in more than their length.
    """
    if length is not None and length < 1:
        raise ValueError(
            f"Sequences have a length of 1 or more. Received: length={length}. Pass how many "
            "steps or tokens a network is to see."
        )
    if isinstance(sequences, np.ndarray) and sequences.ndim > 1 and len(sequences):
        if length in (None, sequences.shape[1]):
            return sequences  # which may be a file, larger than memory
    rows = sequences.to_list() if hasattr(sequences, "to_list") else sequences
    rows = [np.asarray(row) for row in rows]
    kinds = {row.shape[1:] for row in rows}
    if not rows or len(kinds) > 1 or any(not row.ndim for row in rows):
        raise ValueError(
            "Sequences must be alike but for their length. Received: "
            f"{len(rows)} with steps of the shapes {sorted(kinds)} in the {name}. Bring all "
            "to the same channels."
        )
    lengths = [len(row) for row in rows]
    if length is None:
        if len(set(lengths)) > 1:
            raise ValueError(
                "Sequences of several lengths need one to be padded or cut to. Received: "
                f"{min(lengths)} to {max(lengths)} steps in the {name}, and no length. Pass "
                f"sequence_length={int(np.ceil(np.percentile(lengths, 95)))}, for example, "
                "which cuts few of them."
            )
        return np.stack(rows)
    found = {row.dtype for row in rows if row.size} or {np.dtype(np.float32)}
    dtype = np.result_type(*found)
    block = np.zeros((len(rows), length, *kinds.pop()), dtype)
    for place, row in zip(block, rows, strict=True):
        place[: len(row)] = row[:length]
    return block


def size_of(vocabulary: Sequence[str] | int) -> int:
    """How many different tokens there are, from their number or a list of them.

    Raises:
        TypeError: If it is neither. A text would be a list of its letters.
    """
    if isinstance(vocabulary, numbers.Integral) and not isinstance(vocabulary, bool):
        return int(vocabulary)
    if isinstance(vocabulary, str | bytes | Mapping) or not isinstance(vocabulary, Collection):
        raise TypeError(
            "A vocabulary is a list of words, or the number of different tokens. Received: "
            f"vocabulary={vocabulary!r:.60}. Pass a list such as ['red', 'green'], or a whole "
            "number."
        )
    return len(vocabulary)


def token_ids(
    x: Any,
    *,
    vocabulary: Sequence[str] | int | None = None,
    length: int | None = None,
    name: str = "training data",
) -> NDArray[np.int32]:
    """Check tokens that come as numbers, and bring them to one length.

    Args:
        x: Tokens: an array `(n, length)`, or a list of lists.
        vocabulary: Text of each token, or their number. Without it nobody could make tokens
            on the device, nor say how many the network has to know.
        length: Tokens of an example, padded with 0 or cut; `None` if they are of one length.
        name: What the data set is called in messages.

    Returns:
        `(n, length)`.

    Raises:
        TypeError: If the vocabulary is neither a list nor a number.
        ValueError: If the vocabulary is missing or too small, lengths differ and none is
            given, or these are no whole numbers of 0 or more.
    """
    if vocabulary is None:
        raise ValueError(
            "Tokens need the vocabulary that they number. Received: token numbers in the "
            f"{name}, and vocabulary=None. Pass vocabulary=[...], the text of each token, or "
            "how many there are."
        )
    size = size_of(vocabulary)
    tokens = padded(x, length, name)
    if tokens.ndim != 2 or tokens.dtype.kind not in "iuf" or (tokens != np.rint(tokens)).any():
        raise ValueError(
            "Tokens are whole numbers, a row of them an example. Received: "
            f"{tokens.dtype.name} examples of shape {tokens.shape[1:]} in the {name}. Number "
            "the words, or pass texts."
        )
    if tokens.min() < 0 or tokens.max() >= min(size, _LARGEST):
        raise ValueError(
            "Tokens must be 0 or more and in the vocabulary. Received: tokens from "
            f"{tokens.min():.0f} to {tokens.max():.0f} in the {name}, and a vocabulary of "
            f"{size}. Pass all of the vocabulary, padding included."
        )
    return tokens.astype(np.int32, copy=False)


def windows(
    tokens: Sequence[NDArray[np.int32]] | NDArray[np.int32], length: int
) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """Cut texts into windows, with the next token at each position as their labels.

    Windows follow one another without a gap: each begins with the last label of the one
    before. Of several texts each starts where the one before it ends, so that short ones share
    a window; what is left at the end is no window.

    Args:
        tokens: Tokens of a text, or of several.
        length: Tokens of a window. Longer ones show a network more of what came before.

    Returns:
        Windows and labels, `(n, length)` each, in the order of the text.

    Raises:
        ValueError: If there are too few tokens for one window.
    """
    one = isinstance(tokens, np.ndarray) and tokens.ndim == 1
    parts = [np.asarray(part) for part in ([tokens] if one else tokens)]
    text = np.concatenate([np.zeros(0, np.int32), *parts]).astype(np.int32)
    count = (len(text) - 1) // length
    if count < 1:
        raise ValueError(
            "A window needs its tokens and one more. Received: "
            f"{len(text)} tokens for windows of {length}. Pass longer texts, or a shorter "
            "length."
        )
    used = text[: count * length + 1]
    return used[:-1].reshape(count, length), used[1:].reshape(count, length)


def block_split(
    count: int, share: float, seed: int | None
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Split rows that follow one another into two parts, the second in runs.

    Windows of a text resemble their neighbours. Were every fifth held out, a network could
    know it from the ones beside it; of a run, only its ends have neighbours in training. Ten
    runs, spread over the text, hold out a little of each of its chapters.

    Args:
        count: Number of rows.
        share: Of the second part, above 0 and below 1.
        seed: Seeds where runs lie. `None` draws fresh entropy; `0` is a seed.

    Returns:
        The row numbers of each part, ascending; one at least in each.

    Raises:
        ValueError: If there are fewer than two rows.
    """
    if count < 2:
        raise ValueError(
            f"Splitting needs two examples or more. Received: {count}. Pass longer texts, or "
            "both parts."
        )
    wanted = min(max(round(share * count), 1), count - 1)
    runs = min(_RUNS, wanted, count - wanted)
    rng = np.random.default_rng(seed)
    borders = np.arange(runs + 1) * count // runs
    sizes = np.diff(np.arange(runs + 1) * wanted // runs)
    chosen = np.zeros(count, bool)
    for start, end, size in zip(borders[:-1], borders[1:], sizes, strict=True):
        first = rng.integers(start, end - size + 1)
        chosen[first : first + size] = True
    return np.flatnonzero(~chosen), np.flatnonzero(chosen)


def distinct_split(
    examples: Sequence[Hashable], share: float, seed: int | None
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Split rows that follow one another as `block_split` does, equal ones to one side.

    Args:
        examples: What each row holds: texts, or the bytes of tokens.
        share: Of the second part, of rows that are different.
        seed: As of `block_split`.

    Returns:
        The row numbers of each part, ascending.

    Raises:
        ValueError: If fewer than two rows are different.
    """
    numbered: dict[Hashable, int] = {}
    groups = np.array([numbered.setdefault(one, len(numbered)) for one in examples], int)
    _, part = block_split(len(numbered), share, seed)
    chosen = np.isin(groups, part)
    return np.flatnonzero(~chosen), np.flatnonzero(chosen)

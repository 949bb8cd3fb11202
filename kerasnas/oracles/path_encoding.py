"""Candidates as rows of features that a predictor learns from."""

from __future__ import annotations

import collections
from collections.abc import Collection, Sequence

import numpy as np
import numpy.typing as npt

from kerasnas.oracles.decisions import INACTIVE, Decision, Decisions, Rows

__all__ = ["one_hot", "path_encoding", "recurring"]

Array = npt.NDArray[np.float64]

_MANY = 32  # ordered options from which on only their place is told


def one_hot(decisions: Decisions, rows: Rows) -> Array:
    """Write assignments with a column for each option.

    Of ordered options there is one column for each step that is taken, so that what lies
    between two options counts; of an interval, its place in `[0, 1]`. Inactive decisions are
    zeros.

    Args:
        decisions: The decisions of the space.
        rows: Assignments.

    Returns:
        Features between 0 and 1, one row an assignment.
    """
    columns: list[Array] = [
        _columns(column, rows[:, j])
        for j, column in enumerate(decisions.columns)
        if column.count != 1
    ]
    return np.concatenate([np.zeros((len(rows), 0)), *columns], axis=1)


def _columns(column: Decision, codes: Array) -> Array:
    active = codes != INACTIVE
    if column.count is None or (not column.categorical and column.count >= _MANY):
        return np.where(active, column.features(codes), 0.0)[:, None]
    options = np.arange(column.count)
    met = codes[:, None] == options if column.categorical else codes[:, None] >= options[1:]
    return np.where(met, 1.0, 0.0)


def recurring(candidates: Sequence[Collection[str]]) -> list[str]:
    """Return the paths that at least two networks have, sorted.

    Of a path that is found in one network alone nothing is learned that its loss did not say.
    """
    counts = collections.Counter(path for paths in candidates for path in set(paths))
    return sorted(path for path, count in counts.items() if count > 1)


def path_encoding(candidates: Sequence[Collection[str]], vocabulary: Sequence[str]) -> Array:
    """Write down which paths networks have.

    Args:
        candidates: The paths of each network.
        vocabulary: The paths that get a column.

    Returns:
        One row a network: 1 where it has a path and 0 where it has not, and in a last column
        the share of its paths that have no column of their own.
    """
    places = {path: place for place, path in enumerate(vocabulary)}
    features = np.zeros((len(candidates), len(places) + 1))
    for row, paths in zip(features, candidates, strict=True):
        known = [places[path] for path in paths if path in places]
        row[known] = 1.0
        row[-1] = 1.0 - len(known) / len(paths) if paths else 0.0
    return features

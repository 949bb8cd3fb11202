"""The decisions of a space as a sequence of choices among few options each."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from kerasnas.oracles.candidates import ASKED, Candidates
from kerasnas.oracles.decisions import INACTIVE, Decision, Decisions, Row, Rows

__all__ = ["NOTHING", "Choices", "Options", "Picks", "drawn"]

Flags = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.float64]
Options = npt.NDArray[np.int64]
Picks = npt.NDArray[np.int64]

NOTHING = -1
"""The pick of a decision that is not active."""

_BINS = 8  # of a number with too many values to learn about each
_MANY = 16  # ordered options from which on they are taken together in bins
_FEW_DRAWS, _DRAWS = 16, 256  # candidates drawn before another way is taken
_REPAIRED = 4  # draws from which the nearest admitted candidate is sought


class Choices:
    """Assignments seen as sequences: decision by decision, one of a few options.

    Parents come before what depends on them. A real number, or one with more than 16 ordered
    values, is cut into 8 bins of equal length along its own scale; a bin stands for all of its
    values, and the value itself is drawn uniformly from it. What was picked in a decision, of
    all decisions, has a number of its own, its *token*, by which a method can tell what came
    before.

    Args:
        decisions: The decisions of the space.

    Attributes:
        order: Columns of the decisions with more than one option, parents first.
        counts: Number of options, or bins, of each column.
        num_tokens: Number of tokens. The first, 0, stands for the start.
    """

    def __init__(self, decisions: Decisions):
        self.decisions = decisions
        self._edges = [_edges(column) for column in decisions.columns]
        self.counts = [len(edges) - 1 for edges in self._edges]
        self.order = [j for j in decisions.order if self.counts[j] > 1]
        starts = np.cumsum([1, *(self.counts[j] for j in self.order)])
        self.num_tokens = int(starts[-1])
        self._first_token = dict(zip(self.order, starts.tolist(), strict=False))

    def __len__(self) -> int:
        """Return the number of columns, those with a single option included."""
        return len(self.counts)

    def picks(self, rows: Rows) -> Picks:
        """Return which option, or bin, was taken in each column: `(count, columns)`."""
        picks = np.full(rows.shape, NOTHING)
        for j in self.order:
            binned = np.searchsorted(self._edges[j], rows[:, j], side="right") - 1
            picks[:, j] = np.where(rows[:, j] == INACTIVE, NOTHING, binned)
        return picks

    def tokens(self, picks: Picks, j: int) -> Options:
        """Return the tokens of what was picked in a column, which must be active."""
        tokens: Options = picks[:, j] + self._first_token[j]
        return tokens

    def draw(
        self, count: int, pick: Callable[[int, Flags], Options], rng: np.random.Generator
    ) -> Rows:
        """Draw assignments, one decision after the other.

        Args:
            count: How many.
            pick: `pick(j, active)` returns what is taken in column `j` by each of those
                assignments for which it is active. It is asked for the columns of `order`.
            rng: Draws values within bins.
        """
        rows = np.full((count, len(self)), INACTIVE)
        for j in self.decisions.order:
            active = self.decisions.active(rows, j)
            if not active.any():
                continue
            if self.counts[j] == 1:
                rows[active, j] = 0.0
                continue
            rows[active, j] = self._codes(j, pick(j, active), rng)
        return rows

    def _codes(self, j: int, picks: Options, rng: np.random.Generator) -> Floats:
        edges, column = self._edges[j], self.decisions.columns[j]
        if column.count == self.counts[j]:
            return picks.astype(float)
        low, high = edges[picks], edges[picks + 1]
        codes = low + rng.random(len(picks)) * (high - low)
        if column.count is None:
            return column.codes(codes)
        return np.floor(codes)


def drawn(
    candidates: Candidates,
    draw: Callable[[int], Rows],
    rng: np.random.Generator,
    *,
    slow_costs: bool,
) -> Row | None:
    """Return the first assignment of a random sequence that may be proposed.

    That is a draw from the distribution of the sequence, given that the candidate is new and
    keeps the limits. Where it has next to none left of those, the neighbourhoods of some draws
    are searched, and then the whole space.

    Args:
        candidates: What may be proposed.
        draw: Draws so many assignments.
        rng: Draws neighbours.
        slow_costs: Whether asking for costs takes long; then few are asked for, of draws that
            probably keep the limits.

    Returns:
        The assignment, `None` if the space is used up.
    """
    for count in (_FEW_DRAWS, _DRAWS):
        rows = draw(count)
        likely = rows[~candidates.breaks_limits(rows)][:ASKED] if slow_costs else rows
        row = candidates.first(likely)
        if row is not None:
            return row
    starts = list(dict.fromkeys(map(bytes, rows)))[:_REPAIRED]
    repaired = (candidates.repair(np.frombuffer(start), rng) for start in starts)
    row = next((row for row in repaired if row is not None), None)
    return candidates.draw(rng) if row is None else row


def _edges(column: Decision) -> Floats:
    """Return the bounds, in codes, of what is taken together as one option."""
    if column.count is None:
        return np.linspace(0.0, 1.0, _BINS + 1)
    if column.categorical or column.count <= _MANY:
        return np.arange(column.count + 1, dtype=float)
    return np.round(np.linspace(0.0, column.count, _BINS + 1))

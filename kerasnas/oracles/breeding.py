"""Breeding: children of a population that may be proposed."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator

import numpy as np

from kerasnas.oracles._checks import check_range
from kerasnas.oracles._oracle import Edit
from kerasnas.oracles.candidates import Candidates
from kerasnas.oracles.decisions import Decisions, Row, Rows
from kerasnas.oracles.variation import crossed, edited, mutated

__all__ = ["Breeding", "Select"]

Select = Callable[[np.random.Generator], int]
"""Picks a parent: its place in the population."""

_TRIES = 64  # children made before breeding is given up
_PATIENCE = 16  # children refused before each has one more mutation


@dataclasses.dataclass(frozen=True)
class Breeding:
    """How a child is made: a copy of its parent, or a mixture of two, that is then mutated.

    A child that was tried or breaks a limit is dropped, and another one is made of parents
    selected anew. After every 16 of them each gets one more mutation, so that breeding goes on
    where all that is near has been tried.

    Args:
        crossover: Probability that a child has two parents, from 0 to 1.
        mutations: Number of changes made to each child.
        edits: Probability, from 0 to 1, that a change is one that the space knows, where it
            knows any, and not a decision changed.

    Raises:
        ValueError: If a probability is not from 0 to 1, or there are no mutations.
    """

    crossover: float
    mutations: int
    edits: float

    def __post_init__(self) -> None:
        for name in ("crossover", "edits"):
            probability = getattr(self, name)
            holds = 0.0 <= probability <= 1.0
            check_range(name, probability, holds, "a probability, from 0 to 1")
        check_range(
            "mutations",
            self.mutations,
            self.mutations >= 1,
            "at least 1",
        )

    def child(
        self,
        candidates: Candidates,
        population: Rows,
        select: Select,
        rng: np.random.Generator,
        edit: Edit | None = None,
    ) -> tuple[Row, int] | None:
        """Return a child that may be proposed, and the place of its parent.

        Args:
            candidates: What may be proposed.
            population: The assignments that parents are selected from.
            select: Picks a parent.
            rng: Draws everything.
            edit: Makes a small change that the space knows.

        Returns:
            The child and its parent: of two, the one that it has more of. `None` if none of
            many children may be proposed, as where hardly anything is left.
        """
        first = candidates.sparing()
        for row, parent in self._children(candidates.decisions, population, select, rng, edit):
            if first([row]) is not None:
                return row, parent
        return None

    def _children(
        self,
        decisions: Decisions,
        population: Rows,
        select: Select,
        rng: np.random.Generator,
        edit: Edit | None,
    ) -> Iterator[tuple[Row, int]]:
        for attempt in range(_TRIES):
            parents = [select(rng)]
            row = population[parents[0]]
            if rng.random() < self.crossover:
                parents.append(select(rng))
                row = crossed(decisions, row, population[parents[1]], rng)
            changes = self.mutations + attempt // _PATIENCE
            edits = 0 if edit is None else int(rng.binomial(changes, self.edits))
            row = mutated(decisions, row, changes - edits, rng)
            if edit is not None and edits:
                row = edited(decisions, row, edit, edits, rng)
            shared = np.sum(population[parents] == row, axis=1)
            yield row, parents[int(np.argmax(shared))]

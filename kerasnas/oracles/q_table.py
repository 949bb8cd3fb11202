"""What each choice is worth after the one before it: a table that is learned and walked."""

from __future__ import annotations

import dataclasses

import numpy as np
import numpy.typing as npt

from kerasnas.oracles.choices import NOTHING, Choices, Options, Picks
from kerasnas.oracles.decisions import Rows

__all__ = ["QTable"]

Flags = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.float64]


@dataclasses.dataclass(frozen=True)
class QTable:
    """The worth of each option of a decision, by what was chosen last.

    The state in which a decision is made is the decision itself and the token of the last
    choice before it; worth is what all choices from there on are expected to bring, if each is
    the best.

    Attributes:
        choices: The decisions of the space.
        worth: For each column of `choices.order`, by token and option: `(tokens, options)`.
    """

    choices: Choices
    worth: dict[int, Floats]

    @classmethod
    def empty(cls, choices: Choices) -> QTable:
        """Start where every option is worth nothing, which is what an average trial brings."""
        shapes = {j: (choices.num_tokens, choices.counts[j]) for j in choices.order}
        return cls(choices, {j: np.zeros(shape) for j, shape in shapes.items()})

    def draw(self, epsilon: float, count: int, rng: np.random.Generator) -> Rows:
        """Draw assignments, choice by choice: the one that is worth most, or a random one.

        Args:
            epsilon: With which probability a choice is a random one. Where several are worth
                most, one of them is drawn.
            count: How many assignments.
            rng: Draws.
        """
        last = np.zeros(count, dtype=int)
        picks = np.full((count, len(self.choices)), NOTHING)

        def pick(j: int, active: Flags) -> Options:
            worth = self.worth[j][last[active]]
            ties = rng.random(worth.shape)
            best = np.argmax(np.where(worth == worth.max(axis=1)[:, None], ties, -1.0), axis=1)
            random = rng.integers(self.choices.counts[j], size=len(best))
            taken: Options = np.where(rng.random(len(best)) < epsilon, random, best)
            picks[active, j] = taken
            last[active] = self.choices.tokens(picks[active], j)
            return taken

        return self.choices.draw(count, pick, rng)

    def learned(
        self, picks: Picks, rewards: Floats, learning_rate: float, *, shaping: bool
    ) -> QTable:
        """Return the table after some candidates were played again, from their ends.

        What a choice is worth moves, by the learning rate, towards its reward plus what the
        best choice in the next state is worth. All candidates are played at once; where a
        choice occurs in several of them, it moves as by one after the other with the mean of
        what they say.

        Args:
            picks: The candidates, one a row.
            rewards: What each of them brought.
            learning_rate: From 0 (nothing is learned) to 1 (only the last counts).
            shaping: Whether each choice of a candidate gets an equal share of its reward, in
                place of all for the last.
        """
        states = self._states(picks)
        worth = {j: values.copy() for j, values in self.worth.items()}
        active = picks != NOTHING
        shares = rewards / np.maximum(active.sum(axis=1), 1)
        ahead = np.zeros(len(picks)) if shaping else rewards.copy()
        for j in reversed(self.choices.order):
            at = active[:, j]
            if not at.any():
                continue
            targets = ahead[at] + (shares[at] if shaping else 0.0)
            _move(worth[j], states[at, j], picks[at, j], targets, learning_rate)
            ahead[at] = worth[j][states[at, j]].max(axis=1)
        return QTable(self.choices, worth)

    def _states(self, picks: Picks) -> Options:
        """Return the token of the last choice before each one; 0 where there was none."""
        states = np.zeros(picks.shape, dtype=int)
        last = np.zeros(len(picks), dtype=int)
        for j in self.choices.order:
            at = picks[:, j] != NOTHING
            states[:, j] = last
            last[at] = self.choices.tokens(picks[at], j)
        return states


def _move(
    worth: Floats, states: Options, picks: Options, targets: Floats, learning_rate: float
) -> None:
    """Move entries of a table towards their targets, in place."""
    places = np.ravel_multi_index((states, picks), worth.shape)
    counts = np.bincount(places, minlength=worth.size).reshape(worth.shape)
    sums = np.bincount(places, targets, minlength=worth.size).reshape(worth.shape)
    share = 1.0 - (1.0 - learning_rate) ** counts
    worth += share * (sums / np.maximum(counts, 1) - worth)

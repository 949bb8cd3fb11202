"""What a search has taught, trial by trial, kept between proposals."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Generic, NamedTuple, TypeVar

import numpy as np
import numpy.typing as npt
from keras_tuner.engine.trial import Trial

from kerasnas.oracles._oracle import SearchOracle
from kerasnas.oracles.candidates import Candidates
from kerasnas.oracles.choices import Choices, Picks

__all__ = ["History", "Lessons"]

Floats = npt.NDArray[np.float64]
State = TypeVar("State")


class History(NamedTuple):
    """Trials that have ended, in the order in which they did.

    Attributes:
        picks: What was picked in them, one a row, as `Choices.picks` returns it.
        losses: Their losses, NaN for a trial that failed.
    """

    picks: Picks
    losses: Floats


class Lessons(Generic[State]):
    """A state that each trial that ends moves one step on, whoever proposed the trial.

    The state is a function of the trials that have ended, their losses and their order alone:
    what was learned is kept only to spare learning it again. So it is the same in a search
    that was killed and reopened. Where the loss of an earlier trial has changed, as those that
    a fidelity expects do, everything is learned again from the start.

    Args:
        candidates: What may be proposed. Lessons hold as long as the oracle has the same.
        choices: Its decisions.
        start: Makes the state before the first trial.
        step: `step(state, history)` returns the state after the last trial of a history, given
            that before it. It must not change the one it gets.
    """

    def __init__(
        self,
        candidates: Candidates,
        choices: Choices,
        start: Callable[[], State],
        step: Callable[[State, History], State],
    ):
        self.candidates = candidates
        self._choices = choices
        self._start, self._step = start, step
        self._ended: list[tuple[str, float | None]] = []
        self._picks = np.empty((0, len(candidates.decisions)), dtype=int)
        self._state = start()

    def learned(self, oracle: SearchOracle, finished: Sequence[Trial]) -> State:
        """Return what all trials so far have taught.

        Args:
            oracle: The search.
            finished: Its scored trials, as `suggest` gets them. Trials that failed are looked
                up.
        """
        trials, ended = _ended(oracle, finished)
        known = len(self._ended)
        if ended[:known] != self._ended:
            known, self._state = 0, self._start()
        values = [trial.hyperparameters.values for trial in trials[known:]]
        new = self._choices.picks(self.candidates.decisions.encode(values))
        picks = np.concatenate([self._picks[:known], new])
        losses = np.array([math.nan if loss is None else loss for _, loss in ended])
        state = self._state
        for count in range(known + 1, len(ended) + 1):
            state = self._step(state, History(picks[:count], losses[:count]))
        self._ended, self._picks, self._state = ended, picks, state
        return state


def _ended(
    oracle: SearchOracle, finished: Sequence[Trial]
) -> tuple[list[Trial], list[tuple[str, float | None]]]:
    """Return all trials that ended, oldest first, and their losses, `None` of failed ones."""
    # What has a score counts by it, even if a later run of it failed.
    trials = {trial.trial_id: trial for trial in [*oracle.failed, *finished]}
    losses = {trial.trial_id: oracle.losses(trial)[0] for trial in finished}
    order = [trial_id for trial_id in oracle.end_order if trial_id in trials]
    return [trials[trial_id] for trial_id in order], [
        (trial_id, losses.get(trial_id)) for trial_id in order
    ]

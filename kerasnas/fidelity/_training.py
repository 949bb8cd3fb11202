"""How far the training of one trial has come, over all its runs."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from keras_tuner.engine.trial import Trial

from kerasnas.fidelity._fidelity import Record

__all__ = ["Training"]


class Training:
    """The runs of one trial: what a journal keeps of them, and a policy is shown.

    Args:
        level: The level to which the first run trains; `None` where no policy decides.

    Attributes:
        level: The level to which a run trains that has not ended, else `None`.
        losses: The loss at the end of each run, by level: see `Record`.
        settled: Whether there is no further run.
        before: Metrics, score and best step of the last run, while a further one goes on.
    """

    def __init__(self, level: float | None = None) -> None:
        self.level = level
        self.losses: dict[float, float] = {}
        self.settled = False
        self._curve: dict[int, list[float]] = {}
        self._hopeless = False
        self._began_at = 0
        self.before: tuple[Any, Any, Any] | None = None

    def record(self, trial_id: str) -> Record:
        """What a policy is shown."""
        seen = [self._curve.get(epoch, [math.nan]) for epoch in range(self._epochs)]
        curve = [sum(values) / len(values) for values in seen]
        return Record(trial_id, dict(self.losses), tuple(curve), self.level, self.settled)

    @property
    def _epochs(self) -> int:
        return max(self._curve, default=-1) + 1

    def begin(self) -> None:
        """Start a run, or start it again: what was seen of the first attempt is dropped."""
        kept = {epoch: seen for epoch, seen in self._curve.items() if epoch < self._began_at}
        self._curve, self._hopeless = kept, False

    def note(self, epoch: int, loss: float, *, in_epochs: bool) -> None:
        """Add the loss after an epoch; several executions of it are averaged.

        Args:
            epoch: Number of the epoch, from 0; in this run, unless levels are epochs.
            loss: The loss.
            in_epochs: Whether they are.
        """
        place = epoch if in_epochs else self._began_at + epoch
        self._curve.setdefault(place, []).append(loss)

    def give_up(self) -> None:
        """Note that the run is stopped as hopeless."""
        self._hopeless = True

    def resume(self, trial: Trial, level: float) -> None:
        """Begin a further run, and remember what the trial had before it."""
        self.level = level
        self._began_at = self._epochs
        self.before = trial.metrics, trial.score, trial.best_step

    def end(self, trial: Trial, loss: float | None, *, in_epochs: bool) -> None:
        """End the run.

        Args:
            trial: The trial; if the run failed, and an earlier one did not, it gets back what
                it had then.
            loss: What was reached, `None` if the run failed.
            in_epochs: Whether levels are epochs: a run that was stopped then counts at the
                level where it stopped.
        """
        if loss is not None and self.level is not None:
            stopped = self._hopeless and in_epochs
            self.losses[float(self._epochs) if stopped else self.level] = loss
        self.settled = loss is None or self._hopeless
        if loss is None and self.before is not None:
            trial.metrics, trial.score, trial.best_step = self.before
            trial.status = "COMPLETED"
        self.level, self.before = None, None

    def state(self) -> dict[str, Any]:
        """What a journal keeps of a run that has ended."""
        curve = [[epoch, seen] for epoch, seen in sorted(self._curve.items())]
        return {
            "losses": sorted(self.losses.items()),
            "curve": curve,
            "settled": self.settled,
        }

    @classmethod
    def of(cls, state: Mapping[str, Any] | None) -> Training:
        """The training that a journal has kept; older ones keep none."""
        made = cls()
        if state is not None:
            made.losses = {float(level): float(loss) for level, loss in state["losses"]}
            made._curve = {int(epoch): list(seen) for epoch, seen in state["curve"]}
            made.settled = bool(state["settled"])
        return made

    @property
    def reached(self) -> float:
        """The level from which a run continues, 0 for a first one."""
        return max(self.losses, default=0.0)

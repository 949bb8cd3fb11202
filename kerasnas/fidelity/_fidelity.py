"""The question that every policy answers: train whom, how far, and when is it hopeless?"""

from __future__ import annotations

import abc
import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

__all__ = [
    "EPOCHS",
    "EXAMPLES",
    "INITIAL",
    "RESOLUTION",
    "SOURCE",
    "Fidelity",
    "Record",
    "Run",
]

EPOCHS = "tuner/epochs"
"""What a trial's values call the epoch at which its training ends; KerasTuner's own name."""

INITIAL = "tuner/initial_epoch"
"""What they call the epoch from which it continues; KerasTuner's own name."""

SOURCE = "tuner/trial_id"
"""What they call the trial whose weights it starts from; KerasTuner's own name."""

EXAMPLES = "tuner/examples"
"""What they call the share of the training examples that is shown."""

RESOLUTION = "tuner/resolution"
"""What they call the share of an image's side that is left."""

DIMENSIONS = ("epochs", "examples", "resolution")


class Run(NamedTuple):
    """One training of a trial.

    Attributes:
        trial_id: Whose.
        level: Up to which level.
    """

    trial_id: str
    level: float


@dataclasses.dataclass(frozen=True)
class Record:
    """What is known of a trial's training.

    Attributes:
        trial_id: The trial.
        losses: The first objective at each level where a run has ended, signed so that less is
            better. A run that was stopped as hopeless counts at the epoch where it stopped.
        curve: The same after each epoch of all runs that ended, and of the one that goes on;
            NaN where it was not told.
        running: The level to which it is being trained, `None` if it is not.
        settled: Whether it gets no more training: it failed, or was stopped as hopeless.
    """

    trial_id: str
    losses: Mapping[float, float] = dataclasses.field(default_factory=dict)
    curve: Sequence[float] = ()
    running: float | None = None
    settled: bool = False

    @property
    def level(self) -> float:
        """The highest level where a run has ended, 0 before any has."""
        return max(self.losses, default=0.0)

    @property
    def loss(self) -> float:
        """The objective there."""
        return self.losses[self.level]


class Fidelity(abc.ABC):
    """How much training a candidate deserves: the answers to three questions.

    An oracle of ours takes a policy as `fidelity=`, asks `next_run` before it looks for a new
    candidate, shows `goes_on` what comes out after each epoch, and gives its own method the
    losses that are `expected` at the highest level, so that every method works with every
    policy. `kerasnas.Tuner` carries the runs out; a paused trial continues from its
    checkpoint, and its learning rate rises and falls once a run.

    A policy keeps no state: its answers are functions of the records, so a search that was
    killed continues as if nothing had happened.

    Args:
        dimension: What a level is: `"epochs"` of training; the share of the `"examples"` shown
            or of an image's side, its `"resolution"`, both above 0 and at most 1.
    """

    def __init__(self, dimension: str = "epochs") -> None:
        if dimension not in DIMENSIONS:
            raise ValueError(
                "Less training is fewer epochs, fewer examples or a lower resolution. "
                f"Received: dimension={dimension!r}. Use one of {', '.join(DIMENSIONS)}."
            )
        self.dimension = dimension

    @property
    @abc.abstractmethod
    def levels(self) -> tuple[float, ...]:
        """The levels that trials are trained to, lowest first; the last is all there is."""

    @abc.abstractmethod
    def next_run(self, records: Sequence[Record], *, last: bool) -> Run | float:
        """Tell what to train next.

        Args:
            records: All trials so far, oldest first.
            last: Whether there are no new candidates any more.

        Returns:
            A paused trial and the level to which it is trained on; or the level of a new
            candidate, which with `last` means that there is nothing left to do.
        """

    def goes_on(self, record: Record, records: Sequence[Record]) -> bool:
        """Tell after an epoch whether a run is worth finishing.

        Args:
            record: The trial that is running, with its curve so far.
            records: All trials, oldest first.
        """
        return True

    @abc.abstractmethod
    def expected(self, records: Sequence[Record]) -> npt.NDArray[np.float64]:
        """Return the loss that each trial is expected to have at the highest level.

        Args:
            records: Trials with at least one run that ended, oldest first.
        """

    def __repr__(self) -> str:
        """Equal for policies that answer alike: a search goes on with the same one only.

        Write your own where settings of a policy have none that is the same in every process.
        """
        settings = (f"{name.strip('_')}={value!r}" for name, value in vars(self).items())
        return f"{type(self).__name__}({', '.join(settings)})"

    def settings(self, level: float, before: float = 0.0) -> dict[str, Any]:
        """What a trial's values say of a run, under names as KerasTuner's Hyperband has.

        Args:
            level: Up to which level it is trained.
            before: At which level it was paused.
        """
        if self.dimension == "epochs":
            return {EPOCHS: int(level), INITIAL: int(before)}
        return {EXAMPLES if self.dimension == "examples" else RESOLUTION: float(level)}

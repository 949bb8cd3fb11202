"""Successive halving: much training only for those that did best with little."""

from __future__ import annotations

import abc
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from kerasnas.fidelity._fidelity import Fidelity, Record, Run
from kerasnas.fidelity.calibration import expected
from kerasnas.fidelity.levels import ladder, shares
from kerasnas.fidelity.promotion import last_promotion, promotion

__all__ = ["Halving", "SuccessiveHalving"]


class Halving(Fidelity):
    """Base of policies that halve: in which bracket a trial is, is for a subclass.

    Args:
        levels: As in `SuccessiveHalving`, as are the others.
        min_level: Likewise.
        factor: Likewise.
        dimension: Likewise.
        steps: How many levels there are below the highest where `min_level` is `None`; `None`
            goes down to one epoch.
    """

    def __init__(
        self,
        levels: float | Sequence[float],
        min_level: float | None,
        *,
        factor: float | None,
        dimension: str,
        steps: int | None,
    ) -> None:
        super().__init__(dimension)
        self._levels = ladder(
            levels, min_level, factor=factor, dimension=dimension, steps=steps
        )
        listed = isinstance(levels, Sequence)
        self._factors = shares(self._levels, factor, listed=listed, dimension=dimension)

    @abc.abstractmethod
    def bases(self, count: int) -> list[int]:
        """Return where each of the first `count` trials starts, as a place among the levels.

        Those that start at one level are a bracket, within which there is halving.
        """

    @property
    def levels(self) -> tuple[float, ...]:
        return self._levels

    def next_run(self, records: Sequence[Record], *, last: bool) -> Run | float:
        *bases, base = self.bases(len(records) + 1)
        run = promotion(records, bases, self._levels, self._factors)
        if run is None and last:
            run = last_promotion(records, self._levels)
        return self._levels[base] if run is None else run

    def expected(self, records: Sequence[Record]) -> npt.NDArray[np.float64]:
        return expected(records, self._levels)


class SuccessiveHalving(Halving):
    """Asynchronous successive halving (ASHA): one in three is trained three times as long.

    Every candidate starts at the lowest level. Whenever there is a trial among the best third
    of its level that may be trained on to the next, that is done, highest level first;
    otherwise a new candidate starts. So nobody waits for a level to fill, and with three
    levels nearly four times as many candidates are tried as in the same time with full
    trainings. When there are no new candidates, what halving still allows is done, and at the
    least the best is brought to the highest level.

    The saving rests on the lowest level ranking candidates about as the highest does. If it
    does not, as where good networks learn slowly, good ones are lost without a trace:
    raise `min_level`, or use `Hyperband`.

    Args:
        levels: The highest level, such as the number of epochs of a full training; levels
            below it are worked out. Or all levels, lowest first: `[12, 200]`.
        min_level: The lowest level, if only the highest is given. Lower tries more candidates
            in the same time and judges each by less; by default two steps below the highest,
            a ninth of it.
        factor: One in so many trials of a level is promoted, and the next level costs so many
            times as much: 3 by default, 4 is bolder, 2 more careful. Where levels are listed,
            by default one in as many is promoted as the next level costs times as much, so
            that each level gets the same training; less if the lower ones mislead.
        dimension: What a level is, as in `Fidelity`. Epochs continue where a trial was paused;
            with more examples or larger images it continues from its weights.

    Raises:
        ValueError: If levels, `min_level` or `factor` make no sense: see the message.

    Example:

    ```python
    oracle = kerasnas.GaussianProcess(
        "val_accuracy", 100, fidelity=kerasnas.SuccessiveHalving(27)
    )
    ```

    Reference:
        Li et al., "A System for Massively Parallel Hyperparameter Tuning", MLSys 2020,
        https://arxiv.org/abs/1810.05934 (Algorithm 2). Unlike there, no more than one in
        `factor` is ever promoted (see `promotion`), and trials that were stopped or failed
        count as tried.
    """

    def __init__(
        self,
        levels: float | Sequence[float],
        min_level: float | None = None,
        *,
        factor: float | None = None,
        dimension: str = "epochs",
    ) -> None:
        super().__init__(levels, min_level, factor=factor, dimension=dimension, steps=2)

    def bases(self, count: int) -> list[int]:
        return [0] * count

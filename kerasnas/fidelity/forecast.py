"""What a loss early in training tells of a later one."""

from __future__ import annotations

import dataclasses

import numpy as np
import numpy.typing as npt
from scipy.special import stdtr

__all__ = ["Forecast"]

Array = npt.NDArray[np.float64]

_WORTH = 2.0  # how many pairs of typical spread the guess of the slope counts as
_NOISE = 0.5  # of the spread: the guess of how far a later loss is off the line
_NOISE_WORTH = 1.0  # how many pairs that guess counts as
_FAR = 2.0  # deviations beyond which a pair pulls no harder
_ROUNDS = 10


@dataclasses.dataclass(frozen=True)
class Forecast:
    """A later loss as a straight line of an earlier one, as sure as the pairs make it.

    The line is a Bayesian regression on trials that have both losses. Its prior says that
    differences between trials shrink with the root of the training, as along power laws, and
    counts as two pairs; so few pairs hardly do more than shift losses, and many bend the line.
    A slope is never negative: what looked better earlier is not expected to end worse. Pairs
    far off the line, such as a training that diverged, are given less weight (Huber), so that
    one does not move all others.

    Who was trained on was chosen by the earlier loss, and looked better than it was. A line
    fitted *given* that loss is not misled by this: whoever is picked by `x` alone, what is
    expected of `y` given `x` stays, and the return to the mean is what makes the slope less
    than 1. What suffers is the range: the pairs are all good ones, and what the line says of
    bad ones is mostly prior.

    Attributes:
        before: The mean of the earlier losses.
        after: The mean of the later ones.
        slope: By how much they differ later for each unit of difference earlier.
        deviation: How far a later loss is off the line.
        pairs: How many pairs there were, less where some had less weight.
        leverage: The sum of squares that makes the slope sure, the prior's share included.
    """

    before: float
    after: float
    slope: float
    deviation: float
    pairs: float
    leverage: float

    @classmethod
    def fit(
        cls, before: Array, after: Array, *, spread: float, share: float = 1.0
    ) -> Forecast:
        """Fit the line to trials that have both losses.

        Args:
            before: Their earlier losses, at least one.
            after: Their later ones.
            spread: How much earlier losses differ among all trials, chosen or not: a standard
                deviation.
            share: How much of the later training the earlier losses have seen, at most 1.
        """
        prior = _WORTH * spread**2
        guessed = share**0.5
        weights = np.ones(len(before))
        for _ in range(_ROUNDS):
            total = weights.sum()
            mean_before = float(weights @ before / total)
            mean_after = float(weights @ after / total)
            apart, later = before - mean_before, after - mean_after
            squares = float(weights @ apart**2)
            leverage = squares + prior
            along = float(weights @ (apart * later)) + prior * guessed
            slope = max(along / leverage, 0.0) if leverage > 0 else guessed
            off = np.abs(later - slope * apart)
            guess = _NOISE_WORTH * (_NOISE * spread) ** 2
            freedom = max(total - 1.0, 0.0) + _NOISE_WORTH
            deviation = float(np.sqrt((weights @ off**2 + guess) / freedom))
            # The bulk of the pairs says what is far, so that an outlier cannot hide itself.
            usual = max(1.4826 * float(np.median(off)), _NOISE * _NOISE * spread)
            if usual <= 0 or len(before) < 3:
                break
            weights = np.minimum(1.0, _FAR * usual / np.maximum(off, 1e-300))
        return cls(mean_before, mean_after, slope, deviation, float(total), leverage)

    @classmethod
    def shift(cls, before: float, after: float) -> Forecast:
        """Return a forecast that is known from two means only."""
        return cls(before, after, 1.0, 0.0, 0.0, 0.0)

    def mean(self, loss: float) -> float:
        """Return the later loss that is expected after an earlier one."""
        return self.after + self.slope * (loss - self.before)

    def chance(self, loss: float, bound: float) -> float:
        """Return how probable it is that the later loss is below a bound.

        Student's t distribution, wider where the earlier loss is unlike those of the pairs.

        Args:
            loss: The earlier loss.
            bound: What the later one is held against.
        """
        unsure = 1.0 + 1.0 / self.pairs
        if self.leverage > 0:
            unsure += (loss - self.before) ** 2 / self.leverage
        deviation = self.deviation * np.sqrt(unsure)
        gap = bound - self.mean(loss)
        if deviation <= 0:
            return float(gap > 0)
        return float(stdtr(max(self.pairs - 1.0, 0.0) + _NOISE_WORTH, gap / deviation))

"""Honest statistics of a test that tells the ill from the healthy, or any two groups.

For a test of `n` people the area under the curve and the sensitivity are estimates, and a
small test says little. So each comes with an interval that holds the true value in, say, 95 %
of tests. NumPy only.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from statistics import NormalDist
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from search_spaces.roc import groups, ranks, roc_auc

__all__ = [
    "Interval",
    "OperatingPoint",
    "at_threshold",
    "auc_interval",
    "sensitivity_at",
    "threshold_at",
    "wilson",
]

Floats = NDArray[np.float64]

_RESAMPLES = 2000


class Interval(NamedTuple):
    """An estimate and the interval around it.

    Attributes:
        value: The estimate.
        low: Lower end.
        high: Upper end.
    """

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.value:.3f} ({self.low:.3f} to {self.high:.3f})"


class OperatingPoint(NamedTuple):
    """What a threshold means for the people who are tested.

    Attributes:
        threshold: Scores from here on are called positive.
        sensitivity: Share of the positives that are called so.
        specificity: Share of the negatives that are not.
    """

    threshold: float
    sensitivity: Interval
    specificity: Interval


def auc_interval(
    labels: ArrayLike,
    scores: ArrayLike,
    confidence: float = 0.95,
    method: str = "delong",
    seed: int | None = 0,
) -> Interval:
    """The area under the ROC curve with a confidence interval.

    Args:
        labels: `(n,)` of 0 and 1, two of each at least.
        scores: `(n,)`, larger where 1 is likelier.
        confidence: How often the interval holds the true area, over many such tests; more
            makes it wider.
        method: `"delong"`: DeLong's variance, which assumes no distribution, on the logit
            scale, where the interval stays within 0 to 1. It takes examples for independent:
            several images of one person are not. Where the area is 0 or 1, or the variance
            is zero, there is none, and the next is used. `"newcombe"`: the variance of Hanley
            and McNeil at the ends of the interval; good for small tests and areas near 1.
            `"bootstrap"`: percentiles of 2,000 resamples, each group for itself.
        seed: Of the bootstrap. `None` draws fresh entropy; `0` is a seed.

    Raises:
        ValueError: If a group has fewer than two examples, or an argument is none of these.

    References:
        DeLong et al., "Comparing the areas under two or more correlated receiver operating
        characteristic curves", Biometrics 44 (1988), by the algorithm of Sun and Xu, IEEE
        Signal Processing Letters 21 (2014).
        Pepe, "The Statistical Evaluation of Medical Tests", 2003, 5.2 (the logit scale).
        Newcombe, "Confidence intervals for an effect size measure based on the Mann-Whitney
        statistic, part 2", Statistics in Medicine 25 (2006), method 5.
    """
    positives, negatives = groups(labels, scores)
    _check_confidence(confidence)
    if min(len(positives), len(negatives)) < 2:
        raise ValueError(
            "An interval needs two examples or more of each group. Received: "
            f"{len(positives)} positives and {len(negatives)} negatives. Test more."
        )
    methods = {"delong": _delong, "newcombe": _newcombe, "bootstrap": _bootstrap}
    if method not in methods:
        raise ValueError(
            f"Intervals are made by {', '.join(methods)}. Received: method={method!r}. Use "
            '"delong" unless the test is small.'
        )
    value = roc_auc(labels, scores)
    return Interval(value, *methods[method](value, positives, negatives, confidence, seed))


def threshold_at(labels: ArrayLike, scores: ArrayLike, specificity: float) -> float:
    """The lowest threshold at which so many negatives are not called positive.

    Choose it on validation data, and see on test data, with `at_threshold`, what it is worth:
    where both are the same data, the sensitivity is too good.

    Args:
        labels: `(n,)` of 0 and 1.
        scores: `(n,)`, larger where 1 is likelier.
        specificity: Share of the negatives, 0 to 1. More leaves fewer false alarms and finds
            fewer positives.

    Returns:
        A number midway between two scores; scores from it on are positive. Minus infinity
        calls all positive.

    Raises:
        ValueError: If a group is missing, scores are not finite or `specificity` is no share.
    """
    _, negatives = groups(labels, scores)
    if not 0 <= specificity <= 1:
        raise ValueError(
            "A specificity is a share, from 0 to 1. Received: "
            f"specificity={specificity}. Write, for example, 0.9."
        )
    needed = math.ceil(specificity * len(negatives) - 1e-9)
    if not needed:
        return -math.inf
    below = float(np.sort(negatives)[needed - 1])
    every = np.asarray(scores, np.float64)
    above = every[every > below]
    if not len(above):
        return math.nextafter(below, math.inf)
    middle = below + (float(above.min()) - below) / 2
    return middle if middle > below else float(above.min())


def at_threshold(
    labels: ArrayLike, scores: ArrayLike, threshold: float, confidence: float = 0.95
) -> OperatingPoint:
    """Sensitivity and specificity of a threshold, each with Wilson's interval.

    Args:
        labels: `(n,)` of 0 and 1.
        scores: `(n,)`; those from the threshold on are called positive.
        threshold: As `threshold_at` finds it.
        confidence: Of the intervals; more makes them wider.

    Raises:
        ValueError: If a group is missing, or scores are not finite numbers, one a label.
    """
    positives, negatives = groups(labels, scores)
    found, spared = int((positives >= threshold).sum()), int((negatives < threshold).sum())
    return OperatingPoint(
        float(threshold),
        wilson(found, len(positives), confidence),
        wilson(spared, len(negatives), confidence),
    )


def sensitivity_at(
    labels: ArrayLike, scores: ArrayLike, specificity: float, confidence: float = 0.95
) -> OperatingPoint:
    """The sensitivity at a chosen specificity, the threshold taken from the same data.

    It flatters, by about one example: better find the threshold on other data with
    `threshold_at` and apply it with `at_threshold`.

    Args:
        labels: `(n,)` of 0 and 1.
        scores: `(n,)`, larger where 1 is likelier.
        specificity: Least share of the negatives that are not called positive.
        confidence: Of the intervals.

    Raises:
        ValueError: If a group is missing, scores are not finite or `specificity` is no share.
    """
    return at_threshold(labels, scores, threshold_at(labels, scores, specificity), confidence)


def wilson(successes: int, trials: int, confidence: float = 0.95) -> Interval:
    """A share with Wilson's interval, which is right for small tests and shares near 1.

    Args:
        successes: How often it went well.
        trials: Out of so many, at least 1.
        confidence: How often the interval holds the true share; more makes it wider.

    Raises:
        ValueError: If there is no trial, or more successes than trials.

    Reference:
        Wilson, "Probable inference, the law of succession, and statistical inference",
        JASA 22 (1927).
    """
    _check_confidence(confidence)
    if not 0 <= successes <= trials or trials < 1:
        raise ValueError(
            "A share is of one trial or more. Received: "
            f"successes={successes} of trials={trials}. Check the counts."
        )
    z, share = _deviations(confidence), successes / trials
    centre = (share + z**2 / (2 * trials)) / (1 + z**2 / trials)
    spread = z * math.sqrt(share * (1 - share) / trials + z**2 / (4 * trials**2))
    half = spread / (1 + z**2 / trials)
    low = 0.0 if successes == 0 else centre - half
    high = 1.0 if successes == trials else centre + half
    return Interval(share, low, high)


def _delong(
    value: float,
    positives: Floats,
    negatives: Floats,
    confidence: float,
    seed: int | None,
) -> tuple[float, float]:
    count, other = len(positives), len(negatives)
    ranked = ranks(np.concatenate([positives, negatives]))
    # Of each example, the share of the other group that it is on the right side of.
    above = (ranked[:count] - ranks(positives)) / other
    below = 1 - (ranked[count:] - ranks(negatives)) / count
    variance = above.var(ddof=1) / count + below.var(ddof=1) / other
    if not 0 < value < 1 or variance <= 0:
        return _newcombe(value, positives, negatives, confidence, seed)
    logit = math.log(value / (1 - value))
    half = _deviations(confidence) * math.sqrt(variance) / (value * (1 - value))
    low, high = (1 / (1 + math.exp(min(by - logit, 700.0))) for by in (half, -half))
    return low, high


def _newcombe(
    value: float,
    positives: Floats,
    negatives: Floats,
    confidence: float,
    seed: int | None,
) -> tuple[float, float]:
    del seed  # nothing is drawn
    count, other = len(positives), len(negatives)
    z, mean = _deviations(confidence), (count + other) / 2 - 1

    def within(area: float) -> bool:
        spread = 1 + mean * (1 - area) / (2 - area) + mean * area / (1 + area)
        return (area - value) ** 2 <= z**2 * area * (1 - area) * spread / (count * other)

    return _end(within, value, 0.0), _end(within, value, 1.0)


def _end(within: Callable[[float], bool], inside: float, outside: float) -> float:
    """Where an interval ends between a point in it and one outside, by bisection."""
    if inside == outside:
        return outside
    for _ in range(60):
        middle = (inside + outside) / 2
        if within(middle):
            inside = middle
        else:
            outside = middle
    return inside


def _bootstrap(
    value: float,
    positives: Floats,
    negatives: Floats,
    confidence: float,
    seed: int | None,
) -> tuple[float, float]:
    rng = np.random.default_rng(seed)
    labels = np.repeat([1, 0], [len(positives), len(negatives)])
    areas = [
        roc_auc(labels, np.concatenate([rng.choice(group, len(group)) for group in pair]))
        for pair in [(positives, negatives)] * _RESAMPLES
    ]
    low, high = np.quantile(areas, [(1 - confidence) / 2, (1 + confidence) / 2])
    return float(low), float(high)


def _deviations(confidence: float) -> float:
    """Standard deviations of a normal distribution on either side."""
    return NormalDist().inv_cdf((1 + confidence) / 2)


def _check_confidence(confidence: float) -> None:
    if not 0 < confidence < 1:
        raise ValueError(
            "Confidence is a share above 0 and below 1. Received: "
            f"confidence={confidence}. Write 0.95."
        )

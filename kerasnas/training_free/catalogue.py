"""All scores by name: what each is asked with, and as what it is a feature."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import keras
import numpy as np

from kerasnas.training_free.perturbation import zen
from kerasnas.training_free.saliency import grad_norm, snip, synflow
from kerasnas.training_free.separation import jacob_cov, naswot
from search_spaces.counting import count_macs, count_params

__all__ = ["SCORES", "Score", "macs", "params"]


class Score(NamedTuple):
    """A score and how it is used.

    Attributes:
        ask: The score of a model, a batch of examples and their targets.
        positive: The same score and the number of examples as a positive number, in the same
            order. Features are compared by their logarithms and cut off at a thousand times
            the usual: so scores that are logarithms themselves are given as what they are
            logarithms of, an example, and what spans many powers of ten as its logarithm.
        examples: Whether it needs examples.
        targets: Whether it needs their targets.
    """

    ask: Callable[[keras.Model, Any, Any], float]
    positive: Callable[[float, int], float]
    examples: bool = False
    targets: bool = False


def params(model: keras.Model) -> float:
    """Weights of a model, trainable or not: the score that others have to beat."""
    return float(count_params(model))


def macs(model: keras.Model) -> float:
    """Multiply-accumulates for one example, the other one; see `count_macs`."""
    return float(count_macs(model))


def _as_it_is(score: float, examples: int) -> float:
    return score


SCORES = {
    "synflow": Score(lambda m, x, y: synflow(m), lambda score, n: math.log1p(score)),
    "naswot": Score(
        lambda m, x, y: naswot(m, x),
        lambda score, n: math.exp(score / n),  # the geometric mean of the eigenvalues
        examples=True,
    ),
    "jacob_cov": Score(
        lambda m, x, y: jacob_cov(m, x),
        lambda score, n: -n / score,  # at most 1
        examples=True,
    ),
    "snip": Score(snip, _as_it_is, examples=True, targets=True),
    "grad_norm": Score(grad_norm, _as_it_is, examples=True, targets=True),
    "zen": Score(lambda m, x, y: zen(m), lambda score, n: float(np.logaddexp(0.0, score))),
    "params": Score(lambda m, x, y: params(m), _as_it_is),
    "macs": Score(lambda m, x, y: macs(m), _as_it_is),
}
"""Every score by name; of all of them larger promises more."""

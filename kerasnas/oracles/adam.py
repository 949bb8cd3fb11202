"""Adam, for the few parameters of a policy."""

from __future__ import annotations

import dataclasses

import numpy as np
import numpy.typing as npt

__all__ = ["Adam"]

Floats = npt.NDArray[np.float64]

_FIRST, _SECOND = 0.9, 0.999  # how slowly the two moments forget
_TINY = 1e-8


@dataclasses.dataclass(frozen=True)
class Adam:
    """Parameters on their way uphill, with what Adam remembers of the way.

    Attributes:
        theta: The parameters.
        mean: Moving mean of the gradients, not corrected for its start at 0.
        square: Moving mean of their squares, likewise.
        steps: Number of steps made.

    Reference:
        Kingma and Ba, "Adam: A Method for Stochastic Optimization", ICLR 2015,
        https://arxiv.org/abs/1412.6980 (Algorithm 1, with its constants).
    """

    theta: Floats
    mean: Floats
    square: Floats
    steps: int = 0

    @classmethod
    def at(cls, theta: Floats) -> Adam:
        """Start from some parameters."""
        return cls(theta, np.zeros_like(theta), np.zeros_like(theta))

    def climbed(self, gradient: Floats, learning_rate: float) -> Adam:
        """Return the state after one step along a gradient, towards more."""
        steps = self.steps + 1
        mean = _FIRST * self.mean + (1.0 - _FIRST) * gradient
        square = _SECOND * self.square + (1.0 - _SECOND) * gradient**2
        corrected = np.sqrt(square / (1.0 - _SECOND**steps)) + _TINY
        step = mean / (1.0 - _FIRST**steps) / corrected
        return Adam(self.theta + learning_rate * step, mean, square, steps)

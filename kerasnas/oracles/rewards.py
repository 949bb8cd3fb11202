"""What trials are worth to a method that learns from rewards."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from kerasnas.oracles.warping import compressed

__all__ = ["advantage", "rewards"]

Floats = npt.NDArray[np.float64]


def rewards(losses: Floats) -> Floats:
    """Return a reward for each loss, whatever the unit and origin of the losses.

    The losses of all trials so far are brought to mean 0 and deviation 1, with the bad tail on
    a logarithmic scale (`compressed`), because one diverged training must not drown what the
    others say; the reward is the loss so made, with its sign turned. What an older trial is
    worth changes as others end.

    Args:
        losses: Less is better. NaN stands for a failed trial, which counts as the worst of
            the others.

    Returns:
        Rewards of mean 0; all 0.0 if the losses are equal, or none is known.
    """
    known = np.isfinite(losses)
    if not known.any():
        return np.zeros(len(losses))
    return -compressed(np.where(known, losses, np.max(losses[known])))


def advantage(rewards: Floats, decay: float) -> float:
    """Return how much better the last reward is than those before it.

    Args:
        rewards: Rewards, oldest first.
        decay: By which factor a reward's say in the baseline falls from one trial to the one
            before it, from 0 (only the trial just before counts) to 1 (all count alike).

    Returns:
        The difference from the weighted mean of the earlier ones, 0.0 if there are none.
    """
    if len(rewards) < 2:
        return 0.0
    weights = decay ** np.arange(len(rewards) - 2, -1, -1, dtype=float)
    return float(rewards[-1] - weights @ rewards[:-1] / weights.sum())

"""How a search's time is shared: short looks first, then the best few, then their files."""

from __future__ import annotations

import os
import time
from typing import Any

from search_spaces.space import SearchSpace

__all__ = ["Budget", "trial_seconds"]

# Multiply-accumulates a second and core in training; and seconds to build and trace.
_SPEED = 1.5e9
_TRACING = 12.0
_TYPICAL_MACS = 5e6  # of a foreign model nothing is known before it is built

# Looking longer finds better networks, training longer makes the found one good; both gain
# little past half of the time.
_LOOKING = 0.45
_LOOKS = 16  # at least about so many, where tracing leaves the time
_SHORTEST_LOOK = 15.0  # seconds; much less than tracing takes would save nothing
_FILES = 45.0  # seconds kept for conversion, verification and writing
_FINALISTS = 3
_FINALIST_EPOCHS = 5  # fewer would rank the finalists worse than the looks did
_FINALIST_SHARE = 0.4
_OVERHEAD = 15.0  # seconds to build, trace and convert one network


class Budget:
    """The wall-clock time of a search, from the first call to the last file.

    Args:
        max_time: Seconds for everything, or `None` for no bound.
        spent: Seconds that earlier sessions of the same search took.
    """

    def __init__(self, max_time: float | None, spent: float = 0.0) -> None:
        self.max_time = max_time
        self._started = time.monotonic() - spent

    @property
    def spent(self) -> float:
        """Seconds spent, over all sessions."""
        return time.monotonic() - self._started

    @property
    def left(self) -> float:
        """Seconds left for training, when what writing files takes is kept back."""
        return self._until(1.0) if self.max_time is not None else float("inf")

    @property
    def looking(self) -> float | None:
        """Seconds left for looks at candidates; `None` for no bound."""
        return None if self.max_time is None else max(0.0, self._until(_LOOKING))

    @property
    def look(self) -> float | None:
        """Seconds for one look, the same in every session; `None` for no bound."""
        if self.max_time is None:
            return None
        whole = self._until(_LOOKING) + self.spent
        return float(min(max(whole / _LOOKS, _SHORTEST_LOOK), max(1.0, self.left / 2)))

    def finalists(self, epochs: int, epoch_seconds: float) -> tuple[int, int]:
        """How many of the best candidates to train fully before one is chosen, and how long.

        Args:
            epochs: Epochs that a full training has where time does not matter.
            epoch_seconds: Seconds that one epoch takes.

        Returns:
            Number of finalists and epochs of each. One finalist and 0 epochs mean that there
            is no time to compare: the best candidate is trained on everything at once.
        """
        for count in range(_FINALISTS, 1, -1):
            each = self.left * _FINALIST_SHARE / count - _OVERHEAD
            affordable = int(min(epochs, each / max(epoch_seconds, 1e-3)))
            if affordable >= min(epochs, _FINALIST_EPOCHS):
                return count, affordable
        return 1, 0

    def final_epochs(self, epochs: int, epoch_seconds: float) -> float:
        """Epochs of the last training that fit in what is left, at most `epochs`.

        Not a whole number: where an epoch takes long, the rest of one is worth having.
        """
        affordable = (0.9 * self.left - _OVERHEAD) / max(epoch_seconds, 1e-3)
        return max(0.0, min(float(epochs), affordable))

    def _until(self, share: float) -> float:
        assert self.max_time is not None
        files = min(_FILES, self.max_time / 4)
        return (self.max_time - files) * share - self.spent


def trial_seconds(space: Any, examples: int) -> float:
    """About how long a trial takes on this machine's processors.

    Args:
        space: What candidates are of; those of its default stand for all.
        examples: How many examples it shows, over all epochs.
    """
    macs = space.costs({})["macs"] if isinstance(space, SearchSpace) else _TYPICAL_MACS
    return float(_TRACING + 3 * macs * examples / (_SPEED * (os.cpu_count() or 1)))

"""The clock that ends a contestant's trainings, and with them its search.

It needs no more than Keras and KerasTuner, which AutoKeras's environment has as well.
"""

from __future__ import annotations

import time
from typing import Any

import keras
from keras_tuner.errors import FatalError

from benchmarks.race_entry import Entry

__all__ = ["Clock"]


class Clock(keras.callbacks.Callback):
    """Ends trainings when a share of the time is over, and the search with them.

    A search is ended by a `FatalError` when it begins another training. A first one is never
    refused: what a single step leaves is worth more than nothing.

    Args:
        entry: Whose time.
        share: Of what is left at first, 0 to 1. More leaves less for what comes then.
        oracle: Of the search that is to end; `None` ends a training alone.
    """

    def __init__(self, entry: Entry, share: float, oracle: Any = None) -> None:
        super().__init__()
        self._end = time.time() + share * entry.left
        self._oracle = oracle

    def __deepcopy__(self, memory: Any) -> Clock:
        return self  # KerasTuner copies callbacks for each trial; there is one clock

    @property
    def _is_over(self) -> bool:
        return time.time() > self._end

    def on_train_begin(self, logs: Any = None) -> None:
        if self._oracle is None or not self._is_over:
            return
        # Members refused for their size are scored 0, which is no model to go on with.
        if any(trial.score for trial in self._oracle.trials.values()):
            raise FatalError("The time for the search is over.")

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        if not self._is_over:
            return
        self.model.stop_training = True
        if self._oracle is not None:
            self._oracle.max_trials = len(self._oracle.trials)

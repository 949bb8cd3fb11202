"""Random search, the method to beat."""

from __future__ import annotations

from collections.abc import Sequence

from keras_tuner.engine.trial import Trial

from kerasnas.oracles._oracle import SearchOracle
from kerasnas.oracles.decisions import Values

__all__ = ["RandomSearch"]


class RandomSearch(SearchOracle):
    """Random candidates, none of them twice and none over a limit.

    Every active decision is drawn uniformly, and the candidate is drawn again until it is new
    and keeps the limits. In a space without conditions that is uniform over all candidates
    that remain. Where less than about one candidate in a hundred is left, one is sought by
    descent from a random start instead, which favours the edge of the limits.

    The arguments are those of every oracle: objective, `max_trials`, and `hyperparameters`,
    `seed`, `costs`, `limits` and `identity` by name.

    Example:

    ```python
    tuner = keras_tuner.Tuner(
        oracle=kerasnas.RandomSearch("val_accuracy", max_trials=100, seed=0),
        hypermodel=search_spaces.MobileNet((32, 32, 3), num_classes=10),
    )
    tuner.search(x, y, validation_split=0.1, epochs=5)
    ```
    """

    def suggest(self, finished: Sequence[Trial]) -> Values | None:
        row = self.candidates.draw(self.rng)
        return None if row is None else self.candidates.decisions.values(row)

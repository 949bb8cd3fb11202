"""Predictor-guided search: mutate the best, and train what an ensemble promises."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from keras_tuner.engine.trial import Trial

from edge_devices.spelling import unknown
from kerasnas.oracles._checks import check_range
from kerasnas.oracles._oracle import SearchOracle
from kerasnas.oracles.acquisition import log_expected_improvement
from kerasnas.oracles.decisions import Row, Rows, Values
from kerasnas.oracles.ensemble import PREDICTORS
from kerasnas.oracles.path_encoding import one_hot, path_encoding, recurring
from kerasnas.oracles.regression import one_thread
from kerasnas.oracles.variation import edited
from kerasnas.oracles.warping import compressed

__all__ = ["Paths", "PredictorGuided"]

Array = npt.NDArray[np.float64]
Acquisition = Callable[[Array, Array, float, np.random.Generator], Array]

Paths = Callable[[Values], Collection[str]]
"""Names of the paths of the network that a candidate stands for."""

ENCODINGS = ("auto", "onehot", "paths")

_PARENTS = 10  # finished trials, the best, that are mutated
_MUTATED = 3  # decisions that a mutant changes, at most
_RANDOM = 0.25  # share of candidates that are drawn from the whole space
_EDITED = 0.5  # of the mutants, where the space knows small changes of its own
_JUDGED = 10  # finished trials, the first, by whose paths it is told whether to use them
_FEW = 2  # finished trials, of which nothing is learned yet
_LISTED = 50  # paths that a network may have for them to be all there are
_FAMILIAR = 0.5  # share of a network's paths that others must have for paths to say something
_REMEMBERED = 20_000  # candidates whose paths are kept
_CERTAIN = 1e-6  # deviation of guesses that all agree


class PredictorGuided(SearchOracle):
    """BANANAS: an ensemble of small networks predicts losses, mutants of the best are weighed.

    After some random candidates, every proposal trains an ensemble on what has finished. It
    weighs mutants of the ten best trials, which differ in up to three decisions, and random
    candidates, and proposes the most promising that is new and keeps the limits. The members
    start from different weights and agree only where there are data, so their spread says
    how much a guess is worth. On tables of trained networks it does about as well as
    `GaussianProcess`, a little later.

    - Features are a column for each option; the paths of the network where the space tells
      them; and the logarithms of costs, as a model of them guesses.
    - Trials that are still running are no candidates any more, and otherwise not reckoned
      with: the chance in `"its"` and in the ensemble keeps workers apart. Runs are repeatable
      only with one worker.
    - Failed trials count as the worst loss that was seen.
    - No predictor is kept from one proposal to the next. A proposal takes less than 0.1 s at
      100 trials. With paths every network that is weighed is described: 0.1 to
      0.2 s more for cells such as NAS-Bench-201's, and 1 to 2 s for those of DARTS, where they
      are used only if asked for.

    Of several objectives only the first counts.

    Args:
        objective: As in `keras_tuner.Oracle`.
        max_trials: Number of candidates to try at most.
        num_initial_points: Random candidates before the first prediction. More make it
            safer, fewer leave more trials to the ensemble.
        predictor: `"mlp"`, dense networks of two layers; `"forest"`, trees on samples of the
            trials, which need many more trials where effects add up, but bear oddly scaled
            features.
        ensemble: Number of networks, or a tenth of the number of trees. More tell better how
            sure they are, and take as much longer.
        encoding: What networks are told by: the `"onehot"` decisions, or their `"paths"`.
            `"auto"` adds paths to decisions where they are known and say something: where on
            average the first 10 networks that finished have at most 50 of them, and at least
            half of those are found in another one of the 10. (Cells that read two cells before
            them have too many.)
        acquisition: How candidates are ranked. `"its"`, independent Thompson sampling: by a
            draw from a normal distribution of each one's guesses; `"ei"`: by expected
            improvement over the best guess for a finished trial, which explores least;
            `"ucb"`: by the guess less its deviation.
        num_candidates: How many to weigh. More follow the predictor more closely, its errors
            included, and take longer.
        paths: `paths(values)` names the paths of a candidate's network, as
            `search_spaces.SearchSpace.paths` does. `kerasnas.Tuner` sets it where the space
            has them.
        **kwargs: As for every oracle: `hyperparameters`, `seed`, `costs`, `limits`,
            `identity`, `start_with`, `fidelity`, ...

    Raises:
        ValueError: If a name is unknown, if there are less than 2 initial points or members,
            or no candidate, or if paths are asked for and not known.

    Example:

    ```python
    tuner = kerasnas.Tuner(
        search_spaces.NASBench201Cells((32, 32, 3), num_classes=10),
        oracle=kerasnas.PredictorGuided("val_accuracy", max_trials=100, seed=0),
    )
    tuner.search(x, y, validation_split=0.1, epochs=5)
    ```

    Reference:
        White et al., "BANANAS: Bayesian Optimization with Neural Architectures for Neural
        Architecture Search", AAAI 2021, https://arxiv.org/abs/1910.11858. Unlike the paper,
        networks have two layers of 32 and some steps of L-BFGS instead of ten of 20 and Adam,
        so that a proposal takes no seconds; they minimise the squared error of losses whose
        bad tail is on a logarithmic scale, and not their mean absolute percentage error;
        failed trials are learned from, as the worst loss; decisions and costs are features
        beside the paths; a quarter of the candidates is random; and `"ucb"` gives the
        deviation a weight of 1, not 0.5.
    """

    def __init__(
        self,
        objective: Any = None,
        max_trials: int | None = None,
        *,
        num_initial_points: int = 10,
        predictor: str = "mlp",
        ensemble: int = 5,
        encoding: str = "auto",
        acquisition: str = "its",
        num_candidates: int = 100,
        paths: Paths | None = None,
        **kwargs: Any,
    ):
        super().__init__(objective, max_trials, **kwargs)
        for what, name, known in (
            ("predictor", predictor, PREDICTORS),
            ("encoding", encoding, ENCODINGS),
            ("acquisition", acquisition, ACQUISITIONS),
        ):
            if name not in known:
                raise unknown(what, name, known)
        for what, number, fewest in (
            ("num_initial_points", num_initial_points, _FEW),
            ("ensemble", ensemble, 2),
            ("num_candidates", num_candidates, 1),
        ):
            check_range(what, number, number >= fewest, f"at least {fewest}")
        self.num_initial_points = num_initial_points
        self.predictor = predictor
        self.ensemble = ensemble
        self.encoding = encoding
        self.acquisition = acquisition
        self.num_candidates = num_candidates
        self.paths = paths
        self._paths_of: dict[bytes, Collection[str]] = {}

    def suggest(self, finished: Sequence[Trial]) -> Values | None:
        # Such small matrices take longer on several threads, and round differently.
        with one_thread().limit(limits=1, user_api="blas"):
            row = self._next(finished)
        return None if row is None else self.candidates.decisions.values(row)

    def _next(self, finished: Sequence[Trial]) -> Row | None:
        candidates = self.candidates
        if len(self.trials) < self.num_initial_points or len(finished) < _FEW:
            return candidates.draw(self.rng)
        sign = -1.0 if self.objective.direction == "max" else 1.0
        losses = np.array([sign * float(trial.score) for trial in finished])
        best = [finished[i] for i in np.argsort(losses, kind="stable")[:_PARENTS]]
        pool, parents = self._pool(best)
        if not len(pool):
            return candidates.draw(self.rng)
        ranked = pool[np.argsort(-self._scores(finished, losses, pool), kind="stable")]
        row = candidates.first(ranked)
        if row is not None:
            self.parent = parents.get(row.tobytes())
            return row
        near = candidates.repair(ranked[0], self.rng)  # where limits are tight
        return candidates.draw(self.rng) if near is None else near

    # --- candidates ---------------------------------------------------------------------

    def _pool(self, best: Sequence[Trial]) -> tuple[Rows, dict[bytes, str]]:
        """Return the candidates to be weighed, and of the mutants among them the parents."""
        candidates, decisions = self.candidates, self.candidates.decisions
        drawn = decisions.sample(self.rng, round(_RANDOM * self.num_candidates))
        rows = decisions.encode([trial.hyperparameters.values for trial in best])
        which = self.rng.integers(len(best), size=self.num_candidates - len(drawn))
        counts = self.rng.integers(1, _MUTATED + 1, len(which))
        mutants = decisions.redrawn(rows[which], counts, self.rng)
        if self.edit is not None:
            by_space = self.rng.random(len(which)) < _EDITED
            for index in np.flatnonzero(by_space):
                mutants[index] = edited(decisions, rows[which[index]], self.edit, 1, self.rng)
        parents = {
            row.tobytes(): best[parent].trial_id
            for row, parent in zip(mutants, which, strict=True)
        }
        pool = np.unique(np.concatenate([mutants, drawn]), axis=0)
        tried = [trial.hyperparameters.values for trial in self.trials.values()]
        known = {row.tobytes() for row in decisions.encode(tried)}
        new = np.array([row.tobytes() not in known for row in pool])
        likely = new & ~candidates.breaks_limits(pool)
        return pool[likely if likely.any() else new], parents

    def _scores(self, finished: Sequence[Trial], losses: Array, pool: Rows) -> Array:
        """Return how promising candidates are, after training an ensemble on what is known."""
        taught = [*finished, *self.failed]
        losses = np.append(losses, np.full(len(self.failed), losses.max()))
        rows = self.candidates.decisions.encode([t.hyperparameters.values for t in taught])
        features = self._features(rows, pool)
        known, asked = features[: len(rows)], features[len(rows) :]
        fit = PREDICTORS[self.predictor]
        predict = fit(known, compressed(losses), self.ensemble, self.rng)
        guesses = predict(asked)
        deviation = np.maximum(guesses.std(axis=0), _CERTAIN)
        incumbent = float(predict(known).mean(axis=0).min())
        rank = ACQUISITIONS[self.acquisition]
        return rank(guesses.mean(axis=0), deviation, incumbent, self.rng)

    # --- features -----------------------------------------------------------------------

    def _features(self, tried: Rows, pool: Rows) -> Array:
        """Return the features of what was tried and of what is weighed, in this order."""
        rows = np.concatenate([tried, pool])
        kinds = []
        if self.encoding != "paths":
            kinds.append(one_hot(self.candidates.decisions, rows))
        if (vocabulary := self._vocabulary(tried)) is not None:
            kinds.append(path_encoding(self._known_paths(rows), vocabulary))
        model = None if self.slow_costs else self.candidates.cost_model
        if model is not None:
            kinds.append(model.predict(rows))
        return np.concatenate(kinds, axis=1)

    def _vocabulary(self, tried: Rows) -> list[str] | None:
        """Return the paths that are features, `None` where decisions say more."""
        if self.encoding == "onehot" or (self.paths is None and self.encoding == "auto"):
            return None
        if self.encoding == "paths" or _say_something(self._known_paths(tried[:_JUDGED])):
            return recurring(self._known_paths(tried))
        return None

    def _known_paths(self, rows: Rows) -> list[Collection[str]]:
        """Return the paths of assignments, which are asked for once."""
        if self.paths is None:
            raise ValueError(
                "Paths of networks are told by their space. Received: "
                f"encoding={self.encoding!r}, paths=None. Use a `search_spaces.SearchSpace` "
                'with `kerasnas.Tuner`, pass `paths`, or use encoding="onehot".'
            )
        if len(self._paths_of) > _REMEMBERED:
            self._paths_of.clear()
        found = []
        for row in rows:
            key = row.tobytes()
            if key not in self._paths_of:
                values = self.candidates.decisions.values(row)
                self._paths_of[key] = self.paths(values)
            found.append(self._paths_of[key])
        return found


def _say_something(networks: Sequence[Collection[str]]) -> bool:
    """Tell whether networks are known by their paths: few ones, which others have too."""
    if np.mean([len(paths) for paths in networks]) > _LISTED:
        return False
    unfamiliar = path_encoding(networks, recurring(networks))[:, -1]
    return bool(1.0 - unfamiliar.mean() >= _FAMILIAR)


def _thompson(mean: Array, deviation: Array, best: float, rng: np.random.Generator) -> Array:
    return -rng.normal(mean, deviation)


def _improvement(
    mean: Array, deviation: Array, best: float, rng: np.random.Generator
) -> Array:
    return log_expected_improvement(mean, deviation, best)


def _bound(mean: Array, deviation: Array, best: float, rng: np.random.Generator) -> Array:
    return deviation - mean


ACQUISITIONS: dict[str, Acquisition] = {
    "its": _thompson,
    "ei": _improvement,
    "ucb": _bound,
}

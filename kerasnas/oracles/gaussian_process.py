"""Bayesian optimisation with a Gaussian process over the decisions of a space."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from keras_tuner.engine.trial import Trial
from skopt.sampler import Lhs

from kerasnas.oracles import acquisition
from kerasnas.oracles._oracle import SearchOracle
from kerasnas.oracles.candidates import Candidates
from kerasnas.oracles.decisions import Row, Rows, Values
from kerasnas.oracles.earlier import EarlierSearch, earlier_searches
from kerasnas.oracles.features import Features
from kerasnas.oracles.kernel import Points
from kerasnas.oracles.maximisation import maximise
from kerasnas.oracles.pareto import nondominated
from kerasnas.oracles.regression import Posterior, Regression, last_fit, one_thread
from kerasnas.oracles.warping import compressed

__all__ = ["GaussianProcess"]

Array = npt.NDArray[np.float64]
Order = npt.NDArray[np.int64]
_Term = Callable[[Points], Array]

_SHORTLIST = 64  # candidates of the many weighed whose true costs are looked at
_BELOW = 1e6  # subtracted from the scores of all others: more than scores ever differ by
_FIRST, _SECOND, _SUM = "loss", "second loss", "sum"  # names of models
_AREA_ONLY = 30  # trials until which two objectives are never weighed
_FEW = 2  # finished trials, of which nothing is learned yet
_LARGE = 2  # of the design, how many candidates are about the largest there are
_RIVALS = 2  # random candidates for each place of the design, where there are limits
_CLIMBS = 6  # local searches that start from the best finished trials
_ALWAYS = 40  # trials up to which hyperparameters are fitted anew in every proposal
_GROWTH = 1.1  # from then on, whenever there are so many times as many
_REFERENCE = 1.1  # times the range of the front, where area stops to count
_DEAR, _CHEAP = 0.5, 0.1  # of a range: what nobody pays for what nobody needs
_AUGMENTED = 0.05  # weight of the sum beside the largest of several losses (ParEGO)
_TINY, _HUGE = 1e-300, 1e150
_BRIEF = 1e-3  # seconds; no trial counts as shorter


class GaussianProcess(SearchOracle):
    """Bayesian optimisation: learn which decisions matter, try where improvement is likely.

    The first candidates are spread over the space by a Latin hypercube; where the space knows
    costs, the first two are about the largest networks that there are within the limits,
    which are often good and show what size is worth. From then on a Gaussian process is
    fitted to the scores: one weight per decision tells how much it matters, and a straight
    line in the logarithm of each cost what size is worth (`Kernel`). The candidate with the
    largest expected improvement over the best posterior mean is proposed, found by local
    search over the candidates that are new and keep the limits. Because the incumbent is a
    posterior mean, one lucky training run does not hold the search; because categories are
    compared as equal or not, no false order is learned; because inactive decisions are
    ignored, conditional spaces do not confuse it.

    - Several objectives: of two, the expected improvement of the hypervolume is maximised, and
      after 30 trials every other proposal weighs them at random (ParEGO), because the area
      alone neglects the ends of the front; of more, every proposal does. The answer is
      `pareto_front()`.
    - Trials that are still running count as if they had scored their prediction, so parallel
      workers get different candidates; runs are repeatable only with one worker.
    - Failed trials never touch the model of the scores. They teach a second process where
      trials succeed, and improvement is weighed by that probability.
    - Limits hold inside the proposal: candidates are ranked with costs that a model of them
      guesses, and the few at the top are held against the true ones.
    - Hyperparameters are fitted anew in every proposal up to 40 finished trials, and then
      whenever a tenth more have finished; in between, a trial adds a row to the Cholesky
      factor. (Objectives that are weighed at random are fitted anew in every proposal.) A
      proposal depends only on what has finished, so a search that was killed continues as if
      nothing had happened.

    The regression is our own, because scikit-optimize's has no kernel for conditional
    decisions, no priors and no update, and takes seconds where this takes milliseconds; the
    Latin hypercube is scikit-optimize's.

    Args:
        objective: As in `keras_tuner.Oracle`. A list asks for a Pareto front, e.g.
            `["val_accuracy", keras_tuner.Objective("latency_ms", "min")]`.
        max_trials: Number of candidates to try at most.
        num_initial_points: Candidates of the initial design. More make the first fit safer,
            fewer leave more trials to the model. By default a third of the number of
            decisions, at least 4 and at most 10.
        size_prior: How much better larger networks are expected to be, before any trial: in
            deviations of the scores per deviation of the logarithm of the costs. More favours
            large networks for longer; at 0 nothing is expected, and no two large ones start
            the search, which suits candidates that get the same time rather than the same
            epochs. Trials overrule it. Without costs it means nothing.
        warm_start: Finished searches of other data sets, in the same space or one that shares
            decisions with it: each a `SearchResult`, an oracle, or the folder of a search.
            What they found is a trend of the scores: good candidates there are tried first
            here, and if they turn out to mislead, the trend is given up within some trials. Of
            several objectives, it is a trend of the first.
            An initial design is then left out, unless `num_initial_points` asks for one.
        cost_aware: Whether to maximise improvement per second of a trial, by a model of the
            seconds that trials took. Cheap candidates are tried first, and expensive ones when
            they promise more. A name takes that metric or cost of the trials for seconds.
        **kwargs: As for every oracle: `hyperparameters`, `seed`, `costs`, `limits`,
            `identity`, `start_with`, `max_retries_per_trial`, ...

    Raises:
        ValueError: If `num_initial_points` is less than 2, or negative in a warm start, if
            `size_prior` is negative, if `cost_aware` is given with several objectives, or if a
            search to start from has no completed trial.

    Example:

    ```python
    tuner = keras_tuner.Tuner(
        oracle=kerasnas.GaussianProcess("val_accuracy", max_trials=50, seed=0),
        hypermodel=search_spaces.MobileNet((32, 32, 3), num_classes=10),
    )
    tuner.search(x, y, validation_split=0.1, epochs=5)
    ```

    References:
        Jones et al., "Efficient Global Optimization of Expensive Black-Box Functions",
        Journal of Global Optimization 13, 1998. Unlike the paper we maximise over discrete
        and conditional decisions, and allow for noise.
        Knowles, "ParEGO", IEEE Transactions on Evolutionary Computation 10, 2006.
        Gelbart et al., "Bayesian Optimization with Unknown Constraints", UAI 2014,
        https://arxiv.org/abs/1403.5607, for weighing improvement by feasibility.
    """

    def __init__(
        self,
        objective: Any = None,
        max_trials: int | None = None,
        *,
        num_initial_points: int | None = None,
        size_prior: float = 1.0,
        warm_start: Any = (),
        cost_aware: bool | str = False,
        **kwargs: Any,
    ):
        super().__init__(objective, max_trials, **kwargs)
        self.warm_start: list[EarlierSearch] = earlier_searches(warm_start)
        least = 0 if self.warm_start else 2
        if num_initial_points is not None and (
            not isinstance(num_initial_points, int) or num_initial_points < least
        ):
            raise ValueError(
                f"A Gaussian process needs at least {least} points to start from"
                f"{', next to an earlier search' if self.warm_start else ''}. "
                f"Received: num_initial_points={num_initial_points!r}. "
                "Leave it out for a default."
            )
        if cost_aware and len(self.objectives) > 1:
            raise ValueError(
                "Improvement per second needs a single objective. Received: "
                f"cost_aware={cost_aware!r} with {len(self.objectives)} objectives. Make time "
                "one of the objectives instead, or leave one."
            )
        if not 0.0 <= size_prior < math.inf:
            raise ValueError(
                "How much better larger networks are expected to be must not be negative. "
                f"Received: size_prior={size_prior}. Use 0 to expect nothing."
            )
        self.num_initial_points = num_initial_points
        self.size_prior = size_prior
        self.cost_aware = cost_aware
        self._known: tuple[Candidates, Features] | None = None
        self._models: dict[str, _Fitted] = {}

    def suggest(self, finished: Sequence[Trial]) -> Values | None:
        # Such small matrices take longer on several threads, and round differently.
        with one_thread().limit(limits=1, user_api="blas"):
            row = self._next(finished)
        return None if row is None else self.candidates.decisions.values(row)

    def _next(self, finished: Sequence[Trial]) -> Row | None:
        features = self._features
        starts, terms = features.starts, list[_Term]()
        designed = len(self.trials) < self._num_designed(features)
        if len(finished) >= _FEW and not designed:
            improvement, best = self._improvement(features, finished)
            terms.append(improvement)
            tried = [finished[index].hyperparameters.values for index in best[:_CLIMBS]]
            starts = np.concatenate([self.candidates.decisions.encode(tried), starts])
            if self.cost_aware:
                terms.append(self._haste(features, finished))
        elif features.earlier and not designed:
            terms.append(lambda points: -features.promised(points))
        elif finished or not self.failed:
            return self._designed(features)
        if self.failed:
            terms.append(self._feasibility(features, finished))

        def total(points: Points) -> Array:
            summed: Array = np.sum([term(points) for term in terms], axis=0)
            return summed

        def score(rows: Rows) -> Array:
            scores = total(features.of_weighed(rows))
            if not features.num_costs:
                return scores
            # What counts in the end is decided by true costs; the others only come after.
            behind = np.where(self.candidates.breaks_limits(rows), scores - _BELOW, scores)
            best = np.argsort(-behind, kind="stable")[:_SHORTLIST]
            refined = scores - _BELOW
            refined[best] = total(features.of_shortlisted(rows[best]))
            return refined

        return maximise(score, self.candidates, starts, self.rng)

    @property
    def _features(self) -> Features:
        candidates = self.candidates
        if self._known is None or self._known[0] is not candidates:
            known = not self.slow_costs
            features = Features(
                candidates,
                costs_are_known=known,
                size_prior=self.size_prior,
                earlier=self.warm_start,
            )
            self._known = candidates, features
            self._models.clear()
        return self._known[1]

    # --- the initial design -------------------------------------------------------------

    def _num_designed(self, features: Features) -> int:
        if self.num_initial_points is not None:
            return self.num_initial_points
        if features.earlier:
            return 0
        return int(np.clip(features.num_decisions // 3, 4, 10))

    def _designed(self, features: Features) -> Row | None:
        """Return the initial design's next assignment, or the admitted one nearest to it.

        Under limits, the best networks are near them: the fullest of a few is taken.
        """
        decisions = self.candidates.decisions
        index, count = len(self.trials), self._num_designed(features)
        if index < _LARGE and features.num_costs and self.size_prior > 0:
            return self._large(features)
        if index >= count or not len(decisions):
            return self.candidates.draw(self.rng)
        unit = Lhs(criterion="maximin", iterations=20).generate(
            [(0.0, 1.0)] * len(decisions),
            count,
            random_state=int(np.random.default_rng(self.seed).integers(2**31)),
        )
        row = decisions.from_unit(np.array(unit)[[index]])[0]
        found = [self.candidates.repair(row, self.rng)]
        if self.limits and not self.slow_costs:
            found += [self.candidates.draw(self.rng) for _ in range(_RIVALS)]
        admitted = [row for row in found if row is not None]
        return max(admitted, key=self.candidates.fullness) if admitted else None

    def _large(self, features: Features) -> Row | None:
        """Return a candidate that is larger than nearly all others within the limits."""
        return maximise(
            lambda rows: features.size(features.of_weighed(rows)),
            self.candidates,
            features.starts,
            self.rng,
        )

    # --- what makes a candidate worth trying: logarithms, to be added ---------------------

    def _improvement(
        self, features: Features, finished: Sequence[Trial]
    ) -> tuple[_Term, Order]:
        """Return what a candidate is expected to improve, and the finished, best first."""
        losses = np.array([self.losses(trial) for trial in finished])
        losses = np.clip(losses, -_HUGE, _HUGE)  # differences of what is larger overflow
        count = losses.shape[1]
        if count == 2 and (len(self.trials) < _AREA_ONLY or len(self.trials) % 2):
            return self._improvement_of_area(features, finished, losses)
        name, wanted = _FIRST, losses[:, 0]
        if count > 1:
            scaled = _scaled(losses)[0] if count == 2 else losses
            name, wanted = _SUM, _weighed(scaled, self.rng)
            self._models.pop(name, None)  # of other weights
        model = self._model(name, features, finished, lambda n: compressed(wanted[:n]))
        expected = model.expected
        incumbent = float(expected.min())
        imagining = model.imagining(self._running_points(features))

        def improvement(points: Points) -> Array:
            return acquisition.log_expected_improvement(*imagining.predict(points), incumbent)

        return improvement, np.argsort(expected, kind="stable")

    def _improvement_of_area(
        self, features: Features, finished: Sequence[Trial], losses: Array
    ) -> tuple[_Term, Order]:
        _, reference = _scaled(losses)
        models = [
            self._model(_FIRST, features, finished, lambda n: _scaled(losses[:n])[0][:, 0]),
            self._model(_SECOND, features, finished, lambda n: _scaled(losses[:n])[0][:, 1]),
        ]
        expected = np.column_stack([model.expected for model in models])
        running = self._running_points(features)
        imagining = [model.imagining(running) for model in models]
        imagined = np.column_stack([model.expected for model in imagining])
        front = imagined[nondominated(imagined) & np.all(imagined < reference, axis=1)]

        def improvement(points: Points) -> Array:
            means, deviations = zip(*[m.predict(points) for m in imagining], strict=True)
            area = acquisition.expected_hypervolume_improvement(
                np.column_stack(means), np.column_stack(deviations), front, reference
            )
            return np.log(np.maximum(area, _TINY))

        return improvement, np.argsort(~nondominated(expected), kind="stable")

    def _feasibility(self, features: Features, finished: Sequence[Trial]) -> _Term:
        """Return how probably a candidate succeeds, by where trials failed so far."""
        ended = [*finished, *self.failed]
        # By the end, so that what was known at a moment is the beginning of what is known.
        position = {trial_id: index for index, trial_id in enumerate(self.end_order)}
        ended.sort(key=lambda trial: position[trial.trial_id])
        short = np.array([0.0 if trial.status == "COMPLETED" else -2.0 for trial in ended])
        model = self._model("success", features, ended, lambda n: short[:n])

        def feasibility(points: Points) -> Array:
            mean, deviation = model.predict(points)
            return acquisition.log_feasibility(1.0 + mean, deviation)

        return feasibility

    def _haste(self, features: Features, finished: Sequence[Trial]) -> _Term:
        """Return how little time a candidate is expected to take."""
        took = [(trial, self._trial_seconds(trial)) for trial in finished]
        timed = [(trial, seconds) for trial, seconds in took if math.isfinite(seconds)]
        if not timed:
            raise ValueError(
                "What stands for the seconds of a trial must be a metric or a cost of it. "
                f"Received: cost_aware={self.cost_aware!r}; trial {finished[-1].trial_id} has "
                f"{sorted(finished[-1].metrics.metrics)}. Name one of these, or pass `True` "
                "for the seconds themselves."
            )
        logarithms = np.log(np.maximum([seconds for _, seconds in timed], _BRIEF))
        model = self._model(
            "seconds",
            features,
            [trial for trial, _ in timed],
            lambda n: (logarithms[:n] - logarithms[:n].mean()) / _deviation(logarithms[:n]),
        )

        def haste(points: Points) -> Array:
            expected, _ = model.predict(points)
            slowness: Array = logarithms.mean() + _deviation(logarithms) * expected
            return -slowness

        return haste

    def _trial_seconds(self, trial: Trial) -> float:
        if self.cost_aware is True:
            # Who was trained further took longer; that is nothing of the candidate's.
            return self.seconds(trial) / self.level(trial)
        value = self.value(trial, str(self.cost_aware))
        return math.nan if value is None else value

    # --- models -------------------------------------------------------------------------

    def _running_points(self, features: Features) -> Points:
        return features.of_tried([trial.hyperparameters.values for trial in self.running])

    def _model(
        self,
        name: str,
        features: Features,
        trials: Sequence[Trial],
        targets: Callable[[int], Array],
    ) -> _Model:
        """Return a model of what trials show, after as little work as that allows.

        What it is follows from the trials alone: it was fitted to a number of the first ones
        that the schedule says, and the others were added one by one. So `targets` gives what
        the first trials show, as it was when there were no more. Where that has changed since,
        because trials were trained on, the model is made anew.
        """
        ids = tuple(trial.trial_id for trial in trials)
        count = last_fit(len(ids), always=_ALWAYS, growth=_GROWTH)
        known = self._models.get(name)
        shown = targets(count)
        if (
            known is None
            or known.count != count
            or known.ids != ids[: len(known.ids)]
            or not np.array_equal(known.shown, shown)
        ):
            kernel = features.kernel(quality=name == _FIRST)
            points = features.of_tried([t.hyperparameters.values for t in trials[:count]])
            centre = points.trends.mean(axis=0)
            known = _Fitted(
                ids[:count],
                count,
                centre,
                Regression.fit(kernel, points.shifted(centre), shown),
                shown,
            )
        added = [t.hyperparameters.values for t in trials[len(known.ids) :]]
        regression = known.regression
        for index in range(len(added)):
            points = features.of_tried(added[index : index + 1])
            regression = regression.extended(points.shifted(known.centre))
        self._models[name] = dataclasses.replace(known, ids=ids, regression=regression)
        return _Model(regression.given(targets(len(ids))), known.centre)


@dataclasses.dataclass(frozen=True)
class _Fitted:
    """A regression that can be extended by what has finished since.

    Attributes:
        ids: The trials in it.
        count: To how many of them the hyperparameters were fitted.
        centre: The mean of their trends, by which all trends are shifted: like the scores,
            trends only count as differences.
        regression: The regression.
        shown: What it was fitted to.
    """

    ids: tuple[str, ...]
    count: int
    centre: Array
    regression: Regression
    shown: Array


@dataclasses.dataclass(frozen=True)
class _Model:
    """A posterior, asked for points whose trends are not shifted yet."""

    posterior: Posterior
    centre: Array

    @property
    def expected(self) -> Array:
        """What is expected of the trials in it."""
        return self.posterior.mean(self.posterior.regression.points)

    def predict(self, points: Points) -> tuple[Array, Array]:
        return self.posterior.predict(points.shifted(self.centre))

    def imagining(self, points: Points) -> _Model:
        """Return the model as if what is still running had scored what it predicts."""
        if not len(points):
            return self
        points = points.shifted(self.centre)
        return _Model(self.posterior.imagining(points), self.centre)


def _scaled(losses: Array) -> tuple[Array, Array]:
    """Scale two losses by the front of those that are worth their price.

    The smallest network is always on the front, however bad it is, and so is the best,
    however expensive. An end of the front is left out where the next outcome is better by
    more than half the range in one loss and worse by less than a tenth in the other.

    Returns:
        Standardised losses, linear on the front and logarithmic beyond; and on the same scale
        the reference, up to which area counts: a tenth of the range beyond that front.
    """
    front = losses[nondominated(losses)]
    front = front[np.argsort(front[:, 0])]
    while len(front) > 2:
        steps = np.abs(np.diff(front[[0, 1, -2, -1]], axis=0))[[0, 2]]
        first, last = steps / np.maximum(np.ptp(front, axis=0), _TINY)
        if last[0] > _DEAR and last[1] < _CHEAP:
            front = front[:-1]
        elif first[1] > _DEAR and first[0] < _CHEAP:
            front = front[1:]
        else:
            break
    span = np.ptp(front, axis=0)
    span = np.where(span > 0, span, np.ptp(losses, axis=0))  # one outcome is all the front
    scaled = (losses - front.min(axis=0)) / np.where(span > 0, span, 1.0)
    beyond = np.maximum(scaled - _REFERENCE, 0.0)
    scaled = np.minimum(scaled, _REFERENCE) + np.log1p(beyond)
    centre, deviation = scaled.mean(axis=0), scaled.std(axis=0)
    deviation = np.where(deviation > 0, deviation, 1.0)
    return (scaled - centre) / deviation, (_REFERENCE - centre) / deviation


def _deviation(values: Array) -> float:
    return float(values.std()) or 1.0


def _weighed(losses: Array, rng: np.random.Generator) -> Array:
    """Turn several losses into one: the largest of them by random weights (ParEGO)."""
    span = np.ptp(losses, axis=0)
    scaled = (losses - losses.min(axis=0)) / np.where(span > 0, span, 1.0)
    weighed = scaled * rng.dirichlet(np.ones(losses.shape[1]))
    total: Array = weighed.max(axis=1) + _AUGMENTED * weighed.sum(axis=1)
    return total

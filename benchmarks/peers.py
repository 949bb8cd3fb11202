"""Searchers behind one interface, `ask` and `tell`: any KerasTuner oracle, and the peers.

| name               | what it is                                                            |
|--------------------|-----------------------------------------------------------------------|
| `random`           | uniform, no candidate twice                                           |
| `largest`          | the largest networks, by MACs where known, else by parameters         |
| `local-search`     | change one decision, keep what is better, start again when stuck      |
| `evolution`        | regularized evolution, 30 alive, tournaments of 10                    |
| `tpe`              | Optuna's TPESampler, multivariate, grouped                            |
| `gpsampler`        | Optuna's GPSampler                                                    |
| `smac`             | SMAC's BlackBoxFacade; `smac?facade=rf` its HPO facade                |
| `skopt`            | `skopt.Optimizer`, Gaussian process and expected improvement          |
| `keras-tuner-bo`   | KerasTuner's BayesianOptimizationOracle                               |
| `ours`             | our `GaussianProcess`                                                 |
| `ours-random`      | our `RandomSearch`; so too `ours-local`, `ours-evolution`,            |
|                    | `ours-nsga2`, `ours-reinforce`, `ours-qlearning` and `ours-predictor` |
| `module:Class`     | any KerasTuner oracle                                                 |

Settings follow the name as in a URL: `ours?costs=0&num_initial_points=6`. They go to the
constructor of what is wrapped; `costs=0` withholds costs from an oracle of ours.

Ordered options are given to peers as ordered (an integer or an ordinal), others as
categories; conditions where the peer knows them (Optuna's TPE, SMAC), else what is inactive is
ignored. A candidate that a peer proposes twice is trained twice. The heavy ones are imported
when used: see the extras `bench` and `bench-heavy`.
"""

from __future__ import annotations

import abc
import ast
import functools
import importlib
import tempfile
import warnings
from collections import deque
from collections.abc import Callable
from typing import Any

import keras_tuner
import numpy as np

from benchmarks.grid import Decision, Values
from benchmarks.problems import Problem

__all__ = [
    "ALIASES",
    "PEERS",
    "Optuna",
    "Oracle",
    "Searcher",
    "configuration_space",
    "is_ours",
    "make",
    "parse",
]

OBJECTIVE = keras_tuner.Objective("val_loss", "min")

ALIASES = {
    "ours": "kerasnas.oracles.gaussian_process:GaussianProcess",
    "ours-random": "kerasnas.oracles.random_search:RandomSearch",
    "ours-local": "kerasnas.oracles.local_search:LocalSearch",
    "ours-evolution": "kerasnas.oracles.evolution:AgingEvolution",
    "ours-nsga2": "kerasnas.oracles.nsga2:NSGA2",
    "ours-reinforce": "kerasnas.oracles.reinforce:Reinforce",
    "ours-qlearning": "kerasnas.oracles.q_learning:QLearning",
    "ours-predictor": "kerasnas.oracles.predictor:PredictorGuided",
    "keras-tuner-bo": "keras_tuner.oracles:BayesianOptimizationOracle",
    "keras-tuner-random": "keras_tuner.oracles:RandomSearchOracle",
}
_ENUMERABLE = 100_000  # candidates; of a larger space the largest of a sample are taken
_SAMPLE = 5_000
_TRIES = 100  # before a new candidate is given up


def parse(spec: str) -> tuple[str, dict[str, Any]]:
    """Split `name?key=value&key=value` into the name and its settings."""
    name, _, query = spec.partition("?")
    pairs = [pair.partition("=") for pair in query.split("&") if pair]
    return ALIASES.get(name, name), {key: _literal(value) for key, _, value in pairs}


def is_ours(spec: str) -> bool:
    """Tell whether a searcher is an oracle of this project, alone or after `policy+`."""
    return parse(spec.rpartition("+")[2])[0].startswith("kerasnas")


def make(spec: str, problem: Problem, seed: int, trials: int) -> Searcher:
    """Return a searcher.

    Args:
        spec: A name of the table above, and settings.
        problem: What it is run on.
        seed: Seeds it.
        trials: Number of trials it will get.

    Raises:
        ValueError: If the name is unknown, or the peer cannot keep the problem's limits.
    """
    name, settings = parse(spec)
    if ":" in name:
        return Oracle(problem, seed, trials, target=name, **settings)
    if name not in PEERS:
        raise ValueError(
            f"Unknown searcher. Received: {spec!r}. Use one of {sorted(PEERS)}, "
            f"{sorted(ALIASES)}, or `module:Class` of a KerasTuner oracle."
        )
    if problem.limits and name not in ("random", "largest"):
        raise ValueError(
            f"This peer knows no limits. Received: {spec!r} on {problem.name!r}. "
            "Use `random`, `largest` or an oracle of ours there."
        )
    return PEERS[name](problem, seed, trials, **settings)


class Searcher(abc.ABC):
    """One search: it proposes candidates and is told their observed losses, in turn.

    Args:
        problem: What to search; a searcher uses the space, the costs and the limits only.
        seed: Seeds every random choice.
        trials: Number of trials it will get.
    """

    def __init__(self, problem: Problem, seed: int, trials: int):
        self.problem, self.grid, self.trials = problem, problem.grid, trials
        self.rng = np.random.default_rng(seed)

    @abc.abstractmethod
    def ask(self) -> Values | None:
        """Return the next candidate, `None` when there is none."""

    @abc.abstractmethod
    def tell(self, values: Values, loss: Any) -> None:
        """Take the observed loss of the candidate asked for last.

        Where a searcher was made for several objectives: all of them.
        """


class Oracle(Searcher):
    """Any KerasTuner oracle, driven without a tuner and without files.

    Args:
        problem: As for every searcher.
        seed: Likewise. KerasTuner's oracles get one more, since they replace 0.
        trials: Likewise.
        target: `module:Class`.
        objective: What to optimise; with another one, metrics are told by name.
        costs: Whether an oracle of ours is told the costs of candidates.
        **settings: Passed on to the class.

    Attributes:
        trial: The trial asked for last.
    """

    def __init__(
        self,
        problem: Problem,
        seed: int,
        trials: int,
        *,
        target: str,
        objective: Any = OBJECTIVE,
        costs: bool = True,
        **settings: Any,
    ):
        super().__init__(problem, seed, trials)
        module, _, name = target.partition(":")
        if module.startswith("kerasnas"):
            if costs or problem.limits:
                settings["costs"] = problem.costs
            settings["limits"] = dict(problem.limits) or None
        else:
            seed += 1
        self.oracle = getattr(importlib.import_module(module), name)(
            objective,
            max_trials=trials,
            hyperparameters=problem.hyperparameters(),
            seed=seed,
            **settings,
        )
        self.oracle.verbose = 0
        # Files are no part of the comparison.
        self.oracle.save = lambda: None
        self.oracle._save_trial = lambda trial: None
        self.trial: Any = None

    def ask(self) -> Values | None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            self.trial = self.oracle.create_trial("tuner0")
        if self.trial.status != "RUNNING":
            return None
        return self.grid.active(self.trial.hyperparameters.values)

    def tell(self, values: Values, loss: Any) -> None:
        metrics = loss if isinstance(loss, dict) else {OBJECTIVE.name: loss}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            self.oracle.update_trial(self.trial.trial_id, metrics)
            self.trial.status = "COMPLETED"
            self.oracle.end_trial(self.trial)


class Random(Searcher):
    """Candidates at random, none twice, none over a limit."""

    def __init__(self, problem: Problem, seed: int, trials: int):
        super().__init__(problem, seed, trials)
        self._tried: set[Any] = set()

    def ask(self) -> Values | None:
        for _ in range(_TRIES * _TRIES):
            values = self.grid.draw(self.rng)
            key = self.grid.key(values)
            if key not in self._tried and self.problem.allowed(values):
                self._tried.add(key)
                return values
        return None

    def tell(self, values: Values, loss: Any) -> None:
        pass


class Largest(Searcher):
    """The largest networks that keep the limits, largest first, equals in random order.

    By multiply-accumulates, or by parameters where those are not known. Where candidates are
    too many to list, the largest of 5,000 random ones.
    """

    def __init__(self, problem: Problem, seed: int, trials: int):
        super().__init__(problem, seed, trials)
        candidates, sizes = _by_size(problem)
        order = np.lexsort((self.rng.random(len(sizes)), -sizes))
        self._waiting = deque(candidates[index] for index in order[:trials])

    def ask(self) -> Values | None:
        return self._waiting.popleft() if self._waiting else None

    def tell(self, values: Values, loss: Any) -> None:
        pass


class LocalSearch(Searcher):
    """Change one decision, move when it is better, start at random when nothing is.

    Neighbours are tried in random order and the first that is better is taken, which did
    better than the best of all in White et al. A candidate keeps the loss it was first
    observed with, and is not trained again.

    Reference:
        White et al., "Exploring the Loss Landscape in Neural Architecture Search", UAI 2021,
        https://arxiv.org/abs/2005.02960.
    """

    def __init__(self, problem: Problem, seed: int, trials: int):
        super().__init__(problem, seed, trials)
        self._known: dict[Any, float] = {}
        self._best: float | None = None  # loss where the climb stands
        self._waiting: list[Values] = []

    def ask(self) -> Values | None:
        while self._waiting:
            values = self._waiting.pop()
            loss = self._known.get(self.grid.key(values))
            if loss is None:
                return values
            self._move(values, loss)
        self._best = None
        return _new(lambda: self.grid.draw(self.rng), self._is_known)

    def tell(self, values: Values, loss: float) -> None:
        self._known[self.grid.key(values)] = loss
        self._move(values, loss)

    def _move(self, values: Values, loss: float) -> None:
        if self._best is None or loss < self._best:
            self._best, self._waiting = loss, self.grid.neighbours(values, self.rng)

    def _is_known(self, values: Values) -> bool:
        return self.grid.key(values) in self._known


class Evolution(Searcher):
    """Regularized evolution: mutate the best of a tournament among the youngest.

    Unlike the paper candidates that were already tried are skipped, and the population is as
    small as suits a hundred trials.

    Args:
        problem: As for every searcher.
        seed: Likewise.
        trials: Likewise.
        population_size: Trials kept alive.
        tournament_size: Trials compared to choose a parent.

    Reference:
        Real et al., "Regularized Evolution for Image Classifier Architecture Search", AAAI
        2019, https://arxiv.org/abs/1802.01548.
    """

    def __init__(
        self,
        problem: Problem,
        seed: int,
        trials: int,
        *,
        population_size: int = 30,
        tournament_size: int = 10,
    ):
        super().__init__(problem, seed, trials)
        self._alive: deque[tuple[float, Values]] = deque(maxlen=population_size)
        self._tournament_size = tournament_size
        self._tried: set[Any] = set()
        self._young, self._ended = population_size, 0

    def ask(self) -> Values | None:
        draw = self._child if self._ended >= self._young else self._stranger
        return _new(draw, lambda values: self.grid.key(values) in self._tried)

    def tell(self, values: Values, loss: float) -> None:
        self._ended += 1
        self._tried.add(self.grid.key(values))
        self._alive.append((loss, values))

    def _stranger(self) -> Values:
        return self.grid.draw(self.rng)

    def _child(self) -> Values:
        size = min(self._tournament_size, len(self._alive))
        drawn = self.rng.choice(len(self._alive), size, replace=False)
        _, parent = min((self._alive[index] for index in drawn), key=lambda one: one[0])
        return self.grid.neighbours(parent, self.rng)[0]


class Optuna(Searcher):
    """A sampler of Optuna 5.

    Args:
        problem: As for every searcher.
        seed: Likewise.
        trials: Likewise.
        sampler: Name of the sampler's class.
        flat: Whether inactive decisions are suggested too, for samplers that model only what
            all trials have in common.
        objectives: Number of objectives, all minimised.
        pruner: A pruner of Optuna, for those who report in between.
        **settings: Passed on to the sampler.
    """

    def __init__(
        self,
        problem: Problem,
        seed: int,
        trials: int,
        *,
        sampler: str,
        flat: bool,
        objectives: int = 1,
        pruner: Any = None,
        **settings: Any,
    ):
        import optuna

        super().__init__(problem, seed, trials)
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        self._flat = flat
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # experimental arguments
            made = getattr(optuna.samplers, sampler)(seed=seed, **settings)
        self.study = optuna.create_study(
            sampler=made,
            pruner=pruner,
            study_name=f"seed {seed}",  # Hyperband's brackets depend on it
            directions=["minimize"] * objectives,
        )

    def ask(self) -> Values | None:
        self.trial = self.study.ask()
        chosen: Values = {}
        for decision in self.grid.decisions:
            if self._flat or decision.active(chosen):
                index = self._suggest(decision)
                if decision.active(chosen):
                    chosen[decision.name] = decision.options[index]
        return chosen

    def tell(self, values: Values, loss: Any) -> None:
        self.study.tell(self.trial, loss)

    def _suggest(self, decision: Decision) -> int:
        count = len(decision.options)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            if decision.ordered:
                return self.trial.suggest_int(decision.name, 0, count - 1)
            return self.trial.suggest_categorical(decision.name, list(range(count)))


class SMAC(Searcher):
    """SMAC 2.4, one training a candidate.

    Args:
        problem: As for every searcher.
        seed: Likewise.
        trials: Likewise.
        facade: `"gp"` for BlackBoxFacade, `"rf"` for HyperparameterOptimizationFacade.
        initial: Size of the initial design; 0 for SMAC's own, a quarter of the trials, which
            did worse on the tables, as did the other facade.

    Reference:
        Lindauer et al., "SMAC3: A Versatile Bayesian Optimization Package for Hyperparameter
        Optimization", JMLR 2022.
    """

    def __init__(
        self,
        problem: Problem,
        seed: int,
        trials: int,
        *,
        facade: str = "gp",
        initial: int = 10,
    ):
        import smac

        super().__init__(problem, seed, trials)
        kind = {
            "gp": smac.BlackBoxFacade,
            "rf": smac.HyperparameterOptimizationFacade,
        }[facade]
        self._folder = tempfile.TemporaryDirectory()
        scenario = smac.Scenario(
            configuration_space(self.grid.decisions, seed),
            deterministic=True,  # else the incumbent is trained again and again
            n_trials=trials,
            seed=seed,
            output_directory=self._folder.name,
        )
        design = {"n_configs": initial} if initial else {}
        self.facade = kind(
            scenario,
            lambda config, seed=0: 0.0,
            initial_design=kind.get_initial_design(scenario, **design),
            logging_level=40,
            overwrite=True,
        )

    def ask(self) -> Values | None:
        self.info = self.facade.ask()
        chosen = dict(self.info.config)
        return self.grid.values(
            tuple(int(chosen.get(f"d{j}", 0)) for j in range(len(self.grid.decisions)))
        )

    def tell(self, values: Values, loss: float) -> None:
        from smac.runhistory.dataclasses import TrialValue

        self.facade.tell(self.info, TrialValue(cost=loss))


class Skopt(Searcher):
    """`skopt.Optimizer`: Gaussian process, expected improvement, 10 points to start from."""

    def __init__(self, problem: Problem, seed: int, trials: int, **settings: Any):
        import skopt

        super().__init__(problem, seed, trials)
        dimensions = [
            skopt.space.Integer(0, len(decision.options) - 1)
            if decision.ordered
            else skopt.space.Categorical(list(range(len(decision.options))))
            for decision in self.grid.decisions
        ]
        settings = {
            "base_estimator": "GP",
            "acq_func": "EI",
            "n_initial_points": 10,
            "initial_point_generator": "lhs",
            **settings,
        }
        self.optimizer = skopt.Optimizer(
            dimensions, random_state=seed, model_queue_size=1, **settings
        )

    def ask(self) -> Values | None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            self.point = self.optimizer.ask()
        return self.grid.values(tuple(int(index) for index in self.point))

    def tell(self, values: Values, loss: float) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            self.optimizer.tell(self.point, loss)


PEERS: dict[str, Callable[..., Searcher]] = {
    "random": Random,
    "largest": Largest,
    "local-search": LocalSearch,
    "evolution": Evolution,
    "tpe": functools.partial(
        Optuna,
        sampler="TPESampler",
        flat=False,
        multivariate=True,
        group=True,
        constant_liar=False,
    ),
    "gpsampler": functools.partial(Optuna, sampler="GPSampler", flat=True),
    "smac": SMAC,
    "skopt": Skopt,
}
"""How each peer is made, by name."""


def _new(draw: Callable[[], Values], is_known: Callable[[Values], bool]) -> Values | None:
    """Draw until something is new; in the end settle for what is not."""
    values = draw()
    for _ in range(_TRIES):
        if not is_known(values):
            break
        values = draw()
    return values


@functools.cache
def _by_size(problem: Problem) -> tuple[list[Values], np.ndarray]:
    """Return candidates that keep the limits, and their sizes."""
    grid = problem.grid
    if grid.conditional or grid.combinations > _ENUMERABLE:
        rng = np.random.default_rng(0)
        drawn = (grid.draw(rng) for _ in range(_SAMPLE))
        candidates = list({grid.key(values): values for values in drawn}.values())
    else:
        candidates = list(grid.members())
    candidates = [values for values in candidates if problem.allowed(values)]
    costs = [problem.costs(values) for values in candidates]
    return candidates, np.array([cost.get("macs", cost["params"]) for cost in costs])


def configuration_space(decisions: tuple[Decision, ...], seed: int) -> Any:
    """Return a space of ConfigSpace; decision `j` is called `d{j}`, its values are indices."""
    import ConfigSpace

    space = ConfigSpace.ConfigurationSpace(seed=seed)
    made: dict[str, Any] = {}
    options = {decision.name: decision.options for decision in decisions}
    for j, decision in enumerate(decisions):
        indices = list(range(len(decision.options)))
        made[decision.name] = (
            ConfigSpace.OrdinalHyperparameter(f"d{j}", indices)
            if decision.ordered
            else ConfigSpace.CategoricalHyperparameter(f"d{j}", indices)
        )
    space.add(*made.values())
    for decision in decisions:
        conditions = [
            ConfigSpace.InCondition(
                made[decision.name],
                made[name],
                [options[name].index(value) for value in held],
            )
            for name, held in decision.parents
        ]
        if conditions:
            joined = conditions[0] if len(conditions) == 1 else ConfigSpace.AndConjunction
            space.add(joined if len(conditions) == 1 else joined(*conditions))
    return space


def _literal(text: str) -> Any:
    try:
        return ast.literal_eval(text)
    except (SyntaxError, ValueError):
        return text

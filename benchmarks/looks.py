"""Searches that choose how long each candidate is trained: ours, and the peers.

| name                     | what it is                                                      |
|--------------------------|-----------------------------------------------------------------|
| any of `peers.py`        | every candidate is trained fully                                |
| `asha+NAME`              | our `SuccessiveHalving` with an oracle of ours                  |
| `hyperband+NAME`         | our `Hyperband`, likewise                                       |
| `optuna-asha`            | Optuna's TPESampler with SuccessiveHalvingPruner                |
| `optuna-hyperband`       | the same with HyperbandPruner                                   |
| `smac-hyperband`         | SMAC's MultiFidelityFacade                                      |
| `keras-tuner-hyperband`  | KerasTuner's HyperbandOracle                                    |

NAME is an alias of `peers.py` or `module:Class`. Settings follow as in a URL. All take
`factor`, one in so many is promoted: the peers' own defaults are 3 (KerasTuner, SMAC and
Optuna's Hyperband) and 4 (its halving), and 16 is what 12 and 200 epochs are apart. Peers that
work their levels out of it are told a full training of 1 times `factor`, so that all have the
two lengths that the table has.

Oracles of ours that plan with their number of trials, as what a population is a quarter of,
are told it: `asha+ours-evolution?trials=400`. That many candidates are their last. For each
mean training of the budget about 1 fits if all are trained fully, 7 to 10 with `asha` and 4
with `hyperband`.
"""

from __future__ import annotations

import abc
import functools
import tempfile
import warnings
from collections.abc import Callable
from typing import Any, NamedTuple

import keras_tuner

from benchmarks.grid import Values
from benchmarks.peers import (
    ALIASES,
    Optuna,
    Oracle,
    Searcher,
    configuration_space,
    is_ours,
    parse,
)
from benchmarks.peers import make as make_searcher
from benchmarks.problems import FULL, LOOK, Problem
from kerasnas.fidelity import Hyperband, SuccessiveHalving
from kerasnas.fidelity._fidelity import EPOCHS, Fidelity

__all__ = ["CONTESTANTS", "Contestant", "Look", "make"]

_POLICIES: dict[str, Callable[..., Fidelity]] = {
    "asha": SuccessiveHalving,
    "hyperband": Hyperband,
}


_PLANNED: dict[str, str | None] = {
    ALIASES["ours-evolution"]: "population_size",
    ALIASES["ours-nsga2"]: "population_size",
    ALIASES["ours-qlearning"]: None,
}
"""Oracles of ours that plan with the number of trials, unless they get this setting."""


class Look(NamedTuple):
    """One training: of which candidate, and for how many epochs."""

    values: Values
    epochs: int


class Contestant(abc.ABC):
    """One search: it says what is trained next, and is told what came out, in turn."""

    @abc.abstractmethod
    def ask(self) -> Look | None:
        """Return the next training, `None` when there is none."""

    @abc.abstractmethod
    def tell(self, look: Look, loss: float) -> None:
        """Take the observed loss of the training asked for last."""


class Full(Contestant):
    """A search that trains every candidate fully.

    Args:
        searcher: The search.
    """

    def __init__(self, searcher: Searcher):
        self.searcher = searcher

    def ask(self) -> Look | None:
        values = self.searcher.ask()
        return None if values is None else Look(values, FULL)

    def tell(self, look: Look, loss: float) -> None:
        self.searcher.tell(look.values, loss)


class Told(Contestant):
    """An oracle whose trials say for how many epochs they are trained.

    Args:
        oracle: The oracle.
        epochs: What the table's epochs are for what a trial says.
    """

    def __init__(self, oracle: Oracle, epochs: Callable[[int], int]):
        self.oracle, self._epochs = oracle, epochs

    def ask(self) -> Look | None:
        values = self.oracle.ask()
        if values is None:
            return None
        return Look(values, self._epochs(self.oracle.trial.hyperparameters.values[EPOCHS]))

    def tell(self, look: Look, loss: float) -> None:
        self.oracle.tell(look.values, loss)


class OptunaPruned(Contestant):
    """Optuna's TPE with a pruner, which decides after the short training.

    Both lengths are reported as a resource of 1 and of `factor`: the pruners halve at powers
    of it. The sampler has the settings of `benchmarks/peers.py`.

    Args:
        problem: What it is run on.
        seed: Seeds the sampler.
        trials: Ignored; part of every contestant.
        pruner: `"SuccessiveHalvingPruner"` or `"HyperbandPruner"`.
        factor: Optuna's `reduction_factor`.
    """

    def __init__(self, problem: Problem, seed: int, trials: int, *, pruner: str, factor: int):
        import optuna

        settings = {"max_resource": factor} if pruner == "HyperbandPruner" else {}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # experimental classes
            made = getattr(optuna.pruners, pruner)(
                min_resource=1, reduction_factor=factor, **settings
            )
        self.tpe = Optuna(
            problem,
            seed,
            trials,
            sampler="TPESampler",
            flat=False,
            pruner=made,
            multivariate=True,
            group=True,
            constant_liar=False,
        )
        self._pruned = optuna.trial.TrialState.PRUNED
        self._factor = factor
        self._promoted: Values | None = None

    def ask(self) -> Look | None:
        if self._promoted is not None:
            return Look(self._promoted, FULL)
        values = self.tpe.ask()
        return None if values is None else Look(values, LOOK)

    def tell(self, look: Look, loss: float) -> None:
        trial = self.tpe.trial
        trial.report(loss, 1 if look.epochs == LOOK else self._factor)
        self._promoted = None
        if look.epochs == FULL:
            self.tpe.tell(look.values, loss)
        elif trial.should_prune():
            self.tpe.study.tell(trial, state=self._pruned)
        else:
            self._promoted = look.values


class SMACHyperband(Contestant):
    """SMAC 2.4's MultiFidelityFacade: random forest, Hyperband.

    Args:
        problem: What it is run on.
        seed: Seeds it.
        trials: Number of trainings it will get at most.
        factor: SMAC's `eta`.
        initial: Size of the initial design; 0 for SMAC's own, ten a decision.

    Reference:
        Lindauer et al., "SMAC3: A Versatile Bayesian Optimization Package for Hyperparameter
        Optimization", JMLR 2022.
    """

    def __init__(
        self, problem: Problem, seed: int, trials: int, *, factor: int = 3, initial: int = 10
    ):
        import smac

        self.grid = problem.grid
        self._folder = tempfile.TemporaryDirectory()
        scenario = smac.Scenario(
            configuration_space(self.grid.decisions, seed),
            deterministic=True,
            n_trials=trials,
            min_budget=1,
            max_budget=factor,
            seed=seed,
            output_directory=self._folder.name,
        )
        kind = smac.MultiFidelityFacade
        design = {"n_configs": initial} if initial else {}
        self.facade = kind(
            scenario,
            lambda config, seed=0, budget=0: 0.0,
            initial_design=kind.get_initial_design(scenario, **design),
            intensifier=kind.get_intensifier(scenario, eta=factor),
            logging_level=40,
            overwrite=True,
        )
        self._factor = factor
        self._info: Any = None

    def ask(self) -> Look | None:
        self._info = self.facade.ask()
        chosen = dict(self._info.config)
        values = self.grid.values(
            tuple(int(chosen.get(f"d{j}", 0)) for j in range(len(self.grid.decisions)))
        )
        return Look(values, FULL if self._info.budget == self._factor else LOOK)

    def tell(self, look: Look, loss: float) -> None:
        from smac.runhistory.dataclasses import TrialValue

        self.facade.tell(self._info, TrialValue(cost=loss))


def keras_tuner_hyperband(
    objective: Any, max_trials: int, factor: int, **settings: Any
) -> keras_tuner.oracles.HyperbandOracle:
    """Return KerasTuner's Hyperband, again and again; it counts no trials."""
    return keras_tuner.oracles.HyperbandOracle(
        objective,
        max_epochs=factor,
        factor=factor,
        hyperband_iterations=max_trials,
        **settings,
    )


def _keras_tuner(problem: Problem, seed: int, trials: int, *, factor: int = 3) -> Contestant:
    target = f"{__name__}:{keras_tuner_hyperband.__name__}"
    oracle = Oracle(problem, seed, trials, target=target, factor=factor)
    return Told(oracle, lambda epochs: FULL if epochs == factor else LOOK)


CONTESTANTS: dict[str, Callable[..., Contestant]] = {
    "optuna-asha": functools.partial(OptunaPruned, pruner="SuccessiveHalvingPruner", factor=4),
    "optuna-hyperband": functools.partial(OptunaPruned, pruner="HyperbandPruner", factor=3),
    "smac-hyperband": SMACHyperband,
    "keras-tuner-hyperband": _keras_tuner,
}
"""How each peer is made, by name."""


def make(spec: str, problem: Problem, seed: int, trials: int) -> Contestant:
    """Return a contestant.

    Args:
        spec: A name of the table above, and settings.
        problem: What it is run on.
        seed: Seeds it.
        trials: Number of trainings it will get at most, far more than there will be.

    Raises:
        ValueError: If the name is unknown, or the searcher plans with its number of trials
            and is told none.
    """
    policy, joined, searcher = spec.partition("+")
    if not joined:
        name, settings = parse(spec)
        if name in CONTESTANTS:
            return CONTESTANTS[name](problem, seed, trials, **settings)
        if not is_ours(spec):
            return Full(make_searcher(spec, problem, seed, trials))
        trials = _trials(spec, name, settings, trials)
        return Full(Oracle(problem, seed, trials, target=name, **settings))
    if policy not in _POLICIES or not is_ours(searcher):
        raise ValueError(
            f"Unknown policy or oracle. Received: {spec!r}. Write one of "
            f"{sorted(_POLICIES)}, +, and an oracle of ours, such as asha+ours."
        )
    name, settings = parse(searcher)
    asked = {"factor": settings.pop("factor")} if "factor" in settings else {}
    trials = _trials(spec, name, settings, trials)
    made = _POLICIES[policy]([LOOK, FULL], **asked)
    return Told(
        Oracle(problem, seed, trials, target=name, fidelity=made, **settings), lambda n: n
    )


def _trials(spec: str, name: str, settings: dict[str, Any], most: int) -> int:
    """Return how many trials an oracle of ours is told; takes `trials` from its settings."""
    if "trials" in settings:
        told: int = settings.pop("trials")
        return told
    if name in _PLANNED and _PLANNED[name] not in settings:
        raise ValueError(
            f"This searcher plans with its number of trials, and {most} are only a bound. "
            f"Received: {spec!r}. Give a likely number, as in ours-qlearning?trials=40."
        )
    return most

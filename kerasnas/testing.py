"""What every oracle must do, as tests to inherit; and small helpers to drive an oracle.

A test module of an oracle of ours, or of yours, is a subclass that says how to make one:

```python
class TestGaussianProcess(kerasnas.testing.OracleContract):
    @pytest.fixture
    def make(self):
        return functools.partial(kerasnas.GaussianProcess, "loss")
```

Needs pytest and hypothesis (`pip install kerasnas[dev]`).
"""

from __future__ import annotations

import contextlib
import functools
import json
import math
import random
import shutil
import tempfile
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import hypothesis
import keras_tuner
import numpy as np
import pytest
from hypothesis import strategies as st
from keras_tuner.engine.trial import Trial

from kerasnas.fidelity._fidelity import EPOCHS, INITIAL, Record
from kerasnas.fidelity.halving import SuccessiveHalving
from kerasnas.oracles._oracle import SearchOracle
from kerasnas.oracles.decisions import Decisions, Value, Values

__all__ = [
    "OracleContract",
    "SeveralObjectivesContract",
    "bits",
    "choices",
    "conditional",
    "end",
    "play",
    "resume",
    "spaces",
]

Make = Callable[..., SearchOracle]
Score = Callable[[Mapping[str, Value]], float]

MANY_OPTIONS = 4


# --- spaces -----------------------------------------------------------------------------


def choices(*counts: int) -> keras_tuner.HyperParameters:
    """Return a space of unordered decisions `d0`, `d1`, ... with so many options each."""
    hp = keras_tuner.HyperParameters()
    for index, count in enumerate(counts):
        hp.Choice(f"d{index}", [f"option{option}" for option in range(count)])
    return hp


def bits(count: int) -> keras_tuner.HyperParameters:
    """Return a space of so many yes-or-no decisions."""
    return choices(*[2] * count)


def conditional() -> keras_tuner.HyperParameters:
    """Return a space with every kind of decision, nested conditions and a reused name."""
    hp = keras_tuner.HyperParameters()
    hp.Int("depth", 1, 3)
    hp.Float("rate", 1e-4, 1e-1, sampling="log")
    hp.Fixed("version", 1)
    for index in range(3):
        with hp.conditional_scope("depth", list(range(index + 1, 4))):
            hp.Choice(f"block{index}/kind", ["conv", "pool", "skip"])
            with hp.conditional_scope(f"block{index}/kind", ["conv"]):
                hp.Choice(f"block{index}/width", [8, 16, 32, 64])
                hp.Boolean(f"block{index}/norm")
    hp.Choice("head", ["dense", "pool"])
    with hp.conditional_scope("head", ["dense"]):
        hp.Int("units", 16, 256, step=2, sampling="log")
    with hp.conditional_scope("head", ["pool"]):
        hp.Int("units", 1, 4)
    return hp


@st.composite
def spaces(draw: st.DrawFn) -> keras_tuner.HyperParameters:
    """Draw a space of up to five decisions of any kind, some of them conditional."""
    hp = keras_tuner.HyperParameters()
    for index in range(draw(st.integers(1, 5))):
        parents = [known for known in hp.space if isinstance(known, _CHOICE)]
        parent = draw(st.sampled_from([None, *parents]))
        with contextlib.ExitStack() as scopes:
            if parent is not None:
                allowed = draw(
                    st.lists(st.sampled_from(parent.values), min_size=1, unique=True)
                )
                # KerasTuner finds a parent only within the conditions of its own.
                for condition in parent.conditions:
                    scopes.enter_context(
                        hp.conditional_scope(condition.name, condition.values)
                    )
                scopes.enter_context(hp.conditional_scope(parent.name, allowed))
            _declare(draw, hp, f"d{index}")
    return hp


_CHOICE = type(choices(2).space[0])


def _declare(draw: st.DrawFn, hp: keras_tuner.HyperParameters, name: str) -> None:
    low = draw(st.integers(1, 4))
    kind = draw(st.sampled_from(["choice", "ordered", "int", "log", "step", "float", "bool"]))
    match kind:
        case "choice":
            hp.Choice(name, ["a", "b", "c", "d"][:low])
        case "ordered":
            hp.Choice(name, [1.5, 2.5, 4.5, 8.5][:low], ordered=True)
        case "int":
            hp.Int(name, low, low + draw(st.integers(0, 9)))
        case "log":
            hp.Int(name, low, low * draw(st.sampled_from([1, 8, 5000])), sampling="log")
        case "step":
            hp.Float(name, 0.0, 0.1 * low, step=0.1)
        case "float":
            hp.Float(name, 1e-3, low, sampling="log")
        case "bool":
            hp.Boolean(name)


# --- driving an oracle without a tuner --------------------------------------------------


def end(oracle: SearchOracle, trial: Trial, score: float) -> None:
    """Report a trial's score and end it."""
    oracle.update_trial(trial.trial_id, {oracle.objective.name: score})
    trial.status = "COMPLETED"
    oracle.end_trial(trial)


def play(oracle: SearchOracle, score: Score, count: int = 10_000) -> list[Values]:
    """Run trials until the oracle stops, at most `count`, and return their values."""
    oracle.verbose = 0
    played: list[Values] = []
    while len(played) < count:
        trial = oracle.create_trial("tuner0")
        if trial.status == "STOPPED":
            break
        played.append(dict(trial.hyperparameters.values))
        end(oracle, trial, score(trial.hyperparameters.values))
    return played


def resume(oracle: SearchOracle, folder: Path) -> SearchOracle:
    """Let an oracle keep, or find, its search in a folder."""
    oracle._set_project_dir(str(folder), "search")
    return oracle


def rough(values: Mapping[str, Value]) -> float:
    """Score a candidate: some function without pattern, to minimise."""
    text = json.dumps(values, sort_keys=True).encode()
    return functools.reduce(lambda total, byte: (total * 31 + byte) % 1009, text, 7) / 1009


def options(values: Mapping[str, Value]) -> float:
    """Return the sum of the option indices of `choices`, as a cost and as a score."""
    return float(sum(int(str(value)[-1]) for value in values.values()))


# --- the contract -----------------------------------------------------------------------

_outcomes = st.lists(st.sampled_from([1.0, 2.0, math.nan, math.inf]), max_size=5)
_some = hypothesis.settings(
    max_examples=10,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[
        hypothesis.HealthCheck.function_scoped_fixture,  # `make` keeps nothing
        hypothesis.HealthCheck.differing_executors,  # the classes that inherit this
    ],
)


class OracleContract:
    """What all oracles promise. A subclass overrides the fixture `make`."""

    @pytest.fixture
    def make(self) -> Make:
        """Return a function like the oracle's class, with the objective `"loss"` bound."""
        raise NotImplementedError("Override the fixture `make`: see `kerasnas.testing`.")

    def test_the_same_seed_gives_the_same_candidates(self, make: Make) -> None:
        one, two = (make(hyperparameters=conditional(), seed=3, max_trials=9) for _ in "ab")
        assert play(one, rough) == play(two, rough)

    def test_different_seeds_differ(self, make: Make) -> None:
        one, two = (make(hyperparameters=conditional(), seed=s, max_trials=4) for s in (1, 2))
        assert play(one, rough) != play(two, rough)

    def test_zero_is_a_seed(self, make: Make) -> None:
        one, two = (make(hyperparameters=bits(8), seed=0, max_trials=4) for _ in "ab")
        assert one.seed == two.seed == 0
        assert play(one, rough) == play(two, rough)

    def test_no_seed_gives_fresh_ones(self, make: Make) -> None:
        assert make().seed != make().seed

    def test_no_global_generator_is_touched(self, make: Make) -> None:
        def states() -> tuple[object, ...]:
            numpys = np.random.get_state(legacy=False)  # noqa: NPY002
            return random.getstate(), numpys["state"]["key"].tolist()

        before = states()
        for seed in (None, 0):
            play(make(hyperparameters=conditional(), seed=seed, max_trials=8), rough)
        assert states() == before

    @pytest.mark.parametrize("counts", [(), (1,), (2,), (5,), (3, 4)], ids=str)
    def test_a_small_space_is_gone_through_once(
        self, make: Make, counts: tuple[int, ...]
    ) -> None:
        played = play(make(hyperparameters=choices(*counts), seed=0), options)
        assert len(played) == math.prod(counts)
        assert len({tuple(values.items()) for values in played}) == len(played)

    def test_it_stops_at_max_trials_and_goes_on_with_more(
        self, make: Make, tmp_path: Path
    ) -> None:
        oracle = resume(make(hyperparameters=bits(6), seed=0, max_trials=9), tmp_path)
        assert len(play(oracle, options)) == 9
        oracle = resume(make(hyperparameters=bits(6), seed=0, max_trials=12), tmp_path)
        assert len(play(oracle, options)) == 3

    @pytest.mark.parametrize("ended", [0, 1, 4, 7])
    def test_a_killed_search_continues_as_if_nothing_had_happened(
        self, make: Make, tmp_path: Path, ended: int
    ) -> None:
        def new() -> SearchOracle:
            oracle = make(hyperparameters=conditional(), seed=5, max_trials=9)
            return resume(oracle, tmp_path)

        uninterrupted = play(make(hyperparameters=conditional(), seed=5, max_trials=9), rough)
        killed = new()
        first = play(killed, rough, count=ended)
        open_trial = killed.create_trial("tuner0")
        rest = play(new(), rough)
        assert first + rest == uninterrupted
        assert rest[0] == open_trial.hyperparameters.values

    @pytest.mark.parametrize("broken", [math.nan, math.inf, -math.inf])
    def test_a_score_that_is_not_finite_is_a_failure(self, make: Make, broken: float) -> None:
        oracle = make(hyperparameters=bits(6), seed=0, max_trials=12)
        scores = [3.0, broken, 2.0, broken, broken, 4.0]
        played = play(oracle, lambda _: scores[len(oracle.end_order) % len(scores)])
        assert len({tuple(values.items()) for values in played}) == 12
        assert [trial.score for trial in oracle.get_best_trials(2)] == [2.0, 2.0]
        failed = oracle.trials["0001"]
        assert failed.status == "FAILED"
        assert str(broken) in failed.message

    def test_limits_hold_even_where_few_candidates_keep_them(self, make: Make) -> None:
        # 1.1 % of 65,536 candidates cost at most 6 of 24.
        oracle = make(
            hyperparameters=choices(*[MANY_OPTIONS] * 8),
            seed=0,
            max_trials=15,
            costs=lambda values: {"params": 1 + options(values)},
            limits={"params": 7},
        )
        played = play(oracle, lambda values: -options(values))
        assert len(played) == 15
        assert max(map(options, played)) <= 6

    def test_limits_that_nothing_keeps_are_explained_before_the_first_trial(
        self, make: Make
    ) -> None:
        oracle = make(
            hyperparameters=choices(*[MANY_OPTIONS] * 12),
            costs=lambda values: {"params": 1000 + options(values)},
            limits={"params": 500},
        )
        with pytest.raises(ValueError, match=r"nearest candidate found has params=1k "):
            oracle.create_trial("tuner0")
        assert not oracle.trials

    def test_limits_that_few_keep_end_the_search_when_those_are_used_up(
        self, make: Make
    ) -> None:
        oracle = make(
            hyperparameters=choices(*[MANY_OPTIONS] * 8),
            seed=0,
            costs=lambda values: {"params": 1 + options(values)},
            limits={"params": 2},
        )
        assert len(play(oracle, options)) == 1 + 8

    def test_the_same_network_is_not_tried_twice_by_other_values(self, make: Make) -> None:
        oracle = make(hyperparameters=choices(3, 3, 3), seed=0, identity=options)
        assert sorted(map(options, play(oracle, options))) == list(range(7))

    def test_asking_twice_gives_two_candidates(self, make: Make) -> None:
        oracle = make(hyperparameters=bits(10), seed=0, max_trials=20)
        play(oracle, options, count=12)
        one, two = (oracle.create_trial(f"tuner{worker}") for worker in range(2))
        assert one.hyperparameters.values != two.hyperparameters.values
        assert one.trial_id != two.trial_id
        assert oracle.create_trial("tuner0") is one

    @hypothesis.given(space=spaces())
    @_some
    def test_candidates_of_any_space_are_valid_complete_and_new(
        self, make: Make, space: keras_tuner.HyperParameters
    ) -> None:
        oracle = make(hyperparameters=space, seed=0, max_trials=8)
        _check(space, play(oracle, rough), 8)

    @hypothesis.given(space=spaces(), outcomes=_outcomes)
    @_some
    def test_so_they_are_while_trials_run_and_fail(
        self, make: Make, space: keras_tuner.HyperParameters, outcomes: list[float]
    ) -> None:
        oracle = make(hyperparameters=space, seed=0, max_trials=9)
        oracle.verbose = 0
        running = oracle.create_trial("tuner1")
        scores = dict(enumerate(outcomes))
        played = play(oracle, lambda v: scores.get(len(oracle.end_order), rough(v)))
        _check(space, [dict(running.hyperparameters.values), *played], 9)
        statuses = [oracle.trials[trial_id].status for trial_id in oracle.end_order]
        expected = [math.isfinite(score) for score in outcomes[: len(played)]]
        assert [status == "COMPLETED" for status in statuses[: len(expected)]] == expected
        assert oracle.running == [running]

    @hypothesis.given(space=spaces(), ended=st.integers(0, 8), outcomes=_outcomes)
    @_some
    def test_killed_at_any_trial_of_any_space_it_continues(
        self, make: Make, space: keras_tuner.HyperParameters, ended: int, outcomes: list[float]
    ) -> None:
        def new() -> SearchOracle:
            return make(hyperparameters=space, seed=0, max_trials=9)

        def score(oracle: SearchOracle) -> Score:
            scores = dict(enumerate(outcomes))
            return lambda values: scores.get(len(oracle.end_order), rough(values))

        whole = new()
        uninterrupted = play(whole, score(whole))
        with tempfile.TemporaryDirectory() as folder:
            killed = resume(new(), Path(folder))
            first = play(killed, score(killed), count=ended)
            killed.create_trial("tuner0")
            again = resume(new(), Path(folder))
            assert first + play(again, score(again)) == uninterrupted
        # In text, because a failed trial's score is no equal of itself.
        assert json.dumps(_facts(again)) == json.dumps(_facts(whole))
        assert again.end_order == whole.end_order

    def test_it_works_in_a_plain_tuner(self, make: Make, tmp_path: Path) -> None:
        class Plain(keras_tuner.Tuner):
            def run_trial(self, trial: Trial, *args: Any, **kwargs: Any) -> float:
                hp = trial.hyperparameters
                x = hp.Float("x", -1.0, 1.0)
                if hp.Boolean("shifted"):  # hidden from the tuner until it is reached
                    x += hp.Choice("shift", [0.5, 1.0])
                return float(x * x)

        def tuner() -> keras_tuner.Tuner:
            oracle = make(objective=None, max_trials=9, seed=0)
            return Plain(oracle=oracle, directory=str(tmp_path), project_name="plain")

        first = tuner()
        first.search(verbose=0)
        assert len(first.oracle.trials) == 9
        assert {trial.status for trial in first.oracle.trials.values()} == {"COMPLETED"}
        (tmp_path / "plain" / "tuner0.json").unlink()  # as if killed before it was written
        again = tuner()
        again.search(verbose=0)
        assert _facts(again.oracle) == _facts(first.oracle)
        shutil.rmtree(tmp_path / "plain")

    def test_with_a_policy_most_candidates_get_little_training(self, make: Make) -> None:
        oracle = make(
            hyperparameters=bits(8), seed=0, max_trials=12, fidelity=SuccessiveHalving(9, 1)
        )
        runs = play(oracle, _halved)
        assert len(oracle.trials) == 12
        assert [run[EPOCHS] for run in runs].count(1) == 12
        assert 1 <= [run[EPOCHS] for run in runs].count(9) <= 2
        trained = {trial_id: record.level for trial_id, record in _records(oracle).items()}
        best = oracle.get_best_trials(1)[0]
        assert trained[best.trial_id] == 9.0

    def test_killed_between_runs_of_a_trial_it_continues(
        self, make: Make, tmp_path: Path
    ) -> None:
        def new() -> SearchOracle:
            policy = SuccessiveHalving(9, 1)
            return make(hyperparameters=bits(6), seed=1, max_trials=8, fidelity=policy)

        whole = new()
        uninterrupted = play(whole, _halved)
        resumed = [index for index, run in enumerate(uninterrupted) if run[INITIAL]]
        for ended in (resumed[0], resumed[0] + 1):
            folder = tmp_path / str(ended)
            killed = resume(new(), folder)
            first = play(killed, _halved, count=ended)
            killed.create_trial("tuner0")
            again = resume(new(), folder)
            assert first + play(again, _halved) == uninterrupted
            assert _facts(again) == _facts(whole)
            assert again.records() == whole.records()

    def test_an_exception_leaves_it_usable(self, make: Make) -> None:
        def fail(values: Values) -> dict[str, float]:
            raise OSError("no costs today")

        oracle = make(hyperparameters=bits(3), costs=fail, limits={"params": 9})
        with pytest.raises(OSError, match="no costs today"):
            oracle.create_trial("tuner0")
        oracle.costs = lambda values: {"params": options(values)}
        asked = threading.Thread(target=oracle.create_trial, args=["tuner1"], daemon=True)
        oracle.verbose = 0
        asked.start()
        asked.join(timeout=30)
        assert list(oracle.ongoing_trials) == ["tuner1"]


class SeveralObjectivesContract:
    """What oracles of several objectives promise beside; it takes the same fixture `make`."""

    OBJECTIVES = ("loss", "params")

    def _new(self, make: Make) -> SearchOracle:
        return make(
            [keras_tuner.Objective(name, "min") for name in self.OBJECTIVES],
            max_trials=24,
            hyperparameters=choices(3, 3, 3, 3),
            seed=0,
            costs=lambda values: {"params": 1 + options(values)},
        )

    def test_the_front_is_what_no_other_trial_dominates(self, make: Make) -> None:
        oracle = self._new(make)
        play(oracle, lambda values: rough(values) - options(values))
        losses = {trial_id: oracle.losses(trial) for trial_id, trial in oracle.trials.items()}
        best = {
            trial_id
            for trial_id, mine in losses.items()
            if not any(
                all(a <= b for a, b in zip(other, mine, strict=True)) and other != mine
                for other in losses.values()
            )
        }
        assert len(oracle.trials) == 24
        assert {trial.trial_id for trial in oracle.pareto_front()} == best

    def test_a_search_of_several_objectives_continues(
        self, make: Make, tmp_path: Path
    ) -> None:
        uninterrupted = play(self._new(make), rough)
        first = play(resume(self._new(make), tmp_path), rough, count=13)
        assert first + play(resume(self._new(make), tmp_path), rough) == uninterrupted


def _halved(values: Mapping[str, Value]) -> float:
    """Score a run: less is better, and more training helps."""
    epochs = float(values[EPOCHS])
    own = {name: value for name, value in values.items() if not name.startswith("tuner/")}
    return rough(own) + 10.0 / epochs


def _records(oracle: SearchOracle) -> dict[str, Record]:
    return {record.trial_id: record for record in oracle.records()}


def _facts(oracle: SearchOracle) -> list[tuple[str, Values, float]]:
    return [(t.trial_id, t.hyperparameters.values, t.score) for t in oracle.trials.values()]


def _check(space: keras_tuner.HyperParameters, played: list[Values], count: int) -> None:
    """Check that candidates are new, valid and complete, and so many if there are."""
    members = Decisions(space).members(count)
    assert len(played) == (count if members is None else len(members))
    assert len({json.dumps(values, sort_keys=True) for values in played}) == len(played)
    for values in played:
        assert json.loads(json.dumps(values)) == values
        assert values == _checked(space, values)


def _checked(space: keras_tuner.HyperParameters, values: Values) -> Values:
    """Return the active values as KerasTuner sees them, all of them within their ranges."""
    hp = keras_tuner.HyperParameters()
    hp.values = dict(values)
    hp.merge(space, overwrite=False)
    for known in space.space:
        if hp.is_active(known):
            value = values[known.name]
            if hasattr(known, "min_value"):
                assert known.min_value <= value <= known.max_value * (1 + 1e-12)
            else:
                assert value in known.values
    return {known.name: values[known.name] for known in space.space if hp.is_active(known)}

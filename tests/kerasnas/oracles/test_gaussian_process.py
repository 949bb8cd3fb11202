import functools
import gc
import json
import shutil

import keras_tuner
import numpy as np
import pytest

from kerasnas.oracles.gaussian_process import GaussianProcess
from kerasnas.oracles.random_search import RandomSearch
from kerasnas.oracles.regression import Regression
from kerasnas.testing import (
    OracleContract,
    bits,
    choices,
    conditional,
    end,
    options,
    play,
    resume,
    rough,
)


def misfit(values):
    """Score the 12 to 14 decisions of `conditional`, of which `depth` hides some.

    Best is 0.25: three `conv` blocks, widths 16, 16 or 32, 32, and a `pool` head of 1 unit.
    """
    loss = 0.4 * abs(values["depth"] - 3) + abs(np.log10(values["rate"]) + 2.5)
    for index in range(values["depth"]):
        kind = values[f"block{index}/kind"]
        loss += {"conv": 0.0, "pool": 0.6, "skip": 1.0}[kind]
        if kind == "conv":
            loss += 0.3 * abs(np.log2(values[f"block{index}/width"]) - 4 - index / 2)
            loss += 0.3 * (not values[f"block{index}/norm"])
    return float(loss + (0.2 if values["head"] == "dense" else 0.1 * values["units"]))


class TestGaussianProcess(OracleContract):
    @pytest.fixture
    def make(self):
        return functools.partial(GaussianProcess, objective="loss")

    def test_it_finds_far_better_candidates_than_random_search(self):
        def best(oracle, seed):
            oracle = oracle("loss", 40, hyperparameters=conditional(), seed=seed)
            return min(map(misfit, play(oracle, misfit)))

        ours = [best(GaussianProcess, seed) for seed in range(2)]
        random = [best(RandomSearch, seed) for seed in range(2)]
        assert np.mean(ours) < 0.5 * np.mean(random)

    def test_it_maximises_what_is_to_be_maximised(self, make):
        oracle = make(
            objective="val_accuracy", hyperparameters=bits(12), seed=0, max_trials=25
        )
        played = play(oracle, options)
        assert max(map(options, played)) == 12
        assert np.mean([options(values) for values in played[-5:]]) > 10

    def test_the_scale_of_the_scores_does_not_matter(self, make):
        def sequence(scale):
            oracle = make(hyperparameters=choices(4, 4, 4, 4), seed=0, max_trials=15)
            return play(oracle, lambda values: scale * options(values))

        assert sequence(1e-6) == sequence(1.0) == sequence(1e6)

    def test_one_absurd_score_does_not_blind_it(self, make):
        oracle = make(hyperparameters=bits(12), seed=0, max_trials=30)
        absurd = iter([1e30])
        played = play(oracle, lambda values: next(absurd, -options(values)))
        assert max(map(options, played)) == 12

    def test_a_lucky_run_does_not_hold_it(self, make):
        # One mediocre candidate scores far too well, once; the model sees through it.
        oracle = make(hyperparameters=bits(12), seed=0, max_trials=30)
        lucky = iter([-9.0])
        played = play(oracle, lambda values: next(lucky, -options(values)))
        assert max(map(options, played)) == 12

    def test_equal_scores_are_no_obstacle(self, make):
        assert (
            len(play(make(hyperparameters=bits(6), seed=0, max_trials=12), lambda _: 1.0))
            == 12
        )

    def test_failures_from_the_start_leave_it_random(self, make):
        oracle = make(
            hyperparameters=bits(8), seed=0, max_trials=12, max_consecutive_failed_trials=99
        )
        assert len(play(oracle, lambda _: float("nan"))) == 12

    def test_open_trials_push_the_next_ones_away(self, make):
        oracle = make(hyperparameters=bits(12), seed=0, max_trials=40)
        play(oracle, lambda values: -options(values), count=15)
        trials = [oracle.create_trial(f"tuner{worker}") for worker in range(4)]
        candidates = [tuple(trial.hyperparameters.values.values()) for trial in trials]
        assert len(set(candidates)) == 4
        for trial in trials:  # each of them a good one nevertheless
            assert options(trial.hyperparameters.values) >= 9

    def test_the_initial_design_covers_every_option(self, make):
        oracle = make(hyperparameters=choices(*[4] * 6), seed=0, num_initial_points=8)
        played = play(oracle, options, count=8)
        for name in played[0]:
            options_seen = [values[name] for values in played]
            assert all(options_seen.count(f"option{option}") == 2 for option in range(4))

    @pytest.mark.parametrize("decisions", [4, 16, 40])
    def test_it_learns_from_few_trials_by_default(self, make, decisions):
        # Where scores make a difference to what is proposed, the design is over.
        def sequence(score):
            oracle = make(hyperparameters=bits(decisions), seed=0, max_trials=14)
            return play(oracle, score)

        pairs = zip(sequence(options), sequence(lambda v: -options(v)), strict=True)
        designed = [one == two for one, two in pairs].index(False)
        assert 2 <= designed <= 12

    def test_a_design_of_one_point_is_refused(self):
        with pytest.raises(ValueError, match="Received: num_initial_points=1"):
            GaussianProcess("loss", num_initial_points=1)

    def test_a_decision_that_appears_late_is_used(self, make):
        oracle = make(hyperparameters=bits(4), seed=0, max_trials=14)
        oracle.verbose = 0
        for _ in range(14):
            trial = oracle.create_trial("tuner0")
            if trial.trial_id == "0006":
                trial.hyperparameters.Choice("late", ["a", "b"])
            end(
                oracle,
                trial,
                options(
                    {k: v for k, v in trial.hyperparameters.values.items() if k != "late"}
                ),
            )
        late = [trial.hyperparameters.values.get("late") for trial in oracle.trials.values()]
        assert late[:7] == [None] * 6 + ["a"]
        assert set(late[7:]) == {"a", "b"}


def kill(folder, ended):
    """Cut a journal after so many trials have ended and the next was proposed."""
    path = folder / "search" / "journal.jsonl"
    lines, count = [], 0
    for line in path.read_text().splitlines(keepends=True):
        lines.append(line)
        event = json.loads(line)["event"]
        count += event == "ended"
        if count == ended and event == "created":
            break
    path.write_text("".join(lines))


class TestKilled:
    """A search that goes beyond the trials up to which every proposal fits anew."""

    @staticmethod
    def score(values):
        # Every seventh candidate or so fails: the model of success is resumed too.
        return float("nan") if rough(values) < 0.15 else options(values) + rough(values)

    @staticmethod
    def oracle(folder):
        oracle = GaussianProcess("loss", 62, hyperparameters=bits(12), seed=1)
        return resume(oracle, folder)

    @pytest.fixture(scope="class")
    @classmethod
    def whole(cls, tmp_path_factory):
        folder = tmp_path_factory.mktemp("whole")
        return folder, play(cls.oracle(folder), cls.score)

    @pytest.mark.parametrize("ended", [39, 46, 57, 60])
    def test_it_continues_as_if_nothing_had_happened(self, whole, tmp_path, ended):
        folder, uninterrupted = whole
        shutil.copytree(folder, tmp_path, dirs_exist_ok=True)
        kill(tmp_path, ended)
        assert play(self.oracle(tmp_path), self.score) == uninterrupted[ended:]

    def test_some_failed_and_more_than_forty_did_not(self, whole):
        failures = sum(np.isnan(self.score(values)) for values in whole[1])
        assert 2 <= failures <= 62 - 45


def test_a_search_of_several_objectives_continues_too(tmp_path):
    def oracle():
        return GaussianProcess(
            ["loss", "params", "macs"],
            20,
            hyperparameters=bits(10),
            seed=0,
            costs=lambda v: {"params": 1 + options(v), "macs": 1 + rough(v)},
        )

    def score(values):
        return -options(values) - rough(values)

    uninterrupted = play(oracle(), score)
    assert play(resume(oracle(), tmp_path), score) == uninterrupted
    kill(tmp_path, 13)
    assert play(resume(oracle(), tmp_path), score) == uninterrupted[13:]


class TestSeveralObjectives:
    """Eight decisions of four options: each step gains something and costs something else.

    What a step gains for its cost differs by decision, so the front is a matter of which
    decisions to raise first.
    """

    SPACE = choices(*[4] * 8)
    GAIN = np.array([8, 1, 6, 2, 4, 3, 2, 1]) / 81
    COST = np.array([1, 8, 2, 6, 2, 3, 4, 1]) / 81
    HEAT = np.array([1, 1, 1, 1, 9, 9, 1, 4]) / 81

    @staticmethod
    def steps(values):
        return np.array([int(value[-1]) for value in values.values()])

    def loss(self, values):
        return float(1 - self.steps(values) @ self.GAIN)

    def costs(self, values):
        steps = self.steps(values)
        return {
            "params": float(0.01 + steps @ self.COST),
            "ram": float(0.01 + steps @ self.HEAT),
        }

    def covered(self, oracle, names, seed, trials):
        """Return the share of the box of all outcomes that the front dominates."""
        found = oracle(
            ["loss", *names], trials, hyperparameters=self.SPACE, seed=seed, costs=self.costs
        )
        play(found, self.loss)
        front = np.array([found.losses(trial) for trial in found.pareto_front()])
        points = np.random.default_rng(0).uniform(0, 1, (4000, 1 + len(names)))
        return (front[None] <= points[:, None]).all(axis=2).any(axis=1).mean()

    @pytest.mark.parametrize("names", [["params"], ["params", "ram"]], ids=["two", "three"])
    def test_the_front_is_far_better_than_that_of_random_search(self, names):
        ours = [self.covered(GaussianProcess, names, seed, 30) for seed in range(2)]
        random = [self.covered(RandomSearch, names, seed, 60) for seed in range(2)]
        assert np.mean(ours) > np.mean(random) + 0.03  # with half the trials

    def test_memory_does_not_grow_with_every_proposal(self):
        def alive():
            gc.collect()
            return sum(type(known) is Regression for known in gc.get_objects())

        before = alive()
        oracle = GaussianProcess(
            ["loss", "params", "ram"], 30, hyperparameters=self.SPACE, seed=0, costs=self.costs
        )
        play(oracle, self.loss, count=12)
        early = alive() - before
        play(oracle, self.loss)
        assert len(oracle.trials) == 30
        assert alive() - before <= early + 3

    def test_the_units_of_the_second_do_not_matter(self):
        def sequence(scale):
            oracle = GaussianProcess(
                ["loss", "params"],
                16,
                hyperparameters=choices(4, 4, 4, 4),
                seed=0,
                costs=lambda values: {"params": scale * (1 + options(values))},
            )
            return play(oracle, options)  # the smallest is the best: it dominates all

        assert sequence(1.0) == sequence(1e6) == sequence(1e-6)

    def test_a_killed_search_continues_where_area_and_weights_alternate(self, tmp_path):
        def new(folder):
            oracle = GaussianProcess(
                ["loss", "params"], 46, hyperparameters=self.SPACE, seed=1, costs=self.costs
            )
            return resume(oracle, folder)

        whole = play(new(tmp_path / "whole"), self.loss)
        for ended in (29, 32, 43):
            folder = tmp_path / str(ended)
            first = play(new(folder), self.loss, count=ended)
            assert first + play(new(folder), self.loss) == whole

    def test_time_per_improvement_needs_one(self):
        with pytest.raises(ValueError, match="Received: cost_aware=True with 2 objectives"):
            GaussianProcess(["loss", "params"], cost_aware=True)

    def test_outcomes_that_are_all_equal_are_no_obstacle(self):
        oracle = GaussianProcess(
            ["loss", "params"], 14, hyperparameters=bits(6), costs=lambda _: {"params": 1.0}
        )
        assert len(play(oracle, lambda _: 1.0)) == 14

    def test_running_trials_push_the_next_ones_away(self):
        oracle = GaussianProcess(
            ["loss", "params"], 40, hyperparameters=self.SPACE, seed=0, costs=self.costs
        )
        play(oracle, self.loss, count=12)
        trials = [oracle.create_trial(f"tuner{worker}") for worker in range(3)]
        outcomes = {(self.loss(v), self.costs(v)["params"]) for v in map(values_of, trials)}
        assert len(outcomes) == 3


def values_of(trial):
    return trial.hyperparameters.values


class TestFailures:
    def test_where_trials_fail_is_learned_and_avoided(self):
        def score(values):
            # The quarter of the space where scores would be best cannot be trained.
            return float("nan") if values["d0"] == "option3" else -options(values)

        failed = 0
        for seed in range(2):
            oracle = GaussianProcess("loss", 30, hyperparameters=choices(*[4] * 8), seed=seed)
            played = play(oracle, score)
            assert len(played) == 30
            failed += sum(values["d0"] == "option3" for values in played[10:])
            assert oracle.get_best_trials()[0].score == -23
        assert failed <= 6  # of 40; by chance 10, and all if only scores counted

    def test_three_in_a_row_do_not_stop_it(self):
        oracle = GaussianProcess("loss", 20, hyperparameters=bits(8), seed=0)
        scores = iter([float("nan")] * 3)
        assert len(play(oracle, lambda v: next(scores, options(v)))) == 20
        assert len(oracle.failed) == 3
        assert oracle.get_best_trials()[0].score == 0.0


class TestCostAware:
    """Ten decisions, of which the first five gain a lot; the others only take time."""

    @staticmethod
    def loss(values):
        return -float(sum(values[f"d{j}"] == "option1" for j in range(5)))

    @staticmethod
    def seconds(values):
        return float(10.0 * 1.6 ** sum(values[f"d{j}"] == "option1" for j in range(5, 10)))

    def oracle(self, cost_aware, **kwargs):
        return GaussianProcess(
            "loss", 22, hyperparameters=bits(10), seed=0, cost_aware=cost_aware, **kwargs
        )

    def test_cheap_candidates_are_preferred_and_the_best_still_found(self, monkeypatch):
        def spent(cost_aware):
            oracle = self.oracle(cost_aware)
            monkeypatch.setattr(oracle, "seconds", lambda t: self.seconds(values_of(t)))
            played = play(oracle, self.loss)
            assert min(map(self.loss, played)) == -5
            return sum(map(self.seconds, played[10:]))

        assert spent(True) < 0.6 * spent(False)

    def test_seconds_that_are_not_a_number_are_left_out(self):
        oracle = self.oracle("took")
        oracle.verbose = 0
        for number in range(12):
            trial = oracle.create_trial("tuner0")
            values = values_of(trial)
            took = float("nan") if number == 5 else self.seconds(values)
            oracle.update_trial(trial.trial_id, {"took": took, "loss": self.loss(values)})
            trial.status = "COMPLETED"
            oracle.end_trial(trial)
        assert len(oracle.end_order) == 12

    def test_a_cost_may_stand_for_the_seconds(self):
        def spent(cost_aware):
            oracle = self.oracle(cost_aware, costs=lambda v: {"ram": self.seconds(v)})
            return sum(map(self.seconds, play(oracle, self.loss)[10:]))

        assert spent("ram") < 0.7 * spent(False)

    def test_a_metric_may_stand_for_the_seconds(self):
        def spent(cost_aware):
            oracle, total = self.oracle(cost_aware), 0.0
            oracle.verbose = 0
            for _ in range(22):
                trial = oracle.create_trial("tuner0")
                seconds = self.seconds(values_of(trial))
                total += seconds * (int(trial.trial_id) >= 10)
                oracle.update_trial(
                    trial.trial_id, {"loss": self.loss(values_of(trial)), "time": seconds}
                )
                trial.status = "COMPLETED"
                oracle.end_trial(trial)
            return total

        assert spent("time") < 0.7 * spent(False)

    def test_a_name_that_trials_do_not_have_is_explained(self):
        oracle = self.oracle("energy", costs=lambda v: {"ram": 1.0})
        with pytest.raises(ValueError, match=r"Received: cost_aware='energy'; trial 0003 has"):
            play(oracle, self.loss)


class TestSlowCosts:
    def test_few_are_asked_for_under_tight_limits(self):
        asked = []

        def costs(values):
            asked.append(dict(values))
            return {"params": 1 + options(values)}

        oracle = GaussianProcess(
            "loss",
            14,
            hyperparameters=choices(*[4] * 8),
            seed=0,
            costs=costs,
            slow_costs=True,
            limits={"params": 7},  # 1.1 % of the candidates keep it
        )
        played = play(oracle, lambda values: -options(values))
        assert len(played) == 14
        assert max(map(options, played)) <= 6
        assert len(asked) == len({tuple(values.items()) for values in asked})
        assert len(asked) < 14 * 30

    def test_a_killed_search_continues_and_asks_for_nothing_twice(self, tmp_path):
        def new(folder):
            asked = []

            def costs(values):
                asked.append(tuple(values.items()))
                return {"params": 1 + options(values)}

            oracle = GaussianProcess(
                "loss",
                12,
                hyperparameters=choices(*[4] * 6),
                seed=0,
                costs=costs,
                slow_costs=True,
                limits={"params": 9},
            )
            return resume(oracle, folder), asked

        oracle, asked = new(tmp_path / "whole")
        uninterrupted = play(oracle, rough)
        assert len(asked) == len(set(asked))
        oracle, first = new(tmp_path / "killed")
        played = play(oracle, rough, count=8)
        oracle, second = new(tmp_path / "killed")
        assert played + play(oracle, rough) == uninterrupted
        assert not set(first) & set(second)
        assert first + second == asked


class TestWarmStart:
    SPACE = choices(*[4] * 8)

    def earlier(self, score):
        oracle = RandomSearch("loss", 40, hyperparameters=self.SPACE, seed=7)
        play(oracle, score)
        return oracle

    @staticmethod
    def score(values):
        weights = [5, 4, 3, 3, 2, 2, 1, 1]
        return float(
            sum(w * int(v[-1]) for w, v in zip(weights, values.values(), strict=True))
        )

    def best(self, warm_start, trials, seed):
        oracle = GaussianProcess(
            "loss", trials, hyperparameters=self.SPACE, seed=seed, warm_start=warm_start
        )
        return min(map(self.score, play(oracle, self.score)))

    def test_it_starts_where_a_search_of_something_alike_ended(self):
        alike = self.earlier(lambda values: 3 * self.score(values) + 4 * rough(values))
        warm = [self.best(alike, 4, seed) for seed in range(3)]
        cold = [self.best((), 12, seed) for seed in range(3)]
        assert np.mean(warm) < np.mean(cold)

    def test_one_that_misleads_is_harmless(self):
        opposite = self.earlier(lambda values: -self.score(values))
        assert max(self.best(opposite, 30, seed) for seed in range(2)) <= 4  # of 63

    def test_one_of_other_decisions_changes_nothing(self):
        other = RandomSearch("loss", 5, hyperparameters=conditional(), seed=0)
        play(other, rough)
        oracle = GaussianProcess(
            "loss", 8, hyperparameters=bits(4), seed=0, warm_start=[other]
        )
        cold = GaussianProcess("loss", 8, hyperparameters=bits(4), seed=0)
        assert play(oracle, options) == play(cold, options)

    def test_two_are_better_than_nothing_and_a_folder_is_enough(self, tmp_path):
        one = self.earlier(lambda values: self.score(values) + rough(values))
        kept = resume(RandomSearch("loss", 20, hyperparameters=self.SPACE, seed=3), tmp_path)
        play(kept, self.score)
        assert self.best([one, tmp_path / "search"], 4, 0) < self.best((), 4, 0)

    def test_a_killed_search_continues_as_if_nothing_had_happened(self, tmp_path):
        def new():
            return GaussianProcess(
                "loss",
                10,
                hyperparameters=self.SPACE,
                seed=0,
                warm_start=self.earlier(self.score),
            )

        uninterrupted = play(new(), rough)
        play(resume(new(), tmp_path), rough, count=4)
        assert play(resume(new(), tmp_path), rough) == uninterrupted[4:]

    def test_a_search_that_is_none_is_refused_at_once(self):
        with pytest.raises(TypeError, match="A search to start from is"):
            GaussianProcess("loss", warm_start=[3])


def test_of_several_workers_only_what_finished_decides(tmp_path):
    # The order in which open trials were asked for and ended is all that counts.
    def run(oracle, reopen):
        oracle.verbose = 0
        for _ in range(3):
            opened = [oracle.create_trial(f"tuner{worker}") for worker in range(3)]
            for trial in opened[::-1]:
                end(oracle, trial, rough(values_of(trial)))
            oracle = reopen(oracle)
        last = oracle.create_trial("tuner0")
        return values_of(last)

    def new():
        return GaussianProcess("loss", 20, hyperparameters=bits(9), seed=0)

    through = run(new(), lambda oracle: oracle)
    reopened = run(resume(new(), tmp_path), lambda _: resume(new(), tmp_path))
    assert through == reopened


def test_keras_tuners_objective_works():
    objective = keras_tuner.Objective("score", "max")
    oracle = GaussianProcess(objective, 25, hyperparameters=bits(12), seed=0)
    assert max(map(options, play(oracle, options))) == 12


def test_under_limits_the_design_is_near_them():
    def design(limits):
        oracle = GaussianProcess(
            "loss",
            9,
            hyperparameters=bits(24),
            seed=0,
            num_initial_points=9,
            costs=lambda values: {"params": 1.0 + options(values)},
            limits=limits,
        )
        oracle.verbose = 0
        return np.mean([options(values) for values in play(oracle, lambda _: 1.0)])

    assert design({"params": 1000}) > design(None) + 1


class TestSizePrior:
    @staticmethod
    def first_two(size_prior):
        oracle = GaussianProcess(
            "loss",
            2,
            hyperparameters=choices(*[4] * 8),
            seed=0,
            size_prior=size_prior,
            costs=lambda values: {"params": 1.0 + options(values)},
        )
        return [options(values) for values in play(oracle, options)]

    def test_the_largest_come_first_if_they_are_expected_to_be_better(self):
        assert min(self.first_two(1.0)) >= 22  # of 24

    def test_otherwise_they_do_not(self):
        assert max(self.first_two(0.0)) < 20

    def test_a_negative_one_is_refused(self):
        with pytest.raises(ValueError, match="must not be negative"):
            GaussianProcess("loss", size_prior=-1)

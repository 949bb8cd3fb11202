"""The promises of `SearchOracle` that do not depend on the method."""

import json

import keras_tuner
import numpy as np
import pytest

from kerasnas.fidelity import Run, SuccessiveHalving
from kerasnas.journal import Journal
from kerasnas.oracles._oracle import SearchOracle
from kerasnas.oracles.gaussian_process import GaussianProcess
from kerasnas.oracles.random_search import RandomSearch
from kerasnas.result import SearchResult
from kerasnas.testing import bits, choices, conditional, end, options, play, resume, rough


class Scripted(SearchOracle):
    """Proposes what it is given and keeps what it was shown."""

    def __init__(self, *args, script, **kwargs):
        super().__init__(*args, **kwargs)
        self.script = iter(script)
        self.shown = []

    def suggest(self, finished):
        self.shown.append([trial.score for trial in finished])
        return next(self.script, None)


def all_bits(count):
    return [{f"d{i}": f"option{n >> i & 1}" for i in range(count)} for n in range(2**count)]


def make(folder=None, space=None, **kwargs):
    space = conditional() if space is None else space
    oracle = RandomSearch(
        "loss", hyperparameters=space, **{"seed": 0, "max_trials": 6, **kwargs}
    )
    oracle.verbose = 0
    return oracle if folder is None else resume(oracle, folder)


def fail(oracle, trial, status="INVALID", message="out of memory"):
    trial.status, trial.message = status, message
    oracle.end_trial(trial)


def journal_of(folder):
    return folder / "search" / "journal.jsonl"


class TestSuggest:
    def test_it_is_shown_scored_trials_only_oldest_first(self):
        oracle = Scripted("loss", script=all_bits(3), hyperparameters=bits(3))
        scores = iter([3.0, float("nan"), 1.0, float("inf"), 2.0])
        play(oracle, lambda _: next(scores), count=5)
        oracle.create_trial("tuner0")
        assert oracle.shown[-1] == [3.0, 1.0, 2.0]

    def test_a_repeat_is_refused(self):
        oracle = Scripted("loss", script=all_bits(1) * 2, hyperparameters=bits(1))
        with pytest.raises(
            RuntimeError, match="`suggest` must return a candidate that is new"
        ):
            play(oracle, options)
        assert len(oracle.trials) == 2

    def test_a_candidate_over_a_limit_is_refused(self):
        oracle = Scripted(
            "loss",
            script=reversed(all_bits(2)),
            hyperparameters=bits(2),
            costs=lambda values: {"params": options(values)},
            limits={"params": 1},
        )
        with pytest.raises(RuntimeError, match="keeps the limits"):
            oracle.create_trial("tuner0")

    def test_none_is_a_clean_stop(self):
        oracle = Scripted("loss", script=[], hyperparameters=bits(2))
        assert oracle.create_trial("tuner0").status == "STOPPED"
        assert not oracle.tuner_ids

    def test_a_second_worker_waits_while_the_space_is_unseen(self):
        oracle = RandomSearch("loss", 5, seed=0)
        oracle.verbose = 0
        first = oracle.create_trial("tuner0")
        assert oracle.create_trial("tuner1").status == "IDLE"
        first.hyperparameters.Choice("d0", ["option0", "option1"])
        end(oracle, first, 1.0)
        second = oracle.create_trial("tuner1")
        assert second.hyperparameters.values == {"d0": "option1"}


class TestArguments:
    def test_a_negative_seed_is_refused(self):
        with pytest.raises(ValueError, match="Received: seed=-1"):
            make(seed=-1)

    def test_limits_have_units_and_may_be_set_later(self):
        oracle = make(limits={"flash": "2KB"})
        assert oracle.limits == {"flash": 2048}
        oracle.limits = {"params": "3k"}
        assert oracle.limits == {"params": 3000}

    def test_costs_and_limits_set_before_the_first_trial_count(self):
        oracle = make(space=bits(6))
        oracle.costs = lambda values: {"params": options(values)}
        oracle.limits = {"params": 2}
        assert max(map(options, play(oracle, options))) <= 2

    def test_the_callers_space_stays_as_it_is(self):
        space = bits(2)
        oracle = make(space=space)
        oracle.update_space(choices(2, 2, 2))
        assert [hp.name for hp in space.space] == ["d0", "d1"]

    def test_a_remote_folder_is_refused(self):
        with pytest.raises(ValueError, match="local folder"):
            make()._set_project_dir("gs://bucket", "search")


class TestScores:
    def test_the_best_finite_epoch_counts(self):
        oracle = make()
        trial = oracle.create_trial("tuner0")
        for step, loss in enumerate([3.0, 1.0, float("nan"), 2.0, float("-inf")]):
            oracle.update_trial(trial.trial_id, {"loss": loss, "other": 1.0}, step=step)
        trial.status = "COMPLETED"
        oracle.end_trial(trial)
        assert (trial.score, trial.best_step) == (1.0, 1)

    def test_executions_are_averaged(self):
        oracle = make()
        trial = oracle.create_trial("tuner0")
        oracle.update_trial(trial.trial_id, {"loss": 1.0})
        oracle.update_trial(trial.trial_id, {"loss": 2.0})
        trial.status = "COMPLETED"
        oracle.end_trial(trial)
        assert trial.score == 1.5

    def test_a_trial_without_the_objective_fails_with_that_message(self):
        oracle = make()
        trial = oracle.create_trial("tuner0")
        trial.status = "COMPLETED"
        oracle.end_trial(trial)
        assert trial.status == "FAILED"
        assert trial.message == "The objective 'loss' was not reported."

    def test_a_report_without_the_objective_is_refused(self):
        oracle = make()
        trial = oracle.create_trial("tuner0")
        with pytest.raises(ValueError, match="Objective value missing"):
            oracle.update_trial(trial.trial_id, {"accuracy": 1.0})

    def test_failed_trials_are_never_the_best(self):
        oracle = make()
        fail(oracle, oracle.create_trial("tuner0"))
        assert oracle.get_best_trials() == []
        end(oracle, oracle.create_trial("tuner0"), 1.0)
        assert [trial.trial_id for trial in oracle.get_best_trials(5)] == ["0001"]


class TestSeveralObjectives:
    OBJECTIVES = ("val_accuracy", keras_tuner.Objective("latency_ms", "min"))

    def make(self, folder=None, **kwargs):
        oracle = RandomSearch(
            kwargs.pop("objective", list(self.OBJECTIVES)),
            hyperparameters=bits(6),
            **{"seed": 0, "max_trials": 6, **kwargs},
        )
        oracle.verbose = 0
        return oracle if folder is None else resume(oracle, folder)

    def report(self, oracle, *epochs):
        """Run a trial that reports some metrics in each of its epochs."""
        trial = oracle.create_trial("tuner0")
        for step, metrics in enumerate(epochs):
            oracle.update_trial(trial.trial_id, metrics, step=step)
        trial.status = "COMPLETED"
        oracle.end_trial(trial)
        return trial

    def run(self, oracle, outcomes):
        for accuracy, latency in outcomes:
            self.report(oracle, {"val_accuracy": accuracy, "latency_ms": latency})

    OUTCOMES = ((0.7, 3.0), (0.9, 9.0), (0.6, 4.0), (0.8, 5.0), (0.9, 10.0))

    def test_the_front_is_what_no_other_dominates_the_best_of_the_first_first(self):
        oracle = self.make()
        assert oracle.pareto_front() == []
        self.run(oracle, self.OUTCOMES)
        assert [trial.trial_id for trial in oracle.pareto_front()] == ["0001", "0003", "0000"]
        assert [trial.trial_id for trial in oracle.get_best_trials(2)] == ["0001", "0004"]
        assert oracle.losses(oracle.trials["0003"]) == [-0.8, 5.0]

    def test_the_front_of_a_single_objective_is_its_best(self):
        oracle = make(space=bits(3), max_trials=8)
        play(oracle, options)
        assert [trial.score for trial in oracle.pareto_front()] == [0.0]

    def test_the_second_is_taken_where_the_first_is_best(self):
        oracle = self.make()
        trial = self.report(
            oracle,
            {"val_accuracy": 0.5, "latency_ms": 1.0},
            {"val_accuracy": 0.9, "latency_ms": 2.0},
            {"val_accuracy": 0.7, "latency_ms": 3.0},
        )
        assert oracle.losses(trial) == [-0.9, 2.0]

    def test_the_second_may_be_reported_at_another_step(self):
        oracle = self.make()
        trial = self.report(
            oracle,
            {"val_accuracy": 0.9},
            {"val_accuracy": 0.7},
            {"val_accuracy": 0.8, "latency_ms": 3.0},
        )
        assert oracle.losses(trial) == [-0.9, 3.0]

    def test_costs_are_objectives_and_to_be_small(self):
        oracle = self.make(
            objective=["val_accuracy", "params"],
            costs=lambda values: {"params": 1 + options(values)},
        )
        assert [(one.name, one.direction) for one in oracle.objectives] == [
            ("val_accuracy", "max"),
            ("params", "min"),
        ]
        played = play(oracle, options)
        losses = [oracle.losses(trial) for trial in oracle.trials.values()]
        assert losses == [[-options(values), 1 + options(values)] for values in played]
        assert len(oracle.pareto_front()) == 6

    def test_a_trial_whose_second_is_not_a_number_fails(self):
        oracle = self.make()
        trial = self.report(oracle, {"val_accuracy": 0.5, "latency_ms": float("nan")})
        assert trial.status == "FAILED"
        assert trial.score is None
        assert trial.message == "The objective 'latency_ms' was nan."
        assert oracle.get_best_trials() == oracle.pareto_front() == []

    def test_one_that_nobody_reports_ends_the_search_at_once(self):
        oracle = self.make()
        with pytest.raises(ValueError, match=r"Received: \['latency_ms'\]; trial 0000 has"):
            self.report(oracle, {"val_accuracy": 0.5})

    @pytest.mark.parametrize(
        "wrong", ["flash", ["flash", "val_loss"], keras_tuner.Objective("macs", "min")]
    )
    def test_a_cost_is_not_the_first(self, wrong):
        with pytest.raises(ValueError, match="The first objective must be a metric"):
            RandomSearch(wrong)

    @pytest.mark.parametrize("wrong", [[], [None], [{"a": 1}]])
    def test_what_is_no_objective_is_refused(self, wrong):
        with pytest.raises(ValueError, match=r"Objectives are names or `keras_tuner"):
            RandomSearch(wrong)

    @pytest.mark.parametrize(
        "wrong",
        [
            ["loss", "loss"],
            ["val_loss", keras_tuner.Objective("val_loss", "min")],
            ["val_accuracy", "params", "params"],
        ],
    )
    def test_repeated_ones_are_refused(self, wrong):
        with pytest.raises(ValueError, match="Several objectives must be different"):
            RandomSearch(wrong)

    def test_all_are_in_the_journal_and_survive_reopening(self, tmp_path):
        self.run(self.make(tmp_path), self.OUTCOMES)
        header, *events = Journal(journal_of(tmp_path)).read()
        assert header["objectives"] == [["val_accuracy", "max"], ["latency_ms", "min"]]
        ended = [event["losses"] for event in events if event["event"] == "ended"]
        assert ended == [[-accuracy, latency] for accuracy, latency in self.OUTCOMES]
        again = self.make(tmp_path)
        again.reload()
        assert [trial.trial_id for trial in again.pareto_front()] == ["0001", "0003", "0000"]
        assert again.losses(again.trials["0002"]) == [-0.6, 4.0]

    def test_the_result_has_the_same_front(self, tmp_path):
        oracle = self.make(tmp_path)
        self.run(oracle, self.OUTCOMES)
        result = SearchResult(tmp_path / "search")
        assert [trial.trial_id for trial in result.pareto_front()] == ["0001", "0003", "0000"]
        assert result.trials[3].losses == (-0.8, 5.0)

    def test_a_failed_trial_has_no_losses(self, tmp_path):
        broken = {"val_accuracy": 0.5, "latency_ms": float("nan")}
        self.report(self.make(tmp_path), broken)
        *_, ended = Journal(journal_of(tmp_path)).read()
        assert ended["losses"] is None
        assert SearchResult(tmp_path / "search").trials[0].losses == ()

    def test_another_second_objective_is_another_search(self, tmp_path):
        self.run(self.make(tmp_path), self.OUTCOMES[:1])
        other = self.make(tmp_path, objective=["val_accuracy", "params"])
        with pytest.raises(ValueError, match=r"holds another search.*latency_ms.*params"):
            other.reload()


class TestSeconds:
    def test_they_are_measured_and_survive_reopening(self, tmp_path, monkeypatch):
        now = [100.0]
        monkeypatch.setattr("time.monotonic", lambda: now[0])
        oracle = make(tmp_path)
        trial = oracle.create_trial("tuner0")
        now[0] += 2.5
        end(oracle, trial, 1.0)
        assert oracle.seconds(trial) == 2.5
        again = make(tmp_path)
        again.reload()
        assert again.seconds(again.trials["0000"]) == 2.5
        assert SearchResult(tmp_path / "search").trials[0].seconds == 2.5

    def test_a_trial_that_is_run_again_counts_from_there(self, tmp_path):
        make(tmp_path).create_trial("tuner0")
        oracle = make(tmp_path)
        play(oracle, rough, count=1)
        assert 0 <= oracle.seconds(oracle.trials["0000"]) < 60


class TestValue:
    def test_it_is_a_metric_at_the_best_step_or_the_last_finite_one_or_a_cost(self):
        oracle = make(costs=lambda values: {"params": 7.0, "epochs": 1.0})
        trial = oracle.create_trial("tuner0")
        for step, metrics in enumerate(
            [
                {"loss": 3.0, "accuracy": 0.1, "epochs": 5.0, "late": 1.0},
                {"loss": 1.0, "accuracy": 0.2, "epochs": 6.0},
                {"loss": 2.0, "accuracy": 0.3, "epochs": 7.0, "late": float("nan")},
            ]
        ):
            oracle.update_trial(trial.trial_id, metrics, step=step)
        trial.status = "COMPLETED"
        oracle.end_trial(trial)
        names = ["loss", "accuracy", "late", "params", "epochs", "nothing"]
        values = [oracle.value(trial, name) for name in names]
        assert values == [1.0, 0.2, 1.0, 7.0, 6.0, None]


class TestSlowCosts:
    def make(self, folder=None, **kwargs):
        asked = []

        def costs(values):
            asked.append(dict(values))
            return {"params": 1 + options(values)}

        oracle = make(folder, space=choices(*[4] * 8), costs=costs, slow_costs=True, **kwargs)
        return oracle, asked

    def test_each_is_kept_in_the_journal_and_asked_for_once(self, tmp_path):
        oracle, asked = self.make(tmp_path, limits={"params": 12})
        play(oracle, options, count=3)
        measured = [
            e for e in Journal(journal_of(tmp_path)).read() if e["event"] == "measured"
        ]
        assert [event["values"] for event in measured] == asked
        assert all(e["costs"] == {"params": 1 + options(e["values"])} for e in measured)
        again, asked_again = self.make(tmp_path, limits={"params": 12})
        play(again, options)
        assert len(again.trials) == 6
        everything = [tuple(values.items()) for values in asked + asked_again]
        assert len(set(everything)) == len(everything)

    def test_a_killed_search_continues_as_if_nothing_had_happened(self, tmp_path):
        uninterrupted = play(self.make(limits={"params": 9})[0], options)
        play(self.make(tmp_path, limits={"params": 9})[0], options, count=3)
        again, _ = self.make(tmp_path, limits={"params": 9})
        assert play(again, options) == uninterrupted[3:]

    def test_few_are_asked_for_under_tight_limits(self):
        # 1.1 % of the candidates keep the limit: a blind search asks for 90 a trial.
        oracle, asked = self.make(limits={"params": 7}, max_trials=15)
        played = play(oracle, options)
        assert len(played) == 15
        assert max(map(options, played)) <= 6
        assert len(asked) < 15 * 30


class TestFailures:
    def test_what_failed_is_listed_in_the_order_in_which_it_ended(self, tmp_path):
        oracle = make(tmp_path)
        one, two, three = (oracle.create_trial(f"tuner{worker}") for worker in range(3))
        fail(oracle, three)
        end(oracle, two, 1.0)
        end(oracle, one, float("nan"))
        assert oracle.failed == [three, one]
        again = make(tmp_path)
        again.reload()
        assert [trial.trial_id for trial in again.failed] == ["0002", "0000"]

    def test_the_message_is_kept(self, tmp_path):
        oracle = make(tmp_path)
        fail(oracle, oracle.create_trial("tuner0"), message="out of memory")
        again = make(tmp_path)
        again.reload()
        assert (again.trials["0000"].status, again.trials["0000"].message) == (
            "FAILED",
            "out of memory",
        )

    def test_a_retry_runs_the_same_values_and_its_score_counts(self):
        oracle = make(max_retries_per_trial=1)
        first = oracle.create_trial("tuner0")
        end(oracle, first, float("nan"))
        again = oracle.create_trial("tuner0")
        assert again is first
        assert not again.metrics.exists("loss")  # else KerasTuner would ignore the new result
        end(oracle, again, 2.0)
        assert (first.status, first.score, first.message) == ("COMPLETED", 2.0, None)

    def test_retries_are_counted_over_a_kill(self, tmp_path):
        oracle = make(tmp_path, max_retries_per_trial=1)
        fail(oracle, oracle.create_trial("tuner0"))
        oracle = make(tmp_path, max_retries_per_trial=1)
        trial = oracle.create_trial("tuner0")
        fail(oracle, trial)
        assert (trial.trial_id, trial.status) == ("0000", "FAILED")

    def test_a_trial_that_cannot_work_is_not_run_again(self):
        oracle = make(max_retries_per_trial=3)
        trial = oracle.create_trial("tuner0")
        fail(oracle, trial, status="FAILED")
        assert oracle.create_trial("tuner0") is not trial

    def test_ten_in_a_row_end_the_search_and_it_can_continue(self, tmp_path):
        oracle = make(tmp_path, max_trials=20)
        end(oracle, oracle.create_trial("tuner0"), 1.0)
        for _ in range(9):
            fail(oracle, oracle.create_trial("tuner0"))
        with pytest.raises(RuntimeError, match=r"last 10 trials failed.*out of memory"):
            fail(oracle, oracle.create_trial("tuner0"))
        oracle = make(tmp_path, max_trials=20)
        end(oracle, oracle.create_trial("tuner0"), 1.0)
        assert len(oracle.end_order) == 12


class TestJournal:
    def test_without_a_tuner_nothing_is_written(self):
        oracle = make()
        assert oracle.journal is None
        assert len(play(oracle, rough)) == 6

    def test_every_event_is_recorded_when_it_happens(self, tmp_path):
        oracle = make(tmp_path, costs=lambda values: {"params": 3.0})
        trial = oracle.create_trial("tuner0")
        header, created = Journal(journal_of(tmp_path)).read()
        assert (header["event"], header["oracle"], header["seed"]) == (
            "search",
            "RandomSearch",
            0,
        )
        assert (header["objective"], header["direction"]) == ("loss", "min")
        assert created["values"] == trial.hyperparameters.values
        assert created["costs"] == {"params": 3.0}
        end(oracle, trial, 0.5)
        *_, ended = Journal(journal_of(tmp_path)).read()
        assert (ended["event"], ended["trial"], ended["score"]) == ("ended", "0000", 0.5)

    @pytest.mark.parametrize("fraction", np.linspace(0, 1, 24))
    def test_cut_anywhere_it_gives_the_uninterrupted_search(self, tmp_path, fraction):
        uninterrupted = play(make(tmp_path), rough)
        whole = journal_of(tmp_path).read_bytes()
        journal_of(tmp_path).write_bytes(whole[: int(fraction * len(whole))])
        (tmp_path / "search" / "oracle.json").unlink()
        events = Journal(journal_of(tmp_path)).read()
        kept = [event["trial"] for event in events if event["event"] == "ended"]
        oracle = make(tmp_path)
        assert play(oracle, rough) == uninterrupted[len(kept) :]
        assert list(oracle.trials) == sorted(oracle.trials)
        assert [
            trial.hyperparameters.values for trial in oracle.trials.values()
        ] == uninterrupted

    def test_keras_tuners_files_are_written_and_never_read(self, tmp_path):
        play(make(tmp_path), rough, count=3)
        folder = tmp_path / "search"
        state = json.loads((folder / "oracle.json").read_text())
        assert state["end_order"] == ["0000", "0001", "0002"]
        assert (
            json.loads((folder / "trial_0002" / "trial.json").read_text())["score"] is not None
        )
        (folder / "oracle.json").write_text("")
        (folder / "trial_0002" / "trial.json").unlink()
        assert len(play(make(tmp_path), rough)) == 3

    def test_open_trials_are_run_again_first_with_their_values(self, tmp_path):
        oracle = make(tmp_path)
        opened = [oracle.create_trial(f"tuner{worker}") for worker in range(3)]
        end(oracle, opened[1], 1.0)
        oracle = make(tmp_path)
        again = [oracle.create_trial("tuner9") for _ in range(1)]
        again.append(oracle.create_trial("tuner8"))
        assert [trial.trial_id for trial in again] == ["0000", "0002"]
        assert again[1].hyperparameters.values == opened[2].hyperparameters.values

    def test_metrics_come_back(self, tmp_path):
        oracle = make(tmp_path)
        trial = oracle.create_trial("tuner0")
        oracle.update_trial(trial.trial_id, {"loss": 1.0, "val_accuracy": 0.25}, step=3)
        trial.status = "COMPLETED"
        oracle.end_trial(trial)
        again = make(tmp_path)
        (best,) = again.get_best_trials()
        assert (best.score, best.best_step) == (1.0, 3)
        assert best.metrics.get_best_value("val_accuracy") == 0.25

    def test_decisions_seen_late_come_back(self, tmp_path):
        def run(oracle, count):
            for _ in range(count):
                trial = oracle.create_trial("tuner0")
                trial.hyperparameters.Choice("late", ["option0", "option1", "option2"])
                end(oracle, trial, options(trial.hyperparameters.values))
            return [trial.hyperparameters.values for trial in oracle.trials.values()]

        uninterrupted = run(make(space=bits(3)), 6)
        run(make(tmp_path, space=bits(3)), 2)
        killed = make(tmp_path, space=bits(3))
        killed.create_trial("tuner0")
        assert run(make(tmp_path, space=bits(3)), 4) == uninterrupted

    def test_a_decision_seen_in_an_open_trial_has_its_default_again(self, tmp_path):
        oracle = make(tmp_path, space=bits(2))
        one, two = (oracle.create_trial(f"tuner{worker}") for worker in range(2))
        one.hyperparameters.Choice("late", ["option0", "option1"])
        end(oracle, one, 1.0)
        again = make(tmp_path, space=bits(2)).create_trial("tuner0")
        assert again.hyperparameters.values == {
            **two.hyperparameters.values,
            "late": "option0",
        }

    def test_events_of_others_are_skipped_and_kept(self, tmp_path):
        oracle = make(tmp_path)
        oracle.journal.append({"event": "session", "settings": {"epochs": 3}})
        play(oracle, rough, count=2)
        oracle.journal.append({"event": "finished"})
        assert len(play(make(tmp_path), rough)) == 4
        assert Journal(journal_of(tmp_path)).read()[0]["settings"] == {"epochs": 3}

    def test_without_a_seed_the_recorded_one_is_taken(self, tmp_path):
        first = make(tmp_path, seed=None)
        play(first, rough, count=2)
        again = make(tmp_path, seed=None)
        assert len(play(again, rough)) == 4
        assert again.seed == first.seed

    def test_a_trial_that_is_recorded_twice_is_an_error(self, tmp_path):
        oracle = make(tmp_path)
        trial = oracle.create_trial("tuner0")
        oracle.journal.append({"event": "created", "trial": "0000", "values": {}})
        with pytest.raises(ValueError, match=f"Received: trial {trial.trial_id}"):
            make(tmp_path).reload()


class TestAnotherSearch:
    @pytest.mark.parametrize(
        ("other", "named"),
        [
            ({"seed": 7}, "with seed=0; this search has seed=7"),
            (
                {"space": bits(3)},
                r"decisions \['block0/kind'.*this search has decisions \['d0'",
            ),
        ],
    )
    def test_it_is_refused_and_both_are_named(self, tmp_path, other, named):
        play(make(tmp_path), rough, count=1)
        with pytest.raises(ValueError, match=f"holds another search.*{named}.*overwrite=True"):
            make(tmp_path, **other).create_trial("tuner0")

    def test_another_class_or_objective_is_refused(self, tmp_path):
        play(make(tmp_path), rough, count=1)
        scripted = Scripted("loss", script=[], hyperparameters=conditional())
        with pytest.raises(ValueError, match=r"oracle=RandomSearch; .* oracle=Scripted"):
            resume(scripted, tmp_path).reload()
        accuracy = RandomSearch("val_accuracy", hyperparameters=conditional())
        with pytest.raises(ValueError, match=r"objective=loss.*objective=val_accuracy"):
            resume(accuracy, tmp_path).reload()

    def test_a_search_of_keras_tuner_is_refused(self, tmp_path):
        (tmp_path / "search").mkdir()
        (tmp_path / "search" / "oracle.json").write_text("{}")
        with pytest.raises(ValueError, match="a search of KerasTuner"):
            make(tmp_path).reload()

    def test_it_is_replaced_by_overwriting(self, tmp_path):
        class Plain(keras_tuner.Tuner):
            def run_trial(self, trial):
                return rough(trial.hyperparameters.values)

        for seed in (0, 1):
            oracle = make(seed=seed)
            place = {"directory": str(tmp_path), "project_name": "search", "overwrite": True}
            Plain(oracle=oracle, **place).search()
            assert len(oracle.trials) == 6
        seeds = [e["seed"] for e in Journal(journal_of(tmp_path)).read() if "seed" in e]
        assert seeds == [1]


def test_a_long_search_costs_no_more_per_trial():
    # 2,000 trials: quadratic bookkeeping or KerasTuner's copies would take minutes.
    space = choices(*[4] * 20)
    assert len(play(make(space=space, max_trials=2000), options)) == 2000


def test_given_candidates_come_first_and_what_cannot_be_is_passed_over():
    over, twice, fine = (
        {"d0": "option1", "d1": "option1"},
        *[{"d0": "option0", "d1": "option1"}] * 2,
    )
    oracle = make(
        space=bits(2),
        start_with=[over, fine, twice],
        costs=lambda values: {"params": sum(value == "option1" for value in values.values())},
        limits={"params": 1},
    )
    first, second = play(oracle, lambda _: 1.0, count=2)
    assert first == fine
    assert second not in (over, fine)


class TestStartWith:
    @pytest.mark.parametrize(
        "wrong",
        [{"kind": "zzz"}, {"nope": 1}, {"depth": 300}, {"rate": 3.0}],
        ids=lambda values: next(iter(values)),
    )
    def test_a_candidate_of_another_space_is_refused_before_training(self, wrong):
        hp = conditional()
        hp.Choice("kind", ["a", "b"])
        oracle = RandomSearch("loss", hyperparameters=hp, start_with=[wrong])
        with pytest.raises(ValueError, match="start with must be one of the space"):
            oracle.create_trial("tuner0")
        assert not oracle.trials

    def test_what_is_left_out_has_its_default(self):
        oracle = RandomSearch(
            "loss", hyperparameters=bits(3), start_with=[{"d1": np.str_("option1")}], seed=0
        )
        trial = oracle.create_trial("tuner0")
        assert trial.hyperparameters.values == {
            "d0": "option0",
            "d1": "option1",
            "d2": "option0",
        }

    def test_one_candidate_must_stand_in_a_list(self):
        with pytest.raises(TypeError, match="takes a list of candidates"):
            RandomSearch("loss", hyperparameters=bits(3), start_with={"d0": "option1"})


class TestCosts:
    def test_they_must_always_have_the_same_names(self):
        names = iter("ab" * 20)
        oracle = RandomSearch(
            "loss", hyperparameters=bits(3), costs=lambda _: {next(names): 1.0}
        )
        with pytest.raises(ValueError, match="must name the same costs"):
            play(oracle, options)

    def test_they_must_be_a_dictionary(self):
        oracle = RandomSearch("loss", hyperparameters=bits(3), costs=lambda _: None)
        with pytest.raises(TypeError, match="must return a dictionary"):
            play(oracle, options)


def interacting(values):
    """A cost that no sum over decisions makes."""
    return {"params": 1.0 + options(values) + round(5 * rough(values))}


@pytest.mark.parametrize("oracle", [GaussianProcess, RandomSearch])
def test_slow_costs_do_not_change_what_a_killed_search_proposes(oracle, tmp_path):
    def new(folder):
        made = oracle(
            "loss",
            14,
            hyperparameters=choices(*[4] * 8),
            seed=0,
            costs=interacting,
            limits={"params": 12},
            slow_costs=True,
        )
        return resume(made, folder)

    uninterrupted = play(new(tmp_path / "whole"), rough)
    assert len(uninterrupted) == 14
    lines = (tmp_path / "whole" / "search" / "journal.jsonl").read_text().splitlines(True)
    cuts = range(3, len(lines), max(1, len(lines) // 9))
    kinds = set()
    for cut in cuts:  # after any record, those of costs in the middle of a proposal included
        kinds.add(json.loads(lines[cut - 1])["event"])
        folder = tmp_path / f"cut{cut}" / "search"
        folder.mkdir(parents=True)
        (folder / "journal.jsonl").write_text("".join(lines[:cut]))
        again = new(folder.parent)
        play(again, rough)
        assert [dict(t.hyperparameters.values) for t in again.trials.values()] == uninterrupted
    assert "measured" in kinds


class TestTrainedOn:
    """Trials of which a further run goes on."""

    @pytest.fixture
    def oracle(self, tmp_path):
        """An oracle of which the better of two trials is being trained on."""
        oracle = RandomSearch(
            [keras_tuner.Objective(name, "min") for name in ("loss", "other")],
            6,
            hyperparameters=bits(5),
            seed=0,
            fidelity=SuccessiveHalving([1, 3], factor=2),
        )
        resume(oracle, tmp_path).verbose = 0
        for loss in (2.0, 1.0):
            trial = oracle.create_trial("tuner0")
            oracle.report(trial.trial_id, 0, {"loss": loss})
            oracle.update_trial(trial.trial_id, {"loss": loss, "other": -loss})
            trial.status = "COMPLETED"
            oracle.end_trial(trial)
        resumed = oracle.create_trial("tuner0")
        assert resumed.trial_id == "0001"
        assert resumed.hyperparameters.values["tuner/epochs"] == 3
        return oracle

    def test_count_with_what_they_had_before(self, oracle):
        best = oracle.get_best_trials(2)
        assert [trial.score for trial in best] == [1.0, 2.0]
        assert [oracle.losses(trial) for trial in oracle.pareto_front()] == [
            [1.0, -1.0],
            [2.0, -2.0],
        ]
        assert oracle.running == []

    def test_are_trained_on_after_a_kill(self, oracle, tmp_path):
        again = RandomSearch(
            oracle.objectives,
            6,
            hyperparameters=bits(5),
            fidelity=SuccessiveHalving([1, 3], factor=2),
        )
        trial = resume(again, tmp_path).create_trial("tuner0")
        assert trial.trial_id == "0001"
        assert trial.hyperparameters.values["tuner/initial_epoch"] == 1
        assert again.records() == oracle.records()

    @pytest.mark.parametrize("status", ["FAILED", "INVALID"])
    def test_keep_it_when_the_run_fails(self, oracle, status):
        trial = oracle.trials["0001"]
        fail(oracle, trial, status)
        assert trial.status == "COMPLETED"
        assert trial.score == 1.0
        assert oracle.records()[1].settled
        assert oracle.failed == []

    def test_are_tried_again_where_retries_are_left(self, oracle):
        oracle.max_retries_per_trial = 1
        fail(oracle, oracle.trials["0001"])
        again = oracle.create_trial("tuner0")
        assert again.trial_id == "0001"
        fail(oracle, again)
        assert oracle.create_trial("tuner0").trial_id == "0002"

    def test_curves_of_a_run_that_is_repeated_count_once(self, oracle):
        oracle.max_retries_per_trial = 1
        oracle.report("0001", 1, {"loss": 0.5})
        assert oracle.records()[1].curve == (1.0, 0.5)
        fail(oracle, oracle.trials["0001"])
        oracle.create_trial("tuner0")
        assert oracle.records()[1].curve == (1.0,)

    def test_a_score_that_is_not_finite_leaves_what_was(self, oracle):
        trial = oracle.trials["0001"]
        oracle.update_trial("0001", {"loss": float("nan"), "other": 1.0})
        trial.status = "COMPLETED"
        oracle.end_trial(trial)
        assert trial.score == 1.0
        assert "nan" in trial.message

    def test_are_among_the_best_while_they_wait_to_be_tried_again(self, oracle):
        oracle.max_retries_per_trial = 1
        fail(oracle, oracle.trials["0001"])
        assert [trial.trial_id for trial in oracle.get_best_trials(2)] == ["0001", "0000"]


class TestPolicy:
    @pytest.mark.parametrize("policy", ["asha", 27, SuccessiveHalving], ids=str)
    def test_is_an_object(self, policy):
        with pytest.raises(TypeError, match=r"said by a policy\. Received: fidelity="):
            RandomSearch("loss", fidelity=policy)

    @pytest.mark.parametrize(
        "answer", [None, 2.0, Run("0099", 3), Run("0000", 1), Run("0001", 3), "3"], ids=str
    )
    def test_is_held_to_what_is_possible(self, answer):
        class Wrong(SuccessiveHalving):
            def next_run(self, records, *, last):
                return answer if len(records) == 2 else 1.0

        oracle = make(fidelity=Wrong([1, 3]))
        play(oracle, lambda values: 1.0, count=1)
        oracle.create_trial("tuner0")  # 0001, which runs
        with pytest.raises(RuntimeError, match="must return the level of a new candidate"):
            oracle.create_trial("tuner1")

    def test_seconds_of_a_level_are_no_property_of_a_candidate(self):
        oracle = make(fidelity=SuccessiveHalving([1, 4], factor=2))
        play(oracle, lambda values: 1.0, count=3)
        levels = {oracle.level(trial) for trial in oracle.trials.values()}
        assert levels == {1.0, 4.0}
        assert make().fidelity is None

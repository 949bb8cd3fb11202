"""Trials that are trained in several runs, or from the weights of others, by a real tuner."""

import gc
import json
from types import SimpleNamespace

import keras
import keras_tuner
import numpy as np
import pytest

import kerasnas
from kerasnas.fidelity import Hyperband, LearningCurve, SuccessiveHalving
from kerasnas.oracles._oracle import SearchOracle
from kerasnas.training import Recipe, Trained
from search_spaces import blocks
from search_spaces.mlp import MLP
from search_spaces.space import SearchSpace

X = np.linspace(-1, 1, 32, dtype="float32")[:, None]
Y = 3 * X


class Line(keras_tuner.HyperModel):
    """One weight that gradient descent moves to 3; remembers its runs."""

    def __init__(self):
        super().__init__()
        self.runs = []
        self.killed_at = None
        self.broken_at = None

    def build(self, hp):
        hp.Choice("id", list(range(12)))
        model = keras.Sequential(
            [
                keras.Input((1,)),
                keras.layers.Dense(1, use_bias=False, kernel_initializer="zeros"),
            ]
        )
        # Tracing a step takes longer than the few steps that there are.
        model.compile(keras.optimizers.SGD(0.1), "mse", run_eagerly=True)
        return model

    def fit(self, hp, model, *args, **kwargs):
        weight = float(model.get_weights()[0][0, 0])
        run = (hp.get("id"), kwargs["initial_epoch"], kwargs["epochs"], round(weight, 4))
        self.runs.append(run)
        callbacks = kwargs.pop("callbacks")
        for at, error in ((self.killed_at, KeyboardInterrupt), (self.broken_at, OSError)):
            if at is not None and at[0] == hp.get("id"):
                callbacks = [*callbacks, _Raises(at[1], error)]
        return model.fit(*args, callbacks=callbacks, **kwargs)


class _Raises(keras.callbacks.Callback):
    def __init__(self, epoch, error):
        super().__init__()
        self.epoch, self.error = epoch, error

    def on_epoch_end(self, epoch, logs=None):
        if epoch == self.epoch:
            raise self.error("as if")


def tuned(folder, hypermodel, fidelity, max_trials=3, **kwargs):
    oracle = kerasnas.RandomSearch(
        keras_tuner.Objective("val_loss", "min"), max_trials, seed=0, fidelity=fidelity
    )
    oracle.verbose = 0
    return kerasnas.Tuner(hypermodel, oracle=oracle, directory=folder, **kwargs)


def search(tuner):
    tuner.search(X, Y, validation_data=(X, Y), batch_size=32, verbose=0)


@pytest.fixture(autouse=True)
def _collects_no_garbage(monkeypatch):
    """KerasTuner and Keras collect it before each run, which takes longer than the run."""
    monkeypatch.setattr(gc, "collect", lambda *_: 0)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A search of three candidates that nothing interrupts: its model, tuner and folder."""
    folder, hypermodel = tmp_path_factory.mktemp("whole"), Line()
    tuner = tuned(folder, hypermodel, SuccessiveHalving(9, 1))
    search(tuner)
    return SimpleNamespace(runs=hypermodel.runs, tuner=tuner, folder=folder)


class TestRuns:
    def test_a_promoted_trial_goes_on_from_its_checkpoint(self, whole):
        first = [run for run in whole.runs if run[1] == 0]
        later = [run for run in whole.runs if run[1] > 0]
        assert [run[2:] for run in first] == [(1, 0.0)] * 3
        assert [run[1:3] for run in later] == [(1, 3), (3, 9)]
        # Each epoch is one step that closes a fixed share of the gap to 3.
        left = (3 - later[0][3]) / 3
        assert later[1][3] == pytest.approx(3 - 3 * left**3, abs=1e-3)
        best = whole.tuner.get_best_models(1)[0].get_weights()[0][0, 0]
        assert best == pytest.approx(3 - 3 * left**9, abs=1e-3)

    def test_curves_of_all_epochs_reach_the_oracle(self, whole):
        longest = max(whole.tuner.oracle.records(), key=lambda record: record.level)
        assert len(longest.curve) == 9
        assert list(longest.curve) == sorted(longest.curve, reverse=True)
        assert longest.losses == {
            level: pytest.approx(longest.curve[int(level) - 1]) for level in (1, 3, 9)
        }

    def test_nothing_of_a_finished_run_is_left_behind(self, whole):
        assert not list(whole.folder.rglob("paused*"))

    @pytest.mark.parametrize("epoch", [1, 2, 5])
    def test_a_killed_run_begins_again_from_where_its_trial_was_paused(
        self, tmp_path, epoch, whole
    ):
        killed = Line()
        killed.killed_at = (whole.runs[-1][0], epoch)
        with pytest.raises(KeyboardInterrupt):
            search(tuned(tmp_path / "killed", killed, SuccessiveHalving(9, 1)))
        again = Line()
        search(tuned(tmp_path / "killed", again, SuccessiveHalving(9, 1)))
        assert again.runs[0] == killed.runs[-1]
        assert killed.runs[:-1] + again.runs == whole.runs

    def test_a_trial_that_fails_when_trained_on_keeps_what_it_had(self, tmp_path, whole):
        hypermodel = Line()
        best = whole.runs[-1][0]
        hypermodel.broken_at = (best, 4)  # in the last run of all
        tuner = tuned(tmp_path / "broken", hypermodel, SuccessiveHalving(9, 1))
        search(tuner)
        trials = tuner.oracle.trials.values()
        trial = next(one for one in trials if one.hyperparameters.get("id") == best)
        record = next(r for r in tuner.oracle.records() if r.trial_id == trial.trial_id)
        assert trial.status == "COMPLETED"
        assert "as if" in trial.message
        assert trial.score == record.losses[3.0]
        assert record.settled
        weight = float(tuner.load_model(trial).get_weights()[0][0, 0])
        paused_at = next(run[3] for run in hypermodel.runs if run[:2] == (best, 3))
        assert weight == pytest.approx(paused_at, abs=1e-4)

    def test_a_run_whose_weights_are_gone_is_no_run_from_scratch(self, tmp_path):
        tuner = tuned(tmp_path, Line(), SuccessiveHalving(9, 1))
        tuner.on_trial_begin = lambda trial: [
            path.unlink() for path in tmp_path.rglob("checkpoint*")
        ]
        search(tuner)
        messages = [trial.message for trial in tuner.oracle.trials.values() if trial.message]
        assert all("no weights to go on from" in message for message in messages)
        assert messages
        assert {trial.status for trial in tuner.oracle.trials.values()} == {"COMPLETED"}

    def test_ctrl_c_in_a_run_leaves_the_best_with_the_weights_of_its_score(
        self, tmp_path, whole
    ):
        killed = Line()
        killed.killed_at = (whole.runs[-1][0], 6)
        tuner = tuned(tmp_path / "killed", killed, SuccessiveHalving(9, 1))
        with pytest.raises(KeyboardInterrupt):
            search(tuner)
        (best,) = tuner.oracle.get_best_trials(1)
        assert best.hyperparameters.get("id") == whole.runs[-1][0]
        paused_at = whole.runs[-1][3]
        assert tuner.load_model(best).get_weights()[0] == pytest.approx(paused_at, abs=1e-4)
        result = kerasnas.open_search(tmp_path / "killed", "untitled_project")
        assert result.best_model().get_weights()[0] == pytest.approx(paused_at, abs=1e-4)

    def test_a_search_that_goes_on_in_the_same_process_forgets_the_broken_run(
        self, tmp_path, whole
    ):
        hypermodel = Line()
        hypermodel.killed_at = (whole.runs[-1][0], 6)
        tuner = tuned(tmp_path / "killed", hypermodel, SuccessiveHalving(9, 1))
        with pytest.raises(KeyboardInterrupt):
            search(tuner)
        hypermodel.killed_at = None
        search(tuner)
        assert len(hypermodel.runs) == len(whole.runs) + 1
        longest = max(tuner.oracle.records(), key=lambda record: record.level)
        assert list(longest.curve) == sorted(longest.curve, reverse=True)

    def test_killed_after_a_run_was_recorded_it_goes_on_from_the_newer_weights(
        self, tmp_path, whole
    ):
        killed = Line()
        tuner = tuned(tmp_path / "killed", killed, SuccessiveHalving(9, 1))

        def tidy(trial):
            if len(killed.runs) == len(whole.runs) - 1:
                raise KeyboardInterrupt

        tuner._tidy = tidy
        with pytest.raises(KeyboardInterrupt):
            search(tuner)
        again = Line()
        search(tuned(tmp_path / "killed", again, SuccessiveHalving(9, 1)))
        assert killed.runs + again.runs == whole.runs

    def test_early_stopping_leaves_gaps_in_a_curve_not_shifts(self, tmp_path):
        tuner = tuned(tmp_path, Line(), SuccessiveHalving([4, 12], factor=2), max_trials=2)
        stop = keras.callbacks.EarlyStopping("val_loss", min_delta=1e9, patience=1)
        tuner.search(X, Y, validation_data=(X, Y), batch_size=32, callbacks=[stop], verbose=0)
        longest = max(tuner.oracle.records(), key=lambda record: record.level)
        told = [np.isfinite(loss) for loss in longest.curve]
        assert told == [True, True, False, False, True, True]

    def test_runs_of_keras_tuners_hyperband_go_on_too(self, tmp_path):
        hypermodel = Line()
        oracle = keras_tuner.oracles.HyperbandOracle(
            keras_tuner.Objective("val_loss", "min"), max_epochs=9, factor=3, seed=1
        )
        oracle.verbose = 0
        search(kerasnas.Tuner(hypermodel, oracle=oracle, directory=tmp_path))
        later = [run for run in hypermodel.runs if run[1] > 0]
        assert later
        assert all(weight > 0.1 for *_, weight in later)

    def test_epochs_and_a_policy_agree(self, tmp_path):
        tuner = tuned(tmp_path, Line(), SuccessiveHalving(9, 1))
        with pytest.raises(ValueError, match=r"epochs=2 with SuccessiveHalving.*level is 9"):
            tuner.search(X, Y, epochs=2)

    def test_a_curve_of_several_executions_stops_nothing(self, tmp_path):
        with pytest.raises(ValueError, match=r"executions_per_trial=2 with LearningCurve"):
            tuned(tmp_path, Line(), LearningCurve(9), executions_per_trial=2)

    def test_hyperband_starts_some_candidates_further_on(self, tmp_path):
        hypermodel = Line()
        search(tuned(tmp_path, hypermodel, Hyperband(9, 1), max_trials=12))
        assert {run[2] for run in hypermodel.runs if run[1] == 0} == {1, 3, 9}

    def test_another_policy_is_another_search(self, whole):
        with pytest.raises(ValueError, match=r"another search.*SuccessiveHalving"):
            tuned(whole.folder, Line(), SuccessiveHalving(3, 1))

    def test_the_journal_tells_who_was_trained_on(self, whole):
        path = whole.folder / "untitled_project" / "journal.jsonl"
        events = [json.loads(line) for line in path.read_text().splitlines()]
        told = [(event["event"], event.get("level")) for event in events if "level" in event]
        assert told == [("created", 1)] * 3 + [("resumed", 3), ("resumed", 9)]

    def test_the_leaderboard_says_how_far_each_was_trained(self, whole):
        result = kerasnas.open_search(whole.folder, "untitled_project")
        assert [trial.level for trial in result.leaderboard()] == [9.0, 1.0, 1.0]
        assert " at 9  0" in str(result)

    def test_a_hopeless_run_is_stopped(self, tmp_path):
        class Uneven(Line):
            def fit(self, hp, model, *args, **kwargs):
                # Of all but the first five candidates the gap hardly closes.
                if len(self.runs) > 4:
                    model.optimizer.learning_rate.assign(1e-6)
                return super().fit(hp, model, *args, **kwargs)

        tuner = tuned(tmp_path, Uneven(), LearningCurve(12), max_trials=8)
        search(tuner)
        records = tuner.oracle.records()
        assert [len(record.curve) for record in records[:5]] == [12] * 5
        stopped = [record for record in records if record.settled]
        assert stopped
        assert all(3 <= len(record.curve) < 12 for record in stopped)
        trials = [tuner.oracle.trials[record.trial_id] for record in stopped]
        assert {trial.status for trial in trials} == {"COMPLETED"}

    def test_a_space_alone_has_no_examples_to_leave_out(self, tmp_path):
        policy = SuccessiveHalving(1.0, 1 / 9, dimension="examples")
        with pytest.raises(ValueError, match=r"trains on all.*dimension='examples' with MLP"):
            tuned(tmp_path, MLP((4,), 2), policy)


class Conv(SearchSpace):
    def body(self, hp, x):
        x = blocks.conv(x, hp.Choice("filters", [4, 8, 16]), 3)
        return blocks.conv(x, hp.Choice("more", [4, 8]), 3)


class Heirs(SearchOracle):
    """A first candidate, and then children of it."""

    def suggest(self, finished):
        self.parent = finished[0].trial_id if finished else None
        row = self.candidates.draw(self.rng)
        return None if row is None else self.candidates.decisions.values(row)


class TestInheritance:
    @pytest.fixture
    def started(self, tmp_path, shades):
        """Search, and return the weights that each trial started from."""

        def started(oracle, **kwargs):
            starts = {}

            class Watched(kerasnas.Tuner):
                def on_batch_begin(self, trial, model, batch, logs=None):
                    weights = [weight.copy() for weight in model.get_weights()]
                    starts.setdefault(trial.trial_id, weights)

            x, y = shades(30)
            recipe = Recipe(epochs=1, batch_size=8, augment=False)
            tuner = Watched(
                Trained(Conv((8, 8, 1), 3), recipe),
                oracle=oracle,
                directory=tmp_path,
                **kwargs,
            )
            examples = kerasnas.data.Examples(x, y)
            tuner.search(examples, examples)
            return starts, tuner

        return started

    def test_children_start_from_the_weights_of_their_parent(self, started):
        oracle = Heirs("val_accuracy", 3, seed=0)
        oracle.start_with = [{"filters": 4, "more": 8}]
        starts, tuner = started(oracle, inherit_weights=True)
        trained = tuner.load_model(tuner.oracle.trials["0000"]).get_weights()
        for child in ("0001", "0002"):
            kernel = starts[child][0]
            shared = min(kernel.shape[-1], trained[0].shape[-1])
            np.testing.assert_allclose(kernel[..., :shared], trained[0][..., :shared])
            assert tuner.oracle.parent_of(tuner.oracle.trials[child]) == "0000"

    def test_by_default_each_starts_from_scratch(self, started):
        oracle = Heirs("val_accuracy", 2, seed=0)
        starts, tuner = started(oracle)
        trained = tuner.load_model(tuner.oracle.trials["0000"]).get_weights()
        shared = min(starts["0001"][0].shape[-1], trained[0].shape[-1])
        assert np.abs(starts["0001"][0][..., :shared] - trained[0][..., :shared]).max() > 1e-3

    def test_where_a_method_names_no_parent_it_is_the_nearest(self, started):
        oracle = kerasnas.RandomSearch("val_accuracy", 6, seed=0)
        starts, tuner = started(oracle, inherit_weights=True)
        trials = tuner.oracle.trials
        events = [json.loads(line) for line in oracle.journal.path.read_text().splitlines()]
        sources = {event["trial"]: event["source"] for event in events if "source" in event}
        assert sources
        for child, source in sources.items():
            assert source < child
            ours, theirs = (trials[one].hyperparameters.values for one in (child, source))
            assert any(ours[name] == theirs[name] for name in ours)
            trained = tuner.load_model(trials[source]).get_weights()[0]
            shared = min(starts[child][0].shape[-1], trained.shape[-1])
            np.testing.assert_allclose(starts[child][0][..., :shared], trained[..., :shared])
        # The method has made none of them from another.
        assert {oracle.parent_of(trial) for trial in trials.values()} == {None}

    def test_a_parent_may_be_trained_on_by_another_worker_meanwhile(self, tmp_path, shades):
        class Followers(Heirs):
            def suggest(self, finished):
                values = super().suggest(finished)
                self.parent = self.get_best_trials(1)[0].trial_id if finished else None
                return values

        oracle = Followers(
            "val_accuracy", 3, seed=0, fidelity=SuccessiveHalving([1, 3], factor=1.5)
        )
        oracle.verbose = 0
        tuner = kerasnas.Tuner(
            Trained(Conv((8, 8, 1), 3), Recipe(epochs=1, batch_size=8, augment=False)),
            oracle=oracle,
            directory=tmp_path,
            inherit_weights=True,
        )
        examples = kerasnas.data.Examples(*shades(30))
        for _ in range(2):
            trial = oracle.create_trial("me")
            tuner._try_run_and_update_trial(trial, examples, examples)
            tuner.on_trial_end(trial)
        resumed = oracle.create_trial("another")
        assert resumed.hyperparameters.values["tuner/initial_epoch"] == 1
        tuner._keep_paused(resumed)
        child = oracle.create_trial("me")
        assert oracle.parent_of(child) == resumed.trial_id
        kernel = tuner._build_hypermodel(child.hyperparameters).get_weights()[0]
        trained = tuner._build_hypermodel(resumed.hyperparameters).get_weights()[0]
        shared = min(kernel.shape[-1], trained.shape[-1])
        np.testing.assert_allclose(kernel[..., :shared], trained[..., :shared])

    def test_who_inherits_is_known_after_reopening(self, started):
        oracle = Heirs("val_accuracy", 3, seed=0)
        _, tuner = started(oracle, inherit_weights=True)
        again = Heirs("val_accuracy", 3, seed=0)
        tuner = kerasnas.Tuner(Conv((8, 8, 1), 3), oracle=again, directory=tuner.directory)
        parents = [again.parent_of(trial) for trial in again.trials.values()]
        assert parents == [None, "0000", "0000"]

    def test_a_foreign_model_has_nothing_to_inherit(self, tmp_path):
        with pytest.raises(
            ValueError, match=r"inherit_weights=True with Line and RandomSearch"
        ):
            tuned(tmp_path, Line(), None, inherit_weights=True)

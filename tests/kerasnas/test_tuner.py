import sys

import keras
import keras_tuner
import pytest

import kerasnas
from search_spaces import blocks
from search_spaces.space import SearchSpace


class Tiny(SearchSpace):
    def body(self, hp, x):
        return blocks.conv(x, hp.Choice("filters", [2, 4, 8, 16]), 1)

    def build(self, hp):
        raise AssertionError("a described space needs no building to be known")


class Played(kerasnas.Tuner):
    """Scores a candidate by a formula instead of training it."""

    def run_trial(self, trial, *args, **kwargs):
        return float(trial.hyperparameters.values["filters"])


@pytest.fixture
def make(tmp_path):
    def make(tuner=Played, space=None, max_trials=4, limits=None, **kwargs):
        tuner = tuner(
            space or Tiny((8, 8, 1), 3),
            oracle=kerasnas.RandomSearch(max_trials=max_trials, seed=0, limits=limits),
            directory=tmp_path,
            **kwargs,
        )
        tuner.oracle.verbose = 0
        return tuner

    return make


def build(hp):
    model = keras.Sequential(
        [keras.Input((4,)), keras.layers.Dense(hp.Choice("units", [1, 2, 4, 8]))]
    )
    model.compile("sgd", "mse")
    return model


def values(tuner):
    return [trial.hyperparameters.values for trial in tuner.oracle.trials.values()]


def test_a_described_space_is_known_without_building(make):
    tuner = make()
    assert [hp.name for hp in tuner.oracle.get_space().space] == ["filters"]


def test_the_oracle_learns_costs_and_equality_from_the_space(make):
    tuner = make()
    assert set(tuner.oracle.costs({"filters": 4})) == {"params", "macs", "flash", "ram"}
    assert tuner.oracle.identity({"filters": 4}) != tuner.oracle.identity({"filters": 2})


def test_a_trial_may_have_values_that_are_no_decisions_of_the_space(make):
    oracle = make().oracle
    more = {"filters": 2, "learning_rate": 1e-3, "tuner/epochs": 3}
    assert oracle.costs(more) == oracle.costs({"filters": 2})
    assert oracle.identity(more) == oracle.identity({"filters": 2})


def test_costs_of_ones_own_are_kept(tmp_path):
    oracle = kerasnas.RandomSearch(max_trials=1, costs=lambda values: {"params": 1.0})
    tuner = Played(Tiny((8, 8, 1), 3), oracle=oracle, directory=tmp_path)
    assert tuner.oracle.costs({}) == {"params": 1.0}


def test_a_search_is_found_again_before_keras_tuner_wrote_its_own_file(make, tmp_path):
    first = make()
    first.oracle.create_trial("tuner0")
    assert not (tmp_path / "untitled_project" / "tuner0.json").exists()
    assert values(make()) == values(first)


def test_a_finished_search_has_nothing_left_to_do(make):
    make().search()
    again = make()
    again.run_trial = None  # would fail if it were called
    again.search()
    assert len(again.oracle.trials) == 4


def test_time_that_is_over_ends_the_search_after_a_first_trial(make):
    tuner = make(max_time=0)
    tuner.search()
    assert len(tuner.oracle.trials) == 1


def test_overwrite_forgets(make):
    make().search()
    assert not make(overwrite=True).oracle.trials


def test_a_foreign_model_is_built_to_be_counted(make):
    class Counted(kerasnas.Tuner):
        def run_trial(self, trial, *args, **kwargs):
            return float(trial.hyperparameters.values["units"])

    tuner = make(Counted, build, limits={"params": 12})
    tuner.search()
    assert {v["units"] for v in values(tuner)} == {1, 2}


def test_few_foreign_models_are_built_and_none_again_after_reopening(tmp_path):
    built = []

    def wide(hp):
        model = keras.Sequential([keras.Input((4,))])
        for layer in range(6):
            model.add(keras.layers.Dense(hp.Int(f"units{layer}", 1, 64)))
        built.append(dict(hp.values))
        return model

    class Scored(kerasnas.Tuner):
        def run_trial(self, trial, *args, **kwargs):
            return -float(sum(trial.hyperparameters.values.values()))

    def tuner(trials):
        oracle = kerasnas.GaussianProcess(max_trials=trials, seed=0, limits={"params": 1500})
        oracle.verbose = 0
        return Scored(wide, oracle=oracle, directory=tmp_path)

    first = tuner(12)
    first.search(verbose=0)
    # One random candidate in 29 keeps the limit: twelve of them by chance cost 350 models.
    assert len(built) < 250
    counts = [first.oracle.costs(v)["params"] for v in values(first)]
    assert max(counts) <= 1500
    before = {tuple(sorted(v.items())) for v in built}
    built.clear()
    tuner(14).search(verbose=0)
    again = [v for v in built if tuple(sorted(v.items())) in before]
    assert len(again) <= 1  # KerasTuner builds one model to learn the space


def test_a_foreign_model_is_measured_as_a_file_would_be(make):
    class Counted(kerasnas.Tuner):
        def run_trial(self, trial, *args, **kwargs):
            return float(trial.hyperparameters.values["units"])

    tuner = make(Counted, build, limits={"flash": "1MB", "ram": "1MB"})
    tuner.search()
    assert {v["units"] for v in values(tuner)} == {1, 2, 4, 8}
    first, *_ = tuner.oracle.trials.values()
    assert set(tuner.oracle.trial_costs(first)) == {"params", "macs", "flash", "ram"}


def test_what_no_device_tells_is_no_limit(make):
    with pytest.raises(ValueError, match="latency_ms, where no device is given"):
        make(kerasnas.Tuner, build, limits={"latency_ms": "1ms"})


def test_tensorboard_is_loaded_only_when_asked_for(make, monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorboard.plugins.hparams", None)
    tuner = make()
    trial = keras_tuner.engine.trial.Trial(keras_tuner.HyperParameters(), "0000")
    tuner._configure_tensorboard_dir([keras.callbacks.History()], trial)
    with pytest.raises(ImportError):
        tuner._configure_tensorboard_dir([keras.callbacks.TensorBoard("logs")], trial)


def test_training_leaves_the_architecture_beside_the_weights(make, tmp_path):
    tuner = make(kerasnas.Tuner, build, max_trials=1)
    tuner.oracle.objective = keras_tuner.Objective("val_loss", "min")
    x = [[0.0, 1.0, 2.0, 3.0]] * 8
    x, y = keras.ops.convert_to_numpy(x), keras.ops.zeros((8, 1))
    tuner.search(x, y, validation_data=(x, y), epochs=1, verbose=0)
    folder = tmp_path / "untitled_project" / "trial_0000"
    model = keras.models.model_from_json((folder / "architecture.json").read_text())
    assert model.count_params() == tuner.get_best_models()[0].count_params()

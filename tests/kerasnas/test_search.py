"""The one call, end to end, on data that take no time to learn."""

import fcntl
import functools
import json
import os
import subprocess
import sys
from types import SimpleNamespace

import keras
import keras_tuner
import numpy as np
import pytest
import tensorflow as tf

import kerasnas
from edge_devices.device import Device
from kerasnas._search import _settled
from kerasnas.fidelity import SuccessiveHalving
from kerasnas.journal import Journal
from search_spaces import blocks
from search_spaces.front_end import FrontEnd
from search_spaces.space import SearchSpace
from tflite_export.interpreter import TFLiteModel


class Tiny(SearchSpace):
    """Eight networks, built and traced in a second."""

    built = 0

    def body(self, hp, x):
        filters = hp.Choice("filters", [2, 4, 8, 16])
        return blocks.conv(x, filters, hp.Choice("kernel", [1, 3]), stride=4)

    def describe(self, hp):
        if isinstance(hp, keras_tuner.HyperParameters):
            type(self).built += 1
        return super().describe(hp)


class Words(SearchSpace):
    """Two networks of tokens."""

    layouts = ("tokens",)
    input_dtype = "int32"

    def __init__(self, input_shape, num_classes=None, *, task=None, vocabulary):
        super().__init__(input_shape, num_classes, task=task)
        self.vocabulary = vocabulary

    def body(self, hp, x):
        return blocks.embedding(x, self.vocabulary, hp.Choice("width", [2, 4]))


@pytest.fixture
def search(tmp_path, shades):
    return functools.partial(
        kerasnas.search,
        train_data=shades(),
        space=Tiny,
        max_trials=2,
        epochs=1,
        directory=tmp_path,
        verbose=0,
    )


class CountTrainings(keras.callbacks.Callback):
    count = 0

    def on_train_begin(self, logs=None):
        CountTrainings.count += 1


class Interrupt(keras.callbacks.Callback):
    """Ctrl-C at the start of the n-th training."""

    left = 0

    def on_train_begin(self, logs=None):
        Interrupt.left -= 1
        if Interrupt.left == 0:
            raise KeyboardInterrupt


@pytest.fixture(scope="module")
def finished(tmp_path_factory, shades):
    directory = tmp_path_factory.mktemp("searches")
    model = kerasnas.search(
        shades(90),
        space=Tiny,
        max_trials=3,
        epochs=8,
        class_names=["dark", "grey", "light"],
        directory=directory,
        verbose=0,
    )
    return directory, model


class TestTheResult:
    def test_the_model_is_compiled_trained_and_of_stock_layers(self, finished, shades):
        _, model = finished
        _, accuracy = model.evaluate(*shades(30, seed=1), verbose=0)
        assert accuracy > 0.6
        assert all(type(layer).__module__.startswith("keras.") for layer in model.layers)

    def test_the_saved_model_loads_where_there_is_no_kerasnas(self, finished, shades):
        directory, model = finished
        x, _ = shades(6, seed=1)
        np.save(directory / "x.npy", x)
        code = (
            "import sys; sys.modules.update(dict.fromkeys("
            "['kerasnas', 'search_spaces', 'tflite_export']))\n"
            "import keras, numpy as np\n"
            "model = keras.models.load_model('search/model.keras')\n"
            "np.save('y.npy', model.predict(np.load('x.npy'), verbose=0))"
        )
        subprocess.run(
            [sys.executable, "-c", code],
            cwd=directory,
            check=True,
            capture_output=True,
            env={**os.environ, "PYTHONPATH": ""},
        )
        np.testing.assert_allclose(
            np.load(directory / "y.npy"), model.predict(x, verbose=0), atol=1e-5
        )

    def test_a_model_with_a_loss_of_ours_is_stored_without_it(self, search, shades):
        x, y = shades(60, shape=(16, 16, 1))
        boxes = np.tile(np.float32([0.2, 0.2, 0.8, 0.8]), (60, 1, 1))
        data = (x, {"boxes": boxes, "labels": y[:, np.newaxis]})
        model = search(train_data=data, task="detection", max_trials=1)
        result = kerasnas.open_search(search.keywords["directory"])
        stored = keras.models.load_model(result.folder / "model.keras")
        assert not stored.compiled
        assert result.best_model().compiled
        np.testing.assert_allclose(stored(x[:4]), model(x[:4]), atol=1e-6)

    def test_the_front_end_is_kept_beside_a_file_of_features(self, search):
        waves = np.random.default_rng(0).normal(size=(24, 800)).astype("float32") / 4
        search(
            train_data=(waves, np.arange(24) % 2),
            space="dscnn",
            sample_rate=8000,
            device="cortex-m4",
            max_trials=1,
            max_accuracy_drop=None,
        )
        folder = search.keywords["directory"] / "search"
        front_end = FrontEnd.of(json.loads((folder / "front_end.json").read_text()))
        model, file = keras.models.load_model(folder / "model.keras"), folder / "model.tflite"
        features = front_end.features(waves)
        assert kerasnas.open_search(folder.parent).exported(model)[1](features).shape == (
            24,
            2,
        )
        assert TFLiteModel(file).predict(features).shape == (24, 2)

    def test_the_search_can_be_opened_again(self, finished):
        directory, model = finished
        result = kerasnas.open_search(directory)
        scores = [trial.score for trial in result.leaderboard()]
        assert len(scores) == 3
        assert scores == sorted(scores, reverse=True)
        assert result.winner["trial"] in {trial.trial_id for trial in result.trials}
        assert result.settings["class_names"] == ["dark", "grey", "light"]
        assert all(set(t.costs) == {"params", "macs", "flash", "ram"} for t in result.trials)
        best = result.best_model()
        for one, other in zip(best.get_weights(), model.get_weights(), strict=True):
            np.testing.assert_array_equal(one, other)

    def test_of_several_objectives_the_front_can_be_read(self, search, tmp_path):
        search(objective=["val_accuracy", "flash"], max_trials=4)
        result = kerasnas.open_search(tmp_path)
        front = result.pareto_front()
        losses = [trial.losses for trial in front]
        assert losses == sorted(losses)
        assert [flash for _, flash in losses] == sorted((f for _, f in losses), reverse=True)
        for trial in {t.trial_id for t in result.trials} - {t.trial_id for t in front}:
            (missed,) = [t.losses for t in result.trials if t.trial_id == trial]
            assert any(a <= missed[0] and f <= missed[1] for a, f in losses)
        assert front[0].losses[1] == front[0].costs["flash"]

    def test_the_winners_int8_file_lies_beside_the_model(self, finished, shades):
        directory, model = finished
        file = kerasnas.tflite_export.TFLiteModel(directory / "search" / "model.tflite")
        x, _ = shades(30, seed=1)
        same = file.predict(x).argmax(1) == model.predict(x, verbose=0).argmax(1)
        assert same.mean() > 0.9

    def test_asked_again_it_answers_without_training(self, finished, shades):
        directory, model = finished
        again = functools.partial(
            kerasnas.search,
            shades(90),
            space=Tiny,
            epochs=8,
            class_names=["dark", "grey", "light"],
            directory=directory,
            verbose=0,
        )
        CountTrainings.count = 0
        same = again(max_trials=3, callbacks=[CountTrainings()])
        assert CountTrainings.count == 0
        np.testing.assert_array_equal(same.get_weights()[0], model.get_weights()[0])


class TestDataIn:
    @pytest.mark.parametrize("form", ["pairs", "batched", "weighted", "dictionary", "one_hot"])
    def test_every_form_of_data_set_works(self, search, shades, form):
        x, y = shades()
        if form == "one_hot":
            y = np.eye(3, dtype="float32")[y]
        arrays = {
            "dictionary": {"image": x, "label": y, "id": np.arange(60)},
            "weighted": (x, y, np.ones(60, "float32")),
        }.get(form, (x, y))
        data = tf.data.Dataset.from_tensor_slices(arrays)
        data = data if form == "pairs" else data.batch(7)
        model = search(train_data=data, max_trials=1)
        assert model.evaluate(x, y, verbose=0, return_dict=True)["accuracy"] >= 0.0

    def test_classes_are_balanced_beside_sample_weights(self, search, shades):
        x, y = shades()
        search(train_data=(x, y, np.ones(60)), class_weight="balanced", max_trials=1)

    def test_validation_data_of_ones_own_are_used(self, search, shades):
        search(validation_data=shades(12, seed=3), max_trials=1)
        result = kerasnas.open_search(search.keywords["directory"])
        assert result.settings["data"].startswith("60+12:")

    def test_float_images_are_standardised_inside_the_model(self, search, shades):
        x, y = shades()
        model = search(train_data=(x.astype("float32") * 3 + 7, y), max_trials=1)
        rescaling = next(
            layer for layer in model.layers if isinstance(layer, keras.layers.Rescaling)
        )
        standardised = (x * 3.0 + 7) * rescaling.scale + rescaling.offset
        assert abs(standardised.mean()) < 0.2
        assert standardised.std() == pytest.approx(1, abs=0.1)


class TestLimits:
    def test_networks_over_a_limit_are_not_even_described_for_building(self, search):
        Tiny.built = 0
        search(max_trials=8, limits={"params": 60})
        result = kerasnas.open_search(search.keywords["directory"])
        assert {t.values["filters"] for t in result.trials} <= {2, 4}
        assert max(t.costs["params"] for t in result.trials) <= 60

    def test_unreachable_limits_name_the_smallest_there_is(self, search):
        with pytest.raises(ValueError, match=r"smallest that was found has params 19"):
            search(limits={"params": 3})

    def test_a_file_over_the_flash_limit_makes_way_for_the_next_best(
        self, search, monkeypatch
    ):
        convert, made = kerasnas.tflite_export.convert, []

        def swollen(model, *args, **kwargs):
            content = convert(model, *args, **kwargs)
            made.append(len(content))
            return content + b"\0" * 100_000 if len(made) == 1 else content

        monkeypatch.setattr("tflite_export.convert", swollen)
        search(limits={"flash": "64KB"})
        winner = kerasnas.open_search(search.keywords["directory"])
        assert winner.winner["trial"] == winner.leaderboard()[1].trial_id
        assert winner.winner["int8_bytes"] <= 65_536


class TestContinuing:
    def test_ctrl_c_returns_the_best_so_far_and_the_same_call_continues(self, search, shades):
        Interrupt.left = 3
        model = search(max_trials=4, callbacks=[Interrupt()])
        assert model.evaluate(*shades(), verbose=0)
        stopped = kerasnas.open_search(search.keywords["directory"])
        assert [t.status for t in stopped.trials] == ["COMPLETED", "COMPLETED", "RUNNING"]
        assert stopped.winner is None
        assert stopped.best_model().count_params() == model.count_params()

        search(max_trials=4)
        went_on = kerasnas.open_search(search.keywords["directory"])
        assert [t.status for t in went_on.trials] == ["COMPLETED"] * 4
        assert [t.values for t in went_on.trials[:3]] == [t.values for t in stopped.trials]
        assert went_on.trials[0].score == stopped.trials[0].score

    def test_an_interruption_before_anything_is_found_is_passed_on(self, search):
        Interrupt.left = 1
        with pytest.raises(KeyboardInterrupt):
            search(callbacks=[Interrupt()])

    def test_more_trials_continue_a_finished_search(self, search):
        search(max_trials=2)
        search(max_trials=3)
        assert len(kerasnas.open_search(search.keywords["directory"]).trials) == 3

    def test_a_folder_with_another_search_is_refused(self, search, shades):
        search(max_trials=1)
        with pytest.raises(ValueError, match=r"holds another search\. Received: epochs=2"):
            search(max_trials=1, epochs=2)
        with pytest.raises(ValueError, match="data="):
            search(train_data=shades(60, seed=5), max_trials=1)
        with pytest.raises(ValueError, match="data="):
            search(train_data=(*shades(), np.linspace(0.5, 2.0, 60)), max_trials=1)

    def test_other_tokens_are_another_search(self, search):
        tokens = np.random.default_rng(0).integers(2, 50, (60, 8))
        problem = {"train_data": (tokens, np.arange(60) % 3), "space": Words, "max_trials": 1}
        search(**problem, vocabulary=50)
        with pytest.raises(ValueError, match=r"vocabulary=90 where it has 50"):
            search(**problem, vocabulary=90)

    def test_a_worse_second_answer_does_not_replace_the_first(self, search):
        search(max_trials=1)
        folder = search.keywords["directory"] / "search"
        before = (folder / "model.keras").read_bytes()
        unbeatable = {"val_accuracy": 2.0, "val_accuracy_int8": 2.0}
        answer = {**kerasnas.open_search(folder.parent).winner, "scores": unbeatable}
        Journal(folder / "journal.jsonl").append(
            {"event": "finished", "answer": answer, "budgeted": {}}
        )
        search(max_trials=2)
        assert (folder / "model.keras").read_bytes() == before
        assert kerasnas.open_search(folder.parent).winner["scores"] == unbeatable

    def test_two_programs_cannot_run_one_search(self, search):
        directory = search.keywords["directory"]
        with (directory / ".search.lock").open("w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            with pytest.raises(ValueError, match="Another program runs this search"):
                search()

    def test_overwrite_starts_over(self, search):
        search(max_trials=2)
        search(max_trials=1, epochs=2, overwrite=True)
        assert len(kerasnas.open_search(search.keywords["directory"]).trials) == 1


class TestAnyKerasTuner:
    def test_a_build_function_is_searched_too(self, search, shades):
        def build(hp):
            model = keras.Sequential(
                [
                    keras.Input((8, 8, 1)),
                    keras.layers.Rescaling(1 / 255),
                    keras.layers.Conv2D(hp.Choice("filters", [4, 8]), 3, strides=4),
                    keras.layers.Flatten(),
                    keras.layers.Dense(3),
                ]
            )
            loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
            model.compile("adam", loss, metrics=["accuracy"])
            return model

        model = search(space=build, limits={"params": 100})
        assert model.count_params() <= 100

    def test_an_oracle_of_keras_tuner_is_a_strategy(self, search):
        oracle = keras_tuner.oracles.RandomSearchOracle("val_loss", max_trials=1, seed=1)
        assert search(strategy=oracle, max_trials=None).built

    def test_two_build_functions_are_two_searches(self, search):
        def one(hp):
            return Tiny((8, 8, 1), 3).build(hp)

        def other(hp):
            return Tiny((8, 8, 1), 3).build(hp)

        search(space=one, max_trials=1)
        with pytest.raises(ValueError, match="holds another search"):
            search(space=other, max_trials=1)

    def test_what_an_oracle_brings_cannot_be_given_beside_it(self, search):
        with pytest.raises(ValueError, match="max_trials=2 beside strategy=RandomSearch"):
            search(strategy=kerasnas.RandomSearch("val_loss", 1), max_trials=2)

    def test_the_tiny_space_of_a_user_is_made_for_the_data(self, search, shades):
        model = search(space=Tiny((8, 8, 1), 3), strategy="random", max_trials=1)
        assert model.output_shape == (None, 3)


def journal(search):
    path = search.keywords["directory"] / "search" / "journal.jsonl"
    return [json.loads(line) for line in path.read_text().splitlines()]


class TestStrategies:
    def test_auto_says_what_it_has_settled_on_and_why(self, search, capsys):
        search(strategy="auto", verbose=1)
        told = [line for line in capsys.readouterr().out.splitlines() if "strategy" in line]
        assert told == ["strategy: a Gaussian process, which learns most from each trial"]

    def test_a_continued_search_stays_with_what_auto_settled_on(self, search):
        search(strategy="auto", max_trials=1)
        earlier = kerasnas.open_search(search.keywords["directory"])
        assert earlier.settings["strategy"] == "GaussianProcess"
        space, data = Tiny((8, 8, 1), 3), SimpleNamespace(train=range(60))
        rest = {
            "objectives": 1,
            "max_trials": 8,
            "seconds": None,
            "epochs": 1,
            "fidelity": None,
        }
        # Eight trials are enough for the grid, had it begun so.
        assert _settled(None, space, data, **rest).strategy == "grid"
        assert _settled(earlier, space, data, **rest).strategy == "bayesian"

    def test_a_fidelity_trains_most_candidates_shortly(self, search):
        model = search(strategy="random", fidelity="asha", epochs=3, max_trials=3)
        assert model.built
        created = [event for event in journal(search) if event["event"] == "created"]
        resumed = [event for event in journal(search) if event["event"] == "resumed"]
        assert [event["level"] for event in created] == [1, 1, 1]
        assert [event["level"] for event in resumed] == [3]

    @pytest.mark.slow
    def test_a_fidelity_of_examples_is_carried_out(self, search):
        policy = SuccessiveHalving(1.0, 1 / 3, dimension="examples")
        search(fidelity=policy, max_trials=3)
        (resumed,) = [event for event in journal(search) if event["event"] == "resumed"]
        assert resumed["level"] == 1.0

    def test_heirs_are_known_to_the_journal(self, search):
        oracle = kerasnas.LocalSearch("val_accuracy", 2, seed=0, num_initial_points=1)
        search(strategy=oracle, inherit_weights=True, max_trials=None)
        created = [event for event in journal(search) if event["event"] == "created"]
        assert [(e.get("parent"), e.get("source")) for e in created] == [
            (None, None),
            ("0000", "0000"),
        ]


def test_verbose_0_is_silent(search, capfd):
    search(verbose=0, max_trials=1)
    assert capfd.readouterr() == ("", "")


def test_progress_is_told_in_plain_lines_where_there_is_no_terminal(search, capsys):
    search(verbose=1, max_trials=1)
    lines = capsys.readouterr().out.splitlines()
    assert "1 trials at most" in lines[0]
    assert lines[1].startswith("trial 1/1  val_accuracy ")
    assert lines[-1].startswith("best: trial 0000")


BAD = {
    "strategy": ({"strategy": "bayesain"}, "Did you mean 'bayesian'"),
    "later strategy": ({"strategy": "darts"}, "does not work yet.*What works: 'bayesian'"),
    "fidelity": ({"fidelity": "ahsa"}, "Did you mean 'asha'"),
    "two fidelities": (
        {"strategy": "asha", "fidelity": "hyperband"},
        "strategy='asha' with fidelity='hyperband'. Leave one of them out",
    ),
    "an oracle's fidelity": (
        {
            "strategy": kerasnas.RandomSearch("val_loss", 1),
            "fidelity": "asha",
            "max_trials": None,
        },
        "fidelity='asha' beside strategy=RandomSearch",
    ),
    "no heirs": (
        {
            "strategy": keras_tuner.oracles.RandomSearchOracle("val_loss", max_trials=1),
            "inherit_weights": True,
            "max_trials": None,
        },
        "inherit_weights=True with Trained and RandomSearchOracle",
    ),
    "front of one": (
        {"strategy": "evolution", "objective": ["val_loss", "flash"]},
        "seeks what is good in one objective",
    ),
    "space": ({"space": "mobilnet"}, "Did you mean 'mobilenet'"),
    "space of a task": ({"space": "unet"}, r"UNet is for Segmentation\. Received: task="),
    "space type": ({"space": 3}, "Received: space=3 of type int"),
    "layout": ({"layout": "seires"}, "Did you mean 'series'"),
    "limit": ({"limits": {"flahs": "64KB"}}, "flash"),
    "unit": ({"limits": {"flash": "64ms"}}, "64ms"),
    "duration": ({"max_time": "5 parsecs"}, "parsecs"),
    "device": ({"device": "cortex-m77"}, "Did you mean 'cortex-m7'"),
    "device type": ({"device": 3}, "device=3 of type int"),
    "cost of no device": ({"limits": {"latency_ms": 5}}, "latency_ms, where no device"),
    "too small": ({"limits": {"flash": "1KB"}}, "smallest that was found has flash"),
    "weight bits": ({"weight_bits": (8, 2)}, r"8 or 4 bits\. Received: weight_bits"),
    "bits type": ({"weight_bits": 8.5}, "8 or 4 bits"),
    "drop": ({"max_accuracy_drop": 5}, "share of all answers, from 0 to 1"),
    "format": (
        {"device": Device("wide", quantization="int16x8")},
        "priced as the int8 files",
    ),
    "bits of an npu": (
        {"device": "ethos-u55-128", "weight_bits": 4},
        "no kernels for weights of 4 bits",
    ),
    "workers": ({"workers": 2}, "not supported yet"),
    "objectives": (
        {"objective": ["val_accuracy", "latency_ms"]},
        "latency_ms, where no device",
    ),
    "cost first": ({"objective": ["flash", "val_loss"]}, "first objective must be a metric"),
    "repeated": (
        {"objective": ["val_loss", "val_loss"]},
        "Several objectives must be different",
    ),
    "misspelt score": ({"objective": "val_fl"}, "Did you mean 'val_f1'"),
    "score of another task": (
        {"objective": ["val_accuracy", "val_r2"]},
        r"Nothing tells this of networks for Classification\. Received: objective='val_r2'",
    ),
    "unknown class": ({"class_weight": {7: 2.0}}, r"Received: class_weight=\{7: 2.0\}"),
    "no class": ({"class_weight": {"grey": 2.0}}, "with 'grey'"),
    "less than nothing": ({"class_weight": {0: -1.0}}, "weighs a number from 0"),
    "sample rate": ({"sample_rate": "16k"}, "Received: sample_rate='16k'"),
    "spaces of one input": (
        {"space": {"photo": "mobilenet"}},
        r"is for several inputs\. Received: space=.* for one input of shape \(8, 8, 1\)",
    ),
    "trials": ({"max_trials": 0}, "max_trials=0"),
    "class weight": ({"class_weight": "balance"}, "Did you mean 'balanced'"),
    "not data": ({"train_data": {1, 2, 3}}, "Received: .*set"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_input_gets_a_sentence_before_any_training(search, name):
    arguments, message = BAD[name]
    CountTrainings.count = 0
    with pytest.raises((ValueError, TypeError), match=f"(?s){message}"):
        search(**arguments, callbacks=[CountTrainings()])
    assert CountTrainings.count == 0


def test_a_score_of_another_task_that_an_oracle_brings_is_refused(search):
    oracle = kerasnas.RandomSearch(keras_tuner.Objective("val_r2", "max"), 1)
    with pytest.raises(ValueError, match="objective='val_r2'"):
        search(strategy=oracle, max_trials=None)


def test_what_a_device_lacks_of_a_space_is_named(search):
    texts = ["what a fine day", "what a bad day"] * 30
    with pytest.raises(ValueError, match=r"'ethos-u55-128', which lacks operator GATHER, for"):
        search(train_data=(texts, np.arange(60) % 2), space="auto", device="ethos-u55-128")


def test_a_callback_may_tell_an_objective_of_its_own(search):
    class Tell(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            logs["val_taste"] = 1.0

    objective = keras_tuner.Objective("val_taste", "max")
    search(objective=objective, callbacks=[Tell()], max_trials=1)
    (trial,) = kerasnas.open_search(search.keywords["directory"]).trials
    assert trial.score == 1.0


def test_a_folder_that_cannot_be_written_is_refused(search, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(ValueError, match=r"cannot be written\. Received: directory="):
        search(directory=tmp_path / "file")


def test_a_space_for_other_images_is_refused(search):
    with pytest.raises(ValueError, match=r"space.input_shape=\(9, 9, 1\)"):
        search(space=Tiny((9, 9, 1), 3))


def test_a_space_for_other_classes_is_refused(search):
    with pytest.raises(ValueError, match="for another task"):
        search(space=Tiny((8, 8, 1), 4))


def test_series_get_the_family_for_series(search, capsys):
    x = np.random.default_rng(0).normal(size=(24, 12, 2)).astype("float32")
    y = np.arange(24) % 3
    model = search(
        train_data=(x + y[:, None, None], y),
        space="auto",
        max_trials=1,
        epochs=1,
        max_accuracy_drop=None,
        verbose=1,
    )
    assert model.input_shape == (None, 12, 2)
    said = capsys.readouterr().out.splitlines()[0]
    assert said == "space: tcn for series of 12 steps and 2 channels"


def test_a_space_made_for_images_takes_arrays_without_channels(search):
    x, y = np.random.default_rng(0).random((24, 8, 6), "float32"), np.arange(24) % 3
    model = search(train_data=(x, y), space=Tiny((8, 6, 1), 3), max_trials=1)
    assert model.input_shape == (None, 8, 6, 1)


def test_a_space_for_other_layouts_is_refused(search):
    with pytest.raises(ValueError, match=r"the layout 'series'\. Received: space="):
        search(space="tcn")


def test_opening_a_folder_without_a_search_says_what_is_there(tmp_path):
    (tmp_path / "search").mkdir()
    (tmp_path / "search" / "notes.txt").touch()
    with pytest.raises(FileNotFoundError, match=r"holds \['notes.txt'\]"):
        kerasnas.open_search(tmp_path)

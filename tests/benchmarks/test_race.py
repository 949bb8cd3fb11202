"""The race keeps its time, its labels to itself, and its word about what was refused."""

import json
import os
import sys
import time
from types import SimpleNamespace

import keras
import keras_tuner
import numpy as np
import pytest
from keras_tuner.errors import FatalError

from benchmarks import race, race_contestants, race_recipes
from benchmarks.race_clock import Clock
from benchmarks.race_entry import FACTS, MODEL, Entry, keep_facts
from benchmarks.race_report import report
from kerasnas import training
from kerasnas.normalization import FusedBatchNormalization
from kerasnas.oracles.decisions import Decisions
from search_spaces import MobileNet


@pytest.fixture
def source(tmp_path):
    """A folder with a Fashion-MNIST of 8x8 pixels: bright rows tell the class."""
    rng = np.random.default_rng(0)
    parts = {}
    for part, count in (("train", 400), ("test", 60)):
        labels = np.arange(count, dtype=np.uint8) % 10
        images = rng.integers(0, 60, (count, 8, 8), dtype=np.uint8)
        for image, label in zip(images, labels, strict=True):
            image[label % 8, : 4 if label < 8 else 8] = 255
        parts |= {f"x_{part}": images, f"y_{part}": labels}
    folder = tmp_path / "source"
    folder.mkdir()
    np.savez(folder / "fashion_mnist.npz", **parts)
    return folder


@pytest.fixture
def part(source, tmp_path):
    folder = tmp_path / "output" / "data"
    return race.Part.prepared("fashion", source, folder, examples=300, tests=50)


@pytest.fixture
def make_race(part, tmp_path):
    def make(**settings):
        given = {"minutes": 0.5, "flash": 65_536, "cores": 2, **settings}
        output = tmp_path / "output"
        output.mkdir(exist_ok=True)
        return race.Race(output=output, data="fashion", examples=300, part=part, **given)

    return make


@pytest.fixture
def make_entry(part, tmp_path):
    def make(method="tuner", seconds=600.0, seed=0, **settings):
        folder = tmp_path / "run"
        folder.mkdir(exist_ok=True)
        return Entry(
            method, settings, part.train, folder, seed, time.time(), seconds, flash=65_536
        )

    return make


def found(contestant="ours", seed=0, accuracy=0.9, **facts):
    return {
        "contestant": contestant,
        "code": "0a1b",
        "data": "fashion",
        "examples": 20_000,
        "tests": 10_000,
        "when": "2026-11-24 10:00",
        "minutes": 10.0,
        "cores": 2,
        "flash": 131_072,
        "seed": seed,
        "accuracy": accuracy,
        "accuracy_int8": accuracy - 0.01,
        "file_bytes": 1000,
        "model_bytes": 9000,
        "fits": True,
        "params": 500,
        "trials": 7,
        "refused": 2,
        "seconds": 600.0,
        "killed": False,
        "late": 0.0,
        **facts,
    }


def test_settings_follow_the_name():
    method, settings = race.contestant("keras-tuner-bo?share=0.5&last=retrain")
    assert method == "tuner"
    assert settings == {"tuner": "BayesianOptimization", "share": 0.5, "last": "retrain"}
    assert race.contestant("ours?strategy=evolution")[1] == {"strategy": "evolution"}


def test_a_contestant_that_nobody_knows_is_refused():
    with pytest.raises(ValueError, match=r"Unknown contestant. Received: 'hyperopt'"):
        race.contestant("hyperopt")


def test_an_entry_is_the_same_behind_the_command_line(make_entry):
    entry = make_entry(share=0.5, last="nothing")
    assert Entry.of_arguments(entry.arguments()) == entry


def test_a_contestant_finds_no_test_images_where_its_own_are(
    make_race, make_entry, part, monkeypatch, tmp_path
):
    monkeypatch.setenv("KERASNAS_DATA", str(tmp_path))
    looking = """
import json, os, pathlib, sys
entry = json.loads(sys.argv[1])
roots = [pathlib.Path(entry["train"]).parent, pathlib.Path(entry["folder"])]
found = [str(path) for root in roots for path in root.rglob("*.np*")]
print(json.dumps([found, os.environ.get("KERASNAS_DATA"), sys.argv[1:]]))
"""
    entry, log = make_entry(), tmp_path / "log.txt"
    make_race()._timed([sys.executable, "-c", looking, *entry.arguments()], entry, log)
    found, variable, arguments = json.loads(log.read_text())
    assert found == [str(part.train)]
    assert variable is None
    assert str(part.labels.parent) not in arguments[0]
    with np.load(part.train) as train:
        assert {name: len(train[name]) for name in train.files} == {"x": 300, "y": 300}
    assert np.load(part.inputs).shape == (50, 8, 8, 1)
    assert len(np.load(part.labels)) == 50


def test_training_images_are_drawn_once_and_for_all(source, part, tmp_path):
    x, y = (np.load(part.train)[name] for name in ("x", "y"))
    again = race.Part.prepared("fashion", source, tmp_path / "other", examples=300, tests=50)
    np.testing.assert_array_equal(np.load(again.train)["x"], x)
    assert x.shape == (300, 8, 8, 1)
    assert len(np.unique(x, axis=0)) == 300
    np.testing.assert_array_equal((x[..., 0] == 255).any(-1).argmax(-1), y % 8)


def test_a_validation_part_is_split_off_by_the_seed(make_entry):
    (train, _), (held, _) = make_entry().split()
    (_, _), (other, _) = make_entry(seed=1).split()
    assert (len(train), len(held)) == (240, 60)
    whole = np.concatenate([train, held])
    assert len(np.unique(whole, axis=0)) == 300
    assert not np.array_equal(held, other)


def test_facts_add_up(tmp_path):
    keep_facts(tmp_path, trials=3)
    keep_facts(tmp_path, params=5)
    assert json.loads((tmp_path / FACTS).read_text()) == {"trials": 3, "params": 5}


def test_a_contestant_that_overruns_is_killed(make_race, make_entry, monkeypatch, tmp_path):
    monkeypatch.setattr(race, "_GRACE", 0.2)
    sleeping = [sys.executable, "-c", "import time; time.sleep(60)"]
    told = make_race()._timed(sleeping, make_entry(seconds=0.5), tmp_path / "log.txt")
    assert told["killed"]
    assert 0.6 < told["seconds"] < 10


def test_a_run_that_fails_says_why_and_is_tried_again(make_race, monkeypatch):
    tried = []
    monkeypatch.setitem(race.CONTESTANTS, "missing", ("missing", {}))
    made = make_race(python={"missing": sys.executable})
    run = race.Race._run
    monkeypatch.setattr(race.Race, "_run", lambda *a: tried.append(a) or run(*a))
    for _ in range(2):
        told = made.record("missing", 0)
        assert "No module named benchmarks.race_missing" in told["error"]
    assert len(tried) == 2
    assert "missing, seed 0, failed" in report([told])


def test_a_run_that_is_there_is_not_repeated(make_race, monkeypatch):
    made = make_race()
    monkeypatch.setattr(race.Race, "_run", lambda self, spec, seed, _: found(spec, seed))
    first = made.record("largest", 3)
    monkeypatch.setattr(race.Race, "_run", None)
    assert made.record("largest", 3) == first


@pytest.mark.parametrize("change", ["cores", "minutes", "flash", "code"])
def test_a_run_under_other_conditions_is_another(make_race, monkeypatch, change):
    runs = []
    monkeypatch.setattr(race.Race, "_run", lambda *a: runs.append(a) or found())
    make_race().record("ours", 0)
    if change == "code":
        monkeypatch.setattr(race, "code", lambda spec: "changed")
        make_race().record("ours", 0)
    else:
        make_race(**{change: 1}).record("ours", 0)
    assert len(runs) == 2


@pytest.fixture
def root(tmp_path):
    """A tree with a file for each source of a contestant."""
    for source in {*race._OURS, *race._SOURCES[race.AUTOKERAS]}:
        path = tmp_path / "root" / source
        if not path.suffix:
            path = path / "inner" / "module.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("1")
    return tmp_path / "root"


@pytest.mark.parametrize(
    ("source", "ours", "autokeras"),
    [
        ("kerasnas/inner/module.py", True, False),
        ("search_spaces/inner/module.py", True, False),
        ("benchmarks/race_recipes.py", True, False),
        ("benchmarks/race_clock.py", True, True),
        ("benchmarks/requirements-autokeras.txt", False, True),
    ],
)
def test_a_contestant_changes_with_its_sources(root, source, ours, autokeras):
    before = race.code("ours", root), race.code("autokeras", root)
    (root / source).write_text("2")
    after = race.code("ours", root), race.code("autokeras", root)
    assert (before[0] != after[0], before[1] != after[1]) == (ours, autokeras)


def test_a_contestant_changes_with_the_settings_behind_its_name(root, monkeypatch):
    before = race.code("ours", root)
    monkeypatch.setitem(race.CONTESTANTS, "ours", ("search", {"strategy": "evolution"}))
    assert race.code("ours", root) != before
    assert race.code("ours?strategy=auto", root) == before


def test_all_sources_of_contestants_are_there():
    for source in {*race._OURS, *race._SOURCES[race.AUTOKERAS]}:
        assert (race.ROOT / source).exists(), source


@pytest.mark.parametrize(("after", "late"), [(-100.0, 0.0), (1.0, 0.0), (9.0, 9.0)])
def test_a_model_that_comes_after_the_clock_is_late(make_entry, after, late):
    entry = make_entry(seconds=60.0)
    path = entry.folder / MODEL
    path.touch()
    os.utime(path, (entry.began + 60.0 + after,) * 2)
    assert race._late(entry) == late


def test_answers_are_judged_by_the_labels(tmp_path):
    answers = tmp_path / "answers.npz"
    np.savez(answers, model=np.array([1, 2, 3, 4]), tflite=np.array([1, 2, 0, 0]))
    assert race._judged(answers, np.array([1, 2, 3, 9])) == {
        "accuracy": 0.75,
        "accuracy_int8": 0.5,
    }


def test_the_table_has_a_row_for_all_seeds_of_a_contestant():
    runs = [
        found(seed=1, accuracy=0.91),
        found(seed=0, accuracy=0.89),
        found("largest", 0, 0.88, file_bytes=70_000, fits=False),
        found("autokeras", 1, 0.92),
    ]
    title, _, _, _, *rows = report(runs).splitlines()
    assert title.startswith(
        "20,000 images of fashion (10,000 to test on), 10 minutes each on 2"
    )
    ours, largest, autokeras = ([cell.strip() for cell in row.split("|")] for row in rows)
    assert ours[1:7] == ["ours", "0a1b", "89.00, 91.00", "90.00", "89.00", "+0.00"]
    assert largest[6:8] == ["+1.00", "70,000 (over)"]
    assert autokeras[6] == "-1.00"
    assert autokeras[9:11] == ["7 (2)", "600"]


@pytest.mark.parametrize("other", [{"minutes": 60.0}, {"cores": 1}, {"tests": 50}])
def test_races_are_not_mixed(other):
    first, second = report([found(), found("largest", accuracy=0.93, **other)]).split("\n\n")[
        1::2
    ]
    assert "largest" not in first
    assert "93.00" in second


def test_runs_of_other_code_have_a_row_of_their_own():
    older = found(accuracy=0.8, code="old", when="2026-11-23 10:00")
    *_, first, second, largest = report(
        [found(), older, found("largest", 0, 0.85)]
    ).splitlines()
    assert "| 0a1b | 90.00 | 90.00 |" in first
    assert "| old | 80.00 | 80.00 |" in second
    assert "+5.00" in largest


def test_the_table_tells_what_was_late():
    assert "| 600 (model late by 9.5 s) |" in report([found(late=9.5)])
    assert "late" not in report([found()])


def test_the_table_tells_a_model_without_a_file():
    run = found("autokeras")
    for name in ("accuracy_int8", "file_bytes"):
        del run[name]
    row = report([run])
    assert "none (9,000 of the Keras model)" in row


def test_the_clock_ends_a_training_and_the_search(make_entry):
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    model.compile("sgd", "mse")
    trials = {"0": SimpleNamespace(score=0.0), "1": SimpleNamespace(score=None)}
    oracle = SimpleNamespace(trials=trials, max_trials=100)
    entry = make_entry(seconds=0.0)
    clock = Clock(entry, 1.0)
    x = np.zeros((64, 2))
    history = model.fit(x, x[:, :1], batch_size=8, epochs=5, callbacks=[clock], verbose=0)
    assert len(history.epoch) == 1
    assert int(model.optimizer.iterations) == 1
    clock = Clock(entry, 1.0, oracle)
    clock.set_model(model)
    clock.on_train_batch_end(0)
    assert oracle.max_trials == 2
    clock.on_train_begin()  # there is no model yet
    oracle.trials["1"].score = 0.7
    with pytest.raises(FatalError, match="is over"):
        model.fit(x, x[:, :1], callbacks=[clock], verbose=0)


def test_trials_are_told_apart_by_their_fates():
    fates = [("COMPLETED", 0.8, None), ("COMPLETED", 0.0, None), ("RUNNING", None, None)]
    fates += [("FAILED", None, "Oversized model: 9 parameters."), ("FAILED", None, "OOM")]
    trials = [SimpleNamespace(status=s, score=x, message=m) for s, x, m in fates]
    made = SimpleNamespace(oracle=SimpleNamespace(trials=dict(enumerate(trials))))
    assert race_contestants._tried(made) == {"trials": 1, "refused": 2, "failed": 1}


def test_the_best_trial_whose_file_fits_is_taken(make_entry):
    space = MobileNet((8, 8, 1), 10)
    small = {"stage0/depth": 0, "stage1/depth": 0}
    large = {"stage0/depth": 4, "stage1/depth": 4, "stage1/width": 2.0, "head/expansion": 4}
    trials = [
        SimpleNamespace(score=score, hyperparameters=SimpleNamespace(values=values))
        for score, values in ((0.9, large), (0.8, small))
    ]
    oracle = SimpleNamespace(trials=trials, get_best_trials=lambda count: trials[:count])
    made = SimpleNamespace(oracle=oracle)
    entry = make_entry()
    assert race_contestants._best(entry, space, made).score == 0.8
    trials.pop()
    with pytest.raises(RuntimeError, match="No trial ended with a network within the limit"):
        race_contestants._best(entry, space, made)


def test_a_bound_on_parameters_tells_what_fits(monkeypatch):
    monkeypatch.setattr(race_contestants, "_SAMPLED", 300)
    space = MobileNet((8, 8, 1), 10)
    most = race_contestants._parameters_that_fit(space, 32_768)
    larger = race_contestants._parameters_that_fit(space, 65_536)
    assert 10_000 < most < 32_768 < larger < 65_536


def test_a_limit_that_nothing_fits_is_told(monkeypatch):
    monkeypatch.setattr(race_contestants, "_SAMPLED", 20)
    with pytest.raises(ValueError, match="No member of 20 fits"):
        race_contestants._parameters_that_fit(MobileNet((8, 8, 1), 10), 100)


def test_no_change_of_a_decision_makes_the_largest_larger(make_entry):
    entry = make_entry("largest")
    _, space = race_contestants._members(entry)
    values, costs = race_contestants._large(space, entry, "flash")
    decisions = Decisions(space.hyperparameters())
    [row] = decisions.encode([values])
    sizes = [
        space.costs(decisions.values(near))["flash"]
        for near in decisions.neighbours(row, np.random.default_rng(0))
    ]
    assert space.costs(values) == costs
    assert not [size for size in sizes if costs["flash"] < size <= entry.flash]


class TestGuide:
    @pytest.fixture
    def make(self, make_entry):
        def make(**settings):
            entry = make_entry(**settings)
            data, space = race_contestants._members(entry)
            told = {"batch_size": 64}
            return race_recipes.Guide(entry, space, data, told)

        return make

    @pytest.fixture
    def hp(self):
        hp = keras_tuner.HyperParameters()
        hp.values = {"stage0/depth": 0, "stage1/depth": 0}
        return hp

    def test_the_last_training_is_as_long_as_was_best_and_on_all_examples(
        self, make, hp, monkeypatch
    ):
        guide = make()
        history = {
            "val_accuracy": [0.2, 0.6, 0.5],
            "learning_rate": [1e-3, 3e-4, 9e-5],
        }
        monkeypatch.setattr(guide, "_until_nothing_moves", lambda hp: (None, history))
        fits = []
        fit = keras.Model.fit
        monkeypatch.setattr(
            keras.Model, "fit", lambda self, x, y, **k: fits.append(fit(self, x, y, **k))
        )
        guide._fit["verbose"] = 0
        guide.finish(SimpleNamespace(hyperparameters=hp, score=0.9))
        [last] = fits
        assert len(last.epoch) == 2
        assert int(last.model.optimizer.iterations) == 2 * 5  # 300 images, 64 a step
        np.testing.assert_allclose(last.history["learning_rate"], [1e-3, 3e-4], rtol=1e-5)
        assert (guide.entry.folder / MODEL).exists()

    def test_a_last_training_cut_short_leaves_the_model_before(self, make, hp, monkeypatch):
        guide = make()
        # The clock is over when the training begins.
        monkeypatch.setattr(race_recipes, "Clock", lambda entry, share: Clock(entry, 0.0))
        history = {"val_accuracy": [0.2, 0.6], "learning_rate": [1e-3, 1e-3]}
        monkeypatch.setattr(guide, "_until_nothing_moves", lambda hp: (None, history))
        guide._fit["verbose"] = 0
        guide.finish(SimpleNamespace(hyperparameters=hp, score=0.9))
        assert not (guide.entry.folder / MODEL).exists()
        facts = json.loads((guide.entry.folder / FACTS).read_text())
        assert facts["of_last_training"] == 0.1

    def test_what_is_handed_in_has_stock_layers_and_the_same_answers(
        self, make, hp, monkeypatch
    ):
        monkeypatch.setattr(training, "_normalization", lambda: FusedBatchNormalization)
        guide = make()
        model = guide.build(hp)
        plain = guide.ready(hp, model)
        x = guide.entry.examples()[0][:4]
        np.testing.assert_allclose(plain(x), model(x), rtol=1e-4, atol=1e-5)
        assert FusedBatchNormalization in map(type, model.layers)
        assert all(type(layer).__module__.startswith("keras.") for layer in plain.layers)


@pytest.mark.slow
@pytest.mark.parametrize(
    "spec",
    [
        "ours-random",
        "keras-tuner-bo?batch_size=8&epochs=10",
        "keras-tuner-hyperband?batch_size=8",
        "keras-tuner-bo?recipe=ours",
        "largest",
    ],
)
def test_contestants_leave_a_network_within_the_limit_in_time(make_race, spec):
    told = make_race(minutes=1.5).record(spec, 0)
    assert told.get("accuracy", 0.0) > 0.2, told.get("error")  # by chance: 0.1
    assert told["fits"]
    assert not told["killed"]
    assert told["trials"] >= 1

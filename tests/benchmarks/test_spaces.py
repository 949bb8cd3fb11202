"""The benchmark of spaces sees what is wrong with a member, and says so."""

import argparse
import json

import keras
import numpy as np
import pytest

from benchmarks import spaces
from benchmarks.spaces import KNOWN, SETTINGS, chain, described, loaded_elsewhere, report
from search_spaces import SPACES, blocks, members
from search_spaces.operations import OPERATIONS
from search_spaces.space import SearchSpace
from search_spaces.task import Regression


class Tiny(SearchSpace):
    def body(self, hp, x):
        return blocks.conv(x, hp.Choice("filters", [2, 4]), 3)


class Idle(SearchSpace):
    def body(self, hp, x):
        x = blocks.conv(x, 4)
        return blocks.add(x, blocks.zero(blocks.conv(x, 4)))


@pytest.fixture
def tiny():
    return Tiny((5, 5, 1), 3)


def first(space):
    return next(members.draws(space, 1))


def test_a_member_that_agrees_is_well(tiny):
    record = described(tiny, 7, first(tiny))
    assert record["wrong"] == []
    assert (record["number"], record["layers"]) == (7, 7)
    assert record["costs"]["params"] == tiny.costs(record["values"])["params"]
    assert min(record[name] for name in ("describe_ms", "cost_ms", "realise_ms")) > 0
    json.dumps(record)


@pytest.mark.parametrize("cost", ["params", "macs"])
def test_a_wrong_formula_is_seen(cost, tiny, monkeypatch):
    true = OPERATIONS["conv"]

    def more(*args):
        return getattr(true, cost)(*args) + 1

    monkeypatch.setitem(OPERATIONS, "conv", true._replace(**{cost: more}))
    (wrong,) = described(tiny, 0, first(tiny))["wrong"]
    assert wrong.startswith(f"{cost}: ")


def test_a_wrong_shape_is_seen(tiny, monkeypatch):
    true = OPERATIONS["batch_norm"]
    wider = true._replace(shape=lambda s, x: (*x[0][:-1], x[0][-1] + 1))
    drawn = first(tiny)
    monkeypatch.setitem(OPERATIONS, "batch_norm", wider)
    assert "shapes of layers" in described(tiny, 0, drawn)["wrong"]


def run(monkeypatch, folder, setting, command="describe", count=2):
    monkeypatch.setitem(SETTINGS, "tiny", setting)
    given = argparse.Namespace(spaces=["tiny"], count=count, seed=0, out=folder)
    return spaces.run(command, given)


class Made:
    """A setting of a space that is in no module."""

    dead, stock_loss = False, True

    def __init__(self, make):
        self.make = make


def test_members_are_written_and_reported(tiny, tmp_path, monkeypatch, capsys):
    assert run(monkeypatch, tmp_path, Made(lambda: tiny))
    assert "tiny: 2 of 2 well" in capsys.readouterr().out
    lines = (tmp_path / "describe_tiny.jsonl").read_text().splitlines()
    head, *records = map(json.loads, lines)
    assert (head["class"], head["size"], len(records)) == ("Tiny", 2, 2)
    row = report(tmp_path).splitlines()[2]
    assert row.startswith("| `Tiny` 5x5x1 | 2 | 2, ")


def test_a_member_that_fails_does_not_stop_the_others(tmp_path, monkeypatch, capsys):
    class Fragile(Tiny):
        def describe(self, hp):
            network = super().describe(hp)
            if type(hp).__name__ == "Decisions" and hp.values["filters"] == 4:
                raise OverflowError("four are too many")
            return network

    assert not run(monkeypatch, tmp_path, Made(lambda: Fragile((5, 5, 1), 3)), count=6)
    assert "OverflowError: four are too many" in capsys.readouterr().out
    text = report(tmp_path)
    assert "OverflowError: four are too many" in text
    assert '`{"filters": 4}`' in text
    assert text.splitlines()[2].count("| 6, 1 |") == 1


def test_a_space_that_is_not_there_is_skipped(tmp_path, monkeypatch, capsys):
    setting = spaces.Setting(("nowhere", "None"), (5, 5, 1))
    assert run(monkeypatch, tmp_path, setting)
    assert "tiny: not there, skipped" in capsys.readouterr().out
    assert report(tmp_path) == ""


@pytest.mark.slow
def test_models_are_loaded_where_none_of_the_packages_can_be(tmp_path):
    keras.utils.set_random_seed(0)
    x = np.ones((2, 3), np.float32)
    for number, layer in enumerate([keras.layers.Dense(2), Mine(2), keras.layers.Dense(2)]):
        model = keras.Sequential([keras.Input((3,)), layer])
        model.save(tmp_path / f"{number}.keras")
        np.savez(tmp_path / f"{number}.npz", x=x, y=np.asarray(model(x)) + (number == 2))
    found = loaded_elsewhere(tmp_path, compiled=True)
    assert found[0] is None
    assert found[1].startswith("TypeError: ")
    assert "Mismatched elements" in found[2]


@keras.saving.register_keras_serializable("tests")
class Mine(keras.layers.Dense):
    pass


def test_the_packages_cannot_be_imported_there(tmp_path, monkeypatch):
    monkeypatch.setattr(
        spaces, "_LOAD", spaces._LOAD.replace("import keras\n", "import kerasnas\n")
    )
    with pytest.raises(spaces.subprocess.CalledProcessError) as failed:
        loaded_elsewhere(tmp_path, compiled=True)
    assert "ImportError: kerasnas" in failed.value.stderr


@pytest.mark.slow
def test_a_member_goes_through_the_chain(tmp_path):
    space = Tiny((5, 5, 1), task=Regression())
    record = chain(space, 0, first(space), tmp_path)
    assert record["wrong"] == []
    assert record["same_program"]
    assert record["micro"]
    assert record["error"] < 0.1
    assert loaded_elsewhere(tmp_path, compiled=True) == {0: None}


@pytest.mark.slow
def test_weights_without_use_are_seen(tmp_path):
    space = Idle((5, 5, 1), 3)
    record = chain(space, 0, first(space), tmp_path)
    idle = ["batch_norm_5/beta", "batch_norm_5/gamma", "conv_4/kernel"]
    assert record["wrong"] == [f"no gradient: {name}" for name in idle]
    assert chain(space, 0, first(space), tmp_path, dead=True)["wrong"] == []


def test_every_space_has_a_setting():
    names = {setting.home[1] for setting in SETTINGS.values()}
    assert names >= set(SPACES.values())


def test_every_family_has_a_network_known_by_hand():
    modules = {setting.home[0] for setting in SETTINGS.values()}
    # Free graphs have none; detectors are the backbones' networks; tables are small.
    assert modules - {one.home for one in KNOWN.values()} <= {
        "graph",
        "detector",
        "mlp",
        "nasbench101",
    }

"""The guides are programs: their code runs, and prints what they say it prints."""

import contextlib
import functools
import io
import pathlib
import re

import keras_tuner
import numpy as np
import pytest

import kerasnas
from kerasnas.testing import OracleContract, play, rough
from search_spaces.members import walk

DOCS = pathlib.Path(__file__).parents[1] / "docs"
GUIDES = [DOCS / "writing-a-space.md", DOCS / "search-methods.md"]
BLOCK = re.compile(r"^```(\w+)( slow)?\n(.*?)^```$", re.M | re.S)


def blocks(guide=GUIDES[0]):
    """Each Python block of a guide, whether it is slow, and the output shown below it."""
    found = BLOCK.findall(guide.read_text())
    for place, (language, slow, code) in enumerate(found):
        if language == "python":
            following = found[place + 1] if place + 1 < len(found) else ("", "", "")
            yield code, bool(slow), following[2] if following[0] == "text" else ""


def run(guide):
    """The names that a guide defines, and what it prints beside what it shows."""
    names, printed = {"__name__": "guide"}, []
    for code, slow, expected in blocks(guide):
        if not slow:
            with contextlib.redirect_stdout(io.StringIO()) as output:
                exec(compile(code, guide.name, "exec"), names)
            printed.append((output.getvalue(), expected))
    return names, printed


(NAMES, PRINTED), (METHODS, ALSO_PRINTED) = map(run, GUIDES)


class TestStages(NAMES["TestStages"]):
    """The contract, as the guide inherits it."""


class TestGreedy(OracleContract):
    """A method of a guide is one that keeps the contract."""

    @pytest.fixture
    def make(self):
        return functools.partial(METHODS["Greedy"], objective="loss")


@pytest.mark.parametrize(("printed", "shown"), [*PRINTED, *ALSO_PRINTED])
def test_the_guide_prints_what_it_shows(printed, shown):
    assert printed == shown


def test_a_space_takes_less_than_25_lines():
    code = next(code for code, *_ in blocks() if "class Stages" in code)
    assert len([line for line in code.splitlines() if line.strip()]) < 25


@pytest.fixture
def space():
    return NAMES["Stages"]((16, 16, 3), 10)


ORACLES = [kerasnas.GaussianProcess, kerasnas.RandomSearch]
THEIRS = [
    keras_tuner.oracles.BayesianOptimizationOracle,
    keras_tuner.oracles.GridSearchOracle,
    keras_tuner.oracles.HyperbandOracle,
    keras_tuner.oracles.RandomSearchOracle,
]


@pytest.mark.parametrize("oracle", ORACLES)
@pytest.mark.parametrize("make", ["plain", "restricted", "weight bits"])
def test_each_oracle_goes_through_its_networks_once(oracle, make, space):
    if make == "restricted":
        space = space.restricted(lambda network: "depthwise" not in str(network))
    if make == "weight bits":
        space = space.with_weight_bits(8, 4)
    networks = {member.network.digest for member in walk(space)}
    if make == "restricted":
        networks = {n.digest for n in map(without_depthwise, walk(space)) if n}
    hp = space.hyperparameters()
    search = oracle("loss", hyperparameters=hp, seed=0, identity=space.identity)
    tried = [space.identity(values) for values in play(search, rough)]
    assert sorted(tried) == sorted(networks)


def without_depthwise(member):
    return None if "depthwise" in str(member.network) else member.network


def scored(tuner):
    """A tuner that scores candidates without training them."""

    class Scored(tuner):
        def run_trial(self, trial, *args, **kwargs):
            return rough({name: trial.hyperparameters.get(name) for name in ["stem/filters"]})

    return Scored


@pytest.mark.parametrize("oracle", THEIRS)
def test_each_oracle_of_keras_tuner_can_search_it(oracle, space, tmp_path):
    few = {} if oracle.__name__.startswith("Hyperband") else {"max_trials": 5}
    search = oracle(keras_tuner.Objective("loss", "min"), **few)
    search.verbose = 0
    tuner = scored(keras_tuner.Tuner)(search, space, directory=tmp_path)
    tuner.search()
    assert len(search.trials) >= 5
    for trial in search.trials.values():
        assert trial.status == "COMPLETED"
        assert space.describe(trial.hyperparameters) == space.network(active(trial))


def active(trial):
    hp = trial.hyperparameters
    return {one.name: hp.values[one.name] for one in hp.space if hp.is_active(one)}


LIMITS = {
    "params": "2k",
    "macs": "400k",
    "flash": "7KB",
    "ram": "14KB",
    "latency_ms": "10ms",
}


@pytest.mark.parametrize("oracle", ORACLES)
@pytest.mark.parametrize("limit", LIMITS)
def test_each_oracle_tries_what_is_within_a_limit(oracle, limit, space, tmp_path):
    search = oracle("loss", seed=0, limits={limit: LIMITS[limit]})
    search.verbose = 0
    tuner = scored(kerasnas.Tuner)(space, search, device="cortex-m4", directory=tmp_path)
    tuner.search()
    costs = {one.network.digest: search.costs(one.values)[limit] for one in walk(space)}
    within = [digest for digest, cost in costs.items() if cost <= search.limits[limit]]
    tried = [space.identity(active(trial)) for trial in search.trials.values()]
    assert sorted(tried) == sorted(within)
    assert 3 < len(within) < len(costs)


@pytest.mark.slow
def test_the_guide_searches(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    data = {
        "images": rng.integers(0, 256, (200, 16, 16, 3), np.uint8),
        "labels": np.arange(200) % 10,
        "trials": 2,
    }
    for code, slow, _ in blocks():
        if slow:
            code = code.replace('"10m"', '"30s"')
            exec(compile(code, GUIDES[0].name, "exec"), NAMES | data, searched := {})
    assert searched["model"].output_shape == (None, 10)


@pytest.mark.slow
def test_the_guide_scores_without_training():
    rng = np.random.default_rng(0)
    names = METHODS | {
        "np": np,
        "images": rng.random((8, 32, 32, 3), np.float32),
        "labels": np.arange(8),
    }
    for code, slow, _ in blocks(GUIDES[1]):
        if slow:
            exec(compile(code, GUIDES[1].name, "exec"), names)
    assert len(names["oracle"].start_with) == 2

"""Every searcher proposes valid candidates and takes losses."""

import importlib

import pytest

from benchmarks.peers import ALIASES, PEERS, is_ours, make, parse
from benchmarks.problems import Problem
from benchmarks.replay import replay

NEEDS = {
    "tpe": ["optuna"],
    "gpsampler": ["optuna", "torch"],
    "smac": ["smac"],
    "skopt": ["skopt"],
}
RANDOM = "keras_tuner.oracles:RandomSearchOracle"
pytestmark = pytest.mark.filterwarnings("ignore")  # of the peers, at import and in use


HEAVY = {"smac", "skopt", "keras-tuner-bo"}  # each takes long to propose


@pytest.mark.parametrize(
    "spec",
    [
        pytest.param(spec, marks=pytest.mark.slow) if spec in HEAVY else spec
        for spec in (*PEERS, "ours", "ours?costs=0", "keras-tuner-random", "keras-tuner-bo")
    ],
)
def test_every_searcher_proposes_members_of_the_space(tiny, spec):
    for module in NEEDS.get(spec, []):
        pytest.importorskip(module, reason="see the extras bench and bench-heavy")
    run = replay(spec, tiny, seed=0, trials=14)
    assert len(run["steps"]) == 14
    for step in run["steps"]:
        values = tiny.grid.values(step["row"])
        assert tiny.grid.key(values) == step["row"]
        assert step["truth"] == tiny.truth(values)


@pytest.mark.parametrize("spec", ["random", "largest", "local-search", "evolution", "ours"])
def test_no_candidate_twice(tiny, spec):
    rows = [step["row"] for step in replay(spec, tiny, seed=1, trials=16)["steps"]]
    assert len(set(rows)) == len(rows)


def test_each_method_of_ours_can_be_replayed(tiny):
    for spec in ("ours-random", "ours-local", "ours-evolution", "ours-reinforce"):
        assert len(replay(spec, tiny, seed=0, trials=12)["steps"]) == 12


@pytest.mark.parametrize("spec", ["random", "local-search", "evolution", "ours"])
def test_the_same_seed_gives_the_same_run(tiny, spec):
    one, two, other = (replay(spec, tiny, seed, 12)["steps"] for seed in (3, 3, 4))
    assert [step["row"] for step in one] == [step["row"] for step in two]
    assert [step["row"] for step in one] != [step["row"] for step in other]


def test_noise_is_the_same_for_all_searchers(tiny):
    noise = [
        [round(step["loss"] - step["truth"], 9) for step in replay(spec, tiny, 0, 6)["steps"]]
        for spec in ("random", "largest")
    ]
    assert noise[0] == noise[1]


def test_largest_goes_from_large_to_small(tiny):
    steps = replay("largest", tiny, seed=0, trials=24)["steps"]
    sizes = [step["costs"]["params"] for step in steps]
    assert sizes == sorted(sizes, reverse=True)
    assert sizes[0] == 37.0


def test_local_search_moves_to_what_is_better_only(tiny):
    searcher = make("local-search", tiny, 0, 24)
    here = searcher.ask()
    searcher.tell(here, 5.0)
    worse = searcher.ask()
    searcher.tell(worse, 6.0)
    better = searcher.ask()
    for one in (worse, better):
        assert one in tiny.grid.neighbours(here, searcher.rng) or "kernel" in one
    searcher.tell(better, 4.0)
    assert searcher._best == 4.0


def test_settings_follow_the_name():
    assert parse("smac?facade=rf&initial=5") == ("smac", {"facade": "rf", "initial": 5})
    assert is_ours("ours?costs=0")
    assert is_ours("asha+ours-random")
    assert not is_ours(RANDOM)


def test_unknown_names_and_settings_are_refused(tiny):
    with pytest.raises(ValueError, match="Unknown searcher"):
        make("annealing", tiny, 0, 10)
    with pytest.raises(TypeError):
        make("evolution?temperature=1", tiny, 0, 10)


def test_limits_are_for_those_who_know_them(tiny):
    tiny.limits = {"params": 14}
    assert isinstance(tiny, Problem)
    for spec in ("random", "largest", "ours"):
        steps = replay(spec, tiny, 0, 4)["steps"]
        assert max(step["costs"]["params"] for step in steps) <= 14
    with pytest.raises(ValueError, match="knows no limits"):
        make("evolution", tiny, 0, 4)


def test_aliases_exist():
    for name in ALIASES:
        module, _, attribute = parse(name)[0].partition(":")
        assert hasattr(importlib.import_module(module), attribute)

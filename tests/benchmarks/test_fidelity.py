"""Two lengths of training: who is trained how long, what it costs, and when it got there."""

import json
import os

import numpy as np
import pytest

from benchmarks.fidelity import incumbents, main, markdown, ratio, replay, summarise
from benchmarks.looks import CONTESTANTS, make
from benchmarks.problems import FULL, LOOK, Lengths, Table, load

NEEDS = {"optuna": "optuna", "smac": "smac"}
pytestmark = pytest.mark.filterwarnings("ignore")  # of the peers, at import and in use


@pytest.fixture
def small():
    """64 networks; a look tells almost how good one is, and large ones take longer."""
    options = [str(index) for index in range(4)]
    effects = np.random.default_rng(0).normal(size=(3, 4))
    truth = 10.0 + np.add.outer(np.add.outer(effects[0], effects[1]), effects[2]).ravel()
    sizes = np.arange(64.0) + 1.0
    table = Table(
        "small",
        {f"d{index}": options for index in range(3)},
        None,
        truth,
        lambda row, rng: float(truth[row] + 0.01 * rng.normal()),
        {"params": sizes},
        100.0 - truth,
    )
    return Lengths(table, truth + 5.0, 100.0 + sizes)


@pytest.mark.parametrize(
    "spec",
    [
        pytest.param(spec, marks=pytest.mark.slow) if "smac" in spec else spec
        for spec in (*CONTESTANTS, "asha+ours", "hyperband+ours-random")
    ],
)
def test_many_are_looked_at_and_few_are_trained_fully(small, spec):
    pytest.importorskip(NEEDS.get(spec.partition("-")[0], "numpy"), reason="extra bench")
    steps = replay(spec, small, seed=0, budget=8.0)["steps"]
    looks = [step for step in steps if step["epochs"] == LOOK]
    full = [step for step in steps if step["epochs"] == FULL]
    assert len(looks) + len(full) == len(steps)
    assert len(looks) > len(full) > 0
    seen = {step["row"] for step in looks}
    promoted = [step for step in full if step["row"] in seen]
    assert promoted  # Hyperband also starts some fully
    assert np.mean([step["loss"] for step in promoted]) < np.mean(
        [step["loss"] - 5.0 for step in looks]
    )


def test_who_knows_no_looks_trains_fully(small):
    steps = replay("random", small, seed=0, budget=5.0)["steps"]
    assert {step["epochs"] for step in steps} == {FULL}


def test_the_factor_is_how_few_are_promoted(small):
    def full(spec):
        steps = replay(spec, small, seed=0, budget=4.0)["steps"]
        return sum(step["epochs"] == FULL for step in steps) / len(steps)

    assert full("asha+ours-random?factor=8") < full("asha+ours-random?factor=2")


def test_the_clock_counts_what_every_training_costs(small):
    table, grid = small, small.problem.grid
    assert table.seconds(grid.values((0, 0, 0)), FULL) == 101.0
    assert table.seconds(grid.values((3, 3, 3)), LOOK) == pytest.approx(164.0 * 12 / 200)
    steps = replay("asha+ours-random", small, seed=0, budget=3.0)["steps"]
    costs = [table.seconds(grid.values(step["row"]), step["epochs"]) for step in steps]
    np.testing.assert_allclose(
        [step["time"] for step in steps], np.cumsum(costs) / table.mean_seconds
    )
    assert steps[-1]["time"] <= 3.0


@pytest.mark.parametrize("spec", ["asha+ours", "optuna-hyperband", "keras-tuner-hyperband"])
def test_the_same_seed_gives_the_same_run(small, spec):
    pytest.importorskip(NEEDS.get(spec.partition("-")[0], "numpy"), reason="extra bench")
    one, two, other = (replay(spec, small, seed, 3.0)["steps"] for seed in (1, 1, 2))
    assert [step["row"] for step in one] == [step["row"] for step in two]
    assert [step["row"] for step in one] != [step["row"] for step in other]


def test_unknown_combinations_are_refused(small):
    for spec in ("median+ours", "asha+tpe", "annealing"):
        with pytest.raises(ValueError, match="Unknown"):
            make(spec, small.problem, 0, 10)


@pytest.mark.parametrize("policy", ["", "asha+"])
def test_who_plans_with_the_number_of_trials_is_told_a_likely_one(small, policy):
    for name in ("ours-qlearning", "ours-evolution", "kerasnas.oracles.nsga2:NSGA2"):
        with pytest.raises(ValueError, match="plans with its number of trials, and 3000"):
            make(policy + name, small.problem, 0, 3000)
    for setting, expected in (("trials=40", (40, 10)), ("population_size=7", (3000, 7))):
        made = make(f"{policy}ours-evolution?{setting}", small.problem, 0, 3000)
        oracle = (made.oracle if policy else made.searcher).oracle
        assert (oracle.max_trials, oracle.population_size) == expected


@pytest.mark.parametrize("spec", ["ours", "asha+ours", "hyperband+ours", "asha+ours-local"])
def test_who_does_not_plan_is_the_same_whatever_the_bound(small, spec):
    def rows(bound):
        contestant, found = make(spec, small.problem, 0, bound), []
        for number in range(15):
            look = contestant.ask()
            found.append((look.epochs, tuple(look.values.values())))
            loss = small.observe(*look, np.random.default_rng(number))
            contestant.tell(look, loss)
        return found

    assert rows(20) == rows(3000)


def test_a_told_number_of_candidates_is_the_last(small):
    steps = replay("asha+ours-evolution?trials=6", small, seed=0, budget=50.0)["steps"]
    assert len({step["row"] for step in steps}) == 6


def test_a_full_training_counts_more_than_any_look():
    steps = [
        {"epochs": LOOK, "loss": 9.0},
        {"epochs": LOOK, "loss": 1.0},
        {"epochs": FULL, "loss": 5.0},
        {"epochs": LOOK, "loss": 0.0},
        {"epochs": FULL, "loss": 4.0},
    ]
    assert [step["loss"] for step in incumbents(steps)] == [9.0, 1.0, 5.0, 5.0, 4.0]


def test_a_report_by_hand(small):
    best = max(small.problem.test(values) for values in small.problem.grid.members())

    def run(*changes):
        steps = [
            {"epochs": FULL, "loss": -test, "test": test, "time": when, "seconds": 0.0}
            for when, test in changes
        ]
        return {"budget": 10.0, "steps": steps}

    near, far = best - 0.25, best - 1.0
    runs = {
        "ours": {0: run((2, far), (8, near)), 1: run((4, near))},
        "quick": {0: run((2, near)), 1: run((1, near))},
        "never": {0: run((2, far)), 1: run((2, near))},
    }
    figures = summarise(runs, small)["searchers"]
    assert [figures[name]["mean"] for name in runs] == [8.0, 2.0, np.inf]
    assert [figures[name]["median"] for name in runs] == [8.0, 2.0, np.inf]
    assert [figures[name]["for_good"] for name in runs] == [8.0, 2.0, np.inf]
    assert [figures[name]["first"] for name in runs] == [6.0, 1.5, np.inf]
    assert [figures[name]["never"] for name in runs] == [0, 0, 1]
    assert figures["ours"]["regret"]["5"][0] == pytest.approx(0.625)
    assert figures["quick"]["ratio"][0] == pytest.approx(0.25)
    lines = markdown("small", summarise(runs, small)).splitlines()
    assert [line.split(" | ")[0] for line in lines[4:]] == ["| quick", "| ours", "| never"]
    assert "> 10" in lines[-1]
    assert "| > 0.25 |" in lines[-1]


def test_ratios_pair_seeds():
    def runs(factor):
        return {seed: ([factor * (seed + 1.0)], [0.1]) for seed in range(5)}

    assert ratio(runs(0.5), runs(1.0), before=9.0) == pytest.approx((0.5, 0.5, 0.5))


needs_data = pytest.mark.skipif(
    not os.environ.get("KERASNAS_DATA"), reason="needs KERASNAS_DATA: the folder of tables"
)


@needs_data
def test_finished_runs_are_kept_and_reported(tmp_path):
    arguments = ["--searchers", "random", "optuna-asha", "--seeds", "2", "--budget", "3"]
    folders = ["--cache", str(tmp_path / "cache"), "--output", str(tmp_path / "out")]
    assert main([*arguments, *folders]) == 0
    kept = sorted((tmp_path / "cache").rglob("*.json"))
    assert len(kept) == 4
    written = [path.stat().st_mtime_ns for path in kept]
    assert main([*arguments, *folders]) == 0
    assert [path.stat().st_mtime_ns for path in kept] == written
    report = json.loads((tmp_path / "out" / "fidelity-cifar10.json").read_text())
    assert report["optimum"] == pytest.approx(94.37, abs=0.01)
    assert report["searchers"]["random"]["looks"] == 0


@needs_data
def test_looks_are_the_ones_of_the_papers_comparison():
    problem = load("nb201-looks")
    assert problem.optimum == pytest.approx(100 - 84.892, abs=1e-3)
    best = min(problem.grid.members(), key=problem.truth)
    assert problem.observe(best, np.random.default_rng(0)) == problem.truth(best)
    assert problem.test(best) == pytest.approx(94.37, abs=0.01)

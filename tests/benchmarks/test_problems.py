"""What the problems say of themselves; tables only where they are."""

import os

import numpy as np
import pytest

from benchmarks.problems import TABLES, latencies, load

needs_data = pytest.mark.skipif(
    not os.environ.get("KERASNAS_DATA"), reason="needs KERASNAS_DATA: the folder of tables"
)


def test_unknown_problems_and_missing_tables_are_explained(tmp_path):
    with pytest.raises(ValueError, match="Unknown problem"):
        load("cifar11")
    with pytest.raises(FileNotFoundError, match="Pass the folder that holds it with `--data`"):
        load("macro", str(tmp_path))


@needs_data
@pytest.mark.parametrize(
    ("name", "size", "optimum"),
    [
        ("macro", 6_561, 100 - 93.127),
        ("nb201-cifar10", 15_625, 100 - 91.607),
        ("nb201-cifar100", 15_625, 100 - 73.493),
        ("fcnet-naval", 62_208, -4.496),
        ("fcnet-slice", 62_208, -3.718),
        ("macro-30m", 6_561, 100 - 89.38),
    ],
)
def test_tables_have_their_size_and_optimum(name, size, optimum):
    problem = load(name)
    assert problem.grid.combinations == size
    assert problem.optimum == pytest.approx(optimum, abs=4e-3)


@needs_data
@pytest.mark.parametrize("name", TABLES)
def test_observations_scatter_around_the_truth(name):
    problem, rng = load(name), np.random.default_rng(0)
    differences = []
    for _ in range(300):
        values = problem.grid.draw(rng)
        differences.append(problem.observe(values, rng) - problem.truth(values))
    assert np.isfinite(differences).all()
    assert abs(np.median(differences)) < 0.1
    assert np.std(differences) > 0.01


@needs_data
def test_the_best_macro_network_is_the_papers():
    problem = load("macro")
    ops = ["identity", "mb3_k3", "mb6_k5"]
    values = {f"layer{i}": ops[int(op)] for i, op in enumerate("22212220")}
    assert problem.test(values) == pytest.approx(93.13, abs=0.01)
    assert problem.costs(values)["params"] == 1_985_514
    assert problem.costs(values)["macs"] == pytest.approx(85.2e6, rel=1e-3)


@needs_data
def test_fcnet_rows_are_the_networks_they_say():
    problem, rng = load("fcnet-naval"), np.random.default_rng(0)
    for _ in range(20):
        values = problem.grid.draw(rng)
        one, two = values["n_units_1"], values["n_units_2"]
        weights = (15 + 1) * one + (one + 1) * two + two + 1
        assert problem.costs(values) == {"params": weights}


@needs_data
def test_latencies_are_by_candidate():
    slowest = {f"cell/edge{i}": "nor_conv_3x3" for i in range(6)}
    nothing = {f"cell/edge{i}": "none" for i in range(6)}
    latency = latencies("raspi4")
    assert latency(nothing) < 5.0 < 50.0 < latency(slowest)

"""Hypervolume and front against figures worked out by hand."""

import numpy as np
import pytest

from benchmarks import pareto


def test_hypervolume_of_a_staircase():
    points = np.array([[1.0, 3.0], [2.0, 1.0], [3.0, 3.5], [9.0, 0.0]])
    # 3 x 1 for the first up to 4, then 2 x 2 below it.
    assert pareto.hypervolume(points, (4.0, 4.0)) == pytest.approx(3.0 + 4.0)


def test_points_beyond_the_reference_count_nothing():
    assert pareto.hypervolume(np.array([[5.0, 0.0], [0.0, 5.0]]), (4.0, 4.0)) == 0.0


def test_hypervolume_equals_pymoos():
    indicators = pytest.importorskip("pymoo.indicators.hv")
    points = np.random.default_rng(0).random((50, 2))
    expected = indicators.HV(ref_point=np.array([0.8, 0.9]))(points)
    assert pareto.hypervolume(points, (0.8, 0.9)) == pytest.approx(expected)


def test_the_front_is_what_nothing_beats():
    points = np.array([[1.0, 3.0], [2.0, 1.0], [2.0, 2.0], [1.0, 3.0]])
    assert pareto.front(points).tolist() == [True, True, False, True]


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("spec", ["random", "nsga2", "tpe", "gpsampler"])
def test_searchers_take_two_losses(tiny, spec):
    for module in {"gpsampler": ["optuna", "torch"], "random": []}.get(spec, ["optuna"]):
        pytest.importorskip(module)
    run = pareto.replay(spec, tiny, lambda values: float(values["depth"]), 0, 14)
    assert len(run["steps"]) == 14
    assert {step["latency"] for step in run["steps"]} <= {1.0, 2.0, 3.0}
    assert pareto.volumes(run["steps"], 14)[0] > 0.0


def test_searchers_of_one_objective_are_refused(tiny):
    with pytest.raises(ValueError, match="one objective only"):
        pareto.make("largest", tiny, 0, 10)

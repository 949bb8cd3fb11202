"""Searches of two objectives, replayed."""

import pytest

from benchmarks import pareto


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

import numpy as np
import pytest

from kerasnas.oracles.pareto import hypervolume, nondominated


def test_figures_by_hand():
    losses = np.array([[1, 4], [2, 2], [4, 1], [3, 3], [2, 2], [1, 5]])
    assert list(nondominated(losses)) == [True, True, True, False, True, False]
    # To (5, 5): columns of width 1, 2 and 1 below heights 4, 2 and 1.
    assert hypervolume(losses, np.array([5, 5])) == 1 * 1 + 2 * 3 + 1 * 4


@pytest.mark.parametrize("objectives", [1, 2, 3])
def test_the_nondominated_are_those_that_no_other_dominates(objectives):
    losses = np.random.default_rng(0).integers(0, 6, (40, objectives))
    expected = [
        not any(
            all(a <= b for a, b in zip(other, one, strict=True)) and tuple(other) != tuple(one)
            for other in losses
        )
        for one in losses
    ]
    assert 0 < sum(expected) < 40
    assert list(nondominated(losses)) == expected


def test_one_outcome_stands_and_none_is_no_error():
    assert list(nondominated(np.array([[3.0, 4.0]]))) == [True]
    assert list(nondominated(np.zeros((0, 2)))) == []
    assert hypervolume(np.zeros((0, 2)), np.ones(2)) == 0


def test_what_is_beyond_the_reference_adds_nothing():
    inside, beyond = [[0.5, 0.5]], [[1.0, 0.0], [0.0, 2.0], [3.0, 3.0]]
    assert hypervolume(np.array(inside + beyond), np.ones(2)) == 0.25
    assert hypervolume(np.array(beyond), np.ones(2)) == 0


@pytest.mark.parametrize("objectives", [1, 2, 3, 4])
def test_the_volume_is_the_share_of_points_that_are_dominated(objectives):
    rng = np.random.default_rng(0)
    losses = rng.uniform(0.2, 1, (15, objectives))
    points = rng.uniform(0, 1, (40_000, objectives))
    share = (losses[None] <= points[:, None]).all(axis=2).any(axis=1).mean()
    assert hypervolume(losses, np.ones(objectives)) == pytest.approx(share, abs=0.01)


@pytest.mark.parametrize("reference", [[0.7, 1.1], [0.7, 1.1, 0.9], [1.0, 0.5, 1.2, 0.8]])
@pytest.mark.parametrize("seed", range(3))
def test_the_volume_is_pymoos(seed, reference):
    hv = pytest.importorskip("pymoo.indicators.hv")
    reference = np.array(reference)
    losses = np.random.default_rng(seed).normal(size=(30, len(reference)))
    assert hypervolume(losses, reference) == pytest.approx(hv.HV(reference)(losses))


def test_only_the_nondominated_make_the_area():
    losses = np.random.default_rng(0).uniform(size=(40, 2))
    front = losses[nondominated(losses)]
    assert len(front) < 20
    assert hypervolume(losses, np.ones(2)) == pytest.approx(hypervolume(front, np.ones(2)))

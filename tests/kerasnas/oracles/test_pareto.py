import numpy as np
import pytest

from kerasnas.oracles.pareto import (
    best_spread,
    crowding,
    hypervolume,
    nondominated,
    ranks,
)


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


def test_fronts_and_room_by_hand():
    losses = np.array([[1, 4], [2, 2], [4, 1], [3, 3], [2, 2], [1, 5]])
    assert list(ranks(losses)) == [0, 0, 0, 1, 0, 1]
    front = np.array([[0.0, 8.0], [1.0, 4.0], [3.0, 3.0], [4.0, 0.0]])
    # Of 4 and of 8: from 0 to 3 and from 8 to 3; from 1 to 4 and from 4 to 0.
    assert list(crowding(front)) == [np.inf, 3 / 4 + 5 / 8, 3 / 4 + 4 / 8, np.inf]


def test_no_outcome_and_equal_ones_have_no_room():
    assert list(ranks(np.zeros((0, 2)))) == list(best_spread(np.zeros((0, 2)))) == []
    assert list(crowding(np.zeros((0, 2)))) == []
    assert list(crowding(np.ones((3, 2)))) == [0, 0, 0]
    assert list(best_spread(np.ones((3, 2)))) == [0, 1, 2]


@pytest.mark.parametrize("objectives", [1, 2, 3])
def test_each_front_is_what_stands_without_those_before(objectives):
    losses = np.random.default_rng(0).integers(0, 6, (60, objectives))
    found = ranks(losses)
    left = np.arange(60)
    for front in range(found.max() + 1):
        stands = nondominated(losses[left])
        assert list(left[stands]) == list(np.flatnonzero(found == front))
        left = left[~stands]
    assert not len(left)


@pytest.mark.parametrize("objectives", [2, 3, 4])
@pytest.mark.parametrize("seed", range(3))
def test_fronts_room_and_survivors_are_pymoos(seed, objectives):
    sorting = pytest.importorskip("pymoo.util.nds.non_dominated_sorting")
    metrics = pytest.importorskip("pymoo.operators.survival.rank_and_crowding.metrics")
    losses = np.random.default_rng(seed).normal(size=(50, objectives))
    fronts = sorting.NonDominatedSorting().do(losses)
    found = ranks(losses)
    expected = []
    for number, front in enumerate(fronts):
        front = np.sort(front)
        assert list(front) == list(np.flatnonzero(found == number))
        room = metrics.calc_crowding_distance(losses[front])  # the mean over objectives
        assert crowding(losses[front]) == pytest.approx(room * objectives)
        expected += list(front[np.argsort(-room, kind="stable")])
    assert list(best_spread(losses)) == expected

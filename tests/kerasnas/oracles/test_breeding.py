import numpy as np
import pytest

from kerasnas.oracles.breeding import Breeding
from kerasnas.oracles.candidates import Candidates
from kerasnas.oracles.decisions import Decisions
from kerasnas.testing import MANY_OPTIONS, choices, options


def first(rng):
    return 0


@pytest.fixture
def space():
    return Decisions(choices(*[MANY_OPTIONS] * 6))


def test_every_child_may_be_proposed(space):
    rng = np.random.default_rng(0)
    candidates = Candidates(space, lambda v: {"params": 1 + options(v)}, {"params": 7})
    population = space.encode([{f"d{i}": "option1" for i in range(6)}])
    for _ in range(30):
        row, parent = Breeding(0.0, 1, 0.0).child(candidates, population, first, rng)
        values = space.values(row)
        assert candidates.admits(values)
        assert parent == 0
        candidates.exclude(values)


def test_where_neighbours_are_used_up_children_are_farther(space):
    rng = np.random.default_rng(0)
    candidates = Candidates(space)
    population = space.sample(rng, 1)
    candidates.exclude(space.values(population[0]))
    distances = []
    for _ in range(200):
        row, _ = Breeding(0.0, 1, 0.0).child(candidates, population, first, rng)
        candidates.exclude(space.values(row))
        distances.append(np.sum(row != population[0]))
    assert distances[:10] == [1] * 10
    assert distances.count(1) == 6 * (MANY_OPTIONS - 1)
    assert set(distances) == {1, 2, 3}


def test_where_nothing_may_be_proposed_there_is_no_child(space):
    rng = np.random.default_rng(0)
    candidates = Candidates(space, lambda v: {"params": 1 + options(v)}, {"params": 0.5})
    population = space.sample(rng, 3)
    assert Breeding(0.5, 1, 0.0).child(candidates, population, first, rng) is None


def test_of_two_parents_the_nearer_one_is_named(space):
    rng = np.random.default_rng(0)
    population = np.array([np.zeros(6), np.ones(6)])
    named = []
    for _ in range(200):
        row, parent = Breeding(1.0, 1, 0.0).child(
            Candidates(space), population, lambda rng: int(rng.integers(2)), rng
        )
        shared = np.sum(population == row, axis=1)
        assert shared[parent] == max(shared)
        named.append(parent)
    assert 0.35 < np.mean(named) < 0.65


def test_few_costs_are_asked_for_where_that_takes_long(space):
    asked, measured = [], []

    def costs(values):
        asked.append(values)
        return {"params": 1 + options(values)}

    rng = np.random.default_rng(0)
    rows = space.sample(rng, 40)
    measured += [(v, {"params": 1 + options(v)}) for v in map(space.values, rows)]
    candidates = Candidates(space, costs, {"params": 5}, measured=measured)
    population = rows[np.argsort(rows.sum(axis=1))[:5]]  # the smallest: 8 and less
    for _ in range(10):
        asked.clear()
        Breeding(0.0, 1, 0.0).child(
            candidates, population, lambda rng: int(rng.integers(5)), rng
        )
        assert len(asked) <= 16


def test_edits_that_leave_decisions_open_are_completed(space):
    rng = np.random.default_rng(0)
    population = space.sample(rng, 2)
    row, _ = Breeding(0.0, 1, 1.0).child(
        Candidates(space), population, first, rng, lambda values, rng: {"d2": "option3"}
    )
    assert row[2] == 3
    assert np.all(row >= 0)


def test_without_edits_of_the_space_decisions_are_changed(space):
    rng = np.random.default_rng(0)
    population = space.sample(rng, 2)
    row, _ = Breeding(0.0, 1, 1.0).child(Candidates(space), population, first, rng)
    assert np.sum(row != population[0]) == 1

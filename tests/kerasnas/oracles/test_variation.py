import collections
import functools

import hypothesis
import keras_tuner
import numpy as np
import pytest
from hypothesis import strategies as st

from kerasnas.oracles.decisions import INACTIVE, Decisions
from kerasnas.oracles.variation import crossed, edited, mutated
from kerasnas.testing import choices, conditional, spaces

some = functools.partial(
    hypothesis.settings, max_examples=60, deadline=None, derandomize=True, database=None
)
seeds = st.integers(0, 2**32 - 1)


def drawn(space, seed, count):
    """Decisions, as many random assignments, and a generator to go on with."""
    decisions, rng = Decisions(space), np.random.default_rng(seed)
    return decisions, decisions.sample(rng, count), rng


def check_complete(decisions, row):
    """Check that a row is an assignment of its own values, and lacks nothing."""
    values = decisions.values(row)
    assert decisions.values(decisions.encode([values])[0]) == pytest.approx(values)
    assert np.array_equal(decisions.completed(row[None], np.random.default_rng(0))[0], row)


# --- mutation -----------------------------------------------------------------------------


@hypothesis.given(space=spaces(), seed=seeds)
@some()
def test_a_mutant_differs_in_one_decision_and_what_hangs_on_it(space, seed):
    decisions, (row,), rng = drawn(space, seed, 1)
    before = row.copy()
    mutant = mutated(decisions, row, 1, rng)
    check_complete(decisions, mutant)
    free = [j for j, c in enumerate(decisions.columns) if c.count != 1 and row[j] != INACTIVE]
    in_both = (row != INACTIVE) & (mutant != INACTIVE)
    assert np.sum(row[in_both] != mutant[in_both]) == bool(free)
    assert np.array_equal(row, before)


@hypothesis.given(space=spaces(), seed=seeds, changes=st.integers(0, 8))
@some()
def test_more_changes_make_a_valid_mutant_too(space, seed, changes):
    decisions, (row,), rng = drawn(space, seed, 1)
    mutant = mutated(decisions, row, changes, rng)
    check_complete(decisions, mutant)
    in_both = (row != INACTIVE) & (mutant != INACTIVE)
    assert np.sum(row[in_both] != mutant[in_both]) <= changes


def test_so_many_decisions_change():
    decisions, (row,), rng = drawn(choices(*[3] * 6), 0, 1)
    for changes in range(9):
        assert np.sum(mutated(decisions, row, changes, rng) != row) == min(changes, 6)


def test_every_decision_and_every_other_option_is_as_likely():
    decisions, (row,), rng = drawn(choices(4, 4, 1, 4), 0, 1)
    mutants = [mutated(decisions, row, 1, rng) for _ in range(1800)]
    counts = collections.Counter(tuple(mutant) for mutant in mutants)
    assert len(counts) == 9
    assert all(150 < count < 250 for count in counts.values())  # 200 expected


def test_numbers_go_near_and_far():
    hp = keras_tuner.HyperParameters()
    hp.Float("rate", 0.0, 1.0)
    decisions, rng = Decisions(hp), np.random.default_rng(0)
    row = np.array([0.5])
    steps = np.abs([mutated(decisions, row, 1, rng)[0] - 0.5 for _ in range(400)])
    assert 0.3 < np.mean(steps < 0.05) < 0.7
    assert 0.15 < np.mean(steps > 0.15) < 0.5


def test_a_candidate_that_lacks_a_decision_gets_one():
    decisions, (row,), rng = drawn(choices(3, 3), 0, 1)
    row[1] = INACTIVE
    assert all(mutated(decisions, row, 0, rng)[1] in (0, 1, 2) for _ in range(20))


def test_the_only_candidate_is_its_own_mutant():
    decisions, (row,), rng = drawn(choices(1, 1), 0, 1)
    assert np.array_equal(mutated(decisions, row, 1, rng), row)
    assert mutated(Decisions(choices()), np.zeros(0), 1, rng).shape == (0,)


# --- crossover ----------------------------------------------------------------------------


@hypothesis.given(space=spaces(), seed=seeds)
@some()
def test_a_child_has_each_decision_of_a_parent_that_has_it(space, seed):
    decisions, (one, other), rng = drawn(space, seed, 2)
    child = crossed(decisions, one, other, rng)
    check_complete(decisions, child)
    known = (child != INACTIVE) & ((one != INACTIVE) | (other != INACTIVE))
    assert np.all((child == one)[known] | (child == other)[known])


@hypothesis.given(space=spaces(), seed=seeds)
@some()
def test_crossed_with_itself_a_candidate_stays(space, seed):
    decisions, (row,), rng = drawn(space, seed, 1)
    assert np.array_equal(crossed(decisions, row, row, rng), row)


def test_half_of_a_child_is_of_either_parent():
    decisions, _, rng = drawn(choices(*[2] * 50), 0, 1)
    one, other = np.zeros(50), np.ones(50)
    share = np.mean([crossed(decisions, one, other, rng) for _ in range(100)])
    assert share == pytest.approx(0.5, abs=0.03)


def test_what_both_lack_is_drawn():
    decisions, (one, other), rng = drawn(choices(3, 3, 3), 0, 2)
    one[1] = other[1] = INACTIVE
    assert {crossed(decisions, one, other, rng)[1] for _ in range(40)} == {0, 1, 2}


def test_what_one_lacks_is_the_others():
    decisions, (one, other), rng = drawn(choices(9, 9, 9), 0, 2)
    one[1] = INACTIVE
    assert {crossed(decisions, one, other, rng)[1] for _ in range(40)} == {other[1]}


def test_a_reused_name_comes_with_what_it_belongs_to():
    decisions, rows, rng = drawn(conditional(), 0, 40)
    for one, other in zip(rows[:20], rows[20:], strict=True):
        parents = [decisions.values(one), decisions.values(other)]
        child = decisions.values(crossed(decisions, one, other, rng))
        of_head = [parent["units"] for parent in parents if parent["head"] == child["head"]]
        assert child["units"] in of_head


def test_the_same_generator_gives_the_same_child():
    decisions, (one, other), _ = drawn(conditional(), 3, 2)
    for make in (
        lambda rng: mutated(decisions, one, 2, rng),
        lambda rng: crossed(decisions, one, other, rng),
    ):
        first, second = (make(np.random.default_rng(7)) for _ in "ab")
        assert np.array_equal(first, second)


def test_edits_follow_one_another_and_what_they_leave_open_is_drawn():
    decisions = Decisions(choices(*[9] * 4))
    rng = np.random.default_rng(0)

    def edit(values, rng):
        count = int(values["d0"][-1])
        return {"d0": f"option{count + 1}", "d1": values.get("d1", "option7")}

    rows = [edited(decisions, np.array([0.0, 4.0, 5.0, 6.0]), edit, 3, rng) for _ in range(40)]
    assert all(row[:2].tolist() == [3.0, 4.0] for row in rows)
    assert len({row[2] for row in rows}) > 5

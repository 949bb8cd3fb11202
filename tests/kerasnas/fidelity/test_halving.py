import itertools

import hypothesis
import pytest
from hypothesis import strategies as st

from kerasnas.fidelity import Record, Run, SuccessiveHalving

settings = hypothesis.settings(max_examples=60, deadline=None, derandomize=True, database=None)


def at(level, *losses):
    """Trials that have reached a level with these losses."""
    return [Record(f"{number:04d}", {level: loss}) for number, loss in enumerate(losses)]


def test_the_best_of_three_is_trained_on():
    policy = SuccessiveHalving(9, 1)
    records = at(1.0, 0.3, 0.1, 0.2)
    assert policy.next_run(records[:2], last=False) == 1.0
    assert policy.next_run(records, last=False) == Run("0001", 3.0)


def test_the_highest_level_comes_first():
    records = at(1.0, *[0.5] * 9)
    for number in (0, 1, 2):
        records[number] = Record(f"{number:04d}", {1.0: 0.1, 3.0: 0.3 - 0.1 * number})
    records += [Record("0009", {1.0: 0.2}), *at(1.0, 0.5, 0.5)]
    assert SuccessiveHalving(9, 1).next_run(records, last=False) == Run("0002", 9.0)


def test_a_better_one_that_comes_late_waits_until_there_are_enough():
    records = at(1.0, 0.2, 0.3, 0.4, 0.1)
    records[0] = Record("0000", {1.0: 0.2}, running=3.0)
    policy = SuccessiveHalving(9, 1)
    assert policy.next_run(records, last=False) == 1.0
    records += [Record("0004", {1.0: 0.5}), Record("0005", {1.0: 0.6})]
    assert policy.next_run(records, last=False) == Run("0003", 3.0)


def test_none_below_the_best_third_is_trained_on():
    records = at(1.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6)
    records[0] = Record("0000", {1.0: 0.1}, settled=True)  # failed at the next level
    records[1] = Record("0001", {1.0: 0.2}, running=3.0)
    assert SuccessiveHalving(9, 1).next_run(records, last=False) == 1.0


def test_equal_trials_are_trained_on_in_their_order():
    records = at(1.0, 0.5, 0.5, 0.5)
    assert SuccessiveHalving(9, 1).next_run(records, last=False) == Run("0000", 3.0)


def test_a_trial_that_was_given_up_counts_as_tried():
    stopped = Record("0002", {2.0: 0.9}, curve=(0.9, 0.9), settled=True)
    failed = Record("0003", settled=True)
    policy = SuccessiveHalving(27, 3)
    assert policy.next_run(at(3.0, 0.1, 0.2), last=False) == 3.0
    assert policy.next_run([*at(3.0, 0.1, 0.2), stopped], last=False) == Run("0000", 9.0)
    assert policy.next_run([*at(3.0, 0.1, 0.2), failed], last=False) == Run("0000", 9.0)
    assert policy.next_run([*at(3.0, 0.1), stopped], last=False) == 3.0


def test_at_the_end_the_best_goes_all_the_way_if_none_has():
    policy = SuccessiveHalving(9, 1)
    records = at(1.0, 0.3, 0.1)
    assert policy.next_run(records, last=False) == 1.0
    assert policy.next_run(records, last=True) == Run("0001", 3.0)
    records[1] = Record("0001", {1.0: 0.1}, running=3.0)
    assert policy.next_run(records, last=True) == 1.0  # it waits
    records[1] = Record("0001", {1.0: 0.1, 3.0: 0.1})
    assert policy.next_run(records, last=True) == Run("0001", 9.0)
    records[1] = Record("0001", {1.0: 0.1, 3.0: 0.1}, settled=True)
    assert policy.next_run(records, last=True) == Run("0000", 3.0)  # the other failed
    records[1] = Record("0001", {1.0: 0.1, 3.0: 0.1, 9.0: 0.1})
    assert policy.next_run(records, last=True) == 1.0


@hypothesis.given(
    trials=st.integers(1, 60),
    workers=st.integers(1, 5),
    factor=st.sampled_from([2, 2.5, 3, 4]),
    failing=st.sampled_from([0.0, 0.0, 0.2, 0.9]),
    seed=st.integers(0, 1000),
)
@settings
def test_any_search_ends_with_trials_at_the_highest_level_and_no_more_than_a_share_above_each(
    simulate, trials, workers, factor, failing, seed
):
    # That no run is wanted of a trial that runs, failed or is there, the simulation checks.
    policy = SuccessiveHalving(27, 1, factor=factor)
    search = simulate(policy, workers=workers, failing=failing, seed=seed)
    records = search.play(trials)
    assert len(records) == trials
    tried = [sum(run[2] == level for run in search.runs) for level in policy.levels]
    assert tried[0] == trials
    alone = len(policy.levels)  # who is brought up where halving allows none, and failures
    for below, above in itertools.pairwise(tried):
        assert above <= max(below / factor, 1 if not failing else alone * trials)
    if not failing:
        assert search.trained()[-1] >= 1
    elif not search.trained()[-1]:
        assert all(record.settled for record in records)


def test_listed_levels_get_the_same_training_each_unless_told_otherwise(simulate):
    search = simulate(SuccessiveHalving([10, 50, 100]))
    search.play(100)
    assert search.trained() == [100, 20, 10]
    search = simulate(SuccessiveHalving([10, 50, 100], factor=2))
    search.play(100)
    assert search.trained() == [100, 50, 25]
    search = simulate(SuccessiveHalving([0.5, 1.0], dimension="resolution"))
    search.play(100)
    assert search.trained() == [100, 25]


@hypothesis.given(trials=st.integers(1, 60), seed=st.integers(0, 1000))
@settings
def test_one_after_the_other_it_promotes_what_halving_of_the_whole_would(
    simulate, trials, seed
):
    search = simulate(SuccessiveHalving(9, 1), seed=seed)
    search.play(trials)
    first, second, third = search.trained()
    assert first == trials
    assert second == max(trials // 3, 1)
    assert third == max(second // 3, 1)


def test_most_of_the_best_third_are_found_although_nobody_waits(simulate):
    search = simulate(SuccessiveHalving(3, 1), seed=1)
    records = search.play(90)
    ranked = sorted(records, key=lambda record: record.losses[1.0])
    promoted = {record.trial_id for record in records if 3.0 in record.losses}
    assert len(promoted) == 30
    assert sum(record.trial_id in promoted for record in ranked[:30]) >= 24


def test_the_same_records_give_the_same_answer_whatever_was_asked_before(simulate):
    search = simulate(SuccessiveHalving(27, 1), workers=3)
    records = list(search.play(40))
    fresh = SuccessiveHalving(27, 1)
    for count in range(40):
        assert fresh.next_run(records[:count], last=False) == search.policy.next_run(
            records[:count], last=False
        )


def test_policies_that_answer_alike_read_alike():
    assert repr(SuccessiveHalving(27)) == repr(SuccessiveHalving([3, 9, 27], factor=3))
    assert repr(SuccessiveHalving(27)) != repr(SuccessiveHalving(27, factor=4))
    assert SuccessiveHalving(27).settings(9.0, 3.0) == {
        "tuner/epochs": 9,
        "tuner/initial_epoch": 3,
    }


def test_an_unknown_dimension_is_refused():
    with pytest.raises(ValueError, match="dimension='steps'"):
        SuccessiveHalving(27, dimension="steps")

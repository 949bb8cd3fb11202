import numpy as np
import pytest
import scipy.stats

from kerasnas.fidelity import Record, SuccessiveHalving
from kerasnas.fidelity.calibration import expected, forecast, reached

LEVELS = (3.0, 9.0, 27.0)


def test_what_was_trained_fully_counts_as_it_is():
    records = [
        Record("0000", {3.0: 0.5, 9.0: 0.3, 27.0: 0.21}),
        Record("0001", {3.0: 0.6, 9.0: 0.4, 27.0: 0.33}),
    ]
    assert list(expected(records, LEVELS)) == [0.21, 0.33]


def test_lower_levels_go_up_level_by_level():
    records = [
        Record("0000", {3.0: 0.5, 9.0: 0.3, 27.0: 0.2}),
        Record("0001", {3.0: 0.5, 9.0: 0.3}),
        Record("0002", {3.0: 0.5}),
    ]
    assert list(expected(records, LEVELS)) == pytest.approx([0.2, 0.2, 0.2])


def test_without_pairs_losses_stay_within_their_level():
    records = [Record("0000", {3.0: 0.5}), Record("0001", {3.0: 0.4})]
    assert list(expected(records, LEVELS)) == [0.5, 0.4]


def test_without_pairs_brackets_are_shifted_by_their_medians():
    records = [
        *(Record(f"{i:04d}", {3.0: loss}) for i, loss in enumerate([0.5, 0.6, 0.9])),
        *(Record(f"{i:04d}", {9.0: loss}) for i, loss in enumerate([0.2, 0.3, 0.4], start=3)),
    ]
    assert list(expected(records, LEVELS)) == pytest.approx([0.2, 0.3, 0.6, 0.2, 0.3, 0.4])


def test_one_pair_makes_differences_shrink_as_power_laws_do():
    records = [
        Record("0000", {3.0: 0.5, 27.0: 0.2}),
        Record("0001", {3.0: 0.6}),
        Record("0002", {3.0: 0.8}),
    ]
    assert list(expected(records, (3.0, 27.0))) == pytest.approx([0.2, 0.2 + 0.1 / 3, 0.3])


def test_no_trial_is_no_error():
    assert expected([], LEVELS).shape == (0,)


def test_the_order_within_a_level_is_kept():
    rng = np.random.default_rng(0)
    losses = rng.uniform(size=30)
    records = [Record(f"{i:04d}", {3.0: loss}) for i, loss in enumerate(losses)]
    for number in np.argsort(losses)[:10]:
        later = losses[number] - rng.uniform()  # says nothing, and is noisy
        records[number] = Record(f"{number:04d}", {3.0: losses[number], 9.0: later})
    found = expected(records, LEVELS)
    unpromoted = np.argsort(losses)[10:]
    assert (np.diff(found[unpromoted]) >= 0).all()


def test_one_promotion_that_failed_to_learn_leaves_the_others_be():
    rng = np.random.default_rng(0)
    losses = rng.uniform(0.3, 0.5, 30)
    records = [Record(f"{i:04d}", {3.0: loss}) for i, loss in enumerate(losses)]
    for number in range(8):
        records[number] = Record(
            f"{number:04d}", {3.0: losses[number], 9.0: losses[number] - 0.2}
        )
    usual = expected(records, (3.0, 9.0))[8:]
    records[3] = Record("0003", {3.0: losses[3], 9.0: 100.0})
    assert expected(records, (3.0, 9.0))[8:] == pytest.approx(usual, abs=0.1)


def test_it_predicts_better_than_the_losses_alone(simulate):
    # Losses like those of networks: a common gain, differences that shrink, noise at both.
    rng = np.random.default_rng(1)
    true = rng.gamma(2.0, 0.05, 90)

    def loss(number, level):
        noise = 0.06 / level**0.5 * rng.normal()
        return 0.1 + true[number] * (1 + level**-0.5) + level**-0.7 + noise

    policy = SuccessiveHalving(27)
    records = simulate(policy, loss).play(90)
    found = policy.expected(records)
    ideal = 0.1 + true * (1 + 27**-0.5) + 27**-0.7
    raw = np.array([record.loss for record in records])
    unpromoted = np.array([record.level < 27 for record in records])
    assert np.abs(found - ideal)[unpromoted].mean() < 0.05
    assert np.abs(raw - ideal)[unpromoted].mean() > 0.15
    assert scipy.stats.spearmanr(found, ideal)[0] > 0.8


class TestStopped:
    """Trials that were stopped between two levels."""

    OTHERS = (
        Record("0000", {4.0: 0.3}, curve=(0.9, 0.6, 0.4, 0.3)),
        Record("0001", {4.0: 0.2}, curve=(0.8, 0.5, 0.3, 0.2)),
    )

    def test_they_go_on_as_others_did_from_there(self):
        stopped = Record("0002", {2.0: 0.6}, curve=(0.9, 0.6), settled=True)
        found = expected([*self.OTHERS, stopped], (4.0,))
        assert found[2] == pytest.approx(0.3, abs=0.03)
        assert list(found[:2]) == [0.3, 0.2]

    def test_with_nobody_to_compare_them_they_stay(self):
        stopped = Record("0002", {2.0: 0.6}, curve=(0.9, 0.6), settled=True)
        assert list(expected([stopped], (4.0,))) == [0.6]

    def test_a_level_above_all_counts_as_the_highest(self):
        assert list(expected([Record("0000", {8.0: 0.6})], (2.0, 4.0))) == [0.6]

    def test_only_those_count_that_came_the_same_way(self):
        straight = [Record(f"{i}", {4.0: 0.1}, curve=(0.9, 0.8, 0.7, 0.1)) for i in range(3)]
        paused = Record("9", {2.0: 0.8, 4.0: 0.3}, curve=(0.9, 0.8, 0.5, 0.3))
        running = Record("5", {2.0: 0.8}, curve=(0.9, 0.8, 0.5), running=4.0)
        told = forecast([*straight, paused, running], running, 4.0)
        assert told.pairs == 1
        assert told.mean(0.5) == pytest.approx(0.3)
        assert forecast([*straight, running], running, 4.0) is None


def test_a_run_is_judged_by_its_best_finite_epoch():
    record = Record("0000", {2.0: 0.1}, curve=(0.1, 0.2, np.nan, 0.5, 0.4, 0.6))
    assert reached(record, 2.0) == 0.4
    assert reached(record, 2.0, 4) == 0.5
    assert reached(record, 2.0, 3) == np.inf

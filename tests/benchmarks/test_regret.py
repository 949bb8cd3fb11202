"""Regret and ratios against figures worked out by hand."""

import numpy as np
import pytest

from benchmarks.regret import (
    below_for_good,
    best_peer,
    compare,
    first_below,
    mean_and_error,
    over_time,
    paired,
    returned,
    simple_regret,
    trials_to_reach,
)


def test_simple_regret_is_the_best_truth_so_far_less_the_optimum():
    regret = simple_regret([5.0, 3.0, 4.0, 2.5], optimum=2.0, trials=6)
    np.testing.assert_allclose(regret, [3.0, 1.0, 1.0, 0.5, 0.5, 0.5])


def test_regret_is_never_negative():
    np.testing.assert_array_equal(simple_regret([1.0], optimum=2.0, trials=2), [0.0, 0.0])


def test_what_is_returned_is_the_best_observation():
    steps = [{"loss": 2.0, "test": 90.0}, {"loss": 1.0, "test": 80.0}, {"loss": 0.0}]
    assert returned(steps, 2)["test"] == 80.0


def test_mean_and_standard_error():
    mean, error = mean_and_error([1.0, 2.0, 3.0])
    assert (mean, error) == (2.0, pytest.approx(1.0 / 3**0.5))
    assert np.isnan(mean_and_error([1.0])[1])


def test_paired_differences_are_over_common_seeds():
    mean, error = paired({0: 1.0, 1: 4.0, 2: 9.0}, {0: 0.0, 1: 2.0, 3: 5.0})
    assert (mean, error) == (1.5, pytest.approx(0.5))


def test_runs_are_brought_to_common_times():
    times, values = over_time([([1.0, 3.0], [0.8, 0.2]), ([2.0], [0.5])], before=1.0)
    np.testing.assert_array_equal(times, [1.0, 2.0, 3.0])
    np.testing.assert_array_equal(values, [[0.8, 0.8, 0.2], [1.0, 0.5, 0.5]])


def test_the_first_time_counts_and_never_is_infinite():
    times = np.array([1.0, 2.0, 3.0])
    curve = np.array([[0.9, 0.4, 0.6], [0.3, 0.3, 0.3], [0.9, 0.8, 0.7]])
    np.testing.assert_array_equal(first_below(times, curve, 0.4), [2.0, 1.0, np.inf])


def test_for_good_is_after_the_last_time_above():
    times = np.array([1.0, 2.0, 3.0])
    assert below_for_good(times, np.array([0.1, 0.9, 0.2]), 0.5) == 3.0
    assert below_for_good(times, np.array([0.5, 0.1, 0.2]), 0.5) == 1.0
    assert below_for_good(times, np.array([0.1, 0.2, 0.6]), 0.5) == np.inf


def curves(*figures):
    return {seed: np.array(curve, dtype=float) for seed, curve in enumerate(figures)}


def test_the_best_peer_has_the_lowest_average_over_the_checkpoints():
    peers = {"early": curves([1, 1, 1, 1]), "late": curves([9, 3, 0.5, 0.2])}
    assert best_peer(peers, [2, 4]) == "early"
    assert best_peer(peers, [3, 4]) == "late"


def test_trials_to_reach_a_regret():
    run = curves([4, 2, 0], [2, 2, 2])
    assert trials_to_reach(run, 3.0) == 1
    assert trials_to_reach(run, 1.0) == 3
    assert trials_to_reach(run, 0.5) is None


def test_ratios_by_hand():
    ours = {"a": curves([0.98, 0.18], [0.98, 0.18], [0.98, 0.18])}
    peer = {"a": {"peer": curves([1.98, 0.78], [1.98, 0.78])}}
    result = compare(ours, peer, {"a": [1, 2]}, repeats=50)
    assert result["ratio"] == pytest.approx((0.5 * 0.25) ** 0.5)
    assert result["ratio_first"] == pytest.approx(0.5)
    assert result["ratio_interval"] == pytest.approx([result["ratio"]] * 2)
    assert result["problems"]["a"]["seeds"] == 2
    assert result["trials"] == 2


def test_the_bootstrap_pairs_seeds():
    # The peer is twice as far in every seed, so all samples give the same ratio of means.
    rng = np.random.default_rng(0)
    ours = rng.uniform(1, 9, size=(8, 1)) * np.ones((8, 3))
    doubled = 2 * ours + 0.02  # so that the ratio with the floor is exactly 1/2
    result = compare(
        {"a": curves(*ours)}, {"a": {"peer": curves(*doubled)}}, {"a": [1, 3]}, repeats=200
    )
    assert result["ratio"] == pytest.approx(0.5)
    assert result["ratio_interval"] == pytest.approx([0.5, 0.5])


def test_problems_are_averaged_geometrically():
    ours = {"a": curves([0.48]), "b": curves([1.98])}
    peer = {"a": {"p": curves([0.98])}, "b": {"p": curves([0.98])}}
    result = compare(ours, peer, {"a": [1], "b": [1]}, repeats=20)
    assert result["ratio"] == pytest.approx(1.0)
    assert result["trials"] is None  # never reached on `b`

import math

import numpy as np
import pytest
from sklearn.metrics import roc_curve

from search_spaces.diagnosis import (
    at_threshold,
    auc_interval,
    sensitivity_at,
    threshold_at,
    wilson,
)
from search_spaces.roc import roc_auc


def draw(rng, ill, healthy, separation):
    labels = np.repeat([1, 0], [ill, healthy])
    return labels, rng.normal(labels * separation)


def delong_by_pairs(labels, scores, z=1.959963984540054):
    """DeLong's variance by its definition: the mean over all pairs, of each example."""
    ill, healthy = scores[labels == 1], scores[labels == 0]
    wins = (ill[:, None] > healthy) + 0.5 * (ill[:, None] == healthy)
    variance = wins.mean(1).var(ddof=1) / len(ill) + wins.mean(0).var(ddof=1) / len(healthy)
    area = wins.mean()
    centre, half = math.log(area / (1 - area)), z * math.sqrt(variance) / (area * (1 - area))
    return [1 / (1 + math.exp(-end)) for end in (centre - half, centre + half)]


@pytest.mark.parametrize("decimals", [0, 8])
def test_delong_is_that_of_the_definition_ties_included(decimals):
    labels, scores = draw(np.random.default_rng(0), 23, 31, 1.0)
    scores = scores.round(decimals)
    found = auc_interval(labels, scores)
    assert found.value == roc_auc(labels, scores)
    assert found[1:] == pytest.approx(delong_by_pairs(labels, scores))


@pytest.mark.parametrize("method", ["delong", "newcombe"])
@pytest.mark.parametrize(("separation", "size"), [(1.0, 30), (2.0, 60)])
def test_intervals_hold_the_true_area_about_as_often_as_they_say(method, separation, size):
    # Of two normal distributions the area is the distribution at their distance over root 2.
    area = 0.5 * (1 + math.erf(separation / 2))
    rng = np.random.default_rng(1)
    inside = 0
    for _ in range(1000):
        _, low, high = auc_interval(*draw(rng, size, size, separation), method=method)
        inside += low <= area <= high
    assert 0.92 <= inside / 1000 <= 0.98  # three standard errors are 0.02


def test_the_three_methods_agree_on_a_large_test():
    labels, scores = draw(np.random.default_rng(2), 400, 400, 1.0)
    intervals = [
        auc_interval(labels, scores, method=method)
        for method in ("delong", "newcombe", "bootstrap")
    ]
    for found in intervals[1:]:
        assert found == pytest.approx(intervals[0], abs=0.005)


def test_a_faultless_small_test_proves_little():
    found = auc_interval([0] * 10 + [1] * 10, range(20))
    assert found.value == found.high == 1
    # The area at which such a test would be 1.96 standard errors off, by a root of its own.
    z, mean = 1.959963984540054, 9.0
    areas = np.linspace(0.5, 1, 500_001)[:-1]
    spread = 1 + mean * (1 - areas) / (2 - areas) + mean * areas / (1 + areas)
    off = (1 - areas) / np.sqrt(areas * (1 - areas) * spread / 100)
    assert found.low == pytest.approx(areas[np.argmin(np.abs(off - z))], abs=1e-5)
    assert 0.6 < found.low < 0.9
    worst = auc_interval([1] * 10 + [0] * 10, range(20))
    assert worst.low == 0
    assert worst.high == pytest.approx(1 - found.low)


def test_more_confidence_and_fewer_people_make_intervals_wider():
    def width(size, confidence):
        labels = np.tile([1, 0], size)
        scores = np.tile([3.0, 1.0, 2.0, 2.5], size // 2)
        _, low, high = auc_interval(labels, scores, confidence)
        return high - low

    assert width(100, 0.95) < width(100, 0.99) < width(20, 0.99)


def test_the_bootstrap_repeats_itself_by_its_seed():
    labels, scores = draw(np.random.default_rng(3), 12, 12, 1.0)
    one, again, other = (
        auc_interval(labels, scores, method="bootstrap", seed=seed) for seed in (0, 0, 1)
    )
    assert one == again
    assert one != other


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"method": "exact"}, "Received: method='exact'"),
        ({"confidence": 95}, r"Received: confidence=95\."),
        ({"labels": [0, 0, 0, 1]}, "1 positives and 3 negatives"),
    ],
)
def test_what_gives_no_interval_is_refused(arguments, said):
    with pytest.raises(ValueError, match=said):
        auc_interval(**{"labels": [0, 0, 1, 1], "scores": [1, 2, 3, 4], **arguments})


@pytest.mark.parametrize("wanted", [0.0, 0.31, 0.5, 0.8, 0.9, 0.95, 1.0])
@pytest.mark.parametrize("decimals", [0, 8])
def test_no_other_threshold_of_that_specificity_is_more_sensitive(wanted, decimals):
    labels, scores = draw(np.random.default_rng(4), 40, 50, 1.0)
    scores = scores.round(decimals)
    false_alarms, sensitivities, _ = roc_curve(labels, scores, drop_intermediate=False)
    best = sensitivities[1 - false_alarms >= wanted - 1e-9].max()
    found = sensitivity_at(labels, scores, wanted)
    assert found.specificity.value >= wanted
    assert found.sensitivity.value == pytest.approx(best)


def test_a_threshold_is_found_on_some_data_and_applied_to_other():
    threshold = threshold_at([0, 0, 0, 0, 1, 1], [1, 2, 3, 6, 4, 8], 0.75)
    assert threshold == 3.5
    point = at_threshold([0, 0, 1, 1, 1], [1, 5, 2, 4, 9], threshold)
    assert (point.threshold, point.specificity.value) == (3.5, 0.5)
    assert point.sensitivity == wilson(2, 3)


def test_thresholds_at_the_ends_call_all_or_none_positive():
    labels, scores = [0, 1, 0, 1], [2.0, 2.0, 1.0, 2.0]
    assert threshold_at(labels, scores, 0.0) == -math.inf
    strict = threshold_at(labels, scores, 1.0)
    assert strict > 2
    assert at_threshold(labels, scores, strict).sensitivity.value == 0
    assert threshold_at(labels, np.nextafter(0.0, [0.0, 1.0, 0.0, 1.0]), 1.0) > 0
    with pytest.raises(ValueError, match=r"Received: specificity=90\."):
        threshold_at(labels, scores, 90)


@pytest.mark.parametrize(
    ("successes", "trials", "low", "high"),
    [
        # Newcombe, "Two-sided confidence intervals for the single proportion", 1998, table I.
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0, 0.1611),
        (1, 29, 0.0061, 0.1718),
    ],
)
def test_wilsons_interval_is_that_of_the_published_examples(successes, trials, low, high):
    assert wilson(successes, trials) == pytest.approx(
        (successes / trials, low, high), abs=1e-4
    )


def test_a_share_of_nothing_is_refused():
    assert str(wilson(20, 20)) == "1.000 (0.839 to 1.000)"
    for successes, trials in [(0, 0), (3, 2)]:
        with pytest.raises(ValueError, match=f"of trials={trials}"):
            wilson(successes, trials)

import hypothesis
import numpy as np
import pytest
from hypothesis import strategies as st

from kerasnas.oracles.warping import compressed

LOSSES = np.array([0.08, 0.1, 0.11, 0.13, 0.2, 0.35, 0.9])
scores = st.lists(st.integers(-1000, 1000), min_size=1, max_size=30).map(
    lambda numbers: np.array(numbers, dtype=float)
)
settings = hypothesis.settings(max_examples=50, deadline=None, derandomize=True, database=None)


@hypothesis.given(
    losses=scores, scale=st.sampled_from([2.0**-40, 3.0, 2.0**40]), shift=st.integers(-50, 50)
)
@settings
def test_neither_unit_nor_origin_matters(losses, scale, shift):
    np.testing.assert_allclose(
        compressed(scale * (losses + shift)), compressed(losses), rtol=1e-6, atol=1e-9
    )


@hypothesis.given(losses=scores)
@settings
def test_they_are_standardised_and_keep_their_order(losses):
    ours = compressed(losses)
    assert ours.mean() == pytest.approx(0.0, abs=1e-9)
    assert ours.std() == pytest.approx(1.0 if np.ptp(losses) else 0.0)
    assert (np.diff(ours[np.argsort(losses)]) >= 0).all()


def test_different_losses_stay_different():
    assert (np.diff(compressed(LOSSES)) > 0).all()


def test_the_good_half_is_left_as_it_is():
    ours, losses = compressed(LOSSES)[:4], LOSSES[:4]
    np.testing.assert_allclose(np.diff(ours) / np.diff(losses), np.ptp(ours) / np.ptp(losses))


def test_the_bad_tail_is_drawn_in():
    ours = compressed(LOSSES)
    slopes = np.diff(ours[3:]) / np.diff(LOSSES[3:])
    assert (np.diff(slopes) < 0).all()


@pytest.mark.parametrize("absurd", [1e3, 1e30, 1e300])
def test_one_absurd_score_leaves_room_for_the_others(absurd):
    ours = compressed(np.append(LOSSES, absurd))
    assert np.isfinite(ours).all()
    assert ours[-1] == ours.max()
    assert ours[4] - ours[0] > 0.2


@pytest.mark.parametrize("count", [1, 2, 7])
def test_equal_losses_are_all_zero(count):
    np.testing.assert_allclose(compressed(np.full(count, 0.3)), 0.0, atol=1e-12)


def test_a_best_that_most_share_is_told_from_the_rest():
    ours = compressed(np.array([1.0, 1.0, 1.0, 1.0, 2.0]))
    assert ours[4] > ours[0] == ours[3]

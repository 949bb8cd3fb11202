import hypothesis
import numpy as np
import pytest
import scipy.stats
from hypothesis import strategies as st

from kerasnas.fidelity.forecast import Forecast

settings = hypothesis.settings(max_examples=50, deadline=None, derandomize=True, database=None)


def pairs(count, *, slope=0.5, noise=0.02, seed=0):
    rng = np.random.default_rng(seed)
    before = rng.normal(0.3, 0.1, count)
    return before, 0.1 + slope * before + noise * rng.normal(size=count)


def test_one_pair_shifts_and_keeps_the_differences():
    line = Forecast.fit(np.array([0.3]), np.array([0.2]), spread=0.1)
    assert [line.mean(loss) for loss in (0.3, 0.4, 0.6)] == pytest.approx([0.2, 0.3, 0.5])


def test_differences_are_taken_to_shrink_with_the_root_of_the_training():
    line = Forecast.fit(np.array([0.3]), np.array([0.2]), spread=0.1, share=1 / 9)
    assert line.mean(0.6) == pytest.approx(0.2 + 0.3 / 3)


@pytest.mark.parametrize("share", [0.1, 1.0])
@pytest.mark.parametrize("slope", [0.2, 1.0, 2.5])
def test_many_pairs_say_what_the_line_is(slope, share):
    before, after = pairs(300, slope=slope)
    line = Forecast.fit(before, after, spread=0.1, share=share)
    assert line.slope == pytest.approx(slope, abs=0.05)
    assert line.mean(0.3) == pytest.approx(0.1 + slope * 0.3, abs=0.01)
    assert line.deviation == pytest.approx(0.02, abs=0.004)


def test_what_looked_better_is_never_expected_to_end_worse():
    before, after = pairs(100, slope=-2.0)
    assert Forecast.fit(before, after, spread=0.1).slope == 0.0


def test_a_training_that_diverged_does_not_move_the_others():
    before, after = pairs(10)
    after[3] = 50.0
    line = Forecast.fit(before, after, spread=0.1)
    assert line.mean(0.3) == pytest.approx(0.25, abs=0.08)


def test_picking_those_that_looked_best_does_not_mislead_the_line():
    # Regression to the mean: of 3,000 trials a noisy first look picks the best tenth, whose
    # looks are too good by far. What a look is worth is what it is worth for anyone.
    rng = np.random.default_rng(0)
    true = rng.normal(0.3, 0.1, 3000)
    look = true + rng.normal(0, 0.1, 3000)
    after = true + rng.normal(0, 0.01, 3000)
    picked = np.argsort(look)[:300]
    line = Forecast.fit(look[picked], after[picked], spread=0.14)
    others = np.setdiff1d(np.arange(3000), picked)
    naive = look[others] + np.mean(after[picked] - look[picked])
    ours = np.array([line.mean(loss) for loss in look[others]])
    assert np.mean(ours - true[others]) == pytest.approx(0.0, abs=0.03)
    assert np.mean(naive - true[others]) > 0.1


@pytest.mark.parametrize("count", [5, 20])
def test_chances_are_what_they_say(count):
    # What is promised with less than 10 % does not happen more often than that.
    hits, promised = 0, 0.0
    for seed in range(2000):
        before, after = pairs(count + 1, slope=0.7, noise=0.05, seed=seed)
        line = Forecast.fit(before[:-1], after[:-1], spread=0.1, share=0.5)
        chance = line.chance(before[-1], bound=float(after[:-1].min()))
        if chance < 0.1:
            promised += chance
            hits += after[-1] < after[:-1].min()
    assert promised > 10
    assert hits < 1.2 * promised + 10


def test_chances_are_those_of_students_t():
    line = Forecast(before=0.3, after=0.2, slope=1.0, deviation=0.1, pairs=4.0, leverage=0.04)
    scale = 0.1 * np.sqrt(1 + 1 / 4 + 0.2**2 / 0.04)
    expected = scipy.stats.t(df=4).cdf((0.1 - 0.4) / scale)
    assert line.chance(0.5, 0.1) == pytest.approx(expected)


def test_equal_losses_are_no_error():
    line = Forecast.fit(np.full(4, 0.3), np.full(4, 0.2), spread=0.0)
    assert line.mean(0.3) == pytest.approx(0.2)
    assert (line.chance(0.3, 0.1), line.chance(0.3, 0.25)) == (0.0, 1.0)


@hypothesis.given(
    losses=st.lists(
        st.tuples(st.floats(-1e3, 1e3), st.floats(-1e3, 1e3)), min_size=1, max_size=12
    ),
    spread=st.floats(0, 100),
    share=st.floats(0.01, 1),
)
@settings
def test_any_pairs_give_finite_answers_that_rise_with_the_loss(losses, spread, share):
    before, after = np.array(losses).T
    line = Forecast.fit(before, after, spread=spread, share=share)
    means = [line.mean(loss) for loss in (-2e3, 0.0, 5.0, 2e3)]
    assert np.isfinite(means).all()
    assert means == sorted(means)
    chances = [line.chance(1.0, bound) for bound in (-1e4, 0.0, 1e4)]
    assert all(0.0 <= chance <= 1.0 for chance in chances)
    assert chances == sorted(chances)

import numpy as np
import pytest

from kerasnas.oracles.acquisition import maximise
from kerasnas.oracles.candidates import Candidates
from kerasnas.oracles.decisions import Decisions
from kerasnas.testing import bits, choices, conditional, options


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def total(rows):
    return rows.sum(axis=1)


def test_it_climbs_to_the_top_of_a_large_space(rng):
    candidates = Candidates(Decisions(choices(*[4] * 15)))
    best = maximise(total, candidates, candidates.decisions.sample(rng, 2), rng)
    assert total(best[None])[0] == 45


def test_the_top_that_was_tried_is_left_out(rng):
    candidates = Candidates(Decisions(choices(*[4] * 15)))
    top = np.full(15, 3.0)
    candidates.exclude(candidates.decisions.values(top))
    best = maximise(total, candidates, top[None], rng)
    assert total(best[None])[0] == 44


def test_a_small_space_is_searched_to_the_last_candidate(rng):
    candidates = Candidates(Decisions(bits(4)))
    heights = []
    while (best := maximise(total, candidates, np.zeros((0, 4)), rng)) is not None:
        heights.append(total(best[None])[0])
        candidates.exclude(candidates.decisions.values(best))
    assert len(heights) == 16
    assert heights == sorted(heights, reverse=True)


def test_it_stays_within_tight_limits_at_few_costs(rng):
    asked = []

    def costs(values):
        asked.append(values)
        return {"params": 1 + options(values)}

    candidates = Candidates(Decisions(choices(*[4] * 15)), costs, {"params": 11})
    weights = rng.uniform(0, 1, 15)
    best = maximise(lambda rows: rows @ weights, candidates, np.zeros((1, 15)), rng)
    assert options(candidates.decisions.values(best)) == 10
    # At most three of the fifteen most valuable decisions hold all that the limit allows.
    assert best @ weights >= 0.9 * (3 * np.sort(weights)[-3:].sum() + np.sort(weights)[-4])
    assert len(asked) < 500


def test_flat_scores_still_give_a_candidate(rng):
    candidates = Candidates(Decisions(conditional()))
    row = maximise(
        lambda rows: np.zeros(len(rows)), candidates, candidates.decisions.sample(rng, 0), rng
    )
    assert candidates.admits(candidates.decisions.values(row))

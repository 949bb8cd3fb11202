import numpy as np
import pytest

from kerasnas.oracles.candidates import Candidates
from kerasnas.oracles.decisions import INACTIVE, Decisions
from kerasnas.oracles.maximisation import maximise
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


def test_starts_that_are_better_than_any_random_candidate_are_climbed_from(rng):
    # A needle: only steps from near it go up.
    candidates = Candidates(Decisions(choices(*[4] * 20)))
    top = np.full(20, 3.0)
    start = top.copy()
    start[:2] = 0

    def near(rows):
        return np.maximum(-(rows != top).sum(axis=1), -4.0)

    best = maximise(near, candidates, start[None], rng)
    np.testing.assert_array_equal(best, top)


def test_what_is_proposed_keeps_limits_that_the_model_of_the_costs_gets_wrong(rng):
    def costs(values):  # a digit sum of sorts: nothing to learn
        return {
            "params": 1.0
            + sum((i + 1) * int(str(v)[-1]) for i, v in enumerate(values.values())) % 7
        }

    candidates = Candidates(Decisions(choices(*[4] * 10)), costs, {"params": 2})
    for _ in range(5):
        best = maximise(total, candidates, np.zeros((0, 10)), rng)
        values = candidates.decisions.values(best)
        assert costs(values)["params"] <= 2
        assert candidates.admits(values)
        candidates.exclude(values)


def test_the_same_generator_gives_the_same_candidate():
    candidates = Candidates(Decisions(conditional()))

    def found(seed):
        return maximise(
            lambda rows: np.sin(7 * rows).sum(axis=1),
            candidates,
            np.zeros((0, len(candidates.decisions))),
            np.random.default_rng(seed),
        )

    np.testing.assert_array_equal(found(0), found(0))


def test_a_used_up_space_gives_none(rng):
    candidates = Candidates(
        Decisions(choices(*[4] * 12)),
        lambda values: {"params": 1 + options(values)},
        {"params": 1},
    )
    zeros = np.zeros((0, 12))
    best = maximise(total, candidates, zeros, rng)
    assert not best.any()
    candidates.exclude(candidates.decisions.values(best))
    assert maximise(total, candidates, zeros, rng) is None


def test_a_start_without_any_neighbour_is_no_obstacle(rng):
    candidates = Candidates(Decisions(choices(*[4] * 15)))
    starts = np.stack([np.full(15, INACTIVE), np.zeros(15)])
    best = maximise(total, candidates, starts, rng)
    assert total(best[None])[0] == 45

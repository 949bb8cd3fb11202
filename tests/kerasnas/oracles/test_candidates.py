import keras_tuner
import numpy as np
import pytest

from kerasnas.limits import violation
from kerasnas.oracles.candidates import Candidates, smallest
from kerasnas.oracles.decisions import Decisions
from kerasnas.testing import bits, choices, conditional, options


def counted(function):
    """Count the calls of a function in its attribute `calls`."""

    def call(values):
        call.calls += 1
        return function(values)

    call.calls = 0
    return call


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def test_limits_without_costs_are_refused():
    with pytest.raises(ValueError, match=r"Received: limits=\{'params': 9\}, costs=None"):
        Candidates(Decisions(bits(2)), limits={"params": 9})


def test_what_was_tried_is_not_admitted(rng):
    candidates = Candidates(Decisions(bits(3)))
    values = candidates.decisions.values(candidates.draw(rng))
    assert candidates.admits(values)
    candidates.exclude(values)
    assert not candidates.admits(values)
    assert candidates.admits({**values, "d0": f"option{1 - int(values['d0'][-1])}"})


def test_the_first_that_fits_is_found_without_costing_the_rest(rng):
    costs = counted(lambda values: {"params": options(values)})
    candidates = Candidates(Decisions(bits(12)), costs, {"params": 12})
    candidates.first(candidates.decisions.sample(rng, 1000))
    assert costs.calls == 1


def test_a_cost_is_asked_for_once(rng):
    costs = counted(lambda values: {"params": options(values)})
    candidates = Candidates(Decisions(bits(12)), costs, {"params": 0.5})
    row = candidates.decisions.sample(rng, 1)
    for _ in range(3):
        assert candidates.first(row) is None
    assert costs.calls == 1


def test_only_what_keeps_the_limits_needs_an_identity(rng):
    identity = counted(options)
    candidates = Candidates(
        Decisions(bits(12)),
        lambda values: {"params": options(values)},
        {"params": 0.5},
        identity,
    )
    assert candidates.first(candidates.decisions.sample(rng, 50)) is None
    assert identity.calls == 0


def test_repair_walks_into_the_limits_with_few_costs(rng):
    # One in 10**7 candidates costs so little.
    costs = counted(lambda values: {"params": 1 + options(values)})
    candidates = Candidates(Decisions(choices(*[4] * 20)), costs, {"params": 11})
    start = candidates.decisions.sample(rng, 1)[0]
    row = candidates.repair(start, rng)
    assert costs(candidates.decisions.values(row))["params"] <= 11
    assert costs.calls < 150


def test_repair_leaves_alone_what_fits(rng):
    candidates = Candidates(Decisions(bits(5)))
    row = candidates.decisions.sample(rng, 1)[0]
    np.testing.assert_array_equal(candidates.repair(row, rng), row)


def test_the_last_candidate_of_a_small_space_is_found(rng):
    candidates = Candidates(Decisions(bits(10)))
    members = candidates.decisions.members(1024)
    for row in members[:-1]:
        candidates.exclude(candidates.decisions.values(row))
    np.testing.assert_array_equal(candidates.draw(rng), members[-1])
    candidates.exclude(candidates.decisions.values(members[-1]))
    assert candidates.draw(rng) is None


def test_the_last_candidates_of_a_large_space_are_found(rng):
    candidates = Candidates(
        Decisions(choices(*[4] * 15)),
        lambda values: {"params": 1 + options(values)},
        {"params": 2},
    )
    found = []
    while (row := candidates.draw(rng)) is not None:
        found.append(candidates.decisions.values(row))
        candidates.exclude(found[-1])
    assert len(found) == 16


class TestSmallest:
    def test_it_meets_limits_that_can_be_met(self):
        costs = smallest(
            choices(*[4] * 20), lambda v: {"params": 1 + options(v)}, {"params": 11}
        )
        assert violation(costs, {"params": 11}) == 0

    def test_it_finds_the_smallest_network_where_none_fits(self):
        costs = smallest(
            choices(*[4] * 20),
            lambda values: {"params": 100 + options(values), "macs": 7.0},
            {"params": "50"},
        )
        assert costs == {"params": 100, "macs": 7.0}

    def test_it_works_on_a_conditional_space(self):
        def costs(values):
            return {"params": 10 * values["depth"] + values["units"]}

        assert smallest(conditional(), costs, {"params": 2}) == {"params": 11}

    def test_a_limit_on_an_unknown_cost_is_explained(self):
        with pytest.raises(ValueError, match="No cost is called 'parms'"):
            smallest(bits(2), lambda values: {"params": 1.0}, {"parms": 3})


def test_a_space_without_decisions_has_one_candidate(rng):
    candidates = Candidates(Decisions(keras_tuner.HyperParameters()))
    assert candidates.decisions.values(candidates.draw(rng)) == {}
    candidates.exclude({})
    assert candidates.draw(rng) is None

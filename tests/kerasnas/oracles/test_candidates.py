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


class TestCostModel:
    @staticmethod
    def params(values):
        return {"params": 10.0 + options(values)}

    def test_thousands_are_guessed_from_a_few_hundred(self, rng):
        costs = counted(self.params)
        candidates = Candidates(Decisions(choices(*[4] * 8)), costs, {"params": 18})
        rows = candidates.decisions.sample(rng, 5000)
        broken = candidates.breaks_limits(rows)
        assert costs.calls < 600
        truth = rows.sum(axis=1) > 8
        assert 0.1 < truth.mean() < 0.99
        assert broken[~truth].mean() < 0.05
        assert broken[rows.sum(axis=1) > 12].mean() > 0.9

    def test_without_limits_nothing_breaks_them(self, rng):
        costs = counted(self.params)
        candidates = Candidates(Decisions(bits(4)), costs)
        assert not candidates.breaks_limits(candidates.decisions.sample(rng, 10)).any()
        assert costs.calls == 0

    def test_without_costs_there_is_no_model(self):
        assert Candidates(Decisions(bits(4))).cost_model is None

    def test_the_same_seed_gives_the_same_model(self, rng):
        one, two, other = (
            Candidates(Decisions(choices(*[4] * 8)), self.params, seed=seed)
            for seed in (1, 1, 2)
        )
        rows = one.decisions.sample(rng, 20)
        np.testing.assert_array_equal(
            one.cost_model.predict(rows), two.cost_model.predict(rows)
        )
        assert (one.cost_model.predict(rows) != other.cost_model.predict(rows)).any()

    def test_what_is_slow_to_ask_for_is_modelled_from_what_is_known(self, rng):
        costs, measured = counted(self.params), []
        decisions = Decisions(choices(*[4] * 8))
        candidates = Candidates(decisions, costs, {"params": 18}, measured=measured)
        rows = decisions.sample(rng, 300)
        assert candidates.cost_model is None
        assert not candidates.breaks_limits(rows).any()
        for row in rows[:100]:
            values = decisions.values(row)
            measured.append((values, self.params(values)))
        assert candidates.breaks_limits(rows)[rows.sum(axis=1) > 13].mean() > 0.9
        assert costs.calls == 0

    def test_known_costs_say_where_to_look(self, rng):
        # One candidate in 160 keeps the limit.
        decisions, measured = Decisions(choices(*[4] * 8)), []

        def params(values):
            measured.append((values, self.params(values)))
            return measured[-1][1]

        for row in decisions.sample(rng, 60):
            params(decisions.values(row))
        candidates = Candidates(decisions, params, {"params": 15}, measured=measured)
        row = candidates.draw(rng)
        assert row.sum() <= 5
        assert len(measured) < 60 + 60

    def test_fullness_is_the_share_of_the_tightest_limit(self):
        decisions = Decisions(choices(4))
        candidates = Candidates(
            decisions,
            lambda values: {"params": options(values), "macs": 100.0},
            {"params": 6, "macs": 400},
        )
        assert [candidates.fullness(row) for row in decisions.members(4)] == [
            0.25,
            0.25,
            pytest.approx(1 / 3),
            0.5,
        ]
        assert Candidates(decisions).fullness(decisions.members(4)[0]) == 0.0


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


def test_a_sparing_search_gives_up_after_16_refusals_in_all(rng):
    space = Decisions(bits(12))
    rows = space.sample(rng, 60)
    measured = [
        (values, {"params": 1 + options(values)}) for values in map(space.values, rows)
    ]
    costs = counted(lambda values: {"params": 99.0})
    candidates = Candidates(space, costs, {"params": 6}, measured=measured)
    first = candidates.sparing()
    others = [row for row in space.sample(rng, 400) if row.tolist() not in rows.tolist()]
    assert first(others[:200]) is None
    assert first(others[200:]) is None
    assert costs.calls == 16

import itertools
import json
import math

import hypothesis
import keras_tuner
import numpy as np
import pytest

from kerasnas.oracles.decisions import INACTIVE, Decisions
from kerasnas.testing import bits, choices, conditional, spaces


def only(declare):
    """Return the single column of a space."""
    hp = keras_tuner.HyperParameters()
    declare(hp)
    (column,) = Decisions(hp).columns
    return column


class TestDecision:
    @pytest.mark.parametrize(
        ("declare", "options", "places"),
        [
            (lambda hp: hp.Choice("a", ["x", "y"]), ("x", "y"), None),
            (lambda hp: hp.Choice("a", [16, 16, 32]), (16, 32), [0, 1]),
            (lambda hp: hp.Choice("a", [8, 16, 64]), (8, 16, 64), [0, 0.5, 1]),
            (lambda hp: hp.Choice("a", [3, 5], ordered=False), (3, 5), None),
            (lambda hp: hp.Boolean("a"), (True, False), None),
            (lambda hp: hp.Fixed("a", "x"), ("x",), None),
            (lambda hp: hp.Int("a", 2, 6, step=2), (2, 4, 6), [0, 0.5, 1]),
            (
                lambda hp: hp.Int("a", 2, 16, step=2, sampling="log"),
                (2, 4, 8, 16),
                [0, 1 / 3, 2 / 3, 1],
            ),
            (lambda hp: hp.Float("a", 0, 1, step=0.5), (0.0, 0.5, 1.0), [0, 0.5, 1]),
        ],
    )
    def test_options_are_all_values_once(self, declare, options, places):
        column = only(declare)
        assert column.options == options
        assert [type(value) for value in column.options] == [type(value) for value in options]
        assert column.categorical == (places is None)
        if places is not None:
            np.testing.assert_allclose(column.places, places)

    @pytest.mark.parametrize(
        "declare", [lambda hp: hp.Float("a", 0, 2), lambda hp: hp.Int("a", 1, 10**6)]
    )
    def test_too_many_values_to_list_are_an_interval(self, declare):
        column = only(declare)
        assert column.options is column.count is None
        assert not column.categorical

    def test_an_interval_without_extent_has_one_option(self):
        assert only(lambda hp: hp.Float("a", 2, 2)).options == (2.0,)

    def test_integers_on_a_log_scale_are_all_there_and_log_placed(self):
        column = only(lambda hp: hp.Int("a", 1, 100, sampling="log"))
        assert column.options == tuple(range(1, 101))
        assert column.places[9] == pytest.approx(0.5, abs=0.1)  # 10, between 1 and 100

    @pytest.mark.parametrize("sampling", ["linear", "log", "reverse_log"])
    def test_a_real_value_survives_the_way_there_and_back(self, sampling):
        column = only(lambda hp: hp.Float("a", 1e-4, 1e-1, sampling=sampling))
        for value in (1e-4, 3e-3, 0.0999):
            assert column.value(column.code(value)) == pytest.approx(value)

    def test_many_integers_never_leave_their_range(self):
        column = only(lambda hp: hp.Int("a", 3, 5000, sampling="log"))
        assert column.value(column.codes(np.array([1.0]))[0]) == 5000
        assert column.value(0.0) == 3

    def test_a_number_off_the_grid_counts_as_its_nearest_option(self):
        column = only(lambda hp: hp.Int("a", 10, 100, step=30))
        assert column.value(column.code(45)) == 40

    def test_neighbours_of_a_number_are_near_and_far(self):
        column = only(lambda hp: hp.Int("a", 0, 19))
        moves = column.moves(10.0, np.random.default_rng(0))
        assert list(moves) == [5, 9, 11, 15]
        real = only(lambda hp: hp.Float("a", 0, 1))
        moves = real.moves(0.0, np.random.default_rng(0))
        assert len(moves) == 4
        assert 0 <= moves.min() < moves.max() < 1


class TestDecisions:
    def test_only_active_decisions_have_values(self):
        decisions = Decisions(conditional())
        for row in decisions.sample(np.random.default_rng(0), 50):
            values = decisions.values(row)
            assert ("block2/kind" in values) == (values["depth"] == 3)
            assert ("block0/norm" in values) == (values["block0/kind"] == "conv")
            limit = 256 if values["head"] == "dense" else 4
            assert values["units"] <= limit
            assert json.loads(json.dumps(values)) == values

    def test_equal_candidates_have_equal_rows(self):
        decisions = Decisions(conditional())
        rows = decisions.sample(np.random.default_rng(0), 50)
        again = decisions.encode([decisions.values(row) for row in rows])
        np.testing.assert_allclose(again, rows, atol=1e-9)

    def test_features_are_options_of_what_is_listed_and_places_of_the_rest(self):
        decisions = Decisions(conditional())
        rows = decisions.sample(np.random.default_rng(0), 200)
        indices, places = decisions.features(rows)
        assert indices.shape == (200, len(decisions.listed))
        assert places.shape == (200, decisions.num_real) == (200, 1)
        assert (
            len(decisions.listed) + decisions.num_real == len(decisions) - 1
        )  # the fixed one
        for decision, column in zip(decisions.listed, indices.T, strict=True):
            assert set(column) - {INACTIVE} == set(range(decision.count))
        rate = [np.log10(decisions.values(row)["rate"]) for row in rows]
        np.testing.assert_allclose(places[:, 0], (np.array(rate) + 4) / 3, atol=1e-6)

    def test_inactive_is_inactive_in_either(self):
        hp = keras_tuner.HyperParameters()
        hp.Choice("kind", ["a", "b"])
        with hp.conditional_scope("kind", ["a"]):
            hp.Choice("size", ["x", "y"])
            hp.Float("rate", 0.0, 1.0)
        decisions = Decisions(hp)
        indices, places = decisions.features(decisions.encode([{"kind": "b"}]))
        assert indices.tolist() == [[1, INACTIVE]]
        assert places.tolist() == [[INACTIVE]]

    def test_many_ordered_options_count_as_real_and_many_without_order_do_not(self):
        hp = keras_tuner.HyperParameters()
        hp.Int("few", 0, 9)
        hp.Int("many", 0, 499)
        hp.Choice("names", [f"name{index}" for index in range(100)])
        decisions = Decisions(hp)
        assert [decision.name for decision in decisions.listed] == ["few", "names"]
        indices, places = decisions.features(
            decisions.encode([{"few": 3, "many": 499, "names": "name7"}])
        )
        assert indices.tolist() == [[3, 7]]
        assert places.tolist() == [[1.0]]

    def test_completing_leaves_alone_what_is_there(self):
        decisions = Decisions(conditional())
        rng = np.random.default_rng(0)
        rows = decisions.encode([{"depth": 2, "head": "pool"}, {"block0/kind": "conv"}])
        completed = decisions.completed(rows, rng)
        np.testing.assert_array_equal(completed[rows != INACTIVE], rows[rows != INACTIVE])
        for row in completed:
            values = decisions.values(row)
            assert f"block{values['depth'] - 1}/kind" in values
            assert "units" in values
        whole = decisions.sample(rng, 20)
        np.testing.assert_array_equal(decisions.completed(whole, rng), whole)

    @pytest.mark.parametrize("count", [0, 1, 3])
    def test_mutants_differ_in_so_many_decisions_at_most(self, count):
        decisions = Decisions(choices(*[50] * 8))
        rng = np.random.default_rng(0)
        rows = decisions.sample(rng, 200)
        changed = (decisions.redrawn(rows, np.full(200, count), rng) != rows).sum(axis=1)
        assert changed.max() == count
        assert changed.mean() >= 0.9 * count

    def test_mutants_of_a_conditional_space_are_its_members(self):
        decisions = Decisions(conditional())
        rng = np.random.default_rng(0)
        rows = decisions.sample(rng, 100)
        mutants = decisions.redrawn(rows, rng.integers(1, 4, 100), rng)
        assert (mutants != rows).any(axis=1).mean() > 0.8
        again = decisions.encode([decisions.values(row) for row in mutants])
        np.testing.assert_allclose(again, mutants, atol=1e-9)
        np.testing.assert_array_equal(decisions.completed(mutants, rng), mutants)

    def test_every_option_is_equally_likely(self):
        rows = Decisions(choices(5)).sample(np.random.default_rng(0), 5000)
        assert np.bincount(rows[:, 0].astype(int)).min() > 900

    def test_members_of_a_conditional_space_are_counted_right(self):
        hp = keras_tuner.HyperParameters()
        hp.Choice("kind", ["a", "b", "c"])
        with hp.conditional_scope("kind", ["a", "b"]):
            hp.Choice("size", [1, 2, 3, 4])
            with hp.conditional_scope("size", [4]):
                hp.Boolean("fast")
        decisions = Decisions(hp)
        members = decisions.members(100)
        assert len(members) == 2 * (3 + 2) + 1
        assert len({json.dumps(decisions.values(row)) for row in members}) == len(members)
        assert decisions.members(10) is None
        assert len(decisions.members(11)) == 11

    def test_a_space_with_an_interval_has_no_list_of_members(self):
        assert Decisions(conditional()).members(10**6) is None

    def test_a_space_without_decisions_has_one_member(self):
        decisions = Decisions(keras_tuner.HyperParameters())
        (row,) = decisions.members(1)
        assert decisions.values(row) == {}

    def test_neighbours_are_all_candidates_that_differ_in_one_decision(self):
        decisions = Decisions(choices(3, 2, 4))
        rng = np.random.default_rng(0)
        row = decisions.sample(rng, 1)[0]
        near = decisions.neighbours(row, rng)
        assert len({tuple(other) for other in near}) == 2 + 1 + 3
        assert all((other != row).sum() == 1 for other in near)

    def test_neighbours_fill_what_becomes_active(self):
        decisions = Decisions(conditional())
        rng = np.random.default_rng(0)
        shallow = decisions.encode(
            [
                {
                    "depth": 1,
                    "rate": 1e-3,
                    "version": 1,
                    "block0/kind": "pool",
                    "head": "pool",
                    "units": 2,
                }
            ]
        )[0]
        for row in decisions.neighbours(shallow, rng):
            values = decisions.values(row)
            assert all(f"block{index}/kind" in values for index in range(values["depth"]))
            np.testing.assert_allclose(decisions.encode([values])[0], row, atol=1e-9)

    def test_a_name_with_two_meanings_takes_the_one_whose_condition_holds(self):
        decisions = Decisions(conditional())
        units = [j for j, column in enumerate(decisions.columns) if column.name == "units"]
        rows = decisions.sample(np.random.default_rng(0), 50)
        assert ((rows[:, units] != INACTIVE).sum(axis=1) == 1).all()

    def test_children_may_come_before_their_parents(self):
        hp = conditional()
        hp._space = hp._space[::-1]
        decisions = Decisions(hp)
        for row in decisions.sample(np.random.default_rng(0), 50):
            values = decisions.values(row)
            assert ("block1/kind" in values) == (values["depth"] >= 2)

    def test_a_condition_on_an_interval_works(self):
        hp = keras_tuner.HyperParameters()
        hp.Int("seed", 1, 10**6)
        with hp.conditional_scope("seed", [7]):
            hp.Boolean("lucky")
        decisions = Decisions(hp)
        on, off = decisions.encode([{"seed": 7, "lucky": True}, {"seed": 8, "lucky": True}])
        assert decisions.values(on) == {"seed": 7, "lucky": True}
        assert decisions.values(off) == {"seed": 8}

    @hypothesis.given(space=spaces())
    @hypothesis.settings(max_examples=50, deadline=None, derandomize=True, database=None)
    def test_listing_agrees_with_trying_everything(self, space):
        decisions = Decisions(space)
        members = decisions.members(500)
        if members is None:
            return
        counts = [range(column.count) for column in decisions.columns]
        if math.prod(map(len, counts)) > 20_000:
            return
        unit = np.array(
            [
                [(code + 0.5) / len(count) for code, count in zip(codes, counts, strict=True)]
                for codes in itertools.product(*counts)
            ]
        )
        everything = np.unique(decisions.from_unit(unit), axis=0)
        np.testing.assert_array_equal(np.unique(members, axis=0), everything)
        assert len(members) == len(everything)

    def test_thousands_are_handled_at_once(self):
        decisions = Decisions(bits(20))
        rows = decisions.sample(np.random.default_rng(0), 20_000)
        indices, places = decisions.features(rows)
        assert indices.shape == (20_000, 20)
        assert places.shape == (20_000, 0)

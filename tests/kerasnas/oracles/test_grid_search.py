import functools

import keras_tuner
import pytest

from kerasnas.oracles.grid_search import GridSearch
from kerasnas.testing import (
    OracleContract,
    bits,
    choices,
    conditional,
    options,
    play,
    resume,
    rough,
)


class TestGridSearch(OracleContract):
    @pytest.fixture
    def make(self):
        return functools.partial(GridSearch, objective="loss")

    def test_different_seeds_differ(self, make):
        # Not those of a grid, which leaves nothing to chance.
        one, two = (make(hyperparameters=conditional(), seed=s, max_trials=4) for s in (1, 2))
        assert play(one, rough) == play(two, rough)

    def test_it_counts_up_from_the_first_options(self, make):
        played = play(make(hyperparameters=choices(2, 3)), options)
        assert [[v[-1] for v in values.values()] for values in played] == [
            ["0", "0"], ["0", "1"], ["0", "2"], ["1", "0"], ["1", "1"], ["1", "2"],
        ]  # fmt: skip

    def test_the_order_may_be_another(self, make):
        played = play(make(hyperparameters=choices(2, 3, 2), order=["d2", "d1"]), options)
        last = [[values[f"d{i}"][-1] for i in (2, 1, 0)] for values in played]
        assert last == sorted(last)
        assert len(last) == 12

    def test_what_is_not_active_is_not_counted(self, make):
        hp = keras_tuner.HyperParameters()
        hp.Choice("head", ["dense", "pool"])
        with hp.conditional_scope("head", ["dense"]):
            hp.Choice("units", [16, 32])
        hp.Boolean("norm")
        played = play(make(hyperparameters=hp), rough)
        assert [tuple(values.values()) for values in played] == [
            ("dense", 16, True), ("dense", 16, False), ("dense", 32, True),
            ("dense", 32, False), ("pool", True), ("pool", False),
        ]  # fmt: skip

    def test_a_condition_comes_before_what_it_rules(self, make):
        hp = keras_tuner.HyperParameters()
        hp.Choice("head", ["dense", "pool"])
        with hp.conditional_scope("head", ["dense"]):
            hp.Choice("units", [16, 32])
        hp.Boolean("norm")
        played = play(make(hyperparameters=hp, order=["units", "norm", "head"]), rough)
        assert [values["norm"] for values in played] == [True] * 3 + [False] * 3

    def test_an_interval_is_tried_at_even_places_and_then_between_them(self, make):
        hp = keras_tuner.HyperParameters()
        hp.Float("rate", 1e-4, 1.0, sampling="log")
        played = play(make(hyperparameters=hp, max_trials=9), rough)
        rates = [values["rate"] for values in played]
        places = [0, 1, 2, 3, 4, 0.5, 1.5, 2.5, 3.5]
        assert rates == pytest.approx([10 ** (place - 4) for place in places])

    def test_there_may_be_more_places(self, make):
        hp = keras_tuner.HyperParameters()
        hp.Float("x", 0.0, 1.0)
        played = play(make(hyperparameters=hp, max_trials=3, num_places=3), rough)
        assert [values["x"] for values in played] == pytest.approx([0.0, 0.5, 1.0])

    def test_it_goes_on_behind_what_was_given_to_start_with(self, make):
        start = {"d0": "option1", "d1": "option0"}
        played = play(make(hyperparameters=choices(2, 2), start_with=[start]), options)
        assert [options(values) for values in played] == [1, 0, 1, 2]

    def test_a_long_gap_is_crossed_by_chance(self, make):
        # The first 32,768 candidates are over the limit.
        oracle = make(
            hyperparameters=bits(16),
            costs=lambda values: {"params": 1 + (values["d0"] == "option0")},
            limits={"params": 1},
            max_trials=2,
            seed=0,
        )
        assert {values["d0"] for values in play(oracle, options)} == {"option1"}

    def test_where_asking_takes_long_few_costs_are_asked_for(self, make, tmp_path):
        asked = []

        def costs(values):
            asked.append(values)
            return {"params": 1 + sum(value == "option1" for value in values.values())}

        def new():
            return make(
                hyperparameters=bits(16),
                costs=costs,
                limits={"params": 5},  # most of the first 32,768 candidates break it
                slow_costs=True,
                max_trials=20,
                seed=0,
            )

        played, counts = [], []
        oracle = new()
        for _ in range(20):
            asked.clear()
            played += play(oracle, options, count=1)
            counts.append(len(asked))
        assert max(counts) <= 2 * 16  # of the grid, and of random ones
        assert sum(counts) < 60
        first = play(resume(new(), tmp_path), options, count=13)
        assert first + play(resume(new(), tmp_path), options) == played

    def test_it_goes_on_behind_candidates_drawn_to_cross_a_gap(self, make, tmp_path):
        def new():
            return make(
                hyperparameters=bits(12),
                costs=lambda values: {"params": 1 + (values["d1"] == "option0")},
                limits={"params": 1},
                max_trials=12,
                seed=0,
            )

        played = play(new(), options)  # each 1,024 candidates are over the limit
        assert play(resume(new(), tmp_path), options, 6) == played[:6]
        assert play(resume(new(), tmp_path), options) == played[6:]
        firsts = [{"d0": "option0", "d1": "option1"}.items() <= v.items() for v in played]
        assert firsts[4:] == [True] * 8

    def test_a_name_the_space_does_not_have_is_refused(self, make):
        oracle = make(hyperparameters=choices(2, 2), order=["d3"])
        with pytest.raises(
            ValueError, match=r"Unknown order\. Received: order='d3'\. Did you mean"
        ):
            oracle.create_trial("tuner0")

    def test_one_place_is_too_few(self, make):
        with pytest.raises(ValueError, match=r"Received: num_places=1\. Give at least 2"):
            make(num_places=1)

import functools
import itertools

import keras_tuner
import numpy as np
import pytest

from kerasnas.oracles.random_search import RandomSearch
from kerasnas.oracles.reinforce import Reinforce, clipped
from kerasnas.testing import OracleContract, bits, choices, conditional, options, play, resume

VARIANTS = {
    "factorised": {},
    "recurrent": {"policy": "recurrent"},
    "proximal": {"ppo": True, "batch_size": 4},
    "recurrent and proximal": {"policy": "recurrent", "ppo": True, "batch_size": 3},
}


def good(values):
    """Score a candidate by how many of its decisions are not the third option."""
    return float(sum(value != "option2" for value in values.values()))


class TestReinforce(OracleContract):
    @pytest.fixture
    def make(self):
        return functools.partial(Reinforce, objective="loss")


@pytest.mark.parametrize("settings", VARIANTS.values(), ids=VARIANTS)
class TestVariants:
    @pytest.fixture
    def make(self, settings):
        return functools.partial(Reinforce, objective="loss", **settings)

    def test_the_policy_learns_which_option_is_good(self, make):
        oracle = make(hyperparameters=choices(*[4] * 10), seed=0, max_trials=80)
        losses = [good(values) for values in play(oracle, good)]
        assert np.mean(losses[:20]) > 6.5  # 7.5 expected of random ones
        assert np.mean(losses[-20:]) < 4.0

    def test_it_learns_the_same_whatever_the_unit(self, make):
        def losses(unit):
            oracle = make(hyperparameters=choices(*[4] * 6), seed=1, max_trials=40)
            return play(oracle, lambda values: unit * good(values) - 3.0)

        assert losses(1.0) == losses(1024.0)

    def test_it_learns_the_same_of_an_objective_to_maximise(self, make):
        space = functools.partial(choices, *[4] * 6)
        down = make(hyperparameters=space(), seed=1, max_trials=30)
        up = make(
            objective=keras_tuner.Objective("score", "max"),
            hyperparameters=space(),
            seed=1,
            max_trials=30,
        )
        assert play(down, good) == play(up, lambda values: -good(values))

    def test_killed_after_it_has_learned_it_continues(self, make, tmp_path):
        def new():
            return make(hyperparameters=conditional(), seed=5, max_trials=14)

        uninterrupted = _scored(new())
        first = _scored(resume(new(), tmp_path), 10)
        assert first + _scored(resume(new(), tmp_path)) == uninterrupted

    def test_a_space_is_gone_through_to_the_end(self, make):
        played = play(make(hyperparameters=choices(3, 4), seed=0), options)
        assert len({tuple(values.items()) for values in played}) == 12


def _scored(oracle, count=10_000):
    """Run trials whose scores are given one after the other; each third one fails."""
    scores = [3.0, 1.0, float("nan"), 2.0, 5.0, float("nan"), 4.0] * 2
    return play(oracle, lambda _: scores[len(oracle.end_order)], count)


class TestSettings:
    def test_before_anything_is_known_it_is_as_good_as_random(self):
        space = functools.partial(choices, *[5] * 6)
        means = [
            np.mean(
                [good(v) for v in play(o("loss", 20, hyperparameters=space(), seed=s), good)]
            )
            for s, o in itertools.product(range(3), (Reinforce, RandomSearch))
        ]
        assert np.mean(means[::2]) == pytest.approx(np.mean(means[1::2]), abs=0.6)

    def test_what_was_given_to_start_with_teaches(self):
        start = [{f"d{i}": f"option{2 if j % 2 else 0}" for i in range(6)} for j in range(2)]
        oracles = [
            Reinforce(
                "loss",
                hyperparameters=choices(*[4] * 6),
                seed=0,
                start_with=start,
                learning_rate=2.0,
            )
            for _ in range(2)
        ]
        for oracle in oracles:
            oracle.verbose = 0
        taught, misled = (
            play(oracle, lambda values, sign=sign: sign * good(values), 12)[2:]
            for oracle, sign in zip(oracles, (1.0, -1.0), strict=True)
        )
        assert np.mean([good(v) for v in taught]) < np.mean([good(v) for v in misled])

    def test_of_several_objectives_the_first_counts(self):
        objective = [keras_tuner.Objective(name, "min") for name in ("loss", "params")]
        costs = {"costs": lambda values: {"params": options(values)}}
        space = functools.partial(choices, *[4] * 6)
        several = Reinforce(objective, 30, hyperparameters=space(), seed=0, **costs)
        single = Reinforce("loss", 30, hyperparameters=space(), seed=0, **costs)
        assert play(several, good) == play(single, good)

    @pytest.mark.parametrize(
        ("settings", "message"),
        [
            ({"policy": "deep"}, r"policy='deep'. Known: 'factorised', 'recurrent'"),
            ({"learning_rate": 0.0}, r"learning_rate=0.0. Give a number above 0"),
            ({"baseline_decay": 1.5}, r"baseline_decay=1.5. Give a number from 0 to 1"),
            ({"entropy": -0.1}, r"entropy=-0.1. Give a number from 0 on"),
            ({"clip": 0.0}, r"clip=0.0. Give a number above 0"),
            ({"epochs": 0}, r"epochs=0. Give a whole number from 1 on"),
            ({"batch_size": 0}, r"batch_size=0. Give a whole number from 1 on"),
        ],
    )
    def test_settings_out_of_their_range_are_refused(self, settings, message):
        with pytest.raises(ValueError, match=message):
            Reinforce("loss", **settings)

    def test_more_entropy_keeps_options_open(self):
        def last(entropy):
            oracle = Reinforce(
                "loss", 120, hyperparameters=choices(*[4] * 8), seed=0, entropy=entropy
            )
            return np.mean([good(values) for values in play(oracle, good)[-20:]])

        assert last(0.0) < last(1.0) - 1.0


def test_it_learns_within_limits():
    oracle = Reinforce(
        "loss",
        80,
        hyperparameters=bits(20),
        seed=0,
        costs=lambda values: {"params": 1 + options(values)},
        limits={"params": 11},
    )
    wanted = {"d0": "option1", "d5": "option0", "d9": "option1", "d15": "option0"}

    def missed(values):
        return float(sum(values[name] != option for name, option in wanted.items()))

    played = play(oracle, missed)
    assert max(map(options, played)) <= 10
    assert np.mean([missed(values) for values in played[:20]]) > 1.0  # 2 expected
    assert np.mean([missed(values) for values in played[-20:]]) < 0.5


class TestClipped:
    def test_at_the_start_of_a_batch_weights_are_the_advantages(self):
        before = np.log([0.2, 0.5])
        assert clipped(np.array([1.0, -2.0]), before, 0.2)(before).tolist() == [1.0, -2.0]

    def test_a_candidate_that_went_far_enough_has_no_more_say(self):
        before, ratios = np.log(np.full(4, 0.1)), np.array([1.3, 0.7, 1.3, 0.7])
        weights = clipped(np.array([1.0, -1.0, -1.0, 1.0]), before, 0.2)(
            before + np.log(ratios)
        )
        assert weights == pytest.approx([0.0, 0.0, -1.3, 0.7])

    def test_they_are_the_gradient_of_the_clipped_objective(self):
        rng = np.random.default_rng(0)
        advantages, before, logs = rng.normal(size=(3, 20))
        logs = before + 0.4 * logs

        def objective(logs):
            ratios = np.exp(logs - before)
            return np.minimum(ratios * advantages, np.clip(ratios, 0.8, 1.2) * advantages)

        numeric = (objective(logs + 1e-6) - objective(logs - 1e-6)) / 2e-6
        assert clipped(advantages, before, 0.2)(logs) == pytest.approx(numeric, abs=1e-6)

import collections
import functools

import numpy as np
import pytest

from kerasnas.oracles.q_learning import QLearning
from kerasnas.oracles.q_table import QTable
from kerasnas.testing import OracleContract, choices, conditional, play, resume


def good(values):
    """Score a candidate by how many of its decisions are not the third option."""
    return float(sum(value != "option2" for value in values.values()))


class TestQLearning(OracleContract):
    @pytest.fixture
    def make(self):
        return functools.partial(QLearning, objective="loss")

    def test_it_learns_which_option_is_good(self, make):
        oracle = make(hyperparameters=choices(*[5] * 6), seed=0, max_trials=150)
        losses = [good(values) for values in play(oracle, good)]
        assert np.mean(losses[:80]) == pytest.approx(4.8, abs=0.4)  # random ones
        assert np.mean(losses[-20:]) < 2.5

    def test_epsilon_falls_in_the_papers_proportions(self, make):
        oracle = make(hyperparameters=choices(*[5] * 6), seed=0, max_trials=54)
        seen = []
        # Asked while a trial runs, it is what the next one will be drawn with.
        play(oracle, lambda values: seen.append(oracle.epsilon) or good(values))
        counts = collections.Counter([1.0, *seen[:-1]])
        assert counts.pop(1.0) == 30
        assert {counts.pop(epsilon) for epsilon in (0.9, 0.8, 0.7)} == {2}
        assert counts == dict.fromkeys([0.6, 0.5, 0.4, 0.3, 0.2, 0.1], 3)
        assert seen == sorted(seen, reverse=True)

    def test_without_a_bound_it_falls_within_100_trials(self, make):
        oracle = make(hyperparameters=choices(*[5] * 6), seed=0)
        play(oracle, good, 100)
        assert oracle.epsilon == 0.1

    def test_it_learns_the_same_whatever_the_unit(self, make):
        def played(unit):
            oracle = make(hyperparameters=choices(*[4] * 5), seed=1, max_trials=40)
            return play(oracle, lambda values: unit * good(values) - 3.0)

        assert played(1.0) == played(1024.0)

    def test_killed_after_it_has_learned_it_continues(self, make, tmp_path):
        def new():
            schedule = [(1.0, 1), (0.2, 3)]
            space = conditional()
            return make(hyperparameters=space, seed=5, max_trials=16, schedule=schedule)

        def score(values):
            return float(len(values))

        uninterrupted = play(new(), score)
        first = play(resume(new(), tmp_path), score, 11)
        assert first + play(resume(new(), tmp_path), score) == uninterrupted

    @pytest.mark.parametrize("replays", [0, 3])
    def test_each_trial_teaches_once_and_some_again(self, make, monkeypatch, replays):
        taught = []
        learned = QTable.learned

        def spied(table, picks, rewards, *rate, **settings):
            taught.append(picks.tolist())
            return learned(table, picks, rewards, *rate, **settings)

        monkeypatch.setattr(QTable, "learned", spied)
        oracle = make(hyperparameters=choices(4, 4), max_trials=9, seed=0, replays=replays)
        trials = [[int(value[-1]) for value in v.values()] for v in play(oracle, good)]
        assert [picks[-1] for picks in taught] == trials[:8]  # the ninth is the last
        assert {len(picks) for picks in taught} == {replays + 1}
        for count, picks in enumerate(taught, start=1):
            assert all(again in trials[:count] for again in picks)

    @pytest.mark.parametrize(
        ("settings", "message"),
        [
            ({"learning_rate": 0.0}, r"learning_rate=0.0. Give a number above 0"),
            ({"learning_rate": 1.5}, r"learning_rate=1.5. Give a number above 0"),
            ({"replays": -1}, r"replays=-1. Give a whole number from 0 on"),
            ({"schedule": []}, r"schedule=\[\]. Give pairs"),
            ({"schedule": [(2.0, 1)]}, r"schedule=\[\(2.0, 1.0\)\]. Give pairs"),
            ({"schedule": [(0.5, 0)]}, r"schedule=\[\(0.5, 0.0\)\]. Give pairs"),
        ],
    )
    def test_settings_out_of_their_range_are_refused(self, settings, message):
        with pytest.raises(ValueError, match=message):
            QLearning("loss", **settings)

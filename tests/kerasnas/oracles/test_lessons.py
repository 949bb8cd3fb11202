import math

import numpy as np

from kerasnas.oracles.choices import Choices
from kerasnas.oracles.lessons import Lessons
from kerasnas.oracles.random_search import RandomSearch
from kerasnas.testing import bits, end, options, play


def new(oracle):
    """Return lessons that note what they were told, and the list of those notes."""
    taught = []

    def step(state, past):
        taught.append(len(past.losses))
        return (*state, (tuple(past.picks[-1]), float(past.losses[-1])))

    candidates = oracle.candidates
    return Lessons(candidates, Choices(candidates.decisions), tuple, step), taught


def searched(count, score=options):
    oracle = RandomSearch("loss", hyperparameters=bits(4), seed=0, max_trials=count)
    play(oracle, score)
    return oracle


def finished(oracle):
    return [trial for trial in oracle.trials.values() if trial.status == "COMPLETED"]


class TestLessons:
    def test_each_trial_teaches_once(self):
        oracle = searched(5)
        lessons, taught = new(oracle)
        first = lessons.learned(oracle, finished(oracle)[:3])
        assert lessons.learned(oracle, finished(oracle))[:3] == first
        assert taught == [1, 2, 3, 4, 5]

    def test_what_is_kept_is_what_is_learned_at_once(self):
        oracle = searched(6)
        slow, quick = new(oracle)[0], new(oracle)[0]
        for count in range(7):
            state = slow.learned(oracle, finished(oracle)[:count])
        assert state == quick.learned(oracle, finished(oracle))
        picks, losses = zip(*state, strict=True)
        assert losses == tuple(options(t.hyperparameters.values) for t in finished(oracle))
        assert [sum(one) for one in picks] == list(losses)

    def test_when_an_earlier_loss_has_changed_all_is_learned_again(self):
        oracle = searched(4)
        lessons, taught = new(oracle)
        lessons.learned(oracle, finished(oracle))
        finished(oracle)[1].score = 17.0
        state = lessons.learned(oracle, finished(oracle))
        assert taught == [1, 2, 3, 4, 1, 2, 3, 4]
        assert state[1][1] == 17.0

    def test_a_failed_trial_teaches_in_its_turn_without_a_loss(self):
        scores = iter([1.0, math.nan, 2.0])
        oracle = searched(3, lambda _: next(scores))
        state = new(oracle)[0].learned(oracle, finished(oracle))
        assert [loss for _, loss in state][::2] == [1.0, 2.0]
        assert math.isnan(state[1][1])

    def test_a_failure_that_is_known_is_not_taken_for_news(self):
        scores = iter([1.0, math.nan, 2.0])
        oracle = searched(3, lambda _: next(scores))
        lessons, taught = new(oracle)
        lessons.learned(oracle, finished(oracle))
        lessons.learned(oracle, finished(oracle))
        assert taught == [1, 2, 3]

    def test_the_order_is_that_in_which_trials_ended(self):
        oracle = RandomSearch("loss", hyperparameters=bits(4), seed=0, max_trials=2)
        oracle.verbose = 0
        early, late = oracle.create_trial("tuner0"), oracle.create_trial("tuner1")
        end(oracle, late, 1.0)
        end(oracle, early, 2.0)
        state = new(oracle)[0].learned(oracle, [late, early])
        assert np.array_equal([loss for _, loss in state], [1.0, 2.0])

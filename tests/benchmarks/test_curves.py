import numpy as np
import pytest

from benchmarks.curves import curves, median, power_law, replay
from kerasnas.fidelity import LearningCurve

# Accuracies that rise by a power law to 0.9, 0.8, ... by the tenth epoch.
ENDS = np.array([0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2])
TIMES = np.arange(1.0, 11.0)
TABLE = ENDS[:, None] * (1.0 - 0.7 * (1 / TIMES - 0.1) / 0.9)


def test_without_a_rule_nothing_is_saved_and_nothing_lost():
    assert replay(TABLE, lambda *_: True, seed=0) == (0.0, False, 0.0)


def test_stopping_everything_after_an_epoch_loses_the_winner_and_what_it_had_to_gain():
    outcome = replay(TABLE, lambda *_: False, seed=0)
    assert outcome.saved == pytest.approx(0.9)
    assert outcome.lost
    assert outcome.behind == pytest.approx(100 * 0.9 * 0.7)


@pytest.mark.parametrize("rule", [median, power_law, LearningCurve(10).goes_on])
def test_every_rule_saves_something_and_keeps_a_winner_that_leads_throughout(rule):
    outcomes = [replay(TABLE, rule, seed) for seed in range(5)]
    assert max(outcome.saved for outcome in outcomes) > 0.02
    assert not any(outcome.lost for outcome in outcomes)


def test_perceptrons_learn_digits_and_the_same_seed_trains_the_same():
    trained = curves(6, 8, falls=False)
    assert trained.shape == (6, 8)
    assert trained.max() > 0.6
    assert (trained == curves(6, 8, falls=False)).all()

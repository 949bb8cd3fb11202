import numpy as np
import pytest

from kerasnas.oracles.rewards import advantage, rewards


class TestRewards:
    def test_less_loss_is_more_reward(self):
        made = rewards(np.array([3.0, 1.0, 2.0]))
        assert made[1] > made[2] > made[0]
        assert made.mean() == pytest.approx(0.0)

    def test_neither_unit_nor_origin_matters(self):
        losses = np.random.default_rng(0).normal(size=20)
        assert rewards(1e-4 * losses - 7.0) == pytest.approx(rewards(losses), abs=1e-6)

    def test_a_failure_counts_as_the_worst(self):
        made = rewards(np.array([1.0, np.nan, 2.0, 1.5]))
        assert made == pytest.approx(rewards(np.array([1.0, 2.0, 2.0, 1.5])))

    def test_a_diverged_training_does_not_drown_the_others(self):
        made = rewards(np.array([0.30, 0.31, 0.32, 0.33, 1e6]))
        assert made[0] - made[3] > 0.3 * made.std()

    @pytest.mark.parametrize("losses", [[], [np.nan], [np.nan] * 3, [2.0], [2.0, 2.0]])
    def test_nothing_to_compare_is_no_reward(self, losses):
        assert rewards(np.array(losses)).tolist() == [0.0] * len(losses)


class TestAdvantage:
    def test_the_first_trial_has_none(self):
        assert advantage(np.array([]), 0.9) == advantage(np.array([3.0]), 0.9) == 0.0

    def test_it_is_the_difference_from_a_weighted_mean_of_those_before(self):
        worth = np.array([1.0, 2.0, 4.0, 7.0])
        assert advantage(worth, 0.0) == pytest.approx(3.0)
        assert advantage(worth, 1.0) == pytest.approx(7.0 - 7.0 / 3.0)
        assert advantage(worth, 0.5) == pytest.approx(7.0 - (4 + 1 + 0.25) / 1.75)

import numpy as np
import pytest

from kerasnas.oracles.choices import NOTHING, Choices
from kerasnas.oracles.decisions import Decisions
from kerasnas.oracles.q_table import QTable
from kerasnas.testing import choices, conditional


def empty(*counts):
    return QTable.empty(Choices(Decisions(choices(*counts))))


def played(table, candidates, rewards, rate=0.5, **settings):
    settings = {"shaping": False, **settings}
    return table.learned(np.array(candidates), np.array(rewards), rate, **settings)


class TestQTable:
    def test_the_last_choice_gets_the_reward_and_hands_it_back(self):
        # Tokens: 0 the start; 1, 2 the options of the first decision; 3, 4 of the second.
        table = played(empty(2, 2), [[1, 0]], [4.0])
        assert table.worth[1][2].tolist() == [2.0, 0.0]  # half of the way to 4
        assert table.worth[0][0].tolist() == [0.0, 1.0]  # half of the way to 2
        assert sum(np.count_nonzero(values) for values in table.worth.values()) == 2

    def test_what_is_handed_back_is_the_best_that_may_follow(self):
        table = played(empty(2, 2), [[1, 0]], [4.0], rate=1.0)
        table = played(table, [[1, 1]], [-9.0], rate=1.0)
        assert table.worth[1][2].tolist() == [4.0, -9.0]
        assert table.worth[0][0].tolist() == [0.0, 4.0]

    def test_shaping_gives_each_choice_its_share(self):
        table = played(empty(2, 2), [[1, 0]], [4.0], rate=1.0, shaping=True)
        assert table.worth[1][2, 0] == 2.0
        assert table.worth[0][0, 1] == 2.0 + 2.0

    def test_a_choice_played_twice_moves_twice(self):
        once = played(played(empty(2), [[1]], [4.0]), [[1]], [4.0])
        both = played(empty(2), [[1], [1]], [4.0, 4.0])
        assert both.worth[0] == pytest.approx(once.worth[0])
        assert both.worth[0][0, 1] == pytest.approx(3.0)

    def test_the_table_before_is_left_as_it_was(self):
        table = empty(2, 2)
        played(table, [[1, 0]], [4.0])
        assert not any(values.any() for values in table.worth.values())

    def test_inactive_decisions_are_passed_over(self):
        table = played(empty(2, 2, 2), [[1, NOTHING, 0]], [4.0], rate=1.0)
        assert table.worth[2][2, 0] == 4.0
        assert table.worth[0][0, 1] == 4.0
        assert not table.worth[1].any()

    def test_with_shaping_it_finds_a_sum_of_parts_and_without_only_its_end(self):
        start = empty(*[3] * 5)
        right = {True: [], False: []}
        for seed in range(6):
            rng = np.random.default_rng(seed)
            picks = start.choices.picks(start.draw(1.0, 400, rng))
            for shaping, found in right.items():
                table = start
                for _ in range(40):
                    which = rng.integers(len(picks), size=200)
                    rewards = np.sum(picks[which] == 1, axis=1) - 5 / 3
                    table = played(table, picks[which], rewards, rate=0.1, shaping=shaping)
                found.append(table.choices.picks(table.draw(0.0, 1, rng))[0] == 1)
        assert np.all(right[True])
        assert np.all(np.array(right[False])[:, -2:])  # the last, and the state it is made in
        assert np.mean(np.array(right[False])[:, :-2]) < 0.6  # of three options, 1/3 expected

    def test_without_epsilon_it_takes_what_is_worth_most(self):
        table = played(empty(2, 3), [[1, 2], [0, 1]], [4.0, 1.0])
        rows = table.draw(0.0, 50, np.random.default_rng(0))
        assert np.all(rows == [1.0, 2.0])

    def test_ties_are_drawn(self):
        rows = empty(4).draw(0.0, 400, np.random.default_rng(0))
        assert np.bincount(rows[:, 0].astype(int)).min() > 70  # 100 expected

    def test_epsilon_is_the_share_of_random_choices(self):
        table = played(empty(2), [[1]], [4.0])
        rows = table.draw(0.5, 1000, np.random.default_rng(0))
        assert rows.mean() == pytest.approx(0.75, abs=0.05)

    def test_draws_are_complete_in_a_conditional_space(self):
        decisions, rng = Decisions(conditional()), np.random.default_rng(0)
        table = QTable.empty(Choices(decisions))
        rows = table.draw(0.5, 50, rng)
        assert np.array_equal(decisions.completed(rows, rng), rows)

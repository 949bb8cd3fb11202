import keras_tuner
import numpy as np
import pytest

from kerasnas.oracles.candidates import Candidates
from kerasnas.oracles.choices import NOTHING, Choices, drawn
from kerasnas.oracles.decisions import INACTIVE, Decisions
from kerasnas.testing import choices, conditional, options


def numbers():
    hp = keras_tuner.HyperParameters()
    hp.Float("rate", 1e-4, 1e-1, sampling="log")
    hp.Int("units", 1, 100)
    hp.Int("layers", 1, 16)
    return hp


def random_rows(space, count=200, seed=0):
    return Decisions(space).sample(np.random.default_rng(seed), count)


def again(decisions, rows):
    """Return the assignments as read from their values: complete and without inactive ones."""
    return decisions.encode([decisions.values(row) for row in rows])


class TestChoices:
    def test_numbers_with_many_values_are_cut_into_bins(self):
        assert Choices(Decisions(numbers())).counts == [8, 8, 16]

    def test_bins_are_equally_long_on_the_numbers_own_scale(self):
        decisions = Decisions(numbers())
        rows = decisions.encode(
            [{"rate": rate, "units": 1, "layers": 1} for rate in (1.1e-4, 2.3e-4, 2.4e-4)]
        )
        # A bin is a factor of 10 ** (3 / 8) = 2.37.
        assert Choices(decisions).picks(rows)[:, 0].tolist() == [0, 0, 1]

    def test_what_is_drawn_is_in_the_bin_that_was_picked(self):
        decisions, rng = Decisions(numbers()), np.random.default_rng(0)
        sequence = Choices(decisions)
        wanted = rng.integers(8, size=(300, 3))
        rows = sequence.draw(300, lambda j, active: wanted[active, j], rng)
        assert np.array_equal(sequence.picks(rows), wanted)
        assert again(decisions, rows) == pytest.approx(rows)

    def test_all_values_of_a_bin_are_drawn(self):
        rng = np.random.default_rng(0)
        sequence = Choices(Decisions(numbers()))
        rows = sequence.draw(500, lambda j, active: np.full(active.sum(), 3), rng)
        # The fourth of eight bins of 100 values.
        assert set(rows[:, 1]) == set(range(38, 50))

    def test_inactive_decisions_are_neither_asked_for_nor_picked(self):
        decisions, rng = Decisions(conditional()), np.random.default_rng(0)
        sequence, asked = Choices(decisions), np.zeros((100, len(decisions)), dtype=bool)

        def pick(j, active):
            asked[active, j] = True
            return rng.integers(sequence.counts[j], size=active.sum())

        rows = sequence.draw(100, pick, rng)
        picks = sequence.picks(rows)
        assert np.array_equal(asked, picks != NOTHING)
        fixed = [j for j, count in enumerate(sequence.counts) if count == 1]
        assert len(fixed) == 1
        assert not asked[:, fixed].any()
        assert np.all(rows[:, fixed] != INACTIVE)
        assert again(decisions, rows) == pytest.approx(rows)

    def test_each_pick_of_each_decision_has_a_token_of_its_own(self):
        sequence = Choices(Decisions(choices(2, 1, 3)))
        every = [
            int(sequence.tokens(np.full((1, 3), option), j)[0])
            for j in sequence.order
            for option in range(sequence.counts[j])
        ]
        assert sorted(every) == [1, 2, 3, 4, 5]
        assert sequence.num_tokens == 6


class TestDrawn:
    def find(self, candidates, rows, **settings):
        """Let a sequence of draws repeat some rows for ever."""
        rng = np.random.default_rng(0)
        settings = {"slow_costs": False, **settings}
        return drawn(candidates, lambda count: np.resize(rows, (count, 3)), rng, **settings)

    def test_the_first_draw_that_is_new_is_taken(self):
        candidates = Candidates(Decisions(choices(3, 3, 3)))
        rows = np.array([[0.0, 0, 0], [1, 1, 1], [2, 2, 2]])
        candidates.exclude(candidates.decisions.values(rows[0]))
        assert self.find(candidates, rows).tolist() == [1, 1, 1]

    def test_where_every_draw_was_tried_a_neighbour_is_taken(self):
        candidates = Candidates(Decisions(choices(3, 3, 3)))
        row = np.array([[1.0, 1, 1]])
        candidates.exclude(candidates.decisions.values(row[0]))
        assert np.sum(self.find(candidates, row) != row) == 1

    def test_where_the_neighbours_were_tried_too_anything_new_is_taken(self):
        candidates = Candidates(Decisions(choices(3, 3, 3)))
        last = np.array([2.0, 2, 2])
        for row in candidates.decisions.members(27):
            if not np.array_equal(row, last):
                candidates.exclude(candidates.decisions.values(row))
        assert self.find(candidates, np.zeros((1, 3))).tolist() == last.tolist()
        candidates.exclude(candidates.decisions.values(last))
        assert self.find(candidates, np.zeros((1, 3))) is None

    @pytest.mark.parametrize("slow", [False, True])
    def test_draws_that_break_a_limit_are_passed_over(self, slow):
        space = choices(4, 4, 4)
        decisions = Decisions(space)
        asked = []

        def costs(values):
            asked.append(values)
            return {"params": 1 + options(values)}

        known = [decisions.values(row) for row in random_rows(space, 12)]
        candidates = Candidates(
            decisions,
            costs,
            {"params": 4},
            measured=[(values, costs(values)) for values in known] if slow else None,
        )
        asked.clear()
        rows = np.concatenate([np.full((15, 3), 3.0), [[1.0, 1, 1]]])
        assert self.find(candidates, rows, slow_costs=slow).tolist() == [1, 1, 1]
        assert len(asked) == (1 if slow else 2)

import collections
import itertools

import hypothesis
import pytest
from hypothesis import strategies as st

from kerasnas.fidelity import Hyperband
from kerasnas.fidelity.hyperband import bracket_sizes

settings = hypothesis.settings(max_examples=40, deadline=None, derandomize=True, database=None)

SIZES = [81, 34, 15, 8, 5]  # Table 1 of the paper, R = 81 and eta = 3
TABLE = [[81, 27, 9, 3, 1], [34, 11, 3, 1], [15, 5, 1], [8, 2], [5]]


def test_brackets_are_those_of_the_papers_table():
    assert bracket_sizes([3, 3, 3, 3]) == SIZES
    assert bracket_sizes([]) == [1]
    assert Hyperband(81).levels == (1, 3, 9, 27, 81)
    for base, (size, rounds) in enumerate(zip(SIZES, TABLE, strict=True)):
        assert rounds == [size // 3**k for k in range(5 - base)]


def test_a_whole_round_trains_as_many_at_each_level_as_the_papers_table(simulate):
    search = simulate(Hyperband(81))
    search.play(sum(SIZES))
    assert collections.Counter(
        level for _, before, level in search.runs if not before
    ) == dict(zip(Hyperband(81).levels, SIZES, strict=True))
    # Trials at a level, over all brackets: the columns of the table.
    columns = [sum(rounds[k - b] for b, rounds in enumerate(TABLE[: k + 1])) for k in range(5)]
    assert search.trained() == columns
    spent = sum(level - before for _, before, level in search.runs)
    # The paper's brackets start afresh at every level; they cost at most 5 R each so.
    assert spent <= 5 * 5 * 81


def test_brackets_get_about_the_same_training(simulate):
    search = simulate(Hyperband(27, 1))
    search.play(4 * sum(bracket_sizes([3, 3, 3])))
    base = {number: level for number, before, level in search.runs if not before}
    spent = collections.Counter()
    for number, before, level in search.runs:
        spent[base[number]] += level - before
    assert max(spent.values()) < 2 * min(spent.values())


def test_few_trials_are_shared_among_brackets_too(simulate):
    search = simulate(Hyperband(81))
    search.play(29)
    bases = collections.Counter(level for _, before, level in search.runs if not before)
    assert [bases[level] for level in Hyperband(81).levels] == [16, 7, 3, 2, 1]


@hypothesis.given(
    trials=st.integers(1, 60),
    workers=st.integers(1, 4),
    failing=st.sampled_from([0.0, 0.3]),
    seed=st.integers(0, 1000),
)
@settings
def test_any_search_ends_and_promotes_within_brackets(
    simulate, trials, workers, failing, seed
):
    search = simulate(Hyperband(27), workers=workers, failing=failing, seed=seed)
    records = search.play(trials)
    assert len(records) == trials
    base = {number: level for number, before, level in search.runs if not before}
    if not failing:
        assert search.trained()[-1] >= 1
        for start in Hyperband(27).levels:
            tried = [
                sum(base[number] == start and to == level for number, _, to in search.runs)
                for level in Hyperband(27).levels
                if level >= start
            ]
            for below, above in itertools.pairwise(tried):
                assert above <= max(below / 3, 1)


def test_shares_start_two_steps_below_the_whole():
    assert Hyperband(1.0, dimension="examples").levels == pytest.approx((1 / 9, 1 / 3, 1))

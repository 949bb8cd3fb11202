import numpy as np
import pytest

from benchmarks.inheritance import correlations, draw, saved, table
from search_spaces.costs import macs

RECORDS = [
    {
        "share": 0.8,
        "inherited": [0.80 + 0.01 * i, 0.82 + 0.01 * i],
        "scratch": [0.60 - 0.01 * i, 0.70 + 0.01 * i],
        "reference": [0.50, 0.70 + 0.02 * i],
    }
    for i in range(4)
]


@pytest.mark.parametrize("space", ["graph", "mobilenet"])
def test_children_of_one_parent_differ_from_it_and_from_each_other(space):
    made = [draw(space, (28, 28, 1), seed, parents=2) for seed in (0, 2, 4, 1)]
    assert made[0].parent == made[1].parent == made[2].parent != made[3].parent
    assert all(one.child != one.parent for one in made)
    assert len({one.child for one in made[:3]}) > 1
    assert all(100_000 <= macs(network) <= 1_000_000 for one in made for network in one)
    assert draw(space, (28, 28, 1), 2, parents=2) == made[1]


def test_ranks_are_compared_with_the_last_epoch_of_the_reference():
    assert correlations(RECORDS, "scratch")[0] == pytest.approx([-1.0, 1.0])
    assert correlations(RECORDS, "inherited")[0] == pytest.approx([1.0, 1.0])


def test_errors_of_ranks_are_those_of_other_children():
    noisy = [{**r, "scratch": [v, v]} for r, v in zip(RECORDS, [3, 1, 2, 4], strict=True)]
    assert (correlations(noisy, "scratch")[1] > 0.1).all()
    many = [
        {"scratch": [i, (i * 7) % 40], "reference": [0, i]} for i in range(40)
    ]  # the first epoch has the same order
    perfect, other = correlations(many, "scratch")[1]
    assert perfect == pytest.approx(0.0)
    assert 0.05 < other < 0.3


def test_what_is_saved_is_counted_to_the_first_epoch_that_is_as_good():
    assert saved([0.5, 0.7, 0.9], [0.4, 0.5, 0.6, 0.7]) == [0.5, 0.5, None]
    assert saved([0.5, 0.5], [0.5, 0.4]) == [0.0, -1.0]


def test_the_table_has_a_line_an_epoch():
    lines = table(RECORDS).splitlines()
    assert lines[0].startswith("4 children, 80% of weights")
    assert lines[1].startswith("after 1 epoch 4 of 4 are better")
    assert [line.split()[0] for line in lines[4:]] == ["1", "2"]
    assert "81.50%" in lines[4]
    assert np.mean([r["scratch"][0] for r in RECORDS]) == pytest.approx(0.585)
    assert "58.50%" in lines[4]

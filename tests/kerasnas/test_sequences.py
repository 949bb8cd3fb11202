import numpy as np
import pytest

from kerasnas.sequences import (
    block_split,
    distinct_split,
    padded,
    size_of,
    token_ids,
    windows,
)


def test_short_sequences_are_padded_and_long_ones_cut():
    np.testing.assert_array_equal(
        padded([[1, 2], [3], [4, 5, 6]], 2), [[1, 2], [3, 0], [4, 5]]
    )
    several = padded([np.ones((3, 2)), np.ones((5, 2), np.float32)], 4)
    assert several.shape == (2, 4, 2)
    assert several.sum(axis=(1, 2)).tolist() == [6, 8]


def test_sequences_of_one_length_need_none():
    np.testing.assert_array_equal(padded([[1, 2], [3, 4]]), [[1, 2], [3, 4]])


def test_an_empty_sequence_is_all_padding():
    found = padded([[7, 8], []], 2)
    assert found.tolist() == [[7, 8], [0, 0]]
    assert found.dtype.kind == "i"


@pytest.mark.parametrize(
    ("sequences", "length", "words"),
    [
        (
            [[1, 2], [3]],
            None,
            "need one to be padded.*Received: 1 to 2 steps.*sequence_length",
        ),
        ([[1, 2], [3]], 0, "length of 1 or more"),
        ([np.ones((3, 2)), np.ones((3, 1))], 3, r"alike.*\[\(1,\), \(2,\)\]"),
        ([], 3, "alike"),
        ([1, 2], 3, "alike"),
    ],
)
def test_sequences_that_cannot_be_joined_get_a_sentence(sequences, length, words):
    with pytest.raises(ValueError, match=words):
        padded(sequences, length)


def test_token_numbers_become_int32():
    found = token_ids([[3, 1], [2]], vocabulary=4, length=2)
    assert found.dtype == np.int32
    assert found.tolist() == [[3, 1], [2, 0]]
    assert token_ids(np.array([[0.0, 2.0]]), vocabulary=["", "?", "a"]).tolist() == [[0, 2]]


@pytest.mark.parametrize(
    ("x", "settings", "words"),
    [
        ([[1, 2]], {}, "Tokens need the vocabulary.*Received: .*vocabulary=None"),
        ([[1, 5]], {"vocabulary": 5}, "tokens from 1 to 5 in the data, and a vocabulary of 5"),
        ([[-1, 2]], {"vocabulary": 5}, "tokens from -1 to 2"),
        ([[1, 2], [3]], {"vocabulary": 5}, "Sequences of several lengths"),
        ([[0.5, 2]], {"vocabulary": 5}, "whole numbers.*float64"),
        (np.zeros((2, 3, 1), int), {"vocabulary": 5}, r"shape \(3, 1\)"),
        ([["a", "b"]], {"vocabulary": 5}, "or pass texts"),
    ],
)
def test_tokens_that_are_none_get_a_sentence(x, settings, words):
    with pytest.raises(ValueError, match=words):
        token_ids(x, name="data", **settings)


@pytest.mark.parametrize("vocabulary", ["words", b"words", 50.0, True, {"a": 1}])
def test_a_vocabulary_that_is_no_list_and_no_number_gets_a_sentence(vocabulary):
    with pytest.raises(TypeError, match=r"list of words, or the number.*Received: voc"):
        size_of(vocabulary)
    with pytest.raises(TypeError, match="list of words"):
        token_ids([[1, 2]], vocabulary=vocabulary)


def test_the_size_of_a_vocabulary_is_its_number_or_its_length():
    assert [size_of(one) for one in (7, np.int64(7), ["a", "b"], np.array(["a"]))] == [
        7,
        7,
        2,
        1,
    ]


class TestWindows:
    def test_labels_are_the_tokens_shifted_by_one(self):
        x, y = windows(np.arange(10), 3)
        assert x.tolist() == [[0, 1, 2], [3, 4, 5], [6, 7, 8]]
        assert y.tolist() == [[1, 2, 3], [4, 5, 6], [7, 8, 9]]
        assert x.dtype == y.dtype == np.int32

    def test_short_texts_share_a_window(self):
        x, y = windows([np.array([5, 6]), np.array([7, 8, 9]), np.array([4])], 2)
        assert x.tolist() == [[5, 6], [7, 8]]
        assert y.tolist() == [[6, 7], [8, 9]]

    def test_no_window_is_refused(self):
        with pytest.raises(ValueError, match="3 tokens for windows of 3"):
            windows(np.arange(3), 3)


class TestBlockSplit:
    @pytest.mark.parametrize("count", [2, 3, 7, 100, 1001])
    @pytest.mark.parametrize("share", [0.01, 0.2, 0.5, 0.99])
    def test_parts_are_disjoint_and_of_the_share(self, count, share):
        rest, part = block_split(count, share, 0)
        assert sorted([*rest, *part]) == list(range(count))
        assert len(part) == min(max(round(share * count), 1), count - 1)

    def test_the_part_is_in_ten_runs_over_the_text(self):
        _, part = block_split(1000, 0.2, 3)
        starts = part[1:][np.diff(part) > 1]
        assert 5 <= len(starts) <= 9  # runs may touch
        assert part[0] < 100
        assert part[-1] >= 900

    def test_the_seed_says_where(self):
        first, same, other = (block_split(1000, 0.2, seed)[1] for seed in (0, 0, 1))
        np.testing.assert_array_equal(first, same)
        assert (first != other).any()

    def test_one_row_cannot_be_split(self):
        with pytest.raises(ValueError, match="Received: 1"):
            block_split(1, 0.5, 0)


def test_equal_rows_stay_on_one_side_of_a_split():
    rows = [f"text {i % 25}" for i in range(100)]
    rest, part = distinct_split(rows, 0.2, 0)
    assert sorted([*rest, *part]) == list(range(100))
    assert len(part) == 20
    assert not {rows[i] for i in rest} & {rows[i] for i in part}


def test_rows_that_are_all_equal_cannot_be_split():
    with pytest.raises(ValueError, match="two examples or more"):
        distinct_split(["a"] * 9, 0.5, 0)

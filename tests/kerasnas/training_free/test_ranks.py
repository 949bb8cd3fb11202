import math

import numpy as np
import pytest

from kerasnas.training_free import order, summed_ranks


def test_units_make_no_difference():
    scores = {"a": [1.0, 2.0, 3.0], "b": [5e9, 1e9, 9e9]}
    assert summed_ranks(scores).tolist() == [3.0, 3.0, 6.0]


def test_equals_share_their_places():
    assert summed_ranks({"a": [7.0, 7.0, 1.0]}).tolist() == [2.5, 2.5, 1.0]


def test_what_is_no_number_is_the_worst():
    assert summed_ranks({"a": [math.nan, 0.0, -math.inf]}).tolist() == [1.5, 3.0, 1.5]


def test_every_candidate_needs_every_score():
    with pytest.raises(ValueError, match="'b': 1"):
        summed_ranks({"a": [1.0, 2.0], "b": [1.0]})
    with pytest.raises(ValueError, match="no names"):
        summed_ranks({})


def test_scores_decide_between_equals_only():
    best = order([0.8, 0.9, 0.8, math.nan], {"a": [1.0, 0.0, 2.0, 9.0]})
    assert best == [1, 2, 0, 3]


def test_what_is_equal_in_everything_stays_in_order():
    assert order([1.0] * 4, {}) == [0, 1, 2, 3]
    assert order(np.ones(3), {"a": [2.0, 2.0, 5.0]}) == [2, 0, 1]

import collections
import math

import keras_tuner
import numpy as np
import pytest

from search_spaces import blocks, members
from search_spaces.space import SearchSpace, choose


class Nested(SearchSpace):
    """1 + 3 + 2 sets of decisions, twice."""

    def body(self, hp, x):
        def wide(x):
            return blocks.conv(x, hp.Int("wide", 8, 24, step=8))

        def slow(x):
            return blocks.conv(x, 4, 1 if hp.Boolean("small") else 3)

        x = choose(hp, "block", x, {"none": blocks.identity, "wide": wide, "slow": slow})
        return blocks.conv(x, int(4 * hp.Float("width", 0.5, 1.0, step=0.5)), 1)


@pytest.fixture
def space():
    return Nested((4, 4, 1), 3)


def test_all_members_are_gone_through_once(space):
    found = [tuple(member.values.items()) for member in members.walk(space)]
    assert len(found) == len(set(found)) == 12
    assert found[0] == (("block", "none"), ("width", 0.5))
    assert (("block", "wide"), ("wide", 16), ("width", 1.0)) in found


def test_a_member_has_its_active_decisions_and_its_network(space):
    for member in members.walk(space):
        hp = keras_tuner.HyperParameters()
        hp.values = dict(member.values)
        assert space.describe(hp) == member.network
        assert {h.name for h in hp.space if hp.is_active(h)} == set(member.values)


def test_draws_are_uniform_at_each_decision(space):
    drawn = collections.Counter(m.values["block"] for m in members.draws(space, 600))
    assert all(150 < count < 250 for count in drawn.values())


def test_a_seed_fixes_the_draws_whatever_their_number(space):
    few, many, other = (
        [member.values for member in members.draws(space, count, seed)]
        for count, seed in ((5, 3), (9, 3), (9, 4))
    )
    assert few == many[:5]
    assert many != other


def test_the_numbers_of_values_along_a_path_estimate_the_size(space):
    products = [math.prod(member.counts) for member in members.draws(space, 2000)]
    assert np.mean(products) == pytest.approx(space.size(), rel=0.05)


def test_neighbours_differ_in_one_decision_and_what_follows(space):
    values = {"block": "wide", "wide": 16, "width": 1.0}
    found = [member.values for member in members.neighbours(space, values)]
    assert found == [
        {"block": "none", "width": 1.0},
        {"block": "slow", "small": False, "width": 1.0},
        {"block": "wide", "wide": 8, "width": 1.0},
        {"block": "wide", "wide": 24, "width": 1.0},
        {"block": "wide", "wide": 16, "width": 0.5},
    ]


def test_neighbours_by_one_decision(space):
    values = {"block": "wide", "wide": 16, "width": 1.0}
    found = [member.values["wide"] for member in members.neighbours(space, values, "wide")]
    assert found == [8, 24]


def test_a_real_number_cannot_be_gone_through():
    class Real(SearchSpace):
        def body(self, hp, x):
            return blocks.dropout(x, hp.Float("rate", 0.0, 0.5))

    with pytest.raises(ValueError, match=r"from 0\.0 to 0\.5\. Give it a `step`"):
        next(members.walk(Real((4, 4, 1), 3)))

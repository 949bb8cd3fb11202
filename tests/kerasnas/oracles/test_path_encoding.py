import keras_tuner
import numpy as np

from kerasnas.oracles.decisions import Decisions
from kerasnas.oracles.path_encoding import one_hot, path_encoding, recurring
from kerasnas.testing import conditional


def encoded(hp, *candidates):
    decisions = Decisions(hp)
    return one_hot(decisions, decisions.encode(candidates)).tolist()


def test_unordered_options_have_a_column_each():
    hp = keras_tuner.HyperParameters()
    hp.Choice("kind", ["conv", "pool", "skip"])
    assert encoded(hp, {"kind": "pool"}) == [[0, 1, 0]]


def test_ordered_options_have_a_column_for_each_step():
    hp = keras_tuner.HyperParameters()
    hp.Choice("width", [8, 16, 64])
    assert encoded(hp, *({"width": w} for w in (8, 16, 64))) == [[0, 0], [1, 0], [1, 1]]


def test_an_interval_has_its_place():
    hp = keras_tuner.HyperParameters()
    hp.Float("rate", 1e-4, 1.0, sampling="log")
    np.testing.assert_allclose(encoded(hp, {"rate": 1e-3}), [[0.25]])


def test_what_cannot_differ_has_none():
    hp = keras_tuner.HyperParameters()
    hp.Fixed("version", 1)
    assert encoded(hp, {"version": 1}) == [[]]


def test_inactive_decisions_are_zeros():
    hp = keras_tuner.HyperParameters()
    hp.Boolean("normed")
    with hp.conditional_scope("normed", [True]):
        hp.Choice("by", ["batch", "layer"])
        hp.Float("rate", 0.0, 1.0)
    (row,) = encoded(hp, {"normed": False})
    assert row[2:] == [0, 0, 0]


def test_different_candidates_have_different_rows():
    decisions = Decisions(conditional())
    rows = np.unique(decisions.sample(np.random.default_rng(0), 200), axis=0)
    features = one_hot(decisions, rows)
    assert len(np.unique(features, axis=0)) == len(rows)
    assert features.min() >= 0.0
    assert features.max() <= 1.0


def test_paths_of_one_network_alone_are_none_to_learn_from():
    assert recurring([{"a", "b"}, {"b", "c"}, {"d", "c"}, set()]) == ["b", "c"]


def test_networks_are_told_by_their_paths_and_the_share_of_unknown_ones():
    features = path_encoding([{"a", "b"}, {"b", "x", "y", "z"}, set()], ["a", "b"])
    assert features.tolist() == [[1, 1, 0], [0, 1, 0.75], [0, 0, 0]]

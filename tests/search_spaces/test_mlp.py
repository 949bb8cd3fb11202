import itertools
import os
import pathlib

import numpy as np
import pytest

from search_spaces import costs
from search_spaces.mlp import MLP, fcnet
from search_spaces.testing import SpaceContract

UNITS = (16, 32, 64, 128, 256, 512)


class TestTheContract(SpaceContract):
    smallest = (1,)

    def make(self, input_shape=(6,)):
        return MLP(input_shape, 3)


def ops(network):
    return [record.op for record in network.layers]


@pytest.mark.skipif(
    not os.environ.get("KERASNAS_DATA"), reason="needs KERASNAS_DATA: the folder of tables"
)
@pytest.mark.parametrize(
    ("table", "features"), [("naval_propulsion", 15), ("slice_localization", 380)]
)
def test_networks_of_fcnet_have_the_parameters_of_its_table(table, features):
    with np.load(pathlib.Path(os.environ["KERASNAS_DATA"], "fcnet.npz")) as stored:
        published = stored[f"{table}_params"][0, 1, 0, 2, 0, 0, 0]
    found = np.zeros_like(published)
    for i, j in itertools.product(range(6), repeat=2):
        space, values = fcnet(features, (UNITS[i], UNITS[j]), ("relu", "tanh"), (0.6, 0.0))
        found[i, j] = costs.params(space.network(values))
    np.testing.assert_array_equal(found, published)


def test_a_network_of_fcnet_is_two_layers_and_their_dropout():
    space, values = fcnet(15, (64, 32), ("relu", "tanh"), (0.3, 0.0))
    assert ops(space.network(values)) == [
        "input",
        "dense",
        "activation",
        "dropout",
        "dense",
        "activation",
        "dense",
    ]


def test_size_matches_the_docstring():
    deeper = 36**2 + 36**3 + 36**4
    assert MLP((6,), 3).size() == 1 + 4 * 36 + 8 * deeper == 13_820_689
    assert "13,820,689" in MLP.__doc__


def test_without_layers_the_network_is_linear():
    assert ops(MLP((6,), 3).network({"depth": 0, "wide": True})) == [
        "input",
        "dropout",
        "dense",
    ]


def test_a_wide_network_gives_the_columns_to_the_head():
    space = MLP((6,), 3)
    values = {"layer0/units": 32, "norm": False, "wide": False}
    narrow = costs.params(space.network(values))
    assert costs.params(space.network({**values, "wide": True})) == narrow + 6 * 3


def test_sums_project_where_widths_differ():
    space = MLP((6,), 3)
    values = {"depth": 2, "skip": True, "norm": False, "layer0/units": 32}
    same = ops(space.network({**values, "layer1/units": 32}))
    other = ops(space.network({**values, "layer1/units": 64}))
    assert same.count("add") == other.count("add") == 1
    assert other.count("dense") == same.count("dense") + 1


def test_layers_that_are_normalised_have_no_bias():
    space = MLP((6,), 3)
    given = [
        dict(r.settings)
        for r in space.network({"depth": 2, "norm": True}).layers
        if r.op == "dense"
    ]
    assert [settings["bias"] for settings in given] == [False, False, True]


@pytest.mark.parametrize("shape", [(), (0,), (6, 1)])
def test_what_is_no_row_of_a_table_is_refused(shape):
    with pytest.raises(ValueError, match=r"at least 1 feature\. Received: input_shape="):
        MLP(shape, 3)

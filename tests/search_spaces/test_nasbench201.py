import collections
import functools
import itertools
import os
import pathlib

import keras
import numpy as np
import pytest

from search_spaces import costs
from search_spaces.nasbench201 import (
    EDGES,
    OPERATIONS,
    NASBench201Cells,
    from_string,
    published_flops,
    to_string,
    unique_string,
)
from search_spaces.realise import realise
from search_spaces.testing import SpaceContract

EXAMPLE = (
    "|nor_conv_3x3~0|+|nor_conv_3x3~0|avg_pool_3x3~1|"
    "+|skip_connect~0|nor_conv_3x3~1|skip_connect~2|"
)
needs_table = pytest.mark.skipif(
    not os.environ.get("KERASNAS_DATA"), reason="needs KERASNAS_DATA: the folder of tables"
)


class TestNASBench201CellsContract(SpaceContract):
    smallest = (8, 8, 1)
    idle_weights = True
    same_costs = ()  # dead operations keep their weights

    def make(self, input_shape=(8, 8, 1)):
        return NASBench201Cells(input_shape, 3, channels=4, cells=1)


def cells():
    """All of them, as values."""
    for operations in itertools.product(OPERATIONS, repeat=len(EDGES)):
        yield {f"cell/edge{i}": name for i, name in enumerate(operations)}


def table():
    """The rows of the benchmark: their values, and the columns."""
    with np.load(pathlib.Path(os.environ["KERASNAS_DATA"], "nasbench201.npz")) as file:
        columns = {name: file[name] for name in file.files}
    names = [str(name) for name in columns["ops"]]
    rows = [{f"cell/edge{i}": names[o] for i, o in enumerate(row)} for row in columns["x"]]
    return rows, columns


@functools.cache
def digests(step):
    """The canonical forms of every `step`-th cell, on a skeleton of three, by its string."""
    space = NASBench201Cells((8, 8, 1), 3, channels=2, cells=1)
    chosen = itertools.islice(cells(), 0, None, step)
    return {to_string(values): space.identity(values) for values in chosen}


# --- the skeleton ---------------------------------------------------------------------------


def test_the_skeleton_is_the_published_one():
    # By hand: stem; 15 cells of 4 convolutions; two residual blocks; the last layers.
    def conv_norm(kernel, read, made):
        return kernel**2 * read * made + 2 * made

    expected = conv_norm(3, 3, 16)
    for channels in (16, 32, 64):
        expected += 5 * 3 * conv_norm(3, channels, channels)
    for channels in (32, 64):
        expected += conv_norm(3, channels // 2, channels) + conv_norm(3, channels, channels)
        expected += channels // 2 * channels
    expected += 2 * 64 + 64 * 10 + 10
    network = NASBench201Cells((32, 32, 3), 10).network(from_string(EXAMPLE))
    assert costs.trainable_params(network) == expected == 802_426


@pytest.mark.parametrize("shape", [(32, 32, 3), (33, 20, 3), (8, 9, 1)])
def test_stages_halve_the_resolution_rounded_up(shape):
    network = NASBench201Cells(shape, 3, cells=1).network(from_string(EXAMPLE))
    sides = [record.shape[:2] for record in network.layers if len(record.shape) == 3]
    height, width, _ = shape
    assert sides[-1] == (-(-height // 4), -(-width // 4))


def test_dead_operations_keep_their_weights():
    space = NASBench201Cells((8, 8, 1), 3)
    dead = dict.fromkeys((f"cell/edge{i}" for i in range(6)), "none")
    idle = {**dead, "cell/edge2": "nor_conv_3x3"}
    assert space.identity(idle) == space.identity(dead)
    assert space.costs(idle)["params"] > space.costs(dead)["params"]
    model = realise(space.network(idle))
    assert costs.params(space.network(idle)) == model.count_params()


@pytest.mark.parametrize("arguments", [{"channels": 0}, {"cells": 0}])
def test_a_skeleton_of_nothing_is_refused(arguments):
    with pytest.raises(
        ValueError, match=r"at least 1 channel and 1 cell.*Received: channels="
    ):
        NASBench201Cells((8, 8, 1), 3, **arguments)


# --- strings --------------------------------------------------------------------------------


def test_strings_are_read_and_written():
    values = from_string(EXAMPLE)
    assert values["cell/edge3"] == "skip_connect"
    assert values["cell/edge4"] == "nor_conv_3x3"
    assert all(from_string(to_string(values)) == values for values in cells())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("nor_conv_3x3~1", "nor_conv_3x3~2"), "has the form"),
        (("|skip_connect~2|", "|"), "has the form"),
        (("+", ""), "has the form"),
        (("avg_pool_3x3", "max_pool_3x3"), "no operation 'max_pool_3x3'"),
        ((EXAMPLE, ""), "has the form"),
    ],
)
def test_strings_that_are_no_cell_are_refused(change, message):
    with pytest.raises(ValueError, match=rf"{message}.*Received: '"):
        from_string(EXAMPLE.replace(*change))


# --- the table ------------------------------------------------------------------------------


def agree(rows, columns, chosen):
    for name, classes in [("cifar10", 10), ("cifar100", 100)]:
        space = NASBench201Cells((32, 32, 3), classes)
        for row in chosen:
            network = space.network(rows[row])
            assert costs.trainable_params(network) == columns[f"{name}_params"][row]
            assert published_flops(network) == columns[f"{name}_flops"][row]


@needs_table
@pytest.mark.parametrize("step", [97, pytest.param(1, marks=pytest.mark.slow)])
def test_params_and_flops_are_the_published_ones(step):
    rows, columns = table()
    assert len(rows) == 15_625
    agree(rows, columns, range(0, len(rows), step))


@needs_table
@pytest.mark.slow
def test_forty_realised_cells_have_the_published_parameters():
    rows, columns = table()
    space = NASBench201Cells((32, 32, 3), 10)
    for row in np.random.default_rng(0).choice(len(rows), 40, replace=False):
        network = space.network(rows[row])
        model = realise(network)
        trainable = sum(int(np.prod(w.shape)) for w in model.trainable_weights)
        assert trainable == columns["cifar10_params"][row]
        flops = model.layers[-1].units
        for layer in model.layers:
            if isinstance(layer, (keras.layers.Conv2D, keras.layers.Dense)):
                pixels = np.prod(layer.output.shape[1:-1], dtype=int)
                flops += int(pixels * np.prod(layer.kernel.shape))
        assert flops == columns["cifar10_flops"][row]
        keras.backend.clear_session()


@needs_table
def test_the_unique_string_gives_the_published_groups():
    rows, columns = table()
    names = [unique_string(values) for values in rows]
    groups = columns["isomorph_group"].tolist()
    assert len(set(names)) == len(set(groups)) == len(set(zip(names, groups, strict=True)))
    assert len(set(groups)) == 6466


# --- which cells are equal ------------------------------------------------------------------
#
# The reference knows nothing of graphs. It computes a cell in whole numbers modulo a prime,
# with an arbitrary function for each operation that is 0 at 0 as the real one is, and an
# arbitrary number for the weights of each convolution. Cells are equal if there is a way to
# hand the same weights to their convolutions that gives the same output.

PRIME = 2**61 - 1


def output(values, weights):
    nodes = [123_456_789, 0, 0, 0]
    for i, (source, target) in enumerate(EDGES):
        x, w = nodes[source], pow(3, weights[i], PRIME)
        nodes[target] += {
            "none": 0,
            "skip_connect": x,
            "avg_pool_3x3": 31 * x**2 + 7919 * x,
            "nor_conv_1x1": w * x**3 + 104_729 * x,
            "nor_conv_3x3": w * x**3 + 1_299_709 * x,
        }[values[f"cell/edge{i}"]]
        nodes[target] %= PRIME
    return nodes[3]


def live(values):
    """The edges whose weights make a difference."""
    base = output(values, range(2, 8))
    changed = [[w + 100 * (w == i + 2) for w in range(2, 8)] for i in range(6)]
    return [i for i in range(6) if output(values, changed[i]) != base]


def assignments(values):
    """Every way to hand out weights: by live edge, a number; the output it gives."""
    edges = live(values)
    small = [i for i in edges if values[f"cell/edge{i}"] == "nor_conv_1x1"]
    large = [i for i in edges if values[f"cell/edge{i}"] == "nor_conv_3x3"]
    for first in itertools.permutations(range(10, 10 + len(small))):
        for second in itertools.permutations(range(20, 20 + len(large))):
            given = dict(zip(small + large, first + second, strict=True))
            yield output(values, [given.get(i, 0) for i in range(6)]), given


def meaning(values):
    return min(assignments(values), key=lambda pair: pair[0])


some_and_all = pytest.mark.parametrize(
    "step", [13, pytest.param(1, marks=pytest.mark.slow)], ids=["some", "all"]
)


@some_and_all
def test_canonical_forms_are_equal_where_cells_are_and_nowhere_else(step):
    pairs = {(digest, meaning(from_string(cell))[0]) for cell, digest in digests(step).items()}
    forms, meanings = map(set, zip(*pairs, strict=True))
    assert len(pairs) == len(forms) == len(meanings) < 15_625 // step
    if step == 1:
        assert len(forms) == 5260


@some_and_all
def test_published_groups_are_split_only_where_they_hold_different_cells(step):
    groups = collections.defaultdict(lambda: collections.defaultdict(list))
    for cell, digest in digests(step).items():
        groups[unique_string(from_string(cell))][digest].append(from_string(cell))
    split = [group for group in groups.values() if len(group) > 1]
    assert split
    for group in split:
        meanings = [{meaning(values)[0] for values in members} for members in group.values()]
        assert len(set.union(*meanings)) == len(meanings)
    if step == 1:
        assert (len(groups), len(split)) == (6466, 430)


def test_deeper_stages_make_no_other_cells_equal():
    space = NASBench201Cells((8, 8, 1), 3, channels=2, cells=2)
    some = list(digests(13).items())[::3]
    deep = {(digest, space.identity(from_string(cell))) for cell, digest in some}
    assert len(deep) < len(some)
    assert len(deep) == len({a for a, _ in deep}) == len({b for _, b in deep})


@pytest.mark.parametrize("count", [1, pytest.param(12, marks=pytest.mark.slow)])
def test_equal_cells_compute_the_same_with_the_same_weights(count):
    rng = np.random.default_rng(0)
    equal = collections.defaultdict(list)
    for cell, digest in digests(13).items():
        equal[digest].append(from_string(cell))
    several = [group for group in equal.values() if len(group) > 1 and live(group[0])]
    space = NASBench201Cells((8, 8, 1), 3, channels=2, cells=1)
    x = rng.normal(size=(4, 8, 8, 1)).astype("float32")
    for place in rng.choice(len(several), count, replace=False):
        group = several[place]
        answers = []
        for values in (group[k] for k in rng.choice(len(group), 2, replace=False)):
            model = realise(space.network(values))
            give_weights(model, values)
            answers.append(np.asarray(model(x)))
            keras.backend.clear_session()
        assert np.ptp(answers[0], axis=0).min() > 0
        np.testing.assert_allclose(answers[0], answers[1], rtol=1e-5)


def give_weights(model, values):
    """Weights by what a convolution is: in the skeleton, live in a cell, or dead in one."""
    weights = meaning(values)[1]
    in_cell = [i for i in range(6) if values[f"cell/edge{i}"].startswith("nor_conv")]
    names = ["stem"]
    for stage in range(3):
        names += [f"{part} {stage}" for part in ("first", "second", "shortcut")] * (stage > 0)
        names += [f"cell {stage} {weights.get(i, 'dead')}" for i in in_cell]
    convs = [layer for layer in model.layers if isinstance(layer, keras.layers.Conv2D)]
    norms = [
        layer for layer in model.layers if isinstance(layer, keras.layers.BatchNormalization)
    ]
    # Each but the 1x1 convolution of a shortcut is normalised; so is the last sum.
    normalised = [name for name in names if "shortcut" not in name] + ["last"]
    fillings = [(convs, names), (norms, normalised), (model.layers[-1:], ["head"])]
    for layers, called in fillings:
        for layer, name in zip(layers, called, strict=True):
            fill(layer, name)


def fill(layer, name):
    rng = np.random.default_rng(list(f"{type(layer).__name__} {name}".encode()))
    fresh = [rng.uniform(0.5, 1.5, weight.shape) for weight in layer.get_weights()]
    if name.endswith("dead") and len(fresh) == 4:
        # What normalises zeros has seen nothing but zeros, and its shift is not learned yet.
        fresh[1:3] = 0 * fresh[1], 0 * fresh[2]
    layer.set_weights(fresh)


def test_decisions_left_out_have_their_defaults():
    chosen = {"cell/edge3": "skip_connect"}
    complete = {**NASBench201Cells((8, 8, 3), 10).default(), **chosen}
    assert to_string(chosen) == to_string(complete)
    assert unique_string(chosen) == unique_string(complete)
    for translate in (to_string, unique_string, NASBench201Cells((8, 8, 3), 10).network):
        with pytest.raises(ValueError, match="Received: 'conv_9x9' for `cell/edge0`"):
            translate({"cell/edge0": "conv_9x9"})

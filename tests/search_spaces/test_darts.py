import time

import numpy as np
import pytest

from search_spaces import costs, members
from search_spaces.darts import DARTS_V1, DARTS_V2, DARTSCells, Genotype, parse_genotype
from search_spaces.decisions import Decisions
from search_spaces.testing import SpaceContract


class TestDARTSCells(SpaceContract):
    smallest = (8, 8, 1)
    described = 20
    elsewhere = ("cells", "filters")

    def make(self, input_shape=(8, 8, 1)):
        return DARTSCells(input_shape, 3, cells=3, filters=4)


@pytest.fixture(scope="module")
def space():
    return DARTSCells((32, 32, 3), 10, cells=20, filters=36)


def edited(genotype=DARTS_V2, **changes):
    return parse_genotype(genotype)._replace(**changes)


def with_edge(place, edge, kind="normal"):
    edges = list(getattr(parse_genotype(DARTS_V2), kind))
    edges[place] = edge
    return edited(**{kind: edges})


def test_darts_v2_for_cifar_has_its_published_weights(space):
    # "param size = 3.349342MB" is what the authors' program prints; 3.3 M in the paper.
    network = space.network(space.values(DARTS_V2))
    assert costs.trainable_params(network) == 3_349_342


def test_darts_v2_for_imagenet_has_its_published_weights():
    # "param size = 4.718752MB"; 4.7 M in the paper, and 574 M multiply-adds.
    space = DARTSCells((224, 224, 3), 1000, cells=14, filters=48)
    network = space.network(space.values(DARTS_V2))
    assert costs.trainable_params(network) == 4_718_752


def test_size_matches_the_docstring(space):
    # 3, 6 and 10 pairs of nodes, and 8 edges of 7 operations, in each of two cells.
    assert space.size() == (3 * 6 * 10 * 7**8) ** 2 == (180 * 7**8) ** 2
    assert "`(180 * 7**8)**2` = 1.1e18" in DARTSCells.__doc__
    assert f"{space.size():.1e}" == "1.1e+18"


def test_describing_20_cells_takes_5_milliseconds_at_most(space):
    seconds = []
    for member in members.draws(space, 5):
        for _ in range(5):
            started = time.perf_counter()
            space.describe(Decisions(member.values))
            seconds.append(time.perf_counter() - started)
    assert min(seconds) < 0.005


def test_a_genotype_is_its_published_text():
    genotype = parse_genotype(DARTS_V2)
    assert genotype.normal[-1] == ("dil_conv_3x3", 2)
    assert repr(genotype) == DARTS_V2
    assert parse_genotype(f"DARTS_V2 = {DARTS_V2}\n") == genotype
    ranges = DARTS_V2.replace("[2, 3, 4, 5]", "range(2, 6)")
    assert repr(parse_genotype(ranges)) == ranges


@pytest.mark.parametrize("text", [DARTS_V1, DARTS_V2])
def test_a_genotype_goes_in_and_comes_out(space, text):
    values = space.values(text)
    found = space.genotype(values)
    assert space.values(found) == space.values(repr(found)) == values
    for kind in ("normal", "reduce"):
        pairs = [getattr(one, kind) for one in (found, parse_genotype(text))]
        for place in range(0, 8, 2):
            assert len({frozenset(edges[place : place + 2]) for edges in pairs}) == 1


def test_every_member_has_a_genotype_of_its_own(space):
    for member in members.draws(space, 50):
        assert space.values(repr(space.genotype(member.values))) == member.values


def test_decisions_left_out_have_the_genotype_of_the_default(space):
    assert space.values(space.genotype({})) == space.default()


def test_the_order_of_the_two_edges_of_a_node_makes_no_difference(space):
    edges = list(parse_genotype(DARTS_V2).normal)
    edges[6], edges[7] = edges[7], edges[6]
    assert space.values(edited(normal=edges)) == space.values(DARTS_V2)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "genotype",
        "Genotype(normal=[])",
        "Cell(normal=[], normal_concat=[], reduce=[], reduce_concat=[])",
        DARTS_V2 + "; 1",
        DARTS_V2[:-1],
        DARTS_V2.replace("('sep_conv_3x3', 0)", "'sep_conv_3x3'", 1),
        DARTS_V2.replace("('sep_conv_3x3', 0)", "('sep_conv_3x3', '0')", 1),
        DARTS_V2.replace("[2, 3, 4, 5]", "open('x')", 1),
        DARTS_V2.replace("[2, 3, 4, 5]", "2", 1),
        DARTS_V2.replace("[2, 3, 4, 5]", "range(10**9)", 1),
        DARTS_V2.replace("[2, 3, 4, 5]", "range(1000000000)", 1),
        "(" * 500 + ")" * 500,
    ],
)
def test_what_is_no_genotype_is_refused(text):
    with pytest.raises(ValueError, match=r"A genotype reads Genotype\(.*Received: "):
        parse_genotype(text)


def test_nothing_in_a_text_is_run(tmp_path):
    path = tmp_path / "run"
    with pytest.raises(ValueError, match="A genotype reads"):
        parse_genotype(DARTS_V2.replace("'sep_conv_3x3'", f"open({str(path)!r}, 'w')", 1))
    assert not path.exists()


@pytest.mark.parametrize(
    ("genotype", "message"),
    [
        (with_edge(5, ("sep_conv_9x9", 0)), r"Received: 'sep_conv_9x9' at edge 5 of normal"),
        (with_edge(2, ("none", 0), "reduce"), r"Received: 'none' at edge 2 of reduce"),
        (with_edge(0, ("skip_connect", 3)), r"cycle.*Received: node 2 of normal .* node 3\."),
        (with_edge(7, ("skip_connect", 5)), r"cycle.*Received: node 5 of normal .* node 5\."),
        (with_edge(3, ("skip_connect", -1)), r"cycle.*Received: node 3 of normal .* node -1"),
        (with_edge(1, ("skip_connect", 0)), r"two different nodes\. Received: node 2 of"),
        (edited(reduce=[("skip_connect", 0)] * 7), r"4 nodes of two edges.*with 7 edges"),
        (
            edited(normal_concat=[2, 3, 4]),
            r"concatenates its nodes.*normal_concat=\[2, 3, 4\]",
        ),
    ],
)
def test_a_genotype_that_is_no_member_is_refused(space, genotype, message):
    with pytest.raises(ValueError, match=message):
        space.values(genotype)


@pytest.mark.parametrize(
    "genotype",
    [
        with_edge(0, ("skip_connect", "1")),
        with_edge(0, ("skip_connect", True)),
        with_edge(0, ("skip_connect", 1.0), "reduce"),
        with_edge(0, (3, 1)),
        with_edge(0, "skip_connect"),
        edited(reduce_concat=["2", "3", "4", "5"]),
        edited(normal_concat=None),
        None,
    ],
)
def test_a_genotype_of_other_types_is_refused(space, genotype):
    with pytest.raises(ValueError, match=r"A genotype has lists of .*Received: "):
        space.values(genotype)


def test_nodes_of_a_genotype_may_be_numpys(space):
    edges = [(name, np.int64(node)) for name, node in parse_genotype(DARTS_V2).normal]
    assert space.values(edited(normal=edges)) == space.values(DARTS_V2)


@pytest.mark.parametrize("pair", ["2+3", "1+0", "0"])
def test_inputs_of_a_node_that_are_not_offered_are_refused(space, pair):
    for translate in (space.network, space.genotype):
        with pytest.raises(ValueError, match=r"Received: '.*' for `normal/node3/inputs`\."):
            translate({"normal/node3/inputs": pair})


def test_other_operations_can_be_searched():
    space = DARTSCells(
        (8, 8, 3), 4, cells=3, filters=4, operations=("none", "skip_connect")[1:]
    )
    assert set(space.genotype({}).normal) <= {("skip_connect", node) for node in range(5)}
    with pytest.raises(ValueError, match="'sep_conv_3x3' at edge 0 of normal"):
        space.values(DARTS_V2)


def test_depth_and_width_can_be_decisions():
    space = DARTSCells((32, 32, 3), 10, cells=(8, 5), filters=(16, 4, 8))
    assert space.default().items() >= {"cells": 8, "filters": 16}.items()
    assert space.size() == 6 * DARTSCells((32, 32, 3), 10).size()
    small = space.costs({"cells": 5, "filters": 4})["params"]
    assert small < space.costs({})["params"] / 10


def test_cells_halve_images_at_one_and_two_thirds():
    space = DARTSCells((33, 20, 2), 10, cells=6, filters=4)
    outputs = [r.shape for r in space.network({}).layers if len(r.inputs) == 4]
    assert outputs == [
        *[(33, 20, 16), (33, 20, 16), (17, 10, 32)],
        *[(17, 10, 32), (9, 5, 64), (9, 5, 64)],
    ]


def test_no_layer_without_weights_is_described_twice():
    space = DARTSCells((32, 32, 3), 10)
    for member in members.draws(space, 10):
        plain = [r for r in member.network.layers if r.op in ("activation", "max_pool")]
        assert len(plain) == len(set(plain))


def test_the_stem_for_imagenet_needs_larger_images():
    with pytest.raises(ValueError, match=r"at least 64x64 pixels\. Received: input_shape="):
        DARTSCells((63, 64, 3), 10, stem="imagenet")


@pytest.mark.parametrize("bad", [{"cells": 2}, {"filters": 1}, {"stem": "vgg"}])
def test_bad_arguments_are_refused(bad):
    with pytest.raises(ValueError, match="Received: "):
        DARTSCells((32, 32, 3), 10, **bad)


def test_genotype_is_a_plain_tuple():
    assert Genotype([], [], [], []) == ([], [], [], [])

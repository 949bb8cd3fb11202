import itertools
import math

import numpy as np
import pytest

from search_spaces import blocks, edits, members
from search_spaces.decisions import Decisions
from search_spaces.graph import ADD, CONCATENATE, Edge, Graph, GraphNetwork, Rules, Vertex
from search_spaces.network import freeze, input_node
from search_spaces.testing import SpaceContract

SMALL = {"operations": ("conv3", "skip"), "widths": (8, 16), "max_nodes": 2}
CONV = Vertex("conv3", 16)


class TestGraphNetworkContract(SpaceContract):
    smallest = (8, 8, 1)
    told = ("nodes", "node{i}/source")

    def make(self, input_shape=(8, 8, 1)):
        return GraphNetwork(input_shape, 3, max_nodes=4)


def shapes(network):
    return [record.shape for record in network.layers if len(record.shape) == 3]


def body(space, graph):
    """The features of a graph, without the head."""
    return freeze(space.body(Decisions(space.values_of(graph)), input_node(space.input_shape)))


# --- decisions and graphs -----------------------------------------------------------------


@pytest.mark.parametrize(("operations", "widths", "nodes"), [(1, 1, 3), (2, 2, 2), (8, 5, 1)])
def test_size_matches_the_docstring_and_brute_force(operations, widths, nodes):
    space = GraphNetwork(
        (8, 8, 1),
        3,
        operations=Rules().operations[:operations],
        widths=Rules().widths[:widths],
        max_nodes=nodes,
    )
    found = {space.graph_of(member.values) for member in members.walk(space)}
    count = operations * widths
    said = sum(
        math.prod(count * (3**i - 1) for i in range(1, n + 1)) for n in range(1, nodes + 1)
    )
    assert len(found) == space.size() == said


def test_the_default_size_is_as_the_docstring_says():
    assert f"{GraphNetwork((8, 8, 1), 3).size():.1e}".replace("+", "") == "5.5e29"
    assert "5.5e29" in GraphNetwork.__doc__


def test_sets_of_decisions_are_graphs_one_to_one():
    space = GraphNetwork((8, 8, 1), 3, **SMALL)
    for member in members.walk(space):
        assert space.values_of(space.graph_of(member.values)) == member.values


def test_every_node_lies_on_a_path_from_the_input_to_the_output():
    space = GraphNetwork((33, 20, 3), 10)
    for member in members.draws(space, 200):
        graph = space.graph_of(member.values)
        count = len(graph.nodes)
        reads = np.eye(count + 2, dtype=int)  # and one more for the output
        for source, target, _ in graph.edges:
            reads[source, target] = 1
        reads[list(graph.outputs), count + 1] = 1
        reached = np.linalg.matrix_power(reads, count + 2) > 0
        assert reached[0].all()
        assert reached[:, count + 1].all()
        assert np.array_equal(reads, np.triu(reads))


def test_the_table_of_decisions_holds_for_the_default_space():
    decided = {hp.name: hp.values for hp in GraphNetwork((8, 8, 1), 3).hyperparameters().space}
    rows = {
        row.split("|")[1].strip(): row
        for row in GraphNetwork.__doc__.splitlines()[:60]
        if row.count("|") == 4
    }
    assert decided["nodes"] == list(range(1, 9))
    assert "| 1, 2, ..., 8 " in rows["`nodes`"]
    assert decided["node8/source"] == list(range(8))
    assert "| 0, 1, ..., 7 " in rows["`node{i}/source`"]


def test_nodes_that_are_not_there_have_no_decisions():
    space = GraphNetwork((8, 8, 1), 3)
    reader = Decisions({"nodes": 1, "node2/width": 128})
    assert space.describe(reader) == space.network({"nodes": 1})
    assert set(reader.values) - {"node2/width"} == {
        "nodes",
        "node1/operation",
        "node1/width",
        "node1/stride",
    }


def test_the_default_is_a_chain_that_halves_twice():
    space = GraphNetwork((32, 32, 3), 10)
    assert str(space.graph_of({})).splitlines() == [
        " 1 conv3(0) 16 channels",
        " 2 conv3(1) 32 channels, halved",
        " 3 conv3(2) 32 channels",
        " 4 conv3(3) 64 channels, halved",
        "output(4)",
    ]
    assert shapes(space.network({}))[-1] == (8, 8, 64)


# --- networks -----------------------------------------------------------------------------


def test_what_is_added_is_brought_to_the_shape_of_the_main_input():
    space = GraphNetwork((9, 9, 1), 3)
    graph = Graph(
        (Vertex("conv3", 32), Vertex("conv3", 8, 2), Vertex("skip", 8)),
        (Edge(0, 1), Edge(1, 2), Edge(2, 3), Edge(1, 3, ADD)),
    )
    x = blocks.conv(input_node((9, 9, 1)), 16)
    wide = blocks.conv(x, 32)
    coarse = blocks.conv(wide, 8, stride=2)
    projected = blocks.conv(blocks.max_pool(wide, 2), 8, 1, activation="linear")
    assert body(space, graph) == freeze(blocks.add(coarse, projected))


def test_what_is_concatenated_keeps_its_channels():
    space = GraphNetwork((9, 9, 1), 3)
    graph = Graph(
        (Vertex("conv3", 32, 2), Vertex("conv3", 8)),
        (Edge(0, 1), Edge(1, 2), Edge(0, 2, CONCATENATE)),
    )
    x = blocks.conv(input_node((9, 9, 1)), 16)
    both = blocks.concatenate(blocks.conv(x, 32, stride=2), blocks.max_pool(x, 2))
    assert body(space, graph) == freeze(blocks.conv(both, 8))


def test_sums_are_concatenated_with_the_rest():
    space = GraphNetwork((8, 8, 1), 3)
    graph = Graph(
        (CONV, CONV, Vertex("conv1", 16)),
        (Edge(0, 1), Edge(1, 2), Edge(0, 3, ADD), Edge(1, 3, CONCATENATE), Edge(2, 3)),
    )
    x = blocks.conv(input_node((8, 8, 1)), 16)
    y = blocks.conv(x, 16)
    z = blocks.add(blocks.conv(y, 16), x)
    assert body(space, graph) == freeze(blocks.conv(blocks.concatenate(z, y), 16, 1))


def test_what_nothing_reads_meets_at_the_output():
    space = GraphNetwork((33, 20, 1), 3)
    graph = Graph(
        (CONV, Vertex("conv1", 8, 2), Vertex("max_pool3", 16)),
        (Edge(0, 1), Edge(1, 2), Edge(0, 3)),
    )
    assert graph.outputs == (2, 3)
    assert body(space, graph).output_shape == (17, 10, 24)


def test_what_skips_without_a_change_is_taken_once():
    space = GraphNetwork((8, 8, 1), 3)
    graph = Graph((CONV, Vertex("skip", 16)), (Edge(0, 1), Edge(1, 2)))
    alone = Graph((CONV,), (Edge(0, 1),))
    assert body(space, graph) == body(space, alone)
    doubled = Graph(
        (CONV, Vertex("skip", 16), CONV), (Edge(0, 1), Edge(1, 2), Edge(2, 3), Edge(1, 3, ADD))
    )
    assert body(space, doubled) == body(space, Graph((CONV, CONV), (Edge(0, 1), Edge(1, 2))))


def test_nodes_have_their_width_whatever_they_do():
    space = GraphNetwork((12, 12, 1), 3)
    for operation, width, stride in itertools.product(Rules().operations, (8, 16), (1, 2)):
        graph = Graph((Vertex(operation, width, stride),), (Edge(0, 1),))
        side = 12 // stride
        assert body(space, graph).output_shape == (side, side, width)


def test_small_images_are_not_halved():
    space = GraphNetwork((33, 20, 3), 10)
    halving = tuple(Vertex("conv3", 8, 2) for _ in range(8))
    graph = Graph(halving, tuple(Edge(i, i + 1) for i in range(8)))
    assert shapes(space.network(space.values_of(graph)))[-1] == (5, 3, 8)
    for member in members.draws(space, 100):
        assert min(min(shape[:2]) for shape in shapes(member.network)) >= 3


def test_large_images_are_halved_by_the_stem():
    assert shapes(GraphNetwork((64, 80, 3), 10).network({}))[1] == (32, 40, 16)
    assert shapes(GraphNetwork((63, 80, 3), 10).network({}))[1] == (63, 80, 16)


# --- edits --------------------------------------------------------------------------------


def test_edited_decisions_are_those_of_a_graph_one_edit_away():
    space = GraphNetwork((8, 8, 1), 3, **SMALL)
    rng = np.random.default_rng(0)
    for member in members.draws(space, 20):
        near = set(edits.neighbours(space.graph_of(member.values)))
        found = space.edited(member.values, rng)
        assert space.graph_of(found) in near
        assert space.values_of(space.graph_of(found)) == found


def test_edits_put_nodes_in_and_take_them_out():
    space = GraphNetwork((8, 8, 1), 3)
    rng = np.random.default_rng(0)
    values = space.values_of(space.graph_of({}))
    counts = {space.edited(values, rng)["nodes"] for _ in range(40)}
    assert counts == {3, 4, 5}


def test_the_same_generator_gives_the_same_edit_and_values_stay():
    space = GraphNetwork((8, 8, 1), 3)
    values = {"nodes": 3}
    one, two = (space.edited(values, np.random.default_rng(4)) for _ in range(2))
    assert one == two
    assert values == {"nodes": 3}


def test_decisions_that_are_not_of_the_graph_are_kept():
    space = GraphNetwork((8, 8, 1), 3, **SMALL)
    found = space.edited({"rate": 0.1, "node_rate": 0.2}, np.random.default_rng(0))
    assert (found.pop("rate"), found.pop("node_rate")) == (0.1, 0.2)
    assert space.values_of(space.graph_of(found)) == found


# --- what is refused ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"operations": ("conv3", "conv7")}, r"Received: operations=\('conv3', 'conv7'\)"),
        ({"operations": ()}, "List one or more"),
        ({"operations": ("skip", "skip")}, "of them once"),
        ({"widths": (16, 8)}, r"ascending numbers of channels\. Received: widths=\(16, 8\)"),
        ({"widths": ()}, "Received: widths="),
        ({"max_nodes": 0}, "Received: max_nodes=0"),
        ({"stem": 0}, "Received: stem=0"),
        (
            {"input_shape": (8, 7, 1)},
            r"at least 8x8 pixels\. Received: input_shape=\(8, 7, 1\)",
        ),
    ],
)
def test_spaces_without_members_are_refused(given, said):
    with pytest.raises(ValueError, match=said):
        GraphNetwork(**{"input_shape": (8, 8, 1), "num_classes": 3, **given})


@pytest.mark.parametrize(
    ("nodes", "edges", "said"),
    [
        ((), (), "1 to 8 nodes. Received: 0 nodes"),
        ((CONV,) * 9, (), "Received: 9 nodes"),
        ((Vertex("conv7", 8),), (Edge(0, 1),), "Received: operation='conv7' at node 1"),
        ((Vertex("conv3", 9),), (Edge(0, 1),), "Received: width=9 at node 1"),
        ((CONV, CONV), (Edge(0, 1),), "node 2 without an edge to it"),
        ((CONV, CONV), (Edge(2, 1), Edge(0, 2)), "no cycle. Received: an edge from 2 to 1"),
        ((CONV,), (Edge(0, 2),), "Received: an edge from 0 to 2"),
        ((CONV, CONV), (Edge(0, 1), Edge(1, 2), Edge(0, 2)), r"\['main', 'main'\] at node 2"),
        ((CONV,), (Edge(0, 1, ADD),), r"Received: \['add'\] at node 1"),
        ((CONV,), (Edge(0, 1), Edge(0, 1)), r"edges to node 1 from \[0, 0\]"),
    ],
)
def test_what_is_no_graph_is_refused(nodes, edges, said):
    with pytest.raises(ValueError, match=said):
        Graph(nodes, edges)


def test_a_graph_of_another_space_is_refused():
    space = GraphNetwork((8, 8, 1), 3, **SMALL)
    with pytest.raises(ValueError, match="width of a node must be one of 8, 16"):
        space.values_of(Graph((Vertex("conv3", 32),), (Edge(0, 1),)))


def test_edges_are_equal_in_any_order():
    edges = [Edge(0, 1), Edge(1, 2), Edge(0, 2, ADD)]
    graphs = {Graph((CONV, CONV), tuple(some)) for some in itertools.permutations(edges)}
    assert len(graphs) == 1


def test_numberings_of_one_network_are_recognised_as_equal():
    space = GraphNetwork((8, 8, 1), 3)
    one, other = Vertex("conv3", 8), Vertex("conv5", 8)
    join = Vertex("conv1", 8)
    edges = (Edge(0, 1), Edge(0, 2), Edge(1, 3, ADD), Edge(2, 3))
    identities = {
        space.identity(space.values_of(Graph((*pair, join), edges)))
        for pair in ((one, other), (other, one))
    }
    assert len(identities) == 1


def test_random_members_differ():
    space = GraphNetwork((33, 20, 3), 10)
    digests = {member.network.digest for member in members.draws(space, 200)}
    assert len(digests) > 190


@pytest.mark.parametrize(
    "values", [{"node1/operation": "foo"}, {"node2/source": 5}, {"node2/edge0": "multiply"}]
)
def test_decisions_that_are_not_offered_are_refused(values):
    space = GraphNetwork((16, 16, 3), 10)
    for translate in (space.network, space.graph_of):
        with pytest.raises(ValueError, match=r"Received: .* for `node\d/"):
            translate(values)

import hypothesis
import numpy as np
import pytest
from hypothesis import strategies as st

from search_spaces import edits
from search_spaces.edits import Edit, apply, inverse, neighbours, random_edit
from search_spaces.graph import (
    ADD,
    CONCATENATE,
    MAIN,
    Edge,
    Graph,
    GraphNetwork,
    Rules,
    Vertex,
)

settings = hypothesis.settings(max_examples=60, deadline=None, derandomize=True, database=None)
RULES = Rules(("conv3", "separable3", "skip"), (8, 16), 5)
SPACE = GraphNetwork(
    (8, 8, 1), 3, operations=RULES.operations, widths=RULES.widths, max_nodes=5
)
CONV, POOL = Vertex("conv3", 8), Vertex("skip", 16, 2)


@st.composite
def graphs(draw, rules=RULES):
    nodes, edges = [], []
    for target in range(1, draw(st.integers(1, rules.max_nodes)) + 1):
        nodes.append(
            Vertex(
                draw(st.sampled_from(rules.operations)),
                draw(st.sampled_from(rules.widths)),
                draw(st.sampled_from((1, 2))),
            )
        )
        main = draw(st.integers(0, target - 1))
        edges.append(Edge(main, target))
        for source in range(main):
            merge = draw(st.sampled_from((None, ADD, CONCATENATE)))
            if merge:
                edges.append(Edge(source, target, merge))
    return Graph(tuple(nodes), tuple(edges), rules)


seeds = st.integers(0, 2**32 - 1)


def chain(*nodes, rules=RULES):
    return Graph(nodes, tuple(Edge(i, i + 1) for i in range(len(nodes))), rules)


def difference(one, other):
    """How much two graphs of one numbering differ: in nodes, edges and properties."""
    assert len(one.nodes) == len(other.nodes)
    properties = sum(
        a != b
        for x, y in zip(one.nodes, other.nodes, strict=True)
        for a, b in zip(x, y, strict=True)
    )
    pairs = [{(edge.source, edge.target) for edge in graph.edges} for graph in (one, other)]
    return properties, len(pairs[0] ^ pairs[1])


# --- single edits ---------------------------------------------------------------------------


def test_a_node_splits_an_edge():
    graph = edits.add_node(chain(CONV, POOL), Vertex("separable3", 16), source=1, target=2)
    assert [vertex.operation for vertex in graph.nodes] == ["conv3", "separable3", "skip"]
    assert graph.edges == (Edge(0, 1), Edge(1, 2), Edge(2, 3))


def test_a_node_that_nothing_reads_leads_to_the_output():
    graph = edits.add_node(chain(CONV, CONV), POOL, source=0)
    assert graph.nodes == (POOL, CONV, CONV)
    assert graph.edges == (Edge(0, 1), Edge(0, 2), Edge(2, 3))
    assert graph.outputs == (1, 3)


def test_a_split_edge_keeps_how_it_joins_the_others():
    graph = edits.add_edge(chain(CONV, CONV), 0, 2, CONCATENATE)
    graph = edits.add_node(graph, POOL, source=0, target=2)
    assert graph.inputs(3) == {1: CONCATENATE, 2: MAIN}


def test_a_later_input_becomes_the_main_one():
    graph = Graph((CONV, CONV, CONV), (Edge(0, 1), Edge(0, 2), Edge(1, 3)), RULES)
    graph = edits.add_edge(graph, 2, 3, CONCATENATE)
    assert graph.inputs(3) == {1: CONCATENATE, 2: MAIN}
    assert edits.remove_edge(graph, 2, 3).inputs(3) == {1: MAIN}


def test_the_readers_of_a_removed_node_read_its_main_input():
    graph = edits.add_edge(chain(CONV, CONV, CONV, CONV), 2, 4, ADD)
    graph = edits.remove_node(graph, 3)
    assert graph.inputs(3) == {2: MAIN}
    graph = edits.remove_node(edits.add_edge(chain(CONV, POOL, CONV), 0, 2, ADD), 2)
    assert graph == chain(CONV, CONV)


def test_a_removed_edge_frees_its_source_for_the_output():
    graph = edits.add_edge(chain(CONV, CONV), 0, 2)
    assert edits.remove_edge(graph, 1, 2).outputs == (1, 2)


def test_properties_change_one_at_a_time():
    graph = chain(CONV, POOL)
    assert edits.change_operation(graph, 1, "separable3").nodes[0] == Vertex("separable3", 8)
    assert edits.change_width(graph, 2, 8).nodes[1] == Vertex("skip", 8, 2)
    assert edits.change_stride(graph, 2, 1).nodes[1] == Vertex("skip", 16, 1)
    joined = edits.add_edge(graph, 0, 2)
    assert edits.change_merge(joined, 0, 2, CONCATENATE).inputs(2)[0] == CONCATENATE


FULL = chain(*[CONV] * 5)


@pytest.mark.parametrize(
    ("edit", "said"),
    [
        (lambda: edits.add_edge(FULL, 3, 2), r"no cycle\. Received: an edge from 3 to 2"),
        (lambda: edits.add_edge(FULL, 2, 2), r"no cycle\. Received: an edge from 2 to 2"),
        (
            lambda: edits.add_edge(FULL, 1, 2),
            r"one edge at most\. Received: an edge from 1 to 2",
        ),
        (lambda: edits.add_edge(FULL, 0, 2, "multiply"), "Received: merge='multiply'"),
        (lambda: edits.add_edge(FULL, 0, 6), r"nodes 1 to 5\. Received: node 6"),
        (lambda: edits.add_node(FULL, CONV, 0, 1), r"has 1 to 5 nodes\. Received: 6 nodes"),
        (lambda: edits.add_node(chain(CONV), CONV, 1, 2), "Received: an edge from 1 to 2"),
        (lambda: edits.add_node(chain(CONV), CONV, 2), "Received: source=2, number=3"),
        (lambda: edits.add_node(chain(CONV), CONV, 0, 1, 2), "Give a number from 1 to 1"),
        (lambda: edits.add_node(chain(CONV), Vertex("conv7", 8), 0), "operation='conv7'"),
        (lambda: edits.remove_node(chain(CONV), 1), "no path would lead to the output"),
        (lambda: edits.remove_node(FULL, 0), "Received: node 0"),
        (lambda: edits.remove_edge(FULL, 1, 2), "the last one to 2"),
        (lambda: edits.remove_edge(FULL, 0, 2), r"node 2 reads \[1\]"),
        (lambda: edits.change_operation(FULL, 1, "conv7"), "one of conv3, separable3, skip"),
        (lambda: edits.change_operation(FULL, 6, "skip"), "Received: node 6"),
        (lambda: edits.change_width(FULL, 1, 12), "width=12 at node 1"),
        (lambda: edits.change_stride(FULL, 1, 3), "stride=3 at node 1"),
        (lambda: edits.change_merge(FULL, 1, 2, ADD), "the edge from 1 to 2, the main one"),
        (lambda: apply(FULL, Edit("turn", (1,))), "Received: 'turn'"),
    ],
)
def test_an_edit_that_makes_no_valid_graph_is_refused(edit, said):
    with pytest.raises(ValueError, match=said):
        edit()


def test_a_node_with_several_edges_does_not_come_back_by_one_edit():
    graph = edits.add_edge(chain(CONV, POOL, CONV), 0, 2)
    with pytest.raises(ValueError, match=r"reads \[0, 1\] and is read by \[3\]"):
        inverse(graph, Edit("remove_node", (2,)))


# --- what holds for all of them -----------------------------------------------------------


@settings
@hypothesis.given(graph=graphs())
def test_graphs_and_decisions_are_translated_both_ways(graph):
    values = SPACE.values_of(graph)
    assert SPACE.graph_of(values) == graph


@settings
@hypothesis.given(graph=graphs(), seed=seeds)
def test_edits_in_a_row_lead_from_member_to_member(graph, seed):
    rng = np.random.default_rng(seed)
    for _ in range(10):
        graph = apply(graph, random_edit(graph, rng))
    values = SPACE.values_of(graph)
    assert SPACE.graph_of(values) == graph
    assert SPACE.network(values).output_shape == (3,)


@settings
@hypothesis.given(graph=graphs(), seed=seeds)
def test_every_edit_is_undone_by_its_inverse(graph, seed):
    edit = random_edit(graph, np.random.default_rng(seed))
    changed = apply(graph, edit)
    back = inverse(graph, edit)
    assert changed != graph
    assert apply(changed, back) == graph
    assert apply(graph, inverse(changed, back)) == changed


@settings
@hypothesis.given(graph=graphs())
def test_neighbours_differ_by_one_node_one_edge_or_one_property(graph):
    seen = list(neighbours(graph))
    assert len(seen) == len(set(seen))
    for neighbour in seen:
        grown = len(neighbour.nodes) - len(graph.nodes)
        if not grown:
            properties, pairs = difference(graph, neighbour)
            merges = {edge[:2]: edge.merge for edge in graph.edges} != {
                edge[:2]: edge.merge for edge in neighbour.edges
            }
            assert (properties, pairs) in ((1, 0), (0, 1)) or (
                (properties, pairs) == (0, 0) and merges
            )
            continue
        assert abs(grown) == 1
        # Of the larger one, a node with one input and one reader at most is missing.
        small, large = sorted((graph, neighbour), key=lambda one: len(one.nodes))
        assert len(large.edges) - len(small.edges) == 1
        assert any(
            len(large.inputs(i)) == 1
            and len(large.readers(i)) <= 1
            and edits.remove_node(large, i) == small
            for i in range(1, len(large.nodes) + 1)
        )


@settings
@hypothesis.given(graph=graphs(Rules(("conv3", "skip"), (8,), 4)), data=st.data())
def test_to_be_neighbours_is_mutual(graph, data):
    neighbour = data.draw(st.sampled_from(list(neighbours(graph))))
    assert graph in set(neighbours(neighbour))


@settings
@hypothesis.given(graph=graphs(), data=st.data())
def test_any_node_can_be_removed_but_the_last(graph, data):
    hypothesis.assume(len(graph.nodes) > 1)
    number = data.draw(st.integers(1, len(graph.nodes)))
    smaller = edits.remove_node(graph, number)
    edit = Edit("remove_node", (number,))
    for old, vertex in enumerate(graph.nodes, start=1):
        new = edit.renumbered(old)
        assert new is None if old == number else smaller.node(new) == vertex


@settings
@hypothesis.given(graph=graphs(), seed=seeds)
def test_an_edit_tells_where_nodes_have_gone(graph, seed):
    edit = random_edit(graph, np.random.default_rng(seed))
    changed = apply(graph, edit)
    same = [
        edit.renumbered(old) is not None and changed.node(edit.renumbered(old)) == vertex
        for old, vertex in enumerate(graph.nodes, start=1)
    ]
    assert sum(not kept for kept in same) == int(
        edit.name in ("remove_node", "change_operation", "change_width", "change_stride")
    )


def test_edits_lead_from_one_graph_to_every_other_one():
    rules = Rules(("conv3",), (8,), 3)
    start = chain(CONV, rules=rules)
    found, waiting = {start}, [start]
    while waiting:
        new = set(neighbours(waiting.pop())) - found
        found |= new
        waiting += new
    space = GraphNetwork((8, 8, 1), 3, operations=("conv3",), widths=(8,), max_nodes=3)
    assert len(found) == space.size() == 2 + 2 * 8 + 2 * 8 * 26


def test_the_same_seed_draws_the_same_edits():
    def walk(seed):
        graph, rng = chain(CONV), np.random.default_rng(seed)
        for _ in range(20):
            graph = apply(graph, random_edit(graph, rng))
        return graph

    assert walk(0) == walk(0)
    assert walk(0) != walk(1)


def test_every_kind_of_edit_is_drawn():
    graph, rng = edits.add_edge(chain(CONV, CONV, CONV), 0, 2), np.random.default_rng(0)
    drawn = {random_edit(graph, rng).name for _ in range(200)}
    assert drawn == {edit.name for edit in edits.edits(graph)} == set(edits._FUNCTIONS)


def test_the_only_node_of_the_only_kind_can_still_change_its_stride():
    graph = chain(CONV, rules=Rules(("conv3",), (8,), 1))
    (edit,) = edits.edits(graph)
    assert (
        edit == random_edit(graph, np.random.default_rng(0)) == Edit("change_stride", (1, 2))
    )

import itertools

import numpy as np
import pytest

from search_spaces import costs
from search_spaces.decisions import Decisions
from search_spaces.nasbench101 import (
    EDGES,
    INCEPTION_LIKE,
    OPERATIONS,
    Cell,
    NASBench101Cells,
    from_cell,
    graph_hash,
    pruned,
    representative,
    to_cell,
    vertex_channels,
)
from search_spaces.testing import SpaceContract

CONV3, CONV1, POOL = OPERATIONS


class TestNASBench101CellsContract(SpaceContract):
    smallest = (8, 8, 1)

    def make(self, input_shape=(8, 8, 1)):
        return NASBench101Cells(input_shape, 3, channels=8, modules=1)


def cell(edges, *operations):
    """A cell of edges like "01 12" and operations between input and output."""
    size = len(operations) + 2
    matrix = np.zeros((size, size), int)
    for source, target in edges.split():
        matrix[int(source), int(target)] = 1
    return Cell(matrix.tolist(), ("input", *operations, "output"))


def random_values(rng):
    edges = {f"cell/edge{i}": bool(rng.integers(2)) for i in range(21)}
    return edges | {f"cell/vertex{i}": str(rng.choice(list(OPERATIONS))) for i in range(1, 6)}


# --- published facts ------------------------------------------------------------------------


def test_the_published_example_has_its_published_parameters():
    space = NASBench101Cells((32, 32, 3), 10)
    network = space.network(from_cell(INCEPTION_LIKE))
    assert costs.trainable_params(network) == 2_694_282


def test_the_published_example_is_stored_under_its_representative():
    # As the benchmark's documentation prints what it finds for the example.
    stored = cell("01 02 03 04 16 26 36 45 56", CONV3, CONV1, POOL, CONV3, CONV3)
    assert representative(INCEPTION_LIKE) == pruned(stored)
    assert to_cell(from_cell(INCEPTION_LIKE)) == pruned(stored)


@pytest.mark.parametrize(("vertices", "published"), [(2, 1), (3, 7), (4, 91), (5, 2532)])
def test_small_cells_are_as_many_as_published(vertices, published):
    hashes = set()
    for size in range(2, vertices + 1):
        pairs = list(itertools.combinations(range(size), 2))
        for chosen in itertools.product((0, 1), repeat=len(pairs)):
            edges = " ".join(
                f"{u}{v}" for (u, v), there in zip(pairs, chosen, strict=True) if there
            )
            if not every_vertex_counts(chosen, pairs, size):
                continue
            for operations in itertools.product(OPERATIONS, repeat=size - 2):
                hashes.add(graph_hash(cell(edges, *operations)))
    assert len(hashes) == published


def every_vertex_counts(chosen, pairs, size):
    there = [pair for pair, is_there in zip(pairs, chosen, strict=True) if is_there]
    sources, targets = {u for u, _ in there}, {v for _, v in there}
    return (
        sources == set(range(size - 1)) and targets == set(range(1, size)) and len(there) <= 9
    )


@pytest.mark.slow
def test_there_are_423_624_cells():
    hashes = set()
    for size in range(2, 8):
        for matrix in matrices(size):
            for operations in itertools.product(OPERATIONS, repeat=size - 2):
                hashes.add(graph_hash(Cell(matrix, ("input", *operations, "output"))))
    assert len(hashes) == 423_624


def matrices(size):
    """One of each kind of unlabelled cell with `size` vertices and at most nine edges."""
    pairs = [(u, v) for v in range(size) for u in range(v)]
    bits = np.arange(2 ** len(pairs))
    edges = {pair: bits >> i & 1 for i, pair in enumerate(pairs)}
    fits = sum(edges.values(), np.zeros_like(bits)) <= 9
    for vertex in range(1, size):
        fits &= np.any([edges[u, vertex] for u in range(vertex)], axis=0)
        fits &= np.any([edges[vertex - 1, v] for v in range(vertex, size)], axis=0)
    bits, edges = bits[fits], {pair: there[fits] for pair, there in edges.items()}
    smallest = bits.copy()
    for order in itertools.permutations(range(1, size - 1)):
        place = (0, *order, size - 1)
        renamed, possible = np.zeros_like(bits), np.ones(len(bits), bool)
        for (u, v), there in edges.items():
            if place[u] < place[v]:
                renamed |= there << pairs.index((place[u], place[v]))
            else:
                possible &= there == 0
        smallest = np.where(possible, np.minimum(smallest, renamed), smallest)
    for number in bits[bits == smallest]:
        matrix = np.zeros((size, size), int)
        for i, pair in enumerate(pairs):
            matrix[pair] = number >> i & 1
        yield matrix.tolist()


# --- isomorphism ----------------------------------------------------------------------------


def test_renamed_vertices_make_the_same_network():
    one = cell("01 02 13 24 34 35 45", CONV3, CONV1, POOL, CONV3)
    other = cell("01 02 23 14 34 35 45", CONV1, CONV3, POOL, CONV3)
    assert graph_hash(one) == graph_hash(other)
    space = NASBench101Cells((8, 8, 1), 3, channels=8)
    assert space.network(from_cell(one)).layers == space.network(from_cell(other)).layers


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (cell("01 12 23", CONV3, CONV1), cell("01 12 23", CONV1, CONV3)),
        (cell("01 12 23", CONV3, CONV1), cell("01 12 23 03", CONV3, CONV1)),
        (cell("01 02 13 23", CONV3, CONV3), cell("01 12 23", CONV3, CONV3)),
        # Alike in the number of edges at each vertex.
        (
            cell("01 02 13 24 35 45", CONV3, CONV3, CONV1, POOL),
            cell("01 02 13 24 35 45", CONV3, CONV3, CONV1, CONV1),
        ),
        (
            cell("01 02 03 14 25 36 46 56", CONV3, CONV1, POOL, CONV1, CONV3),
            cell("01 02 03 14 25 36 46 56", CONV3, CONV1, POOL, CONV3, CONV1),
        ),
    ],
)
def test_other_cells_have_another_hash_and_network(one, other):
    assert graph_hash(one) != graph_hash(other)
    space = NASBench101Cells((8, 8, 1), 3, channels=8, modules=1)
    assert space.network(from_cell(one)) != space.network(from_cell(other))


def test_networks_are_equal_where_hashes_are():
    rng, space = (
        np.random.default_rng(0),
        NASBench101Cells((8, 8, 1), 3, channels=8, modules=1),
    )
    sets = [random_values(rng) for _ in range(300)]
    pairs = {(graph_hash(to_cell(values)), space.identity(values)) for values in sets}
    hashes, identities = map(set, zip(*pairs, strict=True))
    assert len(pairs) == len(hashes) == len(identities) < 300


def test_vertices_on_no_path_do_not_count():
    plain = cell("01 13", CONV3, POOL)
    for dangling in ("01 13 02", "01 13 12", "01 13 23"):
        assert pruned(cell(dangling, CONV3, POOL)) == pruned(plain)
    assert pruned(plain).operations == ("input", CONV3, "output")


# --- channels -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("edges", "expected"),
    [
        ("01 02 03 14 24 34", [128, 43, 43, 42, 128]),
        ("01 02 14 24 04 03 34", [128, 43, 43, 42, 128]),
        ("01 12 23 34", [128, 128, 128, 128, 128]),
        ("01 12 13 24 34", [128, 64, 64, 64, 128]),
        ("01 02 13 23 34 14", [128, 64, 64, 64, 128]),
    ],
)
def test_what_is_concatenated_shares_the_channels(edges, expected):
    matrix, _ = cell(edges, CONV3, CONV3, CONV3)
    assert vertex_channels(128, matrix) == expected


def test_a_vertex_that_reads_a_wider_one_drops_its_last_channel():
    # Vertices 1, 2 and 3 are concatenated, and 2 reads 1: 3, 3 and 2 channels in the first
    # stack, 6, 5 and 5 in the second, 11, 11 and 10 in the third.
    values = from_cell(cell("01 12 03 14 24 34", CONV3, CONV1, POOL))
    network = NASBench101Cells((8, 8, 1), 3, channels=8, modules=1).network(values)
    assert [r.shape for r in network.layers if r.op == "narrow"] == [(4, 4, 5)]
    stacks = [r.shape for r in network.layers if r.op == "concatenate"]
    assert stacks == [(8, 8, 8), (4, 4, 16), (2, 2, 32)]


def test_the_input_is_projected_for_each_reader_and_added_to_the_output():
    values = from_cell(cell("01 02 13 23 03", CONV3, CONV3))
    network = NASBench101Cells((8, 8, 1), 3, channels=8, modules=1).network(values)
    ones = [r for r in network.layers if r.op == "conv" and dict(r.settings)["kernel"] == 1]
    assert len(ones) == 3 * 3
    assert sum(record.op == "add" for record in network.layers) == 3


# --- decisions ------------------------------------------------------------------------------


def test_decisions_are_read_as_cells_and_back():
    rng = np.random.default_rng(1)
    for _ in range(200):
        found = to_cell(random_values(rng))
        assert to_cell(from_cell(found)) == found == representative(found)


def test_every_set_of_edges_is_a_cell_of_the_benchmark():
    rng = np.random.default_rng(2)
    sets = [random_values(rng) for _ in range(500)]
    for density in (0, 0.1, 0.9, 1):
        edges = rng.random((50, 21)) < density
        sets += [
            {**random_values(rng), **{f"cell/edge{i}": bool(e) for i, e in enumerate(row)}}
            for row in edges
        ]
    for values in sets:
        found = to_cell(values)
        assert pruned(found) == found
        assert 1 <= sum(map(sum, found.matrix)) <= 9


def test_without_a_path_the_output_reads_the_input():
    values = dict.fromkeys((f"cell/edge{i}" for i in range(21)), False)
    values |= {"cell/edge0": True, "cell/edge20": True}  # 0 to 1, and 5 to 6
    values |= {f"cell/vertex{i}": CONV3 for i in range(1, 6)}
    assert to_cell(values) == Cell(((0, 1), (0, 0)), ("input", "output"))


def test_edges_above_nine_go_without_cutting_off_a_vertex_where_possible():
    values = dict.fromkeys((f"cell/edge{i}" for i in range(21)), True)
    values |= {f"cell/vertex{i}": CONV3 for i in range(1, 6)}
    found = to_cell(values)
    assert len(found.operations) == 7
    assert sum(map(sum, found.matrix)) == 9
    # Five vertices side by side have ten edges, of which each one holds a vertex.
    wide = {f"cell/edge{i}": edge[0] == 0 or edge[1] == 6 for i, edge in enumerate(EDGES)}
    values |= wide | {f"cell/edge{EDGES.index((0, 6))}": False}
    found = to_cell(values)
    assert len(found.operations) == 6
    assert sum(map(sum, found.matrix)) == 8


def test_the_default_is_two_convolutions_and_a_shortcut():
    reader = Decisions({})
    NASBench101Cells((8, 8, 1), 3, channels=8).describe(reader)
    assert to_cell(reader.values) == pruned(cell("01 12 03 23", CONV3, CONV3))


# --- errors ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (Cell([[0, 1], [0, 0], [0, 0]], ("input", "output")), "square matrix"),
        (Cell([[0, 1], [0, 0]], ("input", CONV3, "output")), "square matrix"),
        (cell("01 10 12", CONV3), "no cycle"),
        (cell("01 11 12", CONV3), "no cycle"),
        (cell("01 12", "conv5x5-bn-relu"), "any of conv3x3-bn-relu, conv1x1-bn-relu"),
        (Cell([[0, 1], [0, 0]], ("output", "input")), "input, then any of"),
        (cell("01", CONV3), "a path from input to output"),
        (cell("01 02 03 04 05 16 26 36 46 56", *[CONV3] * 5), "10 edges on paths"),
        (cell("01 12 23 34 45 56 67", *[CONV3] * 6), "8 vertices"),
    ],
)
def test_what_is_no_cell_of_the_benchmark_is_refused(wrong, message):
    for function in (from_cell, pruned, graph_hash, representative):
        with pytest.raises(ValueError, match=message) as refused:
            function(wrong)
        assert "Received: " in str(refused.value)


@pytest.mark.parametrize("arguments", [{"channels": 4}, {"modules": 0}])
def test_a_skeleton_of_nothing_is_refused(arguments):
    with pytest.raises(
        ValueError, match=r"at least 5 channels and 1 module.*Received: channels="
    ):
        NASBench101Cells((8, 8, 1), 3, **arguments)


def test_decisions_left_out_have_their_defaults():
    assert to_cell({}) == pruned(cell("01 12 03 23", CONV3, CONV3))
    assert to_cell({"cell/vertex1": POOL}) != to_cell({})
    with pytest.raises(ValueError, match="Received: 'conv' for `cell/vertex1`"):
        to_cell({"cell/vertex1": "conv"})

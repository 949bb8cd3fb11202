import hypothesis
import numpy as np
import pytest
from hypothesis import strategies as st

from search_spaces import edits
from search_spaces.graph import ADD, CONCATENATE, Edge, Graph, GraphNetwork, Rules, Vertex
from search_spaces.inheritance import load, weights_of
from search_spaces.morphism import deepened, widened, with_skip
from search_spaces.realise import realise
from search_spaces.task import Classification

settings = hypothesis.settings(
    max_examples=10,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[hypothesis.HealthCheck.filter_too_much],
)
RULES = Rules(("conv3", "separable3", "max_pool3", "skip"), (4, 8), 4)
SPACE = GraphNetwork(
    (9, 8, 2),
    task=Classification(3, dropout=0.0),
    operations=RULES.operations,
    widths=RULES.widths,
    max_nodes=RULES.max_nodes,
    stem=4,
)
X = np.random.default_rng(0).normal(size=(8, 9, 8, 2)).astype(np.float32)
CONV = Vertex("conv3", 4)
seeds = st.integers(0, 2**16)


def chain(*nodes):
    return Graph(nodes, tuple(Edge(i, i + 1) for i in range(len(nodes))), RULES)


@st.composite
def graphs(draw, most=RULES.max_nodes):
    nodes, edges = [], []
    for target in range(1, draw(st.integers(1, most)) + 1):
        operation, width = (
            draw(st.sampled_from(of)) for of in (RULES.operations, RULES.widths)
        )
        nodes.append(Vertex(operation, width, draw(st.sampled_from((1, 2)))))
        main = draw(st.integers(0, target - 1))
        edges.append(Edge(main, target))
        for source in range(main):
            merge = draw(st.sampled_from((None, ADD, CONCATENATE)))
            edges += [Edge(source, target, merge)] * (merge is not None)
    return Graph(tuple(nodes), tuple(edges), RULES)


def network(graph):
    return SPACE.network(SPACE.values_of(graph))


def trained(graph, seed=0):
    """A model with statistics as training would leave them, and its weights."""
    model, rng = realise(network(graph), seed=seed), np.random.default_rng(seed)
    weights = weights_of(model)
    for name, arrays in weights.items():
        if name.startswith("batch_norm"):
            count = len(arrays[0])
            positive, real = rng.uniform(0.5, 1.5, (2, count)), rng.normal(size=(2, count))
            weights[name] = [positive[0], real[0], real[1], positive[1]]
    load(model, {name: [np.float32(w) for w in arrays] for name, arrays in weights.items()})
    return model, weights_of(model)


def outputs(model, training=False):
    return np.asarray(model(X, training=training))


def outputs_of(morphed, training=False):
    """What the stock model of a morphed graph returns; all of its weights are given."""
    model = realise(network(morphed.graph), seed=9)
    assert weights_of(model).keys() == morphed.weights.keys()
    load(model, morphed.weights)
    return outputs(model, training)


def kept(change, *arguments, **settings):
    """The graph changed, if there are weights that keep the outputs; others are no example."""
    try:
        return change(SPACE, *arguments, **settings)
    except ValueError as refusal:
        hypothesis.assume("No weights keep" not in str(refusal))
        raise


# --- any graph ----------------------------------------------------------------------------


@settings
@hypothesis.given(graphs(), seeds, st.sampled_from((0.0, 0.5)))
def test_a_wider_node_leaves_the_outputs_as_they_are(graph, seed, noise):
    narrow = [i for i, vertex in enumerate(graph.nodes, start=1) if vertex.width == 4]
    hypothesis.assume(narrow)
    rng = np.random.default_rng(seed)
    model, weights = trained(graph, seed)
    number = narrow[int(rng.integers(len(narrow)))]
    wider = kept(widened, graph, weights, number, 8, rng=rng, noise=noise)
    assert wider.graph == edits.change_width(graph, number, 8)
    assert outputs_of(wider) == pytest.approx(outputs(model), abs=1e-5)


@settings
@hypothesis.given(graphs(RULES.max_nodes - 1), seeds, st.sampled_from(RULES.operations))
def test_a_deeper_graph_leaves_the_outputs_as_they_are(graph, seed, operation):
    hypothesis.assume(operation != "max_pool3")
    # Behind a convolution every operation can be put.
    places = [
        (source, target)
        for source, target in [
            *[e[:2] for e in graph.edges],
            *[(o, None) for o in graph.outputs],
        ]
        if source == 0 or graph.node(source).operation in ("conv3", "separable3")
    ]
    hypothesis.assume(places)
    rng = np.random.default_rng(seed)
    model, weights = trained(graph, seed)
    source, target = places[int(rng.integers(len(places)))]
    put = {"operation": operation, "examples": X}
    deeper = kept(deepened, graph, weights, source, target, **put)
    assert len(deeper.graph.nodes) == len(graph.nodes) + 1
    assert deeper.graph.node(source + 1).operation == operation
    assert outputs_of(deeper) == pytest.approx(outputs(model), abs=1e-5)


@settings
@hypothesis.given(graphs(), seeds, st.sampled_from((ADD, CONCATENATE)))
def test_one_more_edge_leaves_the_outputs_as_they_are(graph, seed, merge):
    rng = np.random.default_rng(seed)
    count = len(graph.nodes)
    places = [
        (source, target)
        for target in range(1, count + 1)
        for source in range(max(graph.inputs(target)))
        if source not in graph.inputs(target) and source not in graph.outputs
    ]
    hypothesis.assume(places)
    source, target = places[int(rng.integers(len(places)))]
    model, weights = trained(graph, seed)
    joined = kept(with_skip, graph, weights, source, target, merge, rng=rng)
    assert joined.graph == edits.add_edge(graph, source, target, merge)
    assert outputs_of(joined) == pytest.approx(outputs(model), abs=1e-5)


@settings
@hypothesis.given(graphs(2), seeds)
def test_changes_follow_each_other(graph, seed):
    rng = np.random.default_rng(seed)
    model, weights = trained(graph, seed)
    output = graph.outputs[0]
    hypothesis.assume(graph.node(output).width == 4)
    deeper = kept(deepened, graph, weights, output, operation="skip")
    both = kept(widened, *deeper, output, 8, rng=rng)
    assert outputs_of(both) == pytest.approx(outputs(model), abs=1e-5)


# --- one kind at a time -------------------------------------------------------------------


def test_what_joins_a_wider_main_input_is_widened_alike():
    graph = edits.add_edge(chain(CONV, CONV, CONV), 1, 3)
    model, weights = trained(graph)
    wider = widened(SPACE, graph, weights, 2, 8, rng=np.random.default_rng(0))
    assert len(wider.weights) == len(weights) + 2  # a projection and its normalisation
    assert outputs_of(wider) == pytest.approx(outputs(model), abs=1e-5)


def test_equal_parts_of_a_concatenation_are_told_apart():
    # What is concatenated is pooled as the node that skips does: these are one layer.
    joined = edits.add_edge(
        chain(Vertex("skip", 4, 2), Vertex("separable3", 4)), 0, 2, CONCATENATE
    )
    model, weights = trained(joined)
    wider = widened(SPACE, joined, weights, 2, 8, rng=np.random.default_rng(0))
    assert outputs_of(wider) == pytest.approx(outputs(model), abs=1e-5)


def test_copies_of_a_channel_have_equal_weights_and_unequal_readers():
    graph = chain(CONV, CONV)
    _, weights = trained(graph)
    wider = widened(SPACE, graph, weights, 1, 8, rng=np.random.default_rng(0), noise=0.5)
    first, second = (wider.weights[name][0] for name in ("conv_4", "conv_7"))
    copies = [np.flatnonzero((first == first[..., [i]]).all((0, 1, 2))) for i in range(4)]
    copied = next(places for places in copies if len(places) > 1)
    assert not np.allclose(second[:, :, copied[0]], second[:, :, copied[1]])
    total = second[:, :, copied].sum(axis=2)
    assert total == pytest.approx(weights["conv_7"][0][:, :, copied[0]], abs=1e-6)


def test_without_noise_copies_share_alike():
    _, weights = trained(chain(CONV, CONV))
    wider = widened(
        SPACE, chain(CONV, CONV), weights, 1, 8, rng=np.random.default_rng(0), noise=0.0
    )
    kernel = wider.weights["conv_7"][0]
    rows = {kernel[:, :, i].tobytes() for i in range(8)}
    assert len(rows) == 4


def test_a_wider_convolution_keeps_the_outputs_in_training_too():
    graph = chain(CONV, Vertex("separable3", 8), CONV)
    model, weights = trained(graph)
    wider = widened(SPACE, graph, weights, 1, 8, rng=np.random.default_rng(0))
    assert outputs_of(wider, training=True) == pytest.approx(
        outputs(model, training=True), abs=1e-4
    )


def test_examples_keep_the_outputs_of_a_deeper_graph_in_training():
    graph = chain(CONV, CONV)
    model, weights = trained(graph)
    expected = outputs(model, training=True)
    # Moving statistics that are those of these examples, as after long training on them.
    load(model, weights)
    for layer in model.layers:
        layer.momentum = 0.0
    model(X, training=True)
    settled = weights_of(model)
    told = deepened(SPACE, graph, settled, 1, 2, examples=X)
    untold = deepened(SPACE, graph, settled, 1, 2)
    assert outputs_of(told, training=True) == pytest.approx(expected, abs=1e-3)
    assert outputs_of(untold, training=True) != pytest.approx(expected, abs=1e-2)


def test_a_skip_that_is_added_starts_behind_a_scale_of_zero():
    graph = chain(Vertex("conv3", 8), CONV, CONV)
    model, weights = trained(graph)
    joined = with_skip(SPACE, graph, weights, 1, 3, ADD, rng=np.random.default_rng(0))
    fresh = [arrays for arrays in joined.weights.values() if not arrays[0].any()]
    assert [len(arrays) for arrays in fresh] == [4]
    assert outputs_of(joined, training=True) == pytest.approx(
        outputs(model, training=True), abs=1e-4
    )


def test_the_weights_given_are_left_alone():
    graph = chain(CONV, CONV)
    _, weights = trained(graph)
    before = {name: [w.copy() for w in arrays] for name, arrays in weights.items()}
    widened(SPACE, graph, weights, 1, 8, rng=np.random.default_rng(0))
    for name, arrays in weights.items():
        for one, other in zip(arrays, before[name], strict=True):
            np.testing.assert_array_equal(one, other)


# --- refusals -----------------------------------------------------------------------------


ADDED = edits.add_edge(chain(CONV, Vertex("conv3", 8), CONV), 1, 3)
SUM = edits.add_edge(chain(CONV, CONV, Vertex("skip", 4)), 1, 3)


@pytest.mark.parametrize(
    ("graph", "change", "said"),
    [
        (chain(CONV), (widened, 1, 4), r"Received: width=4 for node 1 of 4 channels"),
        (chain(CONV), (widened, 1, 12), "width=12 at node 1"),
        (chain(CONV), (widened, 0, 8), "Received: node 0"),
        # What is added has 8 channels already: its projection to 4 would be gone.
        (ADDED, (widened, 1, 8), "No weights keep the outputs"),
        (chain(CONV, CONV), (deepened, 1, None), r"read by \[2\]"),
        (chain(CONV, CONV), (deepened, 0, 2), "an edge from 0 to 2"),
        (chain(*[CONV] * 4), (deepened, 1, 2), "1 to 4 nodes"),
        (chain(Vertex("skip", 8)), (deepened, 1, None), "relu6 would"),
        (SUM, (deepened, 3, None), "relu6 would"),
        (chain(CONV, CONV), (with_skip, 0, 2, ADD), "No weights keep the outputs"),
        (chain(CONV, CONV), (with_skip, 1, 2, ADD), "one edge at most"),
        (
            Graph((CONV, CONV), (Edge(0, 1), Edge(0, 2)), RULES),
            (with_skip, 1, 2, CONCATENATE),
            r"outputs \[1, 2\]",
        ),
    ],
)
def test_a_change_that_cannot_be_is_refused(graph, change, said):
    function, *arguments = change
    weights = weights_of(realise(network(graph), seed=0))
    random = {} if function is deepened else {"rng": np.random.default_rng(0)}
    with pytest.raises(ValueError, match=said):
        function(SPACE, graph, weights, *arguments, **random)


def test_pooling_is_no_identity():
    graph = chain(CONV)
    with pytest.raises(ValueError, match="operation='max_pool3'"):
        deepened(SPACE, graph, {}, 1, operation="max_pool3")

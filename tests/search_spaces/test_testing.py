"""The contract accepts a good space, and each of its tests catches the fault it is for."""

import inspect
import time

import keras
import numpy as np
import pytest

from search_spaces import blocks, testing
from search_spaces.network import freeze, input_node, layer
from search_spaces.operations import OPERATIONS
from search_spaces.realise import realise
from search_spaces.space import SearchSpace, check_images, choose
from search_spaces.task import Classification, NextToken, Regression
from search_spaces.testing import SpaceContract, random_inputs, random_targets, unmoved


class Good(SearchSpace):
    """A space without faults.

    | decision       | values                 | what it sets            |
    |----------------|------------------------|-------------------------|
    | `filters`      | 2, 4, ..., 8           | channels of the first   |
    | `block{i}/op`  | conv, depthwise        | the operation of each   |
    |                | skip                   | block                   |
    | `block{i}/k`   | 1, 3 (5 is not needed) | its kernel              |
    """

    def __init__(self, input_shape=(6, 6, 1), num_classes=3):
        check_images("Good", input_shape, 4)
        super().__init__(input_shape, num_classes)

    def body(self, hp, x):
        x = blocks.conv(x, self.filters(hp), 1)
        for i in range(2):
            x = self.block(hp, x, i)
        return x

    def filters(self, hp):
        return hp.Int("filters", 2, 8, step=2)

    def block(self, hp, x, i):
        operations = {
            "conv": lambda x: blocks.conv(x, x.channels, hp.Choice(f"block{i}/k", [1, 3])),
            "depthwise": blocks.depthwise,
            "skip": blocks.identity,
        }
        return choose(hp, f"block{i}/op", x, operations)


class TestAGoodSpace(SpaceContract):
    smallest = (4, 4, 1)

    def make(self, input_shape=(6, 6, 1)):
        return Good(input_shape)


class Reader(Good):
    def filters(self, hp):
        return super().filters(hp) + 2 * hasattr(hp, "active_scopes")


class Hidden(Good):
    def filters(self, hp):
        filters = super().filters(hp)
        if filters == 6:  # a plain `if`: nobody can know what is behind it
            hp.Choice("hidden", [1, 2])
        return filters


class Twice(Good):
    def filters(self, hp):
        if super().filters(hp) == 8:
            return hp.Choice("filters", [8, 16])
        return super().filters(hp)


class Miscounted(Good):
    def size(self):
        return super().size() + 1


class Undocumented(Good):
    def filters(self, hp):
        return hp.Choice("filters", [2, 4, 6, 8, 10])


class Renamed(Good):
    def filters(self, hp):
        return hp.Int("channels", 2, 8, step=2)


class Slow(Good):
    def filters(self, hp):
        time.sleep(0.02)
        return super().filters(hp)


class Dead(Good):
    def block(self, hp, x, i):
        blocks.conv(x, 7)
        return super().block(hp, x, i)


class Reaching(Good):
    def block(self, hp, x, i):
        y = super().block(hp, x, i)
        return blocks.depthwise(y, 9) if min(x.shape[:2]) < 5 else y  # only the smallest


class Free(Good):
    def costs(self, values):
        return {**super().costs(values), "macs": 0}


class Leaking(Good):
    def describe(self, hp):
        self.seen = getattr(hp, "values", {}).get("block0/k", 1)
        return super().describe(hp)

    def block(self, hp, x, i):
        y = super().block(hp, x, i)
        return blocks.dropout(y, 0.1 * self.seen)


class Pointless(Good):
    def filters(self, hp):
        hp.Boolean("nothing")
        return super().filters(hp)


class Narrow(Good):
    def body(self, hp, x):
        return blocks.dense(super().body(hp, x), 0)


class Forgetful(Good):
    def build(self, hp):
        return realise(self.network({}))


class Zeroed(Good):
    def block(self, hp, x, i):
        return blocks.add(x, blocks.zero(blocks.conv(x, x.channels)))


class Exploding(Good):
    def body(self, hp, x):
        return blocks.rescale(blocks.conv(x, self.filters(hp), norm=False), 3e38)


class Unwelcoming(Good):
    def __init__(self, input_shape=(6, 6, 1)):
        check_images("Good", input_shape, 5)
        super().__init__(input_shape)


class Indulgent(Good):
    def __init__(self, input_shape=(6, 6, 1)):
        SearchSpace.__init__(self, input_shape, 3)


FAULTS = {
    "described_alike": Reader,
    "known_with_its_values": Hidden,
    "stands_for_one_decision": Twice,
    "size_counts": Miscounted,
    "docstring_lists": Undocumented,
    "docstring_lists ": Renamed,
    "describing_is_quick": Slow,
    "leads_to_the_output": Dead,
    "kernel_meets_the_image": Reaching,
    "member_has_costs": Free,
    "inactive_decisions": Leaking,
    "makes_a_difference": Pointless,
    "the_realised_model": Narrow,
    "any_tuner": Forgetful,
    "moves_every_weight": Zeroed,
    "leaves_numbers": Exploding,
    "smallest_input": Unwelcoming,
    "smaller_input_is_refused": Indulgent,
}


def contract(space):
    class Contract(SpaceContract):
        smallest = (4, 4, 1)

        def make(self, input_shape=(6, 6, 1)):
            return space(input_shape)

    return Contract()


def run(contract, name, tmp_path, monkeypatch):
    test = next(getattr(contract, n) for n in dir(SpaceContract) if name.strip() in n)
    offered = {"which": "random", "tmp_path": tmp_path, "monkeypatch": monkeypatch}
    wanted = inspect.signature(test).parameters
    with np.errstate(all="ignore"):
        test(**{key: value for key, value in offered.items() if key in wanted})


TRAINED = ("moves_every_weight", "leaves_numbers")


@pytest.mark.parametrize(
    "name",
    [pytest.param(n, marks=[pytest.mark.slow] if n in TRAINED else []) for n in FAULTS],
)
def test_each_fault_is_caught_by_its_test(name, tmp_path, monkeypatch):
    with pytest.raises((AssertionError, ValueError, ArithmeticError, pytest.fail.Exception)):
        run(contract(FAULTS[name]), name, tmp_path, monkeypatch)


@pytest.mark.parametrize("cost", ["params", "macs"])
def test_a_wrong_formula_of_a_cost_is_caught(cost, tmp_path, monkeypatch):
    true = OPERATIONS["conv"]

    def more(*args):
        return getattr(true, cost)(*args) + 1

    monkeypatch.setitem(OPERATIONS, "conv", true._replace(**{cost: more}))
    with pytest.raises(AssertionError):
        run(contract(Good), "the_realised_model", tmp_path, monkeypatch)


def test_costs_that_depend_on_more_than_the_network_are_caught(tmp_path, monkeypatch):
    calls = iter(range(10**6))
    monkeypatch.setattr(testing.costs, "costs", lambda network: {"ram": next(calls)})
    with pytest.raises(AssertionError):
        run(contract(Good), "equal_networks", tmp_path, monkeypatch)


def test_every_test_of_the_contract_has_a_fault_that_it_catches():
    tests = {name for name in dir(SpaceContract) if name.startswith("test_")}
    caught = {test for test in tests for name in FAULTS if name.strip() in test}
    assert tests - caught == {"test_equal_networks_have_equal_costs"}


def test_what_is_told_in_words_is_not_compared(tmp_path, monkeypatch):
    made = contract(Undocumented)
    made.told = ("filters",)
    run(made, "docstring_lists", tmp_path, monkeypatch)


@pytest.mark.parametrize(
    ("task", "shape", "kind"),
    [
        (Classification(4), (3,), "i"),
        (Classification(4, one_hot=True), (3, 4), "f"),
        (Regression(2), (3, 2), "f"),
    ],
)
def test_targets_suit_the_loss(task, shape, kind):
    model = realise(freeze(task.head(input_node((5, 5, 2)))))
    model.compile(**task.compile_arguments())
    targets = random_targets(model, 3, np.random.default_rng(0))
    assert targets.shape == shape
    assert targets.dtype.kind == kind
    assert np.isfinite(model.evaluate(np.zeros((3, 5, 5, 2)), targets, verbose=0)).all()


def test_tokens_are_drawn_from_the_vocabulary():
    x = blocks.embedding(input_node((50,), "int32"), 7, 2)
    network = freeze(NextToken(7).head(x))
    inputs = random_inputs(network, 4, np.random.default_rng(0))
    assert inputs.shape == (4, 50)
    assert set(inputs.ravel()) == set(range(7))


@pytest.mark.parametrize("block", [blocks.conv, blocks.depthwise])
@pytest.mark.parametrize(
    ("length", "settings", "found"),
    [
        (2, {"kernel": (3, 1)}, False),
        (2, {"kernel": (5, 1)}, True),
        (2, {"kernel": (3, 1), "stride": 2}, True),
        (3, {"kernel": (5, 1), "stride": 2}, False),
        (4, {"kernel": (3, 1), "dilation": (3, 1)}, False),
        (4, {"kernel": (5, 1), "dilation": (2, 1)}, True),
        (2, {"kernel": (2, 1), "padding": "valid"}, False),
    ],
)
def test_kernels_that_meet_padding_only_are_found(block, length, settings, found):
    settings = {"filters": 2, **settings} if block is blocks.conv else settings
    network = freeze(block(input_node((length, 4, 1)), **settings))
    assert [record.op for record in testing.unread(network)] == (
        [network.layers[1].op] if found else []
    )


@pytest.mark.parametrize(("stride", "found"), [(1, 0), (2, 1)])
def test_padding_by_a_layer_of_its_own_is_padding_all_the_same(stride, found):
    x = blocks.pad(input_node((4, 1, 1)), ((3, 0), (0, 0)))
    network = freeze(blocks.conv(x, 2, (4, 1), stride, padding="valid"))
    assert len(testing.unread(network)) == found


def test_weights_without_a_gradient_are_found():
    x = blocks.conv(input_node((5, 5, 2)), 3, norm=False, activation="linear")
    y = blocks.zero(blocks.conv(x, 3, norm=False, activation="linear"))
    network = freeze(Classification(3).head(layer("add", x, y)))
    model = realise(network, seed=0)
    model.compile(**Classification(3).compile_arguments())
    assert unmoved(model, network) == ["conv_2/kernel", "conv_2/bias"]
    keras.backend.clear_session()

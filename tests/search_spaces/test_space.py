import itertools

import keras_tuner
import pytest

from search_spaces import blocks
from search_spaces.decisions import Decisions
from search_spaces.mlp import MLP
from search_spaces.mobile import MobileNet
from search_spaces.space import SearchSpace, check_images, check_series, choose, size
from search_spaces.task import Classification


class Small(SearchSpace):
    def body(self, hp, x):
        for i in range(2):
            x = choose(
                hp,
                f"stage{i}/block",
                x,
                {
                    "conv": lambda x, i=i: blocks.conv(x, 8, hp.Choice(f"stage{i}/k", [1, 3])),
                    "mb": lambda x: blocks.inverted_residual(x, 8, expansion=2),
                    "skip": blocks.identity,
                },
            )
        return x


class Nested(SearchSpace):
    def body(self, hp, x):
        def inner(x):
            return choose(
                hp,
                "inner",
                x,
                {
                    "a": lambda x: blocks.conv(x, hp.Int("filters", 8, 24, step=8)),
                    "b": blocks.depthwise,
                },
            )

        return choose(hp, "outer", x, {"none": blocks.identity, "some": inner})


@pytest.fixture
def space():
    return Small((8, 8, 1), 3)


def assignments(space):
    """Every set of active decisions, found by trying all values of all names."""
    hps = space.hyperparameters()
    names = {hp.name: list(hp.values) for hp in hps.space}
    for combination in itertools.product(*names.values()):
        reader = Decisions(dict(zip(names, combination, strict=True)))
        space.describe(reader)
        values, hp = reader.values, keras_tuner.HyperParameters()
        hp.values = dict(values)
        space.describe(hp)
        yield {h.name: values[h.name] for h in hp.space if hp.is_active(h)}


def test_all_decisions_are_known_without_building(space):
    names = {hp.name for hp in space.hyperparameters().space}
    assert names == {"stage0/block", "stage0/k", "stage1/block", "stage1/k"}


def test_nested_alternatives_are_explored():
    hps = Nested((8, 8, 1), 3).hyperparameters()
    conditions = {hp.name: [c.name for c in hp.conditions] for hp in hps.space}
    assert conditions == {"outer": [], "inner": ["outer"], "filters": ["outer", "inner"]}


@pytest.mark.parametrize(("make", "expected"), [(Small, 4 * 4), (Nested, 1 + 3 + 1)])
def test_size_counts_each_set_of_active_decisions_once(make, expected):
    space = make((8, 8, 1), 3)
    found = {tuple(sorted(values.items())) for values in assignments(space)}
    assert space.size() == len(found) == expected


def test_a_real_valued_decision_has_no_size():
    hp = keras_tuner.HyperParameters()
    hp.Float("rate", 0.0, 1.0)
    with pytest.raises(ValueError, match="Received: the real-valued decision `rate`"):
        size(hp)


def test_decisions_that_lead_to_the_same_network_are_recognised(space):
    one = {"stage0/block": "skip", "stage1/block": "conv", "stage1/k": 3}
    other = {"stage0/block": "conv", "stage0/k": 3, "stage1/block": "skip"}
    assert space.identity(one) == space.identity(other)
    assert space.identity(one) != space.identity({**one, "stage1/k": 1})


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (
            {"stage0/block": "cnv"},
            r"Received: 'cnv' for `stage0/block`\. Did you mean 'conv'\?",
        ),
        ({"stage0/k": 5}, r"Received: 5 for `stage0/k`\. It offers 1, 3\."),
        (
            {"stage0/blcok": "skip"},
            r"Small has no decision of this name\. Received: `stage0/blcok`\. Did you mean "
            "'stage0/block'",
        ),
        ({"weight_bits": 4}, "Received: `weight_bits`"),
    ],
)
@pytest.mark.parametrize("ask", ["network", "costs", "identity"])
def test_decisions_that_the_space_does_not_have_are_refused(space, ask, values, message):
    for _ in range(2):
        with pytest.raises(ValueError, match=message):
            getattr(space, ask)(values)


def test_decisions_of_a_trial_may_be_among_others(space):
    values = {"stage0/block": "skip", "tuner/epochs": 3, "learning_rate": 1e-3}
    network = space.network(values, strict=False)
    assert network == space.network({"stage0/block": "skip"})
    assert space.identity(values, strict=False) == network.digest
    with pytest.raises(ValueError, match="Received: `tuner/epochs`"):
        space.identity(values)


def test_inactive_decisions_may_be_given(space):
    values = {"stage0/block": "skip"}
    assert space.identity({**values, "stage0/k": None}) == space.identity(values)


def test_the_width_of_weights_may_be_given_where_it_is_a_decision(space):
    with pytest.raises(ValueError, match="has no decision"):
        space.network({"weight_bits": 4})
    both = space.with_weight_bits(8, 4)
    assert both.costs({"weight_bits": 4})["flash"] < both.costs({})["flash"]
    with pytest.raises(ValueError, match="Received: 2 for `weight_bits`"):
        both.network({"weight_bits": 2})
    assert both.network({"stage0/block": "skip", "stage0/k": 3, "weight_bits": 4})


def test_costs_follow_from_plain_values(space):
    without = {"stage0/block": "skip", "stage1/block": "skip"}
    assert space.costs(without)["params"] == 1 * 3 + 3


def test_the_default_has_active_decisions_only(space):
    assert space.default() == {
        "stage0/block": "conv",
        "stage0/k": 1,
        "stage1/block": "conv",
        "stage1/k": 1,
    }
    assert Nested((8, 8, 1), 3).default() == {"outer": "none"}


def test_the_reader_answers_as_keras_tuner_does():
    for values in assignments(Nested((8, 8, 1), 3)):
        hp = keras_tuner.HyperParameters()
        hp.values = dict(values)
        ours, theirs = Nested((8, 8, 1), 3).network(values), Nested((8, 8, 1), 3).describe(hp)
        assert ours == theirs


def test_the_model_is_compiled_for_the_labels():
    for one_hot, loss in ((False, "SparseCategoricalCrossentropy"), (True, "Categorical")):
        task = Classification(3, one_hot=one_hot)
        model = Small((8, 8, 1), task=task).build(keras_tuner.HyperParameters())
        assert type(model.loss).__name__.startswith(loss)
        assert model.output_shape == (None, 3)


def test_any_keras_tuner_can_search_it(space, tmp_path):
    tuner = keras_tuner.RandomSearch(
        space, "val_loss", max_trials=1, directory=tmp_path, project_name="plain"
    )
    names = {hp.name for hp in tuner.oracle.get_space().space}
    assert names == {hp.name for hp in space.hyperparameters().space}


@pytest.mark.parametrize("given", [{}, {"num_classes": 3, "task": Classification(3)}])
def test_a_space_needs_classes_or_a_task_but_not_both(given):
    with pytest.raises(ValueError, match="either `num_classes` or `task`"):
        Small((8, 8, 1), **given)


def test_an_input_of_unknown_size_is_refused():
    with pytest.raises(ValueError, match=r"Small must know .*Received: .*\(None, 8, 3\)"):
        Small((None, 8, 3), 3)
    for check, shape in [(check_images, (None, None, 3)), (check_series, (None, 3))]:
        with pytest.raises(ValueError, match=r"Space must know the size of every axis\. Rec"):
            check("Space", shape, 4)


def test_an_input_without_a_channel_is_refused():
    with pytest.raises(ValueError, match=r"Small needs .* at least 1 channel\. Received"):
        Small((8, 8, 0), 3)
    for check, shape in [(check_images, (8, 8, 0)), (check_series, (8, 0))]:
        with pytest.raises(ValueError, match=r"Space needs .* at least 1 channel\. Received"):
            check("Space", shape, 4)


def test_a_single_class_is_no_classification():
    with pytest.raises(ValueError, match="Received: num_classes=1"):
        Small((8, 8, 1), 1)


def without(function):
    """A predicate of networks that refuses an activation."""
    return lambda network: all(
        dict(record.settings).get("function") != function for record in network.layers
    )


class Activated(SearchSpace):
    def body(self, hp, x):
        x = blocks.conv(x, 8, activation=hp.Choice("first", ["hard_silu", "relu", "relu6"]))
        more = hp.Boolean("more")
        with hp.conditional_scope("more", [True]):
            second = hp.Choice("second", ["relu", "hard_silu"])
        return blocks.conv(x, 8, activation=second) if more else x


class TestAResizedSpace:
    def test_has_the_same_weights_for_smaller_images(self):
        space = Small((16, 12, 1), 3)
        smaller = space.resized(0.5)
        assert smaller.input_shape == (8, 6, 1)
        assert space.input_shape == (16, 12, 1)
        costs = [one.costs({"stage0/block": "mb"}) for one in (space, smaller)]
        assert costs[0]["params"] == costs[1]["params"]
        assert costs[0]["macs"] > 3 * costs[1]["macs"]

    def test_is_the_space_itself_at_all_of_the_resolution(self):
        space = Small((16, 16, 1), 3)
        assert space.resized(1.0) is space

    def test_is_of_images_only(self):
        with pytest.raises(ValueError, match=r"Only images.*MLP for inputs of shape \(4,\)"):
            MLP((4,), 2).resized(0.5)

    def test_is_refused_where_weights_depend_on_the_size(self):
        with pytest.raises(ValueError, match="weights of these networks depend on the size"):
            MobileNet((16, 16, 1), 3).resized(0.5)  # kernels are cut to what there is


class TestARestrictedSpace:
    @pytest.fixture
    def restricted(self):
        return Activated((8, 8, 1), 3).restricted(without("hard_silu"))

    def test_offers_only_values_that_are_allowed(self, restricted):
        values = {
            hp.name: list(hp.values)
            for hp in restricted.hyperparameters().space
            if hp.name == "first"
        }
        assert values == {"first": ["relu", "relu6"]}
        assert restricted.size() == 2 + 2

    def test_has_a_default_that_is_allowed(self, restricted):
        assert restricted.default() == {"first": "relu", "more": False}

    def test_keeps_conditions(self, restricted):
        second = next(hp for hp in restricted.hyperparameters().space if hp.name == "second")
        assert [condition.name for condition in second.conditions] == ["more"]

    def test_leaves_the_other_space_as_it_was(self, restricted):
        space = Activated((8, 8, 1), 3)
        space.restricted(without("hard_silu"))
        assert space.size() == 3 * (1 + 2)

    def test_is_the_same_space_where_nothing_is_refused(self):
        space = Activated((8, 8, 1), 3)
        assert space.restricted(lambda network: True) is space

    def test_can_be_restricted_further(self, restricted):
        assert restricted.restricted(without("relu")).default()["first"] == "relu6"

    def test_builds_what_it_describes(self, restricted):
        model = restricted.build(restricted.hyperparameters())
        functions = [getattr(layer, "activation", None) for layer in model.layers]
        assert "hard_silu" not in [getattr(f, "__name__", "") for f in functions]

    def test_cannot_do_without_what_every_member_has(self):
        with pytest.raises(ValueError, match="default network is not allowed"):
            Activated((8, 8, 1), 3).restricted(lambda network: False)


class TestASpaceWithWeightBits:
    @pytest.fixture
    def narrow(self, space):
        return space.with_weight_bits(8, 4)

    def test_has_one_more_decision(self, space, narrow):
        assert narrow.size() == 2 * space.size()
        assert narrow.default() == {**space.default(), "weight_bits": 8}

    def test_tells_networks_of_other_widths_apart(self, space, narrow):
        assert narrow.identity({"weight_bits": 8}) == space.identity({})
        assert narrow.identity({"weight_bits": 4}) != space.identity({})

    def test_knows_that_narrow_weights_take_less_flash(self, narrow):
        wide, half = (narrow.costs({"weight_bits": bits}) for bits in (8, 4))
        assert half["flash"] < wide["flash"]
        assert (half["params"], half["macs"]) == (wide["params"], wide["macs"])

    def test_builds_the_same_model(self, narrow):
        hp = narrow.hyperparameters()
        hp.values["weight_bits"] = 4
        assert narrow.build(hp).count_params() == narrow.costs({})["params"]

    @pytest.mark.parametrize("bits", [(), (8, 8), (2,), (16, 8)])
    def test_weights_have_8_or_4_bits(self, space, bits):
        with pytest.raises(ValueError, match=r"8 or 4 bits. Received"):
            space.with_weight_bits(*bits)


class Alike(SearchSpace):
    def body(self, hp, x):
        x = blocks.conv(x, hp.Choice("width", [8, 16]))
        return blocks.conv(x, hp.Choice("width", [16, 32]))


def test_decisions_with_names_alike_are_refused_before_anything_is_built():
    space = Alike((8, 8, 1), 3)
    with pytest.raises(ValueError, match="Received: `width` with the values"):
        space.hyperparameters()
    with pytest.raises(ValueError, match="Received: `width` with the values"):
        space.declare_hyperparameters(keras_tuner.HyperParameters())

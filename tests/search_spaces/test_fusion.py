import keras
import numpy as np
import pytest

import tflite_export
from edge_devices import flatbuffer
from edge_devices.memory import memory
from search_spaces import costs, members
from search_spaces.detection import Detection
from search_spaces.dscnn import DSCNN
from search_spaces.fusion import Fusion
from search_spaces.mlp import MLP
from search_spaces.mobile import MobileNet
from search_spaces.realise import realise
from search_spaces.segmentation import Segmentation
from search_spaces.space import size
from search_spaces.task import Classification, NextToken, Regression
from search_spaces.tcn import TemporalConvNet
from search_spaces.testing import SpaceContract, random_inputs
from search_spaces.transformer import Transformer
from search_spaces.waveform import Waveform

BRANCHES = ("{input}/{decision}", "{input}/{part}/{decision}")


def table(columns=5):
    return MLP((columns,), 3)


def tables(**options):
    return Fusion({"b": table(4), "a": table(6)}, **options)


class TestAnImageAndATable(SpaceContract):
    told = BRANCHES
    elsewhere = ("fusion/without",)
    milliseconds = 10.0

    def make(self, input_shape=(8, 8, 1)):
        return Fusion({"image": MobileNet(input_shape, 3), "table": table()})


class TestASeriesAndATableThatMayBeLeftOut(SpaceContract):
    told = (*BRANCHES, "fusion/without")
    milliseconds = 10.0

    def make(self, input_shape=(12, 2)):
        series = TemporalConvNet(input_shape, 3)
        return Fusion({"motion": series, "about": table()}, optional=["about"])


class TestTokensAndATable(SpaceContract):
    told = BRANCHES
    elsewhere = ("fusion/without",)
    milliseconds = 10.0

    def make(self, input_shape=(8,)):
        return Fusion({"text": Transformer(input_shape, 3, vocabulary=20), "table": table()})


# --- decisions ---


def test_decisions_of_a_branch_have_the_name_of_its_input_before_them():
    space = tables()
    names = {hp.name for hp in space.hyperparameters().space}
    inner = {hp.name for hp in table().hyperparameters().space}
    of_fusion = {name for name in names if name.startswith("fusion/")}
    assert names - of_fusion == {f"{one}/{name}" for one in "ab" for name in inner}


def test_size_is_that_of_the_docstring():
    inner = table().size()
    assert tables().size() == 657 * inner**2
    assert "657 sets" in Fusion.__doc__
    assert tables(optional=["a"]).size() == 657 * inner**2 + 73 * inner
    three = Fusion({name: table() for name in "abc"}, optional=["a", "b"])
    assert three.size() == 657 * (inner**3 + 2 * inner**2)


def test_the_default_is_that_of_the_branches():
    default = Fusion({"image": MobileNet((8, 8, 1), 3), "table": table()}).default()
    branch = {
        name.removeprefix("image/"): value
        for name, value in default.items()
        if name.startswith("image/")
    }
    assert branch == MobileNet((8, 8, 1), 3).default()


def test_restrictions_of_a_branch_hold_in_the_fusion():
    def flat(network):
        return all(dict(r.settings).get("function") != "tanh" for r in network.layers)

    narrow = table().restricted(flat)
    space = Fusion({"a": narrow, "b": table()})
    offered = {hp.name: hp for hp in space.hyperparameters().space}
    assert offered["a/layer0/activation"].value == "relu"
    assert list(offered["b/layer0/activation"].values) == ["relu", "tanh"]
    assert size(space.hyperparameters()) < tables().size()


def test_a_fusion_is_restricted_like_any_space():
    space = tables().restricted(
        lambda network: all(record.op != "multiply" for record in network.layers)
    )
    (join,) = [hp for hp in space.hyperparameters().space if hp.name == "fusion/join"]
    assert list(join.values) == ["concatenate", "add"]


def test_the_width_of_weights_is_one_decision_of_all_branches():
    space = tables().with_weight_bits(8, 4)
    wide, narrow = (space.costs({"weight_bits": bits}) for bits in (8, 4))
    assert narrow["flash"] < 0.6 * wide["flash"]


# --- networks ---


def test_inputs_are_sorted_by_name_and_keep_shape_and_dtype():
    space = Fusion(
        {"text": Transformer((8,), 3, vocabulary=20), "image": MobileNet((8, 8, 1), 3)}
    )
    assert space.input_shape == {"image": (8, 8, 1), "text": (8,)}
    assert space.input_dtype == {"image": "float32", "text": "int32"}
    network = space.network({})
    assert network.inputs == (("image", (8, 8, 1), "float32"), ("text", (8,), "int32"))


def test_which_input_goes_where_matters():
    space = Fusion({"a": table(), "b": table()})
    one = space.identity({"a/depth": 1, "b/depth": 3})
    other = space.identity({"a/depth": 3, "b/depth": 1})
    assert one != other


def test_equal_branches_of_two_inputs_are_two_branches():
    network = Fusion({"a": table(), "b": table()}).network({"a/depth": 1, "b/depth": 1})
    assert sum(record.op == "dense" for record in network.layers) == 4


@pytest.mark.parametrize("join", ["concatenate", "add", "gate"])
def test_the_answer_depends_on_every_input(join):
    space = Fusion({"image": MobileNet((8, 8, 1), 3), "table": table()})
    model = realise(space.network({"fusion/join": join}), seed=0)
    x = random_inputs(space.network({}), 2, np.random.default_rng(0))
    before = np.asarray(model(x))
    for name in x:
        other = np.asarray(model({**x, name: x[name] + 1}))
        assert not np.allclose(before, other)


def test_an_input_that_is_left_out_is_still_read_but_makes_no_difference():
    space = tables(optional=["b"])
    network = space.network({"fusion/without": "b"})
    assert [one.name for one in network.inputs] == ["a", "b"]
    model = realise(network, seed=0)
    x = random_inputs(network, 2, np.random.default_rng(0))
    before = np.asarray(model(x))
    np.testing.assert_array_equal(before, np.asarray(model({**x, "b": x["b"] + 1})))
    with_one = members.member(space, lambda name, values: values[-1]).values
    assert with_one["fusion/without"] == "b"
    assert "fusion/join" not in with_one
    assert not any(decision.startswith("b/") for decision in with_one)


def test_branches_rescale_their_own_inputs():
    bare = Fusion({"image": MobileNet((8, 8, 1), 3), "table": table()})
    space = bare.rescaled({"image": (1 / 255, 0.0)})
    (scaled,) = [r for r in space.network({}).layers if r.op == "rescale"]
    assert scaled.inputs == (0,)
    assert all(record.op != "rescale" for record in bare.network({}).layers)
    kept = space.rescaled({"image": (2.0, 0.0), "table": (3.0, 1.0)}).network({})
    scales = [dict(r.settings)["scale"] for r in kept.layers if r.op == "rescale"]
    assert scales == [1 / 255, 3.0]


def test_a_model_is_trained_and_loaded_by_names(tmp_path):
    space = tables()
    model = realise(space.network({"fusion/join": "gate"}), seed=0)
    model.compile("adam", **space.task.compile_arguments())
    x = random_inputs(space.network({}), 16, np.random.default_rng(0))
    model.fit(x, np.arange(16) % 3, verbose=0)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(loaded.predict(x, verbose=0), model.predict(x, verbose=0))


# --- files ---

FUSIONS = {
    "image and table": lambda: Fusion(
        {"image": MobileNet((16, 16, 3), 3), "table": table()}, optional=["table"]
    ),
    "series and table": lambda: Fusion(
        {"motion": TemporalConvNet((20, 6), 3), "about": table()}, optional=["motion"]
    ),
    "two images": lambda: Fusion(
        {"left": MobileNet((16, 16, 1), 3), "right": DSCNN((20, 10, 1), 3)}
    ),
    "tokens and table": lambda: Fusion(
        {"text": Transformer((12,), 3, vocabulary=50), "table": table()}, optional=["table"]
    ),
}


def exported(network, seed):
    """The int8 file of a network whose biases are not all zero, as after training."""
    model, rng = realise(network, seed=seed), np.random.default_rng(seed)
    for weight in model.weights:
        value = np.asarray(weight)
        weight.assign(value + rng.normal(scale=0.1, size=value.shape) * (value.ndim < 3))
        if "variance" in weight.path:
            weight.assign(np.abs(np.asarray(weight)))
    return tflite_export.convert(model, "int8", random_inputs(network, 16, rng))


def check_costs(name, values, seed):
    network = FUSIONS[name]().network(values)
    content = exported(network, seed)
    real = flatbuffer.read(content)
    described = sorted(o.op for o in costs.program(network).operators if o.op != "QUANTIZE")
    assert described == sorted(o.op for o in real.operators if o.op != "QUANTIZE")
    read = sorted((real.tensors[i].shape, real.tensors[i].dtype) for i in real.inputs)
    program = costs.program(network)
    assert read == sorted(
        (program.tensors[i].shape, program.tensors[i].dtype) for i in program.inputs
    )
    assert costs.flash_bytes(network) == pytest.approx(len(content), rel=0.015, abs=150)
    assert costs.ram_bytes(network) == pytest.approx(memory(real).total, rel=0.02)


@pytest.mark.parametrize("name", ["image and table"])
@pytest.mark.parametrize("join", ["concatenate", "add", "gate"])
def test_costs_are_those_of_the_file(name, join):
    check_costs(name, {"fusion/join": join}, seed=0)


def test_an_input_that_is_left_out_is_in_the_file():
    check_costs("image and table", {"fusion/without": "table"}, seed=1)


@pytest.mark.slow
@pytest.mark.parametrize("name", FUSIONS)
def test_costs_of_random_members_are_those_of_their_files(name):
    for seed, member in enumerate(members.draws(FUSIONS[name](), 4, seed=3)):
        check_costs(name, member.values, seed)
        keras.backend.clear_session()


# --- what is refused ---


def recordings():
    return Waveform((1600,), 3, sample_rate=8000, in_graph=False)


@pytest.mark.parametrize(
    ("spaces", "message"),
    [
        ({"a": table()}, r"Only several inputs have names\. Received: inputs \['a'\]"),
        ({"a": table(), "blood pressure": table()}, r"letters, digits and underscores"),
        ({"a": table(), "dense_3": table()}, r"name that a layer may get"),
        ({"a": table(), "fusion": table()}, r"Received: an input 'fusion'"),
        ({"a": table(), "b": MLP((3,), 4)}, r"made for its task\. Received: .*num_classes=4"),
        ({"a": table(), "b": table().with_weight_bits(4)}, r"weight_bits=\(4,\)"),
        ({"a": table(), "b": tables()}, r"read one input each"),
        ({"a": table(), "b": recordings()}, r"Received: 'b' with a Waveform\. Compute"),
    ],
)
def test_spaces_that_do_not_go_together_are_refused(spaces, message):
    with pytest.raises(ValueError, match=message):
        Fusion(spaces)


@pytest.mark.parametrize("spaces", [[table(), table()], {"a": table(), "b": MLP}])
def test_what_are_no_spaces_is_refused(spaces):
    with pytest.raises(TypeError, match=r"from names of inputs to spaces\. Received"):
        Fusion(spaces)


@pytest.mark.parametrize("task", [Segmentation(3), Detection(3), NextToken(30)])
def test_tasks_of_places_are_refused(task):
    spaces = {
        name: MobileNet((32, 32, 3), task=task)
        if not isinstance(task, NextToken)
        else Transformer((8,), task=task)
        for name in "ab"
    }
    with pytest.raises(ValueError, match="as a whole"):
        Fusion(spaces)


@pytest.mark.parametrize("optional", [["c"], "a"])
def test_optional_inputs_must_be_inputs(optional):
    with pytest.raises(ValueError, match=r"a list of inputs\. Received: optional="):
        tables(optional=optional)


def test_the_task_is_that_of_the_spaces_unless_given():
    assert tables().task == tables(num_classes=3).task == Classification(3)
    both = {"a": MLP((3,), task=Regression()), "b": MLP((4,), task=Regression())}
    assert Fusion(both).network({}).output_shape == (1,)

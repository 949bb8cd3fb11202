import keras
import pytest

from benchmarks import mlperf_tiny
from search_spaces import costs, members
from search_spaces.counting import count_params
from search_spaces.decisions import Decisions
from search_spaces.network import Network, freeze, input_node
from search_spaces.realise import realise
from search_spaces.resnet import ResNet, baseline, resnet8, resnet50
from search_spaces.task import Regression
from search_spaces.testing import SpaceContract


class TestResNetContract(SpaceContract):
    smallest = (8, 8, 1)
    told = ("stem/kind",)  # the third kind needs larger images

    def make(self, input_shape=(8, 8, 1)):
        return ResNet(input_shape, 3, num_stages=2)


def body(space, values):
    """The features of a member, without the head."""
    return freeze(space.body(Decisions(values), input_node(space.input_shape)))


def images(network):
    return [record.shape for record in network.layers if len(record.shape) == 3]


def layers(network, op):
    return [dict(record.settings) for record in network.layers if record.op == op]


# --- published networks -------------------------------------------------------------------


def test_resnet_8_is_the_network_of_mlperf_tiny():
    space, values = resnet8()
    reference = mlperf_tiny.resnet_8()
    assert costs.params(space.network(values)) == costs.params(reference) == 78_666
    assert costs.macs(space.network(values)) == costs.macs(reference)
    # All but the head: pooling, flattening, the last layer and its softmax.
    assert body(space, values) == Network(reference.layers[:-4])


def published(depths, block, width):
    """A ResNet for ImageNet in the published space."""
    space = ResNet((224, 224, 3), 1000)
    values = {"stem/kind": "conv7_pool", "stem/filters": 64}
    for i, depth in enumerate(depths):
        values |= {
            f"stage{i}/depth": depth,
            f"stage{i}/block": block,
            f"stage{i}/width": width,
        }
    return space.network(values)


@pytest.mark.parametrize(
    ("depths", "block", "weights", "macs"),
    [  # trained weights and multiply-accumulates as torchvision lists them
        ((2, 2, 2, 2), "basic", 11_689_512, 1.81e9),
        ((3, 4, 6, 3), "basic", 21_797_672, 3.66e9),
        ((3, 4, 6, 3), "bottleneck", 25_557_032, 4.09e9),
    ],
)
def test_published_networks_are_members(depths, block, weights, macs):
    network = published(depths, block, 4.0)
    assert costs.trainable_params(network) == weights
    assert costs.macs(network) == pytest.approx(macs, rel=0.005)


def test_resnet_50_is_one_of_them():
    space, values = resnet50()
    assert space.network(values) == published((3, 4, 6, 3), "bottleneck", 4.0)
    assert costs.params(space.network(values)) == 25_557_032 + 53_120


def test_with_biases_resnet_50_has_as_many_weights_as_in_keras():
    _, values = resnet50()
    network = ResNet((224, 224, 3), 1000, biases=True).network(values)
    assert costs.params(network) == 25_557_032 + 53_120 + 26_560 == 25_636_712


@pytest.mark.slow
def test_keras_own_resnet_50_has_the_same_layers():
    reference = keras.applications.ResNet50(weights=None)
    _, values = resnet50()
    model = realise(ResNet((224, 224, 3), 1000, biases=True).network(values))
    assert count_params(model) == reference.count_params()

    def shapes(model):
        return sorted(tuple(weight.shape) for weight in model.weights)

    assert shapes(model) == shapes(reference)
    keras.backend.clear_session()


# --- the baseline -------------------------------------------------------------------------


@pytest.mark.parametrize(
    "shape", [(32, 32, 3), (28, 28, 1), (9, 9, 1), (33, 20, 3), (96, 96, 1)]
)
def test_the_baseline_is_five_plain_units(shape):
    space, values = baseline(shape, 10)
    network = space.network(values)
    units = [(c["filters"], c["kernel"], c["stride"]) for c in layers(network, "conv")]
    assert units == [(32, 3, 1), (64, 3, 2), (64, 3, 1), (128, 3, 2), (128, 3, 1)]
    assert not layers(network, "add")
    assert [record.op for record in network.layers[-3:]] == [
        "global_average_pool",
        "dropout",
        "dense",
    ]


def test_the_baseline_has_as_many_weights_as_its_docstring_says():
    space, values = baseline((32, 32, 3), 10)
    head = 128 * 10 + 10
    assert costs.params(space.network(values)) - head == 279_008
    assert costs.trainable_params(space.network(values)) - head == 278_176
    assert "279,008" in baseline.__doc__
    assert "278,176" in baseline.__doc__


def test_the_baseline_serves_any_task():
    space, values = baseline((16, 16, 1), task=Regression(2), rescaling=(1 / 255, 0.0))
    assert space.network(values).output_shape == (2,)
    assert space.network(values).layers[1].op == "rescale"


# --- the space ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("shape", "stages", "size"),
    [((8, 8, 1), 3, 10_629_366), ((32, 32, 3), 4, 9 * 121**4), ((224, 224, 3), 4, 9 * 121**4)],
)
def test_size_matches_the_docstring(shape, stages, size):
    space = ResNet(shape, 10)
    assert space.num_stages == stages
    assert space.size() == size
    assert "10,629,366 for 8x8, 1.9e9 for 32x32" in " ".join(ResNet.__doc__.split())


def test_stems_follow_the_image():
    def kinds(side):
        space = ResNet((side, side + 5, 3), 10)
        return next(
            hp for hp in space.hyperparameters().space if hp.name == "stem/kind"
        ).values

    assert kinds(31) == ["conv3", "conv3_s2"]
    assert kinds(32) == ["conv3_s2", "conv7_pool", "conv3"]
    assert kinds(64) == ["conv7_pool", "conv3", "conv3_s2"]
    assert "| conv3, conv3_s2, conv7_pool " in ResNet.__doc__


@pytest.mark.parametrize(
    ("kind", "side"), [("conv3", 64), ("conv3_s2", 32), ("conv7_pool", 16)]
)
def test_stems_divide_the_image(kind, side):
    values = {"stem/kind": kind} | {f"stage{i}/depth": 0 for i in range(4)}
    assert body(ResNet((64, 64, 3), 10), values).output_shape == (side, side, 16)


@pytest.mark.parametrize("shape", [(8, 8, 1), (33, 20, 3), (32, 100, 3)])
def test_images_do_not_become_too_small_for_their_kernels(shape):
    space = ResNet(shape, 10)
    for member in members.draws(space, 100):
        assert min(min(sides[:2]) for sides in images(member.network)) >= 3


def test_a_space_of_plain_blocks_has_no_shortcuts():
    space = ResNet((32, 32, 3), 10, blocks=("plain",))
    assert space.size() == 9 * 41**4
    for member in members.draws(space, 50):
        assert not layers(member.network, "add")


def test_only_blocks_that_change_shape_have_a_convolution_in_the_shortcut():
    values = {"stem/kind": "conv3", "stage0/depth": 2, "stage1/depth": 2, "stage2/depth": 0}
    network = ResNet((16, 16, 3), 10, num_stages=3).network(values)
    kernels = [convolution["kernel"] for convolution in layers(network, "conv")]
    assert kernels.count(1) == 1
    assert len(layers(network, "add")) == 4


def test_blocks_end_in_their_width_or_four_times_it():
    for block, channels in (("plain", 32), ("basic", 32), ("bottleneck", 128)):
        values = {"stage1/block": block, "stage1/width": 1.0}
        features = body(ResNet((16, 16, 3), 10, num_stages=2), values)
        assert features.output_shape == (8, 8, channels)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"num_stages": 0}, "Received: num_stages=0"),
        ({"blocks": ()}, r"Received: blocks=\(\)"),
        ({"blocks": ("basic", "dense")}, "Kinds of blocks are basic, bottleneck, plain"),
        ({"blocks": ("plain", "plain")}, "once"),
        ({"input_shape": (7, 8, 1)}, r"at least 8x8 pixels\. Received: input_shape="),
        ({"input_shape": (8, 8)}, "channel axis"),
    ],
)
def test_spaces_without_members_are_refused(given, said):
    with pytest.raises(ValueError, match=said):
        ResNet(**{"input_shape": (8, 8, 1), "num_classes": 3, **given})

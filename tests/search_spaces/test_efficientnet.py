import keras
import pytest

from search_spaces import costs
from search_spaces.counting import count_macs
from search_spaces.efficientnet import EfficientNet, published
from search_spaces.testing import SpaceContract, unread


class TestEfficientNetContract(SpaceContract):
    smallest = (8, 8, 1)
    realised = 1
    told = ("depth", "width")  # all of them below

    def make(self, input_shape=(16, 19, 1)):
        return EfficientNet(input_shape, 3, depths=(0.25, 0.5), widths=(0.25, 0.5))


@pytest.mark.parametrize(
    ("version", "pixels", "trainable"),
    [
        # As torchvision documents its efficientnet_b0 to b4.
        (0, 224, 5_288_548),
        (1, 240, 7_794_184),
        (2, 260, 9_109_994),
        (3, 300, 12_233_232),
        (4, 380, 19_341_616),
    ],
)
def test_published_networks_are_members(version, pixels, trainable):
    side, decisions = published(version)
    assert side == pixels
    network = EfficientNet((side, side, 3), 1000).network(decisions)
    assert costs.trainable_params(network) == trainable


def test_a_version_that_is_no_member_is_refused():
    with pytest.raises(ValueError, match=r"B0 to B4\. Received: version=5"):
        published(5)


@pytest.mark.slow
def test_b0_costs_what_that_of_keras_costs():
    _, decisions = published(0)
    network = EfficientNet((224, 224, 3), 1000).network(decisions)
    model = keras.applications.EfficientNetB0(weights=None)
    # Keras' network normalises its own inputs: mean, variance and a count of examples.
    assert costs.params(network) + 3 + 3 + 1 == model.count_params() == 5_330_571
    assert costs.macs(network) == count_macs(model)
    keras.backend.clear_session()


def test_size_matches_the_docstring():
    assert EfficientNet((16, 16, 1), 3).size() == 6 * 7 * 3 * 3 * 2 * 8**7
    assert "`6 * 7 * 3 * 3 * 2 * 8**7`" in EfficientNet.__doc__


def test_coefficients_multiply_blocks_channels_and_sides():
    space = EfficientNet((64, 96, 3), 3)

    def blocks(values):
        records = space.network(values).layers
        return sum(record.op == "depthwise" for record in records)

    assert blocks({"depth": 1.0}) == 16
    assert blocks({"depth": 0.5}) == 10
    assert blocks({"depth": 1.8}) == 2 + 4 + 4 + 6 + 6 + 8 + 2
    narrow, wide = (space.network({"width": width}).layers[1].shape for width in (0.25, 1.0))
    assert (narrow[-1], wide[-1]) == (8, 32)
    resized = space.network({"resolution": 0.75}).layers[1]
    assert (resized.op, resized.shape) == ("resize", (48, 72, 3))
    assert "resize" not in {record.op for record in space.network({}).layers}


def test_no_resolution_brings_images_under_8_pixels():
    def resolutions(side):
        declared = EfficientNet((side, 64, 1), 3).hyperparameters().space
        return next(list(hp.values) for hp in declared if hp.name == "resolution")

    assert resolutions(8) == [1.0]
    assert resolutions(11) == [0.75, 1.0]
    assert resolutions(16) == [0.5, 0.75, 1.0]


@pytest.mark.parametrize("side", [8, 28, 32, 96])
def test_features_of_small_images_keep_some_pixels(side):
    layers = EfficientNet((side, side, 1), 3).network({}).layers
    features = [record.shape for record in layers if len(record.shape) == 3]
    assert features[-1][0] in range(3, 9)


def test_gates_are_exact_in_int8_unless_it_is_the_published_activation():
    space = EfficientNet((32, 32, 3), 3)
    for activation, gate in (("relu6", "hard_sigmoid"), ("silu", "sigmoid")):
        network = space.network({"activation": activation, "squeeze": 0.25})
        functions = {dict(r.settings).get("function") for r in network.layers}
        assert {"hard_sigmoid", "sigmoid"} & functions == {gate}


def test_the_docstring_lists_the_coefficients():
    rows = [line.split("|")[1:3] for line in EfficientNet.__doc__.splitlines() if "|" in line]
    listed, name = {}, ""
    for first, values in rows:
        name = first.strip(" `") or name  # a row without a name goes on with the one before
        listed[name] = f"{listed.get(name, '')} {values.strip()}".strip()
    declared = {hp.name: hp for hp in EfficientNet((16, 16, 1), 3).hyperparameters().space}
    for name in ("depth", "width", "resolution"):
        assert listed[name] == ", ".join(map(str, declared[name].values))


def test_coefficients_can_be_others():
    space = EfficientNet((16, 16, 1), 3, depths=(1, 2), widths=(0.35,), resolutions=(2.0,))
    assert space.size() == 2 * 1 * 1 * 3 * 2 * 8**7
    assert space.network({}).layers[1].shape == (32, 32, 1)


@pytest.mark.parametrize("depths", [(), (0.5, 0.0)])
def test_coefficients_that_are_not_positive_are_refused(depths):
    with pytest.raises(ValueError, match=r"Received: depths="):
        EfficientNet((16, 16, 1), 3, depths=depths)


def test_every_value_of_depth_makes_other_networks():
    space = EfficientNet((64, 64, 1), 3)
    depths = next(hp.values for hp in space.hyperparameters().space if hp.name == "depth")
    assert len({space.identity({"depth": depth}) for depth in depths}) == len(depths)


def test_no_kernel_meets_padding_only_however_small_features_become():
    space = EfficientNet((64, 64, 3), 3)
    for values in ({}, {"resolution": 0.5}, {"resolution": 0.5, "stage5/kernel": 3}):
        assert not unread(space.network(values))
    assert space.network({"resolution": 0.5}).layers[-4].shape[:2] == (1, 1)

import math

import pytest

from benchmarks import mlperf_tiny
from search_spaces import costs
from search_spaces.dscnn import DSCNN, ds_cnn
from search_spaces.members import draws
from search_spaces.testing import SpaceContract


class TestTheContract(SpaceContract):
    smallest = (4, 4, 1)
    elsewhere = ("stem/filters",)

    def make(self, input_shape=(20, 10, 1)):
        return DSCNN(input_shape, 3, filters=(8, 16))


def filters(network):
    """What the convolutions of a network are, in order, but for their biases."""
    return [
        (record.op, record.shape, dict(record.settings)["kernel"])
        for record in network.layers
        if record.op in ("conv", "depthwise")
    ]


def test_the_reference_of_mlperf_tiny_is_a_member():
    space, values = ds_cnn()
    network, reference = space.network(values), mlperf_tiny.ds_cnn()
    assert filters(network) == filters(reference)
    assert costs.macs(network) == costs.macs(reference)
    biases = sum(
        record.shape[-1] for record in reference.layers if record.op in ("conv", "depthwise")
    )
    # model.summary() of github.com/mlcommons/tiny, benchmark/training/keyword_spotting
    assert costs.trainable_params(network) + biases == 23_756
    assert costs.params(network) + biases == 24_908


@pytest.mark.parametrize(
    ("size", "kilobytes", "megaops"),
    [("S", 38.6, 5.4), ("M", 189.2, 19.8), ("L", 497.6, 56.9)],
)
def test_the_networks_of_hello_edge_take_their_published_memory(size, kilobytes, megaops):
    # Table 3 and 4 of the paper: weights and activations of a byte each.
    space, values = ds_cnn(size)
    network = space.network(values)
    normalised = sum(r.shape[-1] for r in network.layers if r.op == "batch_norm")
    folded = costs.params(network) - 3 * normalised
    maps = [math.prod(r.shape) for r in network.layers if r.op in ("conv", "depthwise")]
    activations = maps[0] + maps[1]
    assert round((folded + activations) / 1000, 1) == kilobytes
    assert 2 * costs.macs(network) / 1e6 == pytest.approx(megaops, rel=0.02)


def test_a_size_that_was_not_published_is_refused():
    with pytest.raises(ValueError, match=r"sizes S, M, L\. Received: size='XL'"):
        ds_cnn("XL")


def test_size_matches_the_docstring():
    assert DSCNN((49, 40, 1), 10).size() == 1080 * 97**3 == 985_686_840
    assert "985,686,840" in DSCNN.__doc__


@pytest.mark.parametrize(
    ("shape", "frames", "bands"),
    [((49, 10), [1, 2], [1, 2]), ((49, 40), [1, 2], [2, 4]), ((98, 64), [2, 4], [2, 4])],
)
def test_long_and_fine_features_have_longer_strides(shape, frames, bands):
    declared = {hp.name: hp for hp in DSCNN(shape, 10).hyperparameters().space}
    assert declared["stem/stride_frames"].values == frames
    assert declared["stem/stride_bands"].values == bands


def test_the_first_kernel_overlooks_nothing():
    values = {"stem/kernel_frames": 3, "stem/kernel_bands": 3}
    values |= {"stem/stride_frames": 4, "stem/stride_bands": 4}
    op, shape, kernel = filters(DSCNN((98, 64), 10).network(values))[0]
    assert (op, shape[:2], kernel) == ("conv", (25, 16), 4)


def test_features_without_a_channel_axis_give_the_same_networks():
    flat, image = DSCNN((49, 10), 12), DSCNN((49, 10, 1), 12)
    assert flat.size() == image.size()
    assert flat.costs({})["params"] == image.costs({})["params"]
    assert flat.network({}).input_shape == (49, 10)


@pytest.mark.parametrize("shape", [(4, 4), (5, 40), (33, 20)])
def test_no_kernel_is_larger_than_what_it_filters(shape):
    for member in draws(DSCNN(shape, 3), 100, seed=1):
        layers = member.network.layers
        for record in layers:
            if record.op in ("conv", "depthwise"):
                kernel = dict(record.settings)["kernel"]
                high, wide = kernel if isinstance(kernel, tuple) else (kernel, kernel)
                height, width, _ = layers[record.inputs[0]].shape
                assert high <= height, member.values
                assert wide <= width, member.values


def test_only_residual_blocks_have_sums():
    space = DSCNN((49, 40, 1), 10)
    values = {f"stage{i}/block": "residual" for i in range(3)}
    values |= {f"stage{i}/depth": 2 for i in range(3)}
    ops = [record.op for record in space.network(values).layers]
    # Two blocks of the first stage keep their shape, and one of each stage that halves.
    assert ops.count("add") == 4
    assert not [r for r in space.network({}).layers if r.op == "add"]


@pytest.mark.parametrize("filters", [(), (0,), (16, 16)])
def test_a_choice_of_filters_must_be_one(filters):
    with pytest.raises(ValueError, match=r"`filters` is a whole number.*Received: filters="):
        DSCNN((49, 10, 1), 12, filters=filters)


def test_features_have_a_channel_at_least():
    with pytest.raises(ValueError, match=r"DSCNN needs .* at least 1 channel\. Received"):
        DSCNN((32, 32, 0), 12)


@pytest.mark.parametrize("shape", [(49,), (49, 3), (3, 10, 1), (49, 10, 1, 1)])
def test_what_is_no_audio_features_is_refused(shape):
    with pytest.raises(ValueError, match=r"at least 4x4\. Received: input_shape="):
        DSCNN(shape, 12)

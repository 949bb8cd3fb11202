import keras
import numpy as np
import pytest

from search_spaces import costs
from search_spaces.members import draws
from search_spaces.realise import realise
from search_spaces.tcn import TemporalConvNet, tc_resnet8, tcn_sequential_mnist
from search_spaces.testing import SpaceContract, unread


class TestTheContract(SpaceContract):
    smallest = (4, 1)
    elsewhere = ("stage{i}/filters",)

    def make(self, input_shape=(25, 3)):
        return TemporalConvNet(input_shape, 3, filters=(16, 24))


def settings(network, op):
    return [dict(record.settings) for record in network.layers if record.op == op]


def test_tc_resnet8_has_its_published_parameters():
    space, values = tc_resnet8()
    network = space.network(values)
    assert costs.params(network) == pytest.approx(66_000, rel=0.01)
    lengths = [r.shape[0] for r in network.layers if r.op == "conv" and r.shape[-1] > 16]
    assert set(lengths) == {49, 25, 13}


def test_the_network_for_sequential_mnist_is_a_member_with_its_published_parameters():
    space, values = tcn_sequential_mnist()
    network = space.network(values)
    assert costs.trainable_params(network) == pytest.approx(70_000, rel=0.05)
    dilations = [dict(record.settings).get("dilation", (1, 1)) for record in network.layers]
    dilations = [
        dilation
        for dilation, record in zip(dilations, network.layers, strict=True)
        if record.op == "conv" and dict(record.settings)["kernel"] == (7, 1)
    ]
    assert dilations == [(2**block, 1) for block in range(8) for _ in range(2)]


def test_plain_blocks_are_the_fully_convolutional_network():
    space = TemporalConvNet((140, 1), 2, filters=(128, 256), kernels=(3, 5, 8))
    values = {"squeeze": False, "causal": False, "dilation": 1, "stem/filters": 0}
    values |= {"dropout": 0.0, "stage3/depth": 0}
    for i, (filters, kernel) in enumerate([(128, 8), (256, 5), (128, 3)]):
        values |= {f"stage{i}/filters": filters, f"stage{i}/kernel": kernel}
        values |= {f"stage{i}/depth": 1, f"stage{i}/downsampling": "none"}
        values |= {f"stage{i}/block": "plain"}
    published = keras.Sequential([keras.Input((140, 1))])  # Wang et al., section II.B
    for filters, kernel in [(128, 8), (256, 5), (128, 3)]:
        published.add(keras.layers.Conv1D(filters, kernel, padding="same", use_bias=False))
        published.add(keras.layers.BatchNormalization())
    published.add(keras.layers.GlobalAveragePooling1D())
    published.add(keras.layers.Dense(2))
    assert costs.params(space.network(values)) == published.count_params()


def test_size_matches_the_docstring():
    assert TemporalConvNet((25, 12), 9).size() == 456 * 972 * 973 == 431_264_736
    assert TemporalConvNet((784, 1), 10).size() == 672 * 972 * 973**3
    assert "`456 * 972 * 973**(num_stages - 1)`" in TemporalConvNet.__doc__
    assert "`672 * 972 *\n    973**(num_stages - 1)`" in TemporalConvNet.__doc__


@pytest.mark.parametrize(
    ("length", "stages", "strides"),
    [
        (4, 2, [1, 2]),
        (25, 2, [1, 2]),
        (49, 3, [1, 2]),
        (128, 4, [1, 2, 4]),
        (16_000, 4, [4, 8, 16]),
    ],
)
def test_longer_series_have_more_stages_and_longer_strides(length, stages, strides):
    space = TemporalConvNet((length, 2), 3)
    assert space.num_stages == stages
    declared = {hp.name: hp for hp in space.hyperparameters().space}
    assert declared["stem/stride"].values == strides


@pytest.mark.parametrize("length", [4, 5, 9, 25])
def test_no_kernel_reaches_beyond_the_series(length):
    for member in draws(TemporalConvNet((length, 2), 3), 200, seed=length):
        layers = member.network.layers
        for record in layers:
            if record.op not in ("conv", "depthwise"):
                continue
            given = dict(record.settings)
            kernel, dilation = given["kernel"], given.get("dilation", 1)
            kernel = kernel[0] if isinstance(kernel, tuple) else kernel
            dilation = dilation[0] if isinstance(dilation, tuple) else dilation
            before = layers[record.inputs[0]]
            known = before if before.op != "pad" else layers[before.inputs[0]]
            assert dilation * (kernel - 1) < known.shape[0], member.values


def test_a_halved_series_is_read_with_half_the_dilation():
    values = {"stem/filters": 0, "dilation": 2, "stage0/depth": 3, "stage1/depth": 1}
    space = TemporalConvNet((100, 2), 3, num_stages=2)
    values |= {"stage1/downsampling": "none"}
    whole = settings(space.network({**values, "stage0/downsampling": "none"}), "conv")
    halved = settings(space.network({**values, "stage0/downsampling": "max_pool"}), "conv")
    reach = [s["dilation"][0] for s in whole if "dilation" in s]
    assert reach == [2, 2, 4, 4, 8, 8]
    assert [s["dilation"][0] for s in halved if "dilation" in s] == [2, 2, 4, 4]


def outputs(model, x):
    features = keras.Model(model.input, model.layers[-3].input)
    assert len(features.output.shape) == 4
    return np.asarray(features(x))[:, :, 0]


@pytest.mark.parametrize("change", [20, 21, 22, 23])
def test_a_causal_network_does_not_know_the_future(change):
    space = TemporalConvNet((30, 2), 3)
    values = {"stem/stride": 1, "stage0/downsampling": "max_pool", "stage0/depth": 1}
    values |= {"stage1/downsampling": "stride", "stage1/depth": 2, "dropout": 0.0}
    values |= {"stage0/block": "inverted", "stage1/block": "residual"}
    x = np.random.default_rng(0).normal(size=(1, 30, 2)).astype("float32")
    y = x.copy()
    y[:, change:] += 1
    for causal in (True, False):
        model = realise(space.network({**values, "causal": causal}), seed=0)
        moved = np.abs(outputs(model, x) - outputs(model, y)).max(axis=(0, 2)) > 1e-5
        assert moved.shape == (8,)  # each output stands for every fourth step
        known = -(-change // 4)
        assert moved[known:].any()
        assert moved[:known].any() == (not causal)
        keras.backend.clear_session()


@pytest.mark.parametrize("length", [4, 6, 25])
def test_no_kernel_of_a_causal_network_meets_padding_only(length):
    space = TemporalConvNet((length, 2), 3, kernels=(3, 9))
    for member in draws(space, 100, seed=length):
        network = space.network({**member.values, "causal": True})
        assert not unread(network), member.values


def test_squeeze_and_excite_is_for_networks_that_may_know_the_whole_series():
    space = TemporalConvNet((25, 2), 3)
    assert settings(space.network({"squeeze": True}), "multiply")
    assert not settings(space.network({"squeeze": True, "causal": True}), "multiply")


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"kernels": ()}, r"`kernels` is a whole number .*Received: kernels=\(\)"),
        ({"kernels": (3, 0)}, r"`kernels` is a whole number from 1 up"),
        ({"filters": ()}, r"`filters` is a whole number .*Received: filters=\(\)"),
        ({"num_stages": 0}, r"at least 1 stage\. Received: num_stages=0"),
    ],
)
def test_what_leaves_nothing_to_choose_from_is_refused(options, said):
    with pytest.raises(ValueError, match=said):
        TemporalConvNet((25, 12), 9, **options)


@pytest.mark.parametrize("shape", [(3, 12), (25,), (25, 12, 1)])
def test_what_is_no_series_of_4_steps_is_refused(shape):
    with pytest.raises(ValueError, match=r"at least 4 steps\. Received: input_shape="):
        TemporalConvNet(shape, 9)

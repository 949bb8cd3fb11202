import keras
import numpy as np
import pytest

from search_spaces import costs
from search_spaces.counting import count_macs, count_params
from search_spaces.decisions import Decisions
from search_spaces.mobile import (
    MNASNET_B1,
    MOBILENET_V2,
    MOBILENET_V3_LARGE,
    MOBILENET_V3_SMALL,
    Layout,
    MobileNet,
    Stage,
    fitted_strides,
)
from search_spaces.testing import SpaceContract

IMAGENET = (224, 224, 3)
LAYOUT_DECISIONS = ("stem/activation", "head/activation", "head/units")


class TestMobileNetContract(SpaceContract):
    smallest = (8, 8, 1)
    elsewhere = LAYOUT_DECISIONS

    def make(self, input_shape=(8, 8, 1)):
        return MobileNet(input_shape, 3)


class TestMobileNetV3Contract(SpaceContract):
    """With a layout; small, as the published ones are large."""

    smallest = (8, 8, 1)
    realised = 1
    told = ("head/units", "stem/filters", "head/expansion", "stage{i}/activation")

    def make(self, input_shape=(9, 12, 2)):
        stages = (
            Stage(8, 1, 1, 3, 1, True, "relu"),
            Stage(16, 2, 2, 5, 3, False, "hard_silu"),
        )
        return MobileNet(input_shape, 3, layout=Layout(stages, 8, 6, 16, "hard_silu"))


@pytest.mark.parametrize(
    ("shape", "stages"),
    [((8, 8, 1), 2), ((28, 28, 1), 3), ((32, 32, 3), 4), ((96, 96, 3), 4), ((224, 224, 3), 5)],
)
def test_downsampling_follows_the_input(shape, stages):
    space = MobileNet(shape, 10)
    assert space.num_stages == stages
    fine = {"stem/stride": space.hyperparameters().space[0].values[0]}
    features = [
        record.shape for record in space.network(fine).layers if len(record.shape) == 3
    ]
    assert 4 <= features[-1][0] <= 8


def test_size_matches_the_docstring():
    assert MobileNet((8, 8, 1), 10).size() == 18 * 385**2 == 2_668_050
    assert "2,668,050" in MobileNet.__doc__


def test_the_docstring_lists_every_decision_and_its_values():
    table = MobileNet.__doc__
    for hp in MobileNet((8, 8, 1), 10).hyperparameters().space:
        name = hp.name.replace("stage0", "stage{i}").replace("stage1", "stage{i}")
        row = next(line for line in table.splitlines() if f"`{name}`" in line)
        listed = [value.strip() for value in row.split("|")[2].split("(")[0].split(",")]
        assert {str(value) for value in hp.values} == set(listed), hp.name


def test_the_smallest_member_is_really_small():
    space = MobileNet((8, 8, 1), 10)
    values = {f"stage{i}/depth": 0 for i in range(2)} | {"stem/filters": 8, "stem/stride": 2}
    assert space.costs(values)["params"] < 250
    assert space.costs(values)["flash"] < 4096


def test_a_stage_of_depth_0_makes_its_decisions_inactive():
    reader = Decisions({"stage1/depth": 0})
    MobileNet((8, 8, 1), 10).describe(reader)
    assert {name for name in reader.values if name.startswith("stage1/")} == {"stage1/depth"}


def test_decisions_of_a_missing_stage_do_not_make_another_network():
    space = MobileNet((8, 8, 1), 10)
    values = {"stage1/depth": 0}
    assert space.identity(values) == space.identity({**values, "stage1/kernel": 5})


@pytest.mark.parametrize("shape", [(8, 8), (7, 8, 1), (28, 28, 1, 1)])
def test_what_is_no_image_of_8_pixels_is_refused(shape):
    with pytest.raises(ValueError, match=r"at least 8x8 pixels\. Received: input_shape="):
        MobileNet(shape, 10)


@pytest.mark.parametrize("shape", [(9, 31, 2), (64, 64, 3)])
def test_extreme_members_can_be_built_and_run(shape):
    space = MobileNet(shape, 3)
    for pick in (min, max):
        values = {hp.name: pick(hp.values) for hp in space.hyperparameters().space}
        if pick is max:
            values |= {f"stage{i}/depth": 1 for i in range(space.num_stages)}
        hp = space.hyperparameters()
        hp.values = values
        model = space.build(hp)
        assert model(np.zeros((1, *shape), "float32")).shape == (1, 3)
        keras.backend.clear_session()


@pytest.mark.parametrize(
    ("shape", "default", "last"),
    [
        ((8, 8, 1), (5_706, 209_904), (215_346 - 13_824, 1_621_632 - 55_296)),
        ((28, 28, 1), (11_858, 783_616), (559_090, 25_226_304)),
        ((32, 32, 3), (29_306, 1_199_744), (1_791_042 - 46_080, 36_427_136 - 184_320)),
        ((96, 96, 3), (31_226, 3_804_344), (1_793_922, 83_611_936)),
        (IMAGENET, (94_346, 22_299_544), (6_484_162, 530_846_496)),
    ],
)
def test_without_a_layout_networks_stay_what_benchmarks_were_run_with(shape, default, last):
    # But for what is subtracted: at 2x2 pixels the outer rings of kernels of 5 were of no use.
    space = MobileNet(shape, 10)
    largest = {hp.name: hp.values[-1] for hp in space.hyperparameters().space}
    for values, (params, macs) in ((space.default(), default), (largest, last)):
        network = space.network(values)
        assert (costs.params(network), costs.macs(network)) == (params, macs)


PUBLISHED = pytest.mark.parametrize(
    ("layout", "trainable", "size"),
    [
        # As torchvision 0.20 counts its mobilenet_v2, mobilenet_v3_small, mobilenet_v3_large
        # and mnasnet1_0, without the moving statistics.
        (MOBILENET_V2, 3_504_872, 18 * 385**7),
        (MOBILENET_V3_SMALL, 2_542_856, 228 * 577 * 769**2 * 513 * 385**3),
        (MOBILENET_V3_LARGE, 5_483_032, 228 * 577 * 769 * 577**2 * 385 * 513**2 * 385**2),
        (MNASNET_B1, 4_383_312, 18 * 577**7),
    ],
    ids=["v2", "v3 small", "v3 large", "mnasnet b1"],
)


@PUBLISHED
def test_the_default_of_a_published_layout_is_the_published_network(layout, trainable, size):
    space = MobileNet(IMAGENET, 1000, layout=layout)
    assert costs.trainable_params(space.network(space.default())) == trainable


@PUBLISHED
def test_size_with_a_published_layout(layout, trainable, size):
    assert MobileNet(IMAGENET, 1000, layout=layout).size() == size


def test_the_docstring_tells_sizes_with_layouts():
    assert "`18 * 385**7`" in MobileNet.__doc__
    assert "`228 * 577 * 769**2 * 513 * 385**3`" in MobileNet.__doc__
    assert "`1 + 64 * n * m`" in MobileNet.__doc__
    # Expansions 1, 3, 4.5 and 6; relu6, hard_silu and relu.
    stages = (Stage(8, expansion=4.5, activation="relu"),)
    assert MobileNet((16, 16, 1), 3, layout=Layout(stages)).size() == 18 * (1 + 64 * 4 * 3)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("layout", "application"),
    [
        (MOBILENET_V2, "MobileNetV2"),
        (MOBILENET_V3_SMALL, "MobileNetV3Small"),
        (MOBILENET_V3_LARGE, "MobileNetV3Large"),
    ],
)
def test_the_published_networks_cost_what_those_of_keras_cost(layout, application):
    space = MobileNet(IMAGENET, 1000, layout=layout)
    network = space.network(space.default())
    arguments = {"weights": None, "input_shape": IMAGENET}
    model = getattr(keras.applications, application)(**arguments)
    assert costs.params(network) == count_params(model)
    assert costs.macs(network) == count_macs(model)
    keras.backend.clear_session()


def test_without_the_dense_layer_of_the_head_features_stay_in_rows_and_columns():
    space = MobileNet((32, 32, 3), 10, layout=MOBILENET_V3_SMALL)
    ops = [record.op for record in space.network({"head/units": 0}).layers]
    assert ops.count("dense") == 1
    assert [record.op for record in space.network({}).layers].count("dense") == 2


def test_small_images_are_halved_less_and_late():
    published = [1, 2, 2, 2, 1, 2, 1]
    assert fitted_strides(224, published) == fitted_strides(64, published) == (2, published)
    assert fitted_strides(32, published) == (1, [1, 1, 2, 2, 1, 2, 1])
    assert fitted_strides(28, published) == (1, [1, 1, 1, 2, 1, 2, 1])
    assert fitted_strides(8, published) == (1, [1, 1, 1, 1, 1, 2, 1])


@pytest.mark.parametrize(
    "stage", [Stage(16, depth=5), Stage(16, kernel=7), Stage(16, stride=4), Stage(0)]
)
def test_a_stage_that_no_decision_leads_to_is_refused(stage):
    with pytest.raises(ValueError, match=r"Received: stage 1 of the layout = Stage\("):
        MobileNet((32, 32, 3), 10, layout=Layout((Stage(8), stage)))


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"stage0/depth": 99}, r"Received: 99 for `stage0/depth`\. It offers 0, 1, 2, 3, 4\."),
        ({"stage0/dpeth": 1}, r"Received: `stage0/dpeth`\. Did you mean 'stage0/depth'\?"),
    ],
)
def test_what_is_no_decision_is_refused(values, message):
    with pytest.raises(ValueError, match=message):
        MobileNet((32, 32, 3), 10).network(values)

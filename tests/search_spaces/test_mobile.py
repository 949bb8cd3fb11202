import keras
import numpy as np
import pytest

from search_spaces.decisions import Decisions
from search_spaces.mobile import MobileNet


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


@pytest.mark.parametrize("shape", [(8, 8, 1), (9, 31, 2), (64, 64, 3)])
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

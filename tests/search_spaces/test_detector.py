import pytest

from search_spaces import members
from search_spaces.detection import Detection
from search_spaces.detector import Detector
from search_spaces.efficientnet import EfficientNet
from search_spaces.mobile import Layout, MobileNet, Stage
from search_spaces.testing import SpaceContract
from search_spaces.unet import UNet


class TestDetectorContract(SpaceContract):
    smallest = (16, 16, 1)
    realised = 1

    def make(self, input_shape=(32, 35, 1)):
        return Detector(input_shape, 3, backbone=self.backbone(input_shape))

    def backbone(self, input_shape=(32, 35, 1)):
        return MobileNet(input_shape, 2, layout=Layout((Stage(8, 2), Stage(8, 2))))

    def test_the_docstring_lists_every_decision_and_its_values(self):
        # The backbone's are in its own docstring.
        declared = self.make().hyperparameters().space
        theirs = {hp.name for hp in self.backbone().hyperparameters().space}
        ours = {hp.name: list(hp.values) for hp in declared if hp.name not in theirs}
        rows = [line.split("|") for line in Detector.__doc__.splitlines() if "| `" in line]
        listed = {row[1].strip(" `"): row[2].strip().split(", ") for row in rows}
        assert {name: list(map(str, values)) for name, values in ours.items()} == listed


def test_size_is_96_times_that_of_the_backbone():
    backbone = MobileNet((32, 32, 3), 2)
    assert Detector((32, 32, 3), 2, backbone=backbone).size() == 96 * backbone.size()
    assert "96 times the size of the backbone" in Detector.__doc__


@pytest.mark.parametrize("backbone", [MobileNet, EfficientNet, UNet])
def test_the_grid_covers_the_image_whatever_the_backbone(backbone):
    shape = (33, 50, 3)
    space = Detector(shape, 2, backbone=backbone(shape, 4))
    for values, network, _ in members.draws(space, 20):
        stride = values["detector/stride"]
        assert network.output_shape == (-(-33 // stride), -(-50 // stride), 2 + 4)


def test_coarse_features_are_added_to_those_of_each_level_down_to_the_grid():
    space = Detector((64, 64, 3), 2)
    for stride, sides in ((4, [4, 8, 16]), (8, [4, 8])):
        layers = space.network({"stem/stride": 4, "detector/stride": stride}).layers
        path = [r.shape[0] for r in layers if r.op == "add" and r.shape[-1] == 32]
        assert path == sides


def test_features_that_are_finer_than_the_grid_are_pooled():
    space = Detector((16, 16, 1), 2)
    shallow = {"stem/stride": 1, "stage0/depth": 0, "stage1/depth": 0, "stage2/depth": 0}
    network = space.network({**shallow, "detector/stride": 8})
    pools = [dict(r.settings)["stride"] for r in network.layers if r.op == "max_pool"]
    assert pools == [8]


def test_the_backbone_is_a_mobile_network_unless_given():
    theirs = {hp.name for hp in MobileNet((16, 16, 1), 2).hyperparameters().space}
    names = {hp.name for hp in Detector((16, 16, 1), 2).hyperparameters().space}
    assert theirs == {name for name in names if not name.startswith("detector/")}


def test_classes_are_short_for_detection():
    assert Detector((16, 16, 1), 3).task == Detection(3)


def test_a_backbone_for_other_images_is_refused():
    with pytest.raises(ValueError, match=r"Detector .* Received: input_shape=\(16, 16, 1\)"):
        Detector((16, 16, 1), 3, backbone=MobileNet((32, 32, 1), 3))

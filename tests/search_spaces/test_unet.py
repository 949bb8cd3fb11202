import pytest

from search_spaces import costs, members
from search_spaces.darts import DARTSCells
from search_spaces.mobile import Layout, MobileNet, Stage
from search_spaces.nasbench201 import NASBench201Cells
from search_spaces.resnet import ResNet
from search_spaces.segmentation import Segmentation
from search_spaces.testing import SpaceContract
from search_spaces.unet import UNet, ronneberger


class TestUNetContract(SpaceContract):
    smallest = (8, 8, 1)
    realised = 1
    told = ("levels",)

    def make(self, input_shape=(16, 19, 1)):
        return UNet(input_shape, 3)


class TestUNetWithAnEncoderContract(SpaceContract):
    smallest = (8, 8, 1)
    realised = 1

    def make(self, input_shape=(16, 19, 1)):
        return UNet(input_shape, 3, encoder=self.encoder(input_shape))

    def encoder(self, input_shape=(16, 19, 1)):
        return MobileNet(input_shape, 2, layout=Layout((Stage(8, 1), Stage(8, 2))))

    def test_the_docstring_lists_every_decision_and_its_values(self):
        # The encoder's are in its own docstring.
        theirs = {hp.name for hp in self.encoder().hyperparameters().space}
        names = {hp.name for hp in self.make().hyperparameters().space}
        levels = {name.split("/")[0] for name in names - theirs}
        assert theirs < names
        assert levels == {"decoder0", "decoder1"}


def test_the_published_network_is_a_member():
    # Ronneberger et al. (2015), one channel and two classes: counted layer by layer.
    encoder = [(1, 64), (64, 64), (64, 128), (128, 128), (128, 256), (256, 256)]
    encoder += [(256, 512), (512, 512), (512, 1024), (1024, 1024)]
    decoder = [(c, c // 2) for c in (1024, 512, 256, 128)]
    expected = sum(9 * a * b + b for a, b in encoder)
    expected += sum(4 * a * b + b + 9 * a * b + b + 9 * b * b + b for a, b in decoder)
    expected += 64 * 2 + 2
    assert expected == 31_030_658
    network = UNet((572, 572, 1), 2, norm=False).network(ronneberger())
    assert costs.params(network) == expected
    # The usual figure has a 3x3 convolution to 2 channels and a 1x1 convolution to 1 instead.
    other_end = (9 * 64 * 2 + 2) + (2 * 1 + 1)
    assert expected - (64 * 2 + 2) + other_end == 31_031_685


def test_size_matches_the_docstring():
    assert UNet((8, 8, 1), 3).size() == 2_352
    assert UNet((64, 64, 1), 3).size() == 12 * sum(4**n * 49**n for n in (1, 2, 3, 4))
    assert "2,352" in UNet.__doc__
    assert "`12 * sum(4**n * 49**n)`" in UNet.__doc__


@pytest.mark.parametrize("shape", [(33, 20, 3), (8, 31, 1), (65, 64, 2)])
def test_the_answer_has_the_size_of_the_image_however_odd(shape):
    for space in (UNet(shape, 4), UNet(shape, 4, encoder=MobileNet(shape, 2))):
        for _, network, _ in members.draws(space, 20):
            assert network.output_shape == (*shape[:2], 4)


def test_features_of_the_encoder_are_joined_at_their_level():
    space = UNet((64, 64, 3), 2, encoder=MobileNet((64, 64, 3), 2))
    values = {f"decoder{i}/depth": 1 for i in range(space.levels)}
    network = space.network({**values, "stem/stride": 2})
    joined = [r.shape[:2] for r in network.layers if r.op == "concatenate"]
    assert joined == [(8, 8), (16, 16), (32, 32)]


@pytest.mark.parametrize("encoder", [ResNet, DARTSCells, NASBench201Cells])
def test_any_space_of_images_can_be_the_encoder(encoder):
    shape = (33, 20, 3)
    space = UNet(shape, 2, encoder=encoder(shape, 4))
    network = space.network(space.default())
    sizes = [record.shape[:2] for record in network.layers if record.op == "resize"]
    assert network.output_shape == (33, 20, 2)
    assert sizes[-2:] == [(17, 10), (33, 20)]


def test_a_decoder_without_levels_leaves_the_encoder_and_its_answer_enlarged():
    space = UNet((32, 32, 3), 2)
    network = space.network({f"decoder{i}/depth": 0 for i in range(space.levels)})
    ops = [record.op for record in network.layers]
    assert ops[-2:] == ["conv", "resize"]
    assert "concatenate" not in ops


def test_decisions_of_levels_that_a_member_lacks_make_no_difference():
    space = UNet((32, 32, 3), 2, encoder=MobileNet((32, 32, 3), 2))
    shallow = {"stem/stride": 1} | {f"stage{i}/depth": 0 for i in range(1, 4)}
    deep = {f"decoder{i}/depth": 2 for i in range(space.levels)}
    assert space.identity(shallow) == space.identity({**shallow, **deep})


def test_classes_are_short_for_segmentation():
    assert UNet((8, 8, 1), 3).task == Segmentation(3)
    assert UNet((8, 8, 1), task=Segmentation(3, ignore_class=255)).task.ignore_class == 255
    with pytest.raises(ValueError, match="either `num_classes` or `task`"):
        UNet((8, 8, 1), 3, task=Segmentation(3))

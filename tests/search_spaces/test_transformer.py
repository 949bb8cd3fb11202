import keras
import numpy as np
import pytest

from search_spaces import costs
from search_spaces.realise import realise
from search_spaces.task import NextToken
from search_spaces.testing import SpaceContract
from search_spaces.transformer import Transformer, vit_tiny

SMALL = {"depths": (1, 2), "widths": (16, 32)}
SHORTER = ("stage{i}/depth", "stage{i}/width")


class TestTransformerOfImages(SpaceContract):
    smallest = (8, 8, 1)
    described, realised = 10, 1
    told = ("patch", *SHORTER)

    def make(self, input_shape=(8, 8, 1)):
        return Transformer(input_shape, 3, **SMALL)


class TestTransformerOfSeries(SpaceContract):
    smallest = (4, 1)
    described, realised = 10, 1
    told = ("patch", *SHORTER)
    elsewhere = ("stem", "stage{i}/block", "stage{i}/kernel", "stage{i}/expansion")

    def make(self, input_shape=(12, 2)):
        return Transformer(input_shape, 3, **SMALL)


class TestLanguageModel(SpaceContract):
    smallest = (4,)
    described, realised = 10, 1
    told = SHORTER
    elsewhere = ("patch", *TestTransformerOfSeries.elsewhere)

    def make(self, input_shape=(12,)):
        return Transformer(input_shape, task=NextToken(10), **SMALL)


def test_the_docstring_lists_the_depths_and_widths_of_the_defaults():
    decisions = {
        hp.name: hp.values for hp in Transformer((8, 8, 1), 3).hyperparameters().space
    }
    assert decisions["stage0/depth"] == [1, 2, 3, 4]
    assert decisions["stage1/depth"] == [0, 1, 2, 3, 4]
    assert decisions["stage1/width"] == [16, 32, 48, 64, 96]
    for name in ("stage1/depth", "stage1/width"):
        listed = f"| {', '.join(map(str, decisions[name]))} "
        row = name.replace("1", "{i}")
        assert any(row in line and listed in line for line in Transformer.__doc__.splitlines())


def test_sizes_match_the_docstring():
    assert (
        Transformer((8, 8, 1), 3).size() == 12 * 2 * 3920 * 3921 == pytest.approx(3.7e8, 0.01)
    )
    assert Transformer((28, 28, 1), 3).size() == 12 * 3 * 3920 * 3921
    assert Transformer((29, 12), 9).size() == 69_120
    assert Transformer((64,), task=NextToken(20)).size() == 23_040
    for size in ("3,840", "23,040", "69,120", "3.7e8", "5.5e8"):
        assert size in Transformer.__doc__


def test_vit_tiny_has_its_published_parameters_but_for_the_class_token():
    space, values = vit_tiny()
    token, position, scale = 192, 192, 1
    assert costs.params(space.network(values)) == 5_717_416 - token - position + scale


@pytest.mark.parametrize(
    ("shape", "patches"),
    [
        ((8, 8, 1), [1, 2]),
        ((28, 28, 1), [2, 4, 8]),
        ((32, 32, 3), [2, 4, 8]),
        ((33, 20, 3), [2, 4, 8]),
        ((96, 96, 3), [8, 16, 32]),
        ((224, 224, 3), [16, 32, 64]),
        ((29, 12), [1, 2, 4]),
        ((784, 1), [8, 16, 32]),
        ((4, 1), [1]),
    ],
)
def test_patches_follow_the_input(shape, patches):
    assert Transformer(shape, 2).patches == patches


def test_patches_of_a_series_can_have_any_length():
    space = Transformer((24, 2), 3, patches=(3, 6))
    for side, length in [(3, 8), (6, 4)]:
        layers = space.network({"patch": side}).layers
        assert {record.shape[0] for record in layers if record.op == "attention"} == {length}


@pytest.mark.parametrize("shape", [(8, 8, 1), (9, 31, 2), (8, 300, 1), (96, 96, 3)])
@pytest.mark.parametrize("stages", [1, 2, 3])
def test_attention_always_has_positions_to_choose_from(shape, stages):
    space = Transformer(shape, 3, num_stages=stages)
    values = {"patch": space.patches[-1]}
    values |= {f"stage{i}/block": "attention" for i in range(stages)}
    lengths = [
        record.shape[0] for record in space.network(values).layers if record.op == "attention"
    ]
    assert len(lengths) == 2 * stages
    assert 4 <= lengths[-1] <= lengths[0]


def test_stages_of_both_kinds_are_mixed_in_any_order():
    space = Transformer((16, 16, 1), 3)
    kinds = ("convolution", "attention")
    found = {
        first + "-" + second: space.identity({"stage0/block": first, "stage1/block": second})
        for first in kinds
        for second in kinds
    }
    assert len(set(found.values())) == 4
    assert space.default()["stage0/block"] == "convolution"
    assert space.default()["stage1/block"] == "attention"


@pytest.mark.parametrize("position", ["none", "learned", "sinusoid", "convolution"])
def test_positions_tell_apart_what_attention_alone_does_not(position):
    space = Transformer((8,), 3, vocabulary=8, depths=(1,), widths=(16,))
    model = realise(space.network({"stage0/position": position}), seed=0)
    x = np.arange(8)[None]
    forth, back = np.asarray(model(x)), np.asarray(model(x[:, ::-1]))
    assert (np.abs(forth - back).max() > 1e-4) == (position != "none")
    keras.backend.clear_session()


@pytest.mark.parametrize("position", ["learned", "convolution"])
def test_a_language_model_never_reads_ahead(position):
    space = Transformer((12,), task=NextToken(11), depths=(2,), widths=(16,))
    model = realise(space.network({"stage0/position": position}), seed=0)
    x = np.arange(12)[None] % 11
    later = x.copy()
    later[0, 7:] = 3
    before, after = np.asarray(model(x)), np.asarray(model(later))
    np.testing.assert_allclose(before[0, :7], after[0, :7], atol=1e-5)
    assert np.abs(before[0, 7:] - after[0, 7:]).max() > 1e-3
    keras.backend.clear_session()


def test_every_head_has_the_same_channels():
    space = Transformer((12, 2), 3)
    network = space.network({"stage0/heads": 3, "stage0/head_width": 8})
    (settings,) = {record.settings for record in network.layers if record.op == "attention"}
    assert dict(settings) == {"heads": 3, "width": 8, "causal": False}


@pytest.mark.parametrize(
    ("shape", "options", "said"),
    [
        ((7, 9, 1), {}, r"at least 8x8 pixels\. Received: input_shape="),
        ((8, 8, 1), {"num_stages": 4}, r"at least 9x9 pixels\. Received: input_shape="),
        ((3, 2), {}, r"at least 4 steps\. Received"),
        ((12,), {}, r"how many different tokens .* Received: input_shape=\(12,\)"),
        ((8, 8, 1), {"vocabulary": 9}, "Only tokens"),
        ((8, 8, 1), {"causal": True}, "no order in time. Received"),
        ((12, 2), {"num_stages": 2}, "only images have several. Received"),
        ((8, 8, 1), {"num_stages": 0}, "at least one stage"),
        ((8, 8, 1), {"patches": (2, 4)}, r"At least 3 patches .*Received: patches=\(2, 4\)"),
        ((8, 8, 1), {"patches": ()}, r"one or more .*Received: patches=\(\)"),
        ((32, 32, 1), {"patches": (6,)}, r"of images powers of 2\. Received: patches=\(6,\)"),
        ((32, 32, 1), {"patches": (2, 2)}, r"different whole numbers.* Received"),
        ((12, 2), {"patches": (0,)}, r"whole numbers.*Received: patches=\(0,\)"),
        ((12,), {"vocabulary": 9, "rescaling": (2.0, 0.0)}, "Tokens cannot be rescaled"),
    ],
)
def test_what_does_not_go_together_is_refused(shape, options, said):
    with pytest.raises(ValueError, match=said):
        Transformer(shape, 2, **options)

import pytest

import search_spaces
from search_spaces import Classification, Detection, NextToken, Regression, Segmentation
from search_spaces.auto import family, space


@pytest.mark.parametrize(
    ("input_shape", "task", "options", "name"),
    [
        ((32, 32, 3), Classification(3), {}, "mobilenet"),
        ((32, 32, 3), Segmentation(3), {}, "unet"),
        ((32, 32, 3), Detection(3), {}, "detector"),
        ((49, 40, 1), Classification(10), {"layout": "audio"}, "dscnn"),
        ((29, 12), Classification(9), {}, "tcn"),
        ((29, 12), Regression(), {"layout": "series"}, "tcn"),
        ((30,), Classification(2), {}, "mlp"),
        ((64,), Classification(2), {"dtype": "int32"}, "transformer"),
        ((64,), NextToken(100), {"layout": "tokens"}, "transformer"),
    ],
)
def test_the_family_follows_from_input_and_task(input_shape, task, options, name):
    chosen = family(input_shape, task, **options)
    assert chosen.name == name
    assert str(input_shape[0]) in chosen.reason


@pytest.mark.parametrize("input_shape", [(30,), (29, 12), (32, 32, 3)])
def test_the_chosen_family_takes_the_input(input_shape):
    name = family(input_shape, Classification(3)).name
    space = getattr(search_spaces, search_spaces.SPACES[name])(input_shape, 3)
    assert space.network(space.default()).output_shape == (3,)


def test_what_no_family_takes_is_refused():
    with pytest.raises(ValueError, match=r"Received: input_shape=\(4, 8, 8, 3\)"):
        family((4, 8, 8, 3), Classification(3))


def test_the_docstring_lists_every_family_that_is_chosen():
    listed = {"unet", "detector", "mobilenet", "dscnn", "tcn", "transformer", "mlp"}
    assert all(f'`"{name}"`' in family.__doc__ for name in listed)
    assert listed <= search_spaces.SPACES.keys()


class Weighted(Segmentation):
    """A task of one's own."""


def test_a_subclass_of_a_task_is_for_the_same_family():
    assert family((32, 32, 3), Weighted(3)).name == "unet"


@pytest.mark.parametrize("task", [Segmentation(3), Weighted(3), Detection(3)])
@pytest.mark.parametrize(
    ("input_shape", "layout"), [((100, 6), None), ((30,), None), ((49, 40, 1), "audio")]
)
def test_only_images_have_places_to_answer_for(task, input_shape, layout):
    with pytest.raises(ValueError, match=r"Only images have places to answer for\. Received"):
        family(input_shape, task, layout=layout)


def test_images_have_no_next_token():
    with pytest.raises(ValueError, match=r"Received: input_shape=\(32, 32, 3\), .*NextToken"):
        family((32, 32, 3), NextToken(50))


# --- spaces that are made ---


def test_the_space_of_one_input_is_that_of_its_family():
    made = space((32, 32, 3), Classification(3), rescaling=(1 / 255, 0.0))
    assert isinstance(made.space, search_spaces.MobileNet)
    assert made.space.rescaling == (1 / 255, 0.0)
    assert made.reason == "mobilenet for images of 32x32x3"


def test_tokens_bring_their_vocabulary():
    made = space((16,), Classification(3), dtype="int32", vocabulary=50)
    assert made.space.vocabulary == 50


def test_several_inputs_are_fused_and_each_has_its_family():
    made = space(
        {"image": (16, 16, 1), "sound": (49, 40, 1), "text": (8,), "row": (4,)},
        Regression(2),
        layout={"sound": "audio"},
        dtype={"text": "int32"},
        vocabulary={"text": 30},
        rescaling={"image": (1 / 255, 0.0)},
    )
    assert {name: type(one).__name__ for name, one in made.space.spaces.items()} == {
        "image": "MobileNet",
        "row": "MLP",
        "sound": "DSCNN",
        "text": "Transformer",
    }
    assert made.space.spaces["image"].rescaling == (1 / 255, 0.0)
    assert made.space.spaces["row"].rescaling is None
    assert made.space.network({}).output_shape == (2,)
    assert "row: mlp for tables of 4 columns" in made.reason


@pytest.mark.parametrize("asked", ["recurrent", search_spaces.Recurrent])
def test_a_family_can_be_asked_for(asked):
    alone = space((20, 4), Classification(3), spaces=asked)
    fused = space({"a": (20, 4), "b": (5,)}, Classification(3), spaces={"a": asked})
    assert type(alone.space) is type(fused.space.spaces["a"]) is search_spaces.Recurrent
    assert type(fused.space.spaces["b"]) is search_spaces.MLP


def test_a_space_that_is_made_already_is_taken():
    mine = search_spaces.MLP((5,), 3)
    fused = space({"a": (20, 4), "b": (5,)}, Classification(3), spaces={"b": mine})
    assert fused.space.spaces["b"] is mine


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"spaces": "mobilnet"}, r"Received: 'mobilnet'\. Did you mean 'mobilenet'\?"),
        ({"layout": {"tabel": "table"}}, r"'tabel' in `layout`.* Did you mean 'table'\?"),
        ({"vocabulary": {"table": 9}}, r"takes no `vocabulary`.* Received: MLP"),
    ],
)
def test_what_an_input_cannot_have_is_refused(options, message):
    with pytest.raises(ValueError, match=message):
        space({"image": (16, 16, 1), "table": (4,)}, Classification(3), **options)


def test_recordings_among_several_inputs_are_refused():
    with pytest.raises(ValueError, match=r"'waveform'\. Alone they take `search_spaces.Wave"):
        space({"row": (4,), "sound": (800,)}, Classification(3), layout={"sound": "waveform"})


def test_what_makes_no_space_is_refused():
    with pytest.raises(TypeError, match=r"must be a `SearchSpace`\. Received: a dict"):
        space((4,), Classification(3), spaces=lambda input_shape, task: {})

import pytest

import search_spaces
from search_spaces import Classification, Detection, NextToken, Regression, Segmentation
from search_spaces.auto import family


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

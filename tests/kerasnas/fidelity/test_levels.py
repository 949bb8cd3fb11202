import hypothesis
import pytest
from hypothesis import strategies as st

from kerasnas.fidelity.levels import ladder

settings = hypothesis.settings(
    max_examples=100, deadline=None, derandomize=True, database=None
)


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ((27,), (3, 9, 27)),
        ((81, 1), (1, 3, 9, 27, 81)),
        ((100, 10), (11, 33, 100)),
        ((20,), (2, 7, 20)),
        ((5,), (1, 2, 5)),
        ((2,), (1, 2)),
        ((1,), (1,)),
        (([12, 200],), (12, 200)),
        (([27],), (27,)),
    ],
    ids=str,
)
def test_epochs_are_whole_and_a_factor_apart(arguments, expected):
    assert ladder(*arguments) == expected


def test_without_steps_epochs_go_down_to_one():
    assert ladder(81, steps=None) == (1, 3, 9, 27, 81)
    assert ladder(64, factor=4, steps=None) == (1, 4, 16, 64)
    assert ladder(200, steps=None) == (2, 7, 22, 67, 200)


def test_examples_are_a_factor_apart_and_sides_of_images_its_root():
    assert ladder(1.0, dimension="examples") == pytest.approx((1 / 9, 1 / 3, 1))
    assert ladder(1.0, dimension="resolution") == pytest.approx((1 / 3, 3**-0.5, 1))
    assert ladder(1.0, 0.5, factor=4, dimension="resolution") == (0.5, 1.0)
    assert ladder(1.0, 0.2, dimension="examples") == pytest.approx((1 / 3, 1))


@hypothesis.given(
    top=st.integers(1, 1000), lowest=st.integers(1, 1000), factor=st.floats(1.2, 10)
)
@settings
def test_any_ladder_rises_from_the_lowest_level_to_the_highest(top, lowest, factor):
    lowest = min(top, lowest)
    levels = ladder(top, lowest, factor=factor)
    assert levels[-1] == top
    assert levels[0] >= lowest
    assert list(levels) == sorted(set(levels))
    assert all(level.is_integer() for level in levels)
    # There would be a further one otherwise.
    assert levels[0] / factor < lowest + 0.5


@pytest.mark.parametrize(
    ("arguments", "options", "message"),
    [
        ((27,), {"factor": 1}, "factor=1"),
        ((0,), {}, r"\[0.0\]"),
        ((2.5,), {}, r"whole epochs, at least 1, .* \[2.5\]"),
        (([9, 3],), {}, r"\[9.0, 3.0\]"),
        (([3, 3],), {}, r"\[3.0, 3.0\]"),
        (([],), {}, r"\[\]"),
        ((27, 30), {}, "min_level=30, highest level 27"),
        ((27, 0), {}, "min_level=0"),
        (([3, 9], 1), {}, r"levels=\[3, 9\], min_level=1"),
        ((2.0,), {"dimension": "examples"}, r"shares of the examples, up to 1, .* \[2.0\]"),
    ],
)
def test_levels_that_make_no_sense_are_refused(arguments, options, message):
    with pytest.raises(ValueError, match=message):
        ladder(*arguments, **options)

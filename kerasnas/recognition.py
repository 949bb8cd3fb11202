"""Which task labels are for, where they say so beyond doubt.

Whole numbers may number classes or be quantities, as ratings and ages are. Where nothing tells
them apart, a `ValueError` asks for `task=` and says what the candidates are. What goes in
helps: of pictures, sounds and texts most whole numbers are classes, such as digits; series
and tables come with labels of either kind.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kerasnas import labels as forms

__all__ = ["Layout", "Shape", "recognise"]

Shape = tuple[int, ...] | Mapping[str, tuple[int, ...]]
Layout = str | Mapping[str, str]

_MANY = 20  # distinct numbers from which on they may be quantities beyond doubt
_FEW_EXAMPLES = 3  # of a class on average, below which numbers are hardly classes
_SMOOTH = 2.33  # standard errors, beyond which chance leads once in 100 times
_LIKE_RATINGS = 10  # even numbers from which on labels of columns may be ratings or hours
_WITH_QUANTITIES = ("series", "table")
_FEWEST_TO_RISE_AND_FALL = 4  # numbers, below which chance would do it too often
_TAIL = 0.05  # of the highest frequency, at which counts have run out
_MOST_IN_MASKS = 160  # classes; ADE20K, the richest common data set, has 151


def recognise(
    y: Any,
    *,
    x: Any = None,
    shape: Shape = (),
    layout: Layout,
    class_names: Sequence[str] | None = None,
    name: str = "training data",
) -> str:
    """Say which task labels are for.

    | labels                                      | task               |
    |---------------------------------------------|--------------------|
    | texts, truth values, 0 and 1                | `"classification"` |
    | whole numbers from 0, few missing, repeated | `"classification"` |
    | rows of 0 or more that sum to 1             | `"classification"` |
    | rows of 0 and 1                             | `"multilabel"`     |
    | fractions, or rows of fractions             | `"regression"`     |
    | floats, whole but many and mostly different | `"regression"`     |
    | whole numbers in the size of the image      | `"segmentation"`   |
    | boxes and their classes                     | `"detection"`      |
    | tokens, shifted by one; tokens alone        | `"next_token"`     |

    Whole numbers from 0 whose frequencies rise and fall gradually are counts as likely as
    classes, and are asked for; so are those that begin elsewhere or leave most numbers out,
    two numbers other than 0 and 1, and, of series and tables, ten or more numbers that are
    about equally frequent, as ratings and hours are.

    Args:
        y: All labels, as `kerasnas.labels.read` takes them; `None` if there are none.
        x: The examples, of which only tokens are looked at.
        shape: Of one example; of several inputs, by name.
        layout: What its axes are; of several inputs, by name.
        class_names: Names of the classes; with them whole numbers are classes.
        name: What the data set is called in messages.

    Returns:
        A name in `kerasnas.tasks.NAMES`.

    Raises:
        ValueError: If the labels leave the task open, or serve none.
    """
    if y is None:
        if layout in ("tokens", "text"):
            return "next_token"
        raise ValueError(
            f"The {name} must hold an example and its label each. Received: no labels, with "
            f"layout={layout!r}. Only texts and tokens go without: each token is the label of "
            "those before it."
        )
    y = forms.read(y, name)
    if isinstance(y, forms.Objects):
        return "detection"
    if y.ndim == 1:
        if y.dtype.kind == "U":
            return _of_texts(y, name)
        return _of_numbers(y, layout, class_names, name)
    if y.ndim == 2 and y.dtype.kind != "U":
        if layout == "tokens" and x is not None and y.shape == np.shape(x):
            return _of_tokens(y, np.asarray(x), name)
        return _of_rows(y, name)
    if y.ndim > 2 and layout == "images" and isinstance(shape, tuple):
        if y.ndim == 3 and y.shape[2] == 5 and y.shape[1:] != shape[:2]:
            return "detection"
        return _of_maps(y, x, shape, name)
    raise ValueError(
        f"No task takes such labels. Received: {y.dtype.name} labels of shape {y.shape} with "
        f"layout={layout!r} in the {name}. Labels are one class, number or row an example; of "
        "images also masks and boxes; of tokens the tokens, shifted by one."
    )


def _of_texts(y: NDArray[Any], name: str) -> str:
    different = np.unique(y)
    try:
        fractions = [text for text in different if not float(text).is_integer()]
    except (ValueError, OverflowError):
        fractions = []
    if fractions:
        raise ValueError(
            f"Labels that are numbers must not be texts. Received: {str(fractions[0])!r} in "
            f"the {name}. Convert them: y.astype(float)."
        )
    if 2 * len(different) > len(y) and len(different) > 2:
        raise ValueError(
            "Texts as labels name classes of several examples each. Received: "
            f"{len(different)} different texts for {len(y)} examples in the {name}. Text is "
            "no answer that a task here gives; name fewer classes."
        )
    return "classification"


def _of_numbers(
    y: NDArray[Any], layout: Layout, names: Sequence[str] | None, name: str
) -> str:
    if y.dtype.kind == "b":
        return "classification"
    if not forms.is_whole(y):
        return "regression"
    values, counts = np.unique(y, return_counts=True)
    if names is not None or (0 <= values[0] and len(values) == 1):  # one is refused later
        return "classification"
    if y.dtype.kind == "f" and not 0 <= values[0] <= 1 and _mostly_different(counts):
        return "regression"
    if values[0] < 0:
        forms.classes(y, None, name)  # refuses them
    if _number_classes(values, counts) and not _like_ratings(counts, layout):
        return "classification"
    if values[-1] >= max(1000, len(y)) and 2 * len(values) <= len(y):
        raise forms.wildly_numbered(values, 'or pass task="regression" if they are quantities')
    numbered = 'task="classification" if they number classes'
    if len(values) <= values[-1] - values[0]:  # some are left out
        numbered += ", and count these: np.unique(y, return_inverse=True)[1]"
    elif values[0]:
        numbered += f", and count them from 0: y - {values[0]:.0f}"
    raise _open(
        f"whole numbers from {values[0]:.0f} to {values[-1]:.0f}, {len(values)} of them "
        f"different, for {len(y)} examples",
        name,
        numbered,
        'task="regression" if they are quantities, such as counts, ratings or ages',
    )


def _mostly_different(counts: NDArray[np.int64]) -> bool:
    """Whether numbers cannot be classes: these need several examples each."""
    return len(counts) > _MANY and 4 * int((counts == 1).sum()) > len(counts)


def _number_classes(values: NDArray[Any], counts: NDArray[np.int64]) -> bool:
    """Whether whole numbers, with so many examples each, are sure to number classes."""
    if values[0] != 0 or 2 * len(values) <= values[-1]:
        return False
    if len(values) == 2:
        return bool(values[1] == 1)
    enough = counts.sum() >= _FEW_EXAMPLES * len(counts)
    even = counts.min() >= 2 and counts.max() <= 2 * counts.min()
    return bool(even or (enough and not _rise_and_fall(values, counts)))


def _like_ratings(counts: NDArray[np.int64], layout: Layout) -> bool:
    """Whether numbers are as even as quantities in a range, where these are usual labels."""
    layouts = layout.values() if isinstance(layout, Mapping) else [layout]
    if len(counts) < _LIKE_RATINGS or not set(layouts) <= set(_WITH_QUANTITIES):
        return False
    free = len(counts) - 1  # of the chi-squared statistic of equal frequencies
    statistic = float(((counts - counts.mean()) ** 2).sum() / counts.mean())
    by_chance = statistic <= free + _SMOOTH * math.sqrt(2 * free)
    return bool(by_chance or counts.max() <= 2 * counts.min())


def _rise_and_fall(values: NDArray[Any], counts: NDArray[np.int64]) -> bool:
    """Whether frequencies change gradually from number to number, as those of counts do.

    Numbers of classes have no order, so neighbours' frequencies differ as much as any two.
    Either they rise to one peak and fall until hardly any are left, or they are smooth by the
    ratio of squared successive differences to the sum of squares, 2 on average for numbers
    without order (von Neumann, "Distribution of the ratio of the mean square successive
    difference to the variance", 1941).
    """
    size = int(values[-1]) + 1
    if size < _FEWEST_TO_RISE_AND_FALL:
        return False
    frequencies = np.zeros(size)
    frequencies[values.astype(np.int64)] = counts
    slopes, peak = np.diff(frequencies), int(frequencies.argmax())
    one_peak = bool((slopes[:peak] >= 0).all() and (slopes[peak:] <= 0).all())
    if one_peak and frequencies[-1] <= _TAIL * frequencies[peak]:
        return True
    spread = float(((frequencies - frequencies.mean()) ** 2).sum())
    if not spread:
        return False
    ratio = float((slopes**2).sum()) / spread
    return ratio < 2 - _SMOOTH * math.sqrt(4 * (size - 2) / (size**2 - 1))


def _of_tokens(y: NDArray[Any], x: NDArray[Any], name: str) -> str:
    if (y[:, :-1] == x[:, 1:]).all():
        return "next_token"
    if not forms.is_whole(y) or ((y == 0) | (y == 1)).all():  # as many columns by chance
        return _of_rows(y, name)
    raise ValueError(
        "A label a token serves only next-token prediction, where labels are the tokens, "
        f"shifted by one. Received: labels of shape {y.shape} that are not in the {name}. "
        "Pass (tokens[:, :-1], tokens[:, 1:]), or one label an example."
    )


def _of_rows(y: NDArray[Any], name: str) -> str:
    sums = y.sum(axis=1)
    if ((y == 0) | (y == 1)).all():
        if (sums == 1).all():
            return "classification"
        if (sums <= 1).all():
            raise _open(
                f"rows of which {int((sums == 0).sum())} of {len(y)} hold only 0, and the "
                "others one 1",
                name,
                'task="multilabel" if an example may be of no class',
                "leave the rows of 0 out if these are not labelled",
            )
        return "multilabel"
    if (y >= 0).all() and (np.abs(sums - 1) <= 1e-3).all():
        return "classification"
    if y.dtype.kind == "f":
        return "regression"
    raise _open(
        f"rows of {y.shape[1]} whole numbers, such as {y[0].tolist()!s:.60}",
        name,
        'task="regression" if they are quantities',
        "0 and 1, one column a class, if they are classes",
    )


def _of_maps(y: NDArray[Any], x: Any, shape: tuple[int, ...], name: str) -> str:
    mask = forms.masks(y, shape, name)
    values = forms.present(mask)
    known = values[values != forms.IGNORED] if forms.ignores(values) else values
    if len(known) == 1 and known[0] == 0 and len(values) == 2:
        raise ValueError(
            "Classes in masks are numbered from 0. Received: 0 and "
            f"{values[1]} in the {name}. Write 1 for the object, as in y // {values[1]}."
        )
    like_classes = len(values) <= _MOST_IN_MASKS and 2 * len(known) > known[-1]
    same = x is not None and np.array_equal(np.squeeze(np.asarray(x)), np.squeeze(y))
    if same or not like_classes:
        raise _open(
            f"whole numbers from {values[0]} to {values[-1]} a pixel, {len(values)} of them "
            f"different{', those of the images themselves' * same}",
            name,
            'task="segmentation" if they number classes',
            "another label if they are an image: no task here returns images",
        )
    return "segmentation"


def _open(received: str, name: str, *candidates: str) -> ValueError:
    return ValueError(
        f"The labels leave the task open. Received: {received}, in the {name}. Pass "
        f"{', or '.join(candidates)}."
    )

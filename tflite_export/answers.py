"""What the numbers mean that a file returns, by the task that its network was trained for."""

from __future__ import annotations

import difflib
from typing import NamedTuple

__all__ = ["TASKS", "Answer", "answer_of", "outputs_labelled"]


class Answer(NamedTuple):
    """What a file returns for a task.

    Attributes:
        sentence: What comes out, for people.
        program: Source of a function `show(y)`, which prints what the output `y` of one
            example says. It may use NumPy as `np`, `named(index)`, the name of a class, and
            `PIXELS`, height and width of the image that was put in.
        unlabelled: Channels of the output behind those that labels are for.
    """

    sentence: str
    program: str
    unlabelled: int = 0


def answer_of(task: str) -> Answer:
    """What a file returns for a task.

    Args:
        task: A name in `TASKS`.

    Raises:
        ValueError: If there is no such task; the nearest is named.
    """
    if task not in TASKS:
        near = difflib.get_close_matches(str(task), TASKS, n=1, cutoff=0.0)
        raise ValueError(
            f"task must be one of {', '.join(map(repr, TASKS))}. Received: task={task!r}. Did "
            f"you mean {near[0]!r}?"
        )
    return TASKS[task]


def outputs_labelled(channels: int, task: str | None) -> int:
    """How many of a file's output channels have a label.

    Args:
        channels: Size of the output's last axis.
        task: As in `answer_of`; `None` if it is not known.
    """
    return channels - (0 if task is None else answer_of(task).unlabelled)


_CLASSIFICATION = '''
def show(y):
    """The likeliest classes, each with the model's score, the likeliest first."""
    for index in np.argsort(-y)[:3]:
        print(f"{named(index)}\\t{y[index]:.4g}")
'''

_MULTILABEL = '''
def show(y):
    """The labels that apply, each with its probability, the likeliest first."""
    found = [index for index in np.argsort(-y) if y[index] > 0]
    for index in found:
        print(f"{named(index)}\\t{1 / (1 + np.exp(-y[index])):.4g}")
    if not found:
        print("no label")
'''

_REGRESSION = '''
def show(y):
    """Each quantity, in the unit of the data that the model learned from."""
    for index, value in enumerate(np.ravel(y)):
        print(f"{named(index)}\\t{value:.6g}")
'''

_SEGMENTATION = '''
def show(y):
    """The classes in the picture, each with its share of the pixels."""
    classes = y.argmax(axis=-1)  # the class of each pixel, (height, width)
    for index, count in zip(*np.unique(classes, return_counts=True)):
        print(f"{named(index)}\\t{count / classes.size:.2%}")
'''

_DETECTION = '''
THRESHOLD = 0.3  # lowest score of a box
OVERLAP = 0.5  # intersection over union from which on two boxes are of one object


def boxes(y):
    """Score, class and box of each object; boxes are fractions: top, left, bottom, right."""
    rows, columns, channels = y.shape
    heat, numbers = y[..., : channels - 4], y[..., channels - 4 :]
    edge = np.pad(heat, ((1, 1), (1, 1), (0, 0)), constant_values=-np.inf)
    around = [edge[i : i + rows, j : j + columns] for i in range(3) for j in range(3)]
    cells = np.argwhere(heat >= np.max(around, axis=0))  # the highest around are centres
    scores = 1 / (1 + np.exp(-np.clip(heat[tuple(cells.T)], -60, 60)))
    height, width = PIXELS
    sides = [2**power for power in range(8)]  # of a cell, in pixels
    stride = next(s for s in sides if (-(-height // s), -(-width // s)) == (rows, columns))
    scale = stride / np.array([height, width])
    found = []
    for place in np.argsort(-scores):
        row, column, index = cells[place]
        if scores[place] < THRESHOLD:
            break
        half = np.exp2(numbers[row, column, :2]) / 2 * scale
        centre = ([row, column] + np.clip(numbers[row, column, 2:], 0, 1)) * scale
        box = np.clip(np.concatenate([centre - half, centre + half]), 0, 1)
        if all(index != other or iou(box, kept) < OVERLAP for _, other, kept in found):
            found.append((scores[place], index, box))
    return found


def iou(a, b):
    """Intersection over union of two boxes."""
    common = np.prod(np.maximum(np.minimum(a[2:], b[2:]) - np.maximum(a[:2], b[:2]), 0))
    return common / (np.prod(a[2:] - a[:2]) + np.prod(b[2:] - b[:2]) - common)


def show(y):
    """The objects, each with its score and its box."""
    found = boxes(y)
    for score, index, box in found:
        print(f"{named(index)}\\t{score:.4g}\\t" + " ".join(f"{side:.3f}" for side in box))
    if not found:
        print("no object")
'''

_NEXT_TOKEN = '''
def show(y):
    """The likeliest tokens to come after the last one, each with its probability."""
    scores = y[-1] - y[-1].max()  # those of the last place; each place has its own
    shares = np.exp(scores) / np.exp(scores).sum()
    for index in np.argsort(-shares)[:3]:
        print(f"{named(index)}\\t{shares[index]:.4g}")
'''

TASKS = {
    "classification": Answer(
        "One score for each class; the largest is the answer.", _CLASSIFICATION
    ),
    "multilabel": Answer(
        "One logit for each label, which applies where it is above 0; any number may apply.",
        _MULTILABEL,
    ),
    "regression": Answer(
        "One number for each quantity, in the unit of the data that the model learned from.",
        _REGRESSION,
    ),
    "segmentation": Answer(
        "One score for each class at each pixel; the largest there is the pixel's class.",
        _SEGMENTATION,
    ),
    "detection": Answer(
        "For each cell of a grid over the image, in this order: a logit for each class, of "
        "whether the centre of such an object is in the cell; height and width of that "
        "object, as binary logarithms of so many cells; how far down and right in the cell "
        "the centre is, from 0 to 1.",
        _DETECTION,
        unlabelled=4,
    ),
    "next_token": Answer(
        "One score for each token of the vocabulary at each place of the sequence; the "
        "largest is the likeliest to come next.",
        _NEXT_TOKEN,
    ),
}
"""The tasks that files are described for; scores are logits, as networks of a search have."""

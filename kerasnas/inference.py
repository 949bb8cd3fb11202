"""From labels to a task with all its numbers, and to targets in its form."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from kerasnas import labels as forms
from kerasnas.labels import name_classes
from kerasnas.recognition import Layout, Shape, recognise
from kerasnas.tasks import NAMES, check_task
from search_spaces.detection import Detection
from search_spaces.segmentation import Segmentation
from search_spaces.targets import class_numbers
from search_spaces.task import Classification, MultiLabel, NextToken, Regression, Task

__all__ = ["Problem", "fitted", "infer", "name_classes", "recognise", "targets_of"]

_ONE_INPUT = ("segmentation", "detection", "next_token")


class Problem(NamedTuple):
    """A task and its targets.

    Attributes:
        task: With all its numbers filled in.
        targets: The labels in the form in which data sets store them, see
            `kerasnas.labels`.
        class_names: Name of each class, if known.
    """

    task: Task
    targets: NDArray[Any]
    class_names: list[str] | None


def infer(
    y: Any,
    *,
    x: Any = None,
    shape: Shape,
    layout: Layout,
    task: str | Task | None = None,
    class_names: Sequence[str] | None = None,
    vocabulary_size: int | None = None,
    name: str = "training data",
) -> Problem:
    """Find the task of a training part, with all its numbers, and the targets.

    Args:
        y: All labels, as `kerasnas.labels.read` takes them; `None` if there are none.
        x: The examples, needed where they are tokens.
        shape: Of one example; of several inputs, by name.
        layout: What its axes are; of several inputs, by name.
        task: `None` goes by the labels; a name in `kerasnas.tasks.NAMES` settles what they
            leave open; a `Task` is held against them. The numbers of a `Task` count, but that
            a `Regression` of scale 1 and offset 0 takes both from these targets (see
            `fitted`), and a `Detection` the size of the image from `shape`. By name
            `"classification"` has a class for each number from 0 to the largest, also for
            those that no label has; more than half of them must be there.
        class_names: Names of the classes. Texts are numbered in their order, by default
            the alphabetic one.
        vocabulary_size: Number of tokens, for the next of them; by default as many as the
            largest says.
        name: What the data set is called in messages.

    Raises:
        TypeError: If labels are neither numbers nor texts, or `task` is no task.
        ValueError: If the labels leave the task open or do not fit it.
    """
    names = None if class_names is None else [str(one) for one in class_names]
    if task is None:
        kind = recognise(y, x=x, shape=shape, layout=layout, class_names=names, name=name)
    else:
        kind = _kind(task)
    _check_inputs(kind, layout, name)
    raw = None if y is None else forms.read(y, name)
    if names is None:
        names = _text_names(raw)
    stored = _stored(kind, raw, x, shape, names, name)
    given = task if isinstance(task, Task) else None
    made = given or _made(kind, stored, names, x, vocabulary_size, name)
    made = _filled(made, stored, shape, name)
    _check_names(made, names)
    made.check(stored, shape)
    return Problem(made, stored, names)


def fitted(
    task: Task,
    given: str | Task | None,
    targets: NDArray[Any],
    name: str = "training data",
) -> Task:
    """Take the scale and offset of a regression from targets: their deviation and mean.

    `infer` takes them from all targets that it sees. Where a validation part is held out of
    these, call this with the rest, so that training knows nothing of the part.

    Args:
        task: As `infer` returned it; others than a `Regression` stay as they are.
        given: What `infer` was given as `task`; the scale and offset of a `Regression` that
            has its own stay.
        targets: Those of the training part, `(n, units)`.
        name: What the data set is called in messages.

    Raises:
        ValueError: If a quantity does not vary.
    """
    if not isinstance(task, Regression) or _has_scale(given):
        return task
    exact = targets.astype(np.float64)
    offset, scale = exact.mean(axis=0), exact.std(axis=0)
    constant = scale <= 1e-6 * np.abs(offset)
    if constant.any():
        column = int(np.argmax(constant))
        raise ValueError(
            f"Quantities must vary. Received: {targets[0, column]} for all examples in column "
            f"{column} of the labels of the {name}. Leave it out, or check the labels."
        )
    if len(scale) == 1:
        return dataclasses.replace(task, scale=float(scale[0]), offset=float(offset[0]))
    return dataclasses.replace(
        task, scale=tuple(scale.tolist()), offset=tuple(offset.tolist())
    )


def targets_of(
    task: Task,
    y: Any,
    *,
    x: Any = None,
    shape: Shape,
    layout: Layout,
    class_names: Sequence[str] | None = None,
    train: NDArray[Any] | None = None,
    name: str = "validation data",
) -> NDArray[Any]:
    """Bring the labels of a further part into the form of the training part's.

    Args:
        task: As `infer` returned it.
        y: All labels of the part.
        x: Its examples, needed where they are tokens.
        shape: As in `infer`.
        layout: As in `infer`.
        class_names: As `infer` returned them.
        train: Targets of the training part. With them, classes that are not there are
            refused.
        name: What the part is called in messages.

    Raises:
        ValueError: If the labels do not fit the task, or have another form than in training.
    """
    kind = _kind(task)
    raw = None if y is None else forms.read(y, name)
    if kind == "classification" and train is not None and isinstance(raw, np.ndarray):
        _check_known_classes(raw, train, class_names)
    stored = _stored(kind, raw, x, shape, class_names, name)
    task.check(stored, shape)
    return stored


def _kind(task: str | Task) -> str:
    """The name of a task, "" if it is of none of the known classes."""
    check_task(task)
    if isinstance(task, str):
        return task
    return next((name for name, kind in NAMES.items() if isinstance(task, kind)), "")


def _check_inputs(kind: str, layout: Layout, name: str) -> None:
    if kind in _ONE_INPUT and isinstance(layout, Mapping):
        raise ValueError(
            "Several inputs serve classification, multi-label classification and regression. "
            f'Received: task="{kind}" with the inputs {sorted(layout)} in the {name}. Pass '
            "one input alone."
        )
    wanted = {"segmentation": "images", "detection": "images", "next_token": "tokens"}
    if kind in wanted and layout != wanted[kind]:
        raise ValueError(
            f'The task "{kind}" is one of {wanted[kind]}. Received: layout={layout!r} in the '
            f"{name}. Pass such examples, or another `task`."
        )


def _text_names(raw: NDArray[Any] | forms.Objects | None) -> list[str] | None:
    """Names of the classes, alphabetically, where labels are texts."""
    if isinstance(raw, forms.Objects):
        texts = [one for one in raw.classes if one.dtype.kind == "U"]
        return np.unique(np.concatenate(texts)).tolist() if texts else None
    if raw is None or raw.dtype.kind != "U":
        return None
    names: list[str] = np.unique(raw).tolist()
    return names


def _stored(
    kind: str,
    raw: NDArray[Any] | forms.Objects | None,
    x: Any,
    shape: Shape,
    names: Sequence[str] | None,
    name: str,
) -> NDArray[Any]:
    if kind == "next_token":
        return forms.next_tokens(raw, x, name)
    if raw is None:
        raise ValueError(
            f"The {name} must hold an example and its label each. Received: no labels, with "
            f'task="{kind}". Pass (x, y).'
        )
    if kind == "classification":
        return forms.classes(raw, names, name)
    if kind == "multilabel":
        return forms.several_labels(raw, name)
    if kind == "regression":
        return forms.quantities(raw, name)
    if kind == "segmentation":
        assert isinstance(shape, tuple)  # of one input, as has been checked
        return forms.masks(raw, shape, name)
    if kind == "detection":
        return forms.objects(raw, names, name)
    if isinstance(raw, forms.Objects):
        return forms.objects(raw, names, name)
    return raw


def _made(
    kind: str,
    stored: NDArray[Any],
    names: list[str] | None,
    x: Any,
    vocabulary_size: int | None,
    name: str,
) -> Task:
    """The task of this kind that fits the targets."""
    if kind == "classification":
        return Classification(_count_classes(stored, names), one_hot=stored.ndim == 2)
    if kind == "multilabel":
        return MultiLabel(stored.shape[1])
    if kind == "regression":
        return Regression(stored.shape[1])
    if kind == "segmentation":
        values = forms.present(stored)
        ignored = forms.IGNORED if forms.ignores(values) else None
        known = values[values != ignored]
        count = int(known[-1]) + 1 if len(known) else 0
        return Segmentation(max(count, len(names or ())), ignore_class=ignored)
    if kind == "detection":
        count = int(stored[..., 4].max()) + 1
        if not count:
            raise ValueError(
                f"Detection needs objects. Received: no box in the {name}. Check the labels."
            )
        return Detection(max(count, len(names or ())))
    if vocabulary_size is None:
        vocabulary_size = 1 + int(max(stored.max(), stored.max() if x is None else np.max(x)))
    return NextToken(vocabulary_size)


def _filled(task: Task, stored: NDArray[Any], shape: Shape, name: str) -> Task:
    """The task with what the targets and the examples say."""
    if isinstance(task, Detection) and task.image_shape is None:
        assert isinstance(shape, tuple)  # of one input, as has been checked
        return dataclasses.replace(task, image_shape=shape)
    if _has_scale(task):
        return task
    return fitted(task, None, stored, name)


def _has_scale(task: Any) -> bool:
    return isinstance(task, Regression) and (task.scale, task.offset) != (1.0, 0.0)


def _count_classes(y: NDArray[Any], names: list[str] | None) -> int:
    """Return the number of classes, those without an example included."""
    present = np.unique(class_numbers(y))
    if len(present) < 2:
        raise ValueError(
            "Classification needs two classes or more. Received: training data that holds "
            f"only {name_classes(present, names)}. Check labels and filters."
        )
    count = y.shape[1] if y.ndim == 2 else int(present[-1]) + 1
    if names is not None and (count > len(names) or (y.ndim == 2 and count < len(names))):
        raise _unnamed(len(names), f"training labels for {count} classes")
    sparse = names is None and y.ndim == 1 and 2 * len(present) <= present[-1]
    if sparse or count > max(1000, len(y)):
        raise forms.wildly_numbered(
            present, f"or pass task=Classification({count}) if these are so many"
        )
    return count if names is None else len(names)


def _check_names(task: Task, names: list[str] | None) -> None:
    count = getattr(task, "num_classes", None)
    if names is not None and count is not None and count != len(names):
        raise _unnamed(len(names), f"labels or a task of {count} classes")


def _unnamed(names: int, received: str) -> ValueError:
    return ValueError(
        f"Labels and class names must match. Received: {names} class names, and {received}. "
        "Name every class, in the labels' order."
    )


def _check_known_classes(
    raw: NDArray[Any], train: NDArray[Any], names: Sequence[str] | None
) -> None:
    """Refuse classes that are new, and another form of labels than in training."""
    if raw.dtype.kind == "U" and raw.ndim == 1:
        known = [names[one] for one in np.unique(class_numbers(train))] if names else []
        new = np.setdiff1d(raw, np.asarray(known, np.str_))
        listed = ", ".join(repr(str(one)) for one in new[:5])
        shown = f"class{'es' * (len(new) > 1)} {listed}"
    elif raw.shape[1:] != train.shape[1:]:
        raise ValueError(
            "Training and validation labels must have one form. Received: training labels of "
            f"shape {train.shape} and validation labels of shape {raw.shape}. Pass whole "
            "numbers in both, or one-hot labels with the same columns."
        )
    elif raw.ndim == 1 and not forms.is_whole(raw):
        return  # refused for what they are
    else:
        new = np.setdiff1d(class_numbers(raw), class_numbers(train))
        shown = name_classes(new, names)
    if len(new):
        raise ValueError(
            "Every validation class must be in the training data. Received: validation data "
            f"with {shown}, which training data lacks. "
            "Split the data again, or leave the class out."
        )

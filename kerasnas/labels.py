"""Labels in the form in which data sets store them: one form a task, whatever they came as."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from search_spaces.boxes import check_boxes

__all__ = [
    "IGNORED",
    "Objects",
    "classes",
    "ignores",
    "is_whole",
    "masks",
    "name_classes",
    "next_tokens",
    "objects",
    "present",
    "quantities",
    "read",
    "several_labels",
    "wildly_numbered",
]

IGNORED = 255
"""The label of pixels that do not count, as PNG masks have it (PASCAL VOC, Cityscapes)."""

_BOXES = ("boxes", "bbox")
_CLASSES = ("labels", "classes", "label")
_SAMPLE = 100_000  # values looked at to see that there are fractions


class Objects(NamedTuple):
    """Boxes of each image and their classes, of as many objects as there are.

    Attributes:
        boxes: `(objects, 4)` for each image.
        classes: `(objects,)` for each image, numbers or texts.
    """

    boxes: list[NDArray[Any]]
    classes: list[NDArray[Any]]


def read(y: Any, name: str) -> NDArray[Any] | Objects:
    """Read labels of any form as one array of truth values, numbers or texts, or as boxes.

    Args:
        y: An array, or a list that makes one; or boxes: `{"boxes": ..., "labels": ...}`, also
            spelt `bbox`, `classes` and `label`, each a padded array or a list of arrays, or
            these under `"objects"`, or a list of such dictionaries, one an image.
        name: What the data set is called in messages.

    Returns:
        An array; of shape `(n,)` if it came as `(n, 1)`. Or boxes.

    Raises:
        TypeError: If labels are neither numbers nor texts.
        ValueError: If there are none, they have several forms, or some are missing.
    """
    y = y.to_list() if hasattr(y, "to_list") else y
    if _of_dictionaries(y):
        return _objects(y, name)
    try:
        array = np.asarray(y)
    except ValueError as error:  # nested lists that do not make a block
        raise ValueError(
            "All labels must have one form. Received: lists of several lengths in the "
            f"{name}. Write several classes an example as 0 and 1, one column a class, and "
            "boxes as {'boxes': ..., 'labels': ...}."
        ) from error
    if array.ndim == 0 or not len(array):
        raise ValueError(
            f"The {name} must not be empty. Received: no label. "
            "Check the path, the filter or the split it comes from."
        )
    if array.dtype.kind == "O" or (array.dtype.kind in "US" and isinstance(y, list | tuple)):
        array = _of_one_kind(np.asarray(y, object), name)
    if array.dtype.kind == "S":
        array = np.char.decode(array, "utf-8")
    if array.dtype.kind not in "biufU":
        raise TypeError(
            f"Labels must be numbers or texts. Received: {array.dtype.name} in the {name}. "
            "Convert them, e.g. dates to days."
        )
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        raise ValueError(
            f"Labels must be finite. Received: NaN or infinity in the {name}. "
            "Leave unlabelled examples out."
        )
    if array.dtype.kind == "U" and (array == "").any():
        raise ValueError(
            f"Labels must not be empty. Received: an empty text in the {name}. "
            "Leave unlabelled examples out."
        )
    return array[:, 0] if array.ndim == 2 and array.shape[1] == 1 else array


def is_whole(y: NDArray[Any]) -> bool:
    """Whether all numbers are whole."""
    if y.dtype.kind != "f":
        return y.dtype.kind in "biu"
    few = y.reshape(-1)[:_SAMPLE]  # fractions mostly show early
    return bool((few == np.rint(few)).all() and (y == np.rint(y)).all())


def classes(y: NDArray[Any] | Objects, names: Sequence[str] | None, name: str) -> NDArray[Any]:
    """One class an example: whole numbers from 0, or a row of probabilities.

    Args:
        y: Class numbers, texts or truth values `(n,)`, or probabilities `(n, classes)`.
        names: Names of the classes, by which texts become numbers.
        name: What the data set is called in messages.

    Returns:
        `(n,)`, int64, or `(n, classes)`, float32.

    Raises:
        ValueError: If these are no classes; if a text is none of the names.
    """
    if isinstance(y, Objects) or y.ndim > 2:
        raise _unfit("Classification", "one class an example", y, name)
    if y.dtype.kind == "U" and y.ndim == 1:
        return _numbered(y, names or [], name)
    if y.dtype.kind == "U":
        raise _unfit("Classification", "one class an example", y, name)
    if y.ndim == 2:
        wrong = (y < 0).any(axis=1) | (np.abs(y.sum(axis=1) - 1) > 1e-3)
        if wrong.any():
            raise ValueError(
                "Classification takes one class an example. Received: a label "
                f"{y[wrong][0].tolist()} in the {name}. One-hot labels must sum to 1; several "
                'classes an example are task="multilabel", and several quantities '
                'task="regression".'
            )
        return y.astype(np.float32)
    if not is_whole(y):
        raise ValueError(
            "Classification takes whole numbers or one-hot labels. Received: a label "
            f"{y[y != np.rint(y)][0]} in the {name}. Number the classes from 0, or pass "
            'task="regression" for quantities.'
        )
    if y.min() < 0:
        raise ValueError(
            f"Labels must be 0 or more. Received: {y.min()} in the {name}. Number the "
            "classes from 0, and leave unlabelled examples out; quantities are "
            'task="regression".'
        )
    return y.astype(np.int64)


def several_labels(y: NDArray[Any] | Objects, name: str) -> NDArray[np.float32]:
    """Any number of classes an example.

    Args:
        y: 0 and 1, or truth values, `(n, classes)`.
        name: What the data set is called in messages.

    Returns:
        0 and 1, `(n, classes)`, float32.

    Raises:
        ValueError: If these are no such labels.
    """
    if isinstance(y, Objects) or y.ndim != 2 or y.dtype.kind == "U":
        raise _unfit("Multi-label classification", "a row of 0 and 1 an example", y, name)
    wrong = ((y != 0) & (y != 1)).any(axis=1)
    if wrong.any():
        raise ValueError(
            "Multi-label classification takes 0 and 1, one column a class. Received: a label "
            f"{y[wrong][0].tolist()} in the {name}. Write 1 for each class that is there; "
            'several quantities are task="regression".'
        )
    return y.astype(np.float32)


def quantities(y: NDArray[Any] | Objects, name: str) -> NDArray[np.float32]:
    """One quantity an example, or several.

    Args:
        y: Numbers `(n,)` or `(n, quantities)`.
        name: What the data set is called in messages.

    Returns:
        `(n, quantities)`, float32.

    Raises:
        ValueError: If these are no such numbers.
    """
    if isinstance(y, Objects) or y.ndim > 2 or y.dtype.kind == "U":
        raise _unfit("Regression", "one number an example, or a row of them", y, name)
    return y.reshape(len(y), -1).astype(np.float32)


def masks(
    y: NDArray[Any] | Objects, image_shape: tuple[int, ...], name: str
) -> NDArray[np.int32]:
    """One class a pixel.

    Args:
        y: Class numbers `(n, height, width)` or `(n, height, width, 1)`, or one-hot.
        image_shape: Height and width of an image; more numbers are ignored.
        name: What the data set is called in messages.

    Returns:
        Class numbers `(n, height, width)`.

    Raises:
        ValueError: If these are no masks, or not of the images' size.
    """
    if isinstance(y, Objects) or y.ndim not in (3, 4) or y.dtype.kind == "U":
        raise _unfit("Segmentation", "a class number for each pixel", y, name)
    if y.shape[1:3] != tuple(image_shape[:2]):
        raise ValueError(
            f"A mask must have the size of its image. Received: masks of shape {y.shape[1:]} "
            f"and images of shape {tuple(image_shape)} in the {name}. Resize masks without "
            "blending their numbers, by the nearest pixel."
        )
    if y.ndim == 4 and y.shape[3] == 1:
        y = y[..., 0]
    if y.ndim == 4:
        if not (((y == 0) | (y == 1)).all() and (y.sum(axis=-1) == 1).all()):
            raise ValueError(
                "A mask holds one class number a pixel, or is one-hot. Received: masks of "
                f"{y.shape[3]} channels that are not one-hot in the {name}. Number the "
                "classes, or the colours that stand for them, from 0."
            )
        return np.asarray(y.argmax(axis=-1), np.int32)
    if not is_whole(y):
        raise ValueError(
            "A mask holds whole numbers, one class a pixel. Received: "
            f"{y[y != np.rint(y)][0]} in the {name}. Number the classes from 0; quantities a "
            "pixel serve no task here."
        )
    if y.min() < 0:
        raise ValueError(
            f"Classes in masks must be 0 or more. Received: {y.min()} in the {name}. Number "
            f"the classes from 0, and write {IGNORED} for pixels that are not to count."
        )
    return y.astype(np.int32)


def objects(
    y: NDArray[Any] | Objects, names: Sequence[str] | None, name: str
) -> NDArray[np.float32]:
    """Boxes and their classes, as many a row as the image with the most has.

    Args:
        y: Boxes: top, left, bottom and right as fractions of the image's height and width.
            Those of class -1 are left out. Or what this function returns.
        names: Names of the classes, by which texts become numbers.
        name: What the data set is called in messages.

    Returns:
        `(n, most, 5)`: box and class; rows of -1 are padding.

    Raises:
        ValueError: If boxes are no boxes, lie outside the image, or have no area; or if
            there is not one class for each.
    """
    if not isinstance(y, Objects):
        if y.ndim != 3 or y.shape[2] != 5 or y.dtype.kind == "U":
            raise _unfit("Detection", "boxes and their classes an image", y, name)
        y = Objects(list(y[..., :4]), list(y[..., 4]))
    counts = [len(one) for one in y.classes]
    for image, (box, count) in enumerate(zip(y.boxes, counts, strict=True)):
        if len(box) != count:
            raise ValueError(
                f"Each box has a class. Received: {len(box)} boxes and {count} classes in "
                f"example {image} of the {name}. Pass as many of both."
            )
    every = np.concatenate([np.zeros(0), *y.classes]) if sum(counts) else np.zeros(0)
    if every.dtype.kind == "U":
        every = _numbered(every, names or [], name)
    if (every != np.rint(every)).any() or (every < -1).any():
        raise ValueError(
            "Classes of boxes are whole numbers from 0, or -1 for padding. Received: "
            f"{every[(every != np.rint(every)) | (every < -1)][0]} in the {name}. Number the "
            "classes."
        )
    images = np.repeat(np.arange(len(counts)), counts)[every >= 0]
    boxes = np.concatenate([np.zeros((0, 4)), *y.boxes])[every >= 0]
    check_boxes(boxes, images, name)
    per_image = np.bincount(images, minlength=len(counts))
    rows = np.full((len(counts), max(1, int(per_image.max())), 5), -1, np.float32)
    place = np.arange(len(images)) - np.repeat(np.cumsum(per_image) - per_image, per_image)
    rows[images, place, :4] = np.clip(boxes, 0, 1)
    rows[images, place, 4] = every[every >= 0]
    return rows


def next_tokens(y: NDArray[Any] | Objects | None, x: Any, name: str) -> NDArray[np.int32]:
    """The next token at each position.

    Args:
        y: Tokens `(n, length)`, those of `x` shifted by one; or `None`.
        x: Tokens of the examples, `(n, length)`; `None` if they are not at hand, and then
            that `y` is shifted is not checked.
        name: What the data set is called in messages.

    Returns:
        Tokens `(n, length)`; without `y` those of `x` but for the first, one fewer.

    Raises:
        ValueError: If `y` is not `x`, shifted by one.
    """
    x = None if x is None else np.asarray(x)
    if x is not None and (x.ndim != 2 or x.dtype.kind not in "iu"):
        raise ValueError(
            "The next token is asked for in sequences of token numbers, (n, length). "
            f"Received: {x.dtype.name} examples of shape {x.shape} in the {name}. "
            "Make tokens of texts, and windows of one length of these."
        )
    if y is None:
        if x is None or x.shape[1] < 2:
            raise ValueError(
                "The next token needs sequences of two tokens or more. Received: no labels, "
                f"and examples of {'no' if x is None else x.shape[1]} tokens in the {name}. "
                "Pass longer sequences."
            )
        return np.asarray(x[:, 1:], np.int32)
    if isinstance(y, Objects) or y.ndim != 2 or y.dtype.kind not in "iuf" or not is_whole(y):
        raise _unfit("Next-token prediction", "the tokens, shifted by one", y, name)
    if x is not None and (y.shape != x.shape or (y[:, :-1] != x[:, 1:]).any()):
        raise ValueError(
            "Labels of next-token prediction are the tokens, shifted by one. Received: labels "
            f"of shape {y.shape} that are not, for examples of shape {x.shape} in the {name}. "
            "Pass (tokens[:, :-1], tokens[:, 1:])."
        )
    return y.astype(np.int32)


def name_classes(numbers: NDArray[np.int64], names: Sequence[str] | None) -> str:
    """Write classes for a message, at most five of them."""
    known = len(names) if names is not None else 0
    shown = [f"{c} ({names[c]})" if names and c < known else str(c) for c in numbers[:5]]
    more = f" and {len(numbers) - 5} more" if len(numbers) > 5 else ""
    return f"class{'es' * (len(numbers) > 1)} {', '.join(shown)}{more}"


def present(mask: NDArray[Any]) -> NDArray[np.int64]:
    """The different numbers in a mask."""
    if mask.max() < 2**16:
        return np.flatnonzero(np.bincount(mask.reshape(-1)))
    return np.unique(mask)


def ignores(values: NDArray[np.int64]) -> bool:
    """Whether the highest of these numbers is one for pixels that do not count."""
    return bool(values[-1] == IGNORED and (len(values) < 2 or values[-2] < 254))


def wildly_numbered(values: NDArray[Any], advice: str = "") -> ValueError:
    """The error where numbers are too far apart to number classes."""
    return ValueError(
        f"Labels must number the classes from 0. Received: {len(values)} classes, "
        f"numbered up to {values[-1]:.0f}. Renumber them, for example: "
        f"y = np.unique(y, return_inverse=True)[1]{f', {advice}' * bool(advice)}."
    )


def _unfit(task: str, form: str, y: NDArray[Any] | Objects, name: str) -> ValueError:
    shown = "boxes" if isinstance(y, Objects) else f"{y.dtype.name} labels of shape {y.shape}"
    if not isinstance(y, Objects) and y.dtype.kind == "U":
        shown = f"texts of shape {y.shape} as labels"
    return ValueError(
        f"{task} takes {form}. Received: {shown} in the {name}. Pass such labels, or another "
        "`task`."
    )


def _of_one_kind(y: NDArray[Any], name: str) -> NDArray[Any]:
    """An array of objects as one of truth values, numbers or texts."""
    kinds: dict[str, Any] = {}
    for value in y.reshape(-1):
        if isinstance(value, str | bytes):
            kinds.setdefault("a text", value)
        elif _is_missing(value):
            kinds.setdefault("a missing value", value)
        elif isinstance(value, int | float | np.number | np.bool_):
            kinds.setdefault("a number", value)
        else:
            kinds.setdefault(f"a {type(value).__name__}", value)
    if len(kinds) > 1 or not kinds.keys() <= {"a number", "a text"}:
        found = ", ".join(f"{kind} ({value!r})" for kind, value in kinds.items())
        raise ValueError(
            "Labels are all numbers or all texts, one for each example. Received: "
            f"{found} in the {name}. Convert them to one kind, and leave unlabelled examples "
            "out."
        )
    if "a text" in kinds:
        texts = [one.decode() if isinstance(one, bytes) else one for one in y.reshape(-1)]
        return np.array(texts).reshape(y.shape)
    return np.array(y.tolist())


def _is_missing(value: Any) -> bool:
    not_a_number = isinstance(value, float | np.floating) and bool(np.isnan(value))
    return value is None or not_a_number or type(value).__name__ in ("NAType", "NaTType")


def _numbered(y: NDArray[Any], names: Sequence[str], name: str) -> NDArray[np.int64]:
    """Texts by their place among the names."""
    unknown = np.setdiff1d(y, np.asarray(names, dtype=np.str_))
    if len(unknown):
        raise ValueError(
            "Every class must be one of the known names. Received: "
            f"{str(unknown[0])!r} in the {name}, where names are {list(names)[:5]}"
            f"{' ...' * (len(names) > 5)}. Leave it out, or name it in class_names."
        )
    place = {one: number for number, one in enumerate(names)}
    return np.array([place[str(one)] for one in y], np.int64)


def _of_dictionaries(y: Any) -> bool:
    several = isinstance(y, list | tuple) and len(y) > 0
    return isinstance(y, Mapping) or (several and all(isinstance(one, Mapping) for one in y))


def _objects(y: Any, name: str) -> Objects:
    if not isinstance(y, Mapping):  # one dictionary an image
        y = {key: [one.get(key, ()) for one in y] for key in y[0]}
    if "objects" in y and _of_dictionaries(y["objects"]):
        return _objects(y["objects"], name)
    box_key = next((key for key in _BOXES if key in y), None)
    class_key = next((key for key in _CLASSES if key in y), None)
    if box_key is None or class_key is None:
        raise ValueError(
            "A dictionary of labels must hold boxes and their classes. Received: keys "
            f"{sorted(y)} in the {name}. Pass one array of labels, or "
            "{'boxes': ..., 'labels': ...}."
        )
    boxes = [_box_array(one, image, name) for image, one in enumerate(_each(y[box_key]))]
    numbers = [_class_array(one) for one in _each(y[class_key])]
    if len(boxes) != len(numbers) or not boxes:
        raise ValueError(
            "Each image has its boxes and their classes. Received: boxes of "
            f"{len(boxes)} images and classes of {len(numbers)} in the {name}. Pass as many "
            "of both, at least one."
        )
    return Objects(boxes, numbers)


def _each(values: Any) -> list[Any]:
    return values.to_list() if hasattr(values, "to_list") else list(values)


def _class_array(numbers: Any) -> NDArray[Any]:
    array = np.asarray(numbers).reshape(-1)
    if array.dtype.kind not in "SO":
        return array
    texts = [one.decode() if isinstance(one, bytes) else str(one) for one in array]
    return np.array(texts, np.str_)


def _box_array(box: Any, image: int, name: str) -> NDArray[Any]:
    try:
        array = np.asarray(box, np.float64)
    except (TypeError, ValueError):
        array = np.zeros(())
    if not array.size and array.ndim:
        return np.zeros((0, 4))
    if array.ndim != 2 or array.shape[1] != 4:
        raise ValueError(
            "Boxes of an image are four numbers each, (objects, 4). Received: "
            f"{np.asarray(box, object).tolist()!r:.80} in example {image} of the {name}. Pass "
            "top, left, bottom and right as fractions of the image."
        )
    return array

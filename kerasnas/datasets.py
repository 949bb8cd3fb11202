"""Labelled data sets by name: what the command line's `--dataset` accepts."""

from __future__ import annotations

import pathlib
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from kerasnas import catalogue, folders, tables
from kerasnas.archives import arrays, text
from kerasnas.data import resize
from kerasnas.parts import TEST_SHARE, NamedData

__all__ = ["NamedData", "open_dataset"]

_TABLES = (".csv", ".tsv")
_FILES = (*_TABLES, ".npz", ".txt")
_CHUNK = 256  # images resized at once


def open_dataset(
    name: str,
    *,
    image_size: tuple[int, int] | None = None,
    task: str | None = None,
    target: str | None = None,
    ignore: Sequence[str] = (),
) -> NamedData:
    """Open a data set by name.

    | name            | what                                | test part                       |
    |-----------------|-------------------------------------|---------------------------------|
    | `digits`        | scikit-learn's 8x8 digits, 0 to 16  | fixed, stratified 20 %          |
    | a folder        | class folders of images, of `.wav`  | `test/` beside `train/`, or as  |
    |                 | recordings or of `.txt` files       | above                           |
    | a `.npz` file   | arrays; see `archives.arrays`       | `x_test`, `y_test`              |
    | a `.csv` file   | a table; see `tables.table`         | fixed 20 %, with like shares of |
    |                 |                                     | the classes or quantities       |
    | a `.txt` file   | one long text, whose next words or  | the last 20 %                   |
    |                 | characters are to be told           |                                 |
    | any other       | `tfds.load(name)`                   | split `test`, else `validation`,|
    |                 |                                     | else the last 20 % of `train`   |

    Args:
        name: As above.
        image_size: `(height, width)` to resize all images to, and the masks of images, whose
            numbers are not blended.
        task: Name of the task, where a data set serves several: objects and masks of images,
            or texts without their labels.
        target: Column of a table that is to be told; `None` is the last one.
        ignore: Columns of a table to leave out.

    Raises:
        ValueError: If no such data set exists, if it has no train or no test part, or if what
            is asked of it is not in it.
    """
    path = pathlib.Path(name).expanduser()
    if (target is not None or ignore) and path.suffix not in _TABLES:
        raise ValueError(
            "Only a table has columns by name. Received: "
            f"{f'target={target!r}' if target is not None else f'ignore={list(ignore)}'} with "
            f"the data set {name!r}. Pass a .csv file, or leave it out."
        )
    data = _opened(name, path, task, target, ignore)
    if image_size is None:
        return data
    return data._replace(
        train=_resized(data.train, image_size), test=_resized(data.test, image_size)
    )


def _opened(
    name: str, path: pathlib.Path, task: str | None, target: str | None, ignore: Sequence[str]
) -> NamedData:
    if name == "digits":
        return _digits()
    if path.is_dir():
        return folders.class_folders(path, task)
    if path.suffix in _FILES and path.is_file():
        if path.suffix in _TABLES:
            return tables.table(path, target, ignore)
        return text(path, task) if path.suffix == ".txt" else arrays(path)
    if path.is_absolute() or path.suffix in _FILES or name.startswith((".", "~")):
        raise ValueError(
            f"There is no such file or folder. Received: {name!r}. Pass {catalogue.ACCEPTED}."
        )
    return catalogue.load(name, task)


def _digits() -> NamedData:
    # Here and below: libraries that take long to load and serve one kind of name.
    from sklearn.datasets import load_digits
    from sklearn.model_selection import train_test_split

    digits = load_digits()
    images = digits.images[..., np.newaxis].astype(np.float32)
    x_train, x_test, y_train, y_test = train_test_split(
        images, digits.target, test_size=TEST_SHARE, random_state=0, stratify=digits.target
    )
    return NamedData((x_train, y_train), (x_test, y_test), [str(i) for i in range(10)])


def _resized(part: Any, size: tuple[int, int]) -> Any:
    if isinstance(part, tf.data.Dataset):
        spec = part.element_spec
        _check_images(spec[0] if isinstance(spec, tuple) else spec, batched=False)
        return part.map(
            lambda x, y: (resize(x, size), _nearest(y, size, axes=2) if _is_mask(y) else y),
            num_parallel_calls=tf.data.AUTOTUNE,
        )
    _check_images(part[0] if isinstance(part, tuple) else part, batched=True)
    x, y = part
    x = x[..., np.newaxis] if x.ndim == 3 else x
    if x.shape[1:3] == tuple(size):
        return x, y
    if not isinstance(y, dict) and np.shape(y)[1:3] == x.shape[1:3]:
        y = _in_chunks(lambda masks: _nearest(masks, size, axes=3), y)
    return _in_chunks(lambda images: resize(tf.convert_to_tensor(images), size), x), y


def _check_images(x: Any, batched: bool) -> None:
    shape = getattr(x, "shape", ())
    numbers = hasattr(x, "dtype") and x.dtype not in (tf.string, np.dtype("O"))
    if not numbers or len(shape) - batched not in (2, 3):
        what = f"examples of shape {tuple(shape)[batched:]}" if numbers else "other inputs"
        raise ValueError(
            f"Only images are resized. Received: an image size with {what}. Leave it out."
        )


def _is_mask(y: Any) -> bool:
    return isinstance(y, tf.Tensor) and len(y.shape) >= 2


def _nearest(masks: Any, size: tuple[int, int], axes: int) -> tf.Tensor:
    """Masks, whose numbers are not to be blended, of as many axes or channels behind them."""
    masks = tf.convert_to_tensor(masks)
    if len(masks.shape) > axes:
        return tf.image.resize(masks, size, method="nearest")
    return tf.image.resize(masks[..., tf.newaxis], size, method="nearest")[..., 0]


def _in_chunks(function: Callable[[Any], tf.Tensor], images: NDArray[Any]) -> NDArray[Any]:
    starts = range(0, len(images), _CHUNK)
    with tf.device("CPU"):
        return np.concatenate([function(images[i : i + _CHUNK]).numpy() for i in starts])

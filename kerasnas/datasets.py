"""Labelled image data sets by name: what the command line's `--dataset` accepts."""

from __future__ import annotations

import os
import pathlib
import zipfile
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from edge_devices.spelling import did_you_mean
from kerasnas.data import read, resize, stratified_split

__all__ = ["NamedData", "open_dataset"]

_ACCEPTED = (
    "'digits', a folder of class folders, a file.npz with x_train, y_train, x_test and "
    "y_test, or a name from TensorFlow Datasets (TFDS)"
)
_TEST_SHARE = 0.2
_IMAGE_SUFFIXES = (".bmp", ".gif", ".jpeg", ".jpg", ".png")
_IMAGE_HEADS = (b"BM", b"GIF8", b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n")


class NamedData(NamedTuple):
    """A data set with its own test part.

    Attributes:
        train: For `kerasnas.search` and `kerasnas.data.load`.
        test: For `kerasnas.data.read`; the search never sees it.
        class_names: Name of each class, if known.
    """

    train: Any
    test: Any
    class_names: list[str] | None


def open_dataset(name: str, *, image_size: tuple[int, int] | None = None) -> NamedData:
    """Open a data set by name.

    | name            | what                                | test part                       |
    |-----------------|-------------------------------------|---------------------------------|
    | `digits`        | scikit-learn's 8x8 digits, 0 to 16  | fixed, stratified 20 %          |
    | a folder        | class folders with images           | `test/` beside `train/`, or as  |
    |                 |                                     | above                           |
    | a `.npz` file   | arrays                              | `x_test`, `y_test`              |
    | any other       | `tfds.load(name)`                   | split `test`, else `validation`,|
    |                 |                                     | else the last 20 % of `train`   |

    Args:
        name: As above.
        image_size: `(height, width)` to resize all images to.

    Raises:
        ValueError: If no such data set exists, or if it has no train or no test part.
    """
    path = pathlib.Path(name).expanduser()
    if name == "digits":
        data = _digits()
    elif path.is_dir():
        data = _folder(path)
    elif path.suffix == ".npz" and path.is_file():
        data = _arrays(path)
    elif path.is_absolute() or path.suffix == ".npz" or name.startswith((".", "~")):
        raise ValueError(
            f"There is no such file or folder. Received: {name!r}. Pass {_ACCEPTED}."
        )
    else:
        data = _tfds(name)
    if image_size is None:
        return data
    return data._replace(
        train=_resized(data.train, image_size), test=_resized(data.test, image_size)
    )


def _digits() -> NamedData:
    # Here and below: libraries that take long to load and serve one kind of name.
    from sklearn.datasets import load_digits
    from sklearn.model_selection import train_test_split

    digits = load_digits()
    images = digits.images[..., np.newaxis].astype(np.float32)
    x_train, x_test, y_train, y_test = train_test_split(
        images, digits.target, test_size=_TEST_SHARE, random_state=0, stratify=digits.target
    )
    return NamedData((x_train, y_train), (x_test, y_test), [str(i) for i in range(10)])


def _arrays(path: pathlib.Path) -> NamedData:
    needed = ("x_train", "y_train", "x_test", "y_test")
    if not zipfile.is_zipfile(path):
        raise ValueError(
            f"The file is no .npz archive. Received: {path}. Save the arrays "
            f"{', '.join(needed)} with np.savez_compressed."
        )
    with np.load(path) as file:
        missing = [key for key in needed if key not in file]
        if missing:
            raise ValueError(
                f"The file must hold the arrays {', '.join(needed)}. Received: {path} with "
                f"{', '.join(file) or 'nothing'}. Save it with np.savez_compressed."
            )
        try:
            x_train, y_train, x_test, y_test = (file[key] for key in needed)
        except ValueError as error:  # pickles, which could run code
            raise ValueError(
                f"The arrays must hold numbers. Received: {path} with Python objects. "
                "Save images of one size and whole numbers as labels."
            ) from error
    return NamedData((x_train, y_train), (x_test, y_test), None)


def _folder(path: pathlib.Path) -> NamedData:
    parts = [path / "train", path / "test"]
    if all(part.is_dir() for part in parts):
        names = _class_names(parts[0])
        unknown = sorted(set(_class_names(parts[1])) - set(names))
        if unknown:
            raise ValueError(
                "Every class of the test folder must be in the train folder. Received: "
                f"{', '.join(unknown)} in {parts[1]} only. Move or remove these folders."
            )
        train, test = (_image_files(part, names) for part in parts)
    elif parts[0].is_dir() and any(inner.is_dir() for inner in parts[0].iterdir()):
        raise ValueError(
            "A train folder needs a test folder beside it. Received: "
            f"{path} with {', '.join(sorted(inner.name for inner in path.iterdir()))}. "
            "Rename the part to test on to 'test', or pass the train folder alone."
        )
    else:
        names = _class_names(path)
        files, labels = _image_files(path, names)
        order = np.random.default_rng(0).permutation(len(files))
        rows = stratified_split(labels, order, _TEST_SHARE, names)
        train, test = ((files[part], labels[part]) for part in rows)
    channels = _channels(*train)
    return NamedData(_decoded(*train, channels), _decoded(*test, channels), names)


def _class_names(folder: pathlib.Path) -> list[str]:
    """Return the names of the class folders in a folder, sorted as Keras does."""
    names = sorted(p.name for p in folder.iterdir() if p.is_dir() and p.name[0] != ".")
    if not names:
        raise ValueError(
            f"A folder must hold one folder of images per class. Received: {folder}, which "
            "holds no folder. Arrange it as folder/class_name/image.png."
        )
    return names


def _image_files(
    folder: pathlib.Path, names: list[str]
) -> tuple[NDArray[np.str_], NDArray[np.int64]]:
    """Return the image files below class folders, sorted, and the class of each."""
    found = [
        (str(path), label)
        for label, name in enumerate(names)
        for path in sorted((folder / name).rglob("*"))
        if path.suffix.lower() in _IMAGE_SUFFIXES and path.is_file()
    ]
    if not found:
        raise ValueError(
            f"The class folders hold no images. Received: {folder}. "
            f"Images are files that end in {', '.join(_IMAGE_SUFFIXES)}."
        )
    files, labels = zip(*found, strict=True)
    for file in files:
        with open(file, "rb") as stream:
            if not stream.read(8).startswith(_IMAGE_HEADS):
                raise ValueError(
                    "A file is named like an image and is none, or is of a kind TensorFlow "
                    f"cannot read. Received: {file}. Convert it to PNG, or remove it."
                )
    return np.array(files), np.array(labels)


def _channels(files: NDArray[np.str_], labels: NDArray[np.int64]) -> int:
    """Return 1 if the first image of every class is gray, else 3."""
    _, firsts = np.unique(labels, return_index=True)
    return 1 if all(_decode(file, 0).shape[-1] == 1 for file in files[firsts]) else 3


def _decode(file: tf.Tensor, channels: int) -> tf.Tensor:
    return tf.io.decode_image(tf.io.read_file(file), channels, expand_animations=False)


def _decoded(
    files: NDArray[np.str_], labels: NDArray[np.int64], channels: int
) -> tf.data.Dataset:
    def example(file: tf.Tensor, label: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        return tf.ensure_shape(_decode(file, channels), [None, None, channels]), label

    dataset = tf.data.Dataset.from_tensor_slices((files, labels))
    return dataset.map(example, num_parallel_calls=tf.data.AUTOTUNE)


def _tfds(name: str) -> NamedData:
    import tensorflow_datasets as tfds

    place = os.environ.get("TFDS_DATA_DIR")  # read late: TFDS itself looks only once
    try:
        tfds.builder(name, data_dir=place)
    except ValueError as error:  # unknown, or no such configuration, or no name at all
        hint = did_you_mean(name.split("/")[0], ["digits", *tfds.list_builders()])
        raise ValueError(
            f"There is no such data set. Received: {name!r}. {hint}Pass {_ACCEPTED}."
        ) from error
    try:
        splits, info = tfds.load(name, data_dir=place, with_info=True)
    except Exception as error:  # network, disk, checksums, manual downloads, missing packages
        raise ValueError(
            f"TensorFlow Datasets has {name!r}, but could not prepare it here. Received: "
            f"{type(error).__name__}: {error}. It needs a network the first time; or set "
            "TFDS_DATA_DIR to the folder that holds it already."
        ) from error
    if "train" not in splits:
        raise ValueError(
            f"The data set must have a split called 'train'. Received: {name!r} with splits "
            f"{', '.join(splits)}. Choose another, or read it with tfds.load."
        )
    test = next((split for split in ("test", "validation") if split in splits), None)
    cut = round(100 * (1 - _TEST_SHARE))
    train, test = tfds.load(
        name,
        data_dir=place,
        split=["train", test] if test else [f"train[:{cut}%]", f"train[{cut}%:]"],
        as_supervised=info.supervised_keys is not None,
    )
    label = "label" if info.supervised_keys is None else info.supervised_keys[1]
    features = dict(info.features.items()) if hasattr(info.features, "items") else {}
    return NamedData(train, test, getattr(features.get(label), "names", None))


def _resized(part: Any, image_size: tuple[int, int]) -> Any:
    if isinstance(part, tuple):
        examples = read(part, image_size=image_size)
        return examples.x[:], examples.y

    def example(*element: Any) -> Any:
        if len(element) == 1:
            return {**element[0], "image": resize(element[0]["image"], image_size)}
        return (resize(element[0], image_size), *element[1:])

    return part.map(example, num_parallel_calls=tf.data.AUTOTUNE)

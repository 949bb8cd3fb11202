"""Class folders: a folder a class, with images, recordings or texts as its examples."""

from __future__ import annotations

import pathlib
import wave
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from kerasnas.archives import decoded
from kerasnas.parts import NamedData, held_out

__all__ = ["class_folders"]

_KINDS = {
    "images": (".bmp", ".gif", ".jpeg", ".jpg", ".png"),
    "recordings": (".wav",),
    "texts": (".txt",),
}
_IMAGE_HEADS = (b"BM", b"GIF8", b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n")
_SAMPLE_BYTES = 2  # of 16 bits, which TensorFlow reads


class _Files(NamedTuple):
    """Files below class folders, sorted, and the class of each."""

    paths: NDArray[np.str_]
    labels: NDArray[np.int64]

    def take(self, rows: NDArray[np.int64]) -> _Files:
        return _Files(self.paths[rows], self.labels[rows])


def class_folders(path: pathlib.Path, task: str | None = None) -> NamedData:
    """Open class folders, or a train and a test folder of such.

    What most files are, by their names, is what is read: images, `.wav` recordings or `.txt`
    texts, one a file; other files are left alone. Images stay gray where the first of each
    class is. Recordings are 16-bit, of one channel and one sample rate; where the search is
    given no other length they are brought to that of the longest to train on.

    Args:
        path: The folder.
        task: For `"next_token"` the texts come without their labels.

    Raises:
        ValueError: If there are no classes or no such files, a test folder has others, or a
            file cannot be read.
    """
    parts = [path / "train", path / "test"]
    if all(part.is_dir() for part in parts):
        names = _class_names(parts[0])
        unknown = sorted(set(_class_names(parts[1])) - set(names))
        if unknown:
            raise ValueError(
                "Every class of the test folder must be in the train folder. Received: "
                f"{', '.join(unknown)} in {parts[1]} only. Move or remove these folders."
            )
        found = [_found(part, names) for part in parts]
        kind = _most(found[0])
        train = _of_kind(found[0], kind, parts[0])
        test = _of_kind(found[1], kind, parts[1])
    elif parts[0].is_dir() and any(inner.is_dir() for inner in parts[0].iterdir()):
        raise ValueError(
            "A train folder needs a test folder beside it. Received: "
            f"{path} with {', '.join(sorted(inner.name for inner in path.iterdir()))}. "
            "Rename the part to test on to 'test', or pass the train folder alone."
        )
    else:
        names = _class_names(path)
        there = _found(path, names)
        kind = _most(there)
        whole = _of_kind(there, kind, path)
        train, test = (whole.take(rows) for rows in held_out(whole.labels, names))
    return _READ[kind](train, test, names, task)


def _class_names(folder: pathlib.Path) -> list[str]:
    """Return the names of the class folders in a folder, sorted as Keras does."""
    names = sorted(p.name for p in folder.iterdir() if p.is_dir() and p.name[0] != ".")
    if not names:
        raise ValueError(
            f"A folder must hold one folder of images per class. Received: {folder}, which "
            "holds no folder. Arrange it as folder/class_name/image.png; likewise with .wav "
            "recordings or .txt texts."
        )
    return names


def _found(folder: pathlib.Path, names: list[str]) -> dict[str, _Files]:
    """The files below class folders by kind, sorted."""
    kinds = {suffix: kind for kind, suffixes in _KINDS.items() for suffix in suffixes}
    found: dict[str, list[tuple[str, int]]] = {kind: [] for kind in _KINDS}
    for label, name in enumerate(names):
        for path in sorted((folder / name).rglob("*")):
            kind = kinds.get(path.suffix.lower())
            if kind is not None and path.is_file():
                found[kind].append((str(path), label))
    return {
        kind: _Files(*map(np.array, zip(*of, strict=True))) for kind, of in found.items() if of
    }


def _most(found: Mapping[str, _Files]) -> str:
    """What most files are, of equally many the first in `_KINDS`: images if there are none."""
    counts = {kind: len(found[kind].paths) if kind in found else 0 for kind in _KINDS}
    return max(counts, key=lambda kind: counts[kind])


def _of_kind(found: Mapping[str, _Files], kind: str, folder: pathlib.Path) -> _Files:
    if kind not in found:
        raise ValueError(
            f"The class folders hold no {kind}. Received: {folder}. "
            + " ".join(
                f"{kind.capitalize()} are files that end in {', '.join(suffixes)}."
                for kind, suffixes in _KINDS.items()
            )
        )
    return found[kind]


def _images(train: _Files, test: _Files, names: list[str], task: str | None) -> NamedData:
    for path in (*train.paths, *test.paths):
        with open(path, "rb") as stream:
            if not stream.read(8).startswith(_IMAGE_HEADS):
                raise ValueError(
                    "A file is named like an image and is none, or is of a kind TensorFlow "
                    f"cannot read. Received: {path}. Convert it to PNG, or remove it."
                )
    _, firsts = np.unique(train.labels, return_index=True)
    gray = all(_decode(path, 0).shape[-1] == 1 for path in train.paths[firsts])
    channels = 1 if gray else 3

    def image(path: tf.Tensor) -> tf.Tensor:
        return tf.ensure_shape(_decode(path, channels), [None, None, channels])

    return NamedData(_mapped(train, image), _mapped(test, image), names)


def _decode(path: tf.Tensor, channels: int) -> tf.Tensor:
    return tf.io.decode_image(tf.io.read_file(path), channels, expand_animations=False)


def _recordings(train: _Files, test: _Files, names: list[str], task: str | None) -> NamedData:
    heads = {path: _head(path) for path in (*train.paths, *test.paths)}
    rate = heads[train.paths[0]].getframerate()
    for path, head in heads.items():
        if head.getframerate() != rate:
            raise ValueError(
                "All recordings have one sample rate. Received: "
                f"{path} of {head.getframerate()} Hz, and others of {rate} Hz. Convert them."
            )

    def samples(path: tf.Tensor) -> tf.Tensor:
        return tf.audio.decode_wav(tf.io.read_file(path), desired_channels=1).audio[:, 0]

    settings = {
        "layout": "waveform",
        "sample_rate": rate,
        "sequence_length": max(heads[path].getnframes() for path in train.paths),
    }
    return NamedData(_mapped(train, samples), _mapped(test, samples), names, settings)


def _head(path: str) -> Any:
    """The head of a recording, checked."""
    try:
        with wave.open(path, "rb") as file:
            head = file
    except (wave.Error, EOFError) as error:
        raise ValueError(
            "A file is named like a recording and is none, or is of a kind TensorFlow cannot "
            f"read. Received: {path} ({error}). Convert it to 16-bit PCM, or remove it."
        ) from error
    if head.getsampwidth() != _SAMPLE_BYTES or head.getnchannels() != 1:
        raise ValueError(
            "Recordings have 16 bits and one channel. Received: "
            f"{path} of {8 * head.getsampwidth()} bits and {head.getnchannels()} channels. "
            "Convert it, e.g. by `sox in.wav -b 16 -c 1 out.wav`."
        )
    if not head.getnframes():
        raise ValueError(
            f"A recording has samples. Received: {path}, which has none. Remove it."
        )
    return head


def _mapped(files: _Files, read: Any) -> tf.data.Dataset:
    dataset = tf.data.Dataset.from_tensor_slices(tuple(files))
    return dataset.map(
        lambda path, label: (read(path), label), num_parallel_calls=tf.data.AUTOTUNE
    )


def _texts(train: _Files, test: _Files, names: list[str], task: str | None) -> NamedData:
    x, x_test = (
        np.array([decoded(path) for path in part.paths], object) for part in (train, test)
    )
    if task == "next_token":
        return NamedData(x, x_test, None, {"task": task})
    return NamedData((x, train.labels), (x_test, test.labels), names)


_READ = {"images": _images, "recordings": _recordings, "texts": _texts}

"""Data sets of TensorFlow Datasets (TFDS), as pairs of an input and its label."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

import tensorflow as tf

from edge_devices.spelling import did_you_mean
from kerasnas.parts import TEST_SHARE, NamedData

__all__ = ["ACCEPTED", "load"]

ACCEPTED = (
    "'digits', a folder of class folders, a file.npz with x_train, y_train, x_test and "
    "y_test, a file.csv, a file.txt, or a name from TensorFlow Datasets (TFDS)"
)
"""What a data set may be, in words."""

_INPUTS = ("image", "text", "audio")
_LABELS = ("label", "segmentation_mask", "objects")
_OF_TASKS = {"segmentation": "segmentation_mask", "detection": "objects"}


def load(name: str, task: str | None = None) -> NamedData:
    """Load a data set, from the disk or from the network.

    Its label is what TFDS calls so itself, or the only one of `label`, `segmentation_mask` and
    `objects`; with `task` the mask or the objects, and of texts none for `"next_token"`.

    Raises:
        ValueError: If there is no such data set, it cannot be prepared, has no split to train
            on, or not what is asked of it.
    """
    import tensorflow_datasets as tfds

    place = os.environ.get("TFDS_DATA_DIR")  # read late: TFDS itself looks only once
    try:
        tfds.builder(name, data_dir=place)
    except ValueError as error:  # unknown, or no such configuration, or no name at all
        hint = did_you_mean(name.split("/")[0], ["digits", *tfds.list_builders()])
        raise ValueError(
            f"There is no such data set. Received: {name!r}. {hint}Pass {ACCEPTED}."
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
    features = dict(info.features.items()) if hasattr(info.features, "items") else {}
    keys = _keys(name, features, info.supervised_keys, task)
    test = next((split for split in ("test", "validation") if split in splits), None)
    cut = round(100 * (1 - TEST_SHARE))
    parts = tfds.load(
        name,
        data_dir=place,
        split=["train", test] if test else [f"train[:{cut}%]", f"train[{cut}%:]"],
        as_supervised=keys is None,
    )
    if keys is None:
        keys = info.supervised_keys[:2]
    else:
        parts = [_pairs(part, keys) for part in parts]
    given, label = keys
    train, test = parts
    names, settings = _class_names(features.get(label)), _settings(features.get(given))
    return NamedData(train, test, names, settings)


def _keys(
    name: str, features: Mapping[str, Any], supervised: Any, task: str | None
) -> tuple[str, str | None] | None:
    """Names of the input and of the label; `None` if these are TFDS' own."""
    inputs = [key for key in _INPUTS if key in features]
    labels = [key for key in _LABELS if key in features]
    if task == "next_token" and "text" in inputs:
        return "text", None
    wanted = _OF_TASKS.get(task or "")
    if wanted is None and supervised is not None:
        return None
    if wanted is not None or (task == "classification" and "label" in labels):
        wanted = wanted or "label"
        labels = [label for label in labels if label == wanted]
    if len(inputs) == 1 and len(labels) == 1:
        return inputs[0], labels[0]
    if len(labels) > 1:
        raise ValueError(
            "The data set serves several tasks. Received: "
            f"{name!r} with {', '.join(labels)}, and task={task!r}. Pass what is asked: "
            "classification, segmentation or detection."
        )
    raise ValueError(
        f"The data set must hold one of {', '.join(_INPUTS)}, and "
        f"{wanted or 'one of ' + ', '.join(_LABELS)} to be told. Received: {name!r} with "
        f"{', '.join(features) or 'something else'}. Read it with tfds.load and map it to "
        "pairs in Python."
    )


def _pairs(part: tf.data.Dataset, keys: tuple[str, str | None]) -> tf.data.Dataset:
    given, label = keys

    def pair(element: Mapping[str, Any]) -> Any:
        if label is None:
            return element[given]
        y = element[label]
        if isinstance(y, Mapping):
            y = {"boxes": y["bbox"], "labels": y["label"]}
        return element[given], y

    return part.map(pair, num_parallel_calls=tf.data.AUTOTUNE)


def _class_names(feature: Any) -> list[str] | None:
    objects: Any = getattr(feature, "feature", None)  # of a sequence of them
    if hasattr(objects, "keys"):
        feature = objects["label"] if "label" in objects else None
    names: list[str] | None = getattr(feature, "names", None)
    return names


def _settings(feature: Any) -> dict[str, Any]:
    """What the input says of itself: recordings their sample rate."""
    if type(feature).__name__ != "Audio":
        return {}
    rate = getattr(feature, "sample_rate", None)
    return {"layout": "waveform"} | ({} if rate is None else {"sample_rate": int(rate)})

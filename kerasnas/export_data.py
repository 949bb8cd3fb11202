"""The examples by which an export is calibrated and judged."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import keras
import numpy as np
import tensorflow as tf

from kerasnas.cli_data import open_data
from kerasnas.data import read
from kerasnas.examples import Examples
from kerasnas.result import SearchResult
from kerasnas.scoring import through
from kerasnas.shipping import VERIFIED
from kerasnas.tasks import NAMES, check_task, described
from search_spaces.detection import Detection
from search_spaces.task import Classification, Task

__all__ = ["ExportData", "export_data"]


class ExportData(NamedTuple):
    """A data set, read in the size that the model takes."""

    name: str
    train: Examples
    test: Examples
    task: Task
    class_names: Sequence[str] | None


def export_data(
    options: argparse.Namespace,
    model: keras.Model,
    front: keras.Model | None,
    result: SearchResult | None,
) -> ExportData:
    """Open and read what the options name, in the size and form that the model takes.

    Args:
        options: Those of `kerasnas export`, with a data set.
        model: What the file is made of.
        front: What runs before it, or `None`.
        result: The search that found it; of `None` the task is told by the option, or it is
            classification.

    Raises:
        ValueError: If there is no such data set, or it does not fit the model.
    """
    shape = () if isinstance(model.input_shape, dict) else tuple(model.input_shape[1:])
    if result is not None and result.task is not None:
        layout, task = result.settings.get("layout"), result.task
    else:
        layout = options.layout or {1: "table", 2: "series", 3: "images"}.get(len(shape))
        task = _task_of(model, options.task)
    size = options.image_size or (shape[:2] if layout == "images" else None)
    asked = options.task or described(task)["name"]
    data = open_data(options.dataset, options, size=size, task=asked)
    if result is not None and result.task is not None:
        parts = [result.read(part) for part in (data.train, data.test)]
    else:
        _check_numbers(data.train, shape, options.dataset)
        parts = [
            read(part, task=task, layout=layout, class_names=data.class_names)
            for part in (data.train, data.test)
        ]
    train, test = (through(front, part) for part in parts)
    test = test.stratified_subset(VERIFIED, options.seed)
    names = data.class_names if result is None else result.settings.get("class_names")
    return ExportData(options.dataset, train, test, task, names)


def _task_of(model: keras.Model, name: str | None) -> Task:
    """The task of a model that no search found, by its answers."""
    check_task(name)
    units = int(model.output_shape[-1])
    if name == "detection":
        return Detection(max(1, units - 4), image_shape=tuple(model.input_shape[1:]))
    if name is None or name == "classification":
        return Classification(max(2, units))
    kind: Any = NAMES[name]
    made: Task = kind(units)
    return made


def _check_numbers(train: Any, shape: tuple[int, ...], name: str) -> None:
    """Refuse what nothing is known to prepare; several inputs have no one shape."""
    x = getattr(train, "element_spec", train)
    x = x[0] if isinstance(x, tuple) else x
    texts = isinstance(x, str) or getattr(x, "dtype", None) in (tf.string, np.dtype("O"))
    if texts or (shape and isinstance(x, Mapping)):
        raise ValueError(
            "Texts, and columns by name, are numbers for a network by what its search "
            f"learned. Received: --dataset {name} with a model of no search. Pass the output "
            "folder of the search, or a .npz file of what the model takes."
        )

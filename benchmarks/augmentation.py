"""Time the variation of training examples, on one core, by layout and setting.

    python -m benchmarks.augmentation

Milliseconds a batch of 128, the fastest of many: of the fixed recipe, and of each setting
alone at 1.
"""

from __future__ import annotations

import os

os.environ.update(OMP_NUM_THREADS="1", TF_NUM_INTRAOP_THREADS="1", TF_NUM_INTEROP_THREADS="1")

import time
from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf

from kerasnas.augmentation import augmentation, decisions
from search_spaces.detection import Detection
from search_spaces.segmentation import Segmentation
from search_spaces.task import Classification, Task

BATCH = 128
RUNS = 60
PROBLEMS: list[tuple[str, tuple[int, ...], str, Task]] = [
    ("images", (28, 28, 1), "uint8", Classification(10, one_hot=True)),
    ("images", (96, 96, 3), "uint8", Classification(10, one_hot=True)),
    ("images", (64, 64, 1), "uint8", Segmentation(10)),
    ("images", (64, 64, 1), "uint8", Detection(10)),
    ("audio", (49, 40, 1), "float32", Classification(10, one_hot=True)),
    ("waveform", (8000,), "float32", Classification(10, one_hot=True)),
    ("series", (128, 6), "float32", Classification(10, one_hot=True)),
    ("table", (30,), "float32", Classification(10, one_hot=True)),
    ("tokens", (256,), "int32", Classification(10, one_hot=True)),
]


def targets(task: Task, shape: tuple[int, ...]) -> np.ndarray:
    """Return targets of a batch for a task."""
    rng = np.random.default_rng(1)
    if isinstance(task, Segmentation):
        return rng.integers(0, task.num_classes, (BATCH, *shape[:2])).astype("int32")
    if isinstance(task, Detection):
        corners = np.sort(rng.random((BATCH, 8, 2, 2), "float32"), axis=2)
        classes = np.zeros((BATCH, 8, 1), "float32")
        return np.concatenate([corners.reshape(BATCH, 8, 4), classes], -1)
    return np.eye(10, dtype="float32")[rng.integers(0, 10, BATCH)]


def milliseconds(vary: Callable[..., Any], x: tf.Tensor, y: tf.Tensor) -> float:
    """Return the time of the fastest batch."""
    traced = tf.function(lambda number: vary(x, y, tf.stack([0, number])))
    traced(tf.constant(0))
    taken = []
    for number in range(RUNS):
        begun = time.perf_counter()
        traced(tf.constant(number))
        taken.append(time.perf_counter() - begun)
    return 1000 * min(taken)


def main() -> None:
    """Print a line a problem."""
    rng = np.random.default_rng(0)
    for layout, shape, dtype, task in PROBLEMS:
        x = tf.constant(rng.integers(2, 255, (BATCH, *shape)).astype(dtype))
        y = tf.constant(targets(task, shape))
        offered = decisions(shape, layout, task)
        none = {decision.name: 0.0 for decision in offered}
        cases = {"recipe": {}} | {d.name: none | {d.name: 1.0} for d in offered}
        found = []
        for name, settings in cases.items():
            vary = augmentation(shape, layout, task, settings)
            found.append(f"{name} {milliseconds(vary, x, y):.2f}" if vary else f"{name} 0")
        print(f"{layout} {shape} {type(task).__name__}: {', '.join(found)}", flush=True)


if __name__ == "__main__":
    main()

"""What a contestant of the race is told, and what it hands in.

Nothing here needs more than NumPy, so that a contestant can run in an environment of its own.
"""

from __future__ import annotations

import argparse
import dataclasses
import importlib.metadata
import json
import os
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["ANSWERS", "FACTS", "FILE", "MODEL", "Entry", "keep_facts", "versions"]

MODEL = "model.keras"
FILE = "model.tflite"
ANSWERS = "answers.npz"
FACTS = "facts.json"
_SAVING = 10.0  # seconds to write a model at the end
_VALIDATED = 5  # of so many examples one validates, where a contestant has to split


@dataclasses.dataclass(frozen=True)
class Entry:
    """One run of one contestant.

    Attributes:
        method: What runs; each module of contestants knows its own.
        settings: How, in the method's own words.
        train: File with the training examples, `x` and `y`.
        folder: Where the model and the facts go; what is under its `work` is scratch.
        seed: Seeds everything that the contestant lets seed.
        began: When the clock started, in seconds since the epoch: before this process did.
        seconds: How long the clock runs.
        flash: Bytes that the int8 file may have.

    """

    method: str
    settings: Mapping[str, Any]
    train: Path
    folder: Path
    seed: int
    began: float
    seconds: float
    flash: int

    @classmethod
    def of_arguments(cls, arguments: Sequence[str] | None = None) -> Entry:
        """What the command line says, as `arguments` writes it."""
        parser = argparse.ArgumentParser()
        parser.add_argument("entry", type=json.loads)
        told = parser.parse_args(arguments).entry
        told |= {name: Path(told[name]) for name in ("train", "folder")}
        return cls(**told)

    def arguments(self) -> list[str]:
        """The command line of a process that is to run this."""
        return [json.dumps(dataclasses.asdict(self), default=str)]

    @property
    def left(self) -> float:
        """Seconds in which a model may still be trained, before it has to be written."""
        return self.began + self.seconds - _SAVING - time.time()

    @property
    def work(self) -> Path:
        """A folder for what need not be kept."""
        folder = self.folder / "work"
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def keep(self, model: Any) -> None:
        """Hand in a Keras model, in one step so that a kill leaves the one before."""
        partial = self.folder / "partial.keras"
        model.save(partial)
        os.replace(partial, self.folder / MODEL)

    def examples(self) -> tuple[NDArray[Any], NDArray[Any]]:
        """The training examples."""
        with np.load(self.train) as part:
            return part["x"], part["y"]

    def split(self) -> tuple[Any, Any]:
        """Training and validation part, one example in five validates, for want of a split."""
        x, y = self.examples()
        order = np.random.default_rng(self.seed).permutation(len(y))
        cut = len(y) // _VALIDATED
        held, rest = order[:cut], order[cut:]
        return (x[rest], y[rest]), (x[held], y[held])


def keep_facts(folder: Path, **facts: Any) -> None:
    """Add to what is told of a run, in one step so that a kill leaves it whole."""
    path = folder / FACTS
    known = json.loads(path.read_text()) if path.exists() else {}
    partial = path.with_suffix(".partial")
    partial.write_text(json.dumps(known | facts, default=str))
    os.replace(partial, path)


def versions(*packages: str) -> dict[str, str]:
    """Versions of Python and of installed packages."""
    found = {name: importlib.metadata.version(name) for name in packages}
    return {"python": sys.version.split()[0], **found}

"""Data sets in one file: arrays by name, or one long text."""

from __future__ import annotations

import pathlib
import zipfile
from collections.abc import Mapping
from typing import Any

import numpy as np

from kerasnas.parts import TEST_SHARE, NamedData

__all__ = ["arrays", "decoded", "text"]

_PLAIN = ("x_train", "y_train", "x_test", "y_test")
_BOXES = ("boxes", "labels")
_NAMES = "class_names"
_FEWEST = 100  # characters of a text


def arrays(path: pathlib.Path) -> NamedData:
    """Open a `.npz` file.

    It holds `x_train`, `y_train`, `x_test` and `y_test`. Instead of `y_train` there may be
    `boxes_train`, top, left, bottom and right as fractions of the image, `(n, most, 4)`, and
    `labels_train`, their classes, `(n, most)`, -1 for padding; instead of `x_train` several
    inputs, `x_train_image` and `x_train_facts`, say. Of the test part likewise. `class_names`
    may name the classes.

    Raises:
        ValueError: If it is no such file, or arrays are missing or of Python objects.
    """
    if not zipfile.is_zipfile(path):
        raise ValueError(
            f"The file is no .npz archive. Received: {path}. Save the arrays "
            f"{', '.join(_PLAIN)} with np.savez_compressed."
        )
    with np.load(path) as file:
        try:
            found = {key: file[key] for key in file}
        except ValueError as error:  # pickles, which could run code
            raise ValueError(
                f"The arrays must hold numbers. Received: {path} with Python objects. "
                "Save images of one size and whole numbers as labels."
            ) from error
    train, test = (_part(found, part, path) for part in ("train", "test"))
    inputs = [sorted(x) if isinstance(x, dict) else None for x, _ in (train, test)]
    if inputs[0] != inputs[1]:
        raise ValueError(
            "Both parts must have the same inputs. Received: "
            f"{path} with {_named(train[0])} to train and {_named(test[0])} to test on. Name "
            "them alike, as x_train_image and x_test_image."
        )
    names = [str(name) for name in found[_NAMES]] if _NAMES in found else None
    return NamedData(train, test, names)


def text(path: pathlib.Path, task: str | None = None) -> NamedData:
    """Open one long text, whose end is the test part.

    Raises:
        ValueError: If it is not in UTF-8 or too short, or something else is asked of it.
    """
    if task not in (None, "next_token"):
        raise ValueError(
            "A text alone serves the prediction of the next token. Received: "
            f'task="{task}" with {path}. Leave the task out, or pass a folder of class '
            "folders with a .txt file an example."
        )
    whole = decoded(path)
    if len(whole) < _FEWEST:
        raise ValueError(
            f"A text to learn from needs {_FEWEST} characters at the very least. Received: "
            f"{path} of {len(whole)}. Pass a longer one."
        )
    cut = round(len(whole) * (1 - TEST_SHARE))
    return NamedData(whole[:cut], whole[cut:], None, {"task": "next_token"})


def decoded(path: str | pathlib.Path) -> str:
    """The text of a file.

    Raises:
        ValueError: If it is not in UTF-8.
    """
    try:
        return pathlib.Path(path).read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(
            f"Texts are read as UTF-8. Received: {path}, which is something else at byte "
            f"{error.start}. Convert it, e.g. by `iconv -t utf-8`."
        ) from error


def _part(found: Mapping[str, Any], part: str, path: pathlib.Path) -> tuple[Any, Any]:
    """Inputs and labels of one part."""
    start = f"x_{part}_"
    several = {key.removeprefix(start): found[key] for key in found if key.startswith(start)}
    x = found.get(f"x_{part}", several or None)
    y = found.get(f"y_{part}")
    boxes = [found.get(f"{kind}_{part}") for kind in _BOXES]
    if y is None and all(one is not None for one in boxes):
        y = dict(zip(_BOXES, boxes, strict=True))
    if x is None or y is None:
        raise ValueError(
            f"The file must hold the arrays {', '.join(_PLAIN)}. Received: {path} with "
            f"{', '.join(found) or 'nothing'}. Save it with np.savez_compressed; boxes are "
            f"called boxes_{part} and labels_{part}, several inputs {start}image and so on."
        )
    return x, y


def _named(x: Any) -> str:
    return ", ".join(sorted(x)) if isinstance(x, dict) else "one input"

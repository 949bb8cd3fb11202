"""A program that shows how a file is used: generated, so that it fits this file."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from tflite_export.metadata import LABELS

__all__ = ["example_program"]


def example_program(
    metadata: Mapping[str, Any],
    shape: tuple[int, ...],
    *,
    file: str = "model.tflite",
    labels: Sequence[str] = (),
    sample: str | None = None,
) -> str:
    """Write a Python program that runs a file on inputs and prints what it says.

    It needs NumPy and `ai_edge_litert` only, and Pillow where it is given a picture. It
    prepares an input as the metadata ask for, then quantizes it by the file's own scale.

    Args:
        metadata: What `read_metadata` tells of the file.
        shape: Shape of the input with the batch, which is 1.
        file: Name of the file, which lies beside the program.
        labels: Labels to write into the program. Without them, those inside the file are
            read, if `metadata` has any.
        sample: Name of a `.npy` file beside the program with one input, which is taken when
            the program is given none.

    Returns:
        The text of the program.
    """
    about = metadata["input"]
    names = labels or metadata["labels"]
    given = "array.npy or picture.png" if _pictures(about) else "array.npy"
    head = _head(file, f"[{given} ...]" if sample else f"{given} ...").strip("\n")
    parts = [
        f"{head}\n\n{_constants(metadata, shape, file, labels)}",
        _LOAD.replace("<picture>", _picture(about)),
        _RUN.replace("<normalised>", _NORMALISED if _normalises(about) else "")
        .replace("<input>", about["name"])
        .replace("<output>", metadata["output"]["name"]),
        _CLASSES if names else _NUMBERS,
        _MAIN.replace("<default>", f" or [HERE / {_quoted(sample)}]" if sample else ""),
    ]
    program = "\n\n\n".join(part.strip("\n") for part in parts) + "\n"
    return program if names and not labels else program.replace("import zipfile\n", "")


def _head(file: str, usage: str) -> str:
    needed = "numpy and ai-edge-litert" + ", and pillow for pictures" * ("picture" in usage)
    return f'''
"""Run {file} on inputs. Needs {needed}.

    python example.py {usage}
"""

import sys
import zipfile
from pathlib import Path

import numpy as np
from ai_edge_litert.interpreter import Interpreter
'''


def _constants(
    metadata: Mapping[str, Any], shape: tuple[int, ...], file: str, labels: Sequence[str]
) -> str:
    about = metadata["input"]
    lines = ["HERE = Path(__file__).parent", f"MODEL = HERE / {_quoted(file)}"]
    lines += [f"# {text}" for text in (_one_line(about["description"]), _range(about)) if text]
    lines += [f"SHAPE = {shape[1:]!r}"]
    if _normalises(about):
        lines += [f"MEAN, STD = {_numbers(about['mean'])}, {_numbers(about['std'])}"]
    if labels:
        lines += ["LABELS = [", *(f"    {_quoted(label)}," for label in labels), "]"]
    elif metadata["labels"]:
        lines += ["with zipfile.ZipFile(MODEL) as archive:  # the labels are in the file"]
        lines += [f'    LABELS = archive.read("{LABELS}").decode().splitlines()']
    return "\n".join(lines)


def _one_line(text: str) -> str:
    return " ".join(text.split())


def _quoted(text: str | None) -> str:
    return json.dumps(text, ensure_ascii=False)


def _range(about: Mapping[str, Any]) -> str:
    if not (about["min"] and about["max"]):
        return ""
    return f"Its values are from {about['min'][0]:g} to {about['max'][0]:g}."


def _normalises(about: Mapping[str, Any]) -> bool:
    return any(about["mean"]) or any(deviation != 1 for deviation in about["std"])


def _numbers(values: Sequence[float]) -> str:
    return f"np.float32([{', '.join(f'{value:.9g}' for value in values)}])"


def _pictures(about: Mapping[str, Any]) -> bool:
    """Whether the pixels of a picture file, 0 to 255, are what goes in."""
    ranges = [about["min"], about["max"]]
    return about["content"] == "image" and ranges in ([[], []], [[0.0], [255.0]])


def _picture(about: Mapping[str, Any]) -> str:
    if not _pictures(about):
        return ""
    return _PICTURE.replace("<mode>", "L" if about["color_space"] == "grayscale" else "RGB")


_LOAD = '''
def load(path):
    """One input as it is measured, in the model's shape."""<picture>
    return np.load(path).reshape(SHAPE)
'''

_PICTURE = """
    if Path(path).suffix != ".npy":
        from PIL import Image

        height, width, _ = SHAPE
        picture = Image.open(path).convert("<mode>")
        picture = picture.resize((width, height), Image.Resampling.BILINEAR)
        return np.asarray(picture).reshape(SHAPE)"""

_NORMALISED = """
    x = (x - MEAN) / STD"""

_RUN = '''
def run(x):
    """The model's output for one input, in real numbers."""
    model = Interpreter(str(MODEL), num_threads=1).get_signature_runner("serving_default")
    source = model.get_input_details()["<input>"]
    target = model.get_output_details()["<output>"]
    x = x[np.newaxis].astype(np.float32)<normalised>
    scale, zero_point = source["quantization"]
    if scale:  # the file computes with integers
        limits = np.iinfo(source["dtype"])
        x = np.clip(np.round(x / np.float32(scale)) + zero_point, limits.min, limits.max)
    y = model(**{"<input>": x.astype(source["dtype"])})["<output>"][0]
    scale, zero_point = target["quantization"]
    return (y.astype(np.float32) - zero_point) * np.float32(scale) if scale else y
'''

_CLASSES = '''
def show(y):
    """The likeliest classes, each with the model's score, the likeliest first."""
    for index in np.argsort(-y)[:3]:
        print(f"{LABELS[index]}\\t{y[index]:.4g}")
'''

_NUMBERS = '''
def show(y):
    """The model's numbers."""
    print(*(f"{value:.6g}" for value in np.ravel(y)))
'''

_MAIN = """
if __name__ == "__main__":
    paths = sys.argv[1:]<default>
    if not paths:
        sys.exit(__doc__)
    for path in paths:
        show(run(load(path)))
"""

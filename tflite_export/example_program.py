"""A program that shows how a file is used: generated, so that it fits this file."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from tflite_export.answers import answer_of
from tflite_export.metadata import LABELS

__all__ = ["example_program"]


def example_program(
    metadata: Mapping[str, Any],
    shape: tuple[int, ...] | Mapping[str, tuple[int, ...]],
    *,
    file: str = "model.tflite",
    labels: Sequence[str] = (),
    sample: str | None = None,
    task: str | None = None,
) -> str:
    """Write a Python program that runs a file on inputs and prints what it says.

    It needs NumPy and `ai_edge_litert` only, and Pillow where it is given a picture. It
    prepares an input as the metadata ask for, then quantizes it by the file's own scale. Of
    several inputs it is given `.npz` files, with an array for each by name.

    Args:
        metadata: What `read_metadata` tells of the file.
        shape: Shape of the input with the batch, which is 1; of several inputs one for each,
            by name.
        file: Name of the file, which lies beside the program.
        labels: Labels to write into the program. Without them, those inside the file are
            read, if `metadata` has any.
        sample: Name of a `.npy` file (`.npz` of several inputs) beside the program with one
            example, which is taken when the program is given none.
        task: What the network was trained for, as in `with_metadata`: the program says what
            that is about. `None` takes a file with labels for a classifier, and prints the
            numbers of others.

    Returns:
        The text of the program.

    Raises:
        ValueError: If there is no such task.
    """
    names = labels or metadata["labels"]
    if isinstance(shape, Mapping):
        given, load, run = _SEVERAL_GIVEN, _LOAD_SEVERAL, _RUN_SEVERAL
    else:
        about = metadata["input"]
        given = "array.npy or picture.png" if _pictures(about) else "array.npy"
        load = _LOAD.replace("<picture>", _picture(about))
        run = _RUN.replace("<normalised>", _NORMALISED if _normalises(about) else "")
        run = run.replace("<input>", about["name"])
    head = _head(file, f"[{given} ...]" if sample else f"{given} ...").strip("\n")
    parts = [
        f"{head}\n\n{_constants(metadata, shape, file, labels, task)}",
        load,
        run.replace("<output>", metadata["output"]["name"]),
        *_shown(task, bool(names)),
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


def _shown(task: str | None, labelled: bool) -> list[str]:
    """The parts that print what an output says."""
    if task is None and not labelled:
        return [_NUMBERS]
    return [_NAMED if labelled else _NUMBERED, answer_of(task or "classification").program]


def _constants(
    metadata: Mapping[str, Any],
    shape: tuple[int, ...] | Mapping[str, tuple[int, ...]],
    file: str,
    labels: Sequence[str],
    task: str | None,
) -> str:
    lines = ["HERE = Path(__file__).parent", f"MODEL = HERE / {_quoted(file)}"]
    if isinstance(shape, Mapping):
        lines += _about_several(metadata["inputs"], shape)
    else:
        about = metadata["input"]
        said = (_one_line(about["description"]), _range(about))
        lines += [f"# {text}" for text in said if text]
        lines += [f"SHAPE = {shape[1:]!r}"]
        if _normalises(about):
            lines += [f"MEAN, STD = {_numbers(about['mean'])}, {_numbers(about['std'])}"]
    if task is not None and "PIXELS" in answer_of(task).program:
        shapes = list(shape.values()) if isinstance(shape, Mapping) else [shape]
        image = next((each for each in shapes if len(each) == 4), shapes[0])
        lines += [f"PIXELS = {image[1:3]!r}  # height and width of the image"]
    if labels:
        lines += ["LABELS = [", *(f"    {_quoted(label)}," for label in labels), "]"]
    elif metadata["labels"]:
        lines += ["with zipfile.ZipFile(MODEL) as archive:  # the labels are in the file"]
        lines += [f'    LABELS = archive.read("{LABELS}").decode().splitlines()']
    return "\n".join(lines)


def _about_several(
    inputs: Sequence[Mapping[str, Any]], shapes: Mapping[str, tuple[int, ...]]
) -> list[str]:
    lines = ["SHAPES = {"]
    for about in inputs:
        said = (_one_line(about["description"]), _range(about))
        lines += [f"    # {text}" for text in said if text]
        lines += [f"    {_quoted(about['name'])}: {tuple(shapes[about['name']])[1:]!r},"]
    lines += ["}", "NORMALISATION = {  # mean and deviation"]
    lines += [
        f"    {_quoted(about['name'])}: ({_numbers(about['mean'])}, {_numbers(about['std'])}),"
        for about in inputs
        if _normalises(about)
    ]
    return [*lines, "}"]


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

_SEVERAL_GIVEN = "arrays.npz"

_LOAD_SEVERAL = '''
def load(path):
    """One example as it is measured: an array for each input, in the model's shapes."""
    with np.load(path) as arrays:
        return {name: arrays[name].reshape(shape) for name, shape in SHAPES.items()}
'''

_RUN_SEVERAL = '''
def run(x):
    """The model's output for one example, in real numbers."""
    model = Interpreter(str(MODEL), num_threads=1).get_signature_runner("serving_default")
    given = {}
    for name, source in model.get_input_details().items():
        mean, std = NORMALISATION.get(name, (0, 1))
        value = (x[name][np.newaxis].astype(np.float32) - mean) / std
        scale, zero_point = source["quantization"]
        if scale:  # the file computes with integers
            limits = np.iinfo(source["dtype"])
            value = np.round(value / np.float32(scale)) + zero_point
            value = np.clip(value, limits.min, limits.max)
        given[name] = value.astype(source["dtype"])
    target = model.get_output_details()["<output>"]
    y = model(**given)["<output>"][0]
    scale, zero_point = target["quantization"]
    return (y.astype(np.float32) - zero_point) * np.float32(scale) if scale else y
'''

_NAMED = '''
def named(index):
    """The label of an output."""
    return LABELS[index]
'''

_NUMBERED = '''
def named(index):
    """The number of an output: it has no label."""
    return str(index)
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

"""What ships: the file, its C array, an example, and a model card, in one folder."""

from __future__ import annotations

import io
import os
import shutil
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from edge_devices.inputs import Given, as_inputs, by_name
from tflite_export.c_source import c_array
from tflite_export.card import model_card
from tflite_export.device_costs import device_costs, file_costs
from tflite_export.example_program import example_program
from tflite_export.metadata import Normalisation, Range, read_metadata, with_metadata
from tflite_export.report import Report

__all__ = ["Package", "package"]

_FILE, _EXAMPLE, _CARD = "model.tflite", "example.py", "MODEL_CARD.md"
_SAMPLE, _SAMPLES = "example.npy", "example.npz"


class Package(NamedTuple):
    """A folder that ships.

    Attributes:
        folder: Where it is.
        files: Names of the files that were written, in alphabetical order.
        bytes: Size of `model.tflite`, metadata included.
        notes: Sentences that are also in the model card: what was left out, and why.
    """

    folder: Path
    files: tuple[str, ...]
    bytes: int
    notes: tuple[str, ...]


def package(
    folder: str | os.PathLike[str],
    content: bytes,
    report: Report | Mapping[str, Any],
    *,
    name: str = "model",
    labels: Sequence[str] | None = None,
    input: str | Mapping[str, str] = "",
    output: str = "",
    task: str | None = None,
    normalisation: Normalisation | Mapping[str, Normalisation] = (0.0, 1.0),
    value_range: Range | Mapping[str, Range] | None = None,
    image: bool | Mapping[str, bool] | None = None,
    description: str = "",
    version: str = "",
    author: str = "",
    license: str = "",
    sample: Given | None = None,
    limits: Mapping[str, float] | None = None,
    devices: Sequence[Any] | None = None,
    data: Mapping[str, Any] | None = None,
    confusion: Sequence[Sequence[int]] | None = None,
    search: Mapping[str, Any] | None = None,
    versions: Mapping[str, str] | None = None,
) -> Package:
    """Write a file with all that is needed to use it.

    | file                  | what it is                                                     |
    |-----------------------|----------------------------------------------------------------|
    | `model.tflite`        | the network, with labels and the input described in metadata   |
    | `model.h`, `model.cc` | the network for TensorFlow Lite Micro; see `c_array`           |
    | `example.py`          | runs the file; needs NumPy and `ai_edge_litert` only           |
    | `example.npy`         | the `sample`, if there is one; of several inputs `example.npz` |
    | `MODEL_CARD.md`       | what is known of the file; see `model_card`                    |

    The C array is the network alone: what is only for people takes none of a
    microcontroller's flash. It is left out where TensorFlow Lite Micro cannot run the file,
    and the metadata where they would carry the file over its limit; the card says so.

    Each file appears complete or not at all, and none before all could be made. Others in
    the folder stay.

    Args:
        folder: Where to write. Missing folders are made, files of these names replaced.
        content: The bytes of a `.tflite` file of one output.
        report: What `export` returned of it, or its `to_dict()`.
        name: Name of the model.
        labels: Names of the classes, in the order of the outputs.
        input: As in `with_metadata`, and so on to `license`.
        output: Likewise.
        task: Likewise; the example and the C header go by it too.
        normalisation: Likewise.
        value_range: Likewise.
        image: Likewise.
        description: Likewise.
        version: Likewise.
        author: Likewise.
        license: Likewise.
        sample: One input as it is measured, without the batch, to try the example with; of
            several inputs one for each, by name.
        limits: Upper bounds that were asked for, in base units. `flash` is kept.
        devices: `edge_devices.Device`s to tell the costs on; `None` takes all that are known.
        data: For the card, as in `model_card`.
        confusion: Likewise.
        search: Likewise.
        versions: Likewise.

    Returns:
        What was written.

    Raises:
        ValueError: If labels, numbers or sample do not fit the file; nothing is written.
    """
    facts = report.to_dict() if isinstance(report, Report) else dict(report)
    described = with_metadata(
        content,
        labels=labels,
        input=input,
        output=output,
        task=task,
        normalisation=normalisation,
        value_range=value_range,
        image=image,
        name=name,
        description=description,
        version=version,
        author=author,
        license=license,
    )
    metadata = read_metadata(described)
    notes = []
    limit = (limits or {}).get("flash")
    fits = limit is None or len(described) <= limit or len(content) > limit
    if not fits:
        notes.append(
            f"The metadata are left out of {_FILE}: with them it would have "
            f"{len(described):,} bytes, over its limit. Labels are in {_EXAMPLE}."
        )
    shape = _shapes(facts["input"])
    shipped = described if fits else content
    files: dict[str, bytes] = {}
    try:
        told = metadata["output"]["description"]
        array = c_array(content, labels=labels or (), output=told)
        files["model.h"], files["model.cc"] = array.header.encode(), array.source.encode()
    except ValueError as error:
        notes.append(f"There is no C array for microcontrollers. {error}")
    example = None
    if sample is not None:
        example = _SAMPLES if isinstance(shape, Mapping) else _SAMPLE
        files[example] = _sample(sample, shape)
    files[_EXAMPLE] = example_program(
        metadata,
        shape,
        file=_FILE,
        labels=() if fits else labels or (),
        sample=example,
        task=task,
    ).encode()
    files[_CARD] = model_card(
        {**facts, "bytes": len(shipped)},
        name=name,
        data=data,
        labels=labels or (),
        task=task,
        confusion=confusion,
        costs=file_costs(content, len(shipped)),
        limits=limits,
        devices=device_costs(content, devices, size=len(shipped)),
        search=search,
        notes=notes,
        versions=versions,
    ).encode()
    files[_FILE] = shipped
    _write(Path(folder), files)
    return Package(Path(folder), tuple(sorted(files)), len(shipped), tuple(notes))


def _shapes(about: Mapping[str, Any]) -> tuple[int, ...] | dict[str, tuple[int, ...]]:
    """The shape of the input of a report; of several inputs one for each, by name."""
    if "dtype" in about:
        return tuple(about["shape"])
    return {name: tuple(info["shape"]) for name, info in about.items()}


def _sample(sample: Given, shape: tuple[int, ...] | Mapping[str, tuple[int, ...]]) -> bytes:
    """An example as a file of NumPy's."""
    given = as_inputs(sample)
    stream = io.BytesIO()
    if isinstance(shape, Mapping):
        if isinstance(given, Mapping):
            given = {name: array[None] for name, array in given.items()}
        arrays = {name: array[0] for name, array in by_name(given, shape).items()}
        for name, array in arrays.items():
            _check_sample(array, shape[name][1:], f"The sample of {name!r}")
        np.savez(stream, **arrays)
    else:
        array = np.asarray(given)
        _check_sample(array, shape[1:], "The sample")
        np.save(stream, array, allow_pickle=False)
    return stream.getvalue()


def _check_sample(array: NDArray[Any], shape: tuple[int, ...], called: str) -> None:
    if array.shape != shape:
        raise ValueError(
            f"{called} must be one input of shape {shape}. Received: shape {array.shape}. "
            "Pass one example without the batch, e.g. `sample=x_test[0]`."
        )


def _write(folder: Path, files: Mapping[str, bytes]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    temporary = folder / f".package.{uuid.uuid4().hex}"
    temporary.mkdir()
    try:
        for name, text in files.items():
            (temporary / name).write_bytes(text)
        for name in files:
            os.replace(temporary / name, folder / name)
    finally:
        shutil.rmtree(temporary)

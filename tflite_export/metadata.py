"""What a program must know to use a file, inside the file: labels, input, normalisation."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeVar

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from edge_devices.inputs import input_names
from edge_devices.source import Source, content_of
from tflite_export.answers import answer_of, outputs_labelled
from tflite_export.compaction import packed, unpacked
from tflite_export.flatbuffer_tables import (
    Byte,
    Fields,
    Table,
    Unsigned,
    byte_at,
    floats_at,
    pack,
    root,
    table_at,
    tables_at,
    text_at,
)
from tflite_export.inspection import parse

__all__ = ["LABELS", "read_metadata", "with_metadata"]

LABELS = "labels.txt"
"""Name of the file with the labels, one a line, in the zip archive at a file's end."""

_ENTRY = b"TFLITE_METADATA"
_SIGNATURE = b"serving_default"
_IDENTIFIER = b"M001"
_PARSER = "1.0.0"  # of the schema; everything written here has been in it from the start
_EPOCH = (1980, 1, 1, 0, 0, 0)  # a time in the archive would make equal files differ

# Slots of the tables in metadata_schema.fbs; a union takes two, its type first.
_MODEL = {
    "name": 0,
    "description": 1,
    "version": 2,
    "graphs": 3,
    "author": 4,
    "license": 5,
    "min_parser_version": 7,
}
_INPUTS, _OUTPUTS = 2, 3
_CONTENT, _UNITS, _STATS, _FILES = 3, 4, 5, 6
_FEATURES, _IMAGE = 1, 2
_NORMALISATION = 1
_AXIS_LABELS = 2
_COLORS = {1: "grayscale", 3: "rgb"}
_COLOR_CODES = {"rgb": 1, "grayscale": 2}

Numbers = float | Sequence[float]
Normalisation = tuple[Numbers, Numbers]
Range = tuple[float, float]
T = TypeVar("T")


def with_metadata(
    content: bytes,
    *,
    labels: Sequence[str] | None = None,
    input: str | Mapping[str, str] = "",
    output: str = "",
    task: str | None = None,
    normalisation: Normalisation | Mapping[str, Normalisation] = (0.0, 1.0),
    value_range: Range | Mapping[str, Range] | None = None,
    image: bool | Mapping[str, bool] | None = None,
    name: str = "",
    description: str = "",
    version: str = "",
    author: str = "",
    license: str = "",
) -> bytes:
    """Write a file again with what a program needs to know to use it.

    By the conventions of TensorFlow Lite's metadata, which Android Studio, MediaPipe and the
    Task Library read: a FlatBuffer of its own in the entry `TFLITE_METADATA`, and the labels
    as `labels.txt` in a zip archive behind the file, which `zipfile` opens. Interpreters do
    not look at either. The signature is called `serving_default`, and the metadata call
    input and output as it does.

    Operators, weights and results stay; so does the alignment of the weights, of which
    interpreters rely on 16 bytes. About 800 bytes are added, and the labels. Metadata and
    archive that were there are replaced.

    What is said of the input may be a dictionary by the names of the signature; of several
    inputs it must be one, which need not say something of each.

    Args:
        content: The bytes of a `.tflite` file of one output.
        labels: Names of the classes in the order of the outputs; none may hold a line break.
        input: What is to be put in, for people.
        output: What comes out, for people; what `task` has to say by default.
        task: What the network was trained for, of which the meaning of its output follows:
            `"classification"`, `"multilabel"`, `"regression"`, `"segmentation"`,
            `"detection"` or `"next_token"`, with logits as scores. `None` says nothing.
        normalisation: `(mean, std)`, numbers or one for each channel: the program is to put
            `(x - mean) / std` in, for a quantized file before it quantizes. `(0, 1)` is for
            models that normalise inside, as those of a search do.
        value_range: `(least, largest)` value that is put in.
        image: Whether an input is an image, whose size and colours are then described.
            `None` takes it for one if its shape is that of a grey or colour image.
        name: Name of the model.
        description: What the model does.
        version: The author's version of it.
        author: Who made it.
        license: On what terms it may be used.

    Returns:
        The bytes of the file with metadata.

    Raises:
        ValueError: If `content` is no `.tflite` file of one output, if there is not one
            label an output (of a detector, one a class), if labels or numbers cannot be
            used, or if something is said of an input that there is not.

    Reference:
        `metadata_schema.fbs` 1.1.0 of TensorFlow Lite Support,
        https://github.com/tensorflow/tflite-support.
    """
    model = unpacked(content_of(content))
    graph = model.subgraphs[0]
    if len(graph.outputs) != 1:
        raise ValueError(
            "Metadata are written for files with one output. Received: "
            f"{len(graph.outputs)} outputs. Join them inside the model."
        )
    channels = int(graph.tensors[graph.outputs[0]].shape[-1])
    names = _checked_labels(labels, outputs_labelled(channels, task))
    sources, target = _signature(model, content_of(content))
    said: dict[str, dict[str, Any]] = {
        "input": _each(input, "", sources, "input"),
        "normalisation": _each(normalisation, (0.0, 1.0), sources, "normalisation"),
        "value_range": _each(value_range, None, sources, "value_range"),
        "image": _each(image, None, sources, "image"),
    }
    about_inputs = [
        _about_input(
            source,
            [int(size) for size in graph.tensors[index].shape],
            **{key: values[source] for key, values in said.items()},
        )
        for source, index in zip(sources, graph.inputs, strict=True)
    ]
    if task is not None and not output:
        output = answer_of(task).sentence
    about_output: Fields = {0: target, 1: output, _CONTENT: _content(None)}
    if names:
        about_labels: Fields = {0: LABELS, 1: "Names of the classes.", 2: Byte(_AXIS_LABELS)}
        about_output[_FILES] = [Table(4, about_labels)]
    described: dict[str, Any] = {
        "name": name,
        "description": description,
        "version": version,
        "graphs": [Table(7, {_INPUTS: about_inputs, _OUTPUTS: [Table(7, about_output)]})],
        "author": author,
        "license": license,
        "min_parser_version": _PARSER,
    }
    _attach(model, Table(8, {_MODEL[key]: value for key, value in described.items()}))
    rewritten = packed(model)
    return _with_archive(rewritten, names) if names else rewritten


def read_metadata(source: Source) -> dict[str, Any]:
    """Read the metadata of a file, whatever program wrote them.

    Args:
        source: Path or bytes of a `.tflite` file.

    Returns:
        `name`, `description`, `version`, `author`, `license` and `min_parser_version`, each
        text, empty where it is not told; `labels`, a list; `inputs`, a list; `input`, the
        first of them; and `output`. The latter are dictionaries with `name`, `description`,
        `content` (`"image"`, `"features"` or `"other"`), `color_space` (`"rgb"`,
        `"grayscale"` or `""`), and the lists `mean`, `std`, `min` and `max`, empty where they
        are not told.

    Raises:
        ValueError: If it is no `.tflite` file, or has no metadata.
    """
    content = content_of(source)
    model = parse(content)
    entries = (model.Metadata(index) for index in range(model.MetadataLength()))
    buffer = next((entry.Buffer() for entry in entries if entry.Name() == _ENTRY), None)
    if buffer is None:
        raise ValueError(
            f"This file has no metadata. Received: {len(content):,} bytes without an entry "
            f"{_ENTRY.decode()!r}. Write some with `tflite_export.with_metadata`."
        )
    data = model.Buffers(buffer).DataAsNumpy().tobytes()
    top = root(data)
    graph = next(iter(tables_at(top, _MODEL["graphs"])), None)
    told: dict[str, Any] = {
        key: text_at(top, slot) for key, slot in _MODEL.items() if key != "graphs"
    }
    outputs = _tensors_told(graph, _OUTPUTS)
    told["inputs"] = _tensors_told(graph, _INPUTS)
    told["labels"] = _labels(content, outputs[0]["files"])
    for tensor in (*told["inputs"], *outputs):
        tensor.pop("files")
    told["input"], told["output"] = told["inputs"][0], outputs[0]
    return told


def _each(
    said: T | Mapping[str, T], default: T, names: Sequence[str], what: str
) -> dict[str, T]:
    """What is said of each input by its name."""
    if not isinstance(said, Mapping):
        if len(names) > 1 and said != default:
            raise ValueError(
                f"Of several inputs {what} is a dictionary by their names. Received: "
                f"{what}={said!r} for {', '.join(map(repr, names))}. Pass "
                f"{what}={{{names[0]!r}: ...}}."
            )
        return dict.fromkeys(names, said)
    unknown = [name for name in said if name not in names]
    if unknown:
        raise ValueError(
            f"{what} must speak of inputs of the file, which are "
            f"{', '.join(map(repr, names))}. Received: {unknown[0]!r}. Leave it out."
        )
    return {name: said.get(name, default) for name in names}


def _about_input(
    name: str,
    shape: Sequence[int],
    *,
    input: str,
    normalisation: Normalisation,
    value_range: Range | None,
    image: bool | None,
) -> Table:
    """The table of an input."""
    mean, std = _checked_normalisation(normalisation, shape[-1])
    like_an_image = len(shape) == 4 and shape[3] in _COLORS
    if image and not like_an_image:
        raise ValueError(
            "An image has height, width and one or three channels. Received: image=True for "
            f"an input of shape {tuple(shape)}. Pass image=False."
        )
    about: Fields = {
        0: name,
        1: input,
        _CONTENT: _content(shape if image or (image is None and like_an_image) else None),
        _UNITS: [Table(2, {0: Byte(_NORMALISATION), 1: Table(2, {0: mean, 1: std})})],
    }
    if value_range is not None:
        least, largest = map(float, value_range)
        about[_STATS] = Table(2, {0: [largest], 1: [least]})
    return Table(7, about)


def _checked_labels(labels: Sequence[str] | None, classes: int) -> tuple[str, ...]:
    names = tuple(str(label) for label in labels or ())
    if names and len(names) != classes:
        raise ValueError(
            f"There must be one label for each of the file's {classes} outputs. Received: "
            f"{len(names)} labels, {list(names[:5])}. Pass them in the order of the classes."
        )
    wrong = [label for label in names if not label.strip() or len(label.splitlines()) > 1]
    if wrong:
        raise ValueError(
            f"A label must be one line of text. Received: {wrong[0]!r}. Name the class "
            "without line breaks: the labels are kept one a line."
        )
    return names


def _checked_normalisation(
    normalisation: tuple[Numbers, Numbers], channels: int
) -> tuple[list[float], list[float]]:
    mean, std = (np.atleast_1d(np.asarray(n, np.float32)).tolist() for n in normalisation)
    fits = all(len(numbers) in (1, channels) for numbers in (mean, std))
    if not fits or not all(np.isfinite([*mean, *std])) or 0 in std:
        raise ValueError(
            "normalisation must be a mean and a standard deviation that is not zero, each a "
            f"number or one for each of {channels} channels. Received: "
            f"normalisation={normalisation!r}. Pass e.g. (127.5, 127.5) for values of "
            "-1 to 1, or (0, 1) where the model normalises inside."
        )
    return mean, std


def _signature(model: Any, content: bytes) -> tuple[tuple[str, ...], str]:
    """What the model's signature calls inputs and output; without one, it is given one."""
    graph = model.subgraphs[0]
    found = next((each for each in model.signatureDefs or [] if not each.subgraphIndex), None)
    names = input_names(content)
    if found is None:
        names = ("input",) if len(names) == 1 else names
        found = schema.SignatureDefT()
        found.inputs = list(map(_named, names, graph.inputs))
        found.outputs = [_named("output", graph.outputs[0])]
        model.signatureDefs = [*(model.signatureDefs or []), found]
    found.signatureKey = _SIGNATURE
    return names, found.outputs[0].name.decode()


def _named(name: str, index: int) -> Any:
    entry = schema.TensorMapT()
    entry.name, entry.tensorIndex = name.encode(), int(index)
    return entry


def _content(image: Sequence[int] | None) -> Table:
    """The table `Content` of an image `(1, height, width, channels)`, or of features."""
    if image is None:
        return Table(3, {0: Byte(_FEATURES), 1: Table(0, {})})
    _, height, width, channels = image
    color = _COLOR_CODES[_COLORS[channels]]
    size = Table(2, {0: Unsigned(width), 1: Unsigned(height)})
    return Table(3, {0: Byte(_IMAGE), 1: Table(2, {0: Byte(color), 1: size})})


def _attach(model: Any, metadata: Table) -> None:
    data = np.frombuffer(pack(metadata, _IDENTIFIER), np.uint8)
    entries = model.metadata or []
    entry = next((each for each in entries if each.name == _ENTRY), None)
    if entry is None:
        entry = schema.MetadataT()
        entry.name, entry.buffer = _ENTRY, len(model.buffers)
        model.buffers.append(schema.BufferT())
        model.metadata = [*entries, entry]
    model.buffers[entry.buffer].data = data


def _with_archive(content: bytes, labels: Iterable[str]) -> bytes:
    """The file with a zip archive of the labels behind it, whose offsets count from its start.

    They are not compressed, so that they can be used where the file is mapped into memory.
    """
    stream = io.BytesIO()
    stream.write(content)
    with zipfile.ZipFile(stream, "a") as archive:
        archive.writestr(zipfile.ZipInfo(LABELS, _EPOCH), "".join(f"{n}\n" for n in labels))
    return stream.getvalue()


def _tensors_told(graph: Any, side: int) -> list[dict[str, Any]]:
    """What is told of the inputs or outputs, at least of one."""
    tensors = [] if graph is None else list(tables_at(graph, side))
    return [_tensor_told(tensor) for tensor in tensors or [None]]


def _tensor_told(tensor: Any) -> dict[str, Any]:
    told: dict[str, Any] = {"name": "", "description": "", "content": "other"}
    told |= {"color_space": "", "mean": [], "std": [], "min": [], "max": [], "files": []}
    if tensor is None:
        return told
    told |= {"name": text_at(tensor, 0), "description": text_at(tensor, 1)}
    content = table_at(tensor, _CONTENT)
    if content is not None:
        kind = byte_at(content, 0)
        told["content"] = {_FEATURES: "features", _IMAGE: "image"}.get(kind, "other")
        if kind == _IMAGE:
            colors = {code: name for name, code in _COLOR_CODES.items()}
            told["color_space"] = colors.get(byte_at(table_at(content, 1), 0), "")
    for unit in tables_at(tensor, _UNITS):
        if byte_at(unit, 0) == _NORMALISATION:
            options = table_at(unit, 1)
            told |= {"mean": floats_at(options, 0), "std": floats_at(options, 1)}
    statistics = table_at(tensor, _STATS)
    told |= {"max": floats_at(statistics, 0), "min": floats_at(statistics, 1)}
    told["files"] = [
        text_at(file, 0)
        for file in tables_at(tensor, _FILES)
        if byte_at(file, 2) == _AXIS_LABELS
    ]
    return told


def _labels(content: bytes, files: Sequence[str]) -> list[str]:
    if not files:
        return []
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        return archive.read(files[0]).decode().splitlines()

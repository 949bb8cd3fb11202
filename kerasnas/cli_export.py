"""`kerasnas export`: a trained model in, a verified file or a package out."""

from __future__ import annotations

import argparse
import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import kerasnas
from edge_devices.units import format_cost
from kerasnas.cli_search import PROJECT, add_max_accuracy_drop, image_size, versions

if TYPE_CHECKING:
    from kerasnas.examples import Examples
    from kerasnas.result import SearchResult
    from search_spaces.task import Task

__all__ = ["add_export"]

_NEED_DATA = ("int8", "int16x8", "int4")
_FILE = ".tflite"


def add_export(commands: Any) -> None:
    """Add the command to the command line."""
    export = commands.add_parser(
        "export",
        help="export a Keras model, or what a search found, and verify the file",
        description="Write a Keras model as a .tflite file, run both on the test examples of "
        "a data set and say how well they agree.",
    )
    export.set_defaults(run=_export)
    add = export.add_argument
    add(
        "model",
        type=Path,
        metavar="MODEL",
        help="a .keras file, or the output folder of a search",
    )
    add(
        "--quantization",
        choices=["int8", "int16x8", "int4", "float16", "dynamic", "float32"],
        help="the device's, or int8",
    )
    add(
        "--dataset",
        help="what to calibrate and verify on, as for `kerasnas search`; that of the search "
        "if MODEL is one",
    )
    add(
        "--output",
        type=Path,
        metavar="PATH",
        help="a .tflite file or a folder to write (beside MODEL, or its subfolder exported)",
    )
    add("--device", metavar="NAME", help="refuse a file that does not fit this device")
    add(
        "--package",
        action="store_true",
        help="write model.h and model.cc, example.py and MODEL_CARD.md too",
    )
    add_max_accuracy_drop(export)
    add("--image-size", type=image_size, metavar="HxW", help="resize images (the model's)")
    add("--seed", type=int, default=0, metavar="N", help="seeds everything random (0)")
    add("--quiet", action="store_true", help="say nothing but errors")


class _Source(NamedTuple):
    """What is exported: the model's file, and the search that found it."""

    file: Path
    result: SearchResult | None
    dataset: str | None


def _export(options: argparse.Namespace) -> None:
    if not options.model.exists():
        raise ValueError(
            f"There is no such file or folder. Received: MODEL={str(options.model)!r}. Pass a "
            ".keras file, or the output folder of `kerasnas search`."
        )
    target = _target(options)
    kerasnas.export  # noqa: B018 - loads TensorFlow, quietly, before anything else does
    from kerasnas.costs import as_device, exceeded
    from kerasnas.shipping import Shipment, export

    device = as_device(options.device)
    quantization = options.quantization or ("int8" if device is None else device.quantization)
    source = _source(options.model)
    dataset = options.dataset or source.dataset
    if dataset is None and (quantization in _NEED_DATA or options.package):
        raise ValueError(
            "A data set is needed, to calibrate and verify on. Received: no --dataset with "
            f"quantization {quantization}. Pass one, as for `kerasnas search`; without a "
            "package, float32, float16 and dynamic need none."
        )
    model, front = _loaded(source.file), None
    if source.result is not None:
        front, model = source.result.exported(model)
    data = None if dataset is None else _data(dataset, options, model, front, source.result)
    report, inaccurate = export(
        model,
        target,
        quantization,
        None if data is None else data.train,
        None if data is None else data.test,
        task=None if data is None else data.task,
        device=device,
        points=options.max_accuracy_drop,
        seed=options.seed,
    )
    notes: list[str] = []
    if options.package and data is not None:
        shipped = Shipment(
            model=model,
            report=report,
            dataset=data.name,
            class_names=data.class_names,
            train=data.train,
            test=data.test,
            task=data.task,
            result=source.result,
            limits={} if device is None else device.limits,
            device=device,
            versions=versions(),
        ).package(target.parent, target.read_bytes())
        report = dataclasses.replace(report, bytes=shipped.bytes)
        notes = [*shipped.notes, f"wrote {', '.join(shipped.files)} to {shipped.folder}"]
    if not options.quiet:
        print(report, *notes, sep="\n")
    if inaccurate is not None:
        raise inaccurate
    if device is not None:
        _check_device(target.read_bytes(), device, exceeded)


def _target(options: argparse.Namespace) -> Path:
    """The file to write; a package's has the name that the package gives it."""
    output: Path | None = options.output
    if output is None and options.model.is_dir():
        output = options.model / "exported"
    elif output is None:
        plain: Path = options.model.with_suffix("" if options.package else _FILE)
        output = plain
    if output.suffix != _FILE or output.is_dir():
        return output / "model.tflite"
    if options.package:
        raise ValueError(
            f"A package is a folder. Received: --output {output} with --package. Pass a "
            "folder, or leave --package out."
        )
    return output


def _source(path: Path) -> _Source:
    if not path.is_dir():
        return _Source(path, None, None)
    from kerasnas.result import JOURNAL, MODEL, SearchResult

    folders = [each for each in (path / PROJECT, path) if (each / JOURNAL).exists()]
    result = SearchResult(folders[0]) if folders else None
    file = next((each / MODEL for each in (path, *folders) if (each / MODEL).exists()), None)
    if file is None:
        raise ValueError(
            f"The folder holds no model. Received: MODEL={str(path)!r} without {MODEL}. Pass "
            "the output folder of a search that has ended, or a .keras file."
        )
    summary = path / "summary.json"
    told = json.loads(summary.read_text()) if summary.exists() else {}
    return _Source(file, result, told.get("dataset"))


def _loaded(path: Path) -> Any:
    import keras

    try:
        return keras.models.load_model(path)
    except Exception as error:
        raise ValueError(
            f"Keras cannot load the model. Received: {path} ({type(error).__name__}: "
            f"{' '.join(str(error).split()):.200}). Pass a .keras file that `model.save` "
            "wrote; models with layers of one's own are exported from Python."
        ) from error


class _Data(NamedTuple):
    """A data set, read in the size that the model takes."""

    name: str
    train: Examples
    test: Examples
    task: Task
    class_names: Sequence[str] | None


def _data(
    name: str,
    options: argparse.Namespace,
    model: Any,
    front: Any,
    result: SearchResult | None,
) -> _Data:
    from kerasnas.data import read
    from kerasnas.datasets import open_dataset
    from kerasnas.scoring import through
    from kerasnas.shipping import VERIFIED
    from search_spaces.task import Classification

    shape = model.input_shape
    shape = () if isinstance(shape, dict) else tuple(shape[1:])
    size = options.image_size or (shape[:2] if len(shape) == 3 else None)
    data = open_dataset(name, image_size=size)
    if result is not None and result.task is not None:
        task, parts = result.task, [result.read(part) for part in (data.train, data.test)]
    else:
        task = Classification(max(2, int(model.output_shape[-1])))
        layout = {1: "table", 2: "series", 3: "images"}.get(len(shape))
        parts = [read(part, layout=layout) for part in (data.train, data.test)]
    parts = [through(front, part) for part in parts]
    test = parts[1].stratified_subset(VERIFIED, options.seed)
    return _Data(name, parts[0], test, task, data.class_names)


def _check_device(content: bytes, device: Any, exceeded: Any) -> None:
    from edge_devices.flatbuffer import read

    broken = exceeded(content, device.limits, device)
    wrong = [
        f"{name} {format_cost(name, cost)} of {format_cost(name, device.limits[name])}"
        for name, cost in broken.items()
    ] + list(device.unsupported(read(content)))
    if wrong:
        raise RuntimeError(
            f"The file does not fit the device. Received: {', '.join(wrong)} for "
            f"{device.name!r}. Choose another quantization or device, or search a network "
            f"with `kerasnas search --device {device.name}`."
        )

"""`kerasnas export`: a trained model in, a verified file or a package out."""

from __future__ import annotations

import argparse
import dataclasses
import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import kerasnas
from edge_devices.units import format_cost
from kerasnas.cli_data import add_data_options
from kerasnas.cli_search import PROJECT, add_max_accuracy_drop, versions

if TYPE_CHECKING:
    from edge_devices.device import Device
    from kerasnas.export_data import ExportData
    from kerasnas.result import SearchResult
    from kerasnas.shipping import Shipment

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
    add_data_options(export)
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
    add("--seed", type=int, default=0, metavar="N", help="seeds everything random (0)")
    add("--quiet", action="store_true", help="say nothing but errors")


class _Source(NamedTuple):
    """What is exported: the model's file, the search that found it, and its data set."""

    file: Path
    result: SearchResult | None
    told: Mapping[str, Any]


def _export(options: argparse.Namespace) -> None:
    if not options.model.exists():
        raise ValueError(
            f"There is no such file or folder. Received: MODEL={str(options.model)!r}. Pass a "
            ".keras file, or the output folder of `kerasnas search`."
        )
    target = _target(options)
    kerasnas.export  # noqa: B018 - loads TensorFlow, quietly, before anything else does
    from kerasnas import companions
    from kerasnas.costs import as_device
    from kerasnas.export_data import export_data
    from kerasnas.shipping import export

    device = as_device(options.device)
    quantization = options.quantization or ("int8" if device is None else device.quantization)
    source = _source(options.model)
    _take_what_is_told(options, source)
    if options.dataset is None and (quantization in _NEED_DATA or options.package):
        raise ValueError(
            "A data set is needed, to calibrate and verify on. Received: no --dataset with "
            f"quantization {quantization}. Pass one, as for `kerasnas search`; without a "
            "package, float32, float16 and dynamic need none."
        )
    task = None if source.result is None else source.result.task
    model, front = _loaded(source.file, task), None
    if source.result is not None:
        front, model = source.result.exported(model)
    data = None
    if options.dataset is not None:
        data = export_data(options, model, front, source.result)
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
    written, notes = [], []
    if options.package and data is not None:
        shipped = _shipment(model, report, data, source.result, device).package(
            target.parent, target.read_bytes()
        )
        report = dataclasses.replace(report, bytes=shipped.bytes)
        written, notes = [*shipped.files], [*shipped.notes]
    if source.result is not None:
        written += companions.write(source.result, target.parent, front)
    if written:
        notes.append(f"wrote {', '.join(written)} to {target.parent}")
    if not options.quiet:
        print(report, *notes, sep="\n")
    if inaccurate is not None:
        raise inaccurate
    if device is not None:
        _check_device(target.read_bytes(), device)


def _take_what_is_told(options: argparse.Namespace, source: _Source) -> None:
    """Fill in what the search said of its data set, where the options do not name another."""
    if options.dataset is None:
        for name in ("dataset", "target", "ignore"):
            if getattr(options, name) is None:
                setattr(options, name, source.told.get(name))


def _shipment(
    model: Any,
    report: Any,
    data: ExportData,
    result: SearchResult | None,
    device: Device | None,
) -> Shipment:
    from kerasnas.shipping import Shipment

    return Shipment(
        model=model,
        report=report,
        dataset=data.name,
        class_names=data.class_names,
        train=data.train,
        test=data.test,
        task=data.task,
        result=result,
        limits={} if device is None else device.limits,
        device=device,
        versions=versions(),
    )


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
        return _Source(path, None, {})
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
    return _Source(file, result, told)


def _loaded(path: Path, task: Any) -> Any:
    from kerasnas import model_files

    try:
        return model_files.load(path, task)
    except Exception as error:
        raise ValueError(
            f"Keras cannot load the model. Received: {path} ({type(error).__name__}: "
            f"{' '.join(str(error).split()):.200}). Pass a .keras file that `model.save` "
            "wrote; models with layers of one's own are exported from Python."
        ) from error


def _check_device(content: bytes, device: Device) -> None:
    from edge_devices.flatbuffer import read
    from kerasnas.costs import exceeded

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

"""`kerasnas search`: a data set in, a package out."""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import platform
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import kerasnas
from kerasnas.cli_data import add_data_options, open_data, settings_of
from kerasnas.journal import write_atomically
from kerasnas.limits import format_duration, parse_limit_options
from kerasnas.strategies import FIDELITIES, STRATEGIES
from search_spaces import SPACES

if TYPE_CHECKING:
    from edge_devices.device import Device
    from kerasnas.parts import NamedData
    from tflite_export.packaging import Package
    from tflite_export.report import Report

__all__ = ["PROJECT", "add_max_accuracy_drop", "add_search", "versions"]

PROJECT = "search"
"""Name of the search's own folder, beneath that of its files."""

_VERSIONED = (
    *("kerasnas", "tensorflow", "keras", "keras-tuner", "scikit-optimize", "numpy"),
    *("ai-edge-litert", "litert-quantizer"),
)


def add_search(commands: Any) -> None:
    """Add the command to the command line."""
    search = commands.add_parser(
        "search",
        help="search a network for a data set and export it",
        description="Search a network for a data set, train it, export it and verify the "
        "file. Writes model.keras, model.tflite and summary.json to the output folder, and "
        "what is needed to use the file: model.h and model.cc for microcontrollers, "
        "example.py, MODEL_CARD.md. The search's own folder is beneath. The same command "
        "continues an interrupted search.",
    )
    search.set_defaults(
        run=_search, resumes="; the command without --overwrite continues the search"
    )
    add = search.add_argument
    add(
        "--dataset",
        default="digits",
        help="digits (scikit-learn's, the default), a folder of class folders of images, .wav "
        "or .txt files, a .npz file with x_train, y_train, x_test, y_test, a .csv table, a "
        ".txt file whose next words are to be told, or the name of a TensorFlow Datasets set",
    )
    add("--output", required=True, type=Path, metavar="DIR", help="folder for the files")
    add_data_options(search)
    add(
        "--space",
        default="auto",
        help="search space: auto (the default) chooses by the examples, or one of "
        + ", ".join(SPACES),
    )
    add("--strategy", default="bayesian", help="how to search: " + ", ".join(STRATEGIES))
    add(
        "--fidelity",
        help="train most candidates shortly and the best on and on: " + ", ".join(FIDELITIES),
    )
    add(
        "--inherit-weights",
        action="store_true",
        help="start candidates from the weights of others",
    )
    add(
        "--objective",
        action="append",
        metavar="NAME",
        help="what is optimised (the task's own, as val_accuracy), e.g. val_loss, val_f1, "
        "ram or latency_ms; may be repeated, for networks that trade one for the other: the "
        "first decides in the end",
    )
    add(
        "--device",
        metavar="NAME",
        help="what the network is for: sets limits, operators and the file's quantization; "
        "`kerasnas devices` lists the names",
    )
    add(
        "--limit",
        action="append",
        default=[],
        metavar="COST=BOUND",
        help="upper bound on params, macs, flash or ram, or on latency_ms or energy_mj of a "
        "device, e.g. flash=128KB or latency_ms=20ms; may be repeated",
    )
    add("--max-trials", type=int, metavar="N", help="candidates to train at most")
    add("--max-time", metavar="T", help="time for everything, e.g. 90s, 20m, 2h")
    add("--epochs", type=int, metavar="N", help="epochs of every training (automatic)")
    add(
        "--sequence-length",
        type=int,
        metavar="N",
        help="steps or tokens to cut or pad sequences to; needed when they vary",
    )
    add(
        "--vocabulary",
        type=int,
        metavar="N",
        help="number of different tokens, of token ids; of texts how many to learn at most",
    )
    add(
        "--split",
        choices=["word", "character"],
        help="what texts are split by (word)",
    )
    add("--sample-rate", type=int, metavar="HZ", help="samples a second of waveforms")
    add("--class-weight", choices=["balanced"], help="weigh classes alike")
    add(
        "--no-augment",
        dest="augment",
        action="store_false",
        help="do not vary examples, e.g. mirror photographs",
    )
    add(
        "--search-augment",
        dest="augment",
        action="store_const",
        const="search",
        help="make how much examples vary a decision of each candidate",
    )
    search.set_defaults(augment=True)
    add(
        "--quantization",
        choices=["int8", "int16x8", "int4", "dynamic", "float16", "float32"],
        help="of model.tflite (the device's, or int8)",
    )
    add_max_accuracy_drop(search)
    add(
        "--weight-bits",
        type=_weight_bits,
        default=(8,),
        metavar="BITS",
        help="8 (the default), 4, or 8,4 to let the search choose",
    )
    add("--workers", type=int, default=0, metavar="N", help="not yet: 0")
    add("--seed", type=int, default=0, metavar="N", help="seeds everything random (0)")
    add("--overwrite", action="store_true", help="start over instead of continuing")
    add("--quiet", action="store_true", help="say nothing but errors")


def add_max_accuracy_drop(command: argparse.ArgumentParser) -> None:
    """Add the option that bounds what quantization may cost."""
    command.add_argument(
        "--max-accuracy-drop",
        type=float,
        default=1.0,
        metavar="POINTS",
        help="percent points of accuracy that quantization may cost (1); where it costs more, "
        "remedies are tried, and if none is enough it is an error",
    )


def _weight_bits(text: str) -> tuple[int, ...]:
    bits = text.split(",")
    if not all(width.strip() in ("4", "8") for width in bits):
        raise argparse.ArgumentTypeError(f"not 8, 4 or 8,4: {text!r}")
    return tuple(int(width) for width in bits)


def versions() -> dict[str, str]:
    """Versions of the software that makes a file."""
    return {
        "python": platform.python_version(),
        **{name: importlib.metadata.version(name) for name in _VERSIONED},
    }


def _search(options: argparse.Namespace) -> None:
    started = time.monotonic()
    limits = parse_limit_options(options.limit)
    kerasnas.search  # noqa: B018 - loads TensorFlow, quietly, before anything else does
    from kerasnas import model_files
    from kerasnas.costs import as_device
    from kerasnas.delivery import Delivery

    device = as_device(options.device)
    data = open_data(options.dataset, options, size=options.image_size, task=options.task)
    model = _found(options, data, limits, device)
    model_files.save(model, options.output / "model.keras")
    result = kerasnas.open_search(options.output, PROJECT)
    delivery = Delivery(
        model,
        result,
        data,
        folder=options.output,
        device=device,
        quantization=options.quantization,
        points=options.max_accuracy_drop,
        seed=options.seed,
    )
    seconds = round(max(result.spent(), time.monotonic() - started), 1)
    shipped = delivery.package(options.dataset, seconds, versions())
    summary = {
        "dataset": options.dataset,
        "target": options.target,
        "ignore": options.ignore,
        **delivery.summary(),
        "seconds": seconds,
        "versions": versions(),
    }
    write_atomically(options.output / "summary.json", json.dumps(summary, indent=2) + "\n")
    if not options.quiet:
        _tell(delivery.report, summary, shipped, options.output)
    delivery.check_drop()


def _found(
    options: argparse.Namespace,
    data: NamedData,
    limits: Mapping[str, Any],
    device: Device | None,
) -> Any:
    """The best network, by a search that goes by the options."""
    objectives = options.objective or [None]
    return kerasnas.search(
        data.train,
        space=options.space,
        strategy=options.strategy,
        fidelity=options.fidelity,
        inherit_weights=options.inherit_weights,
        objective=objectives if len(objectives) > 1 else objectives[0],
        device=device,
        weight_bits=options.weight_bits,
        max_accuracy_drop=options.max_accuracy_drop / 100,
        limits=limits,
        max_trials=options.max_trials,
        max_time=options.max_time,
        epochs=options.epochs,
        class_names=data.class_names,
        class_weight=options.class_weight,
        augment=options.augment,
        workers=options.workers,
        directory=options.output,
        project_name=PROJECT,
        overwrite=options.overwrite,
        seed=options.seed,
        verbose=0 if options.quiet else 1,
        **settings_of(options, data),
    )


def _tell(report: Report, summary: Mapping[str, Any], shipped: Package, folder: Path) -> None:
    scores = summary["test_scores"].items()
    print(report)
    print("scores       " + "  ".join(f"{name} {score:.4f}" for name, score in scores))
    print(f"took         {format_duration(summary['seconds'])}")
    print(*shipped.notes, sep="\n", end="\n" * bool(shipped.notes))
    print(f"wrote model.keras, model.tflite and summary.json to {folder}, with")
    print(f"{', '.join(name for name in shipped.files if name != 'model.tflite')}")

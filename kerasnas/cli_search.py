"""`kerasnas search`: a data set in, a package out."""

from __future__ import annotations

import argparse
import dataclasses
import importlib.metadata
import json
import platform
import shutil
import time
from pathlib import Path
from typing import Any

import kerasnas
from edge_devices.units import format_cost
from kerasnas.journal import write_atomically
from kerasnas.limits import format_duration, parse_limit_options
from search_spaces import SPACES
from tflite_export.report import Remedy

__all__ = [
    "PROJECT",
    "add_layout",
    "add_max_accuracy_drop",
    "add_search",
    "add_task",
    "image_size",
    "versions",
]

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
        help="digits (scikit-learn's, the default), a folder of class folders, a .npz file "
        "with x_train, y_train, x_test, y_test, or the name of a TensorFlow Datasets set",
    )
    add("--output", required=True, type=Path, metavar="DIR", help="folder for the files")
    add_task(search)
    add(
        "--space",
        default="auto",
        help="search space: auto (the default) chooses by the examples, or one of "
        + ", ".join(SPACES),
    )
    add("--strategy", default="bayesian", help="bayesian or random")
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
    add_layout(search)
    add(
        "--image-size",
        type=image_size,
        metavar="HxW",
        help="resize images, e.g. 96x96; needed when they vary",
    )
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
        help="number of different tokens, of data sets of token ids",
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


def add_task(command: argparse.ArgumentParser) -> None:
    """Add the option that says what is asked."""
    command.add_argument(
        "--task",
        metavar="NAME",
        help="what is asked: classification, multilabel, regression, segmentation, detection "
        "or next_token; told from the labels unless given",
    )


def add_layout(command: argparse.ArgumentParser) -> None:
    """Add the option that says what the axes of examples are."""
    command.add_argument(
        "--layout",
        metavar="NAME",
        help="what the axes of examples are: images, audio (frames, bands), waveform, series "
        "(length, channels), table or tokens; by the space and the shape unless given",
    )


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


def image_size(text: str) -> tuple[int, int]:
    """Read the size of an image, `"96"` or `"64x96"`, as `(height, width)`."""
    sides = text.lower().split("x")
    if len(sides) == 1:
        sides *= 2
    if len(sides) != 2 or not all(side.isdigit() for side in sides):
        raise argparse.ArgumentTypeError(f"not a size such as 96x96: {text!r}")
    return int(sides[0]), int(sides[1])


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
    search = kerasnas.search  # loads TensorFlow, quietly, before anything else does
    from kerasnas.costs import as_device, exceeded
    from kerasnas.datasets import open_dataset
    from kerasnas.result import FILE
    from kerasnas.scoring import metric_of, through
    from kerasnas.shipping import BATCH, VERIFIED, Shipment, export
    from search_spaces.space import WEIGHT_BITS
    from tflite_export.interpreter import TFLiteModel

    device = as_device(options.device)
    quantization = options.quantization or ("int8" if device is None else device.quantization)
    dataset = open_dataset(options.dataset, image_size=options.image_size)
    objectives = options.objective or [None]
    model = search(
        dataset.train,
        task=options.task,
        space=options.space,
        strategy=options.strategy,
        objective=objectives if len(objectives) > 1 else objectives[0],
        device=device,
        weight_bits=options.weight_bits,
        max_accuracy_drop=options.max_accuracy_drop / 100,
        limits=limits,
        max_trials=options.max_trials,
        max_time=options.max_time,
        epochs=options.epochs,
        layout=options.layout,
        sequence_length=options.sequence_length,
        vocabulary=options.vocabulary,
        sample_rate=options.sample_rate,
        class_names=dataset.class_names,
        class_weight=options.class_weight,
        augment=options.augment,
        workers=options.workers,
        directory=options.output,
        project_name=PROJECT,
        overwrite=options.overwrite,
        seed=options.seed,
        verbose=0 if options.quiet else 1,
    )
    model.save(options.output / "model.keras")
    result = kerasnas.open_search(options.output, PROJECT)
    train, test = (result.read(part) for part in (dataset.train, dataset.test))
    test = test.stratified_subset(VERIFIED, options.seed)
    task = result.task
    assert task is not None  # a search's own
    front, network = result.exported(model)
    train, test = through(front, train), through(front, test)
    file = options.output / "model.tflite"
    answer = result.answer or {"values": {}, "costs": {}, "scores": {}}
    chosen = result.folder / FILE
    if options.quantization is None and answer.get("values", {}).get(WEIGHT_BITS) == 4:
        quantization = "int4"
    if options.quantization is None and answer == result.winner and chosen.exists():
        # Chosen, and mended if need be, on the validation part: the test part only judges it.
        shutil.copyfile(chosen, file)
        report = kerasnas.tflite_export.verify(
            network,
            file,
            test.dataset(BATCH),
            quantization=quantization,
            metric=metric_of(task),
            metric_name=task.measure,
        )
        remedies = tuple(Remedy(**remedy) for remedy in answer.get("remedies", ()))
        report = dataclasses.replace(
            report, remedies=remedies, max_accuracy_drop=options.max_accuracy_drop / 100
        )
    else:
        report, _ = export(
            network,
            file,
            quantization,
            train,
            test,
            task=task,
            device=device,
            points=None,
            seed=options.seed,
        )
    limits = result.settings["limits"]  # the device's are among them
    broken = exceeded(file.read_bytes(), limits, device)
    if broken:
        raise RuntimeError(
            "The file is over its limits. Received: "
            + ", ".join(
                f"{name} {format_cost(name, cost)} of {format_cost(name, limits[name])}"
                for name, cost in broken.items()
            )
            + f" as {quantization}. The limits are kept for int8 by a search that ends; "
            "search longer, or export as int8."
        )
    seconds = round(max(result.spent(), time.monotonic() - started), 1)
    shipment = Shipment(
        model=network,
        report=report,
        dataset=options.dataset,
        class_names=result.settings["class_names"],
        train=train,
        test=test,
        task=task,
        result=result,
        limits=limits,
        device=device,
        seconds=seconds,
        versions=versions(),
    )
    scores = task.scores(test.y, TFLiteModel(file).predict(test.x[:]))
    shipped = shipment.package(options.output, file.read_bytes())
    report = dataclasses.replace(report, bytes=shipped.bytes)
    summary = {
        "dataset": options.dataset,
        "task": result.settings["task"],
        f"test_{task.measure}_float": report.metric_keras,
        f"test_{task.measure}_{quantization}": report.metric_tflite,
        "test_scores": scores,
        "test_examples": report.num_verified,
        "tflite_bytes": report.bytes,
        "params": model.count_params(),
        "macs": answer["costs"].get("macs"),
        "trials": len(result.trials),
        "seconds": seconds,
        "finished": result.winner is not None,
        "best": answer["values"],
        "classes": result.settings["class_names"] or getattr(task, "num_classes", None),
        "limits": limits,
        "device": options.device,
        "seed": options.seed,
        "versions": versions(),
        "export": report.to_dict(),
    }
    write_atomically(options.output / "summary.json", json.dumps(summary, indent=2) + "\n")
    if not options.quiet:
        print(report)
        print(f"took         {format_duration(seconds)}")
        print(*shipped.notes, sep="\n", end="\n" * bool(shipped.notes))
        print(f"wrote model.keras, model.tflite and summary.json to {options.output}, with")
        others = [name for name in shipped.files if name != file.name]
        print(f"{', '.join(others)}")
    lost = answer.get("drop") or 0.0
    if lost > options.max_accuracy_drop / 100:
        raise RuntimeError(
            "The file is less accurate than is allowed, whatever was tried. Received: "
            f"--max-accuracy-drop {options.max_accuracy_drop:g}, and {100 * lost:.2f} points "
            f"lost on the validation part. {file} is the best there is. Allow more, or search "
            "longer."
        )

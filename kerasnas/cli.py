"""The command line: `kerasnas search`."""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import math
import platform
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import kerasnas
from kerasnas.journal import write_atomically
from kerasnas.limits import parse_limit_options

__all__ = ["main"]

_PROJECT = "search"
_BATCH = 256
_CALIBRATION = 4_096  # examples of which the export draws its calibration sample
_VERIFIED = 10_000  # test examples at most
_VERSIONED = ("kerasnas", "tensorflow", "keras", "keras-tuner", "scikit-optimize", "numpy")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line.

    Args:
        arguments: What follows the command's name; `None` takes it from the process.

    Returns:
        The exit status: 0, or 2 for input that cannot be used, which is explained in a
        sentence on standard error, or 130 if interrupted before anything was found.
    """
    options = _parser().parse_args(arguments)
    try:
        options.run(options)
    except (ValueError, TypeError, RuntimeError, OSError) as error:
        print(f"kerasnas: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print(
            "kerasnas: interrupted; the command without --overwrite continues", file=sys.stderr
        )
        return 130
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="kerasnas", description="Neural architecture search that ends in a device file."
    )
    parser.add_argument("--version", action="version", version=kerasnas.__version__)
    commands = parser.add_subparsers(required=True, metavar="command")
    search = commands.add_parser(
        "search",
        help="search a network for a data set and export it",
        description="Search a network for a data set, train it, export it and verify the "
        "file. Writes model.keras, model.tflite and summary.json to the output folder; the "
        "search's own folder is beneath. The same command continues an interrupted search.",
    )
    search.set_defaults(run=_search)
    add = search.add_argument
    add(
        "--dataset",
        default="digits",
        help="digits (scikit-learn's, the default), a folder of class folders, a .npz file "
        "with x_train, y_train, x_test, y_test, or the name of a TensorFlow Datasets set",
    )
    add("--output", required=True, type=Path, metavar="DIR", help="folder for the files")
    add("--space", default="mobilenet", help="search space (mobilenet)")
    add("--strategy", default="bayesian", help="bayesian or random")
    add("--objective", help="what is optimised (val_accuracy)")
    add("--device", help="not yet: use --limit")
    add(
        "--limit",
        action="append",
        default=[],
        metavar="COST=BOUND",
        help="upper bound on params, macs or flash, e.g. flash=128KB; may be repeated",
    )
    add("--max-trials", type=int, metavar="N", help="candidates to train at most")
    add("--max-time", metavar="T", help="time for everything, e.g. 90s, 20m, 2h")
    add("--epochs", type=int, metavar="N", help="epochs of every training (automatic)")
    add(
        "--image-size",
        type=_image_size,
        metavar="HxW",
        help="resize images, e.g. 96x96; needed when they vary",
    )
    add("--class-weight", choices=["balanced"], help="weigh classes alike")
    add(
        "--no-augment", action="store_true", help="do not vary images, e.g. mirror photographs"
    )
    add(
        "--quantization",
        default="int8",
        choices=["int8", "dynamic", "float16", "float32"],
        help="of model.tflite (int8)",
    )
    add("--workers", type=int, default=0, metavar="N", help="not yet: 0")
    add("--seed", type=int, default=0, metavar="N", help="seeds everything random (0)")
    add("--overwrite", action="store_true", help="start over instead of continuing")
    add("--quiet", action="store_true", help="say nothing but errors")
    return parser


def _image_size(text: str) -> tuple[int, int]:
    sides = text.lower().split("x")
    if len(sides) == 1:
        sides *= 2
    if len(sides) != 2 or not all(side.isdigit() for side in sides):
        raise argparse.ArgumentTypeError(f"not a size such as 96x96: {text!r}")
    return int(sides[0]), int(sides[1])


def _search(options: argparse.Namespace) -> None:
    started = time.monotonic()
    limits = parse_limit_options(options.limit)
    search = kerasnas.search  # loads TensorFlow, quietly, before anything else does
    from kerasnas.data import read
    from kerasnas.datasets import open_dataset

    dataset = open_dataset(options.dataset, image_size=options.image_size)
    model = search(
        dataset.train,
        space=options.space,
        strategy=options.strategy,
        objective=options.objective,
        device=options.device,
        limits=limits,
        max_trials=options.max_trials,
        max_time=options.max_time,
        epochs=options.epochs,
        class_names=dataset.class_names,
        class_weight=options.class_weight,
        augment=not options.no_augment,
        workers=options.workers,
        directory=options.output,
        project_name=_PROJECT,
        overwrite=options.overwrite,
        seed=options.seed,
        verbose=0 if options.quiet else 1,
    )
    model.save(options.output / "model.keras")
    # Read as the search reads them: grey images may come without their channel axis.
    # A stratified part, because files and folders are often sorted by class.
    train = read(dataset.train).stratified_subset(_CALIBRATION, options.seed)
    test = read(dataset.test).stratified_subset(_VERIFIED, options.seed)
    report = kerasnas.export(
        model,
        options.output / "model.tflite",
        options.quantization,
        calibration=train.dataset(_BATCH),
        validation_data=test.dataset(_BATCH),
        seed=options.seed,
    )
    if report.bytes > limits.get("flash", math.inf):
        raise RuntimeError(
            f"The file is larger than its limit. Received: {report.bytes:,} bytes as "
            f"{options.quantization} with flash={limits['flash']:,.0f}. The limit is kept for "
            "int8 by a search that ends; search longer, or export as int8."
        )
    result = kerasnas.open_search(options.output, _PROJECT)
    best = result.answer or {"values": {}, "costs": {}}
    summary = {
        "dataset": options.dataset,
        "test_accuracy_float": report.accuracy_keras,
        f"test_accuracy_{options.quantization}": report.accuracy_tflite,
        "test_examples": report.num_verified,
        "tflite_bytes": report.bytes,
        "params": model.count_params(),
        "macs": best["costs"].get("macs"),
        "trials": len(result.trials),
        "seconds": round(max(result.spent(), time.monotonic() - started), 1),
        "finished": result.winner is not None,
        "best": best["values"],
        "classes": result.settings["class_names"] or result.settings["num_classes"],
        "limits": limits,
        "seed": options.seed,
        "versions": {"python": platform.python_version(), **_versions()},
        "export": report.to_dict(),
    }
    write_atomically(options.output / "summary.json", json.dumps(summary, indent=2) + "\n")
    if not options.quiet:
        print(report)
        print(f"wrote model.keras, model.tflite and summary.json to {options.output}")


def _versions() -> dict[str, str]:
    return {name: importlib.metadata.version(name) for name in _VERSIONED}

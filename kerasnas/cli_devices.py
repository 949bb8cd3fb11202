"""`kerasnas devices` and `kerasnas measure`: devices, and what a file does on them."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

__all__ = ["add_devices", "add_measure"]


def add_devices(commands: Any) -> None:
    """Add the command that lists devices to the command line."""
    devices = commands.add_parser(
        "devices",
        help="list the devices, or tell all of one",
        description="List the devices a network can be searched for, or tell all that is "
        "known of one: memory, operators, cost models, and the source of every number.",
    )
    devices.set_defaults(run=_devices)
    devices.add_argument("name", nargs="?", metavar="NAME", help="a device")


def add_measure(commands: Any) -> None:
    """Add the command that measures a file to the command line."""
    measure = commands.add_parser(
        "measure",
        help="measure a .tflite file for a device",
        description="Tell what a .tflite file needs on a device: flash, RAM, and time and "
        "energy as far as there is a model, a compiler or a runtime for it here.",
    )
    measure.set_defaults(run=_measure)
    measure.add_argument("file", type=Path, metavar="FILE", help="a .tflite file")
    measure.add_argument(
        "--device", metavar="NAME", help="a device; without one nothing is said of time"
    )


def _devices(options: argparse.Namespace) -> None:
    from edge_devices.device import describe

    print(describe(options.name))


def _measure(options: argparse.Namespace) -> None:
    from edge_devices.measurement import measure

    if not options.file.is_file():
        raise ValueError(
            f"There is no such file. Received: FILE={str(options.file)!r}. Pass a .tflite "
            "file."
        )
    print(measure(options.file, options.device))

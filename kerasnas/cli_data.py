"""What the command line asks of a data set, alike for `search` and `export`."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from kerasnas.parts import NamedData

__all__ = ["add_data_options", "image_size", "layout", "open_data", "settings_of"]

_OF_SEARCH = ("task", "layout", "sequence_length", "vocabulary", "split", "sample_rate")


def add_data_options(command: argparse.ArgumentParser) -> None:
    """Add the options that say what is in a data set."""
    add = command.add_argument
    add(
        "--task",
        metavar="NAME",
        help="what is asked: classification, multilabel, regression, segmentation, detection "
        "or next_token; told from the labels unless given",
    )
    add(
        "--layout",
        type=layout,
        metavar="NAME",
        help="what the axes of examples are: images, audio (frames, bands), waveform, series "
        "(length, channels), table, tokens or text; by the space and the shape unless given; "
        "of several inputs image=images,sound=audio",
    )
    add("--target", metavar="COLUMN", help="of a .csv file, what is told (the last column)")
    add(
        "--ignore",
        action="append",
        metavar="COLUMN",
        help="of a .csv file, a column to leave out; may be repeated",
    )
    add(
        "--image-size",
        type=image_size,
        metavar="HxW",
        help="resize images, and their masks, e.g. 96x96; needed when they vary",
    )


def image_size(text: str) -> tuple[int, int]:
    """Read the size of an image, `"96"` or `"64x96"`, as `(height, width)`."""
    sides = text.lower().split("x")
    if len(sides) == 1:
        sides *= 2
    if len(sides) != 2 or not all(side.isdigit() for side in sides):
        raise argparse.ArgumentTypeError(f"not a size such as 96x96: {text!r}")
    return int(sides[0]), int(sides[1])


def layout(text: str) -> str | dict[str, str]:
    """Read a layout, `"series"`, or those of several inputs, `"image=images,sound=audio"`."""
    if "=" not in text:
        return text
    pairs = [pair.split("=") for pair in text.split(",")]
    if not all(len(pair) == 2 and all(pair) for pair in pairs):
        raise argparse.ArgumentTypeError(f"not layouts such as image=images: {text!r}")
    return {name.strip(): axes.strip() for name, axes in pairs}


def open_data(
    name: str, options: Any, *, size: tuple[int, int] | None, task: str | None
) -> NamedData:
    """Open a data set as the options say.

    Args:
        name: As in `kerasnas.datasets.open_dataset`.
        options: With `target` and `ignore`.
        size: To resize images to.
        task: Name of the task, if it is known.
    """
    from kerasnas.datasets import open_dataset  # loads TensorFlow

    return open_dataset(
        name, image_size=size, task=task, target=options.target, ignore=options.ignore or ()
    )


def settings_of(options: argparse.Namespace, data: NamedData) -> dict[str, Any]:
    """Arguments of `kerasnas.search` about the data: what was asked for, else what files say.

    Raises:
        ValueError: If recordings are said to have another sample rate than they have.
    """
    asked = {name: getattr(options, name) for name in _OF_SEARCH}
    rate = data.settings.get("sample_rate")
    if rate is not None and options.sample_rate not in (None, rate):
        raise ValueError(
            "Recordings say what their sample rate is. Received: --sample-rate "
            f"{options.sample_rate}, and recordings of {rate} Hz. Leave it out."
        )
    return {**data.settings, **{name: x for name, x in asked.items() if x is not None}}

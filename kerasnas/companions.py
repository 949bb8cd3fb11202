"""What a file needs beside it: what makes the numbers that it takes."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import keras

from kerasnas.journal import write_atomically
from kerasnas.result import SearchResult
from search_spaces.front_end import FrontEnd
from search_spaces.waveform import Waveform

__all__ = ["FRONT_END", "described", "front_end", "keep", "write"]

FRONT_END = "front_end.json"
"""Settings of a front end that is not in the file: what `FrontEnd.settings` returns."""

_PREPROCESSING = "preprocessing"


def write(result: SearchResult, folder: Path, front: keras.Model | None = None) -> list[str]:
    """Put beside a file what has to run before it, if anything.

    Texts and columns by name become numbers by `preprocessing.keras`, of which
    `preprocessing.json` holds the same for programs without Keras; of several inputs there is
    one for each, such as `preprocessing_text.json`. Recordings become features as
    `front_end.json` says, where the device cannot compute them in the file.

    Args:
        result: The search that found the network.
        folder: That of the file; it is made if need be.
        front: What `SearchResult.exported` says to run before the file, or `None`.

    Returns:
        The names of what was written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    names = []
    for path in _preprocessings(result):
        shutil.copyfile(path, folder / path.name)
        names.append(path.name)
    found = None if front is None else front_end(result, front)
    if found is not None:
        keep(found, folder)
        names.append(FRONT_END)
    return names


def keep(front_end: FrontEnd, folder: Path) -> None:
    """Write down how recordings become features, for a file that takes these."""
    write_atomically(folder / FRONT_END, json.dumps(front_end.settings(), indent=1) + "\n")


def described(result: SearchResult) -> dict[str, str]:
    """What a model card says of these files, by their names."""
    told = {
        f"`{path.name}`": f"how texts or columns become numbers, as {path.stem}.keras does"
        for path in _preprocessings(result)
        if path.suffix == ".json"
    }
    if _has_front_end(result):
        told[f"`{FRONT_END}`"] = (
            "how recordings become features, as `search_spaces.FrontEnd` does"
        )
    return told


def _preprocessings(result: SearchResult) -> list[Path]:
    found = sorted(result.folder.glob(f"{_PREPROCESSING}*"))
    return [path for path in found if path.suffix in (".json", ".keras")]


def _has_front_end(result: SearchResult) -> bool:
    settings = result.settings
    known = result.answer is not None and settings.get("sample_rate") is not None
    return known and settings.get("front_end") == "outside"


def front_end(result: SearchResult, front: keras.Model) -> FrontEnd | None:
    """The front end that a search of waveforms decided for.

    Args:
        result: The search.
        front: The front end as a Keras model, which knows how samples are scaled.

    Returns:
        `None` if the search does not say: it was given a space of waveforms ready made,
        without a `sample_rate` beside it.
    """
    settings, answer = result.settings, result.answer
    if answer is None or not _has_front_end(result):
        return None
    scaled = (one for one in front.layers if isinstance(one, keras.layers.Rescaling))
    space = Waveform(
        settings["input_shape"],
        task=result.task,
        sample_rate=settings["sample_rate"],
        rescaling=next(((one.scale, one.offset) for one in scaled), None),
        in_graph=False,
    )
    return space.front_end(answer["values"])

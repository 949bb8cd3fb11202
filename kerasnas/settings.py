"""What a search was asked for, as its journal keeps it, so that only the same one goes on."""

from __future__ import annotations

import json
import zlib
from collections.abc import Mapping
from typing import Any

import keras_tuner
import numpy as np

from edge_devices.device import Device
from kerasnas import tasks
from kerasnas.data import Data
from kerasnas.result import SearchResult
from kerasnas.scoring import objectives_of

__all__ = ["check_same_search", "of_data", "of_device", "of_oracle"]

_LOOKED_AT = 16  # examples of each part that tell data sets apart, beside all labels


def of_data(data: Data) -> dict[str, Any]:
    """What is known of a problem."""
    return {
        "task": tasks.described(data.task),
        "input_shape": data.input_shape,
        "layout": data.layout,
        "class_names": data.class_names,
        "vocabulary": data.vocabulary,
        "data": _fingerprint(data),
    }


def of_oracle(oracle: keras_tuner.Oracle) -> dict[str, Any]:
    """What proposes candidates, and what they are ranked by."""
    objectives = objectives_of(oracle)
    return {
        "strategy": type(oracle).__name__,
        "fidelity": _told(getattr(oracle, "fidelity", None)),
        "objective": oracle.objective.name,
        "direction": oracle.objective.direction,
        "objectives": [one.name for one in objectives],
    }


def of_device(device: Device | None) -> dict[str, Any]:
    """Which device networks are for, and a checksum of all that is said of it."""
    if device is None:
        return {"device": None, "device_digest": None}
    return {"device": device.name, "device_digest": f"{zlib.crc32(str(device).encode()):08x}"}


def check_same_search(earlier: SearchResult, settings: Mapping[str, Any]) -> None:
    """Refuse to continue a search with other settings than it was begun with."""
    there = earlier.settings
    here = json.loads(json.dumps(settings))
    other = [name for name in here if there and there.get(name) != here[name]]
    if other:
        raise ValueError(
            "This folder holds another search. Received: "
            + "; ".join(
                f"{name}={here[name]} where it has {there.get(name)}" for name in other
            )
            + f", in {earlier.folder}. Pass another `project_name`, the same settings to "
            "continue it, or `overwrite=True` to start over."
        )


def _fingerprint(data: Data) -> str:
    """Differs for other examples or another split, nearly surely; cheap for large sets."""
    checksum = 0
    for part in (data.train, data.validation):
        some = part.x[:_LOOKED_AT]
        inputs = some.values() if isinstance(some, dict) else [some]
        weights = [] if part.weight is None else [part.weight]
        for array in (part.y, *inputs, *weights):
            checksum = zlib.crc32(np.ascontiguousarray(array).tobytes(), checksum)
    return f"{len(data.train)}+{len(data.validation)}:{checksum:08x}"


def _told(policy: Any) -> str | None:
    return None if policy is None else repr(policy)

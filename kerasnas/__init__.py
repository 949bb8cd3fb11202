"""Neural architecture search for Keras that ends in a verified device file.

| name                    | what it is                                                   |
|-------------------------|--------------------------------------------------------------|
| `search`                | a data set in, a trained model out                           |
| `open_search`           | the result of a search, opened again                         |
| `Tuner`                 | KerasTuner's Tuner, made safe to leave alone                 |
| `GaussianProcess`       | oracle: Bayesian optimisation over architectures             |
| `RandomSearch`          | oracle: candidates at random, none twice                     |
| `export`                | a Keras model to a verified `.tflite` file                   |
| `verify`                | a file that exists, run against its model                    |
| `measure`               | what a file needs, and what it costs on a device             |
| `Device`                | what a network may take, and what it costs there             |
| `edge_devices`          | package: devices, their limits and cost models               |
| `search_spaces`         | package: the spaces, and the costs of their networks         |
| `tflite_export`         | package: conversion, verification, inspection                |

```python
model = kerasnas.search(train_ds, limits={"flash": "128KB"}, max_time="20m")
report = kerasnas.export(model, "model.tflite", calibration=train_ds)
```

TensorFlow is loaded when a name is first used, not on import.
"""

from __future__ import annotations

import importlib
import sys
from typing import Any

from tflite_export.silence import silence

_HOME = {
    "Device": "edge_devices",
    "GaussianProcess": "kerasnas.oracles.gaussian_process",
    "RandomSearch": "kerasnas.oracles.random_search",
    "SearchResult": "kerasnas.result",
    "Tuner": "kerasnas.tuner",
    "edge_devices": "",
    "export": "tflite_export",
    "measure": "tflite_export",
    "open_search": "kerasnas._search",
    "search": "kerasnas._search",
    "search_spaces": "",
    "tflite_export": "",
    "verify": "tflite_export",
}

__all__ = [
    "Device",
    "GaussianProcess",
    "RandomSearch",
    "SearchResult",
    "Tuner",
    "edge_devices",
    "export",
    "measure",
    "open_search",
    "search",
    "search_spaces",
    "tflite_export",
    "verify",
]
__version__ = "0.1.0.dev0"


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    if "tensorflow" not in sys.modules:
        # TensorFlow greets from C++, past every setting of its own: once when it is loaded
        # and once when it first looks for devices.
        with silence():
            importlib.import_module("tensorflow").config.list_physical_devices()
    home = importlib.import_module(_HOME[name] or name)
    value = home if not _HOME[name] else getattr(home, name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})

"""Neural architecture search for Keras that ends in a verified device file.

| name                    | what it is                                                   |
|-------------------------|--------------------------------------------------------------|
| `search`                | a data set in, a trained model out                           |
| `open_search`           | the result of a search, opened again                         |
| `Tuner`                 | KerasTuner's Tuner, made safe to leave alone                 |
| `GaussianProcess`       | oracle: Bayesian optimisation over architectures             |
| `RandomSearch`          | oracle: candidates at random, none twice                     |
| `GridSearch`            | oracle: all candidates of a small space, in order            |
| `LocalSearch`           | oracle: one change at a time, again from elsewhere           |
| `AgingEvolution`        | oracle: mutation and crossover of the latest candidates      |
| `NSGA2`                 | oracle: evolution for several objectives                     |
| `Reinforce`             | oracle: a policy that learns by its gradient, or PPO         |
| `QLearning`             | oracle: layer by layer, by the worth of each choice          |
| `PredictorGuided`       | oracle: an ensemble of networks predicts, samples decide     |
| `SuccessiveHalving`     | fidelity: the best of many candidates are trained on         |
| `Hyperband`             | fidelity: the same, some candidates starting further on      |
| `LearningCurve`         | fidelity: hopeless trainings are stopped                     |
| `SearchOracle`          | base of the oracles, for one of your own                     |
| `Fidelity`              | base of the policies, likewise, with `Record` and `Run`      |
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
    "Fidelity": "kerasnas.fidelity",
    "Record": "kerasnas.fidelity",
    "Run": "kerasnas.fidelity",
    "SearchOracle": "kerasnas.oracles._oracle",
    "AgingEvolution": "kerasnas.oracles.evolution",
    "Device": "edge_devices",
    "GaussianProcess": "kerasnas.oracles.gaussian_process",
    "GridSearch": "kerasnas.oracles.grid_search",
    "Hyperband": "kerasnas.fidelity",
    "LearningCurve": "kerasnas.fidelity",
    "LocalSearch": "kerasnas.oracles.local_search",
    "NSGA2": "kerasnas.oracles.nsga2",
    "PredictorGuided": "kerasnas.oracles.predictor",
    "QLearning": "kerasnas.oracles.q_learning",
    "RandomSearch": "kerasnas.oracles.random_search",
    "Reinforce": "kerasnas.oracles.reinforce",
    "SearchResult": "kerasnas.result",
    "SuccessiveHalving": "kerasnas.fidelity",
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
    "NSGA2",
    "AgingEvolution",
    "Device",
    "Fidelity",
    "GaussianProcess",
    "GridSearch",
    "Hyperband",
    "LearningCurve",
    "LocalSearch",
    "PredictorGuided",
    "QLearning",
    "RandomSearch",
    "Record",
    "Reinforce",
    "Run",
    "SearchOracle",
    "SearchResult",
    "SuccessiveHalving",
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

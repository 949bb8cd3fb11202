"""Search spaces for Keras: what can be built, and what it costs on paper.

| module          | what it holds                                                          |
|-----------------|------------------------------------------------------------------------|
| `network.py`    | `Network`: the description of a network, and its canonical form        |
| `operations.py` | what each kind of layer does to shapes, weights and multiply-accumulates |
| `costs.py`      | params, MACs, flash and RAM as functions of a description              |
| `lowering.py`   | from a description to the operators of its int8 file                   |
| `file_size.py`  | bytes of a file by its operators                                       |
| `blocks.py`     | building blocks: functions from node to node                           |
| `realise.py`    | from a description to a Keras model of stock layers                    |
| `reading.py`    | from a Keras model of stock layers to a description                    |
| `decisions.py`  | decisions already made, read as a space reads them                     |
| `space.py`      | `SearchSpace` and `choose`                                             |
| `task.py`       | `Task`: head, loss, metrics                                            |
| `mobile.py`     | `MobileNet`: inverted residuals                                        |

Any space works with any KerasTuner tuner. Nothing here knows of the search engine.
"""

from __future__ import annotations

import importlib
from typing import Any

_HOME = {
    "Classification": "task",
    "MobileNet": "mobile",
    "Network": "network",
    "SearchSpace": "space",
    "Task": "task",
    "choose": "space",
    "program": "costs",
    "read": "reading",
    "realise": "realise",
}

__all__ = [
    "SPACES",
    "Classification",
    "MobileNet",
    "Network",
    "SearchSpace",
    "Task",
    "choose",
    "program",
    "read",
    "realise",
]

SPACES = {"mobilenet": "MobileNet"}
"""Class of each space by the name that `space=` and `--space` take."""


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOME[name]}"), name)

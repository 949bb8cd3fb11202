"""Devices, and what they do with a network. Imports none of the other packages.

```python
device = edge_devices.find("cortex-m7")
program = edge_devices.read(open("flowers.tflite", "rb").read())
print(device.costs(program), device.unsupported(program))
```

| module              | what it holds                                                      |
|---------------------|--------------------------------------------------------------------|
| `device.py`         | `Device`, `find`, `devices`, `register`                            |
| `profiles.py`       | the devices that come with the package, with sources               |
| `program.py`        | `Program`, `Operator`, `Tensor`: a network as a runtime executes it |
| `flatbuffer.py`     | `read`: the program of a `.tflite` file                            |
| `inputs.py`         | what a network is given: an array, or several by name              |
| `memory.py`         | the arena that TensorFlow Lite Micro needs                         |
| `latency.py`        | milliseconds on a microcontroller, from published timings          |
| `operator_table.py` | `OperatorTable`: the same from operators timed by oneself          |
| `energy.py`         | millijoules, from published powers                                 |
| `published.py`      | the published timings and energies                                 |
| `measurement.py`    | `measure`: everything that can be told of a file for a device      |
| `host.py`           | time on this computer                                              |
| `npu.py`            | cycles and memory on an Ethos-U, by its compiler                   |
| `tflm.py`           | what TensorFlow Lite Micro itself says                             |
| `synthesis.py`      | files of programs, with random weights                             |
| `isolation.py`      | calls that may crash, in a process of their own                    |
| `units.py`          | the units people write costs in                                    |
| `spelling.py`       | what somebody may have meant                                       |

Modules are loaded when a name is first used, not on import.
"""

from __future__ import annotations

import importlib
from typing import Any

_HOME = {
    "Device": "device",
    "LatencyModel": "latency",
    "Measurement": "measurement",
    "Operator": "program",
    "OperatorTable": "operator_table",
    "Power": "energy",
    "Program": "program",
    "Tensor": "program",
    "devices": "device",
    "find": "device",
    "measure": "measurement",
    "read": "flatbuffer",
    "register": "device",
}

__all__ = [
    "Device",
    "LatencyModel",
    "Measurement",
    "Operator",
    "OperatorTable",
    "Power",
    "Program",
    "Tensor",
    "devices",
    "find",
    "measure",
    "read",
    "register",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})

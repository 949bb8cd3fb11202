"""From a Keras 3 model to a verified `.tflite` file, usable alone.

```python
report = tflite_export.export(model, "flowers.tflite", "int8", calibration=train_ds)
print(report)
```

| module            | what it holds                                                        |
|-------------------|----------------------------------------------------------------------|
| `exporter.py`     | `export`: convert, verify, write, report                             |
| `conversion.py`   | `convert`: from a model to the bytes of a file                       |
| `precision.py`    | a half-precision model rebuilt in float32                            |
| `rewriting.py`    | the operators the int8 quantizer lacks, in terms of those it has     |
| `compaction.py`   | `compact`: the same network in a third fewer bytes                   |
| `calibration.py`  | samples out of data sets and arrays                                  |
| `interpreter.py`  | `TFLiteModel` and `run`: what the file computes                      |
| `inspection.py`   | `operators`, `tensor_dtypes`: what the file contains                 |
| `verification.py` | `compare`: the file against the model it came from                   |
| `report.py`       | `Report`: what is known of an exported file                          |
| `silence.py`      | the native libraries kept quiet                                      |

TensorFlow is loaded when a name is first used, not on import.
"""

from __future__ import annotations

import importlib
from typing import Any

_HOME = {
    "Comparison": "verification",
    "Report": "report",
    "TFLiteModel": "interpreter",
    "TensorInfo": "interpreter",
    "compact": "compaction",
    "compare": "verification",
    "convert": "conversion",
    "export": "exporter",
    "operators": "inspection",
    "run": "interpreter",
    "tensor_dtypes": "inspection",
}

__all__ = [
    "Comparison",
    "Report",
    "TFLiteModel",
    "TensorInfo",
    "compact",
    "compare",
    "convert",
    "export",
    "operators",
    "run",
    "tensor_dtypes",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})

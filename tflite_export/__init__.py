"""From a Keras 3 model to a verified `.tflite` file, usable alone.

```python
report = tflite_export.export(model, "flowers.tflite", "int8", calibration=train_ds)
print(report)
```

| module                 | what it holds                                                    |
|------------------------|------------------------------------------------------------------|
| `exporter.py`          | `export`: convert, verify, mend, write, report; `verify`         |
| `conversion.py`        | `convert`: from a model to the bytes of a file                   |
| `signature.py`         | the inputs of a model, by the names of its file                  |
| `precision.py`         | a half-precision model rebuilt in float32                        |
| `rewriting.py`         | operators the quantizers lack, in terms of those they have       |
| `compaction.py`        | `compact`: the same network in a third fewer bytes               |
| `calibration.py`       | samples out of data sets and arrays                              |
| `interpreter.py`       | `TFLiteModel` and `run`: what the file computes                  |
| `inspection.py`        | `operators`, `tensor_dtypes`: what the file contains             |
| `verification.py`      | `compare`: the file against the model it came from               |
| `report.py`            | `Report`: what is known of an exported file                      |
| `silence.py`           | the native libraries kept quiet                                  |
| `answers.py`           | what the outputs of a file mean, by its task                     |
| `card.py`              | `model_card`: what is known of a file, for others                |
| `c_source.py`          | `c_array`: the file as C++ for microcontrollers                  |
| `device_costs.py`      | what a file costs on devices, in words                           |
| `example_program.py`   | a program that shows how a file is used                          |
| `flatbuffer_tables.py` | FlatBuffers of a schema without generated code                   |
| `metadata.py`          | `with_metadata`, `read_metadata`: labels and more in the file    |
| `packaging.py`         | `package`: the folder that ships                                 |
| `attribution.py`       | which layer an operator came from                                |
| `quantization.py`      | `quantize`: a float file in fewer bits, layer by layer           |
| `equalization.py`      | channels scaled to like ranges, the network the same             |
| `ranges.py`            | ranges of activations, measured and narrowed                     |
| `remedies.py`          | what is done when a file has lost too much accuracy              |
| `sensitivity.py`       | `sensitivities`: what quantizing each operator costs             |
| `masking.py`           | what attention masks, just below the scores                      |
| `recurrence.py`        | recurrent layers step by step, for files without loops           |
| `weight_ranges.py`     | ranges that are wide enough for kernels: weights, outputs        |
| `fake_quantization.py` | layers that round as an integer file does                        |
| `fine_tuning.py`       | `fine_tune`: a model trained on with the rounding of its file    |
| `folding.py`           | `fold`: batch normalisation in the weights before it             |
| `layer_graph.py`       | a Keras model as a graph of layers, to be rewritten              |
| `pruning.py`           | `prune`: channels taken out of a trained network                 |
| `retraining.py`        | a trained model trained on: its loss, a lower rate               |

TensorFlow is loaded when a name is first used, not on import.
"""

from __future__ import annotations

import importlib
from typing import Any

_HOME = {
    "AccuracyDropError": "remedies",
    "Comparison": "verification",
    "FineTuned": "fine_tuning",
    "OperatorError": "sensitivity",
    "Remedy": "report",
    "Report": "report",
    "TFLiteModel": "interpreter",
    "TensorInfo": "interpreter",
    "c_array": "c_source",
    "compact": "compaction",
    "compare": "verification",
    "convert": "conversion",
    "export": "exporter",
    "fine_tune": "fine_tuning",
    "fold": "folding",
    "measure": "edge_devices.measurement",
    "model_card": "card",
    "operators": "inspection",
    "package": "packaging",
    "prune": "pruning",
    "quantize": "quantization",
    "read_metadata": "metadata",
    "run": "interpreter",
    "sensitivities": "sensitivity",
    "tensor_dtypes": "inspection",
    "verify": "exporter",
    "with_metadata": "metadata",
}

__all__ = [
    "AccuracyDropError",
    "Comparison",
    "FineTuned",
    "OperatorError",
    "Remedy",
    "Report",
    "TFLiteModel",
    "TensorInfo",
    "c_array",
    "compact",
    "compare",
    "convert",
    "export",
    "fine_tune",
    "fold",
    "measure",
    "model_card",
    "operators",
    "package",
    "prune",
    "quantize",
    "read_metadata",
    "run",
    "sensitivities",
    "tensor_dtypes",
    "verify",
    "with_metadata",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    home = _HOME[name] if "." in _HOME[name] else f"{__name__}.{_HOME[name]}"
    return getattr(importlib.import_module(home), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})

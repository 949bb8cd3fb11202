"""Search spaces for Keras: what can be built, and what it costs on paper.

| space              | `space=`         | networks                                    |
|--------------------|------------------|---------------------------------------------|
| `MobileNet`        | `"mobilenet"`    | inverted residuals; MobileNetV2, V3, MnasNet |
| `EfficientNet`     | `"efficientnet"` | scaled in depth, width and resolution       |
| `ResNet`           | `"resnet"`       | stages of convolutions, shortcuts or not    |
| `NASNetCells`      | `"nasnet"`       | normal and reduction cells of blocks        |
| `DARTSCells`       | `"darts"`        | cells with operations on edges; genotypes   |
| `NASBench101Cells` | `"nasbench101"`  | the cells of NAS-Bench-101                  |
| `NASBench201Cells` | `"nasbench201"`  | the cells of NAS-Bench-201                  |
| `GraphNetwork`     | `"graph"`        | free graphs, with edits                     |
| `Transformer`      | `"transformer"`  | attention over patches, series and text     |
| `DSCNN`            | `"dscnn"`        | separable convolutions over audio features  |
| `TemporalConvNet`  | `"tcn"`          | dilated convolutions over time series       |
| `Recurrent`        | `"recurrent"`    | GRU and LSTM over series and text           |
| `MLP`              | `"mlp"`          | dense layers over tables                    |
| `UNet`             | `"unet"`         | segmentation, over any space of images      |
| `Detector`         | `"detector"`     | detection, over any space of images         |
| `Fusion`           | (of spaces)      | several inputs, a space for each            |

| module            | what it holds                                                 |
|-------------------|---------------------------------------------------------------|
| `network.py`      | `Network`: the description of a network                       |
| `canonical.py`    | its canonical form, by which equal networks are recognised    |
| `operations.py`   | what a layer does to shapes, weights and multiply-accumulates |
| `blocks.py`       | building blocks: functions from node to node                  |
| `cells.py`        | pieces of cells                                               |
| `pyramid.py`      | features of a network at each resolution                      |
| `sequences.py`    | what spaces of sequences share                                |
| `edits.py`        | edits of graphs                                               |
| `paths.py`        | the paths through a network, from input to output             |
| `inheritance.py`  | weights that a network inherits from an earlier one           |
| `morphism.py`     | changes of a graph that leave its function as it is           |
| `space.py`        | `SearchSpace` and `choose`                                    |
| `decisions.py`    | decisions already made, read as a space reads them            |
| `members.py`      | members of a space: some at random, or all                    |
| `task.py`         | `Task`: head, loss, metrics                                   |
| `targets.py`      | targets: what a task cannot take, groups to split them by     |
| `metrics.py`      | scores of answers, in NumPy                                   |
| `roc.py`          | scores of rankings                                            |
| `diagnosis.py`    | areas and sensitivities with confidence intervals             |
| `segmentation.py` | the task of a class for each pixel                            |
| `detection.py`    | the task of objects in images                                 |
| `boxes.py`        | boxes to the grid that a detector learns, and back            |
| `box_metrics.py`  | mean average precision                                        |
| `fusion.py`       | branches of several inputs, and what joins them               |
| `auto.py`         | the family for an input and a task, and its space made        |
| `table.py`        | columns as numbers, by Keras' preprocessing                   |
| `waveform.py`     | `Waveform`: a front end before any space of features          |
| `front_end.py`    | from waveforms to log-mel spectra and cepstral coefficients   |
| `spectral_program.py` | their operators in a file                                 |
| `realise.py`      | from a description to a Keras model of stock layers           |
| `reading.py`      | and back                                                      |
| `costs.py`        | params, MACs, flash and RAM of a description                  |
| `counting.py`     | params and MACs of a Keras model, counted on the model        |
| `lowering.py`     | from a description to the operators of its int8 file          |
| `draft.py`        | a program while it is written                                 |
| `graph_order.py`  | the order in which the converter writes operators             |
| `file_graph.py`   | the graph that the converter reads                            |
| `expansion.py`    | layers that are many of its nodes                             |
| `unrolling.py`    | recurrent layers step by step                                 |
| `file_size.py`    | bytes of a file by its operators                              |
| `rounding.py`     | weights of few bits while a network is scored                 |
| `testing.py`      | tests that any space can inherit                              |

Any space works with any KerasTuner tuner. Nothing here knows of the search engine.
"""

from __future__ import annotations

import importlib
from typing import Any

_HOME = {
    "Classification": "task",
    "DARTSCells": "darts",
    "DSCNN": "dscnn",
    "Detection": "detection",
    "Detector": "detector",
    "EfficientNet": "efficientnet",
    "FrontEnd": "front_end",
    "Fusion": "fusion",
    "GraphNetwork": "graph",
    "MLP": "mlp",
    "MobileNet": "mobile",
    "MultiLabel": "task",
    "NASBench101Cells": "nasbench101",
    "NASBench201Cells": "nasbench201",
    "NASNetCells": "nasnet",
    "Network": "network",
    "NextToken": "task",
    "Recurrent": "recurrent",
    "Regression": "task",
    "ResNet": "resnet",
    "SearchSpace": "space",
    "Segmentation": "segmentation",
    "Task": "task",
    "TemporalConvNet": "tcn",
    "Transformer": "transformer",
    "UNet": "unet",
    "Waveform": "waveform",
    "choose": "space",
    "decode": "boxes",
    "decode_batch": "boxes",
    "encode_boxes": "boxes",
    "program": "costs",
    "read": "reading",
    "realise": "realise",
}

__all__ = [
    "DSCNN",
    "MLP",
    "SPACES",
    "Classification",
    "DARTSCells",
    "Detection",
    "Detector",
    "EfficientNet",
    "FrontEnd",
    "Fusion",
    "GraphNetwork",
    "MobileNet",
    "MultiLabel",
    "NASBench101Cells",
    "NASBench201Cells",
    "NASNetCells",
    "Network",
    "NextToken",
    "Recurrent",
    "Regression",
    "ResNet",
    "SearchSpace",
    "Segmentation",
    "Task",
    "TemporalConvNet",
    "Transformer",
    "UNet",
    "Waveform",
    "choose",
    "decode",
    "decode_batch",
    "encode_boxes",
    "program",
    "read",
    "realise",
]

SPACES = {
    "mobilenet": "MobileNet",
    "efficientnet": "EfficientNet",
    "resnet": "ResNet",
    "nasnet": "NASNetCells",
    "darts": "DARTSCells",
    "nasbench101": "NASBench101Cells",
    "nasbench201": "NASBench201Cells",
    "graph": "GraphNetwork",
    "transformer": "Transformer",
    "dscnn": "DSCNN",
    "tcn": "TemporalConvNet",
    "recurrent": "Recurrent",
    "mlp": "MLP",
    "unet": "UNet",
    "detector": "Detector",
}
"""Class of each space by the name that `space=` and `--space` take."""


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOME[name]}"), name)

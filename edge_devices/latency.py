"""How long a program takes on a microcontroller, from its operators alone.

A model is a price list: clock cycles for each kind of work. `work` counts a program's work,
`CycleModel` multiplies and adds:

    cycles = speed of the board * sum over kinds of (cycles of one unit * units)

| kind               | what is counted                                                       |
|--------------------|-----------------------------------------------------------------------|
| `operators`        | operators: what the interpreter and a kernel's set-up take            |
| `conv`             | multiply-accumulates of convolutions with a window                    |
| `patch`            | values that such a convolution gathers before it multiplies (im2col)  |
| `pointwise`        | multiply-accumulates of 1x1 convolutions                              |
| `depthwise`        | multiply-accumulates of depthwise convolutions                        |
| `dense`            | multiply-accumulates of fully connected layers, and of the products   |
|                    | of two activations in attention                                       |
| `outputs`          | outputs of convolutions and dense layers: scaling back to int8        |
| `depthwise_output` | outputs of depthwise convolutions                                     |
| `pool`             | values in the windows of poolings                                     |
| `add`, `multiply`  | outputs of additions, of products                                     |
| `reduce`           | inputs of means, sums and maxima over axes                            |
| `softmax`          | outputs of softmax                                                    |
| `hard_swish`       | outputs of HARD_SWISH                                                 |
| `copy`             | outputs of operators that only move values, but for reshapes          |
| `other`            | outputs of any other operator                                         |

The prices depend on the runtime and on the instructions its kernels use; `RATES` has them in
cycles of one board, `BOARDS` how many times as many cycles other boards take for the same
work (waiting for flash, mostly), `CORES` the geometric mean of the boards that have a core.
They are fitted to the published timings of `published.py` by `benchmarks/latency_fit.py`.
Error, median and worst, of predictions for what was left out of the fit (`ERRORS`):

| runtime     | kernels  | cores          | points | a network left out | a board left out |
|-------------|----------|----------------|--------|--------------------|------------------|
| `tflm`      | `dsp`    | M4, M7, M33    | 38     | 7 %, 30 %          | 18 %, 28 %       |
| `tflm`      | `mve`    | M55, M85       | 21     | 13 %, 30 %         | 16 %, 28 %       |
| `tflm`      | `esp-nn` | ESP32-S3       | 11     | 6 % (one network)  | (one board)      |
| `x-cube-ai` | `dsp`    | M4, M7, M33    | 16     | 12 %, 61 %         | 20 %, 90 %       |

What was timed are MLPerf Tiny, MCUNet and single kernels. A depthwise network of ordinary
widths is well inside that, one of 3x3 convolutions less so: ResNet-8 is the only one, and the
worst case of a network left out. On a Cortex-M55 single operators were timed, and networks
only on a Cortex-M85. X-CUBE-AI changed between the versions that were timed.

Means, HARD_SWISH and the operators under `other` have no fast kernel in TensorFlow Lite
Micro: their prices are those of its portable C code, timed on a Cortex-M55, for every core.
`copy` is an assumption, one cycle a value, as nobody published a copy of known size. So is
that products in attention cost as much as dense layers: they were not among what was timed,
nor was any recurrent network. Channel
counts that are no multiple of the vector length are not charged extra: rounding them up to 4
(or 16 with Helium) changed no error by more than a point.

Only int8 is priced. Kernels for 16-bit activations and for float are slower by factors that
nobody has published for enough networks.
"""

from __future__ import annotations

import abc
import collections
import dataclasses
import math
from collections.abc import Mapping
from typing import NamedTuple

from edge_devices.program import Program
from edge_devices.spelling import did_you_mean

__all__ = [
    "BOARDS",
    "CORES",
    "ERRORS",
    "KERNELS",
    "RATES",
    "CycleModel",
    "Errors",
    "LatencyModel",
    "work",
]

KERNELS = {
    "cortex-m4": "dsp",
    "cortex-m7": "dsp",
    "cortex-m33": "dsp",
    "cortex-m55": "mve",
    "cortex-m85": "mve",
    "esp32-s3": "esp-nn",
}
"""Cores that there are prices for, and the instructions that kernels use on them."""


class Errors(NamedTuple):
    """How far a model was off where it had not been fitted, as fractions of the timing.

    Attributes:
        points: Timings it was fitted to in the end.
        networks: Median and worst error on whole networks, each left out of the fit with all
            its layers on every board.
        boards: Median and worst error on boards left out of the fit, the board's speed taken
            to be that of others with its core. `None` where there is one board only.
    """

    points: int
    networks: tuple[float, float]
    boards: tuple[float, float] | None

    def __str__(self) -> str:
        def said(pair: tuple[float, float]) -> str:
            return f"{pair[0]:.0%} in the median and {pair[1]:.0%} at most"

        text = f"off by {said(self.networks)} on networks it was not fitted to"
        return text + (f", {said(self.boards)} on such boards" if self.boards else "")


class LatencyModel(abc.ABC):
    """Tells a program's time from its operators: pure, and in microseconds."""

    @abc.abstractmethod
    def milliseconds(self, program: Program) -> float | None:
        """Time of one inference, or `None` if the model has no price for the program."""

    @abc.abstractmethod
    def __str__(self) -> str:
        """What it is made of and how far it is off, for people."""


# By `benchmarks/latency_fit.py`; a test compares.
RATES: dict[tuple[str, str], dict[str, float]] = {
    ("tflm", "dsp"): {
        "operators": 575.0,
        "conv": 2.41,
        "patch": 7.75,
        "pointwise": 1.37,
        "depthwise": 9.06,
        "dense": 3.37,
        "outputs": 107.0,
        "depthwise_output": 35.7,
        "pool": 11.4,
        "add": 98.8,
        "multiply": 35.7,
        "softmax": 324.0,
        "reduce": 191.0,
        "hard_swish": 74.6,
        "other": 83.0,
        "copy": 1.41,
    },
    ("tflm", "mve"): {
        "operators": 423.0,
        "conv": 0.162,
        "patch": 0.922,
        "pointwise": 0.0954,
        "depthwise": 2.45,
        "dense": 0.897,
        "outputs": 24.5,
        "depthwise_output": 4.94,
        "pool": 2.6,
        "add": 13.2,
        "multiply": 8.04,
        "softmax": 150.0,
        "reduce": 136.0,
        "hard_swish": 53.1,
        "other": 59.1,
        "copy": 0.991,
    },
    ("tflm", "esp-nn"): {
        "operators": 968.0,
        "conv": 4.23,
        "patch": 4.15,
        "pointwise": 0.593,
        "depthwise": 3.49,
        "dense": 4.3,
        "outputs": 32.4,
        "depthwise_output": 18.7,
        "pool": 3.0,
        "add": 43.8,
        "multiply": 18.6,
        "softmax": 278.0,
        "reduce": 140.0,
        "hard_swish": 54.6,
        "other": 60.7,
        "copy": 1.03,
    },
    ("x-cube-ai", "dsp"): {
        "operators": 459.0,
        "conv": 1.54,
        "patch": 5.53,
        "pointwise": 1.24,
        "depthwise": 5.08,
        "dense": 3.2,
        "outputs": 64.0,
        "depthwise_output": 29.0,
        "pool": 9.42,
        "add": 73.7,
        "multiply": 28.4,
        "softmax": 258.0,
        "reduce": 152.0,
        "hard_swish": 59.3,
        "other": 66.0,
        "copy": 1.12,
    },
}
"""Cycles of each kind of work on the board that others are compared with."""

BOARDS: dict[tuple[str, str], float] = {
    ("tflm", "NUCLEO-L4R5ZI"): 1.0,
    ("tflm", "apollo3p_evb"): 0.921,
    ("tflm", "apollo4l_blue_evb"): 0.752,
    ("tflm", "STM32F746G-DISCO"): 0.539,
    ("tflm", "STM32H743"): 0.686,
    ("tflm", "EK-RA6M4"): 0.92,
    ("tflm", "nRF5340-DK"): 0.823,
    ("tflm", "apollo510_evb"): 1.0,
    ("tflm", "EK-RA8D1"): 0.866,
    ("tflm", "ESP32-S3-DevKitC-1"): 1.0,
    ("x-cube-ai", "NUCLEO-L4R5ZI"): 1.0,
    ("x-cube-ai", "NUCLEO-H7A3ZI-Q"): 0.55,
    ("x-cube-ai", "STM32H743"): 0.622,
    ("x-cube-ai", "NUCLEO-U575ZI-Q"): 0.527,
}
"""How many times as many cycles a board takes."""

CORES: dict[tuple[str, str], float] = {
    ("tflm", "cortex-m4"): 0.885,
    ("tflm", "cortex-m7"): 0.608,
    ("tflm", "cortex-m33"): 0.87,
    ("tflm", "cortex-m55"): 1.0,
    ("tflm", "cortex-m85"): 0.866,
    ("tflm", "esp32-s3"): 1.0,
    ("x-cube-ai", "cortex-m4"): 1.0,
    ("x-cube-ai", "cortex-m7"): 0.585,
    ("x-cube-ai", "cortex-m33"): 0.527,
}
"""The same for a core: the geometric mean of its boards."""

ERRORS: dict[tuple[str, str], Errors] = {
    ("tflm", "dsp"): Errors(38, (0.07, 0.3), (0.18, 0.28)),
    ("tflm", "mve"): Errors(21, (0.13, 0.3), (0.16, 0.28)),
    ("tflm", "esp-nn"): Errors(11, (0.06, 0.06), None),
    ("x-cube-ai", "dsp"): Errors(16, (0.12, 0.61), (0.2, 0.9)),
}
"""How far off the models are where they were not fitted."""


@dataclasses.dataclass(frozen=True)
class CycleModel(LatencyModel):
    """Published cycles of each kind of work, at a board's clock.

    Args:
        core: The processor, a key of `KERNELS`.
        clock_hz: Its clock. Time is inversely proportional to it, which holds as long as
            flash keeps up.
        runtime: What runs the network: `"tflm"`, TensorFlow Lite Micro with CMSIS-NN (ESP-NN
            on an ESP32), or `"x-cube-ai"`, STMicroelectronics' compiler, about twice as fast.
        board: A board of `BOARDS` whose own speed is taken. Without one, or if it was not
            timed with this runtime, the mean speed of boards with this core.

    Raises:
        ValueError: If nothing is published for the core or the runtime.
    """

    core: str
    clock_hz: float
    runtime: str = "tflm"
    board: str | None = None

    def __post_init__(self) -> None:
        runtimes = sorted({runtime for runtime, _ in CORES})
        if self.runtime not in runtimes:
            raise ValueError(
                f"No timings are published for this runtime. Received: "
                f"runtime={self.runtime!r}. {did_you_mean(self.runtime, runtimes)}"
                f"Known: {', '.join(map(repr, runtimes))}."
            )
        cores = [core for runtime, core in CORES if runtime == self.runtime]
        if self.core not in cores:
            raise ValueError(
                f"No timings of runtime {self.runtime!r} are published for this core. "
                f"Received: core={self.core!r}. {did_you_mean(self.core, cores)}Known: "
                f"{', '.join(map(repr, cores))}. Leave `core` out, or describe the device by "
                "operators timed on it: `Device.from_measurements`."
            )

    @property
    def rates(self) -> Mapping[str, float]:
        """Cycles of each kind of work on the board that others are compared with."""
        return RATES[self.runtime, KERNELS[self.core]]

    @property
    def speed(self) -> float:
        """How many times as many cycles this board takes."""
        core = CORES[self.runtime, self.core]
        return core if self.board is None else BOARDS.get((self.runtime, self.board), core)

    @property
    def errors(self) -> Errors:
        """How far such a model is off."""
        return ERRORS[self.runtime, KERNELS[self.core]]

    def milliseconds(self, program: Program) -> float | None:
        if not _is_int8(program):
            return None
        counted, rates = work(program), self.rates
        cycles = self.speed * sum(rates[kind] * count for kind, count in counted.items())
        return cycles / self.clock_hz * 1e3

    def __str__(self) -> str:
        timed = self.board is not None and (self.runtime, self.board) in BOARDS
        return (
            f"cycles per kind of operator, {self.runtime}, fitted to {self.errors.points} "
            f"published timings ({'this board' if timed else 'this core, other boards'} among "
            f"them); {self.errors}"
        )


def work(program: Program) -> dict[str, float]:
    """Count the work of each kind that a program does; see the table above."""
    done: dict[str, float] = collections.defaultdict(float)
    for operator in program.operators:
        done["operators"] += 1
        written = sum(program.tensors[i].elements for i in operator.outputs)
        if operator.op == "CONV_2D":
            macs = program.macs(operator)
            if operator.weights[1:3] == (1, 1):
                done["pointwise"] += macs
            else:
                done["conv"] += macs
                done["patch"] += macs / operator.weights[0]
            done["outputs"] += written
        elif operator.op == "DEPTHWISE_CONV_2D":
            done["depthwise"] += program.macs(operator)
            done["depthwise_output"] += written
        elif operator.op in ("BATCH_MATMUL", "FULLY_CONNECTED"):
            done["dense"] += program.macs(operator)
            done["outputs"] += written
        elif operator.op in _POOLS:
            done["pool"] += written * math.prod(operator.window)
        elif operator.op in _REDUCTIONS:
            done["reduce"] += sum(program.tensors[i].elements for i in operator.inputs)
        elif operator.op not in _FREE:
            done[_KINDS.get(operator.op, "other")] += written
    return dict(done)


_POOLS = ("AVERAGE_POOL_2D", "MAX_POOL_2D", "L2_POOL_2D")
_REDUCTIONS = ("MEAN", "SUM", "REDUCE_MAX", "REDUCE_MIN", "REDUCE_PROD")
_FREE = ("RESHAPE", "SQUEEZE", "EXPAND_DIMS")
_KINDS = {
    "ADD": "add",
    "MUL": "multiply",
    "SOFTMAX": "softmax",
    "HARD_SWISH": "hard_swish",
    **dict.fromkeys(
        (
            *("CONCATENATION", "PAD", "PADV2", "MIRROR_PAD", "PACK", "UNPACK", "SLICE"),
            *("SPLIT", "SPLIT_V", "STRIDED_SLICE", "TRANSPOSE", "TILE", "GATHER"),
            *(
                "RESIZE_NEAREST_NEIGHBOR",
                "SELECT_V2",
                "SPACE_TO_BATCH_ND",
                "BATCH_TO_SPACE_ND",
            ),
        ),
        "copy",
    ),
}
_BORDERS = ("QUANTIZE", "DEQUANTIZE")


def _is_int8(program: Program) -> bool:
    """Whether activations are int8, but for what a border operator reads or writes."""
    borders = {
        index
        for operator in program.operators
        if operator.op in _BORDERS
        for index in (*operator.inputs, *operator.outputs)
    }
    return all(
        program.tensors[index].dtype in ("int8", "uint8", "bool", "int32", "int64")
        for operator in program.operators
        for index in (*operator.inputs, *operator.outputs)
        if index not in borders
    )

"""Timings and energies of networks on microcontrollers that others have published.

`latency_points.csv` holds one a line: the figure as it was printed, and where. They are what
the models of `latency.py` and the powers of `energy.py` are fitted to (`benchmarks/
latency_fit.py`). A point is a whole network, or one operator where a table gives those.
"""

from __future__ import annotations

import csv
import functools
import importlib.resources
from typing import NamedTuple

__all__ = ["Point", "points"]


class Point(NamedTuple):
    """One published timing.

    Attributes:
        runtime: What ran the network: `"tflm"` is TensorFlow Lite Micro with the kernels its
            vendor optimised (CMSIS-NN, or ESP-NN on an ESP32), or another program around the
            same kernels; `"tflm-reference"` has its portable kernels instead.
        kernels: Instructions that the kernels use: `"dsp"`, `"mve"` (Helium) or `"esp-nn"`.
        board: The board or chip.
        core: Its processor.
        clock_hz: Its clock.
        network: What was run, a name of `benchmarks/latency_networks.py`.
        figure: The number as published.
        unit: Its unit: `"ms"`, `"inf/s"` or `"cycles"`.
        energy_mj: Energy of one inference in millijoules, if that was measured too.
        supply: Supply voltage when it was.
        source: Where: a page, or a repository on GitHub and a path in it.
    """

    runtime: str
    kernels: str
    board: str
    core: str
    clock_hz: float
    network: str
    figure: float
    unit: str
    energy_mj: float | None
    supply: str
    source: str

    @property
    def milliseconds(self) -> float:
        """Time of one inference."""
        if self.unit == "cycles":
            return self.figure / self.clock_hz * 1e3
        return self.figure if self.unit == "ms" else 1e3 / self.figure

    @property
    def cycles(self) -> float:
        """The same in cycles of the clock."""
        return self.milliseconds * self.clock_hz / 1e3


@functools.cache
def points() -> tuple[Point, ...]:
    """All of them, in the order of the file."""
    content = importlib.resources.files(__package__).joinpath("latency_points.csv").read_text()
    return tuple(
        Point(
            row["runtime"],
            row["kernels"],
            row["board"],
            row["core"],
            float(row["clock_mhz"]) * 1e6,
            row["network"],
            float(row["figure"]),
            row["unit"],
            float(row["energy_uj"]) / 1e3 if row["energy_uj"] else None,
            row["supply"],
            row["source"],
        )
        for row in csv.DictReader(content.splitlines())
    )

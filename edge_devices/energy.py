"""Energy of one inference: time multiplied by the power a board was measured to take.

It is an estimate. Power hardly depends on the network (a few per cent between the four of
MLPerf Tiny), so the error is that of the time, but it does on the supply: the same
STM32L4R5 takes 41 mW at 1.8 V and 75 mW at 3 V, where a linear regulator turns the rest into
heat. Power is that of the whole chip while it computes; waking up, sensors, and radios come on
top.
"""

from __future__ import annotations

import math
from typing import NamedTuple

__all__ = ["POWERS", "Power", "energy_mj"]


class Power(NamedTuple):
    """Electrical power while a network runs.

    Attributes:
        milliwatts: Mean power.
        supply: Voltage at which it was measured, for people.
        source: Where it was published.
    """

    milliwatts: float
    supply: str = ""
    source: str = ""

    def __str__(self) -> str:
        return f"{self.milliwatts:g} mW" + (f" at {self.supply}" if self.supply else "")


# Mean over MLPerf Tiny's four networks of energy by time, from `latency_points.csv`; a test
# compares.
POWERS = {
    "NUCLEO-L4R5ZI": Power(
        41.0,
        "1.8 V",
        "MLPerf Tiny v0.5, closed/reference/results/Nucleo-L4R5ZI (energy), "
        "https://github.com/mlcommons/tiny_results_v0.5",
    ),
    "NUCLEO-H7A3ZI-Q": Power(
        137.0,
        "3 V, switched regulator",
        "MLPerf Tiny v1.1, closed/Krai/results/README.md (X-CUBE-AI 8.0.0), "
        "https://github.com/mlcommons/tiny_results_v1.1",
    ),
    "NUCLEO-U575ZI-Q": Power(
        23.1,
        "1.8 V, switched regulator",
        "MLPerf Tiny v1.2, closed/STMicroelectronics/results/NUCLEO_U575ZI_Q (energy), "
        "https://github.com/mlcommons/tiny_results_v1.2",
    ),
    "EK-RA6M4": Power(
        72.6,
        "3 V",
        "MLPerf Tiny v0.7, closed/renesas/results/EK-RA6M4 (energy), "
        "https://github.com/mlcommons/tiny_results_v0.7",
    ),
}
"""Boards with a published power."""


def energy_mj(latency_ms: float, milliwatts: float) -> float:
    """Estimated energy in millijoules of `latency_ms` milliseconds at `milliwatts`.

    Raises:
        ValueError: If either is negative or not finite.
    """
    for name, number in (("latency_ms", latency_ms), ("milliwatts", milliwatts)):
        if not 0 <= number < math.inf:
            raise ValueError(
                f"{name} must be at least 0 and finite. Received: {name}={number!r}. "
                "Give milliseconds and milliwatts."
            )
    return latency_ms * milliwatts / 1e3

"""The units people write costs in: "128KB" in, "58.3 KB" out."""

from __future__ import annotations

import itertools
import math
import numbers
import re
from typing import NamedTuple

from edge_devices.spelling import did_you_mean

__all__ = ["COSTS", "format_cost", "parse_amount"]


class _Quantity(NamedTuple):
    """What a cost counts: units in ascending order, each with its size in base units."""

    noun: str
    units: dict[str, float]
    space: str = " "

    def describe(self) -> str:
        known = ", ".join(repr(f"10{unit}") for unit in self.units)
        return f"{self.noun} such as {known}"


_COUNT = _Quantity("a count", {"": 1, "k": 1e3, "M": 1e6, "G": 1e9}, space="")
_BYTES = _Quantity("bytes", {"B": 1, "KB": 1024, "MB": 1024**2, "GB": 1024**3})
_TIME = _Quantity("a time", {"us": 1e-3, "ms": 1, "s": 1e3})
_ENERGY = _Quantity("an energy", {"uJ": 1e-3, "mJ": 1, "J": 1e3})

_QUANTITIES = {
    "params": _COUNT,
    "macs": _COUNT,
    "flash": _BYTES,
    "ram": _BYTES,
    "latency_ms": _TIME,
    "energy_mj": _ENERGY,
    "npu_cycles": _COUNT,
}

COSTS = tuple(_QUANTITIES)
"""Names that costs have; less is better in each of them."""

_AMOUNT = re.compile(r"\s*([-+]?[\d_]*\.?\d+(?:e[-+]?\d+)?|[-+]?\d+\.)\s*([a-z]*)\s*", re.I)


def parse_amount(name: str, amount: float | int | str, what: str = "The limit on") -> float:
    """Read an amount of a cost, in the base unit of that cost.

    | cost                           | base unit | text                                       |
    |--------------------------------|-----------|--------------------------------------------|
    | `params`, `macs`, `npu_cycles` | count     | decimal: `"50k"`, `"10M"`, `"1G"`          |
    | `flash`, `ram`                 | bytes     | 1024-based: `"900B"`, `"128KB"`, `"1.5MB"` |
    | `latency_ms`                   | ms        | `"500us"`, `"20ms"`, `"1.5s"`              |
    | `energy_mj`                    | mJ        | `"300uJ"`, `"2mJ"`, `"1J"`                 |

    Case does not matter. A plain number, or text without a unit, is in base units.

    Args:
        name: One of `COSTS`.
        amount: The amount.
        what: What is said to be wrong, before the cost's name, where something is.

    Returns:
        The amount as a number, positive and finite.

    Raises:
        TypeError: If the amount is neither number nor text.
        ValueError: If no cost has this name, or if the amount has another quantity's unit,
            cannot be read, or is not positive and finite.
    """
    received = f"Received: {name}={amount!r}."
    if name not in _QUANTITIES:
        raise ValueError(
            f"No cost is called {name!r}. {received} {did_you_mean(name, COSTS)}"
            f"Known: {', '.join(map(repr, COSTS))}."
        )
    quantity = _QUANTITIES[name]
    if isinstance(amount, str):
        matched = _AMOUNT.fullmatch(amount)
        units = {unit.lower(): size for unit, size in quantity.units.items()} | {"": 1}
        size = units.get(matched[2].lower().replace("ib", "b")) if matched else None
        if matched is None or size is None:
            raise ValueError(
                f"{what} {name!r} must be {quantity.describe()}. {received} "
                "Use one of these units, or a plain number in base units."
            )
        number = float(matched[1]) * size
    elif isinstance(amount, numbers.Real) and not isinstance(amount, bool):
        number = float(amount)
    else:
        raise TypeError(
            f"{what} {name!r} must be a number or text. Received: {name}={amount!r} "
            f"({type(amount).__name__}). Write {quantity.describe()}."
        )
    if not 0 < number < math.inf:
        raise ValueError(
            f"{what} {name!r} must be positive and finite. {received} "
            f"Write {quantity.describe()}, or leave it out."
        )
    return number


def format_cost(name: str, value: float) -> str:
    """Write a cost for people: `"58.3 KB"` of flash, `"1.2M"` params.

    One decimal at most. A cost without a known unit is written as a plain number.
    """
    quantity = _QUANTITIES.get(name)
    if quantity is None or not math.isfinite(value):
        return f"{value:g}"
    units = list(quantity.units.items())
    unit, size = next(
        (
            (unit, size)
            for (unit, size), (_, larger) in itertools.pairwise(units)
            if round(value / size, 1) < larger / size  # 1023.99 KB is 1 MB, not 1024 KB
        ),
        units[-1],
    )
    return f"{value / size:,.1f}".removesuffix(".0") + quantity.space + unit

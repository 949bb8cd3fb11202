"""Limits on costs, in the units people write: "128KB" in, "58.3 KB" out."""

from __future__ import annotations

import itertools
import math
import numbers
import re
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from kerasnas.spelling import did_you_mean

__all__ = [
    "COSTS",
    "format_cost",
    "format_duration",
    "parse_duration",
    "parse_limit_options",
    "parse_limits",
    "violation",
]


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

_COSTS = {"params": _COUNT, "macs": _COUNT, "flash": _BYTES}
_LATER = {"ram": _BYTES, "latency_ms": _TIME, "energy_mj": _ENERGY}

COSTS = (*_COSTS, *_LATER)
"""Names that costs have, measured already or later; less is better in each of them."""

_AMOUNT = re.compile(r"\s*([-+]?[\d_]*\.?\d+(?:e[-+]?\d+)?|[-+]?\d+\.)\s*([a-z]*)\s*", re.I)
_DURATION = re.compile(
    r"\s*(?=\S)" + "".join(rf"(?:(\d+(?:\.\d*)?|\.\d+)\s*{unit}\s*)?" for unit in "dhms"), re.I
)
_SECONDS = (86_400, 3_600, 60, 1)


def parse_limits(limits: Mapping[str, float | int | str] | None) -> dict[str, float]:
    """Read upper bounds on costs, each in the base unit of its cost.

    | cost     | base unit | text                                          |
    |----------|-----------|-----------------------------------------------|
    | `params` | count     | decimal: `"50k"`, `"10M"`, `"1G"`             |
    | `macs`   | count     | decimal, as above; one image                  |
    | `flash`  | bytes     | 1024-based: `"900B"`, `"128KB"`, `"1.5MB"`    |

    Case does not matter. A plain number, or text without a unit, is in base units.

    Args:
        limits: Bounds by cost. `None` and an empty mapping bound nothing.

    Returns:
        The bounds as numbers. A network meets them when no cost is above its bound.

    Raises:
        TypeError: If `limits` is no mapping or a bound is neither number nor text.
        ValueError: If a cost is unknown or not measured yet, or if a bound has another
            quantity's unit, cannot be read, or is not positive and finite.
    """
    if limits is None:
        return {}
    if not isinstance(limits, Mapping):
        raise TypeError(
            f"`limits` must map costs to upper bounds. Received: limits={limits!r}. "
            'Write, for example, limits={"flash": "128KB", "macs": "10M"}.'
        )
    return {name: _amount(name, bound) for name, bound in limits.items()}


def parse_limit_options(options: Iterable[str]) -> dict[str, float]:
    """Read the command line's repeated `--limit NAME=BOUND`.

    Raises:
        ValueError: If an option has no `=` or repeats a cost, and as in `parse_limits`.
    """
    limits: dict[str, str] = {}
    for option in options:
        name, equals, bound = (part.strip() for part in option.partition("="))
        if not (name and equals and bound):
            raise ValueError(
                "A limit must be written NAME=BOUND. "
                f"Received: {option!r}. Write, for example, flash=128KB."
            )
        if name in limits:
            raise ValueError(
                f"The limit on {name!r} is given twice. "
                f"Received: {name}={limits[name]} and {option}. Keep one of them."
            )
        limits[name] = bound
    return parse_limits(limits)


def violation(costs: Mapping[str, float], limits: Mapping[str, float]) -> float:
    """Tell how far a network is over its limits.

    Args:
        costs: Every cost that has a limit, in base units; others are ignored.
        limits: As `parse_limits` returns them.

    Returns:
        0.0 when every limit holds, else the sum of `log(cost / limit)` over the broken ones.
        It is scale-free (twice the flash weighs as much as twice the MACs) and falls as a
        network comes closer, so it can guide a search back. A cost that is NaN counts as
        infinite.

    Raises:
        ValueError: If a limited cost is missing.
    """
    missing = limits.keys() - costs.keys()
    if missing:
        raise ValueError(
            f"A limit needs its cost. Received: limits on {sorted(limits)}, "
            f"costs {sorted(costs)}. Provide {sorted(missing)} or drop those limits."
        )
    return sum(
        (
            math.inf if math.isnan(costs[name]) else math.log(costs[name] / limit)
            for name, limit in limits.items()
            if not costs[name] <= limit
        ),
        start=0.0,
    )


def parse_duration(duration: str | float | int | None) -> float | None:
    """Read a duration such as `"90s"`, `"20m"` or `"1h30m"`, in seconds.

    Args:
        duration: Days, hours, minutes and seconds (`d h m s`), largest first, each at most
            once; or a number of seconds; or `None`, which stays `None`: no end.

    Raises:
        TypeError: If it is neither text, number nor `None`.
        ValueError: If it cannot be read or is not positive and finite.
    """
    if duration is None:
        return None
    if isinstance(duration, str):
        seconds = _read_duration(duration)
    elif isinstance(duration, numbers.Real) and not isinstance(duration, bool):
        seconds = float(duration)
    else:
        raise TypeError(
            f"A duration must be text or a number of seconds. Received: {duration!r} "
            f'({type(duration).__name__}). Write, for example, "20m".'
        )
    if not 0 < seconds < math.inf:
        raise ValueError(
            "A duration must be positive, and written as seconds or with d, h, m and s, "
            f'largest first. Received: {duration!r}. Write, for example, "90s" or "1h30m".'
        )
    return seconds


def format_cost(name: str, value: float) -> str:
    """Write a cost for people: `"58.3 KB"` of flash, `"1.2M"` params.

    One decimal at most. A cost without a known unit is written as a plain number.
    """
    quantity = (_COSTS | _LATER).get(name)
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


def format_duration(seconds: float) -> str:
    """Write a duration for people: `"3.2s"`, `"45s"`, `"12m 5s"`, `"1h 30m"`.

    From an hour on seconds are left out; nothing is shown below zero.
    `parse_duration` reads every positive result.
    """
    if seconds < 9.95:
        return f"{max(seconds, 0.0):.1f}".removesuffix(".0") + "s"
    whole = round(seconds)
    if whole >= 3600:
        whole = round(whole / 60) * 60
    hours, rest = divmod(whole, 3600)
    parts = zip((hours, *divmod(rest, 60)), "hms", strict=True)
    return " ".join(f"{number}{unit}" for number, unit in parts if number)


def _amount(name: str, bound: float | int | str) -> float:
    """Read one bound in the base unit of the cost `name`."""
    quantity = _quantity(name, bound)
    if isinstance(bound, str):
        matched = _AMOUNT.fullmatch(bound)
        units = {unit.lower(): size for unit, size in quantity.units.items()} | {"": 1}
        size = units.get(matched[2].lower().replace("ib", "b")) if matched else None
        if matched is None or size is None:
            raise ValueError(
                f"The limit on {name!r} must be {quantity.describe()}. "
                f"Received: limits={{{name!r}: {bound!r}}}. "
                "Use one of these units, or a plain number in base units."
            )
        amount = float(matched[1]) * size
    elif isinstance(bound, numbers.Real) and not isinstance(bound, bool):
        amount = float(bound)
    else:
        raise TypeError(
            f"The limit on {name!r} must be a number or text. Received: {bound!r} "
            f"({type(bound).__name__}). Write {quantity.describe()}."
        )
    if not 0 < amount < math.inf:
        raise ValueError(
            f"The limit on {name!r} must be positive and finite. "
            f"Received: limits={{{name!r}: {bound!r}}}. "
            f"Write {quantity.describe()}, or leave the limit out."
        )
    return amount


def _quantity(name: str, bound: object) -> _Quantity:
    """Return what the cost `name` counts."""
    if name in _COSTS:
        return _COSTS[name]
    received = f"Received: limits={{{name!r}: {bound!r}}}."
    works = ", ".join(map(repr, _COSTS))
    if name in _LATER:
        raise ValueError(f"{name!r} cannot be limited yet. {received} What works: {works}.")
    hint = did_you_mean(name, [*_COSTS, *_LATER])
    raise ValueError(f"No cost is called {name!r}. {received} {hint}What works: {works}.")


def _read_duration(text: str) -> float:
    """Return the seconds that `text` stands for, NaN if it cannot be read."""
    try:
        return float(text)
    except ValueError:
        matched = _DURATION.fullmatch(text)
    if matched is None:
        return math.nan
    return sum(
        float(number) * size
        for number, size in zip(matched.groups(), _SECONDS, strict=True)
        if number
    )

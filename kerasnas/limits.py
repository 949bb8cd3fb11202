"""Limits on costs, in the units people write: "128KB" in, "58.3 KB" out."""

from __future__ import annotations

import math
import numbers
import re
from collections.abc import Iterable, Mapping

from edge_devices.units import parse_amount

__all__ = [
    "format_duration",
    "parse_duration",
    "parse_limit_options",
    "parse_limits",
    "violation",
]


_DURATION = re.compile(
    r"\s*(?=\S)" + "".join(rf"(?:(\d+(?:\.\d*)?|\.\d+)\s*{unit}\s*)?" for unit in "dhms"), re.I
)
_SECONDS = (86_400, 3_600, 60, 1)


def parse_limits(limits: Mapping[str, float | int | str] | None) -> dict[str, float]:
    """Read upper bounds on costs, each in the base unit of its cost: see `parse_amount`.

    Args:
        limits: Bounds by cost. `None` and an empty mapping bound nothing.

    Returns:
        The bounds as numbers. A network meets them when no cost is above its bound.

    Raises:
        TypeError: If `limits` is no mapping or a bound is neither number nor text.
        ValueError: If a cost is unknown, or if a bound has another
            quantity's unit, cannot be read, or is not positive and finite.
    """
    if limits is None:
        return {}
    if not isinstance(limits, Mapping):
        raise TypeError(
            f"`limits` must map costs to upper bounds. Received: limits={limits!r}. "
            'Write, for example, limits={"flash": "128KB", "macs": "10M"}.'
        )
    return {name: parse_amount(name, bound) for name, bound in limits.items()}


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

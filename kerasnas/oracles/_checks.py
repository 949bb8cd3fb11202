"""Whether settings are within their ranges."""

from __future__ import annotations

__all__ = ["check_range"]


def check_range(name: str, value: object, holds: bool, wanted: str) -> None:
    """Refuse a setting that is out of its range.

    Args:
        name: The argument.
        value: What was given for it.
        holds: Whether that is within the range.
        wanted: What to give, such as `"a number from 0 to 1"`.

    Raises:
        ValueError: If it is not.
    """
    if not holds:
        raise ValueError(
            f"`{name}` is out of its range. Received: {name}={value!r}. Give {wanted}."
        )

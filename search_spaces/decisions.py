"""Decisions already made, read as a space reads them."""

from __future__ import annotations

import contextlib
import numbers
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from edge_devices.spelling import did_you_mean

__all__ = ["Decisions"]

_LISTED = 20  # values in a message


class Decisions:
    """The reading side of `keras_tuner.HyperParameters`, for values that are known.

    KerasTuner registers, copies and checks each hyperparameter whenever it is read, because
    it learns the space that way. To describe thousands of candidates of a known space only
    the answers are needed; this gives them about ten times faster, by the same rules: names
    carry their scopes, what is left out has its default, what is inactive is `None`.

    Args:
        values: Decisions by full name.
        checked: Whether to refuse that one name stands for two decisions. Reading a decision
            twice is fine, as the cells of one kind do; offering other values, or another
            default, is not.
        strict: Whether to refuse values that the decisions do not offer.

    Attributes:
        values: The values given, and the defaults of what was read beside them.
        unread: If `strict`, the given values that no active decision has asked for so far.

    Raises:
        ValueError: If `checked` and an active decision is read with other values or another
            default than before; if `strict` and an active decision does not offer its value.
    """

    def __init__(
        self, values: Mapping[str, Any], checked: bool = False, strict: bool = False
    ) -> None:
        self.values = dict(values)
        self.unread = dict(values) if strict else {}
        self._known: dict[str, _Reading] | None = {} if checked else None
        self._prefix = ""
        self._active = True

    def Choice(
        self,
        name: str,
        values: Sequence[Any],
        ordered: bool | None = None,
        default: Any = None,
        parent_name: str | None = None,
        parent_values: Any = None,
    ) -> Any:
        """The value picked among `values`."""
        first = values[0] if default is None else default
        return self._read("Choice", name, first, parent_name, parent_values, values)

    def Int(
        self,
        name: str,
        min_value: int,
        max_value: int,
        step: int | None = None,
        sampling: str = "linear",
        default: int | None = None,
        parent_name: str | None = None,
        parent_values: Any = None,
    ) -> Any:
        """The whole number picked."""
        first = min_value if default is None else default
        offered: Any = range(int(min_value), int(max_value) + 1, int(step or 1))
        if sampling != "linear":  # a step is then a factor
            offered = _Interval(min_value, max_value, step)
        return self._read("Int", name, first, parent_name, parent_values, offered)

    def Float(
        self,
        name: str,
        min_value: float,
        max_value: float,
        step: float | None = None,
        sampling: str = "linear",
        default: float | None = None,
        parent_name: str | None = None,
        parent_values: Any = None,
    ) -> Any:
        """The number picked."""
        first = min_value if default is None else default
        offered = _Interval(min_value, max_value, step)
        return self._read("Float", name, first, parent_name, parent_values, offered)

    def Boolean(
        self,
        name: str,
        default: bool = False,
        parent_name: str | None = None,
        parent_values: Any = None,
    ) -> Any:
        """Whether it was picked."""
        return self._read("Boolean", name, default, parent_name, parent_values, (False, True))

    def Fixed(
        self,
        name: str,
        value: Any,
        parent_name: str | None = None,
        parent_values: Any = None,
    ) -> Any:
        """The one value there is."""
        return self._read("Fixed", name, value, parent_name, parent_values, (value,))

    @contextlib.contextmanager
    def name_scope(self, name: str) -> Iterator[None]:
        """Put `name/` before the names read inside."""
        outer, self._prefix = self._prefix, f"{self._prefix}{name}/"
        try:
            yield
        finally:
            self._prefix = outer

    @contextlib.contextmanager
    def conditional_scope(self, parent_name: str, parent_values: Any) -> Iterator[None]:
        """Answer `None` inside unless the parent has one of `parent_values`."""
        outer = self._active
        self._active = outer and self._matches(parent_name, parent_values)
        try:
            yield
        finally:
            self._active = outer

    def _read(
        self,
        kind: str,
        name: str,
        default: Any,
        parent: str | None,
        parent_values: Any,
        offered: Any,
    ) -> Any:
        if not self._active or (parent and not self._matches(parent, parent_values)):
            return None
        name = self._prefix + name
        if self._known is not None:
            reading = _Reading(kind, _listed(offered), default)
            first = self._known.setdefault(name, reading)
            if first != reading:
                raise ValueError(_two_decisions(name, first, reading))
        if name in self.unread and (value := self.unread.pop(name)) not in offered:
            raise ValueError(_not_offered(name, value, offered))
        return self.values.setdefault(name, default)

    def _matches(self, parent_name: str, parent_values: Any) -> bool:
        listed = parent_values if isinstance(parent_values, (list, tuple)) else [parent_values]
        name = self._prefix + parent_name
        return name in self.values and self.values[name] in listed


class _Interval(NamedTuple):
    """Numbers that are too many to list."""

    lowest: float
    highest: float
    step: float | None

    def __contains__(self, value: object) -> bool:
        # KerasTuner's scales reach their ends but for rounding.
        slack = 1e-9 * abs(self.highest - self.lowest)
        return (
            isinstance(value, numbers.Real)
            and self.lowest - slack <= float(value) <= self.highest + slack
        )


class _Reading(NamedTuple):
    """How a decision was read."""

    kind: str
    offered: Any
    default: Any


def _listed(offered: Any) -> Any:
    return offered if isinstance(offered, (range, _Interval)) else list(offered)


def _two_decisions(name: str, first: _Reading, second: _Reading) -> str:
    if first.offered != second.offered:
        received = f"the values {first.offered}, and again with {second.offered}"
    elif first.kind != second.kind:
        received = f"`hp.{first.kind}`, and again with `hp.{second.kind}`"
    else:
        received = f"the default {first.default!r}, and again with {second.default!r}"
    return (
        f"Each decision of a space needs a name of its own. Received: `{name}` with "
        f'{received}. Number the names of what is repeated, for example f"stage{{i}}/kernel".'
    )


def _not_offered(name: str, value: Any, offered: Any) -> str:
    if isinstance(offered, _Interval):
        meant, values = "", f"the numbers from {offered.lowest} to {offered.highest}"
    else:
        meant = did_you_mean(value, [one for one in offered[:_LISTED] if isinstance(one, str)])
        values = _enumerated(offered)
    return (
        f"A decision takes one of the values that it offers. Received: {value!r} for "
        f"`{name}`. {meant}It offers {values}."
    )


def _enumerated(values: Sequence[Any]) -> str:
    listed = [repr(value) for value in values[:_LISTED]]
    return ", ".join(listed + ["..."] * (len(values) > _LISTED))

"""Decisions already made, read as a space reads them."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

__all__ = ["Decisions"]


class Decisions:
    """The reading side of `keras_tuner.HyperParameters`, for values that are known.

    KerasTuner registers, copies and checks each hyperparameter whenever it is read, because
    it learns the space that way. To describe thousands of candidates of a known space only
    the answers are needed; this gives them about ten times faster, by the same rules: names
    carry their scopes, what is left out has its default, what is inactive is `None`.

    Args:
        values: Decisions by full name.
        checked: Whether to refuse that one name stands for two decisions. Reading a decision
            twice is fine, as the cells of one kind do; offering other values is not.

    Raises:
        ValueError: If `checked` and an active decision is read with other values than before.
    """

    def __init__(self, values: Mapping[str, Any], checked: bool = False) -> None:
        self.values = dict(values)
        self._offered: dict[str, Any] | None = {} if checked else None
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
        return self._read(name, first, parent_name, parent_values, values)

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
        offered = (min_value, max_value, step)
        return self._read(name, first, parent_name, parent_values, offered)

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
        offered = (min_value, max_value, step)
        return self._read(name, first, parent_name, parent_values, offered)

    def Boolean(
        self,
        name: str,
        default: bool = False,
        parent_name: str | None = None,
        parent_values: Any = None,
    ) -> Any:
        """Whether it was picked."""
        return self._read(name, default, parent_name, parent_values, (False, True))

    def Fixed(
        self,
        name: str,
        value: Any,
        parent_name: str | None = None,
        parent_values: Any = None,
    ) -> Any:
        """The one value there is."""
        return self._read(name, value, parent_name, parent_values, (value,))

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
        self, name: str, default: Any, parent: str | None, parent_values: Any, offered: Any
    ) -> Any:
        if not self._active or (parent and not self._matches(parent, parent_values)):
            return None
        name = self._prefix + name
        if self._offered is not None and self._offered.setdefault(name, offered) != offered:
            raise ValueError(
                "Each decision of a space needs a name of its own. Received: "
                f"`{name}` with the values {self._offered[name]}, and again with {offered}. "
                'Number the names of what is repeated, for example f"stage{i}/kernel".'
            )
        return self.values.setdefault(name, default)

    def _matches(self, parent_name: str, parent_values: Any) -> bool:
        listed = parent_values if isinstance(parent_values, (list, tuple)) else [parent_values]
        name = self._prefix + parent_name
        return name in self.values and self.values[name] in listed

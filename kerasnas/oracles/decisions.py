"""The decisions of a space as columns of numbers, so that thousands are handled at once."""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
from keras_tuner.engine import hyperparameters as kt

__all__ = ["INACTIVE", "Decision", "Decisions", "Row", "Rows", "Value", "Values"]

Value = bool | int | float | str
Values = dict[str, Value]
Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]
Row = Floats
Rows = Floats

INACTIVE = -1.0
"""What an assignment or a feature holds where a decision is not active."""

_FINITE = 1000  # a number with more options than this is treated as real
_MANY = 32  # with at least so many ordered options, a kernel works with places only
_FEW = 6  # with at most so many options, every other option is a neighbour
_SMALL_STEP, _LARGE_STEP = 0.03, 0.25  # of the unit interval
_TOP = math.nextafter(1.0, 0.0)  # KerasTuner's scales end just below 1


@dataclasses.dataclass(frozen=True, eq=False)
class Decision:
    """One hyperparameter: its options, or an interval if they are too many to list.

    A value has a *code*: the index of an option, or the place in `[0, 1]` on the interval,
    along the hyperparameter's own (linear or logarithmic) scale.

    Attributes:
        hp: The hyperparameter.
        options: The values to choose from, `None` for an interval.
        places: The places of the options in `[0, 1]` if they are ordered, else `None`.
    """

    hp: kt.HyperParameter
    options: tuple[Value, ...] | None
    places: Floats | None

    @classmethod
    def of(cls, hp: kt.HyperParameter) -> Decision:
        """Read a hyperparameter of KerasTuner."""
        options = _options(hp)
        ordered = options is not None and _is_ordered(hp)
        return cls(hp, options, _places(hp, options) if options and ordered else None)

    @property
    def name(self) -> str:
        return str(self.hp.name)

    @property
    def count(self) -> int | None:
        """The number of options, `None` for an interval."""
        return None if self.options is None else len(self.options)

    @property
    def categorical(self) -> bool:
        """Whether the options have no order."""
        return self.options is not None and self.places is None

    def codes(self, unit: Floats) -> Floats:
        """Map numbers in `[0, 1]` evenly to codes."""
        if self.count is None:
            return np.minimum(unit, _TOP)
        return np.minimum(np.floor(unit * self.count), self.count - 1)

    def features(self, codes: Floats) -> Floats:
        """Map codes to what a kernel compares: an index, or a place in `[0, 1]`."""
        if self.places is None:
            return codes
        places: Floats = np.append(self.places, INACTIVE)[codes.astype(int)]
        return places

    def value(self, code: float) -> Value:
        """Return the value with this code, as a plain Python type."""
        if self.options is None:
            return _native(self.hp.prob_to_value(float(code)))
        return self.options[int(code)]

    def code(self, value: Value) -> float:
        """Return the code of a value; of the nearest one if a number is off the grid."""
        if self.options is None:
            if isinstance(value, str) or not math.isfinite(value):
                return INACTIVE
            within = min(max(value, self.hp.min_value), self.hp.max_value)
            return float(np.clip(self.hp.value_to_prob(within), 0.0, _TOP))
        if value in self.options:
            return float(self.options.index(value))
        if self.places is None or isinstance(value, str):
            return INACTIVE
        options = np.array(self.options, dtype=float)
        return float(np.argmin(np.abs(options - float(value))))

    def moves(self, code: float, rng: np.random.Generator) -> Floats:
        """Return the codes one step away: near and, where there are many, far ones."""
        if self.count is None:
            steps = np.abs(rng.normal(scale=[_SMALL_STEP, _LARGE_STEP]))
            reflected = 1.0 - np.abs(
                1.0 - np.abs(np.concatenate([code - steps, code + steps]))
            )
            return self.codes(reflected)
        codes: Floats = np.arange(self.count, dtype=float)
        if self.count > _FEW and self.places is not None:
            far = max(2, round(_LARGE_STEP * self.count))
            codes = codes[np.isin(np.abs(codes - code), [1, far])]
        others: Floats = codes[codes != code]
        return others


class Decisions:
    """All decisions of a space, and which of them are active when.

    An *assignment* is a row of codes, one column per hyperparameter, with `INACTIVE` where
    its conditions do not hold. Equal candidates therefore have equal rows. The same name may
    stand in several columns under different conditions; where more than one of them holds,
    the first decides, as in KerasTuner.

    Args:
        hyperparameters: The space; its current values do not matter.

    Attributes:
        columns: The hyperparameters.
        order: Numbers of the columns, parents first.
    """

    def __init__(self, hyperparameters: kt.HyperParameters):
        self.columns = tuple(Decision.of(hp) for hp in hyperparameters.space)
        self._by_name: dict[str, list[int]] = {}
        for index, column in enumerate(self.columns):
            self._by_name.setdefault(column.name, []).append(index)
        self.order = self.parents_first(range(len(self.columns)))
        self._informative = [j for j, column in enumerate(self.columns) if column.count != 1]
        self._members: tuple[int, Rows | None] | None = None

    def __len__(self) -> int:
        """Return the number of columns."""
        return len(self.columns)

    @functools.cached_property
    def listed(self) -> list[Decision]:
        """The columns that can differ and whose options are few, or have no order."""
        return [self.columns[j] for j in self._listed]

    @property
    def num_real(self) -> int:
        """The number of other columns that can differ."""
        return len(self._informative) - len(self._listed)

    @functools.cached_property
    def _listed(self) -> list[int]:
        columns = [(j, self.columns[j]) for j in self._informative]
        return [j for j, c in columns if c.categorical or (c.count or _MANY) < _MANY]

    @functools.cached_property
    def _real(self) -> list[int]:
        return [j for j in self._informative if j not in self._listed]

    # --- between values and assignments -------------------------------------------------

    def values(self, row: Row) -> Values:
        """Return the active values of an assignment, as plain Python types."""
        return {
            column.name: column.value(code)
            for column, code in zip(self.columns, row, strict=True)
            if code != INACTIVE
        }

    def encode(self, candidates: Sequence[Mapping[str, Value]]) -> Rows:
        """Return the assignments of candidates; a decision without a value is inactive."""
        rows = np.full((len(candidates), len(self)), INACTIVE)
        for row, values in zip(rows, candidates, strict=True):
            for j, column in enumerate(self.columns):
                if column.name in values:
                    row[j] = column.code(values[column.name])
        return self._canonical(rows)

    def features(self, rows: Rows) -> tuple[Rows, Rows]:
        """Return what a kernel compares: the columns that can differ.

        Returns:
            The indices of the options of `listed` columns, and the places in `[0, 1]` of the
            others, with `INACTIVE` in either.
        """
        places = np.zeros((len(rows), len(self._real)))
        for index, j in enumerate(self._real):
            places[:, index] = self.columns[j].features(rows[:, j])
        return rows[:, self._listed], places

    # --- making assignments -------------------------------------------------------------

    def from_unit(self, unit: Floats) -> Rows:
        """Map points of the unit cube, one axis per column, to assignments."""
        return self._canonical(np.full(unit.shape, INACTIVE), fill=unit)

    def completed(self, rows: Rows, rng: np.random.Generator) -> Rows:
        """Draw the active decisions that assignments lack."""
        return self._canonical(rows, fill=rng.random(rows.shape))

    def sample(self, rng: np.random.Generator, count: int) -> Rows:
        """Draw assignments, every active decision uniformly."""
        return self.from_unit(rng.random((count, len(self))))

    def neighbours(self, row: Row, rng: np.random.Generator) -> Rows:
        """Return the assignments that differ in one decision.

        Decisions that become active by the change are drawn from `rng`.
        """
        moves = [
            (j, self.columns[j].moves(row[j], rng))
            for j in self._informative
            if row[j] != INACTIVE
        ]
        rows = np.tile(row, (sum(len(codes) for _, codes in moves), 1))
        start = 0
        for j, codes in moves:
            rows[start : start + len(codes), j] = codes
            start += len(codes)
        return self.completed(rows, rng)

    def redrawn(
        self, rows: Rows, counts: npt.NDArray[np.int64], rng: np.random.Generator
    ) -> Rows:
        """Return assignments in which so many active decisions were drawn again.

        Args:
            rows: The assignments.
            counts: For each of them, how many decisions to draw again, at most.
            rng: Draws which, and their values.
        """
        order = np.where(rows == INACTIVE, np.inf, rng.random(rows.shape))
        chosen = np.argsort(np.argsort(order, axis=1), axis=1) < counts[:, None]
        return self.completed(np.where(chosen, INACTIVE, rows), rng)

    def members(self, limit: int) -> Rows | None:
        """Return every assignment, or `None` if there are more than `limit`."""
        if self._members is None or (self._members[1] is None and self._members[0] < limit):
            self._members = limit, self._enumerate(limit)
        rows = self._members[1]
        return rows if rows is not None and len(rows) <= limit else None

    def _enumerate(self, limit: int) -> Rows | None:
        rows = np.full((1, len(self)), INACTIVE)
        for j in self.order:
            active = self.active(rows, j)
            count = self.columns[j].count
            if not active.any():
                continue
            if count is None or len(rows) + (count - 1) * active.sum() > limit:
                return None
            copies = np.where(active, count, 1)
            rows = np.repeat(rows, copies, axis=0)
            options = np.concatenate([np.arange(n) if n > 1 else [0] for n in copies])
            rows[:, j] = np.where(np.repeat(active, copies), options, INACTIVE)
        return rows

    # --- conditions ---------------------------------------------------------------------

    def _canonical(self, rows: Rows, fill: Floats | None = None) -> Rows:
        """Blank what is inactive and, given `fill` in `[0, 1]`, fill what is missing."""
        rows = rows.copy()
        for j in self.order:
            active = self.active(rows, j)
            rows[~active, j] = INACTIVE
            if fill is not None:
                missing = active & (rows[:, j] == INACTIVE)
                rows[missing, j] = self.columns[j].codes(fill[missing, j])
        return rows

    def active(self, rows: Rows, j: int) -> Flags:
        """Tell where column `j` is active, given the columns that come before it."""
        active = np.ones(len(rows), dtype=bool)
        for parents in self._conditions[j]:
            active &= np.any([self._holds(rows, k, allowed) for k, allowed in parents], axis=0)
        for k in self._namesakes(j):
            active &= rows[:, k] == INACTIVE
        return active

    def _holds(self, rows: Rows, k: int, allowed: Flags | list[Value]) -> Flags:
        if isinstance(allowed, list):
            column = self.columns[k]
            return np.array([c != INACTIVE and column.value(c) in allowed for c in rows[:, k]])
        held: Flags = allowed[rows[:, k].astype(int)]
        return held

    @functools.cached_property
    def _conditions(
        self,
    ) -> list[list[list[tuple[int, Flags | list[Value]]]]]:
        """By column and condition: the columns that may meet it, with what they must hold.

        The set of allowed options has a last, false entry, which the index -1 of an inactive
        parent finds.
        """
        return [
            [
                [
                    (k, _allowed(self.columns[k], condition.values))
                    for k in self._by_name.get(condition.name, [])
                ]
                for condition in column.hp.conditions
            ]
            for column in self.columns
        ]

    def _namesakes(self, j: int) -> list[int]:
        """Return the earlier columns of the same name."""
        return [k for k in self._by_name[self.columns[j].name] if k < j]

    def parents_first(self, wanted: Sequence[int]) -> list[int]:
        """Return columns in the order wanted, but each behind those that rule it.

        KerasTuner keeps that order, except that a space which went over the network is
        sorted by type.

        Args:
            wanted: The numbers of all columns.
        """
        waiting, order = list(wanted), list[int]()
        while waiting:
            ready = (j for j in waiting if not self._needs(j) & set(waiting))
            j = next(ready, waiting[0])
            waiting.remove(j)
            order.append(j)
        return order

    def _needs(self, j: int) -> set[int]:
        names = {condition.name for condition in self.columns[j].hp.conditions}
        parents = {k for name in names for k in self._by_name.get(name, [])}
        return (parents | set(self._namesakes(j))) - {j}


def _options(hp: kt.HyperParameter) -> tuple[Value, ...] | None:
    """Return the values of a hyperparameter without repeats, `None` if they are too many."""
    if not isinstance(hp, kt.Int | kt.Float):
        return tuple(dict.fromkeys(_native(value) for value in hp.values))
    if hp.min_value == hp.max_value:
        return (_native(hp.min_value),)
    if hp.step is None and isinstance(hp, kt.Float):
        return None
    if hp.step is None:
        whole = range(hp.min_value, hp.max_value + 1)
        return tuple(whole) if len(whole) <= _FINITE else None
    if hp.sampling == "linear" and (hp.max_value - hp.min_value) / hp.step >= _FINITE:
        return None
    count = len(list(hp.values))
    values = (_native(hp.prob_to_value((i + 0.5) / count)) for i in range(count))
    return tuple(dict.fromkeys(values))


def _is_ordered(hp: kt.HyperParameter) -> bool:
    return hp.ordered if isinstance(hp, kt.Choice) else isinstance(hp, kt.Int | kt.Float)


def _places(hp: kt.HyperParameter, options: tuple[Value, ...]) -> Floats:
    """Spread ordered options over `[0, 1]`: evenly, or along a scale without steps."""
    if isinstance(hp, kt.Choice) or hp.step is not None:
        return np.linspace(0.0, 1.0, len(options))
    probabilities = [float(hp.value_to_prob(value)) for value in options]
    return np.interp(probabilities, [probabilities[0], probabilities[-1]], [0.0, 1.0])


def _allowed(column: Decision, values: Sequence[Value]) -> Flags | list[Value]:
    if column.options is None:
        return list(values)
    return np.array([*(option in values for option in column.options), False])


def _native(value: object) -> Value:
    return value.item() if isinstance(value, np.generic) else value  # type: ignore[return-value]

"""From what was read to what networks take: parts, prepared input by input."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kerasnas.examples import Examples
from kerasnas.preprocessing import (
    Preprocessing,
    TablePreprocessing,
    TextPreprocessing,
    check_columns,
    check_texts,
)
from kerasnas.rows import Fields, Rows
from kerasnas.sequences import size_of, token_ids
from search_spaces.task import Task

__all__ = ["Part", "Preparation", "Whole", "check_used", "shape_of", "vocabulary_of"]

Scale = float | tuple[float, ...]
Rescaling = tuple[Scale, Scale]

_SAID_OF = {
    "vocabulary": ("tokens", "text"),
    "sequence_length": ("tokens", "text", "series", "waveform"),
    "split": ("text",),
    "sample_rate": ("waveform",),
    "image_size": ("images",),
}
_FEWEST_STEPS = 2  # of an int8 input, by which a channel must deviate
_LOUDEST_FLOAT = 4.0  # sample of a waveform; larger ones are those of 16-bit integers


def check_used(axes: Any, **settings: Any) -> None:
    """Refuse what is said of inputs that there are not.

    Args:
        axes: The layout of each example as it was read; of several inputs by name.
        **settings: Arguments of `kerasnas.data.load` by name; `None` says nothing.

    Raises:
        ValueError: If one serves other layouts alone.
    """
    layouts = set(axes.values()) if isinstance(axes, Mapping) else {axes}
    for name, value in settings.items():
        if value is not None and layouts.isdisjoint(_SAID_OF[name]):
            wanted = " or ".join(map(repr, _SAID_OF[name]))
            raise ValueError(
                f"`{name}` is for examples of the layout {wanted}. Received: "
                f"{name}={value!r:.60} with layout={axes!r}. Leave it out, or pass the layout "
                "that examples have."
            )


def vocabulary_of(vocabulary: Any, axes: Any, alone: str = "") -> Any:
    """The vocabulary of one input, or of several by name, with names and types checked.

    Args:
        vocabulary: As of `kerasnas.data.load`.
        axes: As of `check_used`.
        alone: Name under which a single input came, or "".

    Raises:
        TypeError: If one is neither a list nor a number.
        ValueError: If it is of an input that is not there, or has no tokens.
    """
    if not isinstance(vocabulary, Mapping):
        if vocabulary is not None:
            size_of(vocabulary)
        return vocabulary
    layouts = axes if isinstance(axes, Mapping) else {alone: axes}
    for name, one in vocabulary.items():
        if layouts.get(name) not in _SAID_OF["vocabulary"]:
            raise ValueError(
                "A vocabulary by name is of an input of tokens or texts. Received: a "
                f"vocabulary of {name!r} with the inputs {dict(layouts)}. Check the spelling, "
                "or leave it out."
            )
        if one is not None:
            size_of(one)
    return dict(vocabulary) if isinstance(axes, Mapping) else vocabulary.get(alone)


class Preparation:
    """How what was read becomes what networks take, input by input.

    Args:
        axes: The layout of each example as it was read; of several inputs by name.
        vocabulary: As `vocabulary_of` returns it.
        length: Tokens of a text, or `None`.
        split: How texts are split.
    """

    def __init__(self, axes: Any, vocabulary: Any, length: int | None, split: str) -> None:
        self._several = isinstance(axes, Mapping)
        self._axes: dict[str, str] = dict(axes) if self._several else {"": axes}
        self._vocabulary = vocabulary
        self._length = length
        self._split = split

    def checked(self, values: Any, parts: Mapping[str, slice], training: bool = True) -> Any:
        """The values, after each input of each part was found to hold what it should.

        Args:
            values: All that was read; of several inputs by name.
            parts: Which rows are whose, by the names of data sets that messages have.
            training: Whether there is to be a network for them: tokens then need their
                vocabulary, and channels like scales.

        Raises:
            ValueError: If not, with the row of the data set where there is one.
        """
        inputs = values if self._several else {"": values}
        made = {
            key: self._checked_input(key, axes, inputs[key], parts, training)
            for key, axes in self._axes.items()
        }
        return made if self._several else made[""]

    def _checked_input(
        self,
        key: str,
        axes: str,
        values: Any,
        parts: Mapping[str, slice],
        training: bool,
    ) -> Any:
        if isinstance(values, Mapping):
            for name, rows in parts.items():
                check_columns({one: column[rows] for one, column in values.items()}, name)
        elif axes == "text":
            for name, rows in parts.items():
                check_texts(values[rows], name)
        elif axes == "tokens" and (training or self._of(key) is not None):
            for name, rows in parts.items():
                token_ids(values[rows], vocabulary=self._of(key), name=name)
            return values.astype(np.int32, copy=False)
        elif axes in ("series", "table") and training:
            _check_scales(values)
        return values

    def _of(self, name: str) -> Any:
        by_name = isinstance(self._vocabulary, Mapping)
        return self._vocabulary.get(name) if by_name else self._vocabulary

    @property
    def known_vocabulary(self) -> int | None:
        """How many different tokens there are, where that was said."""
        return None if isinstance(self._vocabulary, Mapping) else _number(self._vocabulary)

    def prepared(self, train: Part, validation: Part) -> dict[str, Any]:
        """Both parts as networks take them, and what is known of their inputs.

        What has to be learned is learned from the training part. The names are those of the
        attributes of `kerasnas.data.Data`.
        """
        several = self._several
        made = {
            name: self._input(name, layout, train.input(name), validation.input(name))
            for name, layout in self._axes.items()
        }

        def of(attribute: str) -> Any:
            found = {name: getattr(one, attribute) for name, one in made.items()}
            return found if several else found[""]

        kept = {n: one.preprocessing for n, one in made.items() if one.preprocessing}
        parts = [
            Examples(
                Fields({name: one.parts[number] for name, one in made.items()})
                if several
                else made[""].parts[number],
                part.targets,
                part.weight,
                part.strata,
            )
            for number, part in enumerate((train, validation))
        ]
        return {
            "train": parts[0],
            "validation": parts[1],
            "input_shape": of("shape"),
            "layout": of("layout"),
            "rescaling": of("rescaling"),
            "vocabulary": of("vocabulary"),
            "preprocessing": (kept if several else kept.get("")) or None,
        }

    def _input(self, name: str, layout: str, train: Any, validation: Any) -> _Prepared:
        preprocessing: Preprocessing | None = None
        if layout == "text":
            preprocessing = TextPreprocessing(
                self._length,
                split=self._split,  # type: ignore[arg-type]
                vocabulary=self._of(name),
            )
        elif isinstance(train, Mapping):
            preprocessing = TablePreprocessing()
        if preprocessing is not None:
            preprocessing.fit(train)
            return _Prepared(
                parts=[Rows(preprocessing(part)) for part in (train, validation)],
                shape=tuple(preprocessing.shape),
                layout=preprocessing.layout_out,
                rescaling=None,
                vocabulary=preprocessing.vocabulary_size,
                preprocessing=preprocessing,
            )
        return _Prepared(
            parts=[train, validation],
            shape=train.example_shape,
            layout=layout,
            rescaling=_rescaling(train, layout),
            vocabulary=_number(self._of(name)) if layout == "tokens" else None,
        )


@dataclasses.dataclass(frozen=True, eq=False)
class _Prepared:
    """One input of both parts, as networks take it."""

    parts: list[Rows]
    shape: tuple[int, ...]
    layout: str
    rescaling: Rescaling | None
    vocabulary: int | None
    preprocessing: Preprocessing | None = None


@dataclasses.dataclass(frozen=True, eq=False)
class Part:
    """Examples as they were read: some rows of all values.

    Attributes:
        values: All that was read; of several inputs, and of columns, by name.
        rows: Which of these rows.
        targets: Their targets.
        weight: Their sample weights, or `None`.
        strata: Their strata.
    """

    values: Any
    rows: NDArray[np.int64]
    targets: NDArray[Any]
    weight: NDArray[np.float32] | None
    strata: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.rows)

    def take(self, rows: NDArray[np.int64]) -> Part:
        """Select some of these examples by number."""
        weight = None if self.weight is None else self.weight[rows]
        return Part(
            self.values, self.rows[rows], self.targets[rows], weight, self.strata[rows]
        )

    def input(self, name: str) -> Any:
        """One input: rows of an array, texts, or columns by name."""
        values = self.values[name] if name else self.values
        if isinstance(values, Mapping):
            return {key: _picked(column, self.rows) for key, column in values.items()}
        if values.dtype.kind in "UO":
            return values[self.rows]
        return Rows(values, self.rows)


class Whole:
    """All that was read, from which parts are taken in an order of their own.

    Args:
        values: As of `Part`.
        axes: As of `Preparation`.
        task: What says by which strata parts are split.
        seed: Seeds the order.
    """

    def __init__(self, values: Any, axes: Any, task: Task, seed: int | None) -> None:
        self._values = values
        self._task = task
        self._key = np.random.default_rng(seed).bytes(16)
        self._inputs = list(values.values()) if isinstance(axes, Mapping) else [values]

    def part(
        self, start: int, targets: NDArray[Any], weight: NDArray[np.float32] | None
    ) -> Part:
        """The part that was read from this row on, in an order that depends on it alone."""
        rows = np.arange(start, start + len(targets))
        strata = self._task.strata(targets)
        digests = sum(
            (_digests(one, rows, self._key) for one in self._inputs),
            start=np.zeros(len(rows), np.uint64),
        )
        part = Part(self._values, rows, targets, weight, strata)
        return part.take(np.lexsort((strata, digests)))


def _digests(values: Any, rows: NDArray[np.int64], key: bytes) -> NDArray[np.uint64]:
    """A number for each example that depends on nothing but what it holds."""

    def digest(content: Any) -> bytes:
        return hashlib.blake2b(content, digest_size=8, key=key).digest()

    if isinstance(values, Mapping):
        columns = [_picked(column, rows) for _, column in sorted(values.items())]
        found = [
            digest(repr(row).encode()) for row in zip(*map(_listed, columns), strict=True)
        ]
    elif values.dtype.kind in "UO":
        found = [digest(str(text).encode()) for text in values[rows]]
    else:
        found = [
            digest(example.data)
            for chunk in Rows(values, rows).chunks()
            for example in chunk.reshape(len(chunk), -1)
        ]
    return np.frombuffer(b"".join(found), np.uint64)


def _number(vocabulary: Any) -> int | None:
    return None if vocabulary is None else size_of(vocabulary)


def shape_of(values: Any) -> Any:
    """Shape of one example; by name of several inputs, of columns their number."""
    if not isinstance(values, Mapping):
        return tuple(values.shape[1:])
    if not any(isinstance(one, Mapping) or np.ndim(one) > 1 for one in values.values()):
        return (len(values),)
    return {name: shape_of(one) for name, one in values.items()}


def _picked(column: Any, rows: NDArray[np.int64]) -> Any:
    return [column[row] for row in rows] if isinstance(column, list) else column[rows]


def _listed(column: Any) -> Any:
    return column.tolist() if isinstance(column, np.ndarray) else column


def _rescaling(train: Rows, layout: str) -> Rescaling | None:
    if layout == "tokens":
        return None
    if train.dtype == np.uint8 and layout == "images":
        return 1 / 255, 0.0
    if layout == "waveform":
        loudest = max(float(np.abs(chunk).max()) for chunk in train.chunks())
        return (1 / 32768, 0.0) if loudest > _LOUDEST_FLOAT else None
    return _standardising(train)


def _standardising(inputs: Rows) -> Rescaling:
    """Return the scale and offset that give each channel mean 0 and deviation 1."""
    channels = inputs.shape[-1]
    count, mean, squares = 0, np.zeros(channels), np.zeros(channels)
    for chunk in inputs.chunks():  # the pairwise update, stable where sums of squares are not
        pixels = chunk.reshape(-1, channels).astype(np.float64)
        center = pixels.mean(axis=0)
        total = count + len(pixels)
        squares += ((pixels - center) ** 2).sum(axis=0)
        squares += (center - mean) ** 2 * count * len(pixels) / total
        mean += (center - mean) * len(pixels) / total
        count = total
    deviation = np.sqrt(squares / count)
    constant = deviation <= 1e-6 * np.abs(mean) + 1e-30  # within rounding, or float32
    scale = 1 / np.where(constant, 1.0, deviation)
    if len(mean) == 1:
        return float(scale[0]), float(-mean[0] * scale[0])
    return tuple(scale.tolist()), tuple((-mean * scale).tolist())


def _check_scales(examples: NDArray[Any]) -> None:
    """Refuse channels that are next to nothing beside others.

    An int8 file has one scale for all that goes in: a channel that varies by few steps of it
    is rounded away before any layer can scale it.
    """
    channels = examples.reshape(-1, examples.shape[-1])
    if channels.shape[1] < 2:
        return
    low, high = min(float(channels.min()), 0.0), max(float(channels.max()), 0.0)
    step = (high - low) / 255
    deviation = channels.std(axis=0, dtype=np.float64)
    lost = (deviation > 0) & (deviation < _FEWEST_STEPS * step)
    if lost.any():
        worst = int(np.argmin(np.where(lost, deviation, np.inf)))
        raise ValueError(
            "Columns and channels must vary by like amounts, because an int8 file has one "
            f"scale for all of them. Received: {int(lost.sum())} of {len(deviation)} that "
            f"would be lost, such as number {worst}, with a deviation of "
            f"{deviation[worst]:.3g} where values go from {low:.3g} to {high:.3g}. "
            "Pass a table as columns by name, {'age': ..., 'income': ...}, each of which is "
            "standardised before the network, or standardise each before the search."
        )

"""Data sets in: every form that Keras' `fit` knows, read once and stored."""

from __future__ import annotations

import itertools
import numbers
import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from edge_devices.spelling import did_you_mean
from kerasnas.arrays import FORMS, input_of, inputs_of_list, labels_of
from kerasnas.elements import (
    LAYOUTS,
    ONE,
    combined,
    is_batched,
    is_column,
    is_frame,
    is_text,
    leaves_of,
    sliced,
)
from kerasnas.followers import cut_with, followed, padded_alike, texts_of_tokens
from kerasnas.input_reader import InputReader, resize, varying_sizes
from kerasnas.sequences import WINDOW, windows
from search_spaces.table import columns_of

__all__ = ["LAYOUTS", "Layout", "Reader", "resize"]

Layout = str | Mapping[str, str] | None

_CHUNK = 256  # examples read at a time
# What TensorFlow Datasets calls what goes in and what is to come out.
_INPUT_KEYS = ("image", "text", "audio")
_TARGET_KEYS = ("label", "segmentation_mask", "objects")


class Reader:
    """Reads the parts of one problem into one store, so that they are known to match.

    Args:
        layout: What the axes of an example are, a name in `LAYOUTS`; of several inputs a
            dictionary of such names, in which some may be missing. `None` goes by the shape.
        layouts: The layouts to choose from where `layout` is `None`, the most likely first.
        image_size: `(height, width)` to resize all images to.
        length: Steps or tokens to pad or cut sequences to. Texts that are tokens alone, of
            several lengths or one long one, are cut into windows of as many, 64 by default.
        steps: Elements to read from each data set; arrays are read whole.
        alone: Whether there may be inputs without labels: texts, or tokens, of which each
            is the label of those before it.
        cache_dir: Folder of the cache file; `None` is the system's temporary one.
        memory_budget: Bytes of an input to keep in memory; more go to the cache file.

    Attributes:
        counts: Number of examples of each part, in the order they were read.
        name: Name of the input where it came alone in a dictionary, which drops the name;
            else empty.
    """

    def __init__(
        self,
        layout: Layout = None,
        layouts: Sequence[str] = tuple(LAYOUTS),
        *,
        image_size: tuple[int, int] | None = None,
        length: int | None = None,
        steps: int | None = None,
        alone: bool = False,
        cache_dir: str | os.PathLike[str] | None = None,
        memory_budget: int,
    ) -> None:
        _check_settings(layout, image_size, length, steps)
        self._layout = layout
        self._layouts = layouts
        self._image_size = image_size
        self._length = length
        self._steps = steps
        self._alone = alone
        self._cache = cache_dir, memory_budget
        self._inputs: dict[str, InputReader] = {}
        self.counts: list[int] = []
        self.name = ONE

    def read(self, data: Any, name: str) -> tuple[Any, NDArray[Any] | None]:
        """Store the inputs of one part and return its labels and weights.

        Args:
            data: A data set.
            name: What to call it in messages.

        Returns:
            The labels as they are, one array, a list, or lists by name, of tokens alone those
            that follow, `None` if there are none; and weights or `None`.

        Raises:
            TypeError: If it is no data set.
            ValueError: If it is empty, or its examples have several sizes, are not finite, or
                are not like those of the part that was read first.
        """
        count = 0
        labels: list[Any] = []
        weights: list[NDArray[Any]] = []
        for x, y, *weight in self._chunks(data, name):
            if y is None and self.layout == "tokens":
                x[ONE], y = followed(x[ONE], name)
            for key, chunk in x.items():
                self._inputs[key].append(chunk, name, count)
            labels.append(y)
            weights.extend(weight)
            count += len(next(leaves_of(next(iter(x.values())))))
        if not count:
            raise ValueError(
                f"The {name} must not be empty. Received: no example. "
                "Check the path, the filter or the split it comes from."
            )
        self.counts.append(count)
        return combined(labels), _weights(weights, name)

    @property
    def layout(self) -> Any:
        """What the axes of an example are; of several inputs, by name."""
        return self._of_inputs({key: one.layout for key, one in self._inputs.items()})

    def values(self) -> Any:
        """What was read, all parts in the order they were read; of several inputs, by name.

        Arrays; of texts an array of strings, of the columns of a table a dictionary of arrays.
        """
        return self._of_inputs({key: one.value() for key, one in self._inputs.items()})

    def _of_inputs(self, found: dict[str, Any]) -> Any:
        return found[ONE] if list(found) == [ONE] else found

    def _chunks(self, data: Any, name: str) -> Iterator[tuple[Any, ...]]:
        """Read batches of inputs by name, labels and perhaps weights, as they are stored."""
        if isinstance(data, tf.data.Dataset):
            return self._dataset_chunks(data, name)
        if self._alone and isinstance(data, str):
            data = [data]
        if is_frame(data):
            data = columns_of(data)
        whole = tuple | list | Mapping | tf.RaggedTensor
        if isinstance(data, whole) or hasattr(data, "__array__"):
            return self._array_chunks(data, name)
        raise TypeError(
            f"The {name} must be a data set. Received: {type(data).__name__}. {FORMS}"
        )

    def _dataset_chunks(
        self, dataset: tf.data.Dataset, name: str
    ) -> Iterator[tuple[Any, ...]]:
        if self._steps is not None:
            dataset = dataset.take(self._steps)
        elif dataset.cardinality() == tf.data.INFINITE_CARDINALITY:
            raise ValueError(
                f"The {name} must come to an end. Received: a data set that repeats for ever, "
                "and steps=None. Remove .repeat(), or pass how many elements to read, for "
                "example steps=100."
            )
        dataset, spec = self._unragged(dataset, name)
        leaves = tf.nest.flatten(spec)
        if any(getattr(leaf, "shape", None) == tf.TensorShape(None) for leaf in leaves):
            element = next(iter(dataset), None)
            if element is None:
                return
            spec = self._parts(element, name)
        fields = self._fields(spec[0])
        batched = self._check_form(fields, spec[1], name)
        objects = isinstance(spec[1], Mapping)
        if objects and batched:
            dataset, batched = dataset.unbatch(), False
        inputs = {key: self._inputs[key] for key in fields}

        def prepare(*element: Any) -> tuple[Any, ...]:
            x, *rest = self._parts(element[0] if len(element) == 1 else element, name)
            stored = {
                key: inputs[key].stored(leaf, batched) for key, leaf in self._fields(x).items()
            }
            return (stored, *(part for part in rest if part is not None))

        dataset = dataset.map(prepare, num_parallel_calls=tf.data.AUTOTUNE)
        if objects:
            yield from _in_chunks(dataset)
            return
        if not batched:
            dataset = dataset.batch(_CHUNK)
        # Fused with a map, TensorFlow 2.21 batches 8x9 with 9x8 images as if they were alike.
        options = tf.data.Options()
        options.experimental_optimization.map_and_batch_fusion = False
        dataset = dataset.with_options(options)
        try:
            for x, *rest in dataset.prefetch(2).as_numpy_iterator():
                y = rest[0] if spec[1] is not None else None
                yield (x, cut_with(x.get(ONE), y), *rest[1:])
        except tf.errors.InvalidArgumentError as error:
            different = re.search(r"different shapes in component 0\.(.*?\.)", error.message)
            if different is None:
                raise
            raise varying_sizes(name, different[1].strip()) from error

    def _unragged(self, dataset: tf.data.Dataset, name: str) -> Any:
        """The data set without batches of examples of several sizes, and its parts' specs."""
        spec = self._parts(dataset.element_spec, name)
        ragged = [s for s in tf.nest.flatten(spec) if isinstance(s, tf.RaggedTensorSpec)]
        labels = tf.nest.flatten(spec[1])
        if ragged and all(getattr(leaf.shape, "rank", 1) for leaf in labels):
            dataset = dataset.unbatch()
            spec = self._parts(dataset.element_spec, name)
        return dataset, spec

    def _array_chunks(self, data: Any, name: str) -> Iterator[tuple[Any, ...]]:
        fields, labels, weight = self._whole(data, name)
        self._check_form(fields, labels, name, batched=True)
        weights = [np.asarray(part) for part in weight]
        first = fields[next(iter(fields))]
        columns = [c for f in fields.values() for c in leaves_of(f)]
        columns += [] if labels is None else list(leaves_of(labels))
        lengths = [len(column) for column in (*columns, *weights)]
        if len(set(lengths)) > 1:
            raise ValueError(
                "Examples, labels and weights must be of one length. Received: "
                f"lengths {lengths} in the {name}. Pass one label per example."
            )
        for start in range(0, len(next(iter(leaves_of(first)))), _CHUNK):
            part = slice(start, start + _CHUNK)
            with tf.device("CPU"):
                stored = {
                    key: tf.nest.map_structure(
                        _numpy, self._inputs[key].stored(sliced(leaf, part), True)
                    )
                    for key, leaf in fields.items()
                }
            y = None if labels is None else sliced(labels, part)
            yield (stored, y, *(column[part] for column in weights))

    def _whole(self, data: Any, name: str) -> tuple[dict[str, Any], Any, list[Any]]:
        """Inputs by name, labels and perhaps weights of a data set that is given whole."""
        x, y, *weight = self._parts(data, name)
        labels = labels_of(y, name)
        fields = self._fields(inputs_of_list(x, labels))
        length = self._length_with(labels)
        if ONE in fields and length is not None and labels is not None:
            fields[ONE], labels = padded_alike(fields[ONE], labels, length)
        texts = None if labels is not None else texts_of_tokens(fields.get(ONE))
        if texts is not None:
            fields[ONE], labels = windows(texts, self._length or WINDOW)
        fields = {key: input_of(leaf, length, name) for key, leaf in fields.items()}
        return fields, labels, weight

    def _length_with(self, y: Any) -> int | None:
        """Steps of an example as it is read: of tokens alone the last is a label only."""
        return self._length and self._length + (y is None)

    def _parts(self, element: Any, name: str) -> tuple[Any, ...]:
        """Return input, label and, if there is one, weight of an element or of its spec."""
        if isinstance(element, Mapping):
            keys = [key for key in _INPUT_KEYS if key in element]
            labels = [key for key in _TARGET_KEYS if key in element]
            if len(keys) == 1 and labels:
                return element[keys[0]], element[labels[-1]]
            if self._alone and len(keys) == 1:
                return element[keys[0]], None
            raise ValueError(
                f"A dictionary must hold 'image' and 'label'. Received: {name} with keys "
                f"{sorted(element)}. Map it, for example: "
                "ds.map(lambda e: (e['pixels'], e['class']))."
            )
        pair = isinstance(element, tuple | list) and len(element) in (2, 3)
        if pair and all(isinstance(part, str) for part in element):
            pair = False  # two texts
        if pair and self._alone and isinstance(element, list):
            pair = texts_of_tokens(element[0]) is None  # nor two as token numbers
        if pair and element[1] is not None:
            return tuple(element)
        if self._alone:
            whole = not (isinstance(element, tuple) and (pair or len(element) == 1))
            return (element, None) if whole else (element[0], None, *element[2:])
        is_parts = isinstance(element, tuple | list)
        shown = f"{len(element)} parts" if is_parts else "examples alone"
        raise ValueError(
            f"The {name} must hold an example and its label each. Received: {shown}. {FORMS}"
        )

    def _fields(self, x: Any) -> dict[str, Any]:
        """The inputs by name; a single one has no name."""
        if is_frame(x):
            x = columns_of(x)
        if isinstance(x, tuple):
            x = {f"input_{number}": leaf for number, leaf in enumerate(x)}
            return self._nameless(x) if len(x) == 1 else x
        if not isinstance(x, Mapping):
            return {ONE: x}
        if self._are_columns(x):
            return {ONE: dict(x)}
        fields = {
            str(key): columns_of(leaf) if is_frame(leaf) else leaf
            for key, leaf in sorted(x.items())
        }
        return self._nameless(fields) if len(fields) == 1 else fields

    def _are_columns(self, x: Mapping[str, Any]) -> bool:
        """Whether these are the columns of one table rather than several inputs."""
        if any(isinstance(leaf, Mapping) or is_frame(leaf) for leaf in x.values()):
            return False
        if self._inputs:
            return ONE in self._inputs and self._inputs[ONE].has_columns
        return not isinstance(self._layout, Mapping) and all(is_column(c) for c in x.values())

    def _nameless(self, fields: dict[str, Any]) -> dict[str, Any]:
        """The only input of a dictionary, which needs no name: networks have one input."""
        if not self._inputs:
            self.name = next(iter(fields))
        return {ONE: fields[next(iter(fields))]}

    def _check_form(
        self, fields: dict[str, Any], y: Any, name: str, batched: bool | None = None
    ) -> bool:
        """Settle the layout of each input, and return whether elements are batches.

        Both follow from arrays or from specs.
        """
        given = self._given(fields)
        for leaf in fields.values():
            if not isinstance(leaf, Mapping):  # of columns their preprocessing judges
                _check_type(leaf, "Examples", "Decode them first.", name)
        for leaf in [] if y is None or isinstance(y, Mapping | list) else [y]:
            _check_type(leaf, "Labels", "Number the classes from 0.", name)
        if batched is None:
            batched = is_batched(fields, y, given)
        if self._inputs and fields.keys() != self._inputs.keys():
            raise ValueError(
                f"The {name} must have the inputs of the training data. Received: "
                f"{_listed(fields)} and {_listed(self._inputs)}. Name them alike."
            )
        for key, leaf in fields.items():
            if key not in self._inputs:
                self._inputs[key] = InputReader(
                    key,
                    given[key],
                    self._layouts if key == ONE else tuple(LAYOUTS),
                    self._image_size,
                    self._length_with(y),
                    self._cache,
                )
            self._inputs[key].check(leaf, y, batched, name)
        return batched

    def _given(self, fields: dict[str, Any]) -> dict[str, str | None]:
        """The layouts that were given, by input."""
        if isinstance(self._layout, Mapping):
            names = {key: self.name if key == ONE else key for key in fields}
            unknown = sorted(set(self._layout) - set(names.values()))
            if unknown:
                raise ValueError(
                    "`layout` must name the inputs. Received: a layout of "
                    f"{', '.join(map(repr, unknown))} with {_listed(names.values())}. "
                    'Check the spelling; an input without a name takes layout="images", for '
                    "example."
                )
            return {key: self._layout.get(name) for key, name in names.items()}
        if self._layout is not None and len(fields) > 1:
            raise ValueError(
                "Several inputs have a layout each. Received: "
                f"layout={self._layout!r} with the inputs {sorted(fields)}. Pass a dictionary:"
                f" layout={{{sorted(fields)[0]!r}: {self._layout!r}}}, or leave it out."
            )
        return dict.fromkeys(fields, self._layout)


def _listed(names: Iterable[str]) -> str:
    """Names of inputs, for messages."""
    return (
        "one input without a name" if list(names) == [ONE] else f"the inputs {sorted(names)}"
    )


def _weights(chunks: Sequence[NDArray[Any]], name: str) -> NDArray[Any] | None:
    weights = np.concatenate(chunks) if chunks else None
    if weights is not None and weights.dtype.kind not in "biuf":
        raise TypeError(
            f"Weights must be numbers. Received: {weights.dtype.name} in the {name}. Convert "
            "them, or leave weights out to count all examples alike."
        )
    return weights


def _check_settings(layout: Layout, image_size: Any, length: Any, steps: Any) -> None:
    for one in layout.values() if isinstance(layout, Mapping) else [layout]:
        if one is not None and one not in LAYOUTS:
            raise ValueError(
                f"Examples have one of the layouts {', '.join(map(repr, LAYOUTS))}. Received: "
                f"layout={one!r}. {did_you_mean(str(one), LAYOUTS)}Leave it out where "
                "the shape says enough."
            )
    if image_size is not None and not (
        isinstance(image_size, tuple | list)
        and len(image_size) == 2
        and all(_is_positive_int(side) for side in image_size)
    ):
        raise ValueError(
            "The image size must be two positive whole numbers of pixels. "
            f"Received: image_size={image_size!r}. Write image_size=(height, width)."
        )
    if length is not None and not _is_positive_int(length):
        raise ValueError(
            f"A sequence has a whole number of steps, 1 or more. Received: "
            f"sequence_length={length!r}. Pass how many steps or tokens a network is to see."
        )
    if steps is not None and not _is_positive_int(steps):
        raise ValueError(
            f"Steps must be a positive whole number. Received: steps={steps!r}. "
            "Pass how many elements of the data set to read."
        )


def _check_type(leaf: Any, noun: str, advice: str, name: str) -> None:
    if not hasattr(leaf, "dtype"):
        raise TypeError(
            f"{noun} must be arrays. Received: {type(leaf).__name__} in the {name}. {FORMS}"
        )
    if is_text(leaf.dtype):
        return
    if getattr(leaf.dtype, "kind", "") in tuple("mM"):
        raise TypeError(
            f"{noun} must be numbers. Received: {leaf.dtype.name} in the {name}. Convert "
            "dates to numbers, for example of days."
        )
    dtype = tf.as_dtype(leaf.dtype)
    if not (dtype.is_floating or dtype.is_integer or dtype.is_bool):
        raise TypeError(
            f"{noun} must be numbers. Received: {dtype.name} in the {name}. {advice}"
        )


def _in_chunks(dataset: tf.data.Dataset) -> Iterator[tuple[Any, ...]]:
    """Single examples as chunks, in which labels may have several lengths."""
    examples = dataset.prefetch(_CHUNK).as_numpy_iterator()
    for group in iter(lambda: list(itertools.islice(examples, _CHUNK)), []):
        sizes = {tuple(np.shape(leaf) for leaf in example[0].values()) for example in group}
        if len(sizes) > 1:
            shown = " and ".join(str(size[0]) for size in sorted(sizes)[:2])
            raise varying_sizes("data", f"{shown}.")
        x = {key: np.stack([example[0][key] for example in group]) for key in group[0][0]}
        y = {key: [example[1][key] for example in group] for key in group[0][1]}
        yield (
            x,
            y,
            *(np.array(column) for column in zip(*(e[2:] for e in group), strict=True)),
        )


def _numpy(leaf: Any) -> Any:
    return leaf.numpy() if isinstance(leaf, tf.Tensor) else leaf


def _is_positive_int(value: Any) -> bool:
    return (
        isinstance(value, numbers.Integral) and not isinstance(value, bool) and int(value) > 0
    )

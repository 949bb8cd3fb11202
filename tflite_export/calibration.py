"""Samples out of data sets and arrays: what an export is calibrated and verified on."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from edge_devices.inputs import Inputs, count, taken
from tflite_export.signature import Shape, Shapes

__all__ = ["Samples", "check_inputs", "check_ranges", "draw", "first", "random_inputs"]

Array = NDArray[Any]

_LOOKED_AT_PER_SAMPLE = 16
_LABEL_KEYS = ("label", "labels")
_TINY = 0.02  # of the range of 1 or 2 that rescaled inputs have
_APART = 10.0


@dataclass(frozen=True)
class Samples:
    """Inputs `(n, ...)` and, where the data had them, their labels `(n, ...)`.

    Of several inputs, `inputs` is a dictionary of arrays, sorted by name.
    """

    inputs: Inputs
    labels: Array | None


def draw(data: Any, shape: Shapes, number: int, seed: int | None) -> Samples:
    """Draw a random sample without replacement.

    Data sets are read once, by reservoir sampling, and no further than 16 examples for each
    one drawn: endless ones end, and large ones sorted by class should be shuffled first.

    Args:
        data: A `tf.data.Dataset`, batched or not, or NumPy arrays; of `x`, `(x, y)`,
            `(x, y, weights)` or a TFDS dictionary such as `{"image": x, "label": y}`. Of
            several inputs `x` is a dictionary by name, or a tuple in the model's order.
        shape: Shape of one input, without the batch; of several one for each, by name, in
            the model's order.
        number: How many to draw; all, in another order, if there are fewer.
        seed: Seeds the draw. `None` draws fresh entropy; `0` is a seed.

    Returns:
        The sample.

    Raises:
        ValueError: If `data` is empty, has another shape, or contains NaN or infinity.
        TypeError: If `data` is nothing of the above, or not numeric.
    """
    if number < 1:
        raise ValueError(
            "At least one calibration sample is needed. "
            f"Received: num_calibration={number}. 100 to 500 are usual."
        )
    rng = np.random.default_rng(seed)
    if not isinstance(data, tf.data.Dataset):
        everything = _batch(data, shape, "calibration")
        chosen = rng.permutation(count(everything.inputs))[:number]
        labels = None if everything.labels is None else everything.labels[chosen]
        drawn = Samples(taken(everything.inputs, chosen), labels)
        return _checked(drawn, shape, "calibration")
    kept: list[tuple[Inputs, Array | None]] = []
    examples = _examples(data, shape, "calibration")
    bound = number * _LOOKED_AT_PER_SAMPLE
    for seen, example in enumerate(itertools.islice(examples, bound)):
        if seen < number:
            kept.append(example)
        elif (slot := rng.integers(seen + 1)) < number:
            kept[slot] = example
    return _checked(_stacked(kept), shape, "calibration")


def first(data: Any, shape: Shapes, number: int) -> Samples:
    """Take the first `number` examples, or all, of data in any form that `draw` takes.

    Args:
        data: Validation data.
        shape: As in `draw`.
        number: How many to take at most.

    Returns:
        The examples, in order.

    Raises:
        ValueError: If `data` is empty, has another shape, or contains NaN or infinity.
        TypeError: If `data` is nothing that `draw` takes, or not numeric.
    """
    if isinstance(data, tf.data.Dataset):
        examples = _examples(data, shape, "validation_data")
        samples = _stacked(itertools.islice(examples, number))
    else:
        whole = _batch(data, shape, "validation_data")
        labels = None if whole.labels is None else whole.labels[:number]
        samples = Samples(taken(whole.inputs, slice(number)), labels)
    return _checked(samples, shape, "validation_data")


def random_inputs(shape: Shapes, number: int, seed: int | None) -> Samples:
    """Inputs uniform in [0, 1), for want of real ones.

    Args:
        shape: As in `draw`.
        number: How many.
        seed: Seeds the generator. `None` draws fresh entropy; `0` is a seed.

    Returns:
        Unlabelled samples.
    """
    rng = np.random.default_rng(seed)
    if isinstance(shape, Mapping):
        inputs = {
            name: rng.random((number, *shape[name]), dtype=np.float32)
            for name in sorted(shape)
        }
        return Samples(inputs, labels=None)
    return Samples(rng.random((number, *shape), dtype=np.float32), labels=None)


def check_inputs(inputs: Inputs, shape: Shapes, name: str) -> None:
    """Refuse a batch of inputs that a model of this input shape cannot take.

    Args:
        inputs: The batch; of several inputs by name.
        shape: As in `draw`.
        name: The caller's name for the data, for the message.

    Raises:
        ValueError: If the shape is another, the batch is empty, a value is not finite, or an
            input is missing.
        TypeError: If the values are not numbers.
    """
    if not isinstance(shape, Mapping):
        if isinstance(inputs, Mapping):
            raise ValueError(
                f"{name} must be one array: the model has one input. Received: arrays of "
                f"{', '.join(map(repr, inputs))}. Pass that of the input alone."
            )
        _check_input(inputs, shape, name)
        return
    if not isinstance(inputs, Mapping) or inputs.keys() != shape.keys():
        received = (
            f"inputs named {', '.join(map(repr, inputs))}"
            if isinstance(inputs, Mapping)
            else f"one array of shape {inputs.shape}"
        )
        raise ValueError(
            f"{name} must have an array for each input of the model, which are "
            f"{', '.join(map(repr, shape))}. Received: {received}. Pass "
            f"{{{', '.join(f'{key!r}: ...' for key in shape)}}}."
        )
    for key in shape:
        _check_input(inputs[key], shape[key], f"{name}[{key!r}]")
    lengths = {key: len(inputs[key]) for key in shape}
    if len(set(lengths.values())) > 1:
        received = ", ".join(f"{length} of {key!r}" for key, length in lengths.items())
        raise ValueError(
            f"{name} must have all inputs of each example. Received: {received}. Pass as "
            "many of each."
        )


def _check_input(inputs: Array, shape: Shape, name: str) -> None:
    if inputs.dtype.kind not in "buif":
        raise TypeError(
            f"{name} must hold numbers. Received: inputs of type {inputs.dtype}. "
            "Decode or encode them as the model was trained on."
        )
    if inputs.shape[1:] != shape:
        advice = (
            "Add the channel axis: `x[..., None]`."
            if (*inputs.shape[1:], 1) == shape
            else "Pass the inputs the model was trained on."
        )
        raise ValueError(
            f"{name} does not fit the model, which takes inputs of shape {('n', *shape)}. "
            f"Received: shape {('n', *inputs.shape[1:])}. {advice}"
        )
    if not len(inputs):
        raise ValueError(
            f"{name} is empty. Received: 0 inputs of shape {shape}. Pass at least one; "
            "about 100 for calibration."
        )
    if inputs.dtype.kind == "f" and not np.isfinite(inputs).all():
        bad = int((~np.isfinite(inputs)).reshape(len(inputs), -1).any(axis=1).sum())
        raise ValueError(
            f"{name} must be finite. Received: NaN or infinity in {bad} of {len(inputs)} "
            "inputs. Clean the data: quantization ranges are taken from it."
        )


def check_ranges(
    calibration: Inputs, others: Inputs | None, rescaling: float | None = None
) -> None:
    """Refuse calibration inputs whose values cannot be those that the model will see.

    Args:
        calibration: Inputs `(n, ...)`; of several each is looked at, but for whole numbers,
            which may well be the same in all examples.
        others: Validation inputs, which should be alike.
        rescaling: What the model's first layer multiplies its input by, if it does.

    Raises:
        ValueError: If the inputs are constant, have been rescaled already, or vary by another
            order of magnitude than the validation inputs.
    """
    if isinstance(calibration, Mapping):
        for name in calibration:
            if calibration[name].dtype.kind == "f":
                rest = others[name] if isinstance(others, Mapping) else None
                _check_range(calibration[name], rest, rescaling, f"calibration[{name!r}]")
    elif not isinstance(others, Mapping):
        _check_range(calibration, others, rescaling, "calibration")


def _check_range(
    calibration: Array, others: Array | None, rescaling: float | None, called: str
) -> None:
    low, high = float(calibration.min()), float(calibration.max())
    if low == high:
        raise ValueError(
            f"{called} must vary as real inputs do: the ranges of all activations are "
            f"measured on it. Received: {len(calibration)} inputs of nothing but {low:g}. "
            "Pass inputs the model was trained on."
        )
    if rescaling is not None and abs(rescaling) * (high - low) < _TINY:
        raise ValueError(
            "calibration seems to be rescaled already, while the model does that itself. "
            f"Received: values from {low:g} to {high:g}, which its first layer multiplies by "
            f"{rescaling:.3g}. Pass inputs as the model takes them, e.g. from 0 to "
            f"{1 / abs(rescaling):.3g}."
        )
    if others is None:
        return
    spreads = float(np.std(calibration)), float(np.std(others))
    if max(spreads) > _APART * min(spreads):
        raise ValueError(
            "calibration and validation_data must be inputs of one kind. Received: values "
            f"from {low:g} to {high:g} with a standard deviation of {spreads[0]:.3g}, and "
            f"from {others.min():g} to {others.max():g} with one of {spreads[1]:.3g}. Prepare "
            "both as the model's training data was."
        )


def _checked(samples: Samples, shape: Shapes, name: str) -> Samples:
    check_inputs(samples.inputs, shape, name)
    return samples


def _examples(
    dataset: tf.data.Dataset, shape: Shapes, name: str
) -> Iterator[tuple[Inputs, Array | None]]:
    """One example after another, copied so that the batch it came from can be freed."""
    empty = True
    for element in dataset.as_numpy_iterator():
        batch = _batch(element, shape, name)
        labels = itertools.repeat(None) if batch.labels is None else batch.labels
        for x, y in zip(_each(batch.inputs), labels, strict=False):
            empty = False
            yield x, None if y is None else np.array(y)
    if empty:
        nothing: Inputs
        if isinstance(shape, Mapping):
            nothing = {key: np.empty((0, *each)) for key, each in shape.items()}
        else:
            nothing = np.empty((0, *shape))
        check_inputs(nothing, shape, name)


def _each(inputs: Inputs) -> Iterator[Inputs]:
    """Copies of one example after another, without the batch axis."""
    if isinstance(inputs, Mapping):
        for index in range(count(inputs)):
            yield {key: array[index].copy() for key, array in inputs.items()}
    else:
        for array in inputs:
            yield array.copy()


def _stacked(examples: Iterable[tuple[Inputs, Array | None]]) -> Samples:
    given, labels = zip(*examples, strict=True)
    inputs: Inputs
    if isinstance(given[0], Mapping):
        inputs = {key: np.stack([example[key] for example in given]) for key in given[0]}
    else:
        inputs = np.stack(given)
    if any(y is None or y.shape != labels[0].shape for y in labels):
        return Samples(inputs, None)
    return Samples(inputs, np.stack(labels))


def _batch(element: Any, shape: Shapes, name: str) -> Samples:
    """An element of a data set, or the arrays that are the whole of it, as a batch."""
    inputs: Inputs
    if isinstance(shape, Mapping):
        several, y = _parts_of_several(element, shape, name)
        inputs = {key: np.asarray(several[key]) for key in sorted(several)}
        single = all(array.shape == shape[key] for key, array in inputs.items())
        if single:
            inputs = {key: array[None] for key, array in inputs.items()}
    else:
        x, y = _parts(element, name)
        inputs = np.asarray(x)
        single = inputs.shape == shape
        inputs = inputs[None] if single else inputs
    labels = None if y is None or isinstance(y, Mapping | tuple | list) else np.asarray(y)
    if single and labels is not None:
        labels = labels[None]
    check_inputs(inputs, shape, name)
    number = count(inputs)
    if labels is not None and len(labels) != number:
        raise ValueError(
            f"{name} must have one label for each input. Received: {number} inputs and "
            f"{len(labels)} labels. Pass `(x, y)` of equal length."
        )
    return Samples(inputs, labels)


def _parts_of_several(
    element: Any, shape: Mapping[str, Shape], name: str
) -> tuple[dict[str, Any], Any]:
    """Inputs by name, and labels or `None`, of data for a model of several inputs."""
    x, y = element, None
    if isinstance(element, tuple) and 1 <= len(element) <= 3:
        if isinstance(element[0], Mapping | tuple | list):
            x, y = element[0], element[1] if len(element) > 1 else None
    elif isinstance(element, Mapping):
        y = next((element[key] for key in _LABEL_KEYS if key in element.keys() - shape), None)
    if isinstance(x, Mapping):
        named = {re.sub(r"\W", "_", str(key)): value for key, value in x.items()}
        if named.keys() >= shape.keys():
            return {key: named[key] for key in shape}, y
    elif isinstance(x, tuple | list) and x is not element and len(x) == len(shape):
        return dict(zip(shape, x, strict=True)), y
    elif isinstance(x, list) and len(x) == len(shape):
        return dict(zip(shape, x, strict=True)), y
    keys = ", ".join(f"{key!r}: ..." for key in shape)
    received = (
        f"inputs named {', '.join(map(repr, x))}" if isinstance(x, Mapping) else _kind(x)
    )
    raise TypeError(
        f"{name} must hold the {len(shape)} inputs of the model, as {{{keys}}} or as a tuple "
        f"in this order, alone or in (x, y). Received: {received}. Map it to "
        f"({{{keys}}}, y)."
    )


def _parts(element: Any, name: str) -> tuple[Any, Any]:
    """Inputs and labels, or `None` in their place."""
    if isinstance(element, tuple):
        if 1 <= len(element) <= 3 and not isinstance(element[0], Mapping | tuple):
            return element[0], element[1] if len(element) > 1 else None
    elif isinstance(element, Mapping):
        keys = [key for key in element if key not in _LABEL_KEYS]
        inputs = "image" if "image" in keys else keys[0] if len(keys) == 1 else None
        if inputs is not None:
            label = next((element[key] for key in _LABEL_KEYS if key in element), None)
            return element[inputs], label
    elif hasattr(element, "__array__") or isinstance(element, list):
        return element, None
    received = (
        f"a dictionary of {list(element)}" if isinstance(element, Mapping) else _kind(element)
    )
    raise TypeError(
        f"{name} must be a tf.data.Dataset or arrays of x, (x, y), (x, y, weights) or "
        f'{{"image": x, "label": y}}. Received: {received}. Map it to (x, y).'
    )


def _kind(element: Any) -> str:
    if isinstance(element, tuple):
        return "a tuple of " + ", ".join(type(part).__name__ for part in element)
    return f"{type(element).__name__}: {element!r:.80}"

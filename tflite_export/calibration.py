"""Samples out of data sets and arrays: what an export is calibrated and verified on."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

__all__ = ["Samples", "check_inputs", "check_ranges", "draw", "first", "random_inputs"]

Array = NDArray[Any]

_LOOKED_AT_PER_SAMPLE = 16
_LABEL_KEYS = ("label", "labels")
_TINY = 0.02  # of the range of 1 or 2 that rescaled inputs have
_APART = 10.0


@dataclass(frozen=True)
class Samples:
    """Inputs `(n, ...)` and, where the data had them, their labels `(n, ...)`."""

    inputs: Array
    labels: Array | None


def draw(data: Any, shape: tuple[int, ...], count: int, seed: int | None) -> Samples:
    """Draw a random sample without replacement.

    Data sets are read once, by reservoir sampling, and no further than 16 examples for each
    one drawn: endless ones end, and large ones sorted by class should be shuffled first.

    Args:
        data: A `tf.data.Dataset`, batched or not, or NumPy arrays; of `x`, `(x, y)`,
            `(x, y, weights)` or a TFDS dictionary such as `{"image": x, "label": y}`.
        shape: Shape of one input, without the batch.
        count: How many to draw; all, in another order, if there are fewer.
        seed: Seeds the draw. `None` draws fresh entropy; `0` is a seed.

    Returns:
        The sample.

    Raises:
        ValueError: If `data` is empty, has another shape, or contains NaN or infinity.
        TypeError: If `data` is nothing of the above, or not numeric.
    """
    if count < 1:
        raise ValueError(
            "At least one calibration sample is needed. "
            f"Received: num_calibration={count}. 100 to 500 are usual."
        )
    rng = np.random.default_rng(seed)
    if not isinstance(data, tf.data.Dataset):
        everything = _batch(data, shape, "calibration")
        chosen = rng.permutation(len(everything.inputs))[:count]
        labels = None if everything.labels is None else everything.labels[chosen]
        return _checked(Samples(everything.inputs[chosen], labels), "calibration")
    kept: list[tuple[Array, Array | None]] = []
    examples = _examples(data, shape, "calibration")
    bound = count * _LOOKED_AT_PER_SAMPLE
    for seen, example in enumerate(itertools.islice(examples, bound)):
        if seen < count:
            kept.append(example)
        elif (slot := rng.integers(seen + 1)) < count:
            kept[slot] = example
    return _checked(_stacked(kept), "calibration")


def first(data: Any, shape: tuple[int, ...], count: int) -> Samples:
    """Take the first `count` examples, or all, of data in any form that `draw` takes.

    Args:
        data: Validation data.
        shape: Shape of one input, without the batch.
        count: How many to take at most.

    Returns:
        The examples, in order.

    Raises:
        ValueError: If `data` is empty, has another shape, or contains NaN or infinity.
        TypeError: If `data` is nothing that `draw` takes, or not numeric.
    """
    if isinstance(data, tf.data.Dataset):
        samples = _stacked(itertools.islice(_examples(data, shape, "validation_data"), count))
    else:
        whole = _batch(data, shape, "validation_data")
        labels = None if whole.labels is None else whole.labels[:count]
        samples = Samples(whole.inputs[:count], labels)
    return _checked(samples, "validation_data")


def random_inputs(shape: tuple[int, ...], count: int, seed: int | None) -> Samples:
    """Inputs uniform in [0, 1), for want of real ones.

    Args:
        shape: Shape of one input, without the batch.
        count: How many.
        seed: Seeds the generator. `None` draws fresh entropy; `0` is a seed.

    Returns:
        Unlabelled samples.
    """
    rng = np.random.default_rng(seed)
    return Samples(rng.random((count, *shape), dtype=np.float32), labels=None)


def check_inputs(inputs: Array, shape: tuple[int, ...], name: str) -> None:
    """Refuse a batch of inputs that a model of this input shape cannot take.

    Args:
        inputs: The batch.
        shape: Shape of one input, without the batch.
        name: The caller's name for the data, for the message.

    Raises:
        ValueError: If the shape is another, the batch is empty, or a value is not finite.
        TypeError: If the values are not numbers.
    """
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


def check_ranges(calibration: Array, others: Array | None, rescaling: float | None) -> None:
    """Refuse calibration inputs whose values cannot be those that the model will see.

    Args:
        calibration: Inputs `(n, ...)`.
        others: Validation inputs, which should be alike.
        rescaling: What the model's first layer multiplies its input by, if it does.

    Raises:
        ValueError: If the inputs are constant, have been rescaled already, or vary by another
            order of magnitude than the validation inputs.
    """
    low, high = float(calibration.min()), float(calibration.max())
    if low == high:
        raise ValueError(
            "calibration must vary as real inputs do: the ranges of all activations are "
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


def _checked(samples: Samples, name: str) -> Samples:
    check_inputs(samples.inputs, samples.inputs.shape[1:], name)
    return samples


def _examples(
    dataset: tf.data.Dataset, shape: tuple[int, ...], name: str
) -> Iterator[tuple[Array, Array | None]]:
    """One example after another, copied so that the batch it came from can be freed."""
    empty = True
    for element in dataset.as_numpy_iterator():
        batch = _batch(element, shape, name)
        labels = itertools.repeat(None) if batch.labels is None else batch.labels
        for x, y in zip(batch.inputs, labels, strict=False):
            empty = False
            yield x.copy(), None if y is None else np.array(y)
    if empty:
        check_inputs(np.empty((0, *shape)), shape, name)


def _stacked(examples: Iterable[tuple[Array, Array | None]]) -> Samples:
    inputs, labels = zip(*examples, strict=True)
    if any(y is None or y.shape != labels[0].shape for y in labels):
        return Samples(np.stack(inputs), None)
    return Samples(np.stack(inputs), np.stack(labels))


def _batch(element: Any, shape: tuple[int, ...], name: str) -> Samples:
    """An element of a data set, or the arrays that are the whole of it, as a batch."""
    x, y = _parts(element, name)
    inputs = np.asarray(x)
    labels = None if y is None or isinstance(y, Mapping | tuple | list) else np.asarray(y)
    if inputs.shape == shape:
        inputs = inputs[None]
        labels = None if labels is None else labels[None]
    check_inputs(inputs if len(inputs) else inputs[:0], shape, name)
    if labels is not None and len(labels) != len(inputs):
        raise ValueError(
            f"{name} must have one label for each input. Received: {len(inputs)} inputs and "
            f"{len(labels)} labels. Pass `(x, y)` of equal length."
        )
    return Samples(inputs, labels)


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

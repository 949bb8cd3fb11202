"""The ranges of a network's activations: measured on inputs, and narrowed where that pays."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
from ai_edge_litert.interpreter import Interpreter, OpResolverType
from numpy.typing import NDArray

from edge_devices.inputs import Inputs, by_name, examples, input_names
from tflite_export.inspection import operators_in
from tflite_export.silence import silence

__all__ = [
    "Ranges",
    "activations",
    "central",
    "comparable",
    "least_error",
    "measure",
    "narrowed",
]

Array = NDArray[Any]
Range = tuple[float, float]
Ranges = Mapping[str, Range]
"""From the names of a float file's activations to their smallest and largest value."""

_BINS = 2048
_CANDIDATES = 128  # ends tried on either side
_SUMS = ("ADD", "SUB")
# Of a term's width to the sum's, and of the sum's to the term's: kernels take a term's step
# from 2**-10 to 2**8 steps of the sum.
_LEAST_TERM, _LEAST_SUM = 2.0**-9, 2.0**-7


def measure(content: bytes, inputs: Inputs) -> dict[str, Range]:
    """Measure the smallest and largest value of each activation over all inputs.

    Args:
        content: The bytes of a float32 file, with its names.
        inputs: Inputs `(n, ...)` as the file takes them; of several inputs by name.

    Returns:
        The ranges of all floating-point activations, input and output included.
    """
    low: dict[str, float] = {}
    high: dict[str, float] = {}
    for name, values in activations(content, inputs):
        low[name] = min(low.get(name, np.inf), float(values.min()))
        high[name] = max(high.get(name, -np.inf), float(values.max()))
    return {name: (low[name], high[name]) for name in low}


def narrowed(
    content: bytes,
    inputs: Inputs,
    ranges: Ranges,
    narrow: Callable[[Range, Array], Range],
) -> dict[str, Range]:
    """Narrow ranges by how the values within them are distributed.

    Args:
        content: The bytes of a float32 file, with its names.
        inputs: As in `measure`.
        ranges: The ranges that `measure` found on the same inputs.
        narrow: From a range and the counts of values in bins of equal width over it to a
            range: `least_error` or `central`.

    Returns:
        The new ranges.
    """
    counts = {name: np.zeros(_BINS, np.int64) for name in ranges}
    for name, values in activations(content, inputs):
        low, high = ranges[name]
        if high > low:
            bins = ((values.ravel() - low) * (_BINS / (high - low))).astype(np.intp)
            counts[name] += np.bincount(np.clip(bins, 0, _BINS - 1), minlength=_BINS)
    return {
        name: narrow(range_, counts[name]) if counts[name].any() else range_
        for name, range_ in ranges.items()
    }


def comparable(content: bytes, ranges: Ranges) -> dict[str, Range]:
    """Widen ranges of terms that are next to nothing beside their sum, and the reverse.

    A term of less than a 512th of its sum rounds to nearly nothing whatever its range is, but
    XNNPACK's kernels refuse scales so different, and with them the whole file. A branch behind
    a multiplication by zero has such a term, or one that training has all but switched off.

    Args:
        content: The bytes of a float32 file, with its names.
        ranges: Ranges of its activations.

    Returns:
        All ranges, those of such terms as wide as a 512th of the sum's, and a sum's as wide as
        a 128th of its widest term.
    """
    found = dict(ranges)
    operators = operators_in(content)
    sums = [o for o in operators if o.op in _SUMS and o.outputs[0] in found]
    # A term may be a sum itself, and a sum that is widened a term of one that was seen before.
    # Each round gets at least one sum further, and widths only shrink on the way.
    for _ in operators:
        before = dict(found)
        for operator in reversed(sums):
            (total,) = operator.outputs
            terms = [name for name in operator.inputs if name in found]
            widest = max((_width(found[name]) for name in terms), default=0.0)
            found[total] = _widened(found[total], widest * _LEAST_SUM)
            for name in terms:
                found[name] = _widened(found[name], _width(found[total]) * _LEAST_TERM)
        if found == before:
            break
    return found


def _width(range_: Range) -> float:
    low, high = range_
    return max(high, 0.0) - min(low, 0.0)


def _widened(range_: Range, least: float) -> Range:
    low = min(range_[0], 0.0)
    return range_ if _width(range_) >= least else (low, low + least)


def central(range_: Range, counts: Array, share: float = 0.9999) -> Range:
    """The range without the outermost values, as many at either end.

    Args:
        range_: Smallest and largest value.
        counts: How many values are in each of the bins of equal width.
        share: What share of the values stays inside. Lower clips more and rounds less.

    Returns:
        The narrower range; its ends are borders of bins.
    """
    low, high = range_
    edges = np.linspace(low, high, len(counts) + 1)
    outside = counts.sum() * (1 - share) / 2
    below, above = np.cumsum(counts), np.cumsum(counts[::-1])
    first = int(np.searchsorted(below, outside, side="right"))
    last = len(counts) - int(np.searchsorted(above, outside, side="right"))
    return (float(edges[first]), float(edges[last])) if first < last else range_


def least_error(range_: Range, counts: Array, bits: int = 8) -> Range:
    """The range in which quantized values have the least mean square error.

    A narrower range has finer steps, so that values inside are rounded less, but moves those
    outside to its ends. The error of rounding is that of an even distribution, a twelfth of
    the step squared; that of clipping is summed over the bins. All pairs of 128 lower and 128
    upper ends are compared.

    Args:
        range_: Smallest and largest value.
        counts: How many values are in each of the bins of equal width.
        bits: Of the quantized values.

    Returns:
        The range. It contains zero, as every quantized range must.

    Reference:
        Banner et al., "Post training 4-bit quantization of convolutional networks for
        rapid-deployment", NeurIPS 2019, https://arxiv.org/abs/1810.05723. They assume the
        distribution; here it is measured.
    """
    low, high = range_
    centres = low + (high - low) * (np.arange(len(counts)) + 0.5) / len(counts)
    lows = min(low, 0.0) * np.linspace(0, 1, _CANDIDATES)
    highs = max(high, 0.0) * np.linspace(0, 1, _CANDIDATES)
    below = np.maximum(lows[:, None] - centres, 0) ** 2 @ counts
    above = np.maximum(centres - highs[:, None], 0) ** 2 @ counts
    steps = (highs[None, :] - lows[:, None]) / (2**bits - 1)
    error = below[:, None] + above[None, :] + counts.sum() * steps**2 / 12
    best_low, best_high = np.unravel_index(int(error.argmin()), error.shape)
    return float(lows[best_low]), float(highs[best_high])


def activations(content: bytes, inputs: Inputs) -> Iterator[tuple[str, Array]]:
    """Run a float file and look at everything it computes.

    Args:
        content: The bytes of a float32 file, with its names.
        inputs: As in `measure`.

    Yields:
        Name and values of one floating-point activation after another, for each input.
    """
    with silence():
        interpreter = _interpreter(content)
        interpreter.allocate_tensors()
    sources = interpreter.get_input_details()
    given = by_name(inputs, input_names(content))
    computed = {name for operator in operators_in(content) for name in operator.outputs}
    tensors = [
        (details["name"], details["index"])
        for details in interpreter.get_tensor_details()
        if details["name"] in computed | {source["name"] for source in sources}
        and details["dtype"] is np.float32
    ]
    for example in examples(given):
        for source, array in zip(sources, example.values(), strict=True):
            interpreter.set_tensor(source["index"], array.astype(source["dtype"]))
        interpreter.invoke()
        for name, index in tensors:
            yield name, interpreter.get_tensor(index)


def _interpreter(content: bytes) -> Interpreter:
    # Without XNNPACK, which would not fill in the activations between its own operators.
    return Interpreter(
        model_content=content,
        num_threads=1,
        experimental_op_resolver_type=OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES,
        experimental_preserve_all_tensors=True,
    )

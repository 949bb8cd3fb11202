"""What to do when a quantized file has lost too much accuracy, in order of what it costs."""

from __future__ import annotations

import functools
import time
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from numpy.typing import NDArray

from edge_devices.inputs import Inputs, count
from tflite_export.compaction import compact
from tflite_export.equalization import equalized
from tflite_export.inspection import precisions
from tflite_export.quantization import quantize
from tflite_export.ranges import Range, Ranges, central, least_error, measure, narrowed
from tflite_export.report import ACCURACY, Remedy, Report
from tflite_export.sensitivity import sensitivities

if TYPE_CHECKING:
    import keras

__all__ = [
    "AccuracyDropError",
    "Attempt",
    "Course",
    "Judge",
    "Judged",
    "Remedy",
    "fewest",
    "recalibrate",
    "retune",
    "unlike",
    "widen",
]

Array = NDArray[Any]
Judge = Callable[[bytes], float]
"""From the bytes of a file to its accuracy, or its score by the metric that counts."""
Narrow = Callable[[Range, Array], Range]

FINE_TUNING = "quantization-aware fine-tuning"

_SHARES = (0.9999, 0.999, 0.99)
_LADDER = {
    "int4": ("int8", "int16x8", "float32"),
    "int8": ("int16x8", "float32"),
    "int16x8": ("float32",),
}


class AccuracyDropError(ValueError):
    """The file is less accurate than its model by more than was allowed.

    Attributes:
        report: What is known of the file, which is written all the same.
    """

    def __init__(self, report: Report) -> None:
        names = dict.fromkeys(remedy.name for remedy in report.remedies)
        tried = ", ".join(names) or "nothing"
        advice = "Allow a larger `max_accuracy_drop`, give more calibration data"
        if FINE_TUNING not in names:
            advice += ", or pass `fine_tuning_data` to train the model for its integers"
        judged = "" if report.metric_name == ACCURACY else f" {report.metric_name}"
        super().__init__(
            f"The {report.quantization} file is less accurate than is allowed. Received: "
            f"max_accuracy_drop={report.max_accuracy_drop}, and{judged} "
            f"{report.metric_tflite:.2%} of {report.metric_keras:.2%} on "
            f"{report.num_verified:,} inputs, having tried {tried}. The best file found is at "
            f"{report.path}. {advice}."
        )
        self.report = report

    def __reduce__(self) -> tuple[type[AccuracyDropError], tuple[Report]]:
        # Exceptions are sent between processes by what they were made of.
        return type(self), (self.report,)


class Judged(NamedTuple):
    """A file and its accuracy.

    Attributes:
        content: The bytes, with the names of inner tensors.
        accuracy: Share of labels it gets right, or its score by another metric.
        source: The float file it was made of; `None` if that is not known.
        ranges: The ranges of activations it was made with; `None` if they are not known.
    """

    content: bytes
    accuracy: float
    source: bytes | None = None
    ranges: Ranges | None = None


class Attempt(NamedTuple):
    """What was done, to what, and what came of it: `None` if it was not possible."""

    name: str
    detail: str
    result: Judged | None


def recalibrate(
    content: bytes,
    quantization: str,
    inputs: Inputs,
    few: int,
    judge: Judge,
    mixed: Mapping[str, str] | None = None,
) -> Iterator[Attempt]:
    """The same precision better calibrated: more inputs, no outliers, equalized channels.

    Args:
        content: The bytes of a float32 file with names.
        quantization: Of the file to make.
        inputs: Calibration inputs `(n, ...)`, of several inputs by name; more than before
            where there are more.
        few: How many there were before.
        judge: From the bytes of a file to its accuracy.
        mixed: Operators that have a precision of their own.

    Yields:
        One attempt after another; none if the file cannot be integer throughout.
    """
    attempts: list[tuple[str, bytes, Narrow | None]] = []
    if count(inputs) > few:
        attempts.append((f"{count(inputs):,} inputs instead of {few:,}", content, None))
    attempts.append(("ranges of least error", content, least_error))
    even = equalized(content, inputs)
    if even != content:
        attempts.append(("equalized channels", even, None))
        attempts.append(("equalized channels, ranges of least error", even, least_error))
    for share in _SHARES:
        detail = f"ranges of the central {100 * share:g} %"
        attempts.append((detail, content, functools.partial(central, share=share)))
    measured = {source: measure(source, inputs) for source in dict.fromkeys((content, even))}
    for detail, source, narrow in attempts:
        ranges: Ranges = measured[source]
        if narrow is not None:
            ranges = narrowed(source, inputs, ranges, narrow)
        file = quantize(source, quantization, mixed=mixed, ranges=ranges)
        if unlike(file, quantization).keys() - (mixed or {}).keys():
            return
        yield Attempt("calibration", detail, Judged(file, judge(file), source, ranges))


def widen(
    content: bytes,
    quantization: str,
    inputs: Inputs,
    ranges: Ranges | None,
    judge: Judge,
    wanted: float,
    *,
    mixed: Mapping[str, str] | None = None,
    allow_wide: bool = True,
    allow_float: bool = True,
    named: Callable[[str], str] = str,
) -> Iterator[Attempt]:
    """Give the most sensitive operators more bits, as few operators as needed.

    The operators are ranked by `sensitivities`. Of a ladder of precisions (8-bit weights for
    files of 4, then 16-bit activations, then float) each is tried on so many of the first
    ones as bring the accuracy back, found by doubling and halving.

    Args:
        content: The bytes of a float32 file with names.
        quantization: Of the file to make.
        inputs: Calibration inputs `(n, ...)`, of several inputs by name.
        ranges: Ranges of activations; `None` measures them on `inputs`.
        judge: From the bytes of a file to its accuracy.
        wanted: The accuracy that is enough.
        mixed: Operators that have a precision of their own, and keep it.
        allow_wide: Whether operators may have 16-bit activations.
        allow_float: Whether operators may compute in float.
        named: From an operator's name to what to call it in the detail.

    Yields:
        One attempt for each precision.
    """
    fixed = dict(mixed or {})
    if ranges is None:
        ranges = measure(content, inputs)
    ranking = [
        entry.name
        for entry in sensitivities(content, inputs, quantization, ranges=ranges)
        if entry.name not in fixed and entry.error > 0
    ]
    allowed = {"int8": True, "int16x8": allow_wide, "float32": allow_float}
    for precision in _LADDER.get(quantization, ()):
        if not allowed[precision] or not ranking:
            continue
        tried: dict[int, Judged] = {}

        def reaches(
            number: int, precision: str = precision, tried: dict[int, Judged] = tried
        ) -> bool:
            chosen = fixed | dict.fromkeys(ranking[:number], precision)
            file = quantize(content, quantization, mixed=chosen, ranges=ranges)
            strays = unlike(file, quantization)
            if not allow_float and "float32" in {
                kind for name, kind in strays.items() if name not in fixed
            }:
                return False
            tried[number] = Judged(file, judge(file), content, ranges)
            return tried[number].accuracy >= wanted

        enough = fewest(len(ranking), reaches)
        if enough is None and tried:
            enough = max(tried, key=lambda n: (tried[n].accuracy, -n))
        if enough is not None:
            layers = ", ".join(dict.fromkeys(named(name) for name in ranking[:enough]))
            detail = f"{enough} of {len(ranking)} operators: {layers}"
            yield Attempt(f"layers in {precision}", detail, tried[enough])


def retune(
    model: keras.Model, train_data: Any, quantization: str, judge: Judge, seed: int | None
) -> Iterator[Attempt]:
    """Train the model on with the rounding of its file: `fine_tune`.

    Args:
        model: The model, compiled.
        train_data: As in `fine_tune`.
        quantization: Of the file to make; only `"int8"` and `"int4"` are fine-tuned.
        judge: From the bytes of a file to its accuracy.
        seed: Seeds the training.

    Yields:
        The one attempt.
    """
    bits = {"int8": 8, "int4": 4}.get(quantization)
    if bits is None:
        return
    from tflite_export.fine_tuning import fine_tune

    try:
        content = fine_tune(model, train_data, weight_bits=bits, seed=seed).content
    except (ValueError, TypeError) as error:
        # E.g. of a model with layers that have no such form: said, but not fatal.
        yield Attempt(FINE_TUNING, f"not possible: {error}", None)
        return
    yield Attempt(FINE_TUNING, f"weights of {bits} bits", Judged(content, judge(content)))


def fewest(largest: int, reaches: Callable[[int], bool]) -> int | None:
    """The smallest count that is enough, where more is mostly better.

    Doubles from 1 until it is enough, then halves the interval. Where more is not always
    better a count is found that is enough, though not for sure the smallest.

    Args:
        largest: The largest count there is.
        reaches: Whether a count is enough. Called about twice the logarithm of the answer.

    Returns:
        The count; `None` if none of those tried is enough.
    """
    low, high = 0, 1
    while not reaches(min(high, largest)):
        if high >= largest:
            return None
        low, high = high, 2 * high
    high = min(high, largest)
    while high - low > 1:
        middle = (low + high) // 2
        if reaches(middle):
            high = middle
        else:
            low = middle
    return high


def unlike(content: bytes, quantization: str) -> dict[str, str]:
    """The operators of a file that are not in its own precision.

    Args:
        content: The bytes of the file, with names.
        quantization: What the file is said to be.

    Returns:
        From names of operators to precisions; nothing for files with float activations.
    """
    own = {"int8": {"int8"}, "int16x8": {"int16x8"}, "int4": {"int4", "int8"}}
    if quantization not in own:
        return {}
    found = precisions(content)
    return {name: kind for name, kind in found.items() if kind not in own[quantization]}


class Course:
    """A course of remedies: the best file so far, and what was tried to get there.

    Args:
        first: The file to begin with.
        wanted: The accuracy at which to stop.
    """

    def __init__(self, first: Judged, wanted: float) -> None:
        self.best = first
        self.wanted = wanted
        self.remedies: list[Remedy] = []

    @property
    def over(self) -> bool:
        """Whether the best file is as accurate as wanted."""
        return self.best.accuracy >= self.wanted

    def take(self, attempts: Iterator[Attempt]) -> None:
        """Try one after another until it is over."""
        while not self.over:
            start = time.perf_counter()
            attempt = next(attempts, None)
            if attempt is None:
                return
            seconds = time.perf_counter() - start
            before, judged = self.best.accuracy, attempt.result
            kept = judged is not None and judged.accuracy > before
            self.remedies.append(
                Remedy(
                    attempt.name,
                    attempt.detail,
                    bytes=0 if judged is None else len(compact(judged.content)),
                    accuracy_before=before,
                    accuracy=before if judged is None else judged.accuracy,
                    seconds=seconds,
                    kept=kept,
                )
            )
            if judged is not None and kept:
                self.best = judged

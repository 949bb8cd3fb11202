"""How long a file takes on this computer, by turns with a model that never changes.

Milliseconds measured here vary by a factor of two from one minute to the next, with the
clock, with what else runs. Two models that are called in turn see the same conditions, so
the ratio of their times varies by a few per cent. That ratio is what is measured.
"""

from __future__ import annotations

import functools
import math
import time
from typing import Any, NamedTuple

import numpy as np

from edge_devices import isolation, synthesis
from edge_devices.program import Operator, Program, Tensor
from edge_devices.source import Source, content_of

__all__ = ["HostLatency", "is_tie", "latency", "reference"]

_ROUND_SECONDS = 0.02
_TURNS = (5, 400)  # fewest and most times that each model has its turn in a round
_IN_A_ROW = 200  # most calls in one turn
_TIE = 0.10
_TIMEOUT = 600.0  # seconds
_ADVICE = (
    "Other files still run. Check this one with `tflite_export.run`; if it crashes too, "
    "convert the model again with default settings."
)


class HostLatency(NamedTuple):
    """Time of one inference on this computer, relative to a reference model.

    Attributes:
        ratio: Time of the file over that of the reference, the median of all rounds.
        spread: Interquartile range of the rounds' ratios, as a part of `ratio`.
        ms: The ratio times `reference_ms`: milliseconds on this computer under the
            conditions in which the reference was first timed. Good for a feeling, not for
            comparing computers or days.
        reference_ms: Nominal time of the reference, measured once a process.
        num_threads: Threads used.
    """

    ratio: float
    spread: float
    ms: float
    reference_ms: float
    num_threads: int

    def __str__(self) -> str:
        return (
            f"{self.ratio:.3g} x the reference (+- {50 * self.spread:.1f} %), "
            f"nominally {self.ms:.3g} ms"
        )


def latency(
    source: Source,
    reference: Source | None = None,
    *,
    num_threads: int = 1,
    rounds: int = 15,
) -> HostLatency:
    """Time a file on this computer against a reference model, call by call in turn.

    LiteRT runs both, with its fast kernels (XNNPACK), in a process of their own. In every
    round the two take turns for 20 ms or so, at least five times, each turn as long for both;
    the medians of their times are divided. It takes a third of a second, and longer for files
    that take more than 2 ms.

    Args:
        source: Path or bytes of a `.tflite` file.
        reference: Path or bytes of the file to compare with. By default a small int8
            MobileNet of 10 million multiply-accumulates, the same one always.
        num_threads: Threads for each of them. More are faster for large models only, and
            noisier.
        rounds: Number of ratios that the median is taken of. More narrow it down.

    Returns:
        The ratio, its spread and nominal milliseconds.

    Raises:
        ValueError: If a file cannot be run, or a number is not positive.
        edge_devices.isolation.Crash: If the interpreter crashes.
    """
    for name, number in (("num_threads", num_threads), ("rounds", rounds)):
        if number < 1:
            raise ValueError(
                f"{name} must be at least 1. Received: {name}={number}. Use the default."
            )
    content = content_of(source)
    base = content_of(reference) if reference is not None else _reference()
    ratios = _call(_ratios, content, base, num_threads, rounds)
    low, ratio, high = np.percentile(ratios, [25, 50, 75])
    nominal = _nominal_ms(base, num_threads)
    return HostLatency(
        float(ratio), float((high - low) / ratio), float(ratio * nominal), nominal, num_threads
    )


def is_tie(a: HostLatency | float, b: HostLatency | float) -> bool:
    """Whether two ratios are too near to tell which is faster: under 10 % apart.

    Args:
        a: A measurement, or its `ratio`.
        b: Another one against the same reference.
    """
    first, second = (x.ratio if isinstance(x, HostLatency) else x for x in (a, b))
    return abs(math.log(first / second)) < math.log1p(_TIE)


def reference() -> bytes:
    """The file that others are timed against: an int8 MobileNet with random weights.

    It is generated, byte for byte the same: an image of 96 x 96 x 3, a convolution and seven
    separable blocks of 16 to 128 channels, 10 million multiply-accumulates.
    """
    return _reference()


@functools.cache
def _reference() -> bytes:
    tensors = [Tensor((1, 96, 96, 3))]
    operators = []

    def add(op: str, shape: tuple[int, ...], **settings: Any) -> None:
        operators.append(Operator(op, (len(tensors) - 1,), (len(tensors),), **settings))
        tensors.append(Tensor(shape))

    def convolve(op: str, weights: tuple[int, ...], side: int, stride: int) -> None:
        add(
            op,
            (1, side, side, weights[3] if op == "DEPTHWISE_CONV_2D" else weights[0]),
            weights=weights,
            bias=True,
            window=(weights[1], weights[2]),
            stride=(stride, stride),
            activation="RELU6",
        )

    side, channels = 48, 16
    convolve("CONV_2D", (16, 3, 3, 3), side, 2)
    for wider, stride in ((32, 1), (64, 2), (64, 1), (96, 2), (96, 1), (128, 2), (128, 1)):
        side //= stride
        convolve("DEPTHWISE_CONV_2D", (1, 3, 3, channels), side, stride)
        convolve("CONV_2D", (wider, 1, 1, channels), side, 1)
        channels = wider
    add("MEAN", (1, channels), weights=(2,))
    add("FULLY_CONNECTED", (1, 10), weights=(10, channels), bias=True)
    program = Program(tuple(tensors), tuple(operators), (0,), (len(tensors) - 1,))
    return synthesis.file(program)


@functools.lru_cache(maxsize=16)
def _nominal_ms(content: bytes, num_threads: int) -> float:
    return float(1000 * np.median(_call(_seconds, content, num_threads)))


def _call(function: Any, content: bytes, *args: Any) -> Any:
    return isolation.call(
        function,
        content,
        *args,
        timeout=_TIMEOUT,
        doing=f"LiteRT ran a file of {len(content):,} bytes",
        advice=_ADVICE,
    )


# What follows runs in the other process.


class _Runner:
    """A file ready to run, its input zeros."""

    def __init__(self, content: bytes, num_threads: int) -> None:
        from ai_edge_litert.interpreter import Interpreter

        self.threads = num_threads
        try:
            interpreter = Interpreter(model_content=content, num_threads=num_threads)
            interpreter.allocate_tensors()
            for details in interpreter.get_input_details():
                zeros = np.zeros(details["shape"], details["dtype"])
                interpreter.set_tensor(details["index"], zeros)
            interpreter.invoke()
        except (RuntimeError, ValueError) as error:
            raise ValueError(
                f"LiteRT cannot run this file. Received: {len(content):,} bytes "
                f"({str(error).strip().splitlines()[0]}). Convert the model again."
            ) from error
        self.run = interpreter.invoke


def _timed(runner: _Runner, calls: int = 1) -> float:
    """Seconds of one call, the mean of some in a row.

    A single thread's own time leaves out when others were given its core. With several
    threads only the clock on the wall tells how long the caller waits.
    """
    clock = time.thread_time if runner.threads == 1 else time.perf_counter
    start = clock()
    for _ in range(calls):
        runner.run()
    return (clock() - start) / calls


def _ratios(content: bytes, base: bytes, num_threads: int, rounds: int) -> list[float]:
    measured, fixed = _Runner(content, num_threads), _Runner(base, num_threads)
    once, once_fixed = (min(_timed(runner) for _ in range(3)) for runner in (measured, fixed))
    # A short one is called several times in a row, so that both take as long: what happens
    # now and then, such as an interrupt, then hits both as often.
    longest = max(once, once_fixed)
    calls, calls_fixed = (int(np.clip(longest / t, 1, _IN_A_ROW)) for t in (once, once_fixed))
    turns = int(np.clip(_ROUND_SECONDS / (2 * longest), *_TURNS))
    ratios = []
    for _ in range(rounds):
        pairs = [(_timed(fixed, calls_fixed), _timed(measured, calls)) for _ in range(turns)]
        medians = np.median(pairs, axis=0)
        ratios.append(float(medians[1] / medians[0]))
    return ratios


def _seconds(content: bytes, num_threads: int) -> list[float]:
    runner = _Runner(content, num_threads)
    once = min(_timed(runner) for _ in range(3))
    turns = int(np.clip(5 * _ROUND_SECONDS / once, *_TURNS))
    return [_timed(runner) for _ in range(turns)]

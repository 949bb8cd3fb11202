"""Fits the cycles of `edge_devices/latency.py` to published timings, and tells how far off.

Every kind of work has a rate and every board a speed; the logarithm of a network's cycles is
the logarithm of the speed times the sum of rates times work. Rates and speeds are those that
make the squared errors of all logarithms least (10 % counts as one), together with a weak
prior that keeps rates apart which the networks cannot tell apart: each may leave its prior by
a factor of 1.6, each speed by 2.7, before that counts as much. The prior of TensorFlow Lite
Micro's rates follows tables of single kernels; that of another runtime is TensorFlow Lite
Micro's fitted rates.

Errors are those of predictions for networks, and for boards, that the fit had not seen. A
network is left out with its single operators and on every board. A left-out board is given
the mean speed of the others with its core, or of all others if there is none.

    python -m benchmarks.latency_fit            # the constants, as Python
    python -m benchmarks.latency_fit --errors   # every prediction
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import scipy.optimize

from benchmarks.latency_networks import NETWORKS, program
from edge_devices.latency import KERNELS, Errors, work
from edge_devices.published import Point, points

__all__ = ["FITTED", "Fit", "Prediction", "constants", "fit", "left_out"]

# Runtime and kernels, with the board whose cycles the rates are.
FITTED = {
    ("tflm", "dsp"): "NUCLEO-L4R5ZI",
    ("tflm", "mve"): "apollo510_evb",
    ("tflm", "esp-nn"): "ESP32-S3-DevKitC-1",
    ("x-cube-ai", "dsp"): "NUCLEO-L4R5ZI",
}
_SIGMA = 0.1  # of the logarithm of a timing
_RATE_SIGMA = 0.5
_SPEED_SIGMA = 1.0
# No fast kernel has these: portable C code on a Cortex-M55, heliaRT's table of operators.
_PORTABLE = {"reduce": 136.0, "hard_swish": 53.0, "other": 59.0, "copy": 1.0}
# Rounded from ns-cmsis-nn's and ESP-NN's tables of kernels, which are among the points too;
# how they are split between multiply-accumulates and outputs is a guess.
_ORDER = (
    *("operators", "conv", "patch", "pointwise", "depthwise", "dense", "outputs"),
    *("depthwise_output", "pool", "add", "multiply", "softmax"),
)
_KERNELS = {
    "dsp": (430, 1.5, 4, 1.8, 8, 2.8, 25, 30, 8, 70, 26, 270),
    "mve": (400, 0.2, 1, 0.35, 2.5, 0.8, 5, 5, 3, 13, 8, 180),
    "esp-nn": (1000, 1.5, 4, 0.6, 3, 5, 30, 30, 4, 44, 19, 270),
}
_PRIOR = {
    kernels: {**dict(zip(_ORDER, map(float, rates), strict=True)), **_PORTABLE}
    for kernels, rates in _KERNELS.items()
}


class Fit(NamedTuple):
    """Rates in cycles of the reference board, and the speeds of boards against it."""

    rates: dict[str, float]
    speeds: dict[str, float]

    def cycles(self, point: Point, speed: float | None = None) -> float:
        """Predicted cycles of a network on a board, or on one of that speed."""
        counted = work(program(point.network))
        total = sum(self.rates[kind] * count for kind, count in counted.items())
        return total * (self.speeds[point.board] if speed is None else speed)


class Prediction(NamedTuple):
    """A prediction for a point that the fit had not seen."""

    point: Point
    error: float  # predicted / measured - 1


def of(runtime: str, kernels: str) -> list[Point]:
    """The points that a model is fitted to."""
    return [p for p in points() if (p.runtime, p.kernels) == (runtime, kernels)]


def prior(runtime: str, kernels: str) -> Mapping[str, float]:
    """What the rates would be without any point."""
    if runtime == "tflm":
        return _PRIOR[kernels]
    seen = of("tflm", kernels)
    return fit(seen, _PRIOR[kernels], FITTED["tflm", kernels]).rates


def fit(seen: Sequence[Point], before: Mapping[str, float], reference: str) -> Fit:
    """The most probable rates and speeds, the latter relative to the board `reference`.

    Rates of work that none of the points has stay what they were, at the mean speed.
    """
    kinds, boards = list(before), sorted({point.board for point in seen})
    counted = [work(program(point.network)) for point in seen]
    matrix = np.array([[done.get(kind, 0.0) for kind in kinds] for done in counted])
    measured = np.log([point.cycles for point in seen])
    board = np.array([boards.index(point.board) for point in seen])
    start = np.log(list(before.values()))

    def residuals(x: np.ndarray) -> np.ndarray:
        rates, speeds = x[: len(kinds)], x[len(kinds) :]
        predicted = np.log(matrix @ np.exp(rates)) + speeds[board]
        return np.concatenate(
            [
                (predicted - measured) / _SIGMA,
                (rates - start) / _RATE_SIGMA,
                speeds / _SPEED_SIGMA,
            ]
        )

    found = scipy.optimize.least_squares(residuals, [*start, *np.zeros(len(boards))]).x
    rates, speeds = found[: len(kinds)], found[len(kinds) :]
    of_reference = speeds[boards.index(reference)] if reference in boards else speeds.mean()
    return Fit(
        dict(zip(kinds, map(float, np.exp(rates + of_reference)), strict=True)),
        dict(zip(boards, map(float, np.exp(speeds - of_reference)), strict=True)),
    )


def left_out(runtime: str, kernels: str) -> tuple[list[Prediction], list[Prediction]]:
    """Predictions for networks and for boards that were left out of the fit."""
    seen, before = of(runtime, kernels), prior(runtime, kernels)
    reference = FITTED[runtime, kernels]
    whole = [point for point in seen if point.network in NETWORKS]

    def without(
        name: Callable[[Point], str], speed: Callable[[Fit, Point, list[Point]], float | None]
    ) -> list[Prediction]:
        predictions = []
        for left in sorted({name(point) for point in whole}):
            rest = [point for point in seen if name(point) != left]
            if not rest:
                continue
            made = fit(rest, before, reference)
            for point in whole:
                if name(point) == left and (s := speed(made, point, rest)) is not None:
                    error = made.cycles(point, s) / point.cycles - 1
                    predictions.append(Prediction(point, error))
        return predictions

    def of_core(made: Fit, point: Point, rest: list[Point]) -> float:
        same = {other.board for other in rest if other.core == point.core}
        return _mean(made.speeds[board] for board in same or made.speeds)

    return (
        without(
            lambda p: p.network.split("/")[0], lambda made, p, _: made.speeds.get(p.board)
        ),
        without(lambda p: p.board, of_core),
    )


def constants() -> tuple[
    dict[tuple[str, str], dict[str, float]],
    dict[tuple[str, str], float],
    dict[tuple[str, str], float],
    dict[tuple[str, str], Errors],
]:
    """`RATES`, `BOARDS`, `CORES` and `ERRORS` of `edge_devices/latency.py`."""
    rates, boards, cores, errors = {}, {}, {}, {}
    for (runtime, kernels), reference in FITTED.items():
        seen = of(runtime, kernels)
        made = fit(seen, prior(runtime, kernels), reference)
        rates[runtime, kernels] = {kind: _short(rate) for kind, rate in made.rates.items()}
        for core in (core for core, its in KERNELS.items() if its == kernels):
            own = {point.board for point in seen if point.core == core}
            if own:
                cores[runtime, core] = _short(_mean(made.speeds[board] for board in own))
            for board in sorted(own):
                boards[runtime, board] = _short(made.speeds[board])
        networks, others = left_out(runtime, kernels)
        errors[runtime, kernels] = Errors(
            len(seen), _summary(networks), _summary(others) if others else None
        )
    return rates, boards, cores, errors


def _mean(speeds: Iterable[float]) -> float:
    return math.exp(float(np.mean(np.log(list(speeds)))))


def _short(number: float) -> float:
    return float(f"{number:.3g}")


def _summary(predictions: Sequence[Prediction]) -> tuple[float, float]:
    sizes = [abs(prediction.error) for prediction in predictions]
    return round(float(np.median(sizes)), 2), round(max(sizes), 2)


def main() -> None:
    """Print the constants, or every error."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--errors", action="store_true", help="every left-out prediction")
    if not parser.parse_args().errors:
        tables: Iterable[Mapping[tuple[str, str], object]] = constants()
        for name, table in zip(("RATES", "BOARDS", "CORES", "ERRORS"), tables, strict=True):
            print(f"{name} = {{")
            for key, value in table.items():
                print(f"    {key!r}: {value!r},")
            print("}")
        return
    for runtime, kernels in FITTED:
        for what, predictions in zip(
            ("network", "board"), left_out(runtime, kernels), strict=True
        ):
            print(f"\n{runtime}, {kernels}: {what} left out")
            for point, error in predictions:
                timed = f"{point.milliseconds:9.3f} ms"
                print(f"  {point.network:12} {point.board:20} {timed} {error:+.0%}")


if __name__ == "__main__":
    main()

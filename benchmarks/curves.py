"""Replay real learning curves: what stopping saves, and how often it would stop the winner.

    python -m benchmarks.curves
    python -m benchmarks.curves --networks 160 --epochs 30 --seeds 30 --cache curves.npz

Multilayer perceptrons of random shape, learning rate, weight decay and dropout are trained
once on scikit-learn's digits, with a learning rate that rises and falls as in
`kerasnas.training`, and with one that stays. Then searches are replayed in random orders, with
rules that stop runs:

- `none` stops nothing;
- `median` stops a run whose best so far is worse than the median, over finished trials, of
  their mean up to the same epoch (Google Vizier's rule), from the same epoch and number of
  trials on as ours;
- `power law` continues the curve by `c + a * t ** -b`, the least-squares fit of many, and
  stops if that, less two deviations of its residuals, does not reach the best;
- the others are `LearningCurve` with that chance.

`saved` is the share of epochs that were not trained, `winner lost` the share of searches whose
best network (of those it tried) was stopped, `loss` by how much the best network found is
worse than it, in percentage points of validation accuracy, on average over all searches. A
search tries 40 of the networks: of all, or of the better half of them, as where a method
proposes good ones only. Training all takes under a minute on one core.

A network is as good as its best epoch on the held images, which are those that the rules go by
too: none are kept apart. So all accuracies are a little too high, and losses of tenths of a
point may be luck of these images.
"""

from __future__ import annotations

import argparse
import dataclasses
import itertools
import statistics
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from sklearn.datasets import load_digits

from kerasnas.fidelity import LearningCurve, Record
from kerasnas.oracles.regression import one_thread

__all__ = ["Outcome", "curves", "replay"]

Array = npt.NDArray[np.float64]
Rule = Callable[[Record, Sequence[Record]], bool]

CHANCES = (0.01, 0.05, 0.1, 0.2)
TRIED = 40
_BATCH = 64
_TRAINED_ON = 600  # so few that networks differ, and that 30 epochs are quick
_WARM_UP = 0.1  # of the steps


class Outcome(NamedTuple):
    """What came of one search."""

    saved: float
    lost: bool
    behind: float


# --- training ---------------------------------------------------------------------------


def curves(networks: int, epochs: int, *, falls: bool, seed: int = 0) -> Array:
    """Train random perceptrons and return their validation accuracy after each epoch.

    Args:
        networks: How many.
        epochs: How long each.
        falls: Whether the learning rate rises and falls, or stays.
        seed: Seeds everything.

    Returns:
        Accuracies of shape (networks, epochs).
    """
    x, y = load_digits(return_X_y=True)
    order = np.random.default_rng(seed).permutation(len(x))
    x, y = x[order] / 16.0, y[order]
    train, held = slice(_TRAINED_ON), slice(_TRAINED_ON, None)
    with one_thread().limit(limits=1, user_api="blas"):  # such small matrices
        return np.array(
            [
                _train(x[train], y[train], x[held], y[held], epochs, falls, (seed, number))
                for number in range(networks)
            ]
        )


def _train(
    x: Array,
    y: npt.NDArray[np.int64],
    x_held: Array,
    y_held: npt.NDArray[np.int64],
    epochs: int,
    falls: bool,
    seed: tuple[int, int],
) -> list[float]:
    """Train one perceptron with Adam; the generator decides its shape too."""
    rng = np.random.default_rng(seed)
    widths = [64, *[int(2 ** rng.uniform(3, 8))] * rng.integers(1, 4), 10]
    rate = 10 ** rng.uniform(-3.7, -2)
    decay = 10 ** rng.uniform(-4, 0)
    dropout = rng.choice([0.0, 0.2, 0.5])
    weights = [rng.normal(0, np.sqrt(2 / a), (a, b)) for a, b in itertools.pairwise(widths)]
    weights += [np.zeros(width) for width in widths[1:]]
    first, second = ([np.zeros_like(w) for w in weights] for _ in "ab")
    layers, steps, step, seen = len(widths) - 1, epochs * -(-len(x) // _BATCH), 0, []
    for _ in range(epochs):
        for rows in np.array_split(rng.permutation(len(x)), -(-len(x) // _BATCH)):
            step += 1
            gradients = _gradients(weights, layers, x[rows], y[rows], dropout, rng)
            done = step / steps
            now = rate * (_scheduled(done) if falls else 1.0)
            for i, gradient in enumerate(gradients):
                first[i] += 0.1 * (gradient - first[i])
                second[i] += 0.001 * (gradient**2 - second[i])
                size = np.sqrt(second[i] / (1 - 0.999**step)) + 1e-8
                weights[i] -= now * (first[i] / (1 - 0.9**step) / size + decay * weights[i])
        outputs = x_held
        for i in range(layers):
            outputs = outputs @ weights[i] + weights[layers + i]
            outputs = np.maximum(outputs, 0) if i < layers - 1 else outputs
        seen.append(float((outputs.argmax(1) == y_held).mean()))
    return seen


def _gradients(
    weights: Sequence[Array],
    layers: int,
    x: Array,
    y: npt.NDArray[np.int64],
    dropout: float,
    rng: np.random.Generator,
) -> list[Array]:
    """Return the gradients of the mean cross-entropy: of all matrices, then of all biases."""
    inputs, masks = [x], []
    for i in range(layers):
        outputs = inputs[-1] @ weights[i] + weights[layers + i]
        if i < layers - 1:
            mask = (outputs > 0) * (rng.random(outputs.shape) >= dropout) / (1 - dropout)
            masks.append(mask)
            inputs.append(outputs * mask)
    outputs = np.exp(outputs - outputs.max(1, keepdims=True))
    error = outputs / outputs.sum(1, keepdims=True)
    error[np.arange(len(y)), y] -= 1
    error /= len(y)
    found: list[Array] = [np.zeros(0)] * (2 * layers)
    for i in reversed(range(layers)):
        found[i], found[layers + i] = inputs[i].T @ error, error.sum(0)
        if i:
            error = (error @ weights[i].T) * masks[i - 1]
    return found


def _scheduled(done: float) -> float:
    """Return the share of the learning rate after a share of the steps."""
    if done < _WARM_UP:
        return done / _WARM_UP
    return float(0.5 + 0.5 * np.cos(np.pi * (done - _WARM_UP) / (1 - _WARM_UP)))


# --- rules ------------------------------------------------------------------------------


def median(record: Record, records: Sequence[Record]) -> bool:
    """Tell by the median rule whether a run goes on."""
    epoch, last = len(record.curve), record.running
    ended = [r for r in records if last in r.losses]
    if epoch < max(3, (last or 0) / 4) or len(ended) < 5:
        return True
    usual = statistics.median(np.mean(r.curve[:epoch]) for r in ended)
    return min(record.curve) <= usual


def power_law(record: Record, records: Sequence[Record]) -> bool:
    """Tell by a fitted power law whether a run goes on."""
    epoch, last = len(record.curve), record.running
    ended = [r.losses[last] for r in records if last in r.losses]
    if last is None or epoch < max(3, last / 4) or len(ended) < 5:
        return True
    times, seen = np.arange(1, epoch + 1), np.array(record.curve)
    fits = []
    for power in np.geomspace(0.1, 3, 12):
        basis = np.stack([np.ones(epoch), times**-power], axis=1)
        (end, slope), *_ = np.linalg.lstsq(basis, seen, rcond=None)
        off = float(np.sqrt(np.square(basis @ [end, slope] - seen).sum() / max(epoch - 3, 1)))
        fits.append((off, float(end + slope * last**-power)))
    off, end = min(fits)
    return min(record.curve) < min(ended) or end - 2 * off < min(ended)


# --- replay -----------------------------------------------------------------------------


def replay(table: Array, rule: Rule, seed: int, tried: int = TRIED) -> Outcome:
    """Replay one search: some of the networks, in a random order.

    Args:
        table: Accuracies, one row a network, one column an epoch.
        rule: Whether a run goes on.
        seed: Decides the networks and their order.
        tried: How many networks there are.
    """
    order = np.random.default_rng(seed).permutation(len(table))[:tried]
    epochs = table.shape[1]
    records: list[Record] = []
    trained, stopped, found = 0, set(), []
    for number in order:
        record = Record(f"{number:04d}", running=float(epochs))
        for epoch in range(1, epochs + 1):
            record = dataclasses.replace(record, curve=tuple(-table[number, :epoch]))
            if not rule(record, [*records, record]):
                stopped.add(number)
                break
        reached, best = len(record.curve), min(record.curve)
        trained += reached
        found.append(-best)
        records.append(
            Record(
                record.trial_id,
                {float(reached): best},
                record.curve,
                settled=number in stopped,
            )
        )
    bests = table[order].max(axis=1)
    winners = order[bests == bests.max()]
    lost = all(number in stopped for number in winners)
    behind = 100 * (bests.max() - max(found))
    return Outcome(1 - trained / (epochs * len(order)), lost, float(behind))


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--networks", type=int, default=160)
    parser.add_argument("--epochs", type=int, default=30)
    parser.add_argument("--seeds", type=int, default=30)
    parser.add_argument("--cache", type=Path, help="keeps the curves, or has them")
    arguments = parser.parse_args(argv)
    tables = _tables(arguments)
    rules: dict[str, Rule] = {"none": lambda *_: True, "median": median}
    rules["power law"] = power_law
    for chance in CHANCES:
        rules[f"{chance:.0%}"] = LearningCurve(arguments.epochs, chance=chance).goes_on
    print(
        "| learning rate | networks | rule | saved | winner lost | loss, points | ms a call |"
    )
    print("|---|---|---|---|---|---|---|")
    for (schedule, table), half in itertools.product(tables.items(), (False, True)):
        networks = "better half" if half else "all"
        if half:
            table = table[np.argsort(-table.max(axis=1), kind="stable")[: len(table) // 2]]
        for name, rule in rules.items():
            began = time.perf_counter()
            outcomes = [replay(table, rule, seed) for seed in range(arguments.seeds)]
            spent = time.perf_counter() - began
            saved, lost, behind = (
                statistics.mean(column) for column in zip(*outcomes, strict=True)
            )
            calls = arguments.seeds * TRIED * arguments.epochs * (1 - saved)
            figures = f"{saved:.0%} | {lost:.0%} | {behind:.2f} | {1e3 * spent / calls:.2f}"
            print(f"| {schedule} | {networks} | {name} | {figures} |")


def _tables(arguments: argparse.Namespace) -> dict[str, Array]:
    cache = arguments.cache
    if cache is not None and cache.exists():
        with np.load(cache) as kept:
            return dict(kept)
    tables = {
        name: curves(arguments.networks, arguments.epochs, falls=falls)
        for name, falls in (("rises and falls", True), ("stays", False))
    }
    if cache is not None:
        np.savez(cache, **tables)
    return tables


if __name__ == "__main__":
    main()

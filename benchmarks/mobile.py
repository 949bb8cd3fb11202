"""A conditional space too large to list: the mobile space under a stated loss.

The space is `search_spaces.MobileNet((32, 32, 3), 10)`: 27 decisions, 23 of them in force on
average, 4e11 candidates. Its loss is a fixed function of the *description* of a network, not
of the decisions, and stands for an error in percent points:

- capacity: parameters and multiply-accumulates help, less and less;
- receptive field: best a little above the size of the image;
- balance: computation should be spread over the resolutions, from the stem's on and down to 4
  pixels, and channels should grow from each to the next;
- depth: blocks help, less and less; past 8 each further one hurts more, less so where blocks
  have shortcuts;
- blocks: the middle wants to be about 3.5 times as wide as the output;
- squeeze-and-excite helps wide blocks and hurts narrow ones, hard_silu helps at low
  resolutions and hurts at high ones, and each is worth less beside the other;
- 5x5 kernels are wasted where the image is smaller than 5 pixels;
- a wide head helps, less and less; more than a million parameters overfit.

The terms follow what papers on such networks report in words. They were revised once, because
the best network had no early stages, before any searcher was run on them, and not afterwards.
A trial reports the loss with normal noise of standard deviation `NOISE`, 5 % of the distance
from the 10th to the 90th percentile of random candidates.

    python -m benchmarks.mobile --restarts 300

searches the optimum without noise, by local search and evolution.
"""

from __future__ import annotations

import argparse
import itertools
import math
import sys
from typing import Any, NamedTuple

import keras_tuner
import numpy as np

from benchmarks.grid import Key, Values
from benchmarks.problems import Problem
from search_spaces.costs import macs, params
from search_spaces.network import Layer, Network

__all__ = ["NOISE", "OPTIMUM", "Block", "Mobile", "blocks", "loss", "receptive_field"]

NOISE = 0.4
"""Standard deviation of one training, percent points."""

OPTIMUM = 4.078444
"""The smallest loss known, found by `python -m benchmarks.mobile --restarts 300`."""


class Block(NamedTuple):
    """What the loss sees of an inverted residual.

    Attributes:
        side: Side of its output, pixels.
        kernel: Side of the depthwise kernel, pixels.
        wide: Channels of the depthwise convolution.
        width: Channels of its output.
        squeeze: Whether it has a squeeze-and-excite.
        silu: Whether its activation is hard_silu.
        shortcut: Whether its input is added to its output.
    """

    side: int
    kernel: int
    wide: int
    width: int
    squeeze: bool
    silu: bool
    shortcut: bool


class Mobile(Problem):
    """The mobile space with the loss of this module."""

    name = "mobile"
    checkpoints = (25, 60)
    optimum = OPTIMUM

    def __init__(self) -> None:
        from search_spaces import MobileNet

        self.space = MobileNet((32, 32, 3), 10)
        self._known: dict[Key, tuple[float, dict[str, float]]] = {}

    def hyperparameters(self) -> keras_tuner.HyperParameters:
        return self.space.hyperparameters()

    def costs(self, values: Values) -> dict[str, float]:
        return dict(self._described(values)[1])

    def observe(self, values: Values, rng: np.random.Generator) -> float:
        return self.truth(values) + float(rng.normal(scale=NOISE))

    def truth(self, values: Values) -> float:
        return self._described(values)[0]

    def _described(self, values: Values) -> tuple[float, dict[str, float]]:
        key = self.grid.key(values)
        if key not in self._known:
            network = self.space.network(values)
            costs = {"params": float(params(network)), "macs": float(macs(network))}
            self._known[key] = loss(network), costs
        return self._known[key]


# --- the loss ---------------------------------------------------------------------------


def loss(network: Network) -> float:
    """Return the loss of a network of the mobile space, percent points."""
    made = blocks(network)
    weights, work = params(network), macs(network)
    total = 4.0
    capacity = 0.5 * math.log10(weights / 1e3) + 0.5 * math.log10(work / 1e5)
    total += 24.0 * math.exp(-0.8 * max(capacity, 0.0))
    total += 1.5 * max(math.log10(weights) - 6.0, 0.0) ** 2
    field = math.log2(receptive_field(network) / 40.0)
    total += 3.0 * field**2 / (1.0 + 0.5 * field**2)
    total += _depth(made) + _bottlenecks(made) + _operations(made)
    total += _balance(made, network.layers[1].shape[0])
    head = network.layers[-2].shape[-1]  # features that the classifier reads
    return total - 1.2 * (1.0 - math.exp(-head / 400.0))


def blocks(network: Network) -> list[Block]:
    """Return the inverted residuals of a network, in order."""
    layers = network.layers
    starts = [i for i, record in enumerate(layers) if record.op == "depthwise"]
    made = []
    for start, end in itertools.pairwise([*starts, len(layers)]):
        inside = layers[start:end]  # up to the next block's depthwise convolution
        side, _, wide = layers[start].shape
        # The convolutions of a gate work on one pixel, and no block's output is that small.
        outputs = (r for r in inside if r.op == "conv" and r.shape[0] == side)
        activation = next(record for record in inside if record.op == "activation")
        made.append(
            Block(
                side,
                _setting(layers[start], "kernel"),
                wide,
                next(outputs).shape[-1],
                any(record.op == "multiply" for record in inside),
                _setting(activation, "function") == "hard_silu",
                any(record.op == "add" for record in inside),
            )
        )
    return made


def receptive_field(network: Network) -> int:
    """Return the side of what the last features see of the image, pixels."""
    field, jump = 1, 1
    for record in network.layers:
        if record.op in ("conv", "depthwise"):
            field += (_setting(record, "kernel") - 1) * jump
            jump *= _setting(record, "stride")
    return field


def _depth(made: list[Block]) -> float:
    """Too few blocks, and too many."""
    excess = max(len(made) - 8, 0)
    shortcuts = sum(block.shortcut for block in made) / max(len(made), 1)
    return 4.0 * math.exp(-len(made) / 5.0) + 0.06 * excess**2 * (1.5 - shortcuts)


def _balance(made: list[Block], first: int) -> float:
    """Work spread unevenly over resolutions, channels that do not grow, a wrong last side.

    The stem's side, `first`, should have blocks of its own.
    """
    work: dict[int, float] = {}
    for block in made:
        figure = block.side**2 * block.wide * (block.kernel**2 + block.width)
        work[block.side] = work.get(block.side, 0.0) + figure
    unevenness = float(np.std(np.log2(list(work.values())))) if work else 0.0
    widths = list({block.side: block.width for block in made}.values())
    growth = np.diff(np.log2(widths)) if len(widths) > 1 else np.zeros(1)
    last = made[-1].side if made else first
    return (
        1.2 * unevenness
        + 0.5 * float(np.mean((growth - 0.8) ** 2))
        + 0.8 * abs(math.log2(last / 4.0))
        + 0.8 * (first not in work)
    )


def _bottlenecks(made: list[Block]) -> float:
    ratios = [math.log2(block.wide / block.width) for block in made]
    return 0.4 * float(np.mean([(ratio - 1.8) ** 2 for ratio in ratios] or [4.0]))


def _operations(made: list[Block]) -> float:
    """Squeeze-and-excite, activations, and kernels larger than the image."""
    total = 0.0
    for block in made:
        squeeze = block.squeeze * float(np.clip(0.5 * math.log2(block.wide / 64), -0.6, 1.0))
        silu = block.silu * (0.7 if block.side <= 8 else -0.25)
        both = 0.3 * (block.squeeze and block.silu)
        wasted = 0.6 * (block.kernel == 5 and block.side < 5)
        total += wasted + both - squeeze - silu
    return 3.0 * math.tanh(total / 6.0)


def _setting(record: Layer, name: str) -> Any:
    return dict(record.settings)[name]


# --- its optimum ------------------------------------------------------------------------


def climb(problem: Problem, values: Values, rng: np.random.Generator) -> tuple[float, Values]:
    """Change one decision at a time, to the best of all, until nothing is better."""
    best = problem.truth(values)
    while True:
        around = problem.grid.neighbours(values, rng)
        truths = [problem.truth(one) for one in around]
        if min(truths) >= best - 1e-12:
            return best, values
        best, values = min(truths), around[int(np.argmin(truths))]


def search(restarts: int, seed: int = 0) -> tuple[float, Values]:
    """Search the optimum without noise.

    Half of the climbs start at random, the others at a child of two of the ten best local
    optima so far, with two decisions changed.

    Args:
        restarts: Number of climbs.
        seed: Seeds them.

    Returns:
        The smallest loss found and the decisions that have it.
    """
    problem = Mobile()
    rng = np.random.default_rng(seed)
    found: list[tuple[float, Values]] = []
    for index in range(restarts):
        start = problem.grid.draw(rng)
        if index % 2 and len(found) > 1:
            one, two = (found[i][1] for i in rng.permutation(min(10, len(found)))[:2])
            mixed = {k: v for k, v in one.items() if rng.random() < 0.5}
            start = problem.grid.draw(rng, {**two, **mixed})
            for _ in range(2):
                start = problem.grid.neighbours(start, rng)[0]
        found.append(climb(problem, start, rng))
        found.sort(key=lambda one: one[0])
        if index % 20 == 19:
            print(index + 1, [round(one[0], 6) for one in found[:5]], flush=True)
    return found[0]


def main() -> int:
    """Print the best candidate found and how losses of random ones are spread."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--restarts", type=int, default=300)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    problem = Mobile()
    rng = np.random.default_rng(options.seed)
    losses = [problem.truth(problem.grid.draw(rng)) for _ in range(2000)]
    print("quantiles 0, 1, 10, 50, 90, 100 % of 2,000 random candidates:")
    print(np.quantile(losses, [0, 0.01, 0.1, 0.5, 0.9, 1]).round(2).tolist())
    print(*search(options.restarts, options.seed))
    return 0


if __name__ == "__main__":
    sys.exit(main())

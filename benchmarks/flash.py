"""How well `flash_bytes` predicts the int8 file of random members of the mobile space.

Networks are not trained for this but given random weights, statistics included: fresh ones
have biases of zero, which a file stores once. A member is a uniform draw of its decisions.
Writes one JSON line a network to `--output`; those
already there are kept, so the run can be continued; then prints the errors, and with `--fit`
the constants of `search_spaces/costs.py` that least squares on the relative error gives.

    python benchmarks/flash.py --count 60 --output flash.jsonl
"""

from __future__ import annotations

import argparse
import collections
import json
from pathlib import Path
from typing import Any

import numpy as np
import scipy.optimize

import kerasnas

SHAPES = [((8, 8, 1), 10), ((28, 28, 1), 10), ((32, 32, 3), 10), ((96, 96, 3), 2)]
RESCALING = {1: (1 / 255, 0.0), 3: (1 / 255, 0.0)}


def features(network: Any) -> dict[str, float]:
    """Counts that the size of the file is linear in."""
    from search_spaces.costs import kernels

    counts: dict[str, float] = collections.Counter()
    counts["file"] = 1
    counts["zero_points"] = sum({kernel.channels for kernel in kernels(network)})
    for kernel in kernels(network):
        name = kernel.function if kernel.op == "activation" else kernel.op
        counts[str(name)] += 1
        counts["channels"] += kernel.channels
        counts["weights"] += kernel.weights
    return dict(counts)


def measure(count: int, output: Path) -> list[dict[str, Any]]:
    """Convert networks until there are `count`, and read what was measured."""
    import keras

    from kerasnas.oracles.decisions import Decisions
    from search_spaces.costs import flash_bytes
    from search_spaces.realise import realise

    lines = output.read_text().splitlines() if output.exists() else []
    for number in range(len(lines), count):
        shape, classes = SHAPES[number % len(SHAPES)]
        rng = np.random.default_rng(number)
        rescaling = RESCALING[shape[-1]] if number % 8 < 4 else (0.3, -0.5)
        space = kerasnas.search_spaces.MobileNet(shape, classes, rescaling=rescaling)
        decisions = Decisions(space.hyperparameters())
        network = space.network(decisions.values(decisions.sample(rng, 1)[0]))
        samples = rng.uniform(0, 255, (8, *shape)).astype("float32")
        model = realise(network)
        model.set_weights(
            [rng.uniform(0.5, 1.5, w.shape) * _sign(rng, w) for w in model.weights]
        )
        content = kerasnas.tflite_export.convert(model, "int8", samples)
        keras.backend.clear_session()
        record = {
            "shape": shape,
            "bytes": len(content),
            "predicted": flash_bytes(network),
            "features": features(network),
        }
        with output.open("a") as file:
            file.write(json.dumps(record) + "\n")
    return [json.loads(line) for line in output.read_text().splitlines()]


def _sign(rng: np.random.Generator, weight: Any) -> Any:
    """Variances must be positive; all else may have either sign."""
    positive = "variance" in weight.path
    return 1.0 if positive else rng.choice([-1.0, 1.0], weight.shape)


def fit(records: list[dict[str, Any]]) -> dict[str, float]:
    """Non-negative constants by least squares on the relative error."""
    names = sorted({name for record in records for name in record["features"]})
    matrix = np.array([[r["features"].get(name, 0) for name in names] for r in records], float)
    size = np.array([r["bytes"] for r in records], float)
    solution, _ = scipy.optimize.nnls(matrix / size[:, None], np.ones(len(size)))
    error = matrix @ solution / size - 1
    print(f"fitted: median |error| {np.median(abs(error)):.2%}, worst {abs(error).max():.2%}")
    return dict(zip(names, solution.round(2).tolist(), strict=True))


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=60)
    parser.add_argument("--output", type=Path, default=Path("flash.jsonl"))
    parser.add_argument("--fit", action="store_true")
    arguments = parser.parse_args()
    records = measure(arguments.count, arguments.output)
    error = np.array([r["predicted"] / r["bytes"] - 1 for r in records])
    print(
        f"{len(records)} networks, {min(r['bytes'] for r in records):,} to "
        f"{max(r['bytes'] for r in records):,} bytes; predicted / real - 1: median "
        f"{np.median(error):+.2%}, median size {np.median(abs(error)):.2%}, worst "
        f"{error.min():+.2%} and {error.max():+.2%}"
    )
    if arguments.fit:
        print(json.dumps(fit(records), indent=2))


if __name__ == "__main__":
    main()

"""Classify time series of several channels: what somebody does, by an acceleration sensor.

Without a data set the sensor is played: somebody walks, runs, stands or falls.

    python examples/time_series.py
    python examples/time_series.py --dataset mine.npz     # x_train (n, length, channels), ...
"""

import argparse

import numpy as np

import kerasnas
from kerasnas.datasets import open_dataset
from kerasnas.evaluation import Evaluation


def signals(count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Two seconds of acceleration in three axes, at 50 Hz, and which of four it is."""
    rng, time = np.random.default_rng(seed), np.arange(100) / 50
    x, y = rng.normal(0, 0.3, (count, 100, 3)), np.arange(count) % 4
    for signal, label in zip(x, y, strict=True):
        if label < 2:  # walking or running: so many steps a second
            steps = 2 * np.pi * (rng.uniform(1.4, 2.2) + label) * (time + rng.uniform())
            force = 1 + 0.5 * np.sin(steps) + (0.1 + 0.2 * label) * np.sin(2 * steps)
        else:  # standing or falling: nothing happens, or a knock
            force = 1 + (label - 2) * np.exp(-(((time - rng.uniform(0.3, 1.7)) / 0.1) ** 2))
        upright = rng.normal(size=3)
        signal += force[:, None] * upright / np.linalg.norm(upright)
    return x, y


def main(arguments: list[str] | None = None) -> Evaluation:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add = parser.add_argument
    add("--dataset", help="a .npz file; by default signals that are made")
    add("--max-time", default="5m", help="for everything")
    add("--output", dest="directory", default="searches/time_series", help="its folder")
    add("--seed", type=int, default=0, help="of all that is drawn")
    options = vars(parser.parse_args(arguments))
    dataset, seed = options.pop("dataset"), options["seed"]
    train, test = signals(600, seed), signals(400, seed + 1)
    if dataset:
        train, test, *_ = open_dataset(dataset)
    kerasnas.search(train, layout="series", **options)
    result = kerasnas.open_search(options["directory"])
    scores = result.evaluate(test, train)
    print(scores, f"the file: {result.folder / 'model.tflite'}", sep="\n")
    return scores


if __name__ == "__main__":
    main()

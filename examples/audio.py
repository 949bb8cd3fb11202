"""Classify sounds by their waveforms: the front end, log-mel or MFCC, is searched too.

The file takes samples and has the front end inside. For a microcontroller, such as `--device
cortex-m4`, it takes features, which `FrontEnd` computes outside.

    python examples/audio.py
    python examples/audio.py --dataset commands/     # a folder of .wav files for each class
"""

import argparse

import numpy as np

import kerasnas
from kerasnas.datasets import open_dataset
from kerasnas.evaluation import Evaluation


def sounds(count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Half a second at 8 kHz: a tone that rises, falls, trembles or stays, in noise."""
    rng, time = np.random.default_rng(seed), np.arange(4000) / 8000
    x, y = rng.normal(0, 0.02, (count, 4000)), np.arange(count) % 4
    for recording, label in zip(x, y, strict=True):
        trembling = 0.1 * np.sin(2 * np.pi * rng.uniform(5, 9) * time)
        bend = (time, -time, trembling, 0 * time)[label] * rng.uniform(0.8, 1.6)
        phase = 2 * np.pi * np.cumsum(rng.uniform(400, 1000) * 2**bend) / 8000
        fading = np.exp(-(((time - rng.uniform(0.2, 0.3)) / 0.2) ** 2))
        recording += rng.uniform(0.05, 0.3) * fading * (np.sin(phase) + np.sin(2 * phase) / 2)
    return x.astype(np.float32), y


def main(arguments: list[str] | None = None) -> Evaluation:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add = parser.add_argument
    add("--dataset", help="a folder with a folder of .wav files for each class")
    add("--device", help="what it is for, as `kerasnas devices` lists them")
    add("--max-time", default="10m", help="for everything")
    add("--output", dest="directory", default="searches/audio", help="its folder")
    add("--seed", type=int, default=0, help="of all that is drawn")
    options = vars(parser.parse_args(arguments))
    dataset, seed = options.pop("dataset"), options["seed"]
    kind = {"layout": "waveform", "sample_rate": 8000}
    train, test = sounds(600, seed), sounds(400, seed + 1)
    if dataset:
        train, test, _, kind = open_dataset(dataset)
    kerasnas.search(train, **kind, **options)
    result = kerasnas.open_search(options["directory"])
    scores = result.evaluate(test, train)
    print(scores, f"the file: {result.folder / 'model.tflite'}", sep="\n")
    return scores


if __name__ == "__main__":
    main()

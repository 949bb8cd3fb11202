"""Searches for devices: what the file that a search leaves really needs, and what it reaches.

    python benchmarks/edge.py fashion --seeds 0 1       # 64 KB, 32 KB RAM, 2M MACs, 10 minutes
    python benchmarks/edge.py keywords --device cortex-m4
    python benchmarks/edge.py keywords --device ethos-u55-128
    python benchmarks/edge.py pareto --seeds 0 1 2      # accuracy, RAM and MACs on digits

`fashion` and `keywords` need a folder with `fashion_mnist.npz` and `fsdd_logmel.npz`, named by
`--data` or `KERASNAS_DATA`; `keywords` also the extras `micro` and `npu`. Each run is a line
of JSON on standard output, kept in `--output`. The test part is looked at once, by the end.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from pathlib import Path
from typing import Any

import numpy as np

import kerasnas

CACHE = Path(__file__).parent / ".cache"
FASHION = {"flash": "64KB", "ram": "32KB", "macs": "2M"}
KEYWORDS = {"flash": "54KB"}


def measured(content: bytes, x: Any, y: Any) -> dict[str, Any]:
    """What a file needs and reaches, by what it holds and by running it."""
    from edge_devices import flatbuffer
    from edge_devices.memory import memory

    program = flatbuffer.read(content)
    needed = memory(program)
    answers = kerasnas.tflite_export.TFLiteModel(content).predict(x)
    return {
        "flash": len(content),
        "ram": needed.activations + needed.persistent,
        "activations": needed.activations,
        "macs": sum(map(program.macs, program.operators)),
        "accuracy_int8": float(np.mean(answers.argmax(-1) == y)),
        "operators": kerasnas.tflite_export.operators(content),
    }


def searched(
    name: str, train: Any, test: Any, arguments: argparse.Namespace, **options: Any
) -> dict[str, Any]:
    """Search, export, and measure the file on the test part."""
    folder = arguments.output / name
    started = time.monotonic()
    model = kerasnas.search(
        train, directory=folder, overwrite=True, max_time=arguments.max_time, **options
    )
    seconds = time.monotonic() - started
    content = (folder / "search" / "model.tflite").read_bytes()
    result = kerasnas.open_search(folder)
    x, y = test
    expected = np.concatenate(
        [model(x[i : i + 500], training=False).numpy() for i in range(0, len(x), 500)]
    )
    return {
        "run": name,
        "seconds": round(seconds, 1),
        "trials": len(result.trials),
        "params": model.count_params(),
        "accuracy_float": float(np.mean(expected.argmax(-1) == y)),
        "validation": result.answer["scores"],
        "predicted": result.answer["costs"],
        **measured(content, x, y),
    }


def fashion(arguments: argparse.Namespace) -> None:
    """Fashion-MNIST within 64 KB, 32 KB of RAM and 2M MACs."""
    data = np.load(arguments.data / "fashion_mnist.npz")
    train, test = ((data[f"x_{part}"], data[f"y_{part}"]) for part in ("train", "test"))
    test = test[0][..., None].astype(np.float32), test[1]
    for seed in arguments.seeds:
        for strategy in arguments.strategies or ("bayesian",):
            name = f"fashion-{strategy}-{seed}"
            keep(
                arguments,
                searched(
                    name,
                    train,
                    test,
                    arguments,
                    limits=FASHION,
                    strategy=strategy,
                    seed=seed,
                ),
            )


def keywords(arguments: argparse.Namespace) -> None:
    """Spoken digits on a microcontroller, or on one with an NPU."""
    data = np.load(arguments.data / "fsdd_logmel.npz")
    x_train, x_test = (data[f"x_{p}"].astype(np.float32)[..., None] for p in ("train", "test"))
    train, test = (x_train, data["y_train"]), (x_test, data["y_test"])
    for seed in arguments.seeds:
        name = f"keywords-{arguments.device}-{seed}"
        record = searched(
            name,
            train,
            test,
            arguments,
            device=arguments.device,
            limits=KEYWORDS,
            augment=False,
            seed=seed,
        )
        content = (arguments.output / name / "search" / "model.tflite").read_bytes()
        keep(arguments, record | on_device(content, arguments.device, x_test))


def on_device(content: bytes, name: str, x: Any) -> dict[str, Any]:
    """Whether TensorFlow Lite Micro and the NPU's compiler take the file, and how."""
    from edge_devices import flatbuffer, npu, tflm
    from edge_devices.device import find

    device = find(name)
    agreement = tflm.compare_interpreters(content, x)
    found = {
        "device": device.costs(flatbuffer.read(content)),
        "tflm_same_class": agreement.same_class,
        "tflm_most_steps": agreement.largest_difference,
        "tflm_most_steps_portable": tflm.compare_interpreters(
            content, x, portable=True
        ).largest_difference,
    }
    compiled = npu.npu(content, device.npu or "ethos-u55-128")
    return found | {"npu_cycles": compiled.cycles, "npu_latency_ms": compiled.latency_ms}


def pareto(arguments: argparse.Namespace) -> None:
    """Accuracy, RAM and MACs of digits: the front of our search and that of random search."""
    from sklearn.datasets import load_digits

    digits = load_digits()
    order = np.random.default_rng(0).permutation(len(digits.target))[:1437]
    train = (digits.images[order].astype(np.uint8), digits.target[order])
    fronts = {}
    for seed in arguments.seeds:
        for strategy in arguments.strategies or ("bayesian", "random"):
            folder = arguments.output / f"pareto-{strategy}-{seed}"
            oracle = {"bayesian": kerasnas.GaussianProcess, "random": kerasnas.RandomSearch}
            tuner = kerasnas.Tuner(
                kerasnas.search_spaces.MobileNet((8, 8, 1), 10, rescaling=(1 / 16, 0.0)),
                oracle=oracle[strategy](
                    ["val_accuracy", "ram", "macs"], max_trials=arguments.trials, seed=seed
                ),
                directory=folder,
                project_name="search",
            )
            x, y = train[0][..., None].astype(np.float32), train[1]
            tuner.search(
                x[:1077],
                y[:1077],
                validation_data=(x[1077:], y[1077:]),
                epochs=arguments.epochs,
                batch_size=32,
                verbose=0,
            )
            trials = kerasnas.open_search(folder).trials
            losses = [trial.losses for trial in trials if trial.losses]
            fronts[seed, strategy] = np.array(losses)
    from kerasnas.oracles.pareto import hypervolume, nondominated

    every = np.concatenate(list(fronts.values()))
    every[:, 1:] = np.log(every[:, 1:])  # RAM and MACs count by ratios
    low, high = every.min(axis=0), every.max(axis=0)
    for (seed, strategy), losses in fronts.items():
        scaled = np.column_stack([losses[:, :1], np.log(losses[:, 1:])])
        scaled = (scaled - low) / (high - low)
        front = scaled[nondominated(scaled)]
        volume = hypervolume(front, np.full(3, 1.1)) / 1.1**3
        keep(
            arguments,
            {
                "run": f"pareto-{strategy}-{seed}",
                "trials": len(losses),
                "front": len(front),
                "hypervolume": round(float(volume), 4),
                "best_accuracy": float(-losses[:, 0].min()),
            },
        )


def keep(arguments: argparse.Namespace, record: dict[str, Any]) -> None:
    """Print a finished run and add it to the record of runs."""
    line = json.dumps(record)
    print(line, flush=True)
    with (arguments.output / "edge.jsonl").open("a") as file:
        file.write(line + "\n")


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("experiment", choices=["fashion", "keywords", "pareto"])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--strategies", nargs="+")
    parser.add_argument("--device", default="cortex-m4")
    parser.add_argument("--max-time", default="10m")
    parser.add_argument("--trials", type=int, default=40)
    parser.add_argument("--epochs", type=int, default=15)
    parser.add_argument("--data", type=Path, default=os.environ.get("KERASNAS_DATA"))
    parser.add_argument("--output", type=Path, default=CACHE / "edge")
    arguments = parser.parse_args()
    if arguments.data is None and arguments.experiment != "pareto":
        parser.error("no folder of data sets: pass --data or set KERASNAS_DATA")
    arguments.output.mkdir(parents=True, exist_ok=True)
    {"fashion": fashion, "keywords": keywords, "pareto": pareto}[arguments.experiment](
        arguments
    )


if __name__ == "__main__":
    main()

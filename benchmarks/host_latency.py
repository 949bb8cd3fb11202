"""How far latency measured on this computer can be trusted.

Times some networks with random weights many times over, under whatever else the machine is
doing, in three ways: as milliseconds, as `edge_devices.host.latency` does (a ratio to the
reference, call by call in turn), and as the same ratio for the network of the same shapes
with other weights. Prints for each how far the repetitions are apart: what counts is whether
that is less than the 10 % under which two ratios are called a tie.

    python benchmarks/host_latency.py --repeats 20
    python benchmarks/host_latency.py --repeats 20 --load 2     # with two busy processes
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np

from edge_devices import host, isolation, synthesis
from edge_devices.program import Operator, Program, Tensor


def network(channels: int, blocks: int, side: int) -> Program:
    """Residual separable blocks, as the mobile spaces have them."""
    shape, wide = (1, side, side, channels), (1, side, side, 4 * channels)
    tensors, operators = [Tensor(shape)], []

    def add(op: str, after: tuple[int, ...], *inputs: int, **settings: Any) -> int:
        operators.append(Operator(op, inputs, (len(tensors),), **settings))
        tensors.append(Tensor(after))
        return len(tensors) - 1

    x = 0
    for _ in range(blocks):
        y = add("CONV_2D", wide, x, weights=(4 * channels, 1, 1, channels), bias=True)
        y = add("RELU6", wide, y)
        y = add(
            "DEPTHWISE_CONV_2D",
            wide,
            y,
            weights=(1, 3, 3, 4 * channels),
            bias=True,
            window=(3, 3),
        )
        y = add("CONV_2D", shape, y, weights=(channels, 1, 1, 4 * channels), bias=True)
        x = add("ADD", shape, x, y)
    return Program(tuple(tensors), tuple(operators), (0,), (x,))


NETWORKS = {
    "narrow": network(8, 4, 16),
    "wide": network(64, 3, 8),
    "large": network(16, 4, 64),
}


def apart(values: list[float]) -> float:
    """How much larger the largest is than the smallest."""
    return max(values) / min(values) - 1


def measure(repeats: int) -> dict[str, dict[str, Any]]:
    """Time every network `repeats` times, in turn."""
    found: dict[str, dict[str, list[float]]] = {
        name: {"ratio": [], "ms": [], "other": [], "spread": []} for name in NETWORKS
    }
    files = {
        name: [synthesis.file(program, seed) for seed in (0, 1)]
        for name, program in NETWORKS.items()
    }
    for _ in range(repeats):
        for name, (content, other) in files.items():
            measured = host.latency(content)
            found[name]["ratio"].append(measured.ratio)
            found[name]["spread"].append(measured.spread)
            found[name]["other"].append(host.latency(other).ratio)
            seconds = isolation.call(host._seconds, content, 1)
            found[name]["ms"].append(1000 * float(np.median(seconds)))
    return {
        name: {
            "ms": round(float(np.median(values["ms"])), 4),
            "ms_apart": round(apart(values["ms"]), 4),
            "ratio": round(float(np.median(values["ratio"])), 4),
            "ratio_apart": round(apart(values["ratio"]), 4),
            "other_weights": round(
                float(np.median(values["other"]) / np.median(values["ratio"])) - 1, 4
            ),
            "spread": round(float(np.median(values["spread"])), 4),
            "ties": round(
                float(np.mean([host.is_tie(r, values["ratio"][0]) for r in values["ratio"]])),
                3,
            ),
        }
        for name, values in found.items()
    }


def main() -> None:
    """Measure, and print a line a network."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=20)
    parser.add_argument("--load", type=int, default=0, help="busy processes beside it")
    parser.add_argument("--output", type=Path)
    arguments = parser.parse_args()
    busy = [
        subprocess.Popen([sys.executable, "-c", "while True: pass"])
        for _ in range(arguments.load)
    ]
    try:
        result = measure(arguments.repeats)
    finally:
        for process in busy:
            process.kill()
            process.wait()
    for name, figures in result.items():
        print(name, json.dumps(figures))
    if arguments.output:
        record = {"load": arguments.load, "repeats": arguments.repeats, **result}
        with arguments.output.open("a") as file:
            file.write(json.dumps(record) + "\n")


if __name__ == "__main__":
    main()

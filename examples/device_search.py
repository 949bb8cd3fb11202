"""Search a network for a device, measure its file, and write all that ships.

Its flash and RAM are limits, its kernels decide which operators are allowed, and its model of
latency gives milliseconds. The package holds the network as C++ for the firmware, too.

    python examples/device_search.py
    python examples/device_search.py --device cortex-m7 --latency 1ms
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

import edge_devices
import kerasnas
from tflite_export import package, verify


def main(arguments: Sequence[str] | None = None) -> edge_devices.Measurement:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add = parser.add_argument
    add("--device", default="cortex-m4", help="a name that `kerasnas devices` lists")
    add("--latency", default="5ms", help="upper bound on the time of one image there")
    add("--max-time", default="10m", help="for everything")
    add("--max-trials", type=int, help="candidates at most")
    add("--epochs", type=int, help="of every training; automatic by default")
    add("--output", type=Path, default=Path("searches/device"), help="folder for the files")
    options = parser.parse_args(arguments)

    x, y = load_digits(return_X_y=True)
    x_train, x_test, y_train, y_test = train_test_split(
        x.reshape(-1, 8, 8, 1), y, test_size=0.2, random_state=0
    )
    device, file = edge_devices.find(options.device), options.output / "model.tflite"
    model = kerasnas.search(
        (x_train, y_train),
        device=device,
        limits={"latency_ms": options.latency},
        max_time=options.max_time,
        max_trials=options.max_trials,
        epochs=options.epochs,
        directory=options.output,
    )
    content = (options.output / "search" / "model.tflite").read_bytes()
    file.write_bytes(content)  # the winner as it was chosen, inside all limits
    report = verify(model, file, (x_test, y_test))
    labels = list("0123456789")
    package(options.output, content, report, labels=labels, sample=x_test[0])
    print(report)
    return edge_devices.measure(file, device, x=x_test[:100])


if __name__ == "__main__":
    print(main())

"""What fine-tuning for integers recovers of what quantization costs.

Small mobile networks are trained in float. Each is then trained on for the same number of
epochs twice: in float (the control) and with `tflite_export.fine_tune`. The file of the one is
compared with the quantized file of the other on the test part, which no training sees. With
`--hard`, channels of a trained ReLU network are scaled by factors up to 200 and the weights
behind them by the inverse: the function stays, but its activations do not fit 8 bits.

Writes one JSON line a network to `--output`; those already there are kept, so the run can be
continued; then prints the table.

    python -m benchmarks.fine_tuning --dataset digits --bits 4 --seeds 5 --output digits.jsonl
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.small_networks import (
    DATASETS,
    Split,
    accuracy,
    classes,
    each_seed,
    fit,
    load,
    network,
    relu_network,
    trained,
    with_scales,
)

SPREAD = 200.0


def measure(
    data: Split, dataset: str, seed: int, bits: int, hard: bool, epochs: int, rate: float
) -> dict[str, Any]:
    """Train, quantize and fine-tune one network."""
    import keras

    from tflite_export import convert
    from tflite_export.fine_tuning import fine_tune

    keras.backend.clear_session()
    shape = data.x_train.shape[1:]
    described = relu_network(shape) if hard else network(shape, seed)
    model = trained(described, data, DATASETS[dataset], seed)
    if hard:
        model = with_scales(model, SPREAD, seed)
        fit(model, data, 0, rate, seed)
    train = (data.x_train, data.y_train)

    def quantized(model: Any) -> bytes:
        if bits == 8:
            file: bytes = convert(model, "int8", data.x_train[:256])
            return file
        return fine_tune(model, train, epochs=0, weight_bits=bits, seed=seed).content

    record = {
        "seed": seed,
        "params": model.count_params(),
        "float": accuracy(model, data),
        "ptq": accuracy(quantized(model), data),
    }
    began = time.perf_counter()
    tuned = fine_tune(
        model, train, epochs=epochs, learning_rate=rate, weight_bits=bits, seed=seed
    )
    record["seconds"] = time.perf_counter() - began
    record["keras"] = accuracy(tuned.model, data)
    record["tuned"] = accuracy(tuned.content, data)
    same = classes(tuned.content, data) == classes(tuned.model, data)
    record["agreement"] = float(np.mean(same))
    record["bytes"] = len(tuned.content)
    control = keras.models.clone_model(model)
    control.set_weights(model.get_weights())
    fit(control, data, epochs, rate, seed)
    file = quantized(control)
    record |= {"control": accuracy(control, data), "control_ptq": accuracy(file, data)}
    record["control_bytes"] = len(file)
    return record


def table(records: list[dict[str, Any]]) -> str:
    """One line a network, and the mean."""
    columns = ("float", "ptq", "control", "control_ptq", "tuned", "agreement")
    lines = ["seed params  " + "  ".join(f"{name:>11}" for name in columns) + "  recovered"]
    for record in records:
        figures = "  ".join(f"{record[name]:11.2%}" for name in columns)
        drop = record["control"] - record["control_ptq"]
        gained = record["tuned"] - record["control_ptq"]
        share = f"{gained / drop:9.0%}" if drop > 0.01 else "  no drop"
        lines.append(f"{record['seed']:4d} {record['params']:6d}  {figures}  {share}")
    means = {name: float(np.mean([record[name] for record in records])) for name in columns}
    lines.append("mean         " + "  ".join(f"{means[name]:11.2%}" for name in columns))
    return "\n".join(lines)


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--dataset", choices=DATASETS, default="digits")
    parser.add_argument("--bits", type=int, choices=(4, 8), default=4)
    parser.add_argument("--hard", action="store_true")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--learning-rate", type=float, default=1e-3)
    parser.add_argument("--output", type=Path, required=True)
    arguments = parser.parse_args()
    data = load(arguments.dataset)
    records = each_seed(
        arguments.output,
        arguments.seeds,
        lambda seed: measure(
            data,
            arguments.dataset,
            seed,
            arguments.bits,
            arguments.hard,
            arguments.epochs,
            arguments.learning_rate,
        ),
    )
    print(table(records))


if __name__ == "__main__":
    main()

"""What is lost when channels of a trained network are pruned, and whether that pays.

Each small mobile network is trained, pruned to a share of its multiply-accumulates and
trained on. Beside it stands a network of the pruned shape that is trained afresh, for as many
epochs as both trainings together. Accuracies are those of the int8 files on the test part.

Writes one JSON line a network to `--output`; those already there are kept, so the run can be
continued; then prints the table.

    python -m benchmarks.pruning --dataset digits --seeds 5 --output digits.jsonl
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.small_networks import (
    DATASETS,
    Split,
    accuracy,
    each_seed,
    fit,
    load,
    network,
    trained,
)

_LEARNING_RATE = 4e-3


def measure(
    data: Split, dataset: str, seed: int, share: float, criterion: str, epochs: int
) -> dict[str, Any]:
    """Train and prune one network, and train one of the pruned shape afresh."""
    import keras

    from tflite_export import convert
    from tflite_export.layer_graph import read_layers
    from tflite_export.pruning import prune

    keras.backend.clear_session()
    model = trained(network(data.x_train.shape[1:], seed), data, DATASETS[dataset], seed)
    smaller = prune(
        model,
        {"macs": share * read_layers(model).macs},
        (data.x_train, data.y_train),
        criterion=criterion,
        epochs=epochs,
        learning_rate=_LEARNING_RATE,
        seed=seed,
    )
    keras.utils.set_random_seed(seed)
    afresh = keras.models.clone_model(smaller)
    fit(afresh, data, DATASETS[dataset] + epochs, _LEARNING_RATE, seed)
    record: dict[str, Any] = {"seed": seed}
    for name, each in (("before", model), ("pruned", smaller), ("afresh", afresh)):
        graph = read_layers(each)
        file = convert(each, "int8", data.x_train[:256])
        record[name] = {
            "params": graph.params,
            "macs": graph.macs,
            "flash": len(file),
            "accuracy": accuracy(file, data),
        }
    return record


def table(records: list[dict[str, Any]]) -> str:
    """One line a network, and the mean."""
    lines = ["seed  params         macs               flash           before  pruned  afresh"]
    for record in records:
        before, pruned = record["before"], record["pruned"]
        sizes = "  ".join(
            f"{before[name]:>7,} -> {pruned[name]:>7,}" for name in ("params", "macs", "flash")
        )
        lines.append(f"{record['seed']:4d}  {sizes}  {_accuracies(record)}")
    mean = {
        name: {"accuracy": np.mean([record[name]["accuracy"] for record in records])}
        for name in ("before", "pruned", "afresh")
    }
    lines.append(f"mean  {'':63s}{_accuracies(mean)}")
    return "\n".join(lines)


def _accuracies(record: dict[str, Any]) -> str:
    names = ("before", "pruned", "afresh")
    return "  ".join(f"{record[name]['accuracy']:6.2%}" for name in names)


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--dataset", choices=DATASETS, default="digits")
    parser.add_argument("--share", type=float, default=0.5, help="of multiply-accumulates")
    parser.add_argument("--criterion", default="l1")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--epochs", type=int, default=15, help="after pruning")
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
            arguments.share,
            arguments.criterion,
            arguments.epochs,
        ),
    )
    print(table(records))


if __name__ == "__main__":
    main()

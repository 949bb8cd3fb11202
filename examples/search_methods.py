"""Compare methods of search on one space: the same data, trials and limits, one table.

Each method proposes as many networks of `MobileNet`, which are trained alike; `asha` gives
most of them fewer epochs. The best by validation is trained once more from scratch and judged
by examples that no method has seen. With few trials of noisy trainings chance decides a good
deal: compare over several seeds.

    python examples/search_methods.py --strategies bayesian local evolution random asha
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

import kerasnas
import search_spaces
from kerasnas.strategies import fidelity_of, oracle_of


def main(arguments: Sequence[str] | None = None) -> dict[str, float]:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    names = ["bayesian", "local", "evolution", "random", "asha"]
    parser.add_argument("--strategies", nargs="+", default=names, metavar="NAME")
    parser.add_argument("--max-trials", type=int, default=12, help="of each method")
    parser.add_argument("--epochs", type=int, default=18, help="of the longest training")
    parser.add_argument("--flash", default="32KB", help="upper bound on a network's file")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--directory", default="searches/methods", help="of the searches")
    options = parser.parse_args(arguments)

    digits = load_digits()
    x, x_test, y, y_test = train_test_split(
        digits.images[..., None], digits.target, test_size=0.2, random_state=0
    )
    accuracy = {}
    print(
        "| strategy | trials | epochs in all | best validation | test |\n|---|---|---|---|---|"
    )
    for name in options.strategies:
        oracle = oracle_of(
            name,
            "val_accuracy",
            options.max_trials,
            limits={"flash": options.flash},
            seed=options.seed,
            fidelity=fidelity_of(name if name == "asha" else None, options.epochs),
        )
        tuner = kerasnas.Tuner(
            search_spaces.MobileNet((8, 8, 1), num_classes=10, rescaling=(1 / 16, 0.0)),
            oracle=oracle,
            directory=options.directory,
            project_name=name,
        )
        tuner.search(x, y, validation_split=0.2, epochs=options.epochs, verbose=0)
        model = tuner.hypermodel.build(tuner.get_best_hyperparameters()[0])
        model.fit(x, y, epochs=options.epochs, verbose=0)
        accuracy[name] = model.evaluate(x_test, y_test, verbose=0)[1]
        epochs = sum(len(record.curve) for record in oracle.records())
        best = oracle.get_best_trials(1)[0].score
        print(
            f"| {name} | {len(oracle.trials)} | {epochs} | {best:.2%} | {accuracy[name]:.2%} |"
        )
    return accuracy


if __name__ == "__main__":
    main()

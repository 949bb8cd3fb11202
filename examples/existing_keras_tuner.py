"""Tune inside an existing KerasTuner pipeline: another oracle first, then another space.

The pipeline's own `build` is searched by a plain `keras_tuner.Tuner`, of which only the oracle
is new. Then `MobileNet` takes the place of `build`, and `kerasnas.Tuner` that of KerasTuner's:
it knows what each network costs before building it, so that limits hold.

    python examples/existing_keras_tuner.py
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence

import keras
import keras_tuner
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

import kerasnas
import search_spaces


def build(hp: keras_tuner.HyperParameters) -> keras.Model:
    """A model function as such pipelines have it; nothing in it knows of kerasnas."""
    model = keras.Sequential([keras.Input((8, 8, 1)), keras.layers.Rescaling(1 / 16)])
    for i in range(hp.Int("layers", 1, 3)):
        filters = hp.Choice(f"filters{i}", [8, 16, 32])
        model.add(keras.layers.Conv2D(filters, 3, padding="same", activation="relu"))
    model.add(keras.layers.Flatten())
    model.add(keras.layers.Dropout(hp.Float("dropout", 0.0, 0.5, step=0.1)))
    model.add(keras.layers.Dense(10, activation="softmax"))
    rate = hp.Float("learning_rate", 1e-4, 1e-2, sampling="log")
    model.compile(
        keras.optimizers.Adam(rate),
        loss="sparse_categorical_crossentropy",
        metrics=["accuracy"],
    )
    return model


def main(arguments: Sequence[str] | None = None) -> dict[str, float]:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--max-trials", type=int, default=10, help="of each search")
    parser.add_argument("--epochs", type=int, default=20, help="of each trial")
    parser.add_argument("--flash", default="32KB", help="upper bound on a MobileNet's file")
    parser.add_argument("--directory", default="searches/keras_tuner", help="of the searches")
    options = parser.parse_args(arguments)

    digits = load_digits()
    x_train, x_test, y_train, y_test = train_test_split(
        digits.images[..., None], digits.target, test_size=0.2, random_state=0
    )
    own_models = keras_tuner.Tuner(
        # was: keras_tuner.oracles.BayesianOptimizationOracle("val_accuracy", ...)
        oracle=kerasnas.GaussianProcess("val_accuracy", options.max_trials, seed=0),
        hypermodel=build,
        directory=options.directory,
        project_name="own_models",
    )
    mobile_nets = kerasnas.Tuner(
        search_spaces.MobileNet((8, 8, 1), num_classes=10, rescaling=(1 / 16, 0.0)),
        oracle=kerasnas.GaussianProcess(
            "val_accuracy", options.max_trials, seed=0, limits={"flash": options.flash}
        ),
        directory=options.directory,
        project_name="mobile_nets",
    )
    accuracy = {}
    for tuner in (own_models, mobile_nets):
        tuner.search(x_train, y_train, validation_split=0.2, epochs=options.epochs, verbose=2)
        best = tuner.hypermodel.build(tuner.get_best_hyperparameters()[0])
        best.fit(x_train, y_train, epochs=options.epochs, verbose=2)
        accuracy[tuner.project_name] = best.evaluate(x_test, y_test, verbose=0)[1]
    print(kerasnas.open_search(options.directory, "mobile_nets"))
    print("test accuracy:", {name: f"{value:.2%}" for name, value in accuracy.items()})
    return accuracy


if __name__ == "__main__":
    main()

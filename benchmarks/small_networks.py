"""Small data, small networks and short trainings, for what is done to trained models."""

from __future__ import annotations

import json
import os
import pathlib
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "DATASETS",
    "Split",
    "accuracy",
    "each_seed",
    "fit",
    "load",
    "network",
    "trained",
    "with_scales",
]

Array = NDArray[Any]

_FASHION_TRAINED_ON = 6_000
_BATCH = 64
_LEARNING_RATE = 4e-3


class Split(NamedTuple):
    """A data set: what is trained on, and what is only judged on."""

    x_train: Array
    y_train: Array
    x_test: Array
    y_test: Array


def each_seed(
    output: pathlib.Path, seeds: int, measure: Callable[[int], dict[str, Any]]
) -> list[dict[str, Any]]:
    """Measure seed by seed, a line of JSON each; seeds that are there already are kept."""
    lines = output.read_text().splitlines() if output.exists() else []
    for seed in range(len(lines), seeds):
        record = measure(seed)
        with output.open("a") as file:
            file.write(json.dumps(record) + "\n")
    return [json.loads(line) for line in output.read_text().splitlines()]


def load(name: str) -> Split:
    """Open a data set of images or spectrograms with one channel, inputs about 0 to 1."""
    if name == "digits":
        import sklearn.datasets
        import sklearn.model_selection

        digits = sklearn.datasets.load_digits()
        parts = sklearn.model_selection.train_test_split(
            digits.images[..., None] / 16, digits.target, test_size=0.5, random_state=0
        )
        x_train, x_test, y_train, y_test = parts
    else:
        folder = pathlib.Path(os.environ["KERASNAS_DATA"])
        with np.load(folder / f"{name}.npz") as file:
            x_train, y_train, x_test, y_test = (
                file[key] for key in ("x_train", "y_train", "x_test", "y_test")
            )
        if name == "fashion_mnist":
            chosen = np.random.default_rng(0).permutation(len(x_train))[:_FASHION_TRAINED_ON]
            x_train, y_train = x_train[chosen], y_train[chosen]
            x_train, x_test = x_train[..., None] / 255, x_test[..., None] / 255
        else:  # log energies from about -14 to 8
            x_train, x_test = (
                (x[..., None].astype(np.float32) + 14) / 22 for x in (x_train, x_test)
            )
    as_floats = [x.astype(np.float32) for x in (x_train, x_test)]
    as_numbers = [y.astype(np.int32) for y in (y_train, y_test)]
    return Split(as_floats[0], as_numbers[0], as_floats[1], as_numbers[1])


DATASETS = {"digits": 30, "fashion_mnist": 10, "fsdd_logmel": 20}
"""Names of data sets, and epochs of a first training."""


def network(shape: tuple[int, ...], seed: int) -> Any:
    """A member of the mobile space: a draw with 3,000 to 30,000 weights, at most 1.5M MACs."""
    import search_spaces
    from kerasnas.oracles.decisions import Decisions
    from search_spaces.costs import macs, params

    space = search_spaces.MobileNet(shape, 10)
    decisions = Decisions(space.hyperparameters())
    rng = np.random.default_rng(seed)
    while True:
        described = space.network(decisions.values(decisions.sample(rng, 1)[0]))
        if 3_000 <= params(described) <= 30_000 and macs(described) <= 1_500_000:
            return described


def relu_network(shape: tuple[int, ...]) -> Any:
    """A mobile network with ReLU, whose channels can be scaled without any change."""
    from search_spaces import blocks
    from search_spaces.network import freeze, input_node

    x = blocks.conv(input_node(shape), 8, stride=1 if shape[0] < 16 else 2, activation="relu")
    for filters, stride in ((16, 2), (16, 1), (24, 2)):
        x = blocks.inverted_residual(x, filters, stride=stride, expansion=3, activation="relu")
    return freeze(blocks.dense(blocks.global_average_pool(x), 10))


def trained(described: Any, data: Split, epochs: int, seed: int) -> Any:
    """Realise a network and train it."""
    from search_spaces.realise import realise

    model = realise(described, seed=seed)
    fit(model, data, epochs, _LEARNING_RATE, seed)
    return model


def fit(model: Any, data: Split, epochs: int, learning_rate: float, seed: int) -> None:
    """Train a model in float by Adam, along the same cosine as `fine_tune`."""
    import keras

    from tflite_export.retraining import retrain

    model.compile(
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
    )
    retrain(
        model,
        model,
        (data.x_train, data.y_train),
        epochs=epochs,
        learning_rate=learning_rate,
        batch_size=_BATCH,
        validation_data=None,
        seed=seed,
        callbacks=(),
        verbose=0,
    )


def accuracy(model: Any, data: Split) -> float:
    """Share of the test part that a Keras model, or a file given by its bytes, gets right."""
    return float(np.mean(classes(model, data) == data.y_test))


def classes(model: Any, data: Split) -> Array:
    """Classes of the test part by a Keras model, or by a file given by its bytes."""
    import tflite_export
    from tflite_export.verification import predict

    if isinstance(model, bytes):
        outputs = tflite_export.run(model, data.x_test)
    else:
        outputs = predict(model, data.x_test)
    chosen: Array = outputs.argmax(axis=1)
    return chosen


def with_scales(model: Any, spread: float, seed: int) -> Any:
    """The same function with channels at very different scales.

    Channels of each batch normalisation whose ReLU one layer reads are multiplied by factors
    from 1 to `spread`, evenly in the logarithm, and that layer's weights divided by them.
    """
    import keras

    from tflite_export.layer_graph import read_layers

    rng = np.random.default_rng(seed)
    graph = read_layers(model)
    for norm in graph:
        relu = graph.only_reader(norm)
        reader = graph.only_reader(relu) if relu is not None else None
        convolutions = (keras.layers.Conv2D, keras.layers.DepthwiseConv2D)
        if not norm.is_a(keras.layers.BatchNormalization) or reader is None:
            continue
        if not relu.is_a(keras.layers.Activation) or not reader.is_a(*convolutions):
            continue
        factors = np.exp(rng.uniform(0, np.log(spread), norm.shape[-1])).astype(np.float32)
        norm.weights[:2] = [weight * factors for weight in norm.weights[:2]]
        reader.weights[0] = reader.weights[0] / factors[:, None]
    return graph.build()

"""Export any saved Keras model to `.tflite` in all four quantizations, and compare the files.

Each file is run by LiteRT beside the Keras model, on images that neither training nor
calibration has seen. The model takes the images of the data set as they are.

    python examples/export_keras_model.py                     # trains a small model first
    python examples/export_keras_model.py flowers.keras --dataset tf_flowers
    python examples/export_keras_model.py mine.keras --dataset mine.npz --output files
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import keras

import kerasnas
from kerasnas.datasets import NamedData, open_dataset

QUANTIZATIONS = ("float32", "float16", "dynamic", "int8")


def train(data: NamedData, epochs: int) -> keras.Model:
    """A small network for scikit-learn's digits, 8x8 pixels from 0 to 16."""
    model = keras.Sequential(
        [
            keras.Input((8, 8, 1)),
            keras.layers.Rescaling(1 / 16),
            keras.layers.Conv2D(32, 3, padding="same", activation="relu"),
            keras.layers.MaxPooling2D(),
            keras.layers.Conv2D(64, 3, padding="same", activation="relu"),
            keras.layers.GlobalAveragePooling2D(),
            keras.layers.Dense(10),
        ]
    )
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(3e-3), loss=loss, metrics=["accuracy"])
    model.fit(*data.train, epochs=epochs, verbose=2)
    return model


def main(
    arguments: Sequence[str] | None = None,
) -> dict[str, kerasnas.tflite_export.Report]:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add = parser.add_argument
    add("model", nargs="?", type=Path, help="a .keras file; by default one is trained")
    add("--dataset", default="digits", help="as for `kerasnas search`: a name, folder or .npz")
    add("--epochs", type=int, default=30, help="of the default model's training")
    add("--output", type=Path, default=Path("searches/export"), help="folder for the files")
    options = parser.parse_args(arguments)
    if options.model is None and options.dataset != "digits":
        parser.error("the default model is for digits: pass a model for another data set")

    if options.model is None:
        data = open_dataset("digits")
        model = train(data, options.epochs)
    else:
        model = keras.models.load_model(options.model)
        data = open_dataset(options.dataset, image_size=model.input_shape[1:3])
    reports = {}
    for quantization in QUANTIZATIONS:
        reports[quantization] = kerasnas.export(
            model,
            options.output / f"{quantization}.tflite",
            quantization,
            calibration=data.train,
            validation_data=data.test,
        )
    print(f"{'file':<15} {'bytes':>9} {'agreement':>9} {'accuracy':>9}")
    for name, report in reports.items():
        print(
            f"{name + '.tflite':<15} {report.bytes:9,} {report.agreement:9.2%} "
            f"{report.accuracy_tflite:9.2%}"
        )
    print(f"{'Keras model':<35} {report.accuracy_keras:9.2%}")
    print(f"\nint8, in full:\n{reports['int8']}")
    return reports


if __name__ == "__main__":
    main()

"""Search a network for an image set of TensorFlow Datasets and export it for a device.

From `tfds.load` to `kerasnas.search`, within the flash and the work a device can spare, to an
int8 `.tflite` file that is judged on images the search has never seen.

    python examples/tfds_search.py
    python examples/tfds_search.py --dataset mnist --splits train test --image-size 28

TFDS downloads the set the first time. The same command continues an interrupted search.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import tensorflow as tf
import tensorflow_datasets as tfds

import kerasnas


def main(arguments: Sequence[str] | None = None) -> kerasnas.tflite_export.Report:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add = parser.add_argument
    add("--dataset", default="tf_flowers", help="any TFDS set with `image` and `label`")
    add("--splits", nargs=2, default=["train[:80%]", "train[80%:]"], help="to search, to test")
    add("--data-dir", help="where TFDS keeps its sets")
    add("--image-size", type=int, default=96, help="side to resize images to, pixels")
    add("--flash", default="256KB", help="upper bound on the int8 file")
    add("--macs", default="20M", help="upper bound on multiply-accumulates an image")
    add("--max-time", default="1h", help="for everything")
    add("--max-trials", type=int, help="candidates at most; by default what the time allows")
    add("--epochs", type=int, help="of every training; automatic by default")
    add("--output", type=Path, default=Path("searches/tfds"), help="folder for the files")
    options = parser.parse_args(arguments)

    (train, test), info = tfds.load(
        options.dataset, split=options.splits, data_dir=options.data_dir, with_info=True
    )

    def prepare(example: dict[str, Any]) -> tuple[tf.Tensor, tf.Tensor]:
        size = (options.image_size, options.image_size)
        image = tf.image.resize(example["image"], size, antialias=True)
        return tf.cast(image, tf.uint8), example["label"]

    train, test = train.map(prepare), test.map(prepare)
    model = kerasnas.search(
        train,
        limits={"flash": options.flash, "macs": options.macs},
        max_time=options.max_time,
        max_trials=options.max_trials,
        epochs=options.epochs,
        class_names=info.features["label"].names,
        directory=options.output,
    )
    model.save(options.output / "model.keras")
    report = kerasnas.export(
        model, options.output / "model.tflite", calibration=train, validation_data=test
    )
    print(report)
    print(
        f"test accuracy: {report.accuracy_keras:.2%} float, {report.accuracy_tflite:.2%} int8"
    )
    return report


if __name__ == "__main__":
    main()

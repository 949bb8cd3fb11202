"""What the models of the race answer to the test images, once the clock has stopped.

    python -m benchmarks.race_answers FOLDER --inputs TEST --train TRAIN

The labels are not here: `benchmarks.race` holds them. A contestant without a file of its own
gets one of its model, after the clock, by the converter that ours come from.
"""

from __future__ import annotations

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import argparse
from pathlib import Path
from typing import Any

import keras
import numpy as np

import tflite_export
from benchmarks.race_entry import ANSWERS, FILE, MODEL, keep_facts
from kerasnas import costs

_BATCH = 500
_CALIBRATED_ON = 256


def answer(folder: Path, inputs: Any, samples: Any) -> None:
    """Write the classes that the model and its file tell, and what they cost.

    Args:
        folder: Of a run, with its model.
        inputs: Images to answer.
        samples: Training images, to calibrate a file by.
    """
    model = keras.models.load_model(folder / MODEL, compile=False)
    path, inputs = folder / FILE, inputs.astype(np.float32)
    own = path.exists()
    if not own:
        calibration = samples[:_CALIBRATED_ON].astype(np.float32)
        path.write_bytes(tflite_export.convert(model, "int8", calibration))
    content = path.read_bytes()
    told = model.predict(inputs, batch_size=_BATCH, verbose=0)
    of_file = tflite_export.TFLiteModel(content).predict(inputs)
    np.savez(folder / ANSWERS, model=told.argmax(-1), tflite=of_file.argmax(-1))
    of_model = costs.of_model(model)
    keep_facts(
        folder,
        params=model.count_params(),
        macs=of_model["macs"],
        file_bytes=len(content),
        file_by="its own" if own else "our converter",
        model_bytes=(folder / MODEL).stat().st_size,
    )


def main() -> None:
    """Answer for one run."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--inputs", type=Path, required=True)
    parser.add_argument("--train", type=Path, required=True)
    arguments = parser.parse_args()
    answer(arguments.folder, np.load(arguments.inputs), np.load(arguments.train)["x"])


if __name__ == "__main__":
    main()

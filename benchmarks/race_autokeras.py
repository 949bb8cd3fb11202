"""AutoKeras's part in the race, for a Python of its own.

    PYTHON -m benchmarks.race_autokeras contest ENTRY      # which starts `search ENTRY`
    PYTHON -m benchmarks.race_autokeras answer FOLDER --inputs TEST --train TRAIN

AutoKeras 3.0.0 does not run with the Keras that this project needs; what it was run with is
in `requirements-autokeras.txt`. Nothing of this project but `race_entry.py` and
`race_clock.py` is imported here.

It searches spaces of its own and knows neither time nor bytes.
"""

from __future__ import annotations

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ["KERAS_BACKEND"] = "tensorflow"

import argparse
import contextlib
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import autokeras
import keras
import numpy as np
import tensorflow as tf
from autokeras.pipeline import load_pipeline

from benchmarks.race_clock import Clock
from benchmarks.race_entry import ANSWERS, FILE, MODEL, Entry, keep_facts, versions

_MOST = 1_000  # trials; the clock ends the search
_BATCH = 100
_CALIBRATED_ON = 256
_PIPELINE = "pipeline"
_PROJECT = "classifier"
_DEFAULTS: dict[str, Any] = {"share": 0.55, "last": "final_fit", "batch_size": 32}


def contest(entry: Entry) -> None:
    """Search by `ImageClassifier`, then train what it found as AutoKeras does.

    The search has a process of its own, which is ended when its share of the time is over, and
    is opened again for what comes then: a single step of AutoKeras's second candidate, a
    ResNet50 for images enlarged to 224x224 pixels, can take a minute.

    Settings:
        share: Of the time, for the search. AutoKeras trains its best on all examples for as
            many epochs as that took, so about half is left for it.
        last: `"final_fit"`, AutoKeras's own last training, on all examples, for the epochs
            that were best in the search and cut at the end of the time; `"nothing"` takes the
            weights of the best epoch of the search.
        batch_size: As in `fit`, whose default is 32.
    """
    told = _DEFAULTS | dict(entry.settings)
    keep_facts(
        entry.folder,
        versions=versions("autokeras", "keras", "keras-tuner", "tensorflow_cpu"),
        ready_after=round(time.time() - entry.began, 1),
        settings=told,
    )
    command = [sys.executable, "-m", "benchmarks.race_autokeras", "search", *entry.arguments()]
    searching = subprocess.Popen(command)
    end = time.time() + told["share"] * entry.left
    while searching.poll() is None and entry.left > 0:
        # Of the first candidate what it has learned is worth waiting for.
        if time.time() > end and _completed(entry):
            searching.kill()
        time.sleep(0.2)
    searching.kill()
    searching.wait()
    classifier = _classifier(entry, overwrite=False)
    tuner = classifier.tuner
    trials = list(tuner.oracle.trials.values())
    best = tuner.oracle.get_best_trials(1)[0]
    keep_facts(
        entry.folder,
        trials=sum(trial.status == "COMPLETED" for trial in trials),
        refused=sum(trial.status == "FAILED" for trial in trials),
        begun=len(trials),
        values=best.hyperparameters.values,
        validation=best.score,
        best_epoch=best.best_step + 1,
    )
    (x, y), _ = classifier._check_and_adapt(*entry.examples(), validation_data=None)
    classifier._analyze_data((x, y))
    classifier._build_hyper_pipeline()
    tuner._prepare_model_build(best.hyperparameters, x=x, y=y)  # shapes, which are not kept
    model = tuner.get_best_model()
    entry.keep(model)  # for the case that what follows is cut short
    load_pipeline(tuner._pipeline_path(best.trial_id)).save(str(entry.folder / _PIPELINE))
    if told["last"] == "final_fit":
        pipeline, model, _ = tuner.final_fit(
            x=x,
            y=y,
            epochs=best.best_step + 1,
            batch_size=told["batch_size"],
            callbacks=[Clock(entry, 1.0)],
            verbose=2,
        )
        entry.keep(model)
        pipeline.save(str(entry.folder / _PIPELINE))


def search(entry: Entry) -> None:
    """AutoKeras's search, until it is ended from outside.

    With a split instead of a validation part AutoKeras would go on to the last training by
    itself, but 3.0.0 fails in that where there is any callback.
    """
    told = _DEFAULTS | dict(entry.settings)
    train, held = entry.split()
    classifier = _classifier(entry, overwrite=True)
    classifier.fit(
        *train,
        validation_data=held,
        callbacks=[Clock(entry, told["share"], classifier.tuner.oracle)],
        batch_size=told["batch_size"],
        verbose=2,
    )


def _classifier(entry: Entry, *, overwrite: bool) -> autokeras.ImageClassifier:
    return autokeras.ImageClassifier(
        max_trials=_MOST,
        objective="val_accuracy",
        directory=str(entry.work),
        project_name=_PROJECT,
        seed=entry.seed + 1,  # 0 would be none
        overwrite=overwrite,
    )


def _completed(entry: Entry) -> bool:
    """Whether the search has a trial that can be used."""
    for path in (entry.work / _PROJECT).glob("trial_*/trial.json"):
        with contextlib.suppress(ValueError):  # while it is written
            if json.loads(path.read_text())["status"] == "COMPLETED":
                return True
    return False


def answer(folder: Path, inputs: Any, samples: Any) -> None:
    """Write the classes that the model and an int8 file of it tell, and their sizes."""
    model = keras.models.load_model(folder / MODEL, compile=False)
    pipeline = load_pipeline(str(folder / _PIPELINE))
    x = np.asarray(pipeline.transform_x(inputs))
    told = {"model": _classes(pipeline, model.predict(x, batch_size=_BATCH, verbose=0))}
    keep_facts(
        folder,
        params=model.count_params(),
        model_bytes=(folder / MODEL).stat().st_size,
        file_by="TensorFlow's converter",
    )
    try:
        calibration = np.asarray(pipeline.transform_x(samples[:_CALIBRATED_ON]))
        content = _file(model, calibration)
        (folder / FILE).write_bytes(content)
        keep_facts(folder, file_bytes=len(content))
        told["tflite"] = _classes(pipeline, _run(content, x))
    except Exception as error:  # of a converter that was not made for these models
        keep_facts(folder, file_error=f"{type(error).__name__}: {error}"[:500])
    np.savez(folder / ANSWERS, **told)


def _classes(pipeline: Any, outputs: Any) -> Any:
    return np.asarray(pipeline.postprocess(outputs)).reshape(-1).astype(np.int64)


def _file(model: keras.Model, calibration: Any) -> bytes:
    """An int8 file of the model, of which inputs and outputs stay float."""
    with tempfile.TemporaryDirectory() as folder:
        model.export(folder, verbose=False)
        converter = tf.lite.TFLiteConverter.from_saved_model(folder)
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        converter.representative_dataset = lambda: ([image[None]] for image in calibration)
        return bytes(converter.convert())


def _run(content: bytes, x: Any) -> Any:
    interpreter = tf.lite.Interpreter(model_content=content)
    [taken], [told] = interpreter.get_input_details(), interpreter.get_output_details()
    outputs = []
    for start in range(0, len(x), _BATCH):
        batch = x[start : start + _BATCH].astype(taken["dtype"])
        interpreter.resize_tensor_input(taken["index"], batch.shape)
        interpreter.allocate_tensors()
        interpreter.set_tensor(taken["index"], batch)
        interpreter.invoke()
        outputs.append(interpreter.get_tensor(told["index"]))
    return np.concatenate(outputs)


def main() -> None:
    """Contest, search, or answer for a run."""
    run = {"contest": contest, "search": search}.get(sys.argv[1])
    if run is not None:
        entry = Entry.of_arguments(sys.argv[2:])
        keras.utils.set_random_seed(entry.seed)
        run(entry)
        return
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("answer", choices=["answer"])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--inputs", type=Path, required=True)
    parser.add_argument("--train", type=Path, required=True)
    arguments = parser.parse_args()
    answer(arguments.folder, np.load(arguments.inputs), np.load(arguments.train)["x"])


if __name__ == "__main__":
    main()

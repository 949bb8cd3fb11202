"""`space="auto"` on images, audio features and time series, each with the recipe at hand.

    python -m benchmarks.auto [images] [audio] [series] --max-time 10m --seeds 0

Every search sees the training part alone; the test part judges the model and its int8 file
once, at the end. Beside them stands what no search needs: a logistic regression on the flat,
standardised examples.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import os
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

_FOLDER = Path(os.environ.get("KERASNAS_DATA", ""))


def images() -> tuple[Any, Any]:
    """scikit-learn's 8x8 digits, a fixed fifth of them to judge by."""
    from kerasnas.datasets import open_dataset

    digits = open_dataset("digits")
    return digits.train, digits.test


def audio() -> tuple[Any, Any]:
    """Spoken digits, 49 frames of 40 log-mel bands."""
    return _parts("fsdd_logmel.npz")


def series() -> tuple[Any, Any]:
    """Japanese vowels, 29 steps of 12 cepstrum coefficients; stored channels first."""
    return tuple((np.transpose(x, (0, 2, 1)), y) for x, y in _parts("ts_JapaneseVowels.npz"))


DATA = {"images": images, "audio": audio, "series": series}


def run(name: str, max_time: str, seed: int) -> dict[str, Any]:
    """Search once, and judge model, file and baseline on the test part."""
    import kerasnas

    (x, y), test = DATA[name]()
    said = io.StringIO()
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        with contextlib.redirect_stdout(said):
            model = kerasnas.search(
                (x, y),
                layout="audio" if name == "audio" else None,
                max_time=max_time,
                directory=folder,
                seed=seed,
            )
        seconds = time.monotonic() - began
        result = kerasnas.open_search(folder)
        x_test, y_test = np.asarray(test[0], np.float32), np.asarray(test[1])
        if len(model.input_shape) > x_test.ndim:
            x_test = x_test[..., np.newaxis]
        file = result.folder / "model.tflite"
        report = kerasnas.verify(model, file, (x_test, y_test))
        return {
            "data": name,
            "seed": seed,
            "space": said.getvalue().partition("\n")[0],
            "trials": len(result.trials),
            "seconds": round(seconds),
            "params": model.count_params(),
            "bytes": file.stat().st_size,
            "accuracy": report.accuracy_keras,
            "accuracy_int8": report.accuracy_tflite,
            "test": len(y_test),
            "logistic": _logistic((x, y), (x_test, y_test)),
        }


def _parts(name: str) -> tuple[Any, Any]:
    with np.load(_FOLDER / name) as file:
        train, test = ((file[f"x_{part}"], file[f"y_{part}"]) for part in ("train", "test"))
    return train, test


def _logistic(train: Any, test: Any) -> float:
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    (x, y), (x_test, y_test) = train, test
    model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=2000))
    model.fit(np.reshape(x, (len(x), -1)).astype(np.float32), y)
    return float(model.score(np.reshape(x_test, (len(x_test), -1)), y_test))


def main() -> None:
    """Run the searches asked for; a line of JSON each."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", nargs="*", default=list(DATA))
    parser.add_argument("--max-time", default="10m")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    options = parser.parse_args()
    for name in options.data:
        for seed in options.seeds:
            print(json.dumps(run(name, options.max_time, seed)), flush=True)


if __name__ == "__main__":
    main()

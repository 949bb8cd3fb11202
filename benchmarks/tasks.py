"""Every task from data set to device file, beside methods that need no network.

    KERASNAS_DATA=... python -m benchmarks.tasks [NAME ...] --max-time 10m --seeds 0

Each search sees the training part alone; the test part is judged once, at the end: by the
Keras model, by its int8 file in LiteRT, and by every plain method of `kerasnas.baselines` that
serves the task. The file is compared with the best of those *on the test part*, which flatters
them and never the search. A line of JSON a run.

Small tables are judged in five folds, a search each, so that every row is in the test part of
one search; their answers are scored together.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import json
import math
import os
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from benchmarks import scenes, text, waveforms

__all__ = ["PROBLEMS", "VARIANTS", "Data", "Problem", "run", "standard_errors"]

Array = NDArray[Any]
Part = tuple[Any, Any]  # examples, and what is asked of them

_FOLDS = 5
_GROUPS = 40  # of test examples, each left out once for a standard error
_KINDS = ("linear", "pixels", "ngram", "neighbour", "majority")
_LEARNED_FROM = 20_000  # examples, by plain methods


class Data(NamedTuple):
    """A data set with its own test part, or several divisions of one.

    Attributes:
        folds: Training and test part of each search.
        settings: What `kerasnas.search` has to be told of the data.
    """

    folds: list[tuple[Part, Part]]
    settings: Mapping[str, Any] = {}


@dataclasses.dataclass(frozen=True)
class Problem:
    """A data set to search a network for.

    Attributes:
        read: Reads it.
        max_time: Time of one search.
        score: What is compared; `None` is the measure of the task.
    """

    read: Callable[[], Data]
    max_time: str
    score: str | None = None


def run(
    name: str,
    *,
    max_time: str | None = None,
    seed: int = 0,
    examples: int | None = None,
    folds: int | None = None,
    **settings: Any,
) -> dict[str, Any]:
    """Search, and judge model, file and plain methods on the test part.

    Args:
        name: Of a problem in `PROBLEMS` or `VARIANTS`.
        max_time: Time of each search; `None` is that of the problem, or none where `settings`
            has `max_trials`.
        seed: Of the search.
        examples: Examples of each part at most, drawn at random, for a quick look.
        folds: Divisions of a small table at most, likewise.
        **settings: Others of `kerasnas.search`.

    Returns:
        Figures by name: `score` is what is compared; `model`, `file` and `baselines` have the
        values of all scores; `standard_error` is that of the file's score, `lead` is by how
        much the file is better than the best plain method, `lead_error` the standard error of
        that, for both answer the same examples.
    """
    import keras

    problem = {**PROBLEMS, **VARIANTS}[name]
    data = problem.read()
    if max_time is None and "max_trials" not in settings:
        max_time = problem.max_time
    told = {**data.settings, "seed": seed, "max_time": max_time, **settings}
    found: list[_Judged] = []
    for train, test in data.folds[:folds]:
        keras.backend.clear_session()
        found.append(_judged(_drawn(train, examples), _drawn(test, examples), told))
    return {
        "data": name,
        **found[0].of_data,
        "seed": seed,
        "max_time": max_time,
        "searches": len(found),
        **{key: sum(one.of_search[key] for one in found) for key in ("seconds", "trials")},
        "space": sorted({one.space for one in found}),
        **{
            key: round(np.mean([one.of_search[key] for one in found]))
            for key in ("params", "bytes")
        },
        **_compared(problem, found),
    }


def standard_errors(
    score: Callable[[Array], float | Array], count: int, *, seed: int = 0
) -> Any:
    """How far scores would be off on other examples: the delete-a-group jackknife.

    Examples are dealt into 40 groups, or as many as there are; each is left out once. It needs
    few evaluations of a score, whatever the score is.

    Args:
        score: The score, or several, of the examples with these row numbers.
        count: Number of examples.
        seed: Seeds the groups.

    Reference:
        Kott, "The Delete-a-Group Jackknife", Journal of Official Statistics 17(4), 2001.
    """
    order = np.random.default_rng(seed).permutation(count)
    groups = np.array_split(order, min(count, _GROUPS))
    values = np.array([score(np.setdiff1d(order, group)) for group in groups])
    deviations = values - values.mean(axis=0)
    return np.sqrt((len(groups) - 1) * np.mean(deviations**2, axis=0))


@dataclasses.dataclass(frozen=True)
class _Judged:
    """What one search gave, and all answers to its test part."""

    task: Any
    of_data: Mapping[str, Any]
    of_search: Mapping[str, float]
    space: str
    targets: Array
    answers: Mapping[str, Array]  # of "model", "file" and plain methods by kind
    methods: Mapping[str, str]  # names of plain methods by kind


def _judged(train: Part, test: Part, settings: Mapping[str, Any]) -> _Judged:
    import kerasnas
    from kerasnas.scoring import outputs_of, through
    from tflite_export import TFLiteModel

    with tempfile.TemporaryDirectory() as folder:
        began = time.monotonic()
        with contextlib.redirect_stdout(sys.stderr):
            model = kerasnas.search(train, directory=folder, **settings)
        seconds = time.monotonic() - began
        result = kerasnas.open_search(folder)
        content = (result.folder / "model.tflite").read_bytes()
        asked = result.read(test)
        front, _ = result.exported(model)
        answers = {
            "model": outputs_of(model, asked),
            "file": TFLiteModel(content).predict(through(front, asked).x[:]),
        }
        known = result.read(train)
        task, layout = result.task, result.settings["layout"]
        plain, methods = _plain(task, layout, known, asked)
        return _Judged(
            task=task,
            of_data={
                "task": result.settings["task"]["name"],
                "layout": layout,
                "input": asked.x.example_shape,
                "train": len(known),
                "test": len(asked),
            },
            of_search={
                "seconds": round(seconds),
                "trials": len(result.leaderboard()),
                "params": model.count_params(),
                "bytes": len(content),
            },
            space=result.settings["space"].partition(":")[0],
            targets=asked.y,
            answers={**answers, **plain},
            methods=methods,
        )


def _plain(
    task: Any, layout: Any, known: Any, asked: Any
) -> tuple[dict[str, Array], dict[str, str]]:
    """What every plain method answers that serves the task, and their names."""
    from kerasnas.baselines import baseline

    answers, names = {}, {}
    for kind in _KINDS:
        try:
            method = baseline(task, layout, kind=kind, max_examples=_LEARNED_FROM)
        except ValueError:  # not for this task
            continue
        answers[kind] = method.fit(known.x[:], known.y).predict(asked.x[:])
        names[kind] = method.name
    return answers, names


def _compared(problem: Problem, found: list[_Judged]) -> dict[str, Any]:
    """All scores, and where the file stands among them."""
    first = found[0]
    task, name = first.task, problem.score or first.task.measure
    sign = -1.0 if task.directions[name] == "min" else 1.0
    targets = np.concatenate([one.targets for one in found])
    answers = {
        key: np.concatenate([one.answers[key] for one in found]) for key in first.answers
    }
    scores = {key: task.scores(targets, outputs) for key, outputs in answers.items()}
    best = max(first.methods, key=lambda kind: sign * scores[kind][name])

    def file_and_lead(rows: Array) -> Array:
        mine, theirs = (
            task.scores(targets[rows], answers[key][rows])[name] for key in ("file", best)
        )
        return np.array([mine, sign * (mine - theirs)])

    error, lead_error = standard_errors(file_and_lead, len(targets))
    lead = sign * (scores["file"][name] - scores[best][name])
    return {
        "score": name,
        "model": _rounded(scores["model"]),
        "file": _rounded(scores["file"]),
        "baselines": {first.methods[kind]: _rounded(scores[kind]) for kind in first.methods},
        "best_baseline": first.methods[best],
        **_rounded({"standard_error": error, "lead": lead, "lead_error": lead_error}),
        "verdict": _verdict(lead, error),
    }


def _verdict(lead: float, error: float) -> str:
    if lead > 0:
        return "ahead"
    return "within one standard error" if lead >= -error else "behind"


def _rounded(values: Mapping[str, float]) -> dict[str, float | None]:
    """To five digits; what is not defined is null in JSON."""
    return {
        name: float(f"{value:.5g}") if math.isfinite(value) else None
        for name, value in values.items()
    }


def _drawn(part: Part, most: int | None) -> Part:
    """A part, or as many of its examples as are wanted."""
    if most is None or len(part[1]) <= most:
        return part
    rows = np.random.default_rng(0).choice(len(part[1]), most, replace=False)
    return _taken(part, np.sort(rows))


def _taken(part: Part, rows: Array) -> Part:
    x, y = part
    if isinstance(x, dict):
        return {name: column[rows] for name, column in x.items()}, y[rows]
    return x[rows], y[rows]


def _digits() -> Data:
    """scikit-learn's 8x8 digits, a fixed fifth of them to judge by."""
    from sklearn.datasets import load_digits
    from sklearn.model_selection import train_test_split

    images, labels = load_digits().images.astype(np.float32), load_digits().target
    parts = train_test_split(
        images[..., None], labels, test_size=0.2, random_state=0, stratify=labels
    )
    return Data([(tuple(parts[::2]), tuple(parts[1::2]))])


def _several() -> Data:
    """The same, half by image and half by how dark its rows and columns are."""
    [parts] = _digits().folds
    train, test = (_halves(*part) for part in parts)
    return Data([(train, test)], {"layout": {"image": "images", "profile": "table"}})


def _halves(images: Array, labels: Array) -> Part:
    """Digits of which the right half is hidden, and the sums of what was there."""
    left, right = images.copy(), images[:, :, 4:, 0]
    left[:, :, 4:] = 0
    profile = np.concatenate([right.sum(axis=1), right.sum(axis=2)], axis=1)
    return {"image": left, "profile": profile}, labels


def _fashion() -> Data:
    """20,000 of the images of Fashion-MNIST, and its whole test part."""
    train, test = _arrays("fashion_mnist.npz")
    return Data([(_drawn(train, 20_000), test)])


def _fsdd() -> Data:
    """Spoken digits, 49 frames of 40 log-mel bands."""
    (x, y), (x_test, y_test) = _arrays("fsdd_logmel.npz")
    parts = (x.astype(np.float32), y), (x_test.astype(np.float32), y_test)
    return Data([parts], {"layout": "audio"})


def _series(name: str) -> Data:
    """Time series of several channels, which the files have first."""
    train, test = ((x.transpose(0, 2, 1), y) for x, y in _arrays(name))
    return Data([(train, test)])


def _waveforms() -> Data:
    """Synthesized vowels and glides at 8 kHz."""
    x, y = waveforms.vowels(2500)
    return Data(
        [((x[:1500], y[:1500]), (x[1500:], y[1500:]))],
        {"sample_rate": waveforms.SAMPLE_RATE},
    )


def _table(name: str) -> Data:
    """The columns of a table that comes with scikit-learn, in five folds."""
    from sklearn import datasets
    from sklearn.model_selection import KFold, StratifiedKFold

    table = getattr(datasets, f"load_{name}")()
    columns = dict(zip(map(str, table.feature_names), table.data.T, strict=True))
    part = columns, table.target
    kind = StratifiedKFold if table.target.dtype.kind == "i" else KFold
    folds = kind(_FOLDS, shuffle=True, random_state=0).split(table.data, table.target)
    return Data([(_taken(part, train), _taken(part, test)) for train, test in folds])


def _segmentation(kinds: tuple[int, ...] | None) -> Data:
    """Of which kind of garment each pixel of a scene is."""
    return Data([tuple((part.images, part.masks) for part in _scenes(16_000, kinds))])


def _detection(kinds: tuple[int, ...] | None) -> Data:
    """Where in a scene which kind of garment is."""
    return Data([tuple((part.images, part.boxes) for part in _scenes(10_000, kinds))])


def _scenes(count: int, kinds: tuple[int, ...] | None) -> Any:
    """Scenes other than those of seed 0, on which kinds and sizes were chosen."""
    return scenes.fashion(count, 1000, kinds=kinds, seed=100)


def _multilabel() -> Data:
    """Which kinds of garment a small scene shows."""
    train, test = scenes.fashion(5000, 1000, (48, 48))
    kinds = np.arange(max(scenes.KINDS) + 1)
    return Data(
        [
            tuple(
                (part.images, (part.boxes[:, :, 4:] == kinds).any(axis=1).astype(np.float32))
                for part in (train, test)
            )
        ]
    )


def _text() -> Data:
    """From which of four packages a paragraph of documentation is."""
    return Data([tuple((part.x, part.y) for part in text.origins())])


def _language() -> Data:
    """The next character of Python's manual."""
    train, test = text.language()
    parts = (train.x, train.y), (test.x, test.y)
    # In minutes a recurrent network learns more of characters than a transformer does.
    return Data([parts], {"vocabulary": train.vocabulary, "space": "recurrent"})


def _arrays(name: str) -> tuple[Part, Part]:
    with np.load(Path(os.environ["KERASNAS_DATA"], name)) as file:
        train, test = ((file[f"x_{part}"], file[f"y_{part}"]) for part in ("train", "test"))
    return train, test


PROBLEMS: dict[str, Problem] = {
    "digits": Problem(_digits, "3m"),
    "fashion": Problem(_fashion, "5m"),
    "multilabel": Problem(_multilabel, "3m"),
    "scenes-segmentation": Problem(lambda: _segmentation(scenes.KINDS), "10m"),
    "scenes-detection": Problem(lambda: _detection(scenes.KINDS), "10m"),
    "fsdd": Problem(_fsdd, "4m"),
    "waveforms": Problem(_waveforms, "2m"),
    "motions": Problem(lambda: _series("ts_BasicMotions.npz"), "90s"),
    "vowels": Problem(lambda: _series("ts_JapaneseVowels.npz"), "3m"),
    "text": Problem(_text, "2m"),
    "language": Problem(_language, "8m", "perplexity"),
    "cancer": Problem(lambda: _table("breast_cancer"), "40s"),
    "wine": Problem(lambda: _table("wine"), "40s"),
    "diabetes": Problem(lambda: _table("diabetes"), "40s"),
    "several": Problem(_several, "2m"),
}
"""Problems by name: all that run unless some are named."""


VARIANTS: dict[str, Problem] = {
    "clothes-segmentation": Problem(lambda: _segmentation(scenes.CLOTHES), "10m"),
    "garments-segmentation": Problem(lambda: _segmentation(None), "10m"),
    "garments-detection": Problem(lambda: _detection(None), "10m"),
}
"""The same with other classes: easier with dresses among tops, harder with all ten."""


def main() -> None:
    """Run the searches asked for; a line of JSON each."""
    known = [*PROBLEMS, *VARIANTS]
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(known))
    parser.add_argument("--max-time", help="of each search; else as each problem says")
    parser.add_argument("--max-trials", type=int)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--verbose", type=int, default=1, help="0: no progress on stderr")
    options = parser.parse_args()
    unknown = sorted(set(options.names) - set(known))
    if unknown:
        parser.error(f"unknown: {', '.join(unknown)}; known: {', '.join(known)}")
    asked: dict[str, Any] = {"verbose": options.verbose}
    if options.max_trials is not None:
        asked["max_trials"] = options.max_trials
    for name in options.names or PROBLEMS:
        for seed in options.seeds:
            figures = run(name, max_time=options.max_time, seed=seed, **asked)
            print(json.dumps(figures), flush=True)


if __name__ == "__main__":
    main()

"""A race: the same images, cores and minutes for every searcher, to a trained network.

    KERASNAS_DATA=... python -m benchmarks.race --autokeras-python PATH/bin/python
    python -m benchmarks.race --data cifar10 --minutes 60 --contestants ours ours-random
    python -m benchmarks.race --report                    # the table of what is there already

| contestant                   | what it is                                                   |
|------------------------------|--------------------------------------------------------------|
| `ours`                       | `kerasnas.search`, `strategy="auto"`                         |
| `ours-random`                | the same search, candidates at random                        |
| `keras-tuner-bo`             | KerasTuner's BayesianOptimization on the same space, trained |
|                              | as its guides do                                             |
| `keras-tuner-hyperband`      | KerasTuner's Hyperband, likewise                             |
| `keras-tuner-random`         | KerasTuner's RandomSearch, likewise                          |
| `keras-tuner-bo?recipe=ours` | its search alone: candidates, and the best at the end, are   |
|                              | trained as ours                                              |
| `autokeras`                  | AutoKeras 3's `ImageClassifier` with spaces of its own       |
| `largest`                    | no search: the largest network in the limit that a climb on  |
|                              | bytes finds, trained as ours for the whole time              |
| `largest-macs`               | likewise, by multiply-accumulates                            |

Settings follow a name as in a URL; they are described by the methods of
`race_contestants.py`, `race_recipes.py` and `race_autokeras.py`.

Each run is a process of its own, one after the other, on the first `--cores` processors. Its
clock starts before the process does, so that imports count, and the process is killed half a
minute after the clock has run down. What it has left by then is judged; the table tells by
how much a model was late. Where the model is over the limit, which AutoKeras knows nothing
of, the table says so. A contestant is given training images alone; how they are split is its
own affair. Another process tells the classes of the test images by the model and by an int8
file, when the clock has stopped; the labels stay with this one. Files for those that make none
are made after the clock.

A run leaves one JSON in `--output` and is not repeated while that is there, so that the same
call continues a race; one that failed is tried again. Other settings behind a name, or other
sources of a contestant, make another run, and another row of the table: see `code`.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import hashlib
import itertools
import json
import os
import re
import resource
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

import numpy as np
from numpy.typing import NDArray

from benchmarks.race_entry import ANSWERS, FACTS, FILE, MODEL, Entry
from benchmarks.race_report import report
from kerasnas.limits import parse_limits

__all__ = ["CONTESTANTS", "Part", "Race", "code", "contestant"]

Array = NDArray[Any]

ROOT = Path(__file__).resolve().parent.parent
CACHE = Path(__file__).parent / ".cache"
_DATA_VARIABLE = "KERASNAS_DATA"
_GRACE = 30.0  # seconds after which a contestant that does not end is killed
_PUNCTUAL = 2.0  # seconds after the clock in which a model is not called late
_JUDGING = 1800.0  # seconds for the answers to the test images
_TOLD = 1500  # characters of a log that tell why a run failed

AUTOKERAS = "autokeras"
CONTESTANTS: dict[str, tuple[str, dict[str, Any]]] = {
    "ours": ("search", {"strategy": "auto"}),
    "ours-random": ("search", {"strategy": "random"}),
    "keras-tuner-bo": ("tuner", {"tuner": "BayesianOptimization"}),
    "keras-tuner-hyperband": ("tuner", {"tuner": "Hyperband", "epochs": 9}),
    AUTOKERAS: (AUTOKERAS, {}),
    "largest": ("largest", {"by": "flash"}),
    "keras-tuner-random": ("tuner", {"tuner": "RandomSearch"}),
    "largest-macs": ("largest", {"by": "macs"}),
}
_USUAL = (
    "ours",
    "ours-random",
    "keras-tuner-bo",
    "keras-tuner-hyperband",
    "keras-tuner-bo?recipe=ours",
    AUTOKERAS,
    "largest",
)

# What makes a contestant what it is: sources, relative to the root, by method.
_SHARED = ("benchmarks/race_entry.py", "benchmarks/race_clock.py")
_OURS = (
    *_SHARED,
    "benchmarks/race_contestants.py",
    "benchmarks/race_recipes.py",
    "edge_devices",
    "kerasnas",
    "search_spaces",
    "tflite_export",
)
_SOURCES = {
    AUTOKERAS: (
        *_SHARED,
        "benchmarks/race_autokeras.py",
        "benchmarks/requirements-autokeras.txt",
    )
}


def contestant(spec: str) -> tuple[str, dict[str, Any]]:
    """Method and settings of `NAME?key=value&key=value`.

    Raises:
        ValueError: If there is no contestant of this name.
    """
    name, _, query = spec.partition("?")
    if name not in CONTESTANTS:
        raise ValueError(
            f"Unknown contestant. Received: {spec!r}. Use {', '.join(CONTESTANTS)}, "
            "with settings as in `ours?strategy=random`."
        )
    method, settings = CONTESTANTS[name]
    return method, settings | {key: _literal(value) for key, value in parse_qsl(query)}


def _literal(value: str) -> Any:
    try:
        return json.loads(value)
    except ValueError:
        return value


def code(spec: str, root: Path = ROOT) -> str:
    """A short hash of what a contestant is: its settings, and the sources it runs on.

    Args:
        spec: The contestant.
        root: Of the sources.
    """
    method, settings = contestant(spec)
    digest = hashlib.sha256(json.dumps([method, settings], sort_keys=True).encode())
    for source in _SOURCES.get(method, _OURS):
        path = root / source
        for each in sorted(path.rglob("*.py")) if path.is_dir() else [path]:
            digest.update(str(each.relative_to(root)).encode() + b"\0" + each.read_bytes())
    return digest.hexdigest()[:8]


@dataclasses.dataclass(frozen=True)
class Part:
    """The files of a problem: one for contestants, and in another folder those for judges.

    Attributes:
        train: Training images and labels, which contestants are given.
        inputs: Test images, which the judging process is given when the clock has stopped.
        labels: Their labels, which no other process is given.
    """

    train: Path
    inputs: Path
    labels: Path

    @classmethod
    def prepared(
        cls,
        data: str,
        source: Path,
        folder: Path,
        *,
        examples: int = 20_000,
        tests: int | None = None,
    ) -> Part:
        """Files of a data set, written if they are not there.

        Args:
            data: A name in `DATA`.
            source: Folder with the data sets.
            folder: Where the files go, those for judges under `judges`.
            examples: Training images, drawn once and for all.
            tests: Test images at most; `None` takes all.
        """
        stem = f"{data}-{examples}-{tests or 'all'}"
        judges = folder / "judges"
        part = cls(
            folder / "contestants" / f"{stem}.npz",
            judges / f"{stem}-inputs.npy",
            judges / f"{stem}-labels.npy",
        )
        if part.labels.exists():
            return part
        for path in (part.train, part.labels):
            path.parent.mkdir(parents=True, exist_ok=True)
        (x, y), (x_test, y_test) = DATA[data](source)
        rows = np.sort(np.random.default_rng(0).permutation(len(y))[:examples])
        np.savez(part.train, x=x[rows], y=y[rows].astype(np.int64))
        np.save(part.inputs, x_test[:tests])
        np.save(part.labels, y_test[:tests].astype(np.int64))  # last: then all are there
        return part


def _fashion(source: Path) -> Any:
    with np.load(source / "fashion_mnist.npz") as data:
        return tuple(
            (data[f"x_{part}"][..., None], data[f"y_{part}"]) for part in ("train", "test")
        )


def _cifar10(source: Path) -> Any:
    """CIFAR-10 of JPEG images, which is not quite the original."""
    import tensorflow as tf  # for nothing but this

    def decoded(data: Any, part: str) -> Array:
        joined, ends = data[f"jpeg_{part}"].tobytes(), data[f"offs_{part}"].tolist()
        pairs = itertools.pairwise(ends)
        return np.stack([tf.io.decode_jpeg(joined[a:b], 3).numpy() for a, b in pairs])

    with np.load(source / "cifar10_jpeg_bytes.npz") as data:
        return tuple((decoded(data, part), data[f"y_{part}"]) for part in ("train", "test"))


DATA: dict[str, Callable[[Path], Any]] = {"fashion": _fashion, "cifar10": _cifar10}


@dataclasses.dataclass(frozen=True)
class Race:
    """What is the same for all contestants.

    Attributes:
        output: Folder of the results; scratch is beneath it.
        data: Name of the problem.
        examples: Training images.
        part: Its files.
        minutes: Of wall time, for everything to a trained model.
        flash: Bytes that an int8 file may have.
        cores: Processors that contestants have; this process has them too.
        python: That of a contestant with an environment of its own, by method.
    """

    output: Path
    data: str
    examples: int
    part: Part
    minutes: float
    flash: int
    cores: int = 2
    python: Mapping[str, str] = dataclasses.field(default_factory=dict)

    def record(self, spec: str, seed: int) -> dict[str, Any]:
        """The result of one run, which is made if it is not there."""
        made_of = code(spec)
        stem = self._stem(spec, seed, made_of)
        path = self.output / f"{stem}.json"
        if path.exists():
            known: dict[str, Any] = json.loads(path.read_text())
            if "accuracy" in known:
                return known
        found = {"code": made_of, **self._run(spec, seed, self.output / "runs" / stem)}
        if code(spec) != made_of:
            found["code"] += " (changed meanwhile)"
        partial = path.with_suffix(".partial")
        partial.write_text(json.dumps(found, indent=1))
        os.replace(partial, path)
        return found

    def _stem(self, spec: str, seed: int, made_of: str) -> str:
        name = re.sub(r"[^\w.=-]+", "_", spec)
        terms = f"{self.flash}B-{self.minutes:g}m-{self.cores}c"
        return f"{self.part.train.stem}-{terms}-{name}-{made_of}-{seed}"

    def _run(self, spec: str, seed: int, folder: Path) -> dict[str, Any]:
        method, settings = contestant(spec)
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        labels = np.load(self.part.labels)
        found: dict[str, Any] = {
            "contestant": spec,
            "data": self.data,
            "examples": self.examples,
            "tests": len(labels),
            "seed": seed,
            "minutes": self.minutes,
            "flash": self.flash,
            "cores": self.cores,
            "when": time.strftime("%Y-%m-%d %H:%M"),
            "load_before": round(os.getloadavg()[0], 2),
        }
        contest, judge = self._commands(method)
        entry = Entry(
            method=method,
            settings=settings,
            train=self.part.train,
            folder=folder,
            seed=seed,
            began=time.time(),
            seconds=60 * self.minutes,
            flash=self.flash,
        )
        log = folder / "log.txt"
        found |= self._timed([*contest, *entry.arguments()], entry, log)
        if (folder / MODEL).exists():
            found["late"] = _late(entry)
            self._answer([*judge, str(folder)], log)
        if (folder / FACTS).exists():
            found |= json.loads((folder / FACTS).read_text())
        if (folder / ANSWERS).exists():
            found |= _judged(folder / ANSWERS, labels)
            found["fits"] = found.get("file_bytes", np.inf) <= self.flash
            shutil.rmtree(folder / "work", ignore_errors=True)
        else:
            found["error"] = log.read_text(errors="replace")[-_TOLD:]
        return found

    def _commands(self, method: str) -> tuple[list[str], list[str]]:
        """How a contestant is started, and how it is asked for its answers."""
        if method in self.python:
            own = [self.python[method], "-m", f"{__package__}.race_{method}"]
            return [*own, "contest"], [*own, "answer"]
        ours = [sys.executable, "-m"]
        return [*ours, f"{__package__}.race_contestants"], [
            *ours,
            f"{__package__}.race_answers",
        ]

    def _answer(self, command: list[str], log: Path) -> None:
        told = ["--inputs", str(self.part.inputs), "--train", str(self.part.train)]
        # Without answers the run has failed, and its log says why.
        with log.open("a") as file, contextlib.suppress(subprocess.TimeoutExpired):
            subprocess.run(
                [*command, *told],
                stdout=file,
                stderr=subprocess.STDOUT,
                cwd=ROOT,
                env=_environment(),
                timeout=_JUDGING,
                check=False,
            )

    def _timed(self, command: list[str], entry: Entry, log: Path) -> dict[str, Any]:
        """Run a contestant until it ends or is killed."""
        used = resource.getrusage(resource.RUSAGE_CHILDREN)
        with log.open("w") as file:
            process = subprocess.Popen(
                command,
                stdout=file,
                stderr=subprocess.STDOUT,
                cwd=ROOT,
                env=_environment(),
                start_new_session=True,
            )
            killed = False
            try:
                process.wait(entry.began + entry.seconds + _GRACE - time.time())
            except subprocess.TimeoutExpired:
                killed = True
            finally:  # also where this process is interrupted
                if process.poll() is None:
                    os.killpg(process.pid, signal.SIGKILL)
                    process.wait()
        seconds = time.time() - entry.began
        now = resource.getrusage(resource.RUSAGE_CHILDREN)
        return {
            "seconds": round(seconds, 1),
            "cpu_seconds": round(
                now.ru_utime + now.ru_stime - used.ru_utime - used.ru_stime, 1
            ),
            "killed": killed,
            "exit_code": process.returncode,
        }


def _environment() -> dict[str, str]:
    """That of this process, without the way to the data sets."""
    kept = {name: value for name, value in os.environ.items() if name != _DATA_VARIABLE}
    return {**kept, "CUDA_VISIBLE_DEVICES": "-1", "KERAS_BACKEND": "tensorflow"}


def _late(entry: Entry) -> float:
    """Seconds from the end of the clock to the last that was handed in, 0 if in time."""
    paths = [entry.folder / name for name in (MODEL, FILE)]
    handed_in = max(path.stat().st_mtime for path in paths if path.exists())
    late = handed_in - entry.began - entry.seconds
    return round(late, 1) if late > _PUNCTUAL else 0.0


def _judged(answers: Path, labels: Array) -> dict[str, float]:
    with np.load(answers) as told:
        names = {"model": "accuracy", "tflite": "accuracy_int8"}
        return {names[key]: float(np.mean(told[key] == labels)) for key in told.files}


def main() -> None:
    """Run the race, or what is left of it, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", choices=DATA, default="fashion")
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1])
    parser.add_argument("--contestants", nargs="+", default=list(_USUAL))
    parser.add_argument("--limit", default="128KB", help="flash of the int8 file")
    parser.add_argument("--cores", type=int, default=2)
    parser.add_argument("--examples", type=int, default=20_000)
    parser.add_argument("--tests", type=int, help="test images at most, for a quick look")
    parser.add_argument("--autokeras-python", help="see requirements-autokeras.txt")
    parser.add_argument("--source", type=Path, default=os.environ.get(_DATA_VARIABLE))
    parser.add_argument("--output", type=Path, default=CACHE / "race")
    parser.add_argument("--report", action="store_true", help="run nothing")
    arguments = parser.parse_args()
    try:
        methods = {spec: contestant(spec)[0] for spec in arguments.contestants}
    except ValueError as error:
        parser.error(str(error))
    output = arguments.output.resolve()
    if arguments.report:
        records = [json.loads(path.read_text()) for path in sorted(output.glob("*.json"))]
        print(report(records))
        return
    if arguments.source is None:
        parser.error("no folder of data sets: pass --source or set KERASNAS_DATA")
    python = {}
    if arguments.autokeras_python:
        python[AUTOKERAS] = arguments.autokeras_python
    if hasattr(os, "sched_setaffinity"):  # contestants inherit it
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: arguments.cores])
    race = Race(
        output=output,
        data=arguments.data,
        examples=arguments.examples,
        part=Part.prepared(
            arguments.data,
            arguments.source,
            output / "data",
            examples=arguments.examples,
            tests=arguments.tests,
        ),
        minutes=arguments.minutes,
        flash=int(parse_limits({"flash": arguments.limit})["flash"]),
        cores=arguments.cores,
        python=python,
    )
    records = []
    for seed in arguments.seeds:
        for spec, method in methods.items():
            if method == AUTOKERAS and not arguments.autokeras_python:
                print(f"{spec} is left out: pass --autokeras-python", file=sys.stderr)
                continue
            found = race.record(spec, seed)
            records.append(found)
            told = {key: found.get(key) for key in ("accuracy", "seconds", "trials")}
            print(json.dumps({"contestant": spec, "seed": seed, **told}), file=sys.stderr)
    print(report(records))


if __name__ == "__main__":
    main()

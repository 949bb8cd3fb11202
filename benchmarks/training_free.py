"""What scores without training are worth, by rank correlation with trained accuracies.

    python -m benchmarks.training_free mobile nb201 --cache scores

| part     | members                                   | accuracy                          |
|----------|-------------------------------------------|-----------------------------------|
| `mobile` | 60 random ones of `MobileNet`, `LIMITS`   | trained here on Fashion-MNIST     |
| `nb201`  | 60 random cells of NAS-Bench-201          | test, mean of seeds, of the table |

A member of `mobile` is trained by the recipe of a search on 5,000 images for 5 epochs and
judged on the 10,000 test images, which takes some 15 s on one core. Cells are scored in stages
of one cell instead of five. Scores get 64 images (32 of CIFAR-10) and weights as initialised.
What is known of a member is kept in files of its own in `--cache`, so that the program can be
stopped and started again.

The tables have Spearman's correlation with 95 % intervals (percentiles over resampled
members); what is left of it among members of equal MACs (the partial correlation of ranks);
and the difference from the better one of params and MACs: a score beats them if that interval
is above zero. The member that a score puts first, and its accuracy's place among all, say what
a seed would be worth.
"""

from __future__ import annotations

import os

os.environ.update(OMP_NUM_THREADS="1", TF_NUM_INTRAOP_THREADS="1", TF_NUM_INTEROP_THREADS="1")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import argparse
import functools
import json
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import keras_tuner
import numpy as np
import numpy.typing as npt

from benchmarks.ranks import partial, resampled
from benchmarks.regret import interval
from kerasnas import data
from kerasnas.journal import write_atomically
from kerasnas.limits import parse_limits, violation
from kerasnas.scoring import outputs_of
from kerasnas.training import Recipe, Trained
from kerasnas.training_free import SCORES, summed_ranks
from search_spaces.costs import costs
from search_spaces.members import Member, draws
from search_spaces.mobile import MobileNet
from search_spaces.nasbench201 import NASBench201Cells
from search_spaces.realise import realise
from search_spaces.space import SearchSpace

LIMITS = {"params": "300k", "macs": "4M"}
RECIPE = Recipe(epochs=5, batch_size=64)
SUMS = {"naswot+synflow": ("naswot", "synflow"), "synflow+macs": ("synflow", "macs")}
_TRAIN, _BATCH, _SEED = 5_000, 64, 0
_CELLS = 1  # a stage; scoring the 5 that were trained takes five times as long

Array = npt.NDArray[np.float64]


class Part(NamedTuple):
    """Members with what is known of them.

    Attributes:
        space: Their space.
        x: The batch that scores get.
        y: Its labels.
        members: Some members.
        accuracy: Accuracy of one, %, trained now or looked up.
    """

    space: SearchSpace
    x: Any
    y: Any
    members: list[Member]
    accuracy: Callable[[Member], float]


def members(space: SearchSpace, count: int, limits: Mapping[str, str]) -> list[Member]:
    """Return the first random members that keep the limits, no network twice."""
    bounds, found = parse_limits(limits), dict[str, Member]()
    for one in draws(space, 100 * count, _SEED):
        if violation(costs(one.network), bounds) == 0.0:
            found.setdefault(one.network.digest, one)
        if len(found) == count:
            return list(found.values())
    raise ValueError(
        f"Too few members keep the limits. Received: {len(found)} of {count} within {limits}. "
        "Raise the limits."
    )


# --- the mobile space, trained here -----------------------------------------------------


def mobile(folder: Path, count: int) -> Part:
    """Return members of the mobile space and how they are trained."""
    problem = fashion(folder)
    space = MobileNet(problem.input_shape, task=problem.task, rescaling=problem.rescaling)
    x, y = problem.train.x[:_BATCH], problem.train.y[:_BATCH]
    trained = functools.partial(accuracy, space, problem)
    return Part(space, x, y, members(space, count, LIMITS), trained)


def fashion(folder: Path) -> data.Data:
    """Return a fixed part of the training images, and the test images to judge by."""
    with np.load(folder / "fashion_mnist.npz") as file:
        x, y, x_test, y_test = (
            file[f"{a}_{part}"] for part in ("train", "test") for a in "xy"
        )
    part = np.random.default_rng(_SEED).permutation(len(x))[:_TRAIN]
    return data.load((x[part], y[part]), (x_test, y_test), layout="images", seed=_SEED)


def accuracy(space: SearchSpace, problem: data.Data, member: Member) -> float:
    """Train a member and return its accuracy on the test images, %."""
    hp = keras_tuner.HyperParameters()
    hp.values = dict(member.values)
    trained = Trained(space, RECIPE)
    model = trained.build(hp)
    trained.fit(hp, model, problem.train)
    judged = problem.validation
    found = problem.task.scores(judged.y, outputs_of(model, judged))
    return 100.0 * found["accuracy"]


# --- NAS-Bench-201, from its table ------------------------------------------------------


def nb201(folder: Path, count: int) -> Part:
    """Return cells of NAS-Bench-201 with their published test accuracies on CIFAR-10."""
    with np.load(folder / "nasbench201.npz") as table:
        ops, x, test = table["ops"].tolist(), table["x"], table["cifar10_test200"]
    known = {tuple(row): float(value) for row, value in zip(x.tolist(), test, strict=True)}
    images, labels = cifar(folder, _BATCH // 2)
    # What the benchmark's trainings saw: standardised by channel.
    mean, deviation = images.mean(axis=(0, 1, 2)), images.std(axis=(0, 1, 2))
    scale = (1 / deviation).tolist(), (-mean / deviation).tolist()
    rescaling = tuple(map(tuple, scale))
    space = NASBench201Cells((32, 32, 3), 10, rescaling=rescaling, cells=_CELLS)

    def looked_up(member: Member) -> float:
        return known[tuple(ops.index(member.values[f"cell/edge{i}"]) for i in range(6))]

    return Part(space, images, labels, members(space, count, {}), looked_up)


def cifar(folder: Path, count: int) -> tuple[Array, npt.NDArray[np.int64]]:
    """Return the first training images of CIFAR-10 and their labels."""
    import tensorflow as tf

    with np.load(folder / "cifar10_jpeg_bytes.npz") as file:
        content, starts, y = file["jpeg_train"], file["offs_train"], file["y_train"]
        files = [content[starts[i] : starts[i + 1]].tobytes() for i in range(count)]
        labels = y[:count].astype(int)
    images = np.stack([tf.io.decode_jpeg(one, channels=3).numpy() for one in files])
    return images.astype(np.float64), labels


PARTS = {"mobile": mobile, "nb201": nb201}


# --- what is known of members -----------------------------------------------------------


def kept(path: Path, ask: Callable[[], Any]) -> Any:
    """Return what a file holds; if there is none, what is answered now."""
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, json.dumps(ask()))
    return json.loads(path.read_text(encoding="utf-8"))


def scored(part: Part, member: Member) -> dict[str, list[float]]:
    """Return the scores of a member as initialised, each with its milliseconds."""
    model = realise(member.network, seed=_SEED)
    model.compile(**part.space.task.compile_arguments())
    found = {}
    for name, score in SCORES.items():
        began = time.perf_counter()
        value = score.ask(model, part.x, part.y)
        found[name] = [value, 1000 * (time.perf_counter() - began)]
    return found


def known(name: str, part: Part, cache: Path) -> tuple[Array, dict[str, Array], Array]:
    """Return accuracies, scores by name, and the median milliseconds of each score."""
    scores, accuracies = [], []
    for number, one in enumerate(part.members):
        stem = f"{name}_{one.network.digest[:16]}"
        began = time.monotonic()
        scores.append(kept(cache / f"{stem}_scores.json", lambda one=one: scored(part, one)))
        accuracies.append(kept(cache / f"{stem}.json", lambda one=one: part.accuracy(one)))
        seconds = time.monotonic() - began
        print(f"{name} {number}: {accuracies[-1]:.2f} %, {seconds:.1f} s", file=sys.stderr)
    columns = {key: np.array([row[key][0] for row in scores]) for key in SCORES}
    took = np.median([[row[key][1] for key in SCORES] for row in scores], axis=0)
    return np.array(accuracies), columns, took


# --- statistics -------------------------------------------------------------------------


def table(accuracies: Array, scores: Mapping[str, Array], took: Mapping[str, float]) -> str:
    """Return the correlations as a table in Markdown, the strongest first."""
    drawn = {name: resampled(column, accuracies) for name, column in scores.items()}
    size = max(("params", "macs"), key=lambda name: drawn[name][0])
    lines = [
        f"| score | Spearman | at equal MACs | less {size}'s | its first, place | ms |",
        "|---" * 6 + "|",
    ]
    for name in sorted(drawn, key=lambda name: -drawn[name][0]):
        first = int(np.argmax(scores[name]))
        place = 1 + int((accuracies > accuracies[first]).sum())
        cells = [
            name,
            _interval(drawn[name]),
            f"{partial(scores[name], accuracies, scores['macs']):+.2f}",
            _interval(drawn[name] - drawn[size]) if name != size else "",
            f"{accuracies[first]:.2f} %, {place}",
            f"{took[name]:.0f}" if name in took else "",
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def _interval(drawn: Array) -> str:
    low, high = interval(drawn[1:])
    return f"{drawn[0]:+.2f} ({low:+.2f} to {high:+.2f})"


def main() -> int:
    """Print a table in Markdown for each part."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("parts", nargs="*", default=list(PARTS))
    parser.add_argument("--data", default=os.environ.get("KERASNAS_DATA", "."))
    parser.add_argument("--count", type=int, default=60, help="members of each")
    parser.add_argument("--cache", required=True, help="folder for what is known of members")
    options = parser.parse_args()
    for name in options.parts:
        part = PARTS[name](Path(options.data), options.count)
        accuracies, scores, took = known(name, part, Path(options.cache))
        scores |= {
            joint: summed_ranks({one: scores[one] for one in names})
            for joint, names in SUMS.items()
        }
        low, high = accuracies.min(), accuracies.max()
        print(f"\n{name}: {len(accuracies)} members, {low:.2f} to {high:.2f} %\n")
        print(table(accuracies, scores, dict(zip(SCORES, took, strict=True))), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())

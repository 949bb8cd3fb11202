"""Problems on which searches are replayed: tables of trained networks, and a stated function.

| name             | candidates | loss                    | one observation is           |
|------------------|------------|-------------------------|------------------------------|
| `macro`          | 6,561      | 100 - test accuracy, %  | one of three trainings       |
| `nb201-cifar10`  | 15,625     | 100 - validation acc, % | one of up to three trainings |
| `nb201-cifar100` | 15,625     | the same                | the same                     |
| `nb201-looks`    | 15,625     | the same, CIFAR-10      | the only one of 12 epochs    |
| `fcnet-naval`    | 62,208     | log10 of the MSE        | log10 of Normal(mean, std)   |
| `fcnet-slice`    | 62,208     | the same                | the same                     |
| `macro-30m`      | 240        | as `macro`              | at most 30 M MACs            |
| `mobile`         | 4e11       | `benchmarks/mobile.py`  | with normal noise            |

The tables are described in the README of the data folder; nothing here is fitted to them.
"""

from __future__ import annotations

import abc
import functools
import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import keras_tuner
import numpy as np
import numpy.typing as npt

from benchmarks.grid import Grid, Values

__all__ = ["PROBLEMS", "TABLES", "Lengths", "Problem", "Table", "lengths", "load"]

Array = npt.NDArray[np.float64]

TABLES = ("macro", "nb201-cifar10", "nb201-cifar100", "fcnet-naval", "fcnet-slice")
PROBLEMS = (*TABLES, "nb201-looks", "macro-30m", "mobile")
LOOK, FULL = 12, 200  # epochs of the two trainings that NAS-Bench-201 has of each network

_LIMIT = 30e6  # multiply-accumulates of `macro-30m`


class Problem(abc.ABC):
    """What a search is run on: a space, what a trial reports, and what is true.

    Attributes:
        name: Its name on the command line.
        limits: Upper bounds on costs that every candidate has to keep.
        optimum: The smallest `truth` of all candidates that keep the limits.
        checkpoints: Numbers of trials at which searches are compared.
    """

    name: str
    optimum: float
    limits: Mapping[str, float] = {}
    checkpoints: tuple[int, ...] = (25, 50, 100)

    @abc.abstractmethod
    def hyperparameters(self) -> keras_tuner.HyperParameters:
        """Return the space."""

    @abc.abstractmethod
    def costs(self, values: Values) -> dict[str, float]:
        """Return what is known of a candidate without training it."""

    @abc.abstractmethod
    def observe(self, values: Values, rng: np.random.Generator) -> float:
        """Return the loss that one training reports."""

    @abc.abstractmethod
    def truth(self, values: Values) -> float:
        """Return the mean loss over trainings, by which searches are judged."""

    def test(self, values: Values) -> float | None:
        """Return the candidate's mean test accuracy in %, where there is one."""
        return None

    @functools.cached_property
    def grid(self) -> Grid:
        """The space as a grid."""
        return Grid(self.hyperparameters())

    def allowed(self, values: Values) -> bool:
        """Tell whether a candidate keeps the limits."""
        if not self.limits:
            return True
        costs = self.costs(values)
        return all(costs[name] <= bound for name, bound in self.limits.items())


class Table(Problem):
    """A table of trained networks over a full grid.

    Args:
        name: Its name on the command line.
        options: Options of each decision, strings for unordered ones.
        rows: Row of the table by option indices, in C order; `None` if it is in that order.
        truth: Mean loss of each row.
        observe: Loss of one training of a row.
        costs: Costs by name, one figure a row.
        test: Mean test accuracy of each row, %.
        limits: Upper bounds on costs.
    """

    def __init__(
        self,
        name: str,
        options: Mapping[str, list[Any]],
        rows: npt.NDArray[np.int64] | None,
        truth: Array,
        observe: Callable[[int, np.random.Generator], float],
        costs: Mapping[str, Array],
        test: Array | None = None,
        limits: Mapping[str, float] | None = None,
    ):
        self.name = name
        self.limits = limits or {}
        self._options = {name: list(choices) for name, choices in options.items()}
        self._shape = tuple(len(choices) for choices in self._options.values())
        self._rows = np.arange(truth.size) if rows is None else rows
        self._truth, self._observe, self._costs, self._test = truth, observe, costs, test
        kept = np.all([costs[k] <= v for k, v in self.limits.items()] or [True], axis=0)
        self.optimum = float(np.min(truth[kept & np.isfinite(truth)]))

    def hyperparameters(self) -> keras_tuner.HyperParameters:
        hp = keras_tuner.HyperParameters()
        for name, choices in self._options.items():
            hp.Choice(name, choices)
        return hp

    def row(self, values: Values) -> int:
        """Return the row of the table that holds a candidate."""
        index = [choices.index(values[name]) for name, choices in self._options.items()]
        return int(self._rows[np.ravel_multi_index(index, self._shape)])

    def costs(self, values: Values) -> dict[str, float]:
        row = self.row(values)
        return {name: float(figures[row]) for name, figures in self._costs.items()}

    def observe(self, values: Values, rng: np.random.Generator) -> float:
        return self._observe(self.row(values), rng)

    def truth(self, values: Values) -> float:
        return float(self._truth[self.row(values)])

    def test(self, values: Values) -> float | None:
        return None if self._test is None else float(self._test[self.row(values)])


@functools.cache
def load(name: str, data: str | None = None) -> Problem:
    """Return a problem by name.

    Args:
        name: One of `PROBLEMS`.
        data: Folder of the tables; by default what `KERASNAS_DATA` names.

    Raises:
        ValueError: If there is no such problem.
        FileNotFoundError: If its table is not there.
    """
    kind, _, rest = name.partition("-")
    if name not in PROBLEMS:
        raise ValueError(f"Unknown problem. Received: {name!r}. Use one of {PROBLEMS}.")
    if name == "mobile":
        from benchmarks.mobile import Mobile

        return Mobile()
    if kind == "macro":
        return _macro(_read("nasbench_macro.npz", data), name)
    if name == "nb201-looks":
        return _looks(_read("nasbench201.npz", data), name, "cifar10")
    if kind == "nb201":
        return _nb201(_read("nasbench201.npz", data), name, rest)
    return _fcnet(_read("fcnet.npz", data), name, rest)


class Lengths:
    """Networks of NAS-Bench-201 trained for 12 or for 200 epochs, and how long it takes.

    The two are trainings of their own, each with a learning rate that falls to nothing, so
    the longer one is no continuation of the shorter. The table has one of 12 epochs, and up
    to three of 200.

    Args:
        problem: The table.
        looks: Validation error of each row after 12 epochs, %.
        seconds: What 200 epochs take.
    """

    def __init__(self, problem: Table, looks: Array, seconds: Array):
        self.problem, self._looks, self._seconds = problem, looks, seconds
        self.mean_seconds = float(seconds.mean())

    def observe(self, values: Values, epochs: int, rng: np.random.Generator) -> float:
        """Return the validation error, in %, of one training of so many epochs."""
        if epochs == FULL:
            return self.problem.observe(values, rng)
        return float(self._looks[self.problem.row(values)])

    def seconds(self, values: Values, epochs: int) -> float:
        """Return how long a training takes, which goes with its epochs."""
        return float(self._seconds[self.problem.row(values)]) * epochs / FULL


def lengths(data_set: str, data: str | None = None) -> Lengths:
    """Return the trainings of NAS-Bench-201 on `"cifar10"` or `"cifar100"`."""
    table = _read("nasbench201.npz", data)
    problem = load(f"nb201-{data_set}", data)
    assert isinstance(problem, Table)
    looks = 100.0 - table[f"{data_set}_val12"].astype(float)
    return Lengths(problem, looks, table[f"{data_set}_train_time_s"].astype(float))


def latencies(device: str, data: str | None = None) -> Callable[[Values], float]:
    """Return a function from a NAS-Bench-201 candidate to milliseconds on a device."""
    table = _read("nasbench201.npz", data)
    problem = load("nb201-cifar10", data)
    assert isinstance(problem, Table)
    column = table["latency"][:, list(table["latency_devices"]).index(device)]
    return lambda values: float(column[problem.row(values)])


def _read(file: str, data: str | None) -> dict[str, Any]:
    folder = data or os.environ.get("KERASNAS_DATA")
    path = Path(folder or ".") / file
    if not folder or not path.exists():
        raise FileNotFoundError(
            f"The table {file} is needed. Received: data={folder!r}. Pass the folder that "
            "holds it with `--data`, or set KERASNAS_DATA; `benchmarks/README.md` says where "
            "the tables come from."
        )
    with np.load(path) as table:
        return dict(table)


def _rows(x: npt.NDArray[np.uint8], count: int) -> npt.NDArray[np.int64]:
    """Return the row of the table by option indices, in C order."""
    places = np.ravel_multi_index(tuple(x.T.astype(int)), (count,) * x.shape[1])
    rows = np.empty(len(x), dtype=int)
    rows[places] = np.arange(len(x))
    return rows


def _one_of(losses: Array) -> Callable[[int, np.random.Generator], float]:
    """Return a function that draws one of a row's trainings; NaN marks a missing one."""

    def observe(row: int, rng: np.random.Generator) -> float:
        known = losses[row][np.isfinite(losses[row])]
        return float(known[rng.integers(len(known))])

    return observe


def _macro(table: Mapping[str, Any], name: str) -> Table:
    losses = 100.0 - table["test_acc"].astype(float)
    ops, layers = table["ops"].tolist(), table["x"].shape[1]
    truth = losses.mean(axis=1)
    return Table(
        name,
        {f"layer{i}": ops for i in range(layers)},
        _rows(table["x"], len(ops)),
        truth,
        _one_of(losses),
        {"params": table["params"], "macs": table["flops"]},
        100.0 - truth,
        {"macs": _LIMIT} if name == "macro-30m" else None,
    )


def _nb201(table: Mapping[str, Any], name: str, data_set: str) -> Table:
    return _cells(table, name, data_set, 100.0 - table[f"{data_set}_val200"].astype(float))


def _looks(table: Mapping[str, Any], name: str, data_set: str) -> Table:
    """Return the problem on which the table's paper compares searches.

    They see 12 epochs, and get the test accuracy after 200 of what looked best.
    """
    losses = 100.0 - table[f"{data_set}_val12"].astype(float)
    return _cells(table, name, data_set, losses[:, None])


def _cells(table: Mapping[str, Any], name: str, data_set: str, losses: Array) -> Table:
    ops, edges = table["ops"].tolist(), table["x"].shape[1]
    return Table(
        name,
        {f"cell/edge{i}": ops for i in range(edges)},
        _rows(table["x"], len(ops)),
        np.nanmean(losses, axis=1),
        _one_of(losses),
        {"params": table[f"{data_set}_params"], "macs": table[f"{data_set}_flops"]},
        table[f"{data_set}_test200"].astype(float),
    )


def _fcnet(table: Mapping[str, Any], name: str, data_set: str) -> Table:
    prefix = {"naval": "naval_propulsion", "slice": "slice_localization"}[data_set]
    mean = table[f"{prefix}_val_mse_mean"].astype(float).ravel()
    std = table[f"{prefix}_val_mse_std"].astype(float).ravel()
    choices = json.loads(str(table["choices_json"]))

    def observe(row: int, rng: np.random.Generator) -> float:
        return float(np.log10(max(rng.normal(mean[row], std[row]), mean.min())))

    return Table(
        name,
        {parameter: choices[parameter] for parameter in table["param_names"].tolist()},
        None,
        np.log10(mean),
        observe,
        {"params": table[f"{prefix}_params"].ravel()},
    )

"""What a search refuses before it trains anything."""

from __future__ import annotations

import numbers
from collections.abc import Mapping, Sequence
from typing import Any

import keras_tuner

from edge_devices.device import Device
from edge_devices.spelling import did_you_mean, unknown
from edge_devices.units import COSTS
from kerasnas.balance import class_weights
from kerasnas.data import Data
from kerasnas.fidelity._fidelity import Fidelity
from kerasnas.scoring import told_by_keras
from kerasnas.strategies import FIDELITIES, ONE_OBJECTIVE, STRATEGIES
from search_spaces.space import SearchSpace, check_weight_bits
from search_spaces.task import Task

__all__ = [
    "check_arguments",
    "check_bits",
    "check_class_weight",
    "check_format",
    "check_objectives",
    "check_strategy",
]

_LATER = ("darts", "snas", "gdas", "enas", "single_path")


def check_arguments(
    *,
    workers: int,
    class_weight: Any,
    augment: Any,
    max_trials: int | None,
    epochs: int | None,
    sample_rate: Any,
) -> None:
    """Refuse plain arguments of `kerasnas.search` that mean nothing."""
    if workers:
        raise ValueError(
            f"Parallel trials are not supported yet. Received: workers={workers}. Leave it at "
            "0, which trains in this process."
        )
    if not (class_weight in (None, "balanced") or isinstance(class_weight, Mapping)):
        raise unknown("class_weight", class_weight, ["balanced"])
    if augment not in (True, False, "search"):
        raise unknown("augment", augment, ["search"])
    for name, number in (("max_trials", max_trials), ("epochs", epochs)):
        if number is not None and (not isinstance(number, int) or number < 1):
            raise ValueError(
                f"`{name}` must be a whole number of at least 1, or None for automatic. "
                f"Received: {name}={number!r}."
            )
    whole = isinstance(sample_rate, numbers.Integral) and not isinstance(sample_rate, bool)
    if sample_rate is not None and not (whole and sample_rate > 0):
        raise ValueError(
            "A sample rate is a whole number of samples a second, above 0. Received: "
            f"sample_rate={sample_rate!r}. Pass, for example, 16_000."
        )


def check_strategy(
    strategy: Any, objective: Any, max_trials: int | None, fidelity: Any = None
) -> None:
    """Refuse what is no strategy, and beside an oracle what it brings itself."""
    _check_fidelity(fidelity, strategy)
    if isinstance(strategy, str):
        _check_strategy_name(strategy)
        _check_one_objective(strategy, objective)
        return
    if not isinstance(strategy, keras_tuner.Oracle):
        raise TypeError(
            "A strategy is a name or a `keras_tuner.Oracle`. Received: "
            f"strategy={strategy!r} of type {type(strategy).__name__}. Known names: "
            f"{', '.join(map(repr, STRATEGIES))}."
        )
    if objective is not None or max_trials is not None:
        raise ValueError(
            "An oracle brings its own objective and number of trials. Received: "
            f"objective={objective!r}, max_trials={max_trials!r} beside "
            f"strategy={type(strategy).__name__}. Give them to the oracle instead."
        )


def _check_one_objective(strategy: str, objective: Any) -> None:
    several = isinstance(objective, list | tuple) and len(objective) > 1
    if several and strategy in ONE_OBJECTIVE:
        raise ValueError(
            "This strategy seeks what is good in one objective. Received: "
            f"strategy={strategy!r} with objective={objective!r}. Use 'bayesian' or 'nsga2' "
            "for a Pareto front, or hold the others with `limits`."
        )


def _check_fidelity(fidelity: Any, strategy: Any) -> None:
    """Refuse what is no policy, and a policy beside another one."""
    if fidelity is None:
        return
    if isinstance(fidelity, str) and fidelity not in FIDELITIES:
        raise unknown("fidelity", fidelity, FIDELITIES)
    if not isinstance(fidelity, str | Fidelity):
        raise TypeError(
            "A fidelity is a name or a policy, such as `kerasnas.SuccessiveHalving(27)`. "
            f"Received: fidelity={fidelity!r}. Known names: "
            f"{', '.join(map(repr, FIDELITIES))}."
        )
    if strategy in FIDELITIES:
        raise ValueError(
            "A strategy of this name brings how much training a candidate gets. Received: "
            f"strategy={strategy!r} with fidelity={fidelity!r}. Leave one of them out."
        )
    if isinstance(strategy, keras_tuner.Oracle):
        raise ValueError(
            "An oracle brings its own fidelity. Received: "
            f"fidelity={fidelity!r} beside strategy={type(strategy).__name__}. Give it to the "
            "oracle instead."
        )


def _check_strategy_name(strategy: str) -> None:
    if strategy in _LATER:
        raise ValueError(
            f"This strategy does not work yet. Received: strategy={strategy!r}. What "
            f"works: {', '.join(map(repr, STRATEGIES))}, or any `keras_tuner.Oracle`."
        )
    if strategy not in STRATEGIES:
        raise unknown("strategy", strategy, STRATEGIES)


def check_format(device: Device | None) -> None:
    """Refuse a device whose files are of a format that candidates are not priced in."""
    if device is not None and device.quantization != "int8":
        raise ValueError(
            "Candidates are priced as the int8 files they will become. Received: "
            f"device={device.name!r} with quantization={device.quantization!r}. Search with "
            '`dataclasses.replace(device, quantization="int8")`, or without a device, and '
            "export the winner in another format."
        )


def check_bits(bits: tuple[int, ...], device: Device | None) -> None:
    """Refuse widths of weights that there are not, or not on a device."""
    check_weight_bits(bits)
    if device is not None and device.npu is not None and 4 in bits:
        raise ValueError(
            "This device has no kernels for weights of 4 bits. Received: "
            f"weight_bits={bits} with device={device.name!r}. Leave `weight_bits` at 8."
        )


def check_class_weight(class_weight: Any, data: Data) -> None:
    """Refuse weights of classes that the data have not, as training would."""
    if class_weight is not None:
        class_weights(data.train.y, data.task, class_weight)


def check_objectives(
    asked: Sequence[Any], space: keras_tuner.HyperModel, task: Task, *, callbacks: bool
) -> None:
    """Refuse objectives that nobody tells of the networks of a space.

    Of a foreign model it is not known what it is compiled with, so anything may be.

    Args:
        asked: Names, or `keras_tuner.Objective`s.
        space: What makes the networks.
        task: What they are for.
        callbacks: Whether there are callbacks of the user's, which may tell more: an
            objective that brings its direction is then taken as it is.

    Raises:
        ValueError: If one is neither a score of the task, nor a metric of its training, nor
            a cost.
    """
    if not isinstance(space, SearchSpace):
        return
    metrics = sorted(told_by_keras(task))
    scores = [f"val_{name}" for name in dict.fromkeys([*task.directions, *metrics])]
    known = [*scores, *metrics, *COSTS]
    for objective in asked:
        directed = isinstance(objective, keras_tuner.Objective)
        name = objective.name if directed else objective
        if name not in known and not (directed and callbacks):
            raise ValueError(
                f"Nothing tells this of networks for {type(task).__name__}. Received: "
                f"objective={name!r}. {did_you_mean(name, known)}Scores of this task are "
                f"{', '.join(scores)}; costs are {', '.join(COSTS)}."
            )

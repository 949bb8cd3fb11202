"""Tasks in words: as a journal keeps them, and as people write them."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from edge_devices.spelling import did_you_mean
from search_spaces.detection import Detection
from search_spaces.segmentation import Segmentation
from search_spaces.task import Classification, MultiLabel, NextToken, Regression, Task

__all__ = ["NAMES", "check_task", "described", "restored"]

NAMES: dict[str, type[Task]] = {
    "classification": Classification,
    "multilabel": MultiLabel,
    "regression": Regression,
    "segmentation": Segmentation,
    "detection": Detection,
    "next_token": NextToken,
}
"""What `task=` may be, and the classes these names stand for."""


def check_task(task: Any) -> None:
    """Refuse what is neither a task nor the name of one.

    Raises:
        ValueError: If there is no task of this name.
        TypeError: If it is something else.
    """
    if task is None or isinstance(task, Task):
        return
    if not isinstance(task, str):
        raise TypeError(
            "A task is a name or a task of `search_spaces`. Received: "
            f"task={task!r} of type {type(task).__name__}. Known names: {', '.join(NAMES)}."
        )
    if task not in NAMES:
        raise ValueError(
            f"There is no such task. Received: task={task!r}. {did_you_mean(task, NAMES)}"
            f"Known: {', '.join(map(repr, NAMES))}."
        )


def described(task: Task) -> dict[str, Any]:
    """A task as numbers and text, ready for JSON; another that is not ours by its `repr`."""
    name = next((name for name, kind in NAMES.items() if type(task) is kind), None)
    if name is None:
        return {"name": repr(task)}
    return {"name": name, **dataclasses.asdict(task)}  # type: ignore[call-overload]


def restored(facts: Mapping[str, Any]) -> Task | None:
    """The task that `described` wrote down; `None` if it was not one of ours."""
    kind = NAMES.get(str(facts.get("name")))
    if kind is None:
        return None
    settings = {key: value for key, value in facts.items() if key != "name"}
    return kind(**{k: tuple(v) if isinstance(v, list) else v for k, v in settings.items()})

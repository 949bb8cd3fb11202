"""The table of a race, of what its runs have left."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

__all__ = ["report"]


def report(records: Sequence[Mapping[str, Any]]) -> str:
    """Markdown tables of runs, one a race, one row for all seeds of a contestant.

    Runs are of one race if data, numbers of images, minutes, cores and limit are the same; and
    of one row if the contestant was made of the same code. "Lead" is by how many points the
    mean of `ours` is above, over the seeds both have run; of several `ours` that which ran
    last. Runs that failed are told below.
    """
    races: dict[str, list[Mapping[str, Any]]] = {}
    for one in records:
        images = f"{one['examples']:,} images of {one['data']} ({one['tests']:,} to test on)"
        key = f"{images}, {one['minutes']:g} minutes each on {one['cores']} cores, int8 files "
        key += f"of at most {one['flash']:,} bytes"
        races.setdefault(key, []).append(one)
    return "\n\n".join(f"{key}:\n\n{_table(runs)}" for key, runs in races.items())


def _table(records: Sequence[Mapping[str, Any]]) -> str:
    rows: dict[tuple[str, str], list[Mapping[str, Any]]] = {}
    for one in records:
        if "accuracy" in one:
            rows.setdefault((one["contestant"], one["code"]), []).append(one)
    lines = [
        "| contestant | code | test accuracy, % (by seed) | mean | int8 | lead of ours "
        "| bytes of int8 | parameters | trials (refused) | seconds |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    ours = [runs for (name, _), runs in rows.items() if name == "ours"]
    last = max(ours, key=lambda runs: max(one["when"] for one in runs), default=[])
    for (name, made_of), runs in rows.items():
        runs = sorted(runs, key=lambda one: one["seed"])
        cells = [
            name,
            made_of,
            ", ".join(f"{100 * one['accuracy']:.2f}" for one in runs),
            _mean(runs, "accuracy"),
            _mean(runs, "accuracy_int8"),
            _lead(last, runs),
            ", ".join(_bytes(one) for one in runs),
            ", ".join(f"{one['params']:,}" for one in runs),
            ", ".join(f"{one['trials']} ({one['refused']})" for one in runs),
            ", ".join(_seconds(one) for one in runs),
        ]
        lines.append("| " + " | ".join(cells) + " |")
    for one in records:
        if "accuracy" not in one:
            why = one["error"].strip().splitlines()[-1:] or ["it left no model"]
            lines += ["", f"{one['contestant']}, seed {one['seed']}, failed: {why[0]}"]
    return "\n".join(lines)


def _seconds(one: Mapping[str, Any]) -> str:
    told = f"{one['seconds']:.0f}{' killed' * one['killed']}"
    return f"{told} (model late by {one['late']:g} s)" if one["late"] else told


def _mean(runs: Sequence[Mapping[str, Any]], key: str) -> str:
    values = [one[key] for one in runs if key in one]
    return f"{100 * np.mean(values):.2f}" if values else "none"


def _lead(ours: Sequence[Mapping[str, Any]], runs: Sequence[Mapping[str, Any]]) -> str:
    mine = {one["seed"]: one["accuracy"] for one in ours}
    both = [mine[one["seed"]] - one["accuracy"] for one in runs if one["seed"] in mine]
    return f"{100 * np.mean(both):+.2f}" if both else ""


def _bytes(one: Mapping[str, Any]) -> str:
    if "file_bytes" not in one:
        return f"none ({one['model_bytes']:,} of the Keras model)"
    return f"{one['file_bytes']:,}{'' if one['fits'] else ' (over)'}"

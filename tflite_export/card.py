"""The model card: what is known of a file, for people who did not make it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from edge_devices.units import COSTS, format_cost
from tflite_export.answers import answer_of
from tflite_export.report import ACCURACY, Remedy, Report

__all__ = ["model_card"]

_SHOWN_CLASSES = 12
_SHOWN_LABELS = 50
_SHOWN_PAIRS = 5


def model_card(
    report: Report | Mapping[str, Any],
    *,
    name: str = "model",
    data: Mapping[str, Any] | None = None,
    labels: Sequence[str] = (),
    task: str | None = None,
    confusion: Sequence[Sequence[int]] | None = None,
    costs: Mapping[str, float] | None = None,
    limits: Mapping[str, float] | None = None,
    devices: Sequence[Mapping[str, str]] = (),
    search: Mapping[str, Any] | None = None,
    notes: Sequence[str] = (),
    versions: Mapping[str, str] | None = None,
) -> str:
    """Write what is known of a file as Markdown.

    Sections of which nothing is known are left out. What the model is meant for, nobody but
    its author knows: the card asks for it.

    Args:
        report: What `tflite_export.export` returned, or its `to_dict()`.
        name: Name of the model.
        data: Facts about the data by name, e.g. `{"name": "digits", "test examples": 360}`.
        labels: Names of the classes, or of what else there is an output for.
        task: What the network was trained for, as in `with_metadata`, which says what comes
            out; `None` says nothing.
        confusion: Of each class (rows) how many examples were taken for each (columns).
        costs: What the file costs, in base units: see `edge_devices.units`.
        limits: Upper bounds that were asked for, likewise.
        devices: A row for each device; the keys of the first are the columns.
        search: How the network was found: facts by name. `"decisions"` may be a mapping.
        notes: Sentences about the file, such as what it is not fit for.
        versions: Versions of the software that made it.

    Returns:
        The text.
    """
    facts = report.to_dict() if isinstance(report, Report) else dict(report)
    sections = [
        f"# {name}",
        _opening(facts),
        _section("Intended use", [_ASKED]),
        _section("Data", _data(data, labels, task)),
        _section("Accuracy", [*_accuracy(facts), *_confusion(confusion, labels)]),
        _section("Costs", [*_costs(costs or {}, limits or {}), *_devices(devices)]),
        _section("How it was found", _search(search)),
        _section("The file", _file(facts, notes, versions, task)),
    ]
    return "\n\n".join(section for section in sections if section) + "\n"


_ASKED = (
    "*To be written by the author: what the model is for, for whom, and what it must not be "
    "used for.*"
)


def _opening(facts: Mapping[str, Any]) -> str:
    text = f"A TensorFlow Lite file of {facts['bytes']:,} bytes, `{facts['quantization']}`"
    name, score = _metric(facts)
    if name != ACCURACY and score is not None:
        return f"{text}, whose {name} is {score:.2%} on {_judged_on(facts)}."
    if facts.get("accuracy_tflite") is None:
        return f"{text}."
    return f"{text}, which gets {facts['accuracy_tflite']:.2%} right of {_judged_on(facts)}."


def _metric(facts: Mapping[str, Any]) -> tuple[str, float | None]:
    """What the file is judged by, and its score."""
    name = str(facts.get("metric_name") or ACCURACY)
    key = "accuracy_tflite" if name == ACCURACY else "metric_tflite"
    return name, facts.get(key)


def _section(title: str, blocks: Iterable[str]) -> str:
    kept = [block for block in blocks if block]
    return "\n\n".join([f"## {title}", *kept]) if kept else ""


def _table(rows: Sequence[Sequence[Any]], head: Sequence[str]) -> str:
    if not rows:
        return ""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(map(_cell, line)) + " |" for line in lines)


def _cell(value: Any) -> str:
    return " ".join(str(value).split()).replace("|", "\\|")


def _data(
    data: Mapping[str, Any] | None, labels: Sequence[str], task: str | None
) -> list[str]:
    facts = dict(data or {})
    if labels:
        shown = ", ".join(map(_cell, labels[:_SHOWN_LABELS]))
        more = f", and {len(labels) - _SHOWN_LABELS} more" * (len(labels) > _SHOWN_LABELS)
        what = {"multilabel": "labels", "regression": "quantities", "next_token": "tokens"}
        facts[f"{len(labels)} {what.get(task or '', 'classes')}"] = shown + more
    return [_table(list(facts.items()), ["", ""])]


def _judged_on(facts: Mapping[str, Any]) -> str:
    """On what the accuracy was measured, and thereby what it is worth."""
    kind = {
        "validation_data": "examples that it was given to be judged on",
        "test data": "examples of test data",
        "calibration": "examples, those it was calibrated on",
        "random inputs": "random inputs, which say little about real ones",
    }.get(facts["verified_on"], str(facts["verified_on"]))
    return f"{facts['num_verified']:,} {kind}"


def _accuracy(facts: Mapping[str, Any]) -> list[str]:
    rows, scores = [], []
    name, judged = _metric(facts)
    for what, side in (("Keras model", "keras"), (f"{facts['quantization']} file", "tflite")):
        share, interval = facts.get(f"accuracy_{side}"), facts.get(f"interval_{side}")
        if share is not None:
            within = f"{interval[0]:.2%} to {interval[1]:.2%}" if interval else ""
            rows.append([what, f"{share:.2%}", within])
        if name != ACCURACY and judged is not None:
            scores.append([what, f"{facts[f'metric_{side}']:.2%}"])
    compared = (
        f"Outputs of file and Keras model differ by {facts['mean_abs_error']:.3g} on average, "
        f"by {facts['max_abs_error']:.3g} at most"
    )
    if facts.get("agreement") is not None:
        compared += f"; the decision is the same for {facts['agreement']:.2%}"
    return [
        f"Measured on {_judged_on(facts)}.",
        _table(scores, ["", name]),
        _table(rows, ["", "accuracy", "95 % confidence (Wilson)"]),
        f"{compared}.",
    ]


def _confusion(confusion: Sequence[Sequence[int]] | None, labels: Sequence[str]) -> list[str]:
    if confusion is None:
        return []
    names = list(labels) or [str(index) for index in range(len(confusion))]
    if len(names) <= _SHOWN_CLASSES:
        rows = [[names[i], *row] for i, row in enumerate(confusion)]
        head = ["class \\ taken for", *map(_cell, names)]
        return ["What the file takes the examples of each class for:", _table(rows, head)]
    pairs = [
        (count, names[i], names[j])
        for i, row in enumerate(confusion)
        for j, count in enumerate(row)
        if i != j and count
    ]
    pairs.sort(key=lambda pair: -pair[0])
    rows = [[is_, taken_for, count] for count, is_, taken_for in pairs[:_SHOWN_PAIRS]]
    return ["What is confused most often:", _table(rows, ["class", "taken for", "examples"])]


def _costs(costs: Mapping[str, float], limits: Mapping[str, float]) -> list[str]:
    rows = []
    for cost in (each for each in COSTS if each in costs or each in limits):
        value = format_cost(cost, costs[cost]) if cost in costs else "not known"
        limit = f"at most {format_cost(cost, limits[cost])}" if cost in limits else ""
        rows.append([cost, value, limit])
    return [_table(rows, ["cost", "this file", "asked for"])]


def _devices(devices: Sequence[Mapping[str, str]]) -> list[str]:
    if not devices:
        return []
    head = list(devices[0])
    rows = [[row.get(key, "") for key in head] for row in devices]
    return [
        "On devices, as models of them have it, not measured there; in brackets how far such "
        "times were off in the median on networks that the model was not fitted to:",
        _table(rows, head),
    ]


def _search(search: Mapping[str, Any] | None) -> list[str]:
    facts = dict(search or {})
    decisions = facts.pop("decisions", None) or {}
    rows = [[key, value] for key, value in facts.items() if value not in (None, "", {})]
    return [
        _table(rows, ["", ""]),
        _table([[f"`{key}`", value] for key, value in decisions.items()], ["decision", ""]),
    ]


def _file(
    facts: Mapping[str, Any],
    notes: Sequence[str],
    versions: Mapping[str, str] | None,
    task: str | None,
) -> list[str]:
    given = facts.get("input") or {}
    one = "dtype" in given
    inputs = {"input": given} if one else {f"input `{k}`": v for k, v in given.items()}
    rows = [[side, _tensor(info)] for side, info in inputs.items()]
    if facts.get("output"):
        rows.append(["output", _tensor(facts["output"])])
    if task is not None:
        rows.append(["what comes out", answer_of(task).sentence])
    for title, key in (("operators", "operators"), ("tensors", "tensor_dtypes")):
        counted = (f"{count} {name}" for name, count in (facts.get(key) or {}).items())
        rows.append([title, ", ".join(counted)])
    if versions:
        rows.append(["made with", ", ".join(f"{k} {v}" for k, v in versions.items())])
    if facts.get("mixed"):
        layers = (f"`{name}` {kind}" for name, kind in facts["mixed"].items())
        rows.append(["in another precision", ", ".join(layers)])
    return [_table(rows, ["", ""]), _remedies(facts), "\n".join(f"- {each}" for each in notes)]


def _remedies(facts: Mapping[str, Any]) -> str:
    tried = [
        Remedy(**remedy) if isinstance(remedy, Mapping) else remedy
        for remedy in facts.get("remedies") or ()
    ]
    if not tried:
        return ""
    limit = facts.get("max_accuracy_drop")
    name, _ = _metric(facts)
    lost = "accuracy" if name == ACCURACY else f"of the {name}"
    allowed = "" if limit is None else f" ({100 * limit:g} percent points)"
    flattered = (
        " It was chosen on the examples above, so that the file's accuracy there is a little "
        "flattered."
        if facts["verified_on"] == "validation_data"
        else ""
    )
    lines = [
        f"Quantizing cost more {lost} than was allowed{allowed}.{flattered} What was tried:",
        "",
        *(f"- {remedy}" for remedy in tried),
    ]
    return "\n".join(lines)


def _tensor(info: Any) -> str:
    text = f"{info['name']}: {info['dtype']} {tuple(info['shape'])}"
    if info["scale"] is None:
        return text
    return f"{text}, the real number is (q - {info['zero_point']}) * {info['scale']:.6g}"

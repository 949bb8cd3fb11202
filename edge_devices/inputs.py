"""What a network is given: one array, or one for each of several inputs, by name."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from edge_devices.source import Source, content_of

__all__ = [
    "Given",
    "Inputs",
    "as_inputs",
    "by_name",
    "count",
    "examples",
    "input_names",
    "taken",
]

Array = NDArray[Any]
Inputs = Array | Mapping[str, Array]
"""Examples `(n, ...)`; of a network with several inputs such an array for each, by name."""
Given = ArrayLike | Mapping[str, ArrayLike]
"""The same as people may write it."""


def as_inputs(given: Given) -> Inputs:
    """Arrays of what was given; those of several inputs in the order of their names."""
    if isinstance(given, Mapping):
        return {name: np.asarray(given[name]) for name in sorted(given)}
    return np.asarray(given)


def count(inputs: Inputs) -> int:
    """The number of examples."""
    return len(next(iter(inputs.values()))) if isinstance(inputs, Mapping) else len(inputs)


def taken(inputs: Inputs, which: slice | Array) -> Inputs:
    """Some of the examples: a slice, or those of these positions."""
    if isinstance(inputs, Mapping):
        return {name: array[which] for name, array in inputs.items()}
    chosen: Array = inputs[which]
    return chosen


def examples(inputs: Mapping[str, Array]) -> Iterator[dict[str, Array]]:
    """One example after another by name, each with the batch axis."""
    for index in range(count(inputs)):
        yield {name: array[index : index + 1] for name, array in inputs.items()}


def by_name(inputs: Inputs, names: Iterable[str]) -> dict[str, Array]:
    """Examples by the names of a file's inputs.

    Args:
        inputs: The examples. A bare array is that of the only input.
        names: What the file calls its inputs.

    Returns:
        An array for each name, in the order of `names`.

    Raises:
        ValueError: If inputs are missing, there are others, or not as many examples of each.
    """
    names = tuple(names)
    if not isinstance(inputs, Mapping):
        if len(names) == 1:
            return {names[0]: inputs}
        raise ValueError(
            f"The file has {len(names)} inputs, and takes an array for each by name. "
            f"Received: one array of shape {inputs.shape}. Pass {_form(names)}."
        )
    if inputs.keys() != set(names):
        raise ValueError(
            f"Inputs go by the names that the file has for them: {_listed(names)}. Received: "
            f"{_listed(inputs)}. Pass {_form(names)}."
        )
    lengths = {name: len(inputs[name]) for name in names}
    if len(set(lengths.values())) > 1:
        received = ", ".join(f"{length} of {name!r}" for name, length in lengths.items())
        raise ValueError(
            f"Each example has all inputs. Received: {received}. Pass as many of each."
        )
    return {name: inputs[name] for name in names}


def input_names(source: Source) -> tuple[str, ...]:
    """What a file calls its inputs, in the order in which it has them.

    Args:
        source: Path or bytes of a `.tflite` file.

    Returns:
        The names of its signature; those of its tensors where it has none.

    Raises:
        ValueError: If it is not a `.tflite` file.
    """
    from ai_edge_litert import schema_py_generated as schema

    model = schema.Model.GetRootAs(content_of(source))
    graph = model.Subgraphs(0)
    signatures = (model.SignatureDefs(i) for i in range(model.SignatureDefsLength()))
    signature = next((each for each in signatures if not each.SubgraphIndex()), None)
    entries = (
        []
        if signature is None
        else [signature.Inputs(i) for i in range(signature.InputsLength())]
    )
    told = {entry.TensorIndex(): entry.Name().decode() for entry in entries}
    positions = [graph.Inputs(i) for i in range(graph.InputsLength())]
    return tuple(told.get(i) or (graph.Tensors(i).Name() or b"").decode() for i in positions)


def _listed(names: Iterable[str]) -> str:
    return ", ".join(map(repr, names)) or "none"


def _form(names: Iterable[str]) -> str:
    return "{" + ", ".join(f'"{name}": ...' for name in names) + "}"

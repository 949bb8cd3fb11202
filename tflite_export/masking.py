"""What attention masks, just below the scores instead of at the lowest number there is."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from ai_edge_litert import schema_py_generated as schema
from numpy.typing import NDArray

from tflite_export.compaction import packed, unpacked
from tflite_export.inspection import operators_in

__all__ = ["masks"]

Range = tuple[float, float]

_Operator = schema.BuiltinOperator
_FIRST, _ALL = slice(0, 1), slice(None)
_KEEPING = {  # the operators that keep values, and which of their inputs these are
    _Operator.RESHAPE: _FIRST,
    _Operator.EXPAND_DIMS: _FIRST,
    _Operator.SQUEEZE: _FIRST,
    _Operator.TRANSPOSE: _FIRST,
    _Operator.SLICE: _FIRST,
    _Operator.STRIDED_SLICE: _FIRST,
    _Operator.BROADCAST_TO: _FIRST,
    _Operator.TILE: _FIRST,
    _Operator.GATHER: _FIRST,
    _Operator.SPLIT: slice(1, 2),
    _Operator.SPLIT_V: _FIRST,
    _Operator.CONCATENATION: _ALL,
    _Operator.PACK: _ALL,
    _Operator.SELECT: slice(1, 3),
    _Operator.SELECT_V2: slice(1, 3),
    _Operator.ADD: _ALL,  # a mask may be added, too
}
_MASKED = -1e8  # scores as low are masked ones: -1e9 and -3.4e38 are common
_BELOW = 10.0


class _Step(NamedTuple):
    """An operator that hands values on, and the positions of the tensors they come from."""

    operator: Any
    sources: list[int]
    adds: bool


def masks(content: bytes, ranges: Mapping[str, Range]) -> tuple[bytes, dict[str, Range]]:
    """Let masked scores be as low as 8 bits can tell from the others, instead of -3.4e38.

    What a mask takes away is replaced by the lowest number there is before a softmax makes it
    zero. With that in their range, all other scores would be the same 8-bit number. Ten below
    the lowest of them a score is worth less than e**-10 of any other.

    Constants change if their values reach softmaxes and nothing else: through selections, one
    on top of the other too, sums, and operators that move values. All masks before a softmax
    are as low, so that scores of which all are masked stay equal.

    Args:
        content: The bytes of a float32 file with names.
        ranges: Ranges of its activations.

    Returns:
        The bytes of the file with other masks, and the ranges that change with them. The same
        bytes if there is no mask.
    """
    if all(operator.op != "SOFTMAX" for operator in operators_in(content)):
        return content, {}
    model = unpacked(content)
    steps = _steps(model)
    scores = _scores(model, steps, ranges)
    floors = _floors(model, steps, scores)
    tensors = model.subgraphs[0].tensors
    changed: dict[int, Range] = {}

    def range_of(index: int) -> Range | None:
        values = _values(model, index)
        if values is not None:
            return float(values.min()), float(values.max())
        return changed.get(index, ranges.get(tensors[index].name.decode()))

    for step in steps:
        raised = _raise(model, step, _asked(step, floors, scores))
        if not raised and changed.keys().isdisjoint(step.sources):
            continue
        found = [range_of(index) for index in step.sources]
        known = [range_ for range_ in found if range_ is not None]
        low, high = _joined(known, step.adds)
        for index in step.operator.outputs:
            # Measured where there is anything but masked scores.
            top = ranges.get(tensors[index].name.decode(), (-math.inf, -math.inf))[1]
            changed[index] = low, top if top > _MASKED else high
    if not changed:
        return content, {}
    return packed(model), {tensors[i].name.decode(): range_ for i, range_ in changed.items()}


def _steps(model: Any) -> list[_Step]:
    """The operators that hand values on, and whose outputs only such and softmaxes read."""
    graph = model.subgraphs[0]
    read = set(graph.outputs)  # by anything else
    steps = []
    for operator in reversed(graph.operators):
        code = _code(model, operator)
        if code == _Operator.SOFTMAX:
            continue
        fused = getattr(operator.builtinOptions, "fusedActivationFunction", 0)
        sources: list[int] = []
        if code in _KEEPING and not fused and read.isdisjoint(operator.outputs):
            sources = list(operator.inputs)[_KEEPING[code]]
            steps.append(_Step(operator, sources, code == _Operator.ADD))
        read |= set(operator.inputs) - set(sources)
    return steps[::-1]


def _scores(
    model: Any, steps: Sequence[_Step], ranges: Mapping[str, Range]
) -> dict[int, Range]:
    """The ranges of tensors on the way to a softmax, without what is masked in them.

    Those with nothing but masked values are left out.
    """
    tensors = model.subgraphs[0].tensors
    found: dict[int, Range] = {}

    def scores_of(index: int) -> Range | None:
        values = _values(model, index)
        if values is not None:
            seen = values[values > _MASKED]
            return (float(seen.min()), float(seen.max())) if seen.size else None
        range_ = found.get(index, ranges.get(tensors[index].name.decode()))
        return range_ if range_ and range_[1] > _MASKED else None

    for step in steps:
        # Constants are entered too: what they are added to has to know.
        sources = {index: scores_of(index) for index in step.sources}
        found |= {index: range_ for index, range_ in sources.items() if range_ is not None}
        known = [found[index] for index in step.sources if index in found]
        if known and (len(known) == len(step.sources) or not step.adds):
            found |= dict.fromkeys(step.operator.outputs, _joined(known, step.adds))
    return found


def _floors(
    model: Any, steps: Sequence[_Step], scores: Mapping[int, Range]
) -> dict[int, float]:
    """How low the masked values of a tensor have to be for the softmaxes behind it."""
    floors: dict[int, float] = {}

    def ask(index: int, floor: float) -> None:
        floors[index] = min(floors.get(index, math.inf), floor)

    for operator in model.subgraphs[0].operators:
        index = operator.inputs[0] if len(operator.inputs) else -1
        if _code(model, operator) == _Operator.SOFTMAX and index in scores:
            ask(index, scores[index][0] - _BELOW)
    for step in reversed(steps):
        for index, floor in zip(step.sources, _asked(step, floors, scores), strict=False):
            ask(index, floor)
    return floors


def _asked(
    step: _Step, floors: Mapping[int, float], scores: Mapping[int, Range]
) -> list[float]:
    """How low the masked values of each source of an operator have to be.

    Empty if no softmax asks for anything.
    """
    asked = [floors[index] for index in step.operator.outputs if index in floors]
    if not asked:
        return []
    highest = [
        scores.get(index, (0.0, 0.0))[1] if step.adds else 0.0 for index in step.sources
    ]
    return [min(asked) - (sum(highest) - high) for high in highest]


def _raise(model: Any, step: _Step, asked: Sequence[float]) -> bool:
    """Raise the masked values of an operator's constants to what is asked: whether it has any.

    The constants become its own: others read them before softmaxes of other scores.
    """
    tensors = model.subgraphs[0].tensors
    inputs, raised = list(step.operator.inputs), False
    name = tensors[step.operator.outputs[0]].name.decode()
    for place, (index, floor) in enumerate(zip(list(step.sources), asked, strict=False)):
        values = _values(model, index)
        if values is None or values.min() > _MASKED:
            continue
        raised = True
        data = np.maximum(values, floor).astype(np.float32).view(np.uint8)
        model.buffers.append(schema.BufferT(data=data))
        step.operator.inputs = inputs
        if sum(list(o.inputs).count(index) for o in model.subgraphs[0].operators) > 1:
            own = f"{name}/masked{place}".encode()
            tensors.append(
                schema.TensorT(tensors[index].shape, schema.TensorType.FLOAT32, name=own)
            )
            step.sources[place] = inputs[inputs.index(index)] = len(tensors) - 1
        # The last to read a constant has it to itself: what nothing reads would stay in float.
        tensors[step.sources[place]].buffer = len(model.buffers) - 1
    return raised


def _joined(ranges: Sequence[Range], adds: bool) -> Range:
    lows, highs = zip(*ranges, strict=True)
    return (sum(lows), sum(highs)) if adds else (min(lows), max(highs))


def _values(model: Any, index: int) -> NDArray[np.float32] | None:
    """The values of a constant; `None` for anything else."""
    tensor = model.subgraphs[0].tensors[index]
    data = model.buffers[tensor.buffer].data
    if data is None or not len(data) or tensor.type != schema.TensorType.FLOAT32:
        return None
    return np.frombuffer(bytes(data), np.float32)


def _code(model: Any, operator: Any) -> int:
    return int(model.operatorCodes[operator.opcodeIndex].builtinCode)

"""One step of an LSTM over tokens, forwards and backwards."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

__all__ = ["UNITS", "Step", "Weights", "step", "step_back"]

Floats = npt.NDArray[np.float64]
Tokens = npt.NDArray[np.int64]

UNITS = 32

_REMEMBER = 1.0  # added to the forget gates, so that the cell remembers at first


class Weights(NamedTuple):
    """What makes the gates, in the order of input, forget, output gate and new content.

    Attributes:
        inputs: What each token adds to their sums: `(tokens, 4 * UNITS)`.
        recurrent: What each unit of the output before adds: `(UNITS, 4 * UNITS)`.
    """

    inputs: Floats
    recurrent: Floats


class Step(NamedTuple):
    """A step of several sequences, with all that its gradient needs.

    Attributes:
        tokens: What was read: `(sequences,)`.
        output_before: The output before: `(sequences, UNITS)`, as the following.
        cell_before: The cell before.
        gates: The input, forget and output gate: `(3, sequences, UNITS)`.
        content: What the input gate lets into the cell.
        cell: The cell after.
        squashed: Its hyperbolic tangent, which the output gate lets out.
        output: The output.
    """

    tokens: Tokens
    output_before: Floats
    cell_before: Floats
    gates: Floats
    content: Floats
    cell: Floats
    squashed: Floats
    output: Floats


def step(weights: Weights, tokens: Tokens, output: Floats, cell: Floats) -> Step:
    """Read a token in each sequence.

    Args:
        weights: The weights.
        tokens: What is read: `(sequences,)`.
        output: The last output: `(sequences, UNITS)`.
        cell: The cell: `(sequences, UNITS)`.
    """
    sums = weights.inputs[tokens] + output @ weights.recurrent
    into, forget, out, new = np.split(sums, 4, axis=1)
    gates = 0.5 + 0.5 * np.tanh(0.5 * np.stack([into, forget + _REMEMBER, out]))
    content = np.tanh(new)
    after = gates[1] * cell + gates[0] * content
    squashed = np.tanh(after)
    return Step(tokens, output, cell, gates, content, after, squashed, gates[2] * squashed)


def step_back(
    weights: Weights, slopes: Weights, made: Step, d_output: Floats, d_cell: Floats
) -> tuple[Floats, Floats]:
    """Take gradients back over a step.

    Args:
        weights: The weights.
        slopes: Their gradients, to which those of this step are added in place.
        made: The step.
        d_output: Gradient of its output.
        d_cell: Gradient of its cell by way of the later steps.

    Returns:
        The gradients of the output and the cell before it, by way of this step.
    """
    d_cell = d_cell + d_output * made.gates[2] * (1.0 - made.squashed**2)
    d_gates = np.stack(
        [d_cell * made.content, d_cell * made.cell_before, d_output * made.squashed]
    )
    d_gates *= made.gates * (1.0 - made.gates)
    d_content = d_cell * made.gates[0] * (1.0 - made.content**2)
    d_sums = np.concatenate([*d_gates, d_content], axis=1)
    np.add.at(slopes.inputs, made.tokens, d_sums)
    slopes.recurrent[:] += made.output_before.T @ d_sums
    return d_sums @ weights.recurrent.T, d_cell * made.gates[1]

"""What spaces of sequences share: tokens, and convolutions along time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from search_spaces.blocks import pad, reshape
from search_spaces.network import Node
from search_spaces.space import check_series
from search_spaces.task import NextToken, Task

__all__ = ["along_time", "check_sequences", "over_steps", "vocabulary_of"]


def vocabulary_of(
    name: str, input_shape: Sequence[int], task: Task, vocabulary: int | None
) -> int | None:
    """The number of different tokens that a space reads; `None` if it reads no tokens.

    Of a language model it need not be said: what it predicts is what it reads.

    Args:
        name: Name of the space, for the message.
        input_shape: Shape of one example.
        task: What the networks are for.
        vocabulary: What the space was told.

    Raises:
        ValueError: If tokens come in and their number is not known, is not at least 2, or was
            said of inputs that are no tokens.
    """
    if len(input_shape) != 1:
        if vocabulary is None:
            return None
        raise ValueError(
            f"Only tokens (length,) have a vocabulary. Received: {name} with input_shape="
            f"{tuple(input_shape)} and vocabulary={vocabulary}. Leave it out."
        )
    if vocabulary is None and isinstance(task, NextToken):
        return task.vocabulary
    if vocabulary is None or vocabulary < 2:
        raise ValueError(
            f"{name} must know how many different tokens there are, at least 2. Received: "
            f"input_shape={tuple(input_shape)} and vocabulary={vocabulary}. Pass e.g. "
            "`vocabulary=20_000` for tokens from 0 to 19,999, or add the channel axis to a "
            "series of numbers."
        )
    return vocabulary


def check_sequences(
    name: str,
    input_shape: Sequence[int],
    vocabulary: int | None,
    rescaling: Any,
    shortest: int,
) -> None:
    """Refuse what is neither tokens nor a series, or too short for a space.

    Args:
        name: Name of the space, for the message.
        input_shape: Shape of one example.
        vocabulary: As of `vocabulary_of`.
        rescaling: What the space was told; tokens are names, not numbers.
        shortest: Steps that a sequence must have at least.

    Raises:
        ValueError: If it is neither `(length,)` with a vocabulary nor `(length, channels)`.
    """
    if vocabulary is None:
        check_series(name, input_shape, shortest)
        return
    if input_shape[0] < shortest:
        raise ValueError(
            f"{name} needs at least {shortest} tokens. Received: input_shape="
            f"{tuple(input_shape)}. Use longer texts."
        )
    if rescaling is not None:
        raise ValueError(
            f"Tokens cannot be rescaled. Received: {name} with vocabulary={vocabulary} and "
            f"rescaling={rescaling}. Leave it out."
        )


def along_time(
    operation: Callable[..., Node],
    x: Node,
    kernel: int,
    stride: int = 1,
    causal: bool = False,
    **settings: Any,
) -> Node:
    """Run `conv` or `depthwise` over the positions of a sequence.

    Devices have two-dimensional operators only: the sequence becomes an image one pixel wide
    and back.

    Args:
        operation: `blocks.conv` or `blocks.depthwise`.
        x: `(length, channels)`.
        kernel: Length of the kernel, positions; at most the length of the sequence.
        stride: Step, positions.
        causal: Whether positions see only themselves and those before.
        **settings: Other arguments of `operation`.

    Returns:
        `(length over stride, channels)`.
    """
    length, channels = x.shape
    x = reshape(x, (length, 1, channels))
    x = over_steps(operation, x, kernel, stride, causal=causal, **settings)
    length, _, channels = x.shape
    return reshape(x, (length, channels))


def over_steps(
    operation: Callable[..., Node],
    x: Node,
    kernel: int,
    stride: int = 1,
    dilation: int = 1,
    causal: bool = False,
    **settings: Any,
) -> Node:
    """Run `conv` or `depthwise` over a sequence that is an image one pixel wide already.

    Args:
        operation: `blocks.conv` or `blocks.depthwise`.
        x: `(length, 1, channels)`.
        kernel: Length of the kernel, steps.
        stride: Step.
        dilation: Distance of the steps that the kernel reads.
        causal: Whether steps see only themselves and those before: zeros are padded in front.
        **settings: Other arguments of `operation`.
    """
    padding = "same"
    if causal and kernel > 1:
        x, padding = pad(x, ((dilation * (kernel - 1), 0), (0, 0))), "valid"
    # There is no second column: the step across makes no difference, and Keras wants
    # depthwise convolutions to have one step both ways.
    return operation(
        x,
        kernel=(kernel, 1),
        stride=stride,
        dilation=(dilation, 1),
        padding=padding,
        **settings,
    )

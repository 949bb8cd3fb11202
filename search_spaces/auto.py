"""`space="auto"`: the family of networks for an input and a task."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from search_spaces.detection import Detection
from search_spaces.segmentation import Segmentation
from search_spaces.task import NextToken, Task

__all__ = ["Family", "family"]


class Family(NamedTuple):
    """A family that was chosen.

    Attributes:
        name: Its name in `search_spaces.SPACES`.
        reason: Why, in one line.
    """

    name: str
    reason: str


def family(
    input_shape: Sequence[int],
    task: Task,
    *,
    layout: str | None = None,
    dtype: str = "float32",
) -> Family:
    """Choose the family of networks by what goes in and what is to come out.

    | input                                            | family          |
    |--------------------------------------------------|-----------------|
    | images, to be segmented                          | `"unet"`        |
    | images, with objects to be found                 | `"detector"`    |
    | images                                           | `"mobilenet"`   |
    | audio features `(frames, bands, 1)`              | `"dscnn"`       |
    | series `(length, channels)`                      | `"tcn"`         |
    | tokens, whole numbers `(length,)`                | `"transformer"` |
    | tables `(columns,)`                              | `"mlp"`         |

    Each is the smallest family of its kind that a microcontroller runs well; the others have
    to be asked for by name.

    Args:
        input_shape: Shape of one example without the batch.
        task: What the networks are for.
        layout: What the axes are: `"images"`, `"audio"`, `"series"`, `"tokens"` or `"table"`;
            `None` goes by the shape, which cannot tell audio from images.
        dtype: `"int32"` of tokens.

    Raises:
        ValueError: If there is no family for such an input, or none for it and the task.
    """
    shape = tuple(input_shape)
    size = "x".join(map(str, shape))
    kind = layout or _kind(shape, dtype)
    dense = next((found for kinds, *found in _DENSE if isinstance(task, kinds)), None)
    if dense is not None:
        name, aim = dense
        if kind != "images" or len(shape) != 3:
            raise ValueError(
                "Only images have places to answer for. Received: "
                f"input_shape={shape}, layout={layout!r} with task={task}. Pass images "
                "(height, width, channels), or a space of your own."
            )
        return Family(name, f"images of {size} in which {aim}")
    if isinstance(task, NextToken) and len(shape) > 2:
        raise ValueError(
            "Only sequences have a next token. Received: "
            f"input_shape={shape}, layout={layout!r} with task={task}. Pass tokens (length,) "
            "or series (length, channels)."
        )
    if kind == "tokens" or isinstance(task, NextToken):
        return Family("transformer", f"sequences of {shape[0]} tokens")
    if kind == "table":
        return Family("mlp", f"tables of {shape[0]} columns")
    if kind == "series":
        return Family("tcn", f"series of {shape[0]} steps and {shape[-1]} channels")
    if kind == "audio":
        return Family("dscnn", f"audio features of {shape[0]} frames and {shape[1]} bands")
    if kind == "images":
        return Family("mobilenet", f"images of {size}")
    raise ValueError(
        "No family of networks takes such an input. Received: "
        f"input_shape={shape}, layout={layout!r}. Images are (height, width, channels), "
        "series (length, channels), tables (columns,); for any other pass a space of your own."
    )


# Tasks that answer for places of an image rather than for the whole.
_DENSE = (
    (Segmentation, "unet", "every pixel gets a class"),
    (Detection, "detector", "objects are to be found"),
)


def _kind(shape: tuple[int, ...], dtype: str) -> str:
    if dtype == "int32" and len(shape) == 1:
        return "tokens"
    return {1: "table", 2: "series", 3: "images"}.get(len(shape), "other")

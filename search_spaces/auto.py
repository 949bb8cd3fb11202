"""`space="auto"`: the family of networks for an input and a task, and its space made."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import search_spaces
from edge_devices.spelling import did_you_mean
from search_spaces.detection import Detection
from search_spaces.fusion import Fusion
from search_spaces.segmentation import Segmentation
from search_spaces.space import SearchSpace
from search_spaces.task import NextToken, Task

__all__ = ["Chosen", "Family", "family", "space"]


class Family(NamedTuple):
    """A family that was chosen.

    Attributes:
        name: Its name in `search_spaces.SPACES`.
        reason: Why, in one line.
    """

    name: str
    reason: str


class Chosen(NamedTuple):
    """A space that was chosen and made.

    Attributes:
        space: The space.
        reason: Why its families are what they are, in one line.
    """

    space: SearchSpace
    reason: str


def space(
    input_shape: Sequence[int] | Mapping[str, Sequence[int]],
    task: Task,
    *,
    layout: Any = None,
    dtype: Any = "float32",
    rescaling: Any = None,
    vocabulary: Any = None,
    spaces: Any = None,
) -> Chosen:
    """Make the space for one input, or of several a `Fusion` of a space for each.

    Of several inputs every argument but the task may be a dictionary by name, and a name that
    it lacks has the default; anything else is said of all inputs.

    Args:
        input_shape: Shape of one example without the batch.
        task: What the networks are for.
        layout: What the axes are, as of `family`.
        dtype: `"float32"`, or `"int32"` of tokens.
        rescaling: `(scale, offset)` for raw inputs, as in `SearchSpace`.
        vocabulary: Number of different tokens, where they come in.
        spaces: A family instead of what `family` chooses: its name in
            `search_spaces.SPACES`, its class, anything that makes a space when it is called
            as a class is, or of several inputs a space that is made already.

    Raises:
        ValueError: If there is no family for an input, the name of one is unknown, or the
            space refuses the input or an argument; of several inputs also if an argument
            names another one, or as of `Fusion`.
        TypeError: If a class does not make spaces.
    """
    options = {
        "layout": layout,
        "dtype": dtype,
        "rescaling": rescaling,
        "vocabulary": vocabulary,
        "spaces": spaces,
    }
    if not isinstance(input_shape, Mapping):
        return _made(input_shape, task, **options)
    for argument, value in options.items():
        for name in value if isinstance(value, Mapping) else ():
            if name not in input_shape:
                raise ValueError(
                    f"There is no input of this name. Received: {name!r} in `{argument}`, of "
                    f"inputs {', '.join(input_shape)}. {did_you_mean(name, input_shape)}"
                    "Leave it out, or rename it."
                )
    chosen = {
        name: _made(shape, task, **{key: _of(value, name) for key, value in options.items()})
        for name, shape in input_shape.items()
    }
    reasons = [f"{name}: {one.reason}" for name, one in sorted(chosen.items())]
    return Chosen(
        Fusion({name: one.space for name, one in chosen.items()}), "; ".join(reasons)
    )


def _of(value: Any, name: str) -> Any:
    """What an argument says of one input."""
    return value.get(name) if isinstance(value, Mapping) else value


def _made(
    input_shape: Sequence[int],
    task: Task,
    layout: str | None,
    dtype: str | None,
    rescaling: tuple[Any, Any] | None,
    vocabulary: int | None,
    spaces: Any,
) -> Chosen:
    if isinstance(spaces, SearchSpace):
        return Chosen(spaces, f"a {type(spaces).__name__} was given")
    make: Callable[..., Any]
    if spaces is None:
        name, reason = family(input_shape, task, layout=layout, dtype=dtype or "float32")
        make = getattr(search_spaces, search_spaces.SPACES[name])
        reason = f"{name} for {reason}"
    elif isinstance(spaces, str):
        make, reason = _named(spaces), f"{spaces} was asked for"
    else:
        make, reason = spaces, f"{getattr(spaces, '__name__', spaces)} was asked for"
    settings = {"rescaling": rescaling, "vocabulary": vocabulary}
    given = {key: value for key, value in settings.items() if value is not None}
    _check_taken(make, given)
    made = make(input_shape, task=task, **given)
    if not isinstance(made, SearchSpace):
        raise TypeError(
            f"A space must be a `SearchSpace`. Received: a {type(made).__name__} from "
            f"{make}. Derive your class from `search_spaces.SearchSpace`."
        )
    return Chosen(made, reason)


def _check_taken(make: Callable[..., Any], given: Mapping[str, Any]) -> None:
    parameters = inspect.signature(make).parameters
    if any(one.kind is one.VAR_KEYWORD for one in parameters.values()):
        return
    for key, value in given.items():
        if key not in parameters:
            raise ValueError(
                f"The space takes no `{key}`, so it cannot read such inputs. Received: "
                f"{getattr(make, '__name__', make)} with {key}={value}. Use another space."
            )


def _named(name: str) -> Callable[..., Any]:
    if name not in search_spaces.SPACES:
        near = did_you_mean(name, search_spaces.SPACES)
        raise ValueError(
            f"There is no space of this name. Received: {name!r}. {near}Known: "
            f"{', '.join(search_spaces.SPACES)}."
        )
    found: Callable[..., Any] = getattr(search_spaces, search_spaces.SPACES[name])
    return found


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
    if kind == "waveform":
        raise ValueError(
            "Recordings are no family's input as they are. Received: "
            f"input_shape={shape}, layout={layout!r}. Alone they take "
            "`search_spaces.Waveform`, which needs a sample rate; among several inputs pass "
            "features of them, (frames, bands), of layout 'audio': see "
            "`search_spaces.FrontEnd.features`."
        )
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

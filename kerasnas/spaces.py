"""The space that was asked for, made for the data."""

from __future__ import annotations

import copy
import inspect
import json
import zlib
from collections.abc import Callable, Mapping
from typing import Any

import keras
import keras_tuner

import search_spaces
from edge_devices.device import HOST, Device
from edge_devices.spelling import unknown
from kerasnas.costs import is_supported
from kerasnas.data import LAYOUTS, Data
from search_spaces import auto
from search_spaces.costs import program
from search_spaces.fusion import Fusion
from search_spaces.space import SearchSpace
from search_spaces.task import Classification, Task
from search_spaces.waveform import Waveform

__all__ = [
    "check_space",
    "for_data",
    "front_end",
    "identity_of",
    "layouts",
    "restricted",
    "task_of",
    "with_weight_bits",
]


def _space_class(space: Any) -> Any:
    """The class of the space that was asked for; of `"auto"` and several inputs none."""
    if isinstance(space, Mapping):
        return None
    if isinstance(space, str):
        return None if space == "auto" else getattr(search_spaces, search_spaces.SPACES[space])
    return space if inspect.isclass(space) else type(space)


def task_of(space: Any) -> Task | None:
    """The task that a space was made for, where it settles what the labels leave open.

    Classes are counted in the labels, so that a space made for more or fewer is found out.
    """
    task = space.task if isinstance(space, SearchSpace) else None
    return None if isinstance(task, Classification) else task


def layouts(space: Any) -> tuple[str, ...]:
    """What the axes of examples may be for a space; anything for `"auto"` and models."""
    taken = getattr(_space_class(space), "layouts", tuple(LAYOUTS))
    known = tuple(name for name in taken if name in LAYOUTS)
    if "audio" in known and not isinstance(space, SearchSpace):
        known += ("waveform",)  # from which features are made
    if "tokens" in known:
        known += ("text",)
    if isinstance(space, SearchSpace) and not isinstance(space.input_shape, Mapping):
        # Made for a shape, it has settled how many axes there are.
        axes = len(space.input_shape)
        tokens = space.input_dtype == "int32"
        known = tuple(
            name
            for name in known
            if (name == "text" and tokens)
            or (LAYOUTS[name][-1] == axes and (name == "tokens") == tokens)
            or (name == "waveform" and axes == 1 and isinstance(space, Waveform))
        )
        if not known:
            raise ValueError(
                "No examples that a search reads have the shape that the space was made "
                f"for. Received: a {type(space).__name__} of input_shape={space.input_shape}, "
                f"for {' or '.join(taken)}. Images and audio features have a last axis of "
                "channels."
            )
    return known


def for_data(
    space: Any, data: Data, sample_rate: int | None, device: Device | None
) -> tuple[keras_tuner.HyperModel, str]:
    """The space that was asked for, made for these data, and why it was chosen."""
    if isinstance(space, SearchSpace):
        return _fitted(space, data), ""
    made_for_us = isinstance(space, str | Mapping) or (
        inspect.isclass(space) and issubclass(space, SearchSpace)
    )
    if not made_for_us:
        is_model = isinstance(space, keras_tuner.HyperModel)
        return space if is_model else _BuildFunction(space), ""
    if isinstance(space, Mapping) and not isinstance(data.layout, Mapping):
        raise ValueError(
            "A dictionary of spaces is for several inputs. Received: "
            f"space={dict(space)!r} for one input of shape {data.input_shape}, "
            f"layout={data.layout!r}. Pass its space alone."
        )
    if data.layout == "waveform":
        inner = None if space == "auto" else space
        return _of_waveforms(inner, data, sample_rate, device), ""
    _check_layout(space, data)
    made = auto.space(
        data.input_shape,
        data.task,
        layout=data.layout,
        dtype=data.input_dtype,
        rescaling=data.rescaling,
        vocabulary=data.vocabulary,
        spaces=_asked(space),
    )
    return made.space, made.reason if space == "auto" or isinstance(space, Mapping) else ""


def _asked(space: Any) -> Any:
    """What was asked for, where that was not left to us."""
    if isinstance(space, Mapping):
        return {name: one for name, one in space.items() if one != "auto"}
    return None if isinstance(space, str) and space == "auto" else space


def _check_layout(space: Any, data: Data) -> None:
    if isinstance(data.layout, Mapping) or data.layout in layouts(space):
        return
    raise ValueError(
        f"The space takes the layout {' or '.join(map(repr, layouts(space)))}. Received: "
        f"space={getattr(_space_class(space), '__name__', space)} for examples of shape "
        f"{data.input_shape}, layout={data.layout!r}. Pass another space, or `layout` if "
        "they are something else."
    )


def _of_waveforms(
    space: Any, data: Data, sample_rate: int | None, device: Device | None
) -> SearchSpace:
    if sample_rate is None:
        raise ValueError(
            "Of waveforms it must be known how fast they are. Received: sample_rate=None with "
            f'layout="waveform" and examples of {data.input_shape[0]} samples. Pass the '
            "samples a second, e.g. sample_rate=16_000."
        )
    settings = {} if space is None else {"space": _space_class(space)}
    inside, outside = (
        Waveform(
            data.input_shape,
            task=data.task,
            sample_rate=sample_rate,
            rescaling=data.rescaling,
            in_graph=in_graph,
            **settings,
        )
        for in_graph in (True, False)
    )
    if device is None:
        return inside
    # This host is timed on files of random weights, which have no spectra.
    runs = device.name != HOST and is_supported(device)(inside.network(inside.default()))
    return inside if runs else outside


def with_weight_bits(
    space: keras_tuner.HyperModel, bits: tuple[int, ...]
) -> keras_tuner.HyperModel:
    """The space with weights of these widths in its files; 8 bits change nothing.

    Raises:
        ValueError: If other widths are asked for of networks that are not described.
    """
    if bits == (8,):
        return space
    if isinstance(space, SearchSpace):
        return space.with_weight_bits(*bits)
    raise ValueError(
        "Only of described networks is it known which weights can have 4 bits. Received: "
        f"weight_bits={bits} with a {type(space).__name__}. Leave it at 8, or "
        "describe the networks as a `search_spaces.SearchSpace`."
    )


def restricted(space: keras_tuner.HyperModel, device: Device | None) -> keras_tuner.HyperModel:
    """The space without what a device cannot run; a foreign model as it is.

    Raises:
        ValueError: If the device lacks what all networks of the space have, which is named.
    """
    if device is None or not isinstance(space, SearchSpace):
        return space
    try:
        return space.restricted(is_supported(device))
    except ValueError as error:
        network = space.network(space.default())
        lacking = ", ".join(device.unsupported(program(network)))
        kinds = {record.op for record in network.layers}
        what = "".join(why for kind, why in _BRINGS.items() if kind in kinds)
        raise ValueError(
            "This device cannot run what the networks of this space are made of. Received: "
            f"device={device.name!r}, which lacks {lacking}, for a {type(space).__name__}. "
            f"{what}Use another device, or a space that decides whether to have it."
        ) from error


# Layers that spaces of some inputs cannot do without, and devices may lack.
_BRINGS = {
    "embedding": "Tokens and texts are read by looking rows of a table up (GATHER). ",
    "front_end": "Features of recordings are made by Fourier transforms. ",
}


def front_end(space: keras_tuner.HyperModel) -> str | None:
    """Where the features of waveforms are made: in the file or before it."""
    if not isinstance(space, Waveform):
        return None
    return "inside" if space.in_graph else "outside"


def _fitted(space: SearchSpace, data: Data) -> SearchSpace:
    """A space that was made already, for these data if it can serve them."""
    _check_layout(space, data)
    if space.input_shape != data.input_shape:
        raise ValueError(
            "The space was made for inputs of another shape. Received: "
            f"space.input_shape={space.input_shape}, examples of shape {data.input_shape}, "
            f"layout={data.layout!r}. Make it for the examples, pass `layout`, or of images "
            "`image_size`."
        )
    theirs, ours = space.task, data.task
    same = type(theirs) is type(ours) and all(
        getattr(theirs, name, None) == getattr(ours, name, None)
        for name in ("num_classes", "units", "vocabulary")
    )
    if not same:
        raise ValueError(
            "The space was made for another task. Received: "
            f"space.task={theirs} for {ours}. Make it for the data, or "
            "pass its class instead."
        )
    space = copy.copy(space)
    space.task = ours
    if isinstance(space, Fusion):
        return space.rescaled(data.rescaling)
    space.rescaling = data.rescaling if space.rescaling is None else space.rescaling
    return space


def identity_of(space: keras_tuner.HyperModel) -> str:
    """A name of the space that another space, or the same with other decisions, has not."""
    if isinstance(space, SearchSpace):
        config = json.dumps(space.hyperparameters().get_config()["space"], default=str)
        return f"{type(space).__qualname__}:{zlib.crc32(config.encode()):08x}"
    named = space.function if isinstance(space, _BuildFunction) else type(space)
    return f"{named.__module__}.{getattr(named, '__qualname__', named)}"


class _BuildFunction(keras_tuner.HyperModel):
    """What KerasTuner makes of a function, too: a `HyperModel`."""

    def __init__(self, function: Callable[[keras_tuner.HyperParameters], keras.Model]) -> None:
        super().__init__(name=getattr(function, "__name__", None))
        self.function = function

    def build(self, hp: keras_tuner.HyperParameters) -> keras.Model:
        return self.function(hp)


def check_space(space: Any) -> None:
    """Refuse what no search can be made of.

    Raises:
        ValueError: If no space has the name.
        TypeError: If it is neither a name, nor a space, a `HyperModel` or a function.
    """
    if isinstance(space, Mapping):
        for one in space.values():
            check_space(one)
    elif isinstance(space, str):
        if space != "auto" and space not in search_spaces.SPACES:
            raise unknown("space", space, ["auto", *search_spaces.SPACES])
    elif not (callable(space) or isinstance(space, keras_tuner.HyperModel)):
        raise TypeError(
            "A space is a name, a `SearchSpace`, a `keras_tuner.HyperModel` or a function "
            f"from hyperparameters to a model. Received: space={space!r} of type "
            f"{type(space).__name__}. Known names: {', '.join(search_spaces.SPACES)}."
        )

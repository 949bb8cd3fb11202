"""Light random variation of training examples; it never enters the exported graph.

How much of which variation helps depends on the data, so each is a setting that a search may
decide on: `decisions` lists those that suit a problem, `declare` makes hyperparameters of
them, and `augmentation` turns their values into a function on batches.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import keras_tuner
import tensorflow as tf

from edge_devices.spelling import did_you_mean
from kerasnas import moves, variations
from search_spaces.detection import Detection
from search_spaces.segmentation import Segmentation
from search_spaces.task import Classification, MultiLabel, Regression, Task

__all__ = ["Decision", "Vary", "augmentation", "decisions", "declare"]

Shape = Sequence[int] | Mapping[str, Sequence[int]]
Layout = str | Mapping[str, str]
Step = Callable[[tf.Tensor, float, tf.Tensor], tf.Tensor]

Vary = Callable[[Any, Any, Any], tuple[Any, Any]]
"""From a batch of inputs, its targets and a seed of shape (2,) to both, varied."""

_PHOTOGRAPH = 24  # pixels: small colour images may be icons, and grey ones characters
_SEEDS = 16  # seeds an input has for itself

_AXES = {"images": 3, "audio": 3, "waveform": 1, "series": 2, "table": 1, "tokens": 1}

_DEFAULTS: Mapping[str, Mapping[str, float]] = {
    "images": {"geometry": 1.0, "mirror": 0.0, "level": 0.0, "erase": 0.0},
    "audio": {"geometry": 1.0, "erase": 1.0},
    "waveform": {"geometry": 1.0, "level": 1.0, "noise": 0.0},
    "series": {"geometry": 0.0, "level": 0.0, "noise": 0.5},
    "table": {"noise": 0.0, "erase": 0.0},
    "tokens": {"erase": 0.0},  # in a vocabulary of your own token 1 may be a word
}

_STEPS: Mapping[str, Mapping[str, Step]] = {
    "images": {"level": variations.brightened, "erase": variations.hidden},
    "audio": {"geometry": variations.moved_in_time, "erase": variations.hidden_spans},
    "waveform": {
        "geometry": variations.shifted,
        "level": variations.louder,
        "noise": functools.partial(variations.jittered, share=0.05),
    },
    "series": {
        "geometry": variations.sliced,
        "level": functools.partial(variations.leveled, factor=1.2),
        "noise": functools.partial(variations.jittered, share=0.2),
    },
    "table": {
        "noise": functools.partial(variations.jittered, share=0.1, axis=0),
        "erase": variations.swapped,
    },
    "tokens": {"erase": variations.forgotten},
}
"""What is done to each layout beside the geometry of images, in this order."""


class Decision(NamedTuple):
    """One setting that a search may decide on.

    Attributes:
        name: As in the settings of `augmentation`.
        values: In ascending order: 0 is nothing, 1 all of it.
        default: The value in the fixed recipe.
    """

    name: str
    values: tuple[float, ...]
    default: float


def decisions(
    shape: Shape, layout: Layout = "images", task: Task | None = None
) -> list[Decision]:
    """Settings that suit a problem, with their values; see `augmentation`.

    Args:
        shape: Shape of one example; a dict by name for several inputs.
        layout: What its axes are; a dict by name for several inputs.
        task: What is learned; `None` is a classification with integer labels.
    """
    inputs = _inputs(shape, layout)
    defaults: dict[str, float] = {}
    for name, (size, axes) in inputs.items():
        for setting, default in _suitable(size, axes, task).items():
            key = _key(name, setting, axes, task)
            defaults[key] = min(default, defaults.get(key, default))
    if defaults and _mixes(inputs, task):
        defaults["mix"] = 0.0
    return [
        Decision(name, (0.0, 1.0) if name.endswith("mirror") else (0.0, 0.5, 1.0), default)
        for name, default in defaults.items()
    ]


def declare(
    hp: keras_tuner.HyperParameters,
    shape: Shape,
    layout: Layout = "images",
    task: Task | None = None,
) -> dict[str, float]:
    """Declare the decisions as `augment/{name}` and return their values: the settings.

    Args:
        hp: Where they are declared; its defaults are the fixed recipe.
        shape: As in `decisions`.
        layout: As in `decisions`.
        task: As in `decisions`.
    """
    return {
        name: float(hp.Choice(f"augment/{name}", list(values), default=default, ordered=True))
        for name, values, default in decisions(shape, layout, task)
    }


def augmentation(
    shape: Shape,
    layout: Layout = "images",
    task: Task | None = None,
    settings: Mapping[str, float] | None = None,
    strength: float = 1.0,
) -> Vary | None:
    """How examples are varied, for `Examples.dataset(vary=...)`.

    What each setting does at 1, and its default:

    | layout       | setting    |     | what varies                                           |
    |--------------|------------|-----|-------------------------------------------------------|
    | `"images"`   | `geometry` | 1   | turned by up to 8 degrees, scaled by 10 % along each  |
    |              |            |     | axis, moved by 10 %                                   |
    |              | `mirror`   | 0/1 | half of them mirrored; by default colour images of at |
    |              |            |     | least 24 pixels, which mostly are photographs, where  |
    |              |            |     | small grey ones often are characters                  |
    |              | `level`    | 0   | contrast by a factor of up to 1.3, brightness by up to|
    |              |            |     | 30 % of the deviation of an image                     |
    |              | `erase`    | 0   | a rectangle up to half as high and wide hidden behind |
    |              |            |     | the mean                                              |
    | `"audio"`    | `geometry` | 1   | moved and stretched in time by up to 10 %             |
    |              | `erase`    | 1   | a band of frequencies and a span of frames of up to   |
    |              |            |     | 15 % hidden behind the mean (SpecAugment)             |
    | `"waveform"` | `geometry` | 1   | shifted by up to 10 %                                 |
    |              | `level`    | 1   | louder or softer by up to 6 dB                        |
    |              | `noise`    | 0   | noise of 5 % of the deviation (-26 dB)                |
    | `"series"`   | `geometry` | 0   | up to 20 % cut off the ends, the rest stretched       |
    |              | `level`    | 0   | each channel scaled by a factor of up to 1.2          |
    |              | `noise`    | 0.5 | noise of 20 % of a channel's deviation; how much it   |
    |              |            |     | may be stretched or scaled is up to what it measures  |
    | `"table"`    | `noise`    | 0   | noise of 10 % of a column's deviation                 |
    |              | `erase`    | 0   | up to 20 % of the columns taken from another row      |
    | `"tokens"`   | `erase`    | 0   | 20 % of the tokens but 0, which is padding, replaced  |
    |              |            |     | by 1, the unknown word of tokens made from texts; not |
    |              |            |     | for tokens in which 0 and 1 stand for words           |
    | all but that | `mix`      | 0   | examples mixed with others (mixup; one half of single |
    |              |            |     | images CutMix)                                        |

    What moves is resampled once, with the edge repeated outside; what is scaled or added to
    stays within the range of the batch.

    Tasks take of these what keeps their answers right. Masks and boxes move with their
    images: for `Segmentation` pixels from outside are of its `ignore_class`, if it has one;
    for `Detection` images are not turned, and boxes are cut at the edge, or dropped where
    little of them is left. Nothing is erased or mixed for the two, and with several inputs
    all images move alike. For `Regression` images are never mirrored, and levels are left as
    they are unless asked for. Examples are mixed only where answers can be: labels with a
    column a class, several labels, and quantities, for which no rectangles are cut. Make
    integer labels one-hot to mix their examples. Sample weights stay those of the example
    with the larger share. Nothing varies for `NextToken`, nor for a task of your own.

    Args:
        shape: Shape of one example; a dict by name for several inputs.
        layout: What its axes are, as in `data.load`; a dict by name for several inputs.
            `"text"` is `"tokens"` here.
        task: What is learned; `None` is a classification with integer labels.
        settings: Values from 0 to 1 by name, as `declare` returns them; what is missing has
            its default. With several inputs a name is `"{input}/{setting}"`; `"mix"` is one
            for all, as are `"geometry"` and `"mirror"` of images with masks or boxes.
        strength: Multiplies all settings but `mirror`; 0 varies nothing.

    Returns:
        A function from a batch, its targets and a seed of shape (2,) to both, varied: inputs
        float32 (tokens as they were), targets as they were. With several inputs the batch is
        a dict. `None` where nothing varies.

    Raises:
        ValueError: If a layout or a setting is unknown, does not suit the problem, or is not
            from 0 to 1.
    """
    inputs = _inputs(shape, layout)
    amounts = _amounts(decisions(shape, layout, task), settings, strength)
    if not any(amounts.values()):
        return None
    values = {
        name: {
            setting: amounts.get(_key(name, setting, axes, task), 0.0)
            for setting in _DEFAULTS[axes]
        }
        for name, (_, axes) in inputs.items()
    }
    mix = amounts.get("mix", 0.0)
    alone = not isinstance(shape, Mapping)
    cut = alone and layout == "images" and not isinstance(task, Regression)

    def vary(x: Any, y: Any, seed: Any) -> tuple[Any, Any]:
        seed = tf.convert_to_tensor(seed)
        parts = dict(x) if isinstance(x, Mapping) else {None: tf.convert_to_tensor(x)}
        for number, (name, (_, axes)) in enumerate(sorted(inputs.items(), key=str)):
            own = _fold(seed, number * _SEEDS) if number else seed
            drawn = seed if _is_dense(task) else own  # all images move alike
            if any(values[name].values()):
                parts[name] = _varied(parts[name], values[name], axes, task, own, drawn)
        y = _moved_targets(y, amounts, task, seed)
        if mix:
            y, names = tf.convert_to_tensor(y), list(parts)
            batches = [tf.cast(parts[name], tf.float32) for name in names]
            batches, y = variations.mixed(batches, y, mix, _fold(seed, _SEEDS - 1), cut=cut)
            parts = dict(zip(names, batches, strict=True))
        return (parts if isinstance(x, Mapping) else parts[None]), y

    return vary


def _varied(
    x: tf.Tensor,
    values: Mapping[str, float],
    layout: str,
    task: Task | None,
    seed: tf.Tensor,
    move_seed: tf.Tensor,
) -> tf.Tensor:
    x = tf.convert_to_tensor(x)
    given = x.shape.rank - 1
    if given != _AXES[layout]:  # channels, where there is but one, may be left out
        x = x[..., tf.newaxis] if given < _AXES[layout] else x[..., 0]
    x = x if layout == "tokens" else tf.cast(x, tf.float32)
    if layout == "images" and (values["geometry"] or values["mirror"]):
        x = moves.move_images(x, _move(tf.shape(x)[0], values, task, move_seed))
    for number, (setting, step) in enumerate(_STEPS[layout].items(), 1):
        if values[setting]:
            x = step(x, values[setting], _fold(seed, number))
    if given != _AXES[layout]:
        x = x[..., 0] if given < _AXES[layout] else x[..., tf.newaxis]
    return x


def _moved_targets(
    y: Any, amounts: Mapping[str, float], task: Task | None, seed: tf.Tensor
) -> Any:
    if not _is_dense(task) or not (amounts.get("geometry") or amounts.get("mirror")):
        return y
    y = tf.convert_to_tensor(y)
    move = _move(tf.shape(y)[0], amounts, task, seed)
    if isinstance(task, Segmentation):
        return moves.move_masks(y, move, task.ignore_class)
    return moves.move_boxes(y, move)


def _move(
    count: tf.Tensor, values: Mapping[str, float], task: Task | None, seed: tf.Tensor
) -> moves.Move:
    return moves.draw(
        count,
        seed,
        values["geometry"],
        mirror=values["mirror"] > 0,
        turn=not isinstance(task, Detection),
    )


def _suitable(shape: Sequence[int], layout: str, task: Task | None) -> dict[str, float]:
    """The settings of one input and their defaults."""
    defaults = dict(_DEFAULTS[layout])
    if layout == "images" and shape[-1] == 3 and len(shape) == 3:
        defaults["mirror"] = float(min(shape[:2]) >= _PHOTOGRAPH)
    left_out: tuple[str, ...] = ()
    if _is_dense(task):
        left_out = ("erase",) if layout == "images" else ("geometry",)
    elif isinstance(task, Regression):
        left_out = ("mirror",)
        defaults["level"] = 0.0
    elif not _has_labels(task):
        left_out = tuple(defaults)
    return {name: value for name, value in defaults.items() if name not in left_out}


def _mixes(inputs: Mapping[str | None, tuple[Sequence[int], str]], task: Task | None) -> bool:
    numbers = all(layout != "tokens" for _, layout in inputs.values())
    if isinstance(task, Classification):
        return numbers and task.one_hot
    return numbers and isinstance(task, MultiLabel | Regression)


def _has_labels(task: Task | None) -> bool:
    return task is None or isinstance(task, Classification | MultiLabel)


def _is_dense(task: Task | None) -> bool:
    return isinstance(task, Segmentation | Detection)


def _key(name: str | None, setting: str, layout: str, task: Task | None) -> str:
    shared = layout == "images" and _is_dense(task) and setting in ("geometry", "mirror")
    return setting if name is None or shared else f"{name}/{setting}"


def _inputs(shape: Shape, layout: Layout) -> dict[str | None, tuple[Sequence[int], str]]:
    """Shape and layout of each input by name, which is `None` for a single one."""
    shapes: dict[Any, Sequence[int]]
    shapes = dict(shape) if isinstance(shape, Mapping) else {None: shape}
    layouts: dict[Any, str]
    layouts = dict(layout) if isinstance(layout, Mapping) else dict.fromkeys(shapes, layout)
    if shapes.keys() != layouts.keys():
        raise ValueError(
            "Each input needs a shape and a layout. Received: shapes of "
            f"{sorted(shapes, key=str)} and layouts of {sorted(layouts, key=str)}. Use the "
            "same names in both."
        )
    found = {}
    for name, axes in layouts.items():
        axes = "tokens" if axes == "text" else axes
        if axes not in _AXES:
            raise ValueError(
                f"There is no such layout. Received: {axes!r}. {did_you_mean(axes, _AXES)}"
                f"Use one of {', '.join(map(repr, _AXES))}."
            )
        found[name] = (shapes[name], axes)
    return found


def _amounts(
    known: Sequence[Decision], settings: Mapping[str, float] | None, strength: float
) -> dict[str, float]:
    settings = settings or {}
    names = [decision.name for decision in known]
    for name, value in settings.items():
        if name not in names:
            raise ValueError(
                "There is no such variation of these examples for this task. Received: "
                f"{name!r}. {did_you_mean(name, names)}"
                + (f"Use some of {names}." if names else "Leave it out.")
            )
        if not 0 <= value <= 1:
            raise ValueError(
                "An amount of variation is from 0, nothing, to 1, all of it. Received: "
                f"{name}={value!r}. Use, for example, 0.5."
            )
    return {
        name: float(settings.get(name, default))
        * (strength if not name.endswith("mirror") else strength > 0)
        for name, _, default in known
    }


def _fold(seed: tf.Tensor, number: int) -> tf.Tensor:
    return tf.random.experimental.stateless_fold_in(seed, number)

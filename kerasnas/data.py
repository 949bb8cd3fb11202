"""From a data set to a problem: its task, its parts, and how inputs are prepared."""

from __future__ import annotations

import dataclasses
import numbers
import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kerasnas.examples import Examples, first_of_each_class
from kerasnas.inference import fitted, infer, name_classes, targets_of
from kerasnas.preparation import (
    Part,
    Preparation,
    Whole,
    check_used,
    shape_of,
    vocabulary_of,
)
from kerasnas.preprocessing import Preprocessing, TextPreprocessing
from kerasnas.reading import LAYOUTS, Layout, Reader, resize
from kerasnas.rows import Fields, Rows, join
from kerasnas.sequences import WINDOW, distinct_split, windows
from search_spaces.task import NextToken, Task

__all__ = ["LAYOUTS", "Data", "Examples", "load", "read", "resize", "stratified_split"]

_MEMORY_BUDGET = 2 * 1024**3
_FEWEST_TEXTS = 20  # that are split as wholes


@dataclasses.dataclass(frozen=True, eq=False)
class Data:
    """A problem, ready for training. Of several inputs, what is said of one is by name.

    Attributes:
        train: What candidates learn from.
        validation: What they are compared on.
        task: What is to be answered.
        input_shape: Shape of one example: `(height, width, channels)` of images, `(frames,
            bands, 1)` of audio, `(samples,)` of waveforms, `(length, channels)` of series,
            `(columns,)` of tables, `(length,)` of tokens.
        layout: What the axes are, a name in `LAYOUTS`, of what goes into a network: texts
            have become tokens.
        class_names: Name of each class, if known.
        rescaling: `(scale, offset)` for `keras.layers.Rescaling`, which brings stored inputs
            into the range networks expect: 1/255 for uint8 images; anything else is
            standardised per channel by statistics of the training part. `None` where there is
            nothing to rescale: tokens, and tables of columns.
        vocabulary: Number of different tokens, or `None`.
        preprocessing: What made the inputs of texts or columns by name, learned from the
            training part; `None` where they are as they came. Of several inputs, by name.
    """

    train: Examples
    validation: Examples
    task: Task
    input_shape: Any
    layout: Any
    class_names: list[str] | None
    rescaling: Any
    vocabulary: Any = None
    preprocessing: Any = None

    @property
    def input_dtype(self) -> Any:
        """`"int32"` of tokens, else `"float32"`; of several inputs by name."""
        return _each(lambda layout: "int32" if layout == "tokens" else "float32", self.layout)

    @property
    def num_classes(self) -> int | None:
        """Number of classes, or `None` where the task has none."""
        return getattr(self.task, "num_classes", None)

    @property
    def preprocessings(self) -> dict[str, Preprocessing]:
        """What prepares inputs, by the name under which a search keeps it."""
        if self.preprocessing is None:
            return {}
        if isinstance(self.preprocessing, Mapping):
            return {f"preprocessing_{n}": one for n, one in self.preprocessing.items()}
        return {"preprocessing": self.preprocessing}

    def merge(self) -> Examples:
        """Return both parts as one, for the final training."""
        parts = (self.train, self.validation)
        weight = None
        if any(part.weight is not None for part in parts):
            weight = np.concatenate(
                [np.ones(len(p), np.float32) if p.weight is None else p.weight for p in parts]
            )
        return Examples(
            join([part.x for part in parts]),
            _stacked([part.y for part in parts]),
            weight,
            np.concatenate([part.strata for part in parts]),
        )


def load(
    train_data: Any,
    validation_data: Any = None,
    *,
    task: Task | str | None = None,
    validation_split: float = 0.2,
    layout: Layout = None,
    layouts: Sequence[str] = tuple(LAYOUTS),
    image_size: tuple[int, int] | None = None,
    sequence_length: int | None = None,
    vocabulary: Any = None,
    split: str = "word",
    sample_rate: int | None = None,
    steps: int | None = None,
    class_names: Sequence[str] | None = None,
    seed: int | None = 0,
    cache_dir: str | os.PathLike[str] | None = None,
    memory_budget: int = _MEMORY_BUDGET,
) -> Data:
    """Read examples once, find out what is asked, and hold a validation part out.

    The examples of each part come in an order that depends on them and the seed alone, as does
    the split. So a data set that is shuffled anew each time it is read gives the same problem
    each time, and equal examples mostly fall on one side of the split. Of language models runs
    of texts or windows are held out, in the order in which they come, because neighbours
    resemble each other.

    Args:
        train_data: A `tf.data.Dataset`, batched or not, of `(x, y)`,
            `(x, y, sample_weight)` or TFDS dictionaries; or the same tuples and dictionaries
            of arrays. `x` may be numbers, texts, a dictionary of the columns of a table (or a
            data frame), or several inputs as a dictionary or tuple. For language models texts
            or tokens alone.
        validation_data: The same, to compare candidates on. `None` holds a part of
            `train_data` out, stratified where there are classes.
        task: What is asked: a `search_spaces` task, or the name of one. `None` is told from
            the labels where they leave no doubt; see `inference.recognise`.
        validation_split: Share of that part, above 0 and below 1.
        layout: What the axes of an example are: `"images"` (height, width) or (height, width,
            channels), `"audio"` (frames, bands), such as a log-mel spectrogram, `"waveform"`
            (samples,), `"series"` (length,) or (length, channels), `"table"` (columns,),
            `"tokens"` (length,) or `"text"`; of several inputs a dictionary of these. `None`
            takes three axes for images; two for images where they hold uint8 or are of one
            length, else for a series; one for a table, for tokens where there is a
            `vocabulary`, for a waveform where there is a `sample_rate`.
        layouts: The layouts to choose from where `layout` is `None`, the most likely first.
        image_size: `(height, width)` to resize all images to; needed when sizes vary.
        sequence_length: Steps or tokens to cut or pad sequences to; needed when lengths vary.
            Of texts `None` takes most of them whole; of language models it is the length of
            the windows, 64 by default.
        vocabulary: The different tokens, as a list of words, or their number; of several
            inputs by name, which says that these are tokens or texts. Token ids need it; 0
            pads short sequences at their end, so that it is no word of its own. Of texts
            `None` learns one.
        split: Texts are split by `"word"` or `"character"`.
        sample_rate: Samples a second of waveforms.
        steps: Elements to read from each data set, batches if it is batched; arrays are
            read whole. Needed when a data set has no end. One that hides this, such as a
            generator, would be read until the disk is full.
        class_names: Names of the classes; by default the data set's own `class_names`.
        seed: Seeds order and split. `None` draws fresh entropy; `0` is a seed.
        cache_dir: Folder of the cache file; `None` is the system's temporary one. The file
            is removed when its examples are no longer used.
        memory_budget: Bytes of examples to keep in memory; more go to the cache file.

    Raises:
        TypeError: If the data is no data set, or the vocabulary neither a list nor a number.
        ValueError: If the data do not fit each other or the task, with the reason; if they
            leave open what is asked; if an argument is for other data; or if a column of a
            table or a channel of a series would be lost in an int8 file.
    """
    if not (isinstance(validation_split, numbers.Real) and 0 < validation_split < 1):
        raise ValueError(
            "The validation part must be a share above 0 and below 1. "
            f"Received: validation_split={validation_split!r}. Use, for example, 0.2."
        )
    if split not in ("word", "character"):
        raise ValueError(
            f"Texts are split into words or characters. Received: split={split!r}. Pass "
            '"word" or "character".'
        )
    language = _is_language(task)
    if isinstance(vocabulary, Mapping) and not isinstance(layout, str):
        layout = dict.fromkeys(vocabulary, "tokens") | dict(layout or {})
    elif layout is None:
        layouts = _certain(layouts, vocabulary, sample_rate, language)
    reader = Reader(
        layout,
        layouts,
        image_size=image_size,
        length=sequence_length,
        steps=steps,
        alone=language,
        cache_dir=cache_dir,
        memory_budget=memory_budget,
    )
    y, weight = reader.read(train_data, "training data")
    held = None
    if validation_data is not None:
        held = reader.read(validation_data, "validation data")
    names = getattr(train_data, "class_names", None) if class_names is None else class_names
    names = None if names is None else [str(name) for name in names]
    values, axes = reader.values(), reader.layout
    count = reader.counts[0]
    vocabulary = vocabulary_of(vocabulary, axes, reader.name)
    check_used(
        axes,
        vocabulary=vocabulary,
        sequence_length=sequence_length,
        split=None if split == "word" else split,
        sample_rate=sample_rate,
        image_size=image_size,
    )
    if layout is None:
        _check_series(values, axes, layouts)
    if axes == "text" and language:
        texts = list(values[:count]), None if held is None else list(values[count:])
        _check_alone(y, weight, class_names, "training data")
        if held is not None:
            _check_alone(*held, class_names, "validation data")
        text = TextPreprocessing(sequence_length, split=split, vocabulary=vocabulary)
        return _language(texts, text, task, validation_split, sequence_length, seed)
    prepare = Preparation(axes, vocabulary, sequence_length, split)
    parts = {"training data": slice(0, count)}
    if held is not None:
        parts["validation data"] = slice(count, None)
    values = prepare.checked(values, parts)
    is_tokens = axes == "tokens"
    problem = infer(
        y,
        x=values[:count] if is_tokens else None,
        shape=shape_of(values),
        layout=axes,
        task=task,
        class_names=names,
        vocabulary_size=prepare.known_vocabulary,
    )
    found, names = problem.task, problem.class_names
    _check_named(found, class_names)
    whole = Whole(values, axes, found, seed)
    train = whole.part(0, problem.targets, _checked_weights(weight, "training data"))
    if held is not None:
        targets = targets_of(
            found,
            held[0],
            x=values[count:] if is_tokens else None,
            shape=shape_of(values),
            layout=axes,
            class_names=names,
            train=problem.targets,
        )
        rest = whole.part(count, targets, _checked_weights(held[1], "validation data"))
    else:
        kept, part = _split(train, found, validation_split, names, seed)
        train, rest = train.take(kept), train.take(part)
        found = fitted(found, task, train.targets)
    return Data(task=found, class_names=names, **prepare.prepared(train, rest))


def read(
    data: Any,
    *,
    task: Task | None = None,
    layout: Layout = None,
    preprocessing: Any = None,
    class_names: Sequence[str] | None = None,
    image_size: tuple[int, int] | None = None,
    sequence_length: int | None = None,
    vocabulary: Any = None,
    steps: int | None = None,
    cache_dir: str | os.PathLike[str] | None = None,
    memory_budget: int = _MEMORY_BUDGET,
) -> Examples:
    """Read examples once, such as those of a test part.

    Args:
        data: As of `load`.
        task: That of the training data; `None` infers it from these.
        layout: That of the training data, `Data.layout` or as it was given.
        preprocessing: `Data.preprocessing`, for texts and columns by name.
        class_names: Likewise, where labels are texts.
        image_size: As of `load`, likewise the others.
        sequence_length: Steps or tokens of a sequence.
        vocabulary: `Data.vocabulary`, against which token ids are checked.
        steps: Elements to read.
        cache_dir: Folder of the cache file.
        memory_budget: Bytes to keep in memory.
    """
    if preprocessing is not None and not isinstance(layout, Mapping):
        layout = None  # it says what they have become
    elif isinstance(layout, Mapping) and preprocessing:
        layout = {name: axes for name, axes in layout.items() if name not in preprocessing}
    language = isinstance(task, NextToken)
    reader = Reader(
        layout,
        image_size=image_size,
        length=sequence_length,
        steps=steps,
        alone=language,
        cache_dir=cache_dir,
        memory_budget=memory_budget,
    )
    y, weight = reader.read(data, "data")
    values, axes = reader.values(), reader.layout
    if language and isinstance(preprocessing, TextPreprocessing):
        _check_alone(y, weight, None, "data")
        x, y = windows(preprocessing.tokens(list(values)), sequence_length or WINDOW)
        return Examples(Rows(x), y)
    prepare = Preparation(axes, vocabulary, sequence_length, "word")
    values = prepare.checked(values, {"data": slice(None)}, training=False)
    shape = shape_of(values)
    tokens = values if axes == "tokens" else None
    if task is None:
        problem = infer(y, x=tokens, shape=shape, layout=axes, class_names=class_names)
        task, targets = problem.task, problem.targets
    else:
        targets = targets_of(
            task, y, x=tokens, shape=shape, layout=axes, class_names=class_names, name="data"
        )
    values = _prepared(values, preprocessing)
    rows = Fields(values) if isinstance(values, Mapping) else Rows(values)
    return Examples(rows, targets, _checked_weights(weight, "data"), task.strata(targets))


def stratified_split(
    labels: NDArray[np.int64],
    order: NDArray[np.int64],
    share: float,
    class_names: Sequence[str] | None = None,
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Split row numbers into two parts, with every class in both.

    Args:
        labels: Class of each row.
        order: Row numbers, in the order in which the second part prefers them.
        share: Of the second part, a little more or less where classes are tiny.
        class_names: For the message.

    Returns:
        The row numbers of each part, ascending.

    Raises:
        ValueError: If a class has fewer than two rows.
    """
    classes, counts = np.unique(labels, return_counts=True)
    if counts.min() < 2:
        raise ValueError(
            "Splitting needs two examples or more of each class. Received: one example of "
            f"{name_classes(classes[counts < 2], class_names)}. Add examples, leave the "
            "class out, or bring both parts: validation_data=(x, y)."
        )
    wanted = max(round(share * len(labels)), len(classes))
    part = first_of_each_class(labels, order, wanted, spare=1)
    return np.setdiff1d(np.arange(len(labels)), part, assume_unique=True), part


def _split(
    train: Part, task: Task, share: float, names: Sequence[str] | None, seed: int | None
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The rows that stay in training, and those that are held out."""
    if not isinstance(task, NextToken):
        return stratified_split(train.strata, np.arange(len(train)), share, names)
    as_read = np.argsort(train.rows)
    chunks = Rows(train.values, train.rows[as_read]).chunks()
    windows_read = [row.tobytes() for chunk in chunks for row in chunk]
    kept, part = distinct_split(windows_read, share, seed)
    return np.sort(as_read[kept]), np.sort(as_read[part])


def _language(
    texts: tuple[list[str], list[str] | None],
    preprocessing: TextPreprocessing,
    task: Any,
    share: float,
    length: int | None,
    seed: int | None,
) -> Data:
    """Texts alone: windows of tokens, each with the tokens that follow.

    Many texts are split as wholes, so that no text is on both sides; of few different ones,
    the end of each is held out.
    """
    given, held = texts
    if held is not None:
        train = given
    elif len(set(given)) >= _FEWEST_TEXTS:
        rest, part = distinct_split(given, share, seed)
        train, held = [given[i] for i in rest], [given[i] for i in part]
    else:
        cuts = [round(len(text) * (1 - share)) for text in given]
        train = [text[:cut] for text, cut in zip(given, cuts, strict=True)]
        held = [text[cut:] for text, cut in zip(given, cuts, strict=True)]
    preprocessing.fit(train)
    length = length or WINDOW
    parts = [windows(preprocessing.tokens(part), length) for part in (train, held)]
    size = preprocessing.vocabulary_size or 0
    problem = infer(
        parts[0][1],
        x=parts[0][0],
        shape=(length,),
        layout="tokens",
        task=task or "next_token",
        vocabulary_size=size,
    )
    examples = [Examples(Rows(x), y, None, np.zeros(len(y), np.int64)) for x, y in parts]
    return Data(
        train=examples[0],
        validation=examples[1],
        task=problem.task,
        input_shape=(length,),
        layout="tokens",
        class_names=None,
        rescaling=None,
        vocabulary=size,
        preprocessing=preprocessing,
    )


def _certain(
    layouts: Sequence[str], vocabulary: Any, rate: int | None, language: bool
) -> Sequence[str]:
    """The layouts to choose from, with what other arguments say of examples of one axis."""
    if rate is not None and "waveform" in layouts:
        return ["waveform"]
    told = vocabulary is not None or language
    alone = "tokens" in layouts and not {"table", "series", "waveform"} & set(layouts)
    if "tokens" in layouts and (told or alone):
        return ["tokens", *(name for name in layouts if name not in ("table", "waveform"))]
    return [name for name in layouts if name not in ("tokens", "waveform")] or layouts


def _check_series(values: Any, axes: Any, layouts: Sequence[str]) -> None:
    """Refuse to guess where rows of whole numbers may be tokens, of a space that has both."""
    both = axes == "series" and "table" not in layouts and "text" in layouts
    if not both or values.shape[-1] > 1 or values.min() < 0:
        return
    if (values == np.rint(values)).all():
        raise ValueError(
            "Rows of whole numbers may be tokens or a series. Received: examples of shape "
            f"{values.shape[1:-1]}, with numbers from {values.min():.0f} to "
            f"{values.max():.0f}. Pass the vocabulary of tokens, vocabulary=..., or "
            'layout="series".'
        )


def _check_alone(y: Any, weight: Any, class_names: Any, name: str) -> None:
    """Refuse what texts of a language model cannot have."""
    given = {"labels": y, "sample weights": weight, "class names": class_names}
    found = [what for what, value in given.items() if value is not None]
    if found:
        raise ValueError(
            "A language model learns from texts alone, cut into windows. Received: texts with "
            f"{' and '.join(found)} in the {name}. Pass the texts alone, or another task than "
            '"next_token".'
        )


def _check_named(task: Task, class_names: Sequence[str] | None) -> None:
    if class_names is not None and getattr(task, "num_classes", None) is None:
        raise ValueError(
            f"Only classes have names. Received: {len(class_names)} class names with the task "
            f'{task!r:.60}. Leave class_names out, or pass task="classification".'
        )


def _is_language(task: Any) -> bool:
    return task == "next_token" or isinstance(task, NextToken)


def _each(function: Callable[[Any], Any], of_inputs: Any) -> Any:
    """Of one input what the function makes of it; of several the same by name."""
    if isinstance(of_inputs, Mapping):
        return {name: function(one) for name, one in of_inputs.items()}
    return function(of_inputs)


def _prepared(values: Any, preprocessing: Any) -> Any:
    if isinstance(preprocessing, Mapping):
        return {
            name: preprocessing[name](one) if name in preprocessing else one
            for name, one in values.items()
        }
    return values if preprocessing is None else preprocessing(values)


def _stacked(targets: Sequence[NDArray[Any]]) -> NDArray[Any]:
    """Targets of both parts; of boxes, of which one may have more rows, padded alike."""
    if targets[0].ndim == 3 and len({y.shape[1] for y in targets}) > 1:
        most = max(y.shape[1] for y in targets)
        padding = [((0, 0), (0, most - y.shape[1]), (0, 0)) for y in targets]
        targets = [
            np.pad(y, pad, constant_values=-1) for y, pad in zip(targets, padding, strict=True)
        ]
    return np.concatenate(targets)


def _checked_weights(weight: NDArray[Any] | None, name: str) -> NDArray[np.float32] | None:
    if weight is None:
        return None
    if weight.ndim != 1 or not (np.isfinite(weight) & (weight >= 0)).all():
        raise ValueError(
            "Each example's weight must be one finite number of 0 or more. Received: "
            f"weights of shape {weight.shape} from {weight.min()} to {weight.max()} in the "
            f"{name}. Leave weights out to count all examples alike."
        )
    return weight.astype(np.float32)

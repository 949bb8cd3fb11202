"""Data sets in: every form that Keras' `fit` knows for labelled examples, read and checked."""

from __future__ import annotations

import dataclasses
import hashlib
import numbers
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from edge_devices.spelling import did_you_mean
from kerasnas.examples import Examples, ImageStore, Rows, first_of_each_class

__all__ = ["Data", "Examples", "load", "read", "resize", "stratified_split"]

Scale = float | tuple[float, ...]

_MEMORY_BUDGET = 2 * 1024**3
_CHUNK = 256  # examples read at a time
_FEWEST_STEPS = 2  # of an int8 input, by which a channel must deviate
_FORMS = (
    "Pass a tf.data.Dataset of (x, y), (x, y, sample_weight) or {'image': x, 'label': y}, "
    "or the same tuples of arrays."
)
_ONLY = "Only classification, with one class per example, is supported yet."

LAYOUTS = {
    "images": (2, 3),
    "audio": (2, 3),
    "series": (1, 2),
    "table": (1,),
}
"""Number of axes that an example may come with, by what the axes are."""


@dataclasses.dataclass(frozen=True, eq=False)
class Data:
    """A classification problem, ready for training.

    Attributes:
        train: What candidates learn from.
        validation: What they are compared on.
        input_shape: Shape of one example: `(height, width, channels)` of images, `(frames,
            bands, 1)` of audio, `(length, channels)` of series, `(columns,)` of tables.
        layout: What the axes are, a name in `LAYOUTS`.
        num_classes: Number of classes to tell apart.
        one_hot: Whether labels have a column per class.
        class_names: Name of each class, if known.
        rescaling: `(scale, offset)` for `keras.layers.Rescaling`, which brings stored images
            into the range networks expect: 1/255 for uint8; anything else is standardised
            per channel by statistics of the training part.
    """

    train: Examples
    validation: Examples
    input_shape: tuple[int, ...]
    layout: str
    num_classes: int
    one_hot: bool
    class_names: list[str] | None
    rescaling: tuple[Scale, Scale]

    def merge(self) -> Examples:
        """Return both parts as one, for the final training."""
        parts = (self.train, self.validation)
        if self.train.x.array is self.validation.x.array:
            x = Rows(self.train.x.array, np.concatenate([part.x.rows for part in parts]))
        else:
            x = Rows(np.concatenate([part.x[:] for part in parts]))
        weight = None
        if any(part.weight is not None for part in parts):
            weight = np.concatenate(
                [np.ones(len(p), np.float32) if p.weight is None else p.weight for p in parts]
            )
        return Examples(x, np.concatenate([part.y for part in parts]), weight)


def load(
    train_data: Any,
    validation_data: Any = None,
    *,
    validation_split: float = 0.2,
    layout: str | None = None,
    layouts: Sequence[str] = tuple(LAYOUTS),
    image_size: tuple[int, int] | None = None,
    steps: int | None = None,
    class_names: Sequence[str] | None = None,
    seed: int | None = 0,
    cache_dir: str | os.PathLike[str] | None = None,
    memory_budget: int = _MEMORY_BUDGET,
) -> Data:
    """Read labelled examples once, check them, and hold a validation part out.

    The examples of each part come in an order that depends on them and the seed alone, as does
    the split. So a data set that is shuffled anew each time it is read gives the same problem
    each time, and equal images mostly fall on one side of the split.

    Args:
        train_data: A `tf.data.Dataset`, batched or not, of `(x, y)`,
            `(x, y, sample_weight)` or TFDS dictionaries with `image` and `label`; or the
            same tuples and dictionaries of arrays. Labels are integers from 0, or one-hot.
        validation_data: The same, to compare candidates on. `None` holds a stratified part
            of `train_data` out.
        validation_split: Share of that part, above 0 and below 1.
        layout: What the axes of an example are: `"images"` (height, width) or (height, width,
            channels), `"audio"` (frames, bands), such as a log-mel spectrogram, `"series"`
            (length,) or (length, channels), `"table"` (columns,). `None` takes three axes for
            images; two for images where they hold uint8 or are of one length, else for a
            series; one for a table.
        layouts: The layouts to choose from where `layout` is `None`, the most likely first.
        image_size: `(height, width)` to resize all images to; needed when sizes vary.
        steps: Elements to read from each data set, batches if it is batched; arrays are
            read whole. Needed when a data set has no end. One that hides this, such as a
            generator, would be read until the disk is full.
        class_names: Names of the classes; by default the data set's own `class_names`.
        seed: Seeds order and split. `None` draws fresh entropy; `0` is a seed.
        cache_dir: Folder of the cache file; `None` is the system's temporary one. The file
            is removed when its images are no longer used.
        memory_budget: Bytes of images to keep in memory; more go to the cache file.

    Raises:
        TypeError: If the data is no data set, or holds text instead of numbers.
        ValueError: If classification cannot use the data, with the reason; or if a column of
            a table or a channel of a series would be lost in an int8 file.
    """
    if not (isinstance(validation_split, numbers.Real) and 0 < validation_split < 1):
        raise ValueError(
            "The validation part must be a share above 0 and below 1. "
            f"Received: validation_split={validation_split!r}. Use, for example, 0.2."
        )
    reader = _Reader(layout, layouts, image_size, steps, cache_dir, memory_budget)
    y, weight = reader.read(train_data, "training data")
    names = getattr(train_data, "class_names", None) if class_names is None else class_names
    names = None if names is None else [str(name) for name in names]
    num_classes = _count_classes(y, names)
    if validation_data is not None:
        held_y, held_weight = reader.read(validation_data, "validation data")
        _check_known_classes(held_y, y, names)
    images = reader.images()
    if reader.layout in ("series", "table"):
        _check_scales(images)
    train = _shuffled(Examples(Rows(images, np.arange(len(y))), y, weight), seed)
    if validation_data is not None:
        rows = Rows(images, np.arange(len(y), len(images)))
        held_out = _shuffled(Examples(rows, held_y, held_weight), seed)
    else:
        order = np.arange(len(train))
        rest, part = stratified_split(train.labels, order, validation_split, names)
        train, held_out = train.take(rest), train.take(part)
    return Data(
        train=train,
        validation=held_out,
        input_shape=images.shape[1:],
        layout=reader.layout,
        num_classes=num_classes,
        one_hot=y.ndim == 2,
        class_names=names,
        rescaling=(
            (1 / 255, 0.0)
            if images.dtype == np.uint8 and reader.layout == "images"
            else _standardising(train.x)
        ),
    )


def read(
    data: Any,
    *,
    layout: str | None = None,
    image_size: tuple[int, int] | None = None,
    steps: int | None = None,
    cache_dir: str | os.PathLike[str] | None = None,
    memory_budget: int = _MEMORY_BUDGET,
) -> Examples:
    """Read labelled examples once, such as those of a test part; arguments as in `load`."""
    reader = _Reader(layout, tuple(LAYOUTS), image_size, steps, cache_dir, memory_budget)
    y, weight = reader.read(data, "data")
    return Examples(Rows(reader.images()), y, weight)


def resize(images: tf.Tensor, image_size: tuple[int, int]) -> tf.Tensor:
    """Resize bilinearly, smoothed where images shrink; the type stays.

    Args:
        images: One image or a batch, channels last.
        image_size: `(height, width)`.
    """
    resized = tf.image.resize(images, image_size, antialias=True)
    if images.dtype.is_integer:
        resized = tf.round(resized)
    return tf.saturate_cast(resized, images.dtype)


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
            f"{_name_classes(classes[counts < 2], class_names)}. Add examples, leave the "
            "class out, or bring both parts: validation_data=(x, y)."
        )
    wanted = max(round(share * len(labels)), len(classes))
    part = first_of_each_class(labels, order, wanted, spare=1)
    return np.setdiff1d(np.arange(len(labels)), part, assume_unique=True), part


class _Reader:
    """Reads the parts of one problem into one store, so that they are known to match."""

    def __init__(
        self,
        layout: str | None,
        layouts: Sequence[str],
        image_size: tuple[int, int] | None,
        steps: int | None,
        cache_dir: str | os.PathLike[str] | None,
        memory_budget: int,
    ):
        if layout is not None and layout not in LAYOUTS:
            raise ValueError(
                f"Examples have one of the layouts {', '.join(map(repr, LAYOUTS))}. Received: "
                f"layout={layout!r}. {did_you_mean(layout, LAYOUTS)}Leave it out where "
                "the shape says enough."
            )
        if image_size is not None and not (
            isinstance(image_size, tuple | list)
            and len(image_size) == 2
            and all(_is_positive_int(side) for side in image_size)
        ):
            raise ValueError(
                "The image size must be two positive whole numbers of pixels. "
                f"Received: image_size={image_size!r}. Write image_size=(height, width)."
            )
        if steps is not None and not _is_positive_int(steps):
            raise ValueError(
                f"Steps must be a positive whole number. Received: steps={steps!r}. "
                "Pass how many elements of the data set to read."
            )
        self._layout = layout
        self._layouts = layouts
        self._image_size = image_size
        self._steps = steps
        self._cache_dir = cache_dir
        self._memory_budget = memory_budget
        self._store: ImageStore | None = None
        self._first = ""

    def read(self, data: Any, name: str) -> tuple[NDArray[Any], NDArray[np.float32] | None]:
        """Store the images of one part and return its labels and weights."""
        labels, weights, count = [], [], 0
        for x, y, *weight in self._chunks(data, name):
            if not np.isfinite(x).all():
                bad = count + int(np.argmin(np.isfinite(x.reshape(len(x), -1)).all(axis=1)))
                raise ValueError(
                    "Examples must hold finite numbers. Received: NaN or infinity in example "
                    f"{bad} of the {name}. Clean the data or leave such examples out."
                )
            if len(x):
                self._append(x, name)
                labels.append(y)
                weights.extend(weight)
                count += len(x)
        if not count:
            raise ValueError(
                f"The {name} must not be empty. Received: no example. "
                "Check the path, the filter or the split it comes from."
            )
        label = _check_labels(np.concatenate(labels), name)
        return label, _check_weights(np.concatenate(weights), name) if weights else None

    @property
    def layout(self) -> str:
        """What the axes of an example are, as given or as its shape says."""
        assert self._layout is not None  # `read` came first
        return self._layout

    def images(self) -> NDArray[Any]:
        """Return the examples of all parts, in the order they were read."""
        assert self._store is not None  # `read` came first
        return self._store.array()

    def _append(self, x: NDArray[Any], name: str) -> None:
        if self._store is None:
            kind = (x.shape[1:], x.dtype)
            self._store = ImageStore(*kind, self._cache_dir, self._memory_budget)
            self._first = name
        store = self._store
        if (x.shape[1:], x.dtype) != (store.shape, store.dtype):
            if name == self._first:
                raise _varying_sizes(name, f"{store.shape} and {x.shape[1:]}.")
            raise ValueError(
                f"The {name} must have examples like the {self._first}. Received: {x.dtype} "
                f"examples of shape {x.shape[1:]} and {store.dtype} examples of shape "
                f"{store.shape}. Prepare both alike; where only height and width of images "
                "differ, pass image_size=(height, width)."
            )
        store.append(x)

    def _chunks(self, data: Any, name: str) -> Iterator[tuple[NDArray[Any], ...]]:
        """Read batches of `(x, y)` or `(x, y, weight)`, images as they will be stored."""
        if isinstance(data, tf.data.Dataset):
            return self._dataset_chunks(data, name)
        if isinstance(data, tuple | list | Mapping) or hasattr(data, "__array__"):
            return self._array_chunks(data, name)
        raise TypeError(
            f"The {name} must be a data set. Received: {type(data).__name__}. {_FORMS}"
        )

    def _dataset_chunks(
        self, dataset: tf.data.Dataset, name: str
    ) -> Iterator[tuple[NDArray[Any], ...]]:
        if self._steps is not None:
            dataset = dataset.take(self._steps)
        elif dataset.cardinality() == tf.data.INFINITE_CARDINALITY:
            raise ValueError(
                f"The {name} must come to an end. Received: a data set that repeats for ever, "
                "and steps=None. Remove .repeat(), or pass how many elements to read, for "
                "example steps=100."
            )
        spec = _parts(dataset.element_spec, name)
        if isinstance(spec[0], tf.RaggedTensorSpec) and spec[1].shape.rank:
            dataset = dataset.unbatch()
            spec = _parts(dataset.element_spec, name)
        if any(getattr(part, "shape", None) == tf.TensorShape(None) for part in spec):
            element = next(iter(dataset), None)
            if element is None:
                return
            spec = _parts(element, name)
        rank, batched = self._check_form(spec[0], spec[1], name)

        def prepare(*element: Any) -> tuple[tf.Tensor, ...]:
            x, *rest = _parts(element[0] if len(element) == 1 else element, name)
            return (self._stored(x, rank, batched), *rest)

        dataset = dataset.map(prepare, num_parallel_calls=tf.data.AUTOTUNE)
        if not batched:
            dataset = dataset.batch(_CHUNK)
        # Fused with a map, TensorFlow 2.21 batches 8x9 with 9x8 images as if they were alike.
        options = tf.data.Options()
        options.experimental_optimization.map_and_batch_fusion = False
        dataset = dataset.with_options(options)
        try:
            yield from dataset.prefetch(2).as_numpy_iterator()
        except tf.errors.InvalidArgumentError as error:
            different = re.search(r"different shapes in component 0\.(.*?\.)", error.message)
            if different is None:
                raise
            raise _varying_sizes(name, different[1].strip()) from error

    def _array_chunks(self, data: Any, name: str) -> Iterator[tuple[NDArray[Any], ...]]:
        parts = _parts(data, name)
        if not all(isinstance(p, tuple | list) or hasattr(p, "__array__") for p in parts):
            kinds = ", ".join(type(part).__name__ for part in parts)
            raise TypeError(f"The {name} must be a data set. Received: ({kinds}). {_FORMS}")
        try:
            arrays = [np.asarray(part) for part in parts]
        except ValueError as error:  # nested lists that do not make a block
            raise _varying_sizes(name, str(error)) from error
        rank, _ = self._check_form(arrays[0], arrays[1], name, batched=True)
        lengths = [len(array) for array in arrays]
        if len(set(lengths)) > 1:
            raise ValueError(
                "Examples, labels and weights must be of one length. Received: "
                f"lengths {lengths} in the {name}. Pass one label per example."
            )
        for start in range(0, lengths[0], _CHUNK):
            x, *rest = (array[start : start + _CHUNK] for array in arrays)
            with tf.device("CPU"):
                stored = self._stored(tf.convert_to_tensor(x), rank, True)
            yield (stored.numpy(), *rest)

    def _check_form(
        self, x: Any, y: Any, name: str, batched: bool | None = None
    ) -> tuple[int, bool]:
        """Return the rank of one example and whether elements are batches.

        Both follow from arrays or from specs; so does the layout where it was not given.
        """
        for part, noun, advice in (
            (x, "Examples", "Decode them first."),
            (y, "Labels", "Number the classes from 0, and pass their names as class_names."),
        ):
            if not hasattr(part, "shape"):
                raise ValueError(
                    f"{_ONLY} Received: {type(part).__name__} for {noun.lower()} in the "
                    f"{name}. {_FORMS}"
                )
            dtype = tf.as_dtype(part.dtype)
            if not (dtype.is_floating or dtype.is_integer or dtype.is_bool):
                raise TypeError(
                    f"{noun} must be numbers. Received: {dtype.name} in the {name}. {advice}"
                )
        x_shape, y_shape = tuple(x.shape), tuple(y.shape)
        if batched is None:
            ranks = LAYOUTS[self._layout] if self._layout else ()
            batched = _is_batched(x_shape, y_shape, tf.as_dtype(y.dtype).is_floating, ranks)
        one = x_shape[batched:]
        if self._layout is None and len(one) in (1, 2, 3):
            self._layout = _layout(one, x.dtype, self._image_size, self._layouts)
        ranks = LAYOUTS.get(self._layout or "", ())
        if len(one) not in ranks or len(y_shape) - batched not in (0, 1):
            raise ValueError(
                f"{_ONLY} Received: {name} with examples of shape {x_shape} and labels of "
                f"shape {y_shape}, layout={self._layout!r}. Images are (height, width) or "
                "(height, width, channels), audio is (frames, bands), series are (length, "
                "channels), tables (columns,); labels are whole numbers, or one-hot."
            )
        if self._image_size and self._layout != "images":
            raise ValueError(
                "Only images are resized. Received: "
                f"image_size={self._image_size} with layout={self._layout!r}. Leave "
                'image_size out, or pass layout="images".'
            )
        return len(one), batched

    def _stored(self, x: tf.Tensor, rank: int, batched: bool) -> tf.Tensor:
        """Bring examples into their form in the store: uint8 or float32, channels last."""
        if isinstance(x, tf.RaggedTensor):
            x = x.to_tensor()
        x = tf.ensure_shape(x, [None] * (rank + batched))
        if x.dtype != tf.uint8:
            x = tf.cast(x, tf.float32)
        if rank < LAYOUTS[self.layout][-1]:
            x = x[..., tf.newaxis]
        return x if self._image_size is None else resize(x, self._image_size)


def _parts(element: Any, name: str) -> tuple[Any, ...]:
    """Return example, label and, if there is one, weight of an element or of its spec."""
    if isinstance(element, Mapping):
        if not {"image", "label"} <= element.keys():
            raise ValueError(
                f"A dictionary must hold 'image' and 'label'. Received: {name} with keys "
                f"{sorted(element)}. Map it, for example: "
                "ds.map(lambda e: (e['pixels'], e['class']))."
            )
        return element["image"], element["label"]
    if isinstance(element, tuple | list) and len(element) in (2, 3) and element[1] is not None:
        return tuple(element)
    shown = f"{len(element)} parts" if isinstance(element, tuple | list) else "examples alone"
    raise ValueError(
        f"The {name} must hold an example and its label each. Received: {shown}. {_FORMS}"
    )


def _is_batched(
    x_shape: tuple[int | None, ...],
    y_shape: tuple[int | None, ...],
    probabilities: bool,
    ranks: Sequence[int],
) -> bool:
    """Whether elements are batches, where examples have one of `ranks` if any are given."""
    if len(x_shape) == 4 or len(y_shape) != 1:
        return len(y_shape) > 0
    # (a, ...) with (d,): examples and their classes, or one example and its one-hot.
    if x_shape[0] != y_shape[0] or (ranks and len(x_shape) - 1 not in ranks):
        return False
    if x_shape[0] is None or not probabilities or (ranks and len(x_shape) not in ranks):
        return True
    # Floating labels may be classes, but as many may be one example's one-hot.
    return len(x_shape) == 3 and x_shape[-1] not in (1, 3, 4)


def _layout(
    shape: tuple[int | None, ...],
    dtype: Any,
    image_size: tuple[int, int] | None,
    layouts: Sequence[str],
) -> str:
    """What the axes of an example are likely to be, of those that are possible."""
    if len(shape) == 3 or image_size is not None:
        likely = "images"
    elif len(shape) == 2:
        like_pixels = tf.as_dtype(dtype) == tf.uint8 or len(set(shape)) == 1
        likely = "images" if like_pixels else "series"
    else:
        likely = "table"
    fitting = [layout for layout in layouts if len(shape) in LAYOUTS.get(layout, ())]
    if likely == "images" and image_size is None:
        # They look like audio features: which of the two a space is for decides.
        fitting = [layout for layout in fitting if layout in ("images", "audio")] or fitting
        return fitting[0] if fitting else likely
    return likely if likely in fitting or not fitting else fitting[0]


def _check_labels(y: NDArray[Any], name: str) -> NDArray[Any]:
    """Return integer classes as int64 and class probabilities as float32."""
    if y.ndim == 2 and y.shape[1] == 1:
        y = y[:, 0]
    if not np.isfinite(y).all():
        raise ValueError(
            f"Labels must be finite. Received: NaN or infinity in the {name}. "
            "Leave unlabelled examples out."
        )
    if y.ndim == 2:
        wrong = (y < 0).any(axis=1) | (np.abs(y.sum(axis=1) - 1) > 1e-3)
        if wrong.any():
            raise ValueError(
                f"{_ONLY} Received: a label {y[wrong][0].tolist()} in the {name}. One-hot "
                "labels must sum to 1; several classes per example are not yet supported."
            )
        return y.astype(np.float32)
    whole = y.astype(np.int64)
    if (whole != y).any():
        raise ValueError(
            f"{_ONLY} Received: a label {y[whole != y][0]} in the {name}; regression is not "
            "yet supported. Pass whole numbers, or one-hot labels."
        )
    if whole.min() < 0:
        raise ValueError(
            f"Labels must be 0 or more. Received: {whole.min()} in the {name}. "
            "Number the classes from 0, and leave unlabelled examples out."
        )
    return whole


def _check_weights(weight: NDArray[Any], name: str) -> NDArray[np.float32]:
    if weight.ndim != 1 or not (np.isfinite(weight) & (weight >= 0)).all():
        raise ValueError(
            "Each example's weight must be one finite number of 0 or more. Received: "
            f"weights of shape {weight.shape} from {weight.min()} to {weight.max()} in the "
            f"{name}. Leave weights out to count all examples alike."
        )
    return weight.astype(np.float32)


def _count_classes(y: NDArray[Any], names: list[str] | None) -> int:
    """Return the number of classes, those without an example included."""
    present = np.unique(_labels(y))
    if len(present) < 2:
        raise ValueError(
            "Classification needs two classes or more. Received: training data that holds "
            f"only {_name_classes(present, names)}. Check labels and filters."
        )
    count = y.shape[1] if y.ndim == 2 else int(present[-1]) + 1
    if names is not None and (count > len(names) or (y.ndim == 2 and count < len(names))):
        raise ValueError(
            f"Labels and class names must match. Received: {len(names)} class names, and "
            f"training labels for {count} classes. Name every class, in the labels' order."
        )
    if count > max(1000, len(y)):
        raise ValueError(
            f"Labels must number the classes from 0. Received: {len(present)} classes, "
            f"numbered up to {present[-1]}. Renumber them, for example: "
            "y = np.unique(y, return_inverse=True)[1]."
        )
    return count if names is None else len(names)


def _check_known_classes(
    y: NDArray[Any], train_y: NDArray[Any], names: list[str] | None
) -> None:
    if y.shape[1:] != train_y.shape[1:]:
        raise ValueError(
            "Training and validation labels must have one form. Received: training labels of "
            f"shape {train_y.shape} and validation labels of shape {y.shape}. Pass whole "
            "numbers in both, or one-hot labels with the same columns."
        )
    unknown = np.setdiff1d(_labels(y), _labels(train_y))
    if len(unknown):
        raise ValueError(
            "Every validation class must be in the training data. Received: validation data "
            f"with {_name_classes(unknown, names)}, which training data lacks. "
            "Split the data again, or leave the class out."
        )


def _labels(y: NDArray[Any]) -> NDArray[np.int64]:
    return y.argmax(axis=1) if y.ndim == 2 else y


def _name_classes(classes: NDArray[np.int64], names: Sequence[str] | None) -> str:
    """Write classes for a message, at most five of them."""
    known = len(names) if names is not None else 0
    shown = [f"{c} ({names[c]})" if names and c < known else str(c) for c in classes[:5]]
    more = f" and {len(classes) - 5} more" if len(classes) > 5 else ""
    return f"class{'es' * (len(classes) > 1)} {', '.join(shown)}{more}"


def _varying_sizes(name: str, received: str) -> ValueError:
    return ValueError(
        f"All examples must have one size. Received: {name} with other sizes: {received} "
        "Pass image_size=(height, width) to resize images, and do not batch them before; cut "
        "or pad others to one length."
    )


def _shuffled(examples: Examples, seed: int | None) -> Examples:
    """Put examples in a random order that does not depend on the one they come in."""
    key = np.random.default_rng(seed).bytes(16)
    digests = b"".join(
        hashlib.blake2b(image.data, digest_size=8, key=key).digest()
        for chunk in examples.x.chunks()
        for image in chunk.reshape(len(chunk), -1)
    )
    return examples.take(np.lexsort((examples.labels, np.frombuffer(digests, np.uint64))))


def _standardising(images: Rows) -> tuple[Scale, Scale]:
    """Return the scale and offset that give each channel mean 0 and deviation 1."""
    count, mean, squares = 0, np.zeros(images.shape[-1]), np.zeros(images.shape[-1])
    for chunk in images.chunks():  # the pairwise update, stable where sums of squares are not
        pixels = chunk.reshape(-1, chunk.shape[-1]).astype(np.float64)
        center = pixels.mean(axis=0)
        total = count + len(pixels)
        squares += ((pixels - center) ** 2).sum(axis=0)
        squares += (center - mean) ** 2 * count * len(pixels) / total
        mean += (center - mean) * len(pixels) / total
        count = total
    deviation = np.sqrt(squares / count)
    constant = deviation <= 1e-6 * np.abs(mean) + 1e-30  # within rounding, or float32
    scale = 1 / np.where(constant, 1.0, deviation)
    if len(mean) == 1:
        return float(scale[0]), float(-mean[0] * scale[0])
    return tuple(scale.tolist()), tuple((-mean * scale).tolist())


def _check_scales(examples: NDArray[Any]) -> None:
    """Refuse channels that are next to nothing beside others.

    An int8 file has one scale for all that goes in: a channel that varies by few steps of it
    is rounded away before any layer can scale it.
    """
    channels = examples.reshape(-1, examples.shape[-1])
    if channels.shape[1] < 2:
        return
    low, high = min(float(channels.min()), 0.0), max(float(channels.max()), 0.0)
    step = (high - low) / 255
    deviation = channels.std(axis=0, dtype=np.float64)
    lost = (deviation > 0) & (deviation < _FEWEST_STEPS * step)
    if lost.any():
        worst = int(np.argmin(np.where(lost, deviation, np.inf)))
        raise ValueError(
            "Columns and channels must vary by like amounts, because an int8 file has one "
            f"scale for all of them. Received: {int(lost.sum())} of {len(deviation)} that "
            f"would be lost, such as number {worst}, with a deviation of "
            f"{deviation[worst]:.3g} where values go from {low:.3g} to {high:.3g}. "
            "Standardise each before the search; `search_spaces.table.encoder` does so for "
            "the columns of a table."
        )


def _is_positive_int(value: Any) -> bool:
    return (
        isinstance(value, numbers.Integral) and not isinstance(value, bool) and int(value) > 0
    )

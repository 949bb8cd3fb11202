"""Labelled examples: stored once, selected by row, served in batches."""

from __future__ import annotations

import collections
import dataclasses
import os
import pathlib
import tempfile
import weakref
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from kerasnas.rows import Inputs, Rows, inputs_of

__all__ = ["Examples", "ImageStore", "Vary", "first_of_each_class"]

_RESIZED_AT_ONCE = 4096  # images

Vary = Callable[[Any, tf.Tensor, tf.Tensor], tuple[Any, tf.Tensor]]


@dataclasses.dataclass(frozen=True, eq=False)
class Examples:
    """Labelled examples.

    Attributes:
        x: What goes into a network, uint8, int32 or float32: rows `(n, ...)` of one input, or
            of several by name; arrays given here are wrapped.
        y: What is to come out, `(n, ...)`, in the form that the task stores: see
            `search_spaces.task.Task`.
        weight: Sample weights `(n,)`, float32, or `None`.
        strata: A class number each, int64, by which parts are drawn in like shares. By
            default the class where `y` has whole numbers `(n,)` or a column a class, else 0.
    """

    x: Inputs
    y: NDArray[Any]
    weight: NDArray[np.float32] | None = None
    strata: NDArray[np.int64] = None  # type: ignore[assignment]

    def __post_init__(self) -> None:
        object.__setattr__(self, "x", inputs_of(self.x))
        if self.strata is None:
            object.__setattr__(self, "strata", _classes(np.asarray(self.y)))
        lengths = [len(self.x), *(len(column) for column in self._targets)]
        if len(set(lengths)) > 1:
            raise ValueError(
                "Examples, labels and weights must be of one length. Received: lengths "
                f"{lengths}. Pass one label per example."
            )

    def __len__(self) -> int:
        return len(self.y)

    @property
    def _targets(self) -> list[NDArray[Any]]:
        return [self.y] if self.weight is None else [self.y, self.weight]

    def take(self, indices: NDArray[np.int64]) -> Examples:
        """Select examples by number, without copying what goes into a network."""
        weight = None if self.weight is None else self.weight[indices]
        return Examples(self.x.take(indices), self.y[indices], weight, self.strata[indices])

    def stratified_subset(self, n: int, seed: int | None) -> Examples:
        """Draw `n` examples with the same shares of the classes, in their old order.

        Each class is there if `n` allows. No more than `n` examples are returned as they are.
        """
        if n >= len(self):
            return self
        order = np.random.default_rng(seed).permutation(len(self))
        return self.take(first_of_each_class(self.strata, order, n))

    def resized(self, sides: tuple[int, int]) -> Examples:
        """Return the images with other sides `(height, width)`, of their own type, in memory.

        Areas are averaged, so that nothing of a larger image is skipped.
        """
        chunks = []
        for start in range(0, len(self), _RESIZED_AT_ONCE):
            images = self.x[start : start + _RESIZED_AT_ONCE]
            small = tf.image.resize(images, sides, method="area").numpy()
            if images.dtype.kind in "iu":
                small = small.round()
            chunks.append(small.astype(images.dtype))
        return dataclasses.replace(self, x=inputs_of(np.concatenate(chunks)))

    def dataset(
        self,
        batch_size: int,
        *,
        shuffle: int | None = None,
        repeat: bool = False,
        vary: Vary | None = None,
        weigh: Callable[[tf.Tensor], tf.Tensor] | None = None,
        encode: Callable[[NDArray[Any]], NDArray[Any]] | None = None,
        drop_remainder: bool = False,
    ) -> tf.data.Dataset:
        """Serve the examples in batches `(x, y)` or `(x, y, weight)`.

        An epoch holds each example once, and each `iter()` begins the next epoch. Inputs are
        gathered from where they are stored and never become part of a graph.

        Args:
            batch_size: Examples in a batch; the last of an epoch may be smaller.
            shuffle: Seed of a new order for each epoch; `None` keeps the stored order. The
                n-th epochs of two data sets made with one seed are the same.
            repeat: Whether epochs follow one another without end.
            vary: Applied to the inputs and targets of each batch and a seed of shape (2,),
                another for every batch and the same for the same `shuffle`: with stateless
                random operations it varies examples in parallel and repeatably, as a graph.
            weigh: Makes weights of the targets of a batch, by which those of the examples are
                multiplied: one an example, or one a pixel.
            encode: From targets as they are stored, and varied, to what the loss takes; NumPy.
                It must give rows of the shape that it makes of the first one.
            drop_remainder: Leave out the smaller batch, so that every shape is static.

        Raises:
            ValueError: If `drop_remainder` leaves nothing.
        """
        n = len(self)
        served = n - n % batch_size if drop_remainder else n
        if not served:
            raise ValueError(
                f"There is no batch to serve. Received: batch_size={batch_size}, "
                f"drop_remainder={drop_remainder}, {n} examples. Use a smaller batch."
            )
        rng = np.random.default_rng(0 if shuffle is None else shuffle)
        static_size = None if served % batch_size else batch_size
        columns: list[Any] = [*_arrays(self.x), *self._targets]

        def draw() -> tuple[NDArray[np.int64], np.int64]:
            order = np.arange(n) if shuffle is None else rng.permutation(n)
            return order, rng.integers(2**62)

        def epoch(_: tf.Tensor) -> tf.data.Dataset:
            order, seed = tf.numpy_function(draw, [], [tf.int64, tf.int64])
            starts = tf.data.Dataset.range(0, served, batch_size)
            return starts.map(
                lambda start: (
                    order[start : tf.minimum(start + batch_size, served)],
                    tf.stack([tf.ensure_shape(seed, []), start]),
                )
            )

        def gather(rows: tf.Tensor, seed: tf.Tensor) -> tuple[Any, ...]:
            batch = tf.numpy_function(
                lambda rows: [column[rows] for column in columns],
                [rows],
                [tf.as_dtype(column.dtype) for column in columns],
                stateful=False,
            )
            for tensor, column in zip(batch, columns, strict=True):
                tensor.set_shape([static_size, *column.shape[1:]])
            x, y, *weight = self._packed(batch)
            if vary is not None:
                x, y = vary(x, y, seed)
            if weigh is not None:
                weight = [_times(weigh(y), *weight)]
            if encode is not None:
                y = _encoded(encode, self.y, y, static_size)
            return (x, y, *weight)

        epochs = tf.data.Dataset.range(1)
        batches = (epochs.repeat() if repeat else epochs).flat_map(epoch)
        batches = batches.map(gather, num_parallel_calls=tf.data.AUTOTUNE)
        count = tf.data.INFINITE_CARDINALITY if repeat else -(-served // batch_size)
        batches = batches.apply(tf.data.experimental.assert_cardinality(count))
        return batches.prefetch(tf.data.AUTOTUNE)

    def _packed(self, batch: Sequence[tf.Tensor]) -> tuple[Any, ...]:
        """The flat columns of a batch as inputs, targets and weights."""
        if isinstance(self.x, Rows):
            return tuple(batch)
        names = self.x.names
        return dict(zip(names, batch, strict=False)), *batch[len(names) :]


def _arrays(x: Inputs) -> list[Rows]:
    return [x] if isinstance(x, Rows) else [x[name] for name in x.names]


def _classes(y: NDArray[Any]) -> NDArray[np.int64]:
    if y.ndim == 2 and y.dtype.kind == "f":
        return np.asarray(y.argmax(axis=1), np.int64)
    if y.ndim == 1 and y.dtype.kind in "bui":
        return y.astype(np.int64)
    return np.zeros(len(y), np.int64)


def _times(weights: tf.Tensor, of_examples: tf.Tensor | None = None) -> tf.Tensor:
    """Weights of examples or pixels, times those that the examples have."""
    if of_examples is None:
        return weights
    rank = len(weights.shape)
    return weights * tf.reshape(of_examples, [-1] + [1] * (rank - 1))


def _encoded(
    encode: Callable[[NDArray[Any]], NDArray[Any]],
    stored: NDArray[Any],
    y: tf.Tensor,
    static_size: int | None,
) -> tf.Tensor:
    one = encode(stored[:1])  # says of what shape and type all are
    made = tf.numpy_function(encode, [y], tf.as_dtype(one.dtype), stateful=False)
    made.set_shape([static_size, *one.shape[1:]])
    return made


def first_of_each_class(
    labels: NDArray[np.int64], order: NDArray[np.int64], n: int, *, spare: int = 0
) -> NDArray[np.int64]:
    """Choose `n` rows with the same shares of the classes.

    Args:
        labels: Class of each row.
        order: Row numbers, in the order in which they are preferred.
        n: Rows to choose. Shares are rounded so that each class gets one if `n` allows.
        spare: Rows of each class that are never chosen, and so may leave fewer than `n`.

    Returns:
        Row numbers, ascending.
    """
    _, codes, counts = np.unique(labels, return_inverse=True, return_counts=True)
    quota = _apportion(n, counts, counts - spare)
    grouped = order[np.argsort(codes[order], kind="stable")]
    rank = np.arange(len(labels)) - np.repeat(np.cumsum(counts) - counts, counts)
    return np.sort(grouped[rank < np.repeat(quota, counts)])


def _apportion(
    n: int, counts: NDArray[np.int64], most: NDArray[np.int64]
) -> NDArray[np.int64]:
    """Share `n` among classes by largest remainder, within `most` and, if it goes, from 1."""
    n = min(n, int(most.sum()))
    ideal = n * counts / counts.sum()
    least = np.minimum(most, 1 if n >= len(counts) else 0)
    quota: NDArray[np.int64] = np.clip(np.floor(ideal).astype(np.int64), least, most)
    while quota.sum() < n:
        quota[np.argmax(np.where(quota < most, ideal - quota, -np.inf))] += 1
    while quota.sum() > n:
        quota[np.argmax(np.where(quota > least, quota - ideal, -np.inf))] -= 1
    return quota


class ImageStore:
    """Collects images of unknown number: in memory, or in a file once they are too many.

    Args:
        shape: `(height, width, channels)` of one image.
        dtype: Their type.
        cache_dir: Folder of the file, `None` for the system's temporary one. The file is
            removed when the array is no longer used.
        memory_budget: Bytes up to which images stay in memory.
    """

    def __init__(
        self,
        shape: tuple[int, ...],
        dtype: np.dtype[Any],
        cache_dir: str | os.PathLike[str] | None,
        memory_budget: int,
    ):
        self.shape = shape
        self.dtype = dtype
        self._cache_dir = cache_dir
        self._budget = memory_budget
        self._held = 0
        self._chunks: collections.deque[NDArray[Any]] = collections.deque()
        self._path: pathlib.Path | None = None

    def append(self, images: NDArray[Any]) -> None:
        """Add images."""
        self._chunks.append(images)
        self._held += images.nbytes
        if self._path is None and self._held > self._budget:
            self._path = self._create_file()
            self._cleanup = weakref.finalize(self, self._path.unlink, missing_ok=True)
        if self._path is not None:
            with self._path.open("ab") as file:
                while self._chunks:
                    self._chunks.popleft().tofile(file)

    def array(self) -> NDArray[Any]:
        """Return all images; as a read-only `np.memmap` if they are in the file."""
        if self._path is not None:
            mapped = np.memmap(self._path, self.dtype, "r").reshape(-1, *self.shape)
            self._cleanup.detach()
            weakref.finalize(mapped, self._path.unlink, missing_ok=True)
            return mapped
        array = np.empty((sum(map(len, self._chunks)), *self.shape), self.dtype)
        start = 0
        while self._chunks:  # each chunk is freed as soon as it is copied
            chunk = self._chunks.popleft()
            array[start : start + len(chunk)] = chunk
            start += len(chunk)
        return array

    def _create_file(self) -> pathlib.Path:
        if self._cache_dir is None:
            handle, name = tempfile.mkstemp(".images", "kerasnas-")
            os.close(handle)
            return pathlib.Path(name)
        path = pathlib.Path(self._cache_dir, "images.cache")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.unlink(missing_ok=True)  # not truncated: another process may have it mapped
        return path

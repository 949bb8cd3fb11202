"""Labelled images: stored once, selected by row, served in batches."""

from __future__ import annotations

import collections
import dataclasses
import os
import pathlib
import tempfile
import weakref
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

__all__ = ["Examples", "ImageStore", "Rows", "first_of_each_class"]

_CHUNK = 256  # rows gathered at a time when all are read


class Rows:
    """Selected rows of an array, gathered when they are read.

    `rows[3]`, `rows[:100]` and `np.asarray(rows)` give arrays. Until then nothing is copied,
    so that the parts of a data set cost nothing, even of one larger than memory.

    Args:
        array: The stored array, an `np.memmap` too, or rows of one.
        rows: Row numbers in `array`; `None` selects all.
    """

    array: NDArray[Any]
    rows: NDArray[np.int64]

    def __init__(self, array: NDArray[Any] | Rows, rows: NDArray[np.int64] | None = None):
        rows = np.arange(len(array)) if rows is None else np.asarray(rows, np.int64)
        if isinstance(array, Rows):
            self.array, self.rows = array.array, array.rows[rows]
        else:
            self.array, self.rows = array, rows

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, key: Any) -> Any:
        return self.array[self.rows[key]]

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        if copy is False:
            raise ValueError("Rows of an array cannot be read without a copy.")
        return np.asarray(self[:], dtype)

    @property
    def dtype(self) -> np.dtype[Any]:
        """As of the stored array."""
        return self.array.dtype

    @property
    def shape(self) -> tuple[int, ...]:
        """As of an array of these rows."""
        return (len(self), *self.array.shape[1:])

    @property
    def ndim(self) -> int:
        """As of the stored array."""
        return self.array.ndim

    def chunks(self) -> Iterator[NDArray[Any]]:
        """Read all rows, in order, a few hundred at a time."""
        for start in range(0, len(self), _CHUNK):
            yield self[start : start + _CHUNK]


@dataclasses.dataclass(frozen=True, eq=False)
class Examples:
    """Labelled images.

    Attributes:
        x: Images `(n, height, width, channels)`, uint8 or float32; an array given here is
            wrapped as `Rows`.
        y: Integer classes `(n,)`, int64, or one probability per class `(n, k)`, float32.
        weight: Sample weights `(n,)`, float32, or `None`.
    """

    x: Rows
    y: NDArray[Any]
    weight: NDArray[np.float32] | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "x", Rows(self.x))
        if any(len(column) != len(self.y) for column in self._columns):
            raise ValueError(
                "Images, labels and weights must be of one length. Received: lengths "
                f"{[len(column) for column in self._columns]}. Pass one label per image."
            )

    def __len__(self) -> int:
        return len(self.y)

    @property
    def labels(self) -> NDArray[np.int64]:
        """The class of each example: `y`, or the most probable one."""
        return self.y.argmax(axis=1) if self.y.ndim == 2 else self.y

    @property
    def _columns(self) -> list[Any]:
        return [self.x, self.y] if self.weight is None else [self.x, self.y, self.weight]

    def take(self, indices: NDArray[np.int64]) -> Examples:
        """Select examples by number, without copying images."""
        weight = None if self.weight is None else self.weight[indices]
        return Examples(Rows(self.x, indices), self.y[indices], weight)

    def stratified_subset(self, n: int, seed: int | None) -> Examples:
        """Draw `n` examples with the same shares of the classes, in their old order.

        Each class is there if `n` allows. No more than `n` examples are returned as they are.
        """
        if n >= len(self):
            return self
        order = np.random.default_rng(seed).permutation(len(self))
        return self.take(first_of_each_class(self.labels, order, n))

    def dataset(
        self,
        batch_size: int,
        *,
        shuffle: int | None = None,
        repeat: bool = False,
        map_batch: Callable[[tf.Tensor, tf.Tensor], tf.Tensor] | None = None,
        drop_remainder: bool = False,
    ) -> tf.data.Dataset:
        """Serve the examples in batches `(x, y)` or `(x, y, weight)`.

        An epoch holds each example once, and each `iter()` begins the next epoch. Images are
        gathered from where they are stored and never become part of a graph.

        Args:
            batch_size: Examples in a batch; the last of an epoch may be smaller.
            shuffle: Seed of a new order for each epoch; `None` keeps the stored order. The
                n-th epochs of two data sets made with one seed are the same.
            repeat: Whether epochs follow one another without end.
            map_batch: Applied to each batch of images and a seed of shape (2,), another for
                every batch and the same for the same `shuffle`: with stateless random
                operations it varies images in parallel and repeatably, as a graph.
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
        columns = self._columns
        dtypes = [tf.as_dtype(column.dtype) for column in columns]
        static_size = None if served % batch_size else batch_size

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

        def gather(rows: tf.Tensor, seed: tf.Tensor) -> tuple[tf.Tensor, ...]:
            batch = tf.numpy_function(
                lambda rows: [column[rows] for column in columns],
                [rows],
                dtypes,
                stateful=False,
            )
            for tensor, column in zip(batch, columns, strict=True):
                tensor.set_shape([static_size, *column.shape[1:]])
            x, *rest = batch
            return (x if map_batch is None else map_batch(x, seed), *rest)

        epochs = tf.data.Dataset.range(1)
        batches = (epochs.repeat() if repeat else epochs).flat_map(epoch)
        batches = batches.map(gather, num_parallel_calls=tf.data.AUTOTUNE)
        count = tf.data.INFINITE_CARDINALITY if repeat else -(-served // batch_size)
        batches = batches.apply(tf.data.experimental.assert_cardinality(count))
        return batches.prefetch(tf.data.AUTOTUNE)


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

"""One input of a data set: what its axes are, and where its examples are kept."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from kerasnas.elements import LAYOUTS, combined, is_text
from kerasnas.examples import ImageStore

__all__ = ["InputReader", "resize", "varying_sizes"]

_AXES = (
    "Images are (height, width) or (height, width, channels), audio is (frames, bands), "
    "waveforms are (samples,), series are (length, channels), tables (columns,), tokens "
    "(length,)."
)

_COLUMNS, _TEXTS = "columns by name", "texts"


class InputReader:
    """One input of all parts: what its axes are, and where its examples are kept."""

    def __init__(
        self,
        name: str,
        layout: str | None,
        layouts: Sequence[str],
        image_size: tuple[int, int] | None,
        length: int | None,
        cache: tuple[Any, int],
    ) -> None:
        self.name = name
        self._layout = layout
        self._layouts = layouts
        self._image_size = image_size
        self._length = length
        self._cache = cache
        self._rank = 0
        self._first = ""  # name of the part that was read first
        self._form = ""
        self._kinds: dict[str, str] = {}  # of columns
        self._store: ImageStore | None = None
        self._loose: list[Any] = []  # texts, or columns

    @property
    def layout(self) -> str:
        """What the axes of an example are, as given or as its shape says."""
        assert self._layout is not None  # `check` came first
        return self._layout

    @property
    def has_columns(self) -> bool:
        """Whether each example is a row of columns by name."""
        return self._form == _COLUMNS

    @property
    def _said(self) -> str:
        return f" of the input {self.name!r}" if self.name else ""

    def check(self, leaf: Any, y: Any, batched: bool, name: str) -> None:
        """Settle the layout, or refuse examples that cannot have the one that was given."""
        self._check_form(leaf, name)
        if isinstance(leaf, Mapping):
            self._settle("table", _COLUMNS)
            self._check_columns(leaf, name)
            return
        if self._form == _TEXTS:
            self._settle("text", _TEXTS)
            if len(leaf.shape) - batched > 0 and tuple(leaf.shape[batched:]) != (1,):
                raise TypeError(
                    f"Examples must be numbers, or one text each. Received: texts of shape "
                    f"{tuple(leaf.shape)} in the {name}{self._said}. Decode them first."
                )
            return
        one = tuple(leaf.shape)[batched:]
        if self._layout is None and len(one) in (1, 2, 3):
            sized = self._image_size if not self.name else None
            self._layout = _layout(one, leaf.dtype, sized, self._layouts)
        if self._layout is None and not one and self.name:
            self._layout = "table"  # a number beside other inputs
        self._rank = len(one)
        scalar = not one and self._layout == "table" and bool(self.name)
        if len(one) not in LAYOUTS.get(self._layout or "", ()) and not scalar:
            shape = getattr(y, "shape", None)
            raise ValueError(
                f"These examples have too many axes or too few. Received: {name} with "
                f"examples of shape {tuple(leaf.shape)}{self._said} and labels of shape "
                f"{None if shape is None else tuple(shape)}, layout={self._layout!r}. {_AXES}"
            )
        if self._layout == "waveform" and one[1:] not in ((), (1,), (None,)):
            raise ValueError(
                f"A waveform has one channel. Received: {name} with examples of shape "
                f"{one}{self._said}. Pass one channel or the mean of several, "
                'x.mean(axis=-1); where these are no waveforms, pass layout="series", or '
                '"audio" for spectrograms.'
            )
        if self._image_size and self._layout != "images" and not self.name:
            raise ValueError(
                "Only images are resized. Received: "
                f"image_size={self._image_size} with layout={self._layout!r}. Leave "
                'image_size out, or pass layout="images".'
            )

    def _check_form(self, leaf: Any, name: str) -> None:
        """Refuse what came in another form before."""
        named = isinstance(leaf, Mapping)
        form = _COLUMNS if named else _TEXTS if is_text(leaf.dtype) else "numbers"
        if not self._form:
            self._form, self._first = form, name
        if form != self._form:
            raise ValueError(
                f"The {name} must have examples like the {self._first}. Received: {form} "
                f"and {self._form}{self._said}. Prepare both alike."
            )
        if form == "numbers" and self._layout == "text":
            raise ValueError(
                f"Examples of layout='text' are texts. Received: numbers in the {name}"
                f'{self._said}. Leave the layout out, or pass "tokens" where they number '
                "words."
            )

    def _check_columns(self, columns: Mapping[str, Any], name: str) -> None:
        """Refuse columns of other names than before, or texts beside numbers."""
        kinds = {key: _kind(column) for key, column in columns.items()}
        self._kinds = self._kinds or kinds
        if kinds.keys() != self._kinds.keys():
            missing = sorted(self._kinds.keys() - kinds.keys())
            new = sorted(kinds.keys() - self._kinds.keys())
            raise ValueError(
                f"The {name} must have the columns of the {self._first}. Received: columns "
                f"without {missing} and with {new}{self._said}. Pass the same columns."
            )
        for key, kind in kinds.items():
            if kind and self._kinds[key] and kind != self._kinds[key]:
                raise ValueError(
                    f"A column holds numbers or texts in all parts. Received: {kind} in "
                    f"{key!r} of the {name}{self._said}, and {self._kinds[key]} in that of "
                    f"the {self._first}. Convert them to one kind."
                )

    def _settle(self, layout: str, what: str) -> None:
        if self._layout not in (None, layout) and not (
            layout == "text" and self._layout == "tokens"
        ):
            raise ValueError(
                f"Examples{self._said} are {what}. Received: layout={self._layout!r}. Leave "
                f"the layout out, or pass {layout!r}."
            )
        self._layout = layout

    def stored(self, leaf: Any, batched: bool) -> Any:
        """Bring examples into their form in the store: channels last, three types."""
        if isinstance(leaf, Mapping):
            return {key: _plain(column) for key, column in leaf.items()}
        if self.layout == "text":
            return _plain(leaf)
        if isinstance(leaf, tf.RaggedTensor):
            leaf = leaf.to_tensor()
        x = tf.convert_to_tensor(leaf)
        x = tf.ensure_shape(x, [None] * (self._rank + batched))
        if self.layout == "tokens":
            x = tf.cast(x, tf.int32)
        elif x.dtype != tf.uint8:
            x = tf.cast(x, tf.float32)
        if self.layout == "waveform" and self._rank == 2:
            x = tf.squeeze(x, -1)
        elif self.layout != "waveform" and self._rank < LAYOUTS[self.layout][-1]:
            x = x[..., tf.newaxis]
        if self._length is not None and self.layout in ("tokens", "series", "waveform"):
            x = _cut_or_padded(x, self._length, int(batched))
        if self.layout == "images" and self._image_size is not None:
            return resize(x, self._image_size)
        return x

    def append(self, chunk: Any, name: str, count: int) -> None:
        """Keep examples, in the form that `stored` gives them."""
        if isinstance(chunk, Mapping) or self.layout == "text":
            self._loose.append(chunk)
            return
        if not len(chunk):
            return
        if chunk.dtype.kind == "f" and not np.isfinite(chunk).all():
            bad = int(np.argmin(np.isfinite(chunk.reshape(len(chunk), -1)).all(axis=1)))
            raise ValueError(
                "Examples must hold finite numbers. Received: NaN or infinity in example "
                f"{count + bad} of the {name}{self._said}. Clean the data or leave such "
                "examples out."
            )
        if self._store is None:
            self._store = ImageStore(chunk.shape[1:], chunk.dtype, *self._cache)
        store = self._store
        if (chunk.shape[1:], chunk.dtype) != (store.shape, store.dtype):
            if name == self._first:
                raise varying_sizes(name, f"{store.shape} and {chunk.shape[1:]}.")
            raise ValueError(
                f"The {name} must have examples like the {self._first}. Received: "
                f"{chunk.dtype} examples of shape {chunk.shape[1:]} and {store.dtype} "
                f"examples of shape {store.shape}{self._said}. Prepare both alike; where only "
                "height and width of images differ, pass image_size=(height, width)."
            )
        store.append(chunk)

    def value(self) -> Any:
        """All examples, in the order they were read."""
        if self._store is not None:
            return self._store.array()
        return combined(self._loose)


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


def varying_sizes(name: str, received: str) -> ValueError:
    """The error of examples that differ in size."""
    return ValueError(
        f"All examples must have one size. Received: {name} with other sizes: {received} "
        "Pass image_size=(height, width) and a tf.data.Dataset of images, not batched, to "
        "resize them; sequence_length=... to cut or pad sequences."
    )


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


def _kind(column: Any) -> str:
    """What a column holds; empty where its values have to say it one by one."""
    dtype = getattr(column, "dtype", np.dtype(object))
    if isinstance(dtype, tf.DType):
        return _TEXTS if dtype == tf.string else "numbers"
    known = {"U": _TEXTS, "S": _TEXTS, "O": "", "M": "dates", "m": "durations"}
    return known.get(np.dtype(dtype).kind, "numbers")


def _plain(column: Any) -> Any:
    """One value an example: a column (n, 1) becomes (n,)."""
    if isinstance(column, list):
        return column
    return column[..., 0] if len(column.shape) == 2 and column.shape[-1] == 1 else column


def _cut_or_padded(x: tf.Tensor, length: int, axis: int) -> tf.Tensor:
    """Sequences of this length: the end cut off, or zeros added behind it."""
    x = x[:, :length] if axis else x[:length]
    padding = [[0, 0]] * len(x.shape)
    padding[axis] = [0, length - tf.shape(x)[axis]]
    shape = list(x.shape)
    shape[axis] = length
    return tf.ensure_shape(tf.pad(x, padding), shape)

"""What turns texts and tables into what a network and its file take: tokens and numbers.

A device file takes numbers. What makes them is learned from the training part alone, kept in
stock Keras layers, and shipped beside the model: as `preprocessing.keras`, which Keras reads
without this library, and as `preprocessing.json`, which says the same to programs without
Keras.
"""

from __future__ import annotations

import abc
import json
import pathlib
import string
from collections.abc import Collection, Sequence
from typing import Any, Literal, Self

import numpy as np
from numpy.typing import NDArray

from kerasnas.sequences import block_split, padded, size_of, token_ids, windows
from search_spaces import table

__all__ = [
    "PADDING",
    "UNKNOWN",
    "Preprocessing",
    "TablePreprocessing",
    "TextPreprocessing",
    "block_split",
    "check_columns",
    "check_texts",
    "load",
    "padded",
    "token_ids",
    "windows",
]

PADDING = 0
"""The token behind the end of a text."""

UNKNOWN = 1
"""The token of what the vocabulary lacks."""

_BATCH = 1024  # texts at a time
_SHARE = 95  # percent of the training texts that are not cut
_SPLITS = {"word": "whitespace", "character": "character"}
_STANDARDIZE = {"word": "lower_and_strip_punctuation", "character": None}
_LOWERING = ("lower", "lower_and_strip_punctuation")
_STRIPPING = ("strip_punctuation", "lower_and_strip_punctuation")
_FEATURE_SPACE = "FeatureSpace"


class Preprocessing(abc.ABC):
    """Raw examples in, arrays of one shape out.

    Attributes:
        layout_out: What the axes are of what comes out, as `kerasnas.search` calls them.
    """

    layout_out: str

    @property
    @abc.abstractmethod
    def shape(self) -> tuple[int, ...]:
        """Shape of one example that comes out."""

    @property
    @abc.abstractmethod
    def vocabulary_size(self) -> int | None:
        """Number of tokens, counted with padding and unknown; `None` if these are none."""

    @abc.abstractmethod
    def fit(self, x: Any) -> Self:
        """Learn from the training examples, and from these alone."""

    @abc.abstractmethod
    def __call__(self, x: Any) -> NDArray[Any]:
        """Turn examples into an array, `(n, *shape)`."""

    @abc.abstractmethod
    def facts(self) -> dict[str, Any]:
        """All that was learned, ready for JSON, for who would do the same in a program."""

    @abc.abstractmethod
    def keras_object(self) -> Any:
        """What `keras.models.load_model` loads: texts or columns in, as `__call__` out."""

    def save(self, folder: Any, name: str = "preprocessing") -> None:
        """Write `{name}.keras` and `{name}.json` into a folder, which is made if need be."""
        folder = pathlib.Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        self.keras_object().save(folder / f"{name}.keras")
        facts = json.dumps(self.facts(), indent=1, ensure_ascii=False)
        (folder / f"{name}.json").write_text(facts + "\n", encoding="utf-8")


def load(folder: Any, name: str = "preprocessing") -> Preprocessing:
    """Have back what `Preprocessing.save` wrote.

    Raises:
        FileNotFoundError: If there is none in the folder.
    """
    import keras

    path = pathlib.Path(folder) / f"{name}.keras"
    if not path.exists():
        raise FileNotFoundError(
            f"There is no preprocessing to load. Received: {path}. Networks that take numbers "
            "as they are have none."
        )
    loaded = keras.models.load_model(path)
    if type(loaded).__name__ == _FEATURE_SPACE:
        return TablePreprocessing._of(loaded)
    return TextPreprocessing._of(loaded)


class TextPreprocessing(Preprocessing):
    """Texts to numbers of words or characters, by `keras.layers.TextVectorization`.

    Token 0 pads what is shorter than `length`, 1 stands for all that the vocabulary lacks,
    and the others count from 2, the most frequent first. What is longer is cut at its end.

    Args:
        length: Tokens of an example. `None` takes as many as 95 percent of the training texts
            have at most. Longer texts say more and cost a network time and memory, with
            attention by the square.
        max_tokens: Size of the vocabulary at most, padding and unknown included. A network
            keeps a row of weights for each token: at a width of 64, 5,000 tokens are 320 KB of
            a file.
        split: `"word"` or `"character"`. Characters make long sequences of a small
            vocabulary.
        standardize: What is done to texts before: a name that `TextVectorization` knows, or
            `None` for nothing; `"auto"` is `"lower_and_strip_punctuation"` for words and
            nothing for characters.
        vocabulary: Words or characters to use instead of learning them, or the size to learn.
            Padding and unknown are not among them.

    Raises:
        TypeError: If the vocabulary is neither a list nor a number.
        ValueError: If a length or a size is too small, a name unknown, or a word twice in the
            vocabulary.
    """

    layout_out = "tokens"

    def __init__(
        self,
        length: int | None = None,
        *,
        max_tokens: int = 5000,
        split: Literal["word", "character"] = "word",
        standardize: str | None = "auto",
        vocabulary: Sequence[str] | int | None = None,
    ) -> None:
        if vocabulary is not None:
            size = size_of(vocabulary)
            if isinstance(vocabulary, int | np.integer):
                max_tokens, vocabulary = size, None
        if split not in _SPLITS:
            raise ValueError(
                f"Texts are split into words or characters. Received: split={split!r}. Pass "
                '"word" or "character".'
            )
        if max_tokens < 3 or (length is not None and length < 1):
            raise ValueError(
                "A vocabulary has 3 tokens or more, two of them for padding and what is "
                f"unknown, and a text 1 or more. Received: max_tokens={max_tokens}, "
                f"length={length}. Raise them."
            )
        if vocabulary is not None:
            vocabulary = _words(vocabulary)
        self._length = length
        self._max_tokens = max_tokens
        self._split = split
        self._standardize = _STANDARDIZE[split] if standardize == "auto" else standardize
        self._given = vocabulary
        self._layer: Any = None  # to tokens of any number

    @property
    def shape(self) -> tuple[int, ...]:
        self._check_fitted()
        assert self._length is not None
        return (self._length,)

    @property
    def vocabulary_size(self) -> int:
        return len(self.vocabulary)

    @property
    def vocabulary(self) -> list[str]:
        """The text of each token; of padding the empty one."""
        self._check_fitted()
        return [str(word) for word in self._layer.get_vocabulary()]

    def fit(self, x: Any) -> Self:
        """Learn vocabulary and length from the training texts.

        Args:
            x: Texts: a list, an array, or a column `(n, 1)`.

        Raises:
            ValueError: If these are no texts, or there is no word in them.
        """
        import tensorflow as tf

        texts = _texts(x)
        self._layer = self._made(vocabulary=self._given)
        if self._given is None:
            self._layer.adapt(tf.data.Dataset.from_tensor_slices(texts).batch(_BATCH))
        if self.vocabulary_size < 3:
            raise ValueError(
                "Texts to learn from must hold words. Received: "
                f"{len(texts)} texts without any, such as {texts[0]!r:.60}. Check what was "
                "read, and `standardize`."
            )
        if self._length is None:
            counts = [len(tokens) for tokens in self.tokens(texts)]
            self._length = max(1, int(np.ceil(np.percentile(counts, _SHARE))))
        return self

    def __call__(self, x: Any) -> NDArray[np.int32]:
        """Turn texts into tokens `(n, length)`, padded with 0 or cut."""
        rows = np.full((len(x), *self.shape), PADDING, np.int32)
        for row, tokens in zip(rows, self.tokens(x), strict=True):
            row[: len(tokens)] = tokens[: len(row)]
        return rows

    def tokens(self, x: Any) -> list[NDArray[np.int32]]:
        """Turn texts into all their tokens, as many as each has."""
        self._check_fitted()
        texts, found = _texts(x), []
        for start in range(0, len(texts), _BATCH):
            ragged = self._layer(texts[start : start + _BATCH])
            values = ragged.flat_values.numpy().astype(np.int32)
            found += np.split(values, ragged.row_splits.numpy()[1:-1])
        return found

    def facts(self) -> dict[str, Any]:
        """What a program does to a text, in this order.

        `lower` are the letters that become small, no others do; `strip` the characters that
        are left out. A text is then cut into words where characters of `separators` are, of
        any number, or into its characters where there are none. The place of each in
        `vocabulary` is its token.
        """
        by_word = self._split == "word"
        return {
            "kind": "text",
            "split": self._split,
            "standardize": self._standardize,
            "lower": string.ascii_uppercase if self._standardize in _LOWERING else "",
            "strip": string.punctuation if self._standardize in _STRIPPING else "",
            "separators": string.whitespace if by_word else "",
            "length": self.shape[0],
            "padding": PADDING,
            "unknown": UNKNOWN,
            "vocabulary": self.vocabulary,
        }

    def keras_object(self) -> Any:
        """A `keras.Model` from texts `(n,)` to tokens `(n, length)`."""
        import keras

        layer = self._made(
            vocabulary=self.vocabulary[2:], output_sequence_length=self.shape[0], ragged=False
        )
        return keras.Sequential([keras.Input(shape=(), dtype="string"), layer])

    @classmethod
    def _of(cls, model: Any) -> TextPreprocessing:
        """The preprocessing that `keras_object` was made from."""
        config = model.layers[-1].get_config()
        split = next(name for name, how in _SPLITS.items() if how == config["split"])
        made = cls(
            config["output_sequence_length"],
            split=split,  # type: ignore[arg-type]
            standardize=config["standardize"],
            vocabulary=[str(word) for word in model.layers[-1].get_vocabulary()[2:]],
        )
        made._layer = made._made(vocabulary=made._given)
        return made

    def _made(self, **settings: Any) -> Any:
        import keras

        settings = {"ragged": True, **settings}
        if settings["vocabulary"] is None:
            settings["max_tokens"] = self._max_tokens
        return keras.layers.TextVectorization(
            standardize=self._standardize, split=_SPLITS[self._split], **settings
        )

    def _check_fitted(self) -> None:
        if self._layer is None:
            raise RuntimeError("Texts become tokens by what was learned: call `fit` first.")


class TablePreprocessing(Preprocessing):
    """Columns of numbers and names to one row of numbers: see `search_spaces.table`.

    Args:
        categories: Columns whose whole numbers are names, as postal codes are.
        most_categories: Categories that a column may have, each an input of the network.
    """

    layout_out = "table"

    def __init__(self, categories: Collection[str] = (), most_categories: int = 100) -> None:
        self._categories = categories
        self._most_categories = most_categories
        self._encoder: Any = None
        self._width = 0

    @property
    def shape(self) -> tuple[int, ...]:
        self._check_fitted()
        return (self._width,)

    @property
    def vocabulary_size(self) -> None:
        return None

    def fit(self, x: Any) -> Self:
        """Learn means, deviations and categories from the training rows.

        Args:
            x: A dictionary of columns, a data frame, a structured array, or an array of
                objects `(n, columns)`.

        Raises:
            ValueError: If a column is of several kinds or of none, or values are missing.
        """
        self._encoder, self._width = table.encoder(
            table.columns_of(x), self._categories, self._most_categories
        )
        return self

    def __call__(self, x: Any) -> NDArray[np.float32]:
        """Turn rows into numbers `(n, width)`."""
        self._check_fitted()
        return table.encode(self._encoder, table.columns_of(x))

    def facts(self) -> dict[str, Any]:
        self._check_fitted()
        return {"kind": "table", "columns": table.facts(self._encoder)}

    def keras_object(self) -> Any:
        """The `keras.utils.FeatureSpace`."""
        self._check_fitted()
        return self._encoder

    @classmethod
    def _of(cls, encoder: Any) -> TablePreprocessing:
        made = cls()
        made._encoder = encoder
        made._width = sum(column["width"] for column in table.facts(encoder))
        return made

    def _check_fitted(self) -> None:
        if self._encoder is None:
            raise RuntimeError("Columns become numbers by what was learned: call `fit` first.")


def check_texts(x: Any, name: str) -> None:
    """Refuse what is no text, by its row in a data set of this name."""
    _texts(x, name)


def check_columns(x: Any, name: str) -> None:
    """Refuse columns that cannot become numbers, by rows of a data set of this name."""
    table.check(table.columns_of(x), name)


def _texts(x: Any, name: str = "texts") -> list[str]:
    """Texts of any form as a list."""
    values = np.asarray(x, dtype=None if hasattr(x, "dtype") else object)
    if values.ndim == 2 and values.shape[1] == 1:
        values = values[:, 0]
    if values.ndim != 1 or not len(values):
        raise ValueError(
            f"Texts are a list, one an example. Received: shape {values.shape}. Join what "
            "belongs together, and pass several columns as several inputs."
        )
    texts = [one.decode() if isinstance(one, bytes) else one for one in values.tolist()]
    wrong = next((i for i, text in enumerate(texts) if not isinstance(text, str)), None)
    if wrong is not None:
        raise ValueError(
            f"Texts must be strings. Received: {texts[wrong]!r:.60} in row {wrong} of the "
            f"{name}. Fill in what is missing, and pass token numbers with a vocabulary."
        )
    return texts


def _words(vocabulary: Sequence[str]) -> list[str]:
    words = [str(word) for word in vocabulary]
    words = words[2:] if words[:2] == ["", "[UNK]"] else words  # as Keras lists them
    repeated = len(words) - len(set(words))
    if repeated or not words or "" in words:
        raise ValueError(
            "A vocabulary lists each word once. Received: "
            f"{len(words)} words, {repeated} of them repeated"
            f"{', one of them empty' * ('' in words)}. Leave out repetitions, and padding."
        )
    return words

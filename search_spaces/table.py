"""Columns of a table as numbers for a network, by stock Keras preprocessing layers.

A network that is searched, quantized and put on a device takes numbers. What turns a row of
numbers and names into them is a `keras.utils.FeatureSpace`, adapted to the training rows and
shipped beside the model:

```python
columns = {
    "age": [31, 54, 27],
    "income": [1.2e4, 3.3e4, 1.9e4],
    "city": ["Rome", "Oslo", "Rome"],
}
encoder, width = table.encoder(columns)
x = table.encode(encoder, columns)  # (3, 5): two numbers, three for the city
model = kerasnas.search((x, y), space=MLP((width,), num_classes=2))
encoder.save("encoder.keras")  # and keras.models.load_model to have it back
```
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = ["check", "columns_of", "encode", "encoder", "facts"]

_BATCH = 4096  # rows encoded at a time
_LARGEST = 2**31 - 1  # of whole numbers that Keras looks up


def columns_of(table: Any) -> dict[str, Any]:
    """The columns of a table by name, whatever holds them.

    A slash in a name, which Keras does not take, becomes an underscore.

    Args:
        table: A mapping of columns; a data frame, or any object with `columns` that gives them
            by `table[name]`; a structured array; or an array of objects `(rows, columns)`,
            whose columns are named `column_0` and on.

    Raises:
        ValueError: If it is none of these, or two columns have one name.
    """
    if isinstance(table, Mapping):
        return _by_name(list(table), table)
    if hasattr(table, "columns"):
        return _by_name(list(table.columns), table)
    array = np.asarray(table, dtype=None if hasattr(table, "dtype") else object)
    if array.dtype.names:
        return _by_name(array.dtype.names, array)
    if array.ndim != 2:
        raise ValueError(
            f"A table has rows and columns. Received: {array.dtype.name} of shape "
            f"{array.shape}. Pass a dictionary of columns."
        )
    rows = array.astype(object)  # in which each column is of a kind of its own
    return {
        f"column_{number:0{len(str(rows.shape[1] - 1))}}": rows[:, number]
        for number in range(rows.shape[1])
    }


def check(columns: Mapping[str, ArrayLike], name: str = "table") -> None:
    """Refuse what `encoder` would refuse of these rows, categories aside.

    Args:
        columns: As of `encoder`.
        name: What the table is called in messages, which count its rows from 0.

    Raises:
        ValueError: If a column has values of several kinds, or of a kind that is neither; if
            values are missing; or if columns differ in length.
    """
    _arrays(columns, name)


def _by_name(given: Sequence[Any], table: Any) -> dict[str, Any]:
    names = [str(name).replace("/", "_") for name in given]
    if len(set(names)) < len(names):
        raise ValueError(f"Columns must have different names. Received: {names}. Rename them.")
    return {name: table[one] for name, one in zip(names, given, strict=True)}


def encoder(
    columns: Mapping[str, ArrayLike],
    categories: Collection[str] = (),
    most_categories: int = 100,
) -> tuple[Any, int]:
    """Learn how to encode rows like these.

    Numbers are shifted and scaled to mean 0 and variance 1. Categories become one number
    each, 1 for the row's own, and one more stands for any that is new, as does -1 among whole
    numbers. Texts are categories, and so are the whole numbers of columns named in
    `categories`; whole numbers are numbers otherwise, and so are truth values.

    Args:
        columns: The training rows: one sequence of values a column, all of one length.
        categories: Columns whose whole numbers are names, as postal codes are.
        most_categories: Categories that a column may have. Each becomes an input of the
            network.

    Returns:
        The `keras.utils.FeatureSpace`, adapted, and the number of numbers it makes of a row.
        They stand in the alphabetic order of the columns' names.

    Raises:
        ValueError: If a column has values of several kinds, or of a kind that is neither; if
            values are missing; if it has too many categories; or if columns differ in length.
    """
    from keras.utils import FeatureSpace

    arrays = _arrays(columns)
    unknown = sorted(set(categories) - set(arrays))
    if unknown:
        raise ValueError(
            f"`categories` must name columns. Received: {unknown}, with the columns "
            f"{sorted(arrays)}. Check the spelling."
        )
    features: dict[str, Any] = {}
    for name, values in arrays.items():
        if values.dtype.kind != "U" and name not in categories:
            features[name] = FeatureSpace.float_normalized()
            continue
        _check_categories(name, values, most_categories)
        kind = (
            FeatureSpace.string_categorical
            if values.dtype.kind == "U"
            else FeatureSpace.integer_categorical
        )
        features[name] = kind(num_oov_indices=1, output_mode="one_hot")
    space = FeatureSpace(features, output_mode="concat")
    space.adapt(_batches(space, arrays))
    return space, int(space.get_encoded_features().shape[-1])


def encode(encoder: Any, columns: Mapping[str, ArrayLike]) -> NDArray[np.float32]:
    """Encode rows by what `encoder` has learned.

    Args:
        encoder: A `keras.utils.FeatureSpace` of `encoder`.
        columns: Rows, as there; columns that were not there are left out.

    Returns:
        Numbers, `(rows, width)`.

    Raises:
        ValueError: If a column is missing, or not of the kind it was.
    """
    missing = sorted(set(encoder.features) - set(columns))
    if missing:
        raise ValueError(
            f"All columns that the encoder knows are needed. Received: {sorted(columns)}, "
            f"without {missing}. Add them."
        )
    arrays = _arrays({name: columns[name] for name in encoder.features})
    for name, values in arrays.items():
        expected, received = encoder.features[name].dtype, _kind(values)
        if (expected == "string") != (received == "texts"):
            wanted = "texts" if expected == "string" else "numbers"
            raise ValueError(
                f"A column must hold what it held before. Received: {received} in {name!r}, "
                f"which had {wanted}. Convert it."
            )
    parts = [encoder(batch).numpy() for batch in _batches(encoder, arrays)]
    return np.concatenate(parts).astype(np.float32)


def facts(encoder: Any) -> list[dict[str, Any]]:
    """What `encoder` has learned, for who would encode rows without Keras.

    Returns:
        For each column, in the order in which they are encoded, `name` and `width`, the
        numbers it becomes; and of numbers `mean` and `deviation`, of categories the
        `categories` by place, where the first stands for all that are new.
    """
    found = []
    for name in sorted(encoder.features):
        layer = encoder.preprocessors[name]
        if encoder.features[name].output_mode == "one_hot":
            known = [
                value.item() if hasattr(value, "item") else value
                for value in layer.get_vocabulary()
            ]
            found.append({"name": name, "width": len(known), "categories": [None, *known[1:]]})
        else:
            mean, variance = np.ravel(layer.mean), np.ravel(layer.variance)
            found.append(
                {
                    "name": name,
                    "width": 1,
                    "mean": float(mean[0]),
                    "deviation": float(np.sqrt(variance[0])),
                }
            )
    return found


def _batches(space: Any, arrays: Mapping[str, NDArray[Any]]) -> Any:
    import tensorflow as tf

    kinds = {"float32": np.float32, "int32": np.int32, "string": np.str_}
    columns: dict[str, NDArray[Any]] = {
        name: values.astype(kinds[space.features[name].dtype])
        for name, values in arrays.items()
    }
    return tf.data.Dataset.from_tensor_slices(columns).batch(_BATCH)


def _arrays(columns: Mapping[str, ArrayLike], table: str = "table") -> dict[str, NDArray[Any]]:
    """The columns as arrays of texts, whole numbers or numbers."""
    arrays = {str(name): _array(str(name), values, table) for name, values in columns.items()}
    lengths = {name: len(values) for name, values in arrays.items()}
    if not lengths or len(set(lengths.values())) > 1 or not min(lengths.values()):
        raise ValueError(
            "A table needs columns of one length, at least 1. Received: "
            f"lengths={lengths}. Give each row a value in each column."
        )
    return arrays


def _array(name: str, values: ArrayLike, table: str) -> NDArray[Any]:
    # NumPy would silently turn the numbers among texts into texts.
    array = np.asarray(values, dtype=None if hasattr(values, "dtype") else object)
    if array.ndim != 1:
        raise ValueError(
            f"A column has one value a row. Received: {name!r} of shape {array.shape}. Split "
            "it into several columns."
        )
    if array.dtype.kind in "OT":
        array = _of_one_kind(name, array, table)
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        row = int(np.flatnonzero(~np.isfinite(array))[0])
        raise ValueError(
            f"Numbers must be finite. Received: {array[row]} in row {row} of {name!r} in the "
            f"{table}. Fill in what is missing, e.g. by the median, or leave the rows out."
        )
    if array.dtype.kind == "S":
        array = array.astype(np.str_)
    if array.dtype.kind not in "biufU":
        raise ValueError(
            f"A column holds numbers or texts. Received: {array.dtype} in {name!r}. Convert "
            "it, e.g. dates to days."
        )
    return array


def _of_one_kind(name: str, array: NDArray[Any], table: str) -> NDArray[Any]:
    kinds: dict[str, int] = {}
    texts = any(isinstance(value, str) for value in array)
    for row, value in enumerate(array):
        kind = type(value).__name__
        if _is_missing(value, texts):
            kind = "a missing value"
        elif isinstance(value, (bool, np.bool_, int, float, np.integer, np.floating)):
            kind = "a number"
        elif isinstance(value, str):
            kind = "a text"
        kinds.setdefault(kind, row)
    if len(kinds) > 1 or not kinds.keys() <= {"a number", "a text"}:
        found = ", ".join(f"{kind} (row {row})" for kind, row in kinds.items())
        raise ValueError(
            f"A column holds numbers or texts, not both, and a value in each row. Received: "
            f"{found} in {name!r} of the {table}. Convert them to one kind, and fill in what "
            "is missing."
        )
    return np.asarray(array.tolist())


def _is_missing(value: Any, among_texts: bool) -> bool:
    """Whether this stands for no value; NaN does among texts, as data frames have it."""
    if among_texts and isinstance(value, (float, np.floating)) and np.isnan(value):
        return True
    return value is None or type(value).__name__ in ("NAType", "NaTType")


def _kind(values: NDArray[Any]) -> str:
    return "texts" if values.dtype.kind == "U" else "numbers"


def _check_categories(name: str, values: NDArray[Any], most: int) -> None:
    if values.dtype.kind == "f" or (
        values.dtype.kind in "iu" and abs(values).max() > _LARGEST
    ):
        raise ValueError(
            "Categories are texts or whole numbers of 32 bits. Received: "
            f"{values.dtype.name} in {name!r}. Convert them to texts."
        )
    found = len(np.unique(values))
    if found > most:
        raise ValueError(
            f"A column may have {most} categories. Received: {found} in {name!r}. Leave it "
            "out if it only names rows, or join rare categories. What are texts to be read "
            f"goes into a network by its words: pass layout={{{name!r}: 'text'}} to a search."
        )

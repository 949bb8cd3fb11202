import keras
import numpy as np
import pytest

from search_spaces.mlp import MLP
from search_spaces.realise import realise
from search_spaces.table import check, columns_of, encode, encoder

COLUMNS = {
    "age": [31, 54, 27, 40],
    "city": ["Rome", "Oslo", "Rome", "Lima"],
    "income": np.array([1.2e4, 3.3e4, 1.9e4, 2.0e4]),
    "member": np.array([True, False, False, True]),
}


class Frame:
    """As a data frame shows itself."""

    def __init__(self, columns):
        self._columns = columns

    @property
    def columns(self):
        return list(self._columns)

    def __getitem__(self, name):
        return np.asarray(self._columns[name])


class NAType:
    """As data frames mark what is missing."""


@pytest.fixture(scope="module")
def adapted():
    return encoder(COLUMNS)


def test_numbers_are_standardised_and_texts_become_one_number_a_category(adapted):
    space, width = adapted
    encoded = encode(space, COLUMNS)
    assert encoded.shape == (4, width) == (4, 1 + 4 + 1 + 1)  # three cities and any other
    assert encoded.dtype == np.float32
    numbers = encoded[:, [0, 5, 6]]
    np.testing.assert_allclose(numbers.mean(axis=0), 0, atol=1e-6)
    np.testing.assert_allclose(numbers.std(axis=0), 1, atol=1e-5)
    age = np.array(COLUMNS["age"])
    np.testing.assert_allclose(encoded[:, 0], (age - age.mean()) / age.std(), rtol=1e-5)
    city = encoded[:, 1:5]
    np.testing.assert_array_equal(city.sum(axis=1), 1)
    np.testing.assert_array_equal(city[0], city[2])
    assert len(np.unique(city, axis=0)) == 3


def test_what_the_training_rows_lack_is_encoded_as_unknown(adapted):
    space, _ = adapted
    row = {name: values[:1] for name, values in COLUMNS.items()} | {"city": ["Bonn"]}
    np.testing.assert_array_equal(encode(space, row)[0, 1:5], [1, 0, 0, 0])


def test_whole_numbers_are_categories_where_they_are_said_to_be():
    columns = {"zip": [7, 7, 900, 12]}
    space, width = encoder(columns, categories=["zip"])
    assert width == 4
    encoded = encode(space, columns)
    np.testing.assert_array_equal(encoded[0], encoded[1])
    assert len(np.unique(encoded, axis=0)) == 3
    assert encoder(columns)[1] == 1


def test_the_encoder_is_saved_and_loaded_by_keras_alone(adapted, tmp_path):
    space, _ = adapted
    space.save(tmp_path / "encoder.keras")
    loaded = keras.models.load_model(tmp_path / "encoder.keras")
    np.testing.assert_array_equal(encode(loaded, COLUMNS), encode(space, COLUMNS))


def test_a_network_takes_encoded_rows(adapted):
    space, width = adapted
    model = realise(MLP((width,), 2).network({}))
    assert model(encode(space, COLUMNS)).shape == (4, 2)
    keras.backend.clear_session()


def test_columns_are_the_same_whatever_holds_them(adapted):
    space, _ = adapted
    rows = list(zip(*COLUMNS.values(), strict=True))
    structured = np.array(
        rows, [("age", int), ("city", "U4"), ("income", float), ("member", bool)]
    )
    for columns in (Frame(COLUMNS), structured):
        found = columns_of(columns)
        assert list(found) == list(COLUMNS)
        np.testing.assert_array_equal(encode(space, found), encode(space, COLUMNS))
    found = columns_of(np.array(rows, object))
    assert list(found) == ["column_0", "column_1", "column_2", "column_3"]
    assert found["column_1"].tolist() == COLUMNS["city"]
    assert list(columns_of([[0] * 11]))[1] == "column_01"


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        (np.zeros(3), r"rows and columns\. Received: float64 of shape \(3,\)"),
        (Frame({1: [2], "1": [3]}), r"different names\. Received: \['1', '1'\]"),
    ],
)
def test_what_is_no_table_is_refused(columns, message):
    with pytest.raises(ValueError, match=message):
        columns_of(columns)


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"a": [1, "x", 2.0]}, r"not both, .* Received: a number \(row 0\), a text \(row 1\)"),
        ({"a": ["x", None]}, r"Received: a text \(row 0\), a missing value \(row 1\) in 'a'"),
        (
            {"a": ["x", np.nan]},
            r"Received: a text \(row 0\), a missing value \(row 1\) in 'a'",
        ),
        ({"a": [1, NAType()]}, r"a number \(row 0\), a missing value \(row 1\) in 'a'"),
        ({"a": [1.0, np.nan]}, r"must be finite\. Received: nan in row 1 of 'a'"),
        ({"a": [1, 2], "b": [1]}, r"of one length, at least 1\. Received: lengths="),
        ({"a": []}, r"of one length, at least 1\. Received: lengths="),
        ({}, r"of one length, at least 1\. Received: lengths="),
        ({"a": np.zeros((2, 2))}, r"one value a row\. Received: 'a' of shape \(2, 2\)"),
        ({"a": np.array(["2026-11-24"], "M8[D]")}, r"Received: datetime64\[D\] in 'a'"),
        ({"a": [{}, {}]}, r"Received: dict \(row 0\) in 'a'"),
    ],
)
def test_columns_of_no_kind_are_refused(columns, message):
    with pytest.raises(ValueError, match=message):
        encoder(columns)


@pytest.mark.parametrize(
    ("columns", "categories", "message"),
    [
        ({"a": [1, 2]}, ["b"], r"must name columns\. Received: \['b'\]"),
        ({"a": [1.5, 2.0]}, ["a"], r"whole numbers of 32 bits\. Received: float64 in 'a'"),
        ({"a": [1, 2**40]}, ["a"], r"whole numbers of 32 bits\. Received: int64 in 'a'"),
        ({"a": list("abcdef")}, [], r"may have 5 categories\. Received: 6 in 'a'"),
        ({"a": list("abcdef")}, [], r"pass layout=\{'a': 'text'\} to a search\."),
    ],
)
def test_categories_that_cannot_be_encoded_are_refused(columns, categories, message):
    with pytest.raises(ValueError, match=message):
        encoder(columns, categories, most_categories=5)


@pytest.mark.parametrize("column", [[1.0, np.nan], ["x", None]])
def test_the_name_of_the_table_is_in_the_message(column):
    with pytest.raises(ValueError, match=r"row 1.*'a' (in|of) the training data\."):
        check({"a": column}, "training data")
    check({"a": [1.0, 2.0], "b": ["x", "y"]})


def test_rows_of_another_kind_than_before_are_refused(adapted):
    space, _ = adapted
    with pytest.raises(ValueError, match=r"Received: texts in 'age', which had numbers"):
        encode(space, COLUMNS | {"age": ["old"] * 4})
    with pytest.raises(ValueError, match=r"Received: \['age'\], without \['city', "):
        encode(space, {"age": [3]})


def test_a_slash_in_the_name_of_a_column_becomes_an_underscore():
    columns = columns_of({"od280/od315": np.zeros(3), "hue": np.ones(3)})
    assert list(columns) == ["od280_od315", "hue"]
    _, width = encoder({name: np.arange(3.0) for name in columns})
    assert width == 2


def test_columns_that_would_have_one_name_are_refused():
    with pytest.raises(ValueError, match=r"different names.*Received.*Rename"):
        columns_of({"a/b": np.zeros(3), "a_b": np.ones(3)})

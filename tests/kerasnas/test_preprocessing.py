import json
import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf

from kerasnas.preprocessing import TablePreprocessing, TextPreprocessing, load
from search_spaces import table

TEXTS = ["The cat sat.", "The dog, the dog!", "a"]
COLUMNS = {
    "age": [31, 54, 27, 40],
    "city": ["Rome", "Oslo", "Rome", "Lima"],
    "zip": [7, 7, 900, 12],
}


@pytest.fixture(scope="module")
def words():
    return TextPreprocessing().fit(TEXTS)


@pytest.fixture(scope="module")
def columns():
    return TablePreprocessing(categories=["zip"]).fit(COLUMNS)


class TestText:
    def test_words_are_numbered_by_frequency_behind_padding_and_unknown(self, words):
        assert words.vocabulary[:4] == ["", "[UNK]", "the", "dog"]
        assert words.vocabulary_size == 7
        the, dog = 2, 3
        found = words(["the DOG zebra", "dog"])
        assert found.tolist() == [[the, dog, 1, 0], [dog, 0, 0, 0]]
        assert found.dtype == np.int32
        assert (words.layout_out, words.shape) == ("tokens", (4,))

    def test_the_length_leaves_95_percent_of_the_texts_whole(self):
        texts = [" ".join(["word"] * n) for n in range(1, 101)]
        made = TextPreprocessing().fit(texts)
        whole = sum(len(tokens) <= made.shape[0] for tokens in made.tokens(texts))
        assert whole == 96
        assert TextPreprocessing(7).fit(texts).shape == (7,)

    def test_tokens_are_as_many_as_there_are(self, words):
        assert [len(one) for one in words.tokens(["a", "the cat " * 700, ""])] == [1, 1400, 0]

    def test_characters_keep_case_and_punctuation(self):
        made = TextPreprocessing(split="character").fit(["Ab, b"])
        assert set(made.vocabulary[2:]) == {"A", "b", ",", " "}
        assert made.shape == (5,)
        assert made(["a"]).tolist() == [[1, 0, 0, 0, 0]]

    def test_a_vocabulary_that_is_given_is_not_learned(self):
        made = TextPreprocessing(vocabulary=["dog", "cat"]).fit(TEXTS)
        assert made.vocabulary == ["", "[UNK]", "dog", "cat"]
        again = TextPreprocessing(vocabulary=made.vocabulary).fit(TEXTS)
        assert again.vocabulary == made.vocabulary

    @pytest.mark.parametrize("settings", [{"max_tokens": 4}, {"vocabulary": 4}])
    def test_the_vocabulary_keeps_to_its_size(self, settings):
        made = TextPreprocessing(**settings).fit(TEXTS)
        assert made.vocabulary_size == 4
        assert made(TEXTS).max() == 3

    @pytest.mark.parametrize(
        "form",
        [
            np.array(TEXTS),
            np.array(TEXTS, object),
            np.array([text.encode() for text in TEXTS], object),
            np.array(TEXTS)[:, np.newaxis],
            tuple(TEXTS),
            tf.constant(TEXTS).numpy(),
        ],
    )
    def test_texts_of_any_form_give_the_same(self, words, form):
        np.testing.assert_array_equal(words(form), words(TEXTS))

    @pytest.mark.parametrize(
        ("x", "message"),
        [
            ([], r"Texts are a list, one an example\. Received: shape \(0,\)"),
            ([["a", "b"]], r"Received: shape \(1, 2\)"),
            (["a", 3], r"must be strings\. Received: 3 in row 1"),
            (["a", None], r"Received: None in row 1 of the texts\. Fill in"),
            (np.array(["a", np.nan], object), "Received: nan in row 1"),
            (["", "?!"], "must hold words"),
        ],
    )
    def test_what_is_no_text_gets_a_sentence(self, x, message):
        with pytest.raises(ValueError, match=message):
            TextPreprocessing().fit(x)

    @pytest.mark.parametrize(
        ("settings", "message"),
        [
            ({"split": "line"}, "split='line'"),
            ({"max_tokens": 2}, "max_tokens=2"),
            ({"length": 0}, "length=0"),
            ({"vocabulary": ["a", "a"]}, "2 words, 1 of them repeated"),
            ({"vocabulary": []}, "0 words"),
            ({"vocabulary": ["a", ""]}, "one of them empty"),
        ],
    )
    def test_settings_that_make_no_sense_are_refused(self, settings, message):
        with pytest.raises(ValueError, match=message):
            TextPreprocessing(**settings)

    @pytest.mark.parametrize("vocabulary", ["words", 50.0])
    def test_a_vocabulary_of_another_kind_is_refused(self, vocabulary):
        with pytest.raises(TypeError, match="list of words, or the number"):
            TextPreprocessing(vocabulary=vocabulary)

    @pytest.mark.parametrize(
        "settings",
        [
            {},
            {"split": "character"},
            {"split": "character", "standardize": "lower"},
            {"standardize": "strip_punctuation"},
            {"standardize": None},
        ],
    )
    def test_the_facts_say_how_to_make_tokens_without_keras(self, settings):
        every = "".join(map(chr, range(1, 0x250)))
        texts = [f"a{every}b", *every, "The \u00c4rger, don't!", "x\u00a0y\u2003z", ""]
        made = TextPreprocessing(length=700, **settings).fit(texts)
        facts = json.loads(json.dumps(made.facts()))

        def program(text):
            text = "".join(c.lower() if c in facts["lower"] else c for c in text)
            text = "".join(c for c in text if c not in facts["strip"])
            if facts["separators"]:
                for one in facts["separators"]:
                    text = text.replace(one, " ")
                text = [word for word in text.split(" ") if word]
            known = {word: token for token, word in enumerate(facts["vocabulary"])}
            tokens = [known.get(word, facts["unknown"]) for word in text][: facts["length"]]
            return tokens + [facts["padding"]] * (facts["length"] - len(tokens))

        assert made(texts).tolist() == [program(text) for text in texts]


class TestTable:
    def test_rows_of_any_form_give_the_same(self, columns):
        rows = list(zip(*COLUMNS.values(), strict=True))
        structured = np.array(rows, [("age", int), ("city", "U4"), ("zip", int)])
        np.testing.assert_array_equal(columns(structured), columns(COLUMNS))
        unnamed = TablePreprocessing(categories=["column_2"]).fit(np.array(rows, object))
        np.testing.assert_array_equal(unnamed(rows), columns(COLUMNS))

    def test_columns_become_numbers_in_alphabetic_order(self, columns):
        found = columns(COLUMNS)
        assert found.shape == (4, *columns.shape) == (4, 1 + 4 + 4)
        assert (columns.layout_out, columns.vocabulary_size) == ("table", None)
        encoder, _ = table.encoder(COLUMNS, ["zip"])
        np.testing.assert_array_equal(found, table.encode(encoder, COLUMNS))

    def test_the_facts_say_how_to_encode_without_keras(self, columns):
        facts = json.loads(json.dumps(columns.facts()))["columns"]
        row = {name: values[1] for name, values in COLUMNS.items()}
        encoded = []
        for column in facts:
            value = row[column["name"]]
            if "mean" in column:
                encoded.append((value - column["mean"]) / column["deviation"])
                continue
            known = column["categories"]
            place = known.index(value) if value in known else 0
            encoded += np.eye(column["width"])[place].tolist()
        np.testing.assert_allclose(columns(COLUMNS)[1], encoded, rtol=1e-5)


@pytest.mark.parametrize(("made", "x"), [("words", TEXTS), ("columns", COLUMNS)])
class TestSaving:
    def test_what_was_learned_comes_back(self, request, tmp_path, made, x):
        made = request.getfixturevalue(made)
        made.save(tmp_path / "new", "input_0")
        again = load(tmp_path / "new", "input_0")
        assert (again.shape, again.vocabulary_size) == (made.shape, made.vocabulary_size)
        assert again.facts() == made.facts()
        np.testing.assert_array_equal(again(x), made(x))
        facts = json.loads((tmp_path / "new" / "input_0.json").read_text("utf-8"))
        assert facts == made.facts()

    def test_keras_loads_it(self, request, tmp_path, made, x):
        made = request.getfixturevalue(made)
        made.save(tmp_path)
        loaded = keras.models.load_model(tmp_path / "preprocessing.keras")
        if isinstance(x, dict):
            found = loaded({name: np.array(values) for name, values in x.items()})
        else:
            found = loaded(tf.constant(x))
        np.testing.assert_array_equal(found, made(x))


def test_there_may_be_nothing_to_load(tmp_path):
    with pytest.raises(FileNotFoundError, match="no preprocessing to load"):
        load(tmp_path)


@pytest.mark.parametrize("made", [TextPreprocessing(), TablePreprocessing()])
def test_nothing_is_known_before_fit(made):
    with pytest.raises(RuntimeError, match="call `fit` first"):
        made(TEXTS if isinstance(made, TextPreprocessing) else COLUMNS)


@pytest.mark.slow
def test_keras_alone_reads_what_was_saved(words, tmp_path):
    words.save(tmp_path)
    code = (
        "import sys, keras, tensorflow as tf; "
        f"model = keras.models.load_model({str(tmp_path / 'preprocessing.keras')!r}); "
        f"print(model(tf.constant({TEXTS!r})).numpy().tolist()); "
        "assert not [name for name in sys.modules if name.startswith('kerasnas')]"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    assert json.loads(run.stdout) == words(TEXTS).tolist()

"""Every form of a data set is read as what it is, or refused with a sentence."""

import numpy as np
import pytest
import tensorflow as tf

from kerasnas.elements import LAYOUTS, combined
from kerasnas.reading import Reader

Dataset = tf.data.Dataset
N = 60
rng = np.random.default_rng(0)
images = rng.integers(0, 256, (N, 8, 8, 3)).astype(np.uint8)
numbers = rng.normal(size=(N, 5)).astype(np.float32)
series = rng.normal(size=(N, 12, 3)).astype(np.float32)
classes = np.arange(N) % 4
texts = [f"word {i % 7}" for i in range(N)]
tokens = rng.integers(2, 50, (N, 13))
ragged = [row[: 5 + i % 5].tolist() for i, row in enumerate(tokens)]
columns = {"age": numbers[:, 0], "city": np.array(["Rome", "Oslo"] * 30)}

AS_TOKENS = {"layouts": ["tokens"]}
AS_LANGUAGE = {"layouts": ["tokens"], "alone": True}


def read(*parts, layout=None, layouts=tuple(LAYOUTS), **settings):
    reader = Reader(layout, layouts, memory_budget=2**30, **settings)
    names = ("training data", "validation data")
    labels = [reader.read(part, name)[0] for part, name in zip(parts, names, strict=False)]
    return reader, labels[-1]


class TestWaveforms:
    @pytest.mark.parametrize("form", [tuple, Dataset.from_tensor_slices])
    @pytest.mark.parametrize("channels", [2, 3])
    def test_channels_are_not_dropped(self, form, channels):
        waves = rng.normal(size=(N, 100, channels)).astype(np.float32)
        with pytest.raises(ValueError, match=r"one channel.*mean of several.*series"):
            read(form((waves, classes)), layouts=["waveform"])

    @pytest.mark.parametrize("shape", [(N, 100), (N, 100, 1)])
    def test_one_channel_needs_no_axis(self, shape):
        waves = rng.normal(size=shape).astype(np.float32)
        reader, _ = read((waves, classes), layout="waveform")
        np.testing.assert_array_equal(reader.values(), waves.reshape(N, 100))


class TestColumnsOfBothParts:
    @pytest.mark.parametrize("form", [tuple, Dataset.from_tensor_slices])
    def test_texts_do_not_turn_numbers_into_texts(self, form):
        other = {**columns, "age": np.array(["a", "b"] * 30)}
        with pytest.raises(ValueError, match=r"texts in 'age' of the validation.*numbers"):
            read((columns, classes), form((other, classes)))

    def test_a_list_of_numbers_stays_numbers_beside_texts(self):
        found = combined([np.array([1.5, 2.5]), ["a", "b"]])
        assert found == [1.5, 2.5, "a", "b"]

    def test_whole_numbers_fit_fractions(self):
        other = {**columns, "age": np.arange(N)}
        reader, _ = read((columns, classes), (other, classes))
        assert reader.values()["age"][N:].tolist() == list(range(N))

    @pytest.mark.parametrize(
        ("other", "words"),
        [
            ({"age": columns["age"]}, r"without \['city'\] and with \[\]"),
            ({**columns, "zip": columns["age"]}, r"without \[\] and with \['zip'\]"),
        ],
    )
    def test_their_names_are_the_same(self, other, words):
        with pytest.raises(ValueError, match=f"the columns of the training data.*{words}"):
            read((columns, classes), (other, classes))
        with pytest.raises(ValueError, match=f"{words} of the input 'facts'"):
            read(
                ({"facts": columns, "photo": images}, classes),
                ({"facts": other, "photo": images}, classes),
            )

    @pytest.mark.parametrize(
        ("first", "second", "words"),
        [
            (columns, numbers, "numbers and columns by name"),
            (numbers, columns, "training data"),
            (texts, numbers, "numbers and texts"),
            (numbers, texts, "texts and numbers"),
        ],
    )
    def test_their_form_is_the_same(self, first, second, words):
        with pytest.raises(ValueError, match=f"validation data must have.*{words}"):
            read((first, classes), (second, classes))


class TestOneInputInADictionary:
    @pytest.mark.parametrize(
        "x", [images, numbers, series, {"nested": columns}, {"photo": images}, (images,)]
    )
    @pytest.mark.parametrize("form", [tuple, Dataset.from_tensor_slices])
    def test_it_is_that_input(self, x, form):
        plain = next(iter(x.values())) if isinstance(x, dict) else x
        plain = plain[0] if isinstance(plain, tuple) else plain
        named = x if isinstance(x, dict | tuple) else {"one": x}
        reader, _ = read(form((named, classes)))
        expected, _ = read((plain, classes))
        assert reader.layout == expected.layout
        for found, wanted in zip(
            tf.nest.flatten(reader.values()), tf.nest.flatten(expected.values()), strict=True
        ):
            assert np.asarray(found).tolist() == np.asarray(wanted).tolist()

    def test_its_layout_may_be_told_by_name(self):
        reader, _ = read(({"review": texts}, classes), layout={"review": "text"})
        assert (reader.layout, reader.name) == ("text", "review")
        assert list(reader.values()) == texts

    def test_it_may_be_told_apart_from_columns_in_the_validation_part(self):
        reader, _ = read(({"photo": images}, classes), ({"photo": images}, classes))
        assert reader.values().shape == (2 * N, 8, 8, 3)

    def test_a_layout_of_another_name_is_refused(self):
        with pytest.raises(ValueError, match=r"of 'photo' with the inputs \['image'\]"):
            read(({"image": images}, classes), layout={"photo": "images"})
        with pytest.raises(ValueError, match="of 'photo' with one input without a name"):
            read((images, classes), layout={"photo": "images"})


class TestTokens:
    def test_one_long_array_is_cut_into_windows(self):
        ids = np.arange(4000) % 50
        reader, y = read(ids, length=16, **AS_LANGUAGE)
        x = reader.values()
        assert (x.shape, y.shape) == ((249, 16), (249, 16))
        np.testing.assert_array_equal(x.reshape(-1), ids[: 249 * 16])
        np.testing.assert_array_equal(y.reshape(-1), ids[1 : 249 * 16 + 1])

    def test_windows_are_of_64_tokens_by_default(self):
        assert read(list(range(1000)), **AS_LANGUAGE)[0].values().shape == (15, 64)

    @pytest.mark.parametrize("count", [2, 3, 4])
    @pytest.mark.parametrize("form", [list, np.array])
    def test_texts_of_several_lengths_share_windows(self, count, form):
        texts = [form(range(100 * i, 100 * i + 30 + i)) for i in range(count)]
        reader, y = read(texts, length=8, **AS_LANGUAGE)
        whole = np.concatenate(texts)
        used = (len(whole) - 1) // 8 * 8
        np.testing.assert_array_equal(reader.values().reshape(-1), whole[:used])
        np.testing.assert_array_equal(y.reshape(-1), whole[1 : used + 1])

    @pytest.mark.parametrize(
        "data", [tokens, tokens.tolist(), Dataset.from_tensor_slices(tokens)]
    )
    def test_of_tokens_alone_the_length_is_that_of_the_windows(self, data):
        reader, y = read(data, length=6, **AS_LANGUAGE)
        np.testing.assert_array_equal(reader.values(), tokens[:, :6])
        np.testing.assert_array_equal(y, tokens[:, 1:7])

    @pytest.mark.parametrize(
        "form",
        [
            tuple,
            Dataset.from_tensor_slices,
            lambda pair: Dataset.from_tensor_slices(pair).batch(7),
        ],
    )
    def test_labels_are_cut_with_their_tokens(self, form):
        pair = tokens[:, :-1], tokens[:, 1:]
        reader, y = read(form(pair), length=6, **AS_TOKENS)
        np.testing.assert_array_equal(reader.values(), tokens[:, :6])
        np.testing.assert_array_equal(y, tokens[:, 1:7])

    @pytest.mark.parametrize("length", [3, 7, 20])
    def test_ragged_ones_are_padded_with_their_labels(self, length):
        pairs = [row[:-1] for row in ragged], [row[1:] for row in ragged]
        reader, y = read(pairs, length=length, **AS_TOKENS)
        for x, after, row in zip(reader.values(), y, ragged, strict=True):
            whole = [*row, *[0] * (length + 1)][: length + 1]
            assert ([*x], [*after]) == (whole[:-1], whole[1:])

    def test_several_labels_are_not_cut(self):
        labels = (rng.random((N, 13)) > 0.5).astype(int)
        for data in ((tokens, labels), Dataset.from_tensor_slices((tokens, labels))):
            assert read(data, length=6, **AS_TOKENS)[1].shape == (N, 13)


class TestLists:
    @pytest.mark.parametrize(
        "x", [ragged, tf.ragged.constant(ragged), [np.array(row) for row in ragged]]
    )
    def test_sequences_of_several_lengths_need_one(self, x):
        with pytest.raises(ValueError, match=r"5 to 9 steps.*sequence_length=9"):
            read((x, classes), **AS_TOKENS)
        reader, _ = read((x, classes), length=6, **AS_TOKENS)
        assert reader.values()[0].tolist() == [*ragged[0], 0]

    def test_images_of_several_sizes_are_told_of_images(self):
        sized = [images[0], images[1, :4], *images[2:]]
        with pytest.raises(ValueError, match=r"\(4, 8, 3\) and \(8, 8, 3\).*image_size"):
            read((sized, classes))

    def test_several_inputs_may_come_as_keras_takes_them(self):
        reader, _ = read(([images, numbers], classes))
        assert reader.layout == {"input_0": "images", "input_1": "table"}
        reader, _ = read(([numbers, numbers], classes))
        assert list(reader.layout) == ["input_0", "input_1"]

    def test_a_list_of_examples_is_one_input(self):
        reader, _ = read((list(numbers), classes))
        np.testing.assert_array_equal(reader.values(), numbers)

    def test_boxes_may_be_one_dictionary_an_image(self):
        labels = [
            {"boxes": [[0, 0, 1, 1]] * (i % 3), "labels": [0] * (i % 3)} for i in range(N)
        ]
        for y in (labels, np.array(labels, object)):
            assert read((images, y))[1] == labels

    def test_labels_of_several_lengths_are_left_to_those_who_know_labels(self):
        labels = [[0, 1][: 1 + i % 2] for i in range(N)]
        assert read((images, labels))[1] == labels

    def test_labels_of_mixed_types_stay_as_they_are(self):
        labels = [i if i % 2 else "a" for i in range(N)]
        assert read((images, labels))[1] == labels


@pytest.mark.parametrize(
    ("data", "settings", "error", "words"),
    [
        (texts, {}, ValueError, 'Received: 60 parts.*task="next_token"'),
        ("a long text", {}, TypeError, 'Received: str.*task="next_token"'),
        (np.arange(4000), {}, ValueError, 'examples alone.*task="next_token"'),
        ((images, np.array(["2020-01-01"] * N, "M8[D]")), {}, TypeError, "dates.*of days"),
        ((series, classes), {"length": 0}, ValueError, "sequence_length=0"),
        ((series, classes), {"length": "40"}, ValueError, "sequence_length='40'"),
        ((images, classes, texts), {}, TypeError, "Weights must be numbers"),
        ((numbers, classes), {"layout": "text"}, ValueError, "Received: numbers"),
        ([], AS_LANGUAGE, ValueError, r"examples of shape \(0,\)"),
        (tokens[:, :1], AS_LANGUAGE, ValueError, "two tokens or more"),
        ((series, {"a": 1}), {"layout": "table"}, ValueError, "labels of shape None"),
    ],
)
def test_what_cannot_be_read_gets_a_sentence(data, settings, error, words):
    with pytest.raises(error, match=words) as raised:
        read(data, **settings)
    assert str(raised.value).endswith(".")

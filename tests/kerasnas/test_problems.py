"""Every kind of problem, from what users have to a task and arrays."""

import numpy as np
import pytest
import tensorflow as tf

from kerasnas.data import load, read
from kerasnas.tasks import described, restored
from search_spaces.detection import Detection
from search_spaces.segmentation import Segmentation
from search_spaces.task import Classification, MultiLabel, NextToken, Regression

Dataset = tf.data.Dataset
N = 60
rng = np.random.default_rng(0)
images = rng.integers(0, 256, (N, 16, 16, 1)).astype(np.uint8)
classes = np.arange(N) % 4
masks = rng.integers(0, 3, (N, 16, 16)).astype(np.int64)
numbers = rng.normal(size=(N, 5)).astype(np.float32)
texts = np.array([f"word{i % 7} good {'x' * (i % 5)} bad" for i in range(N)])
tokens = rng.integers(0, 50, (N, 13))
columns = {
    "age": rng.integers(20, 70, N),
    "city": np.array(["Rome", "Oslo", "Pisa"])[rng.integers(0, 3, N)],
    "income": rng.normal(size=N) * 1e4,
}
boxes = [
    np.sort(rng.random((i % 3, 2, 2)), axis=1).reshape(-1, 4).astype(np.float32)
    for i in range(N)
]
objects = [rng.integers(0, 3, len(b)) for b in boxes]


def detections():
    for image, box, label in zip(images, boxes, objects, strict=True):
        yield {"image": image, "objects": {"bbox": box, "label": label}}


def tfds_objects():
    spec = {
        "image": tf.TensorSpec((16, 16, 1), tf.uint8),
        "objects": {
            "bbox": tf.TensorSpec((None, 4), tf.float32),
            "label": tf.TensorSpec((None,), tf.int64),
        },
    }
    return Dataset.from_generator(detections, output_signature=spec)


class Frame:
    """What a data frame has."""

    columns = tuple(columns)

    def __getitem__(self, name):
        return columns[name]


class TestTasks:
    @pytest.mark.parametrize(
        "data",
        [
            (images, masks),
            (images[..., 0], masks[..., np.newaxis]),
            Dataset.from_tensor_slices((images, masks)),
            Dataset.from_tensor_slices((images, masks[..., np.newaxis])),
            Dataset.from_tensor_slices((images, masks)).batch(7),
            Dataset.from_tensor_slices({"image": images, "segmentation_mask": masks}),
        ],
    )
    def test_masks_of_the_size_of_images_are_segmentation(self, data):
        problem = load(data)
        assert problem.task == Segmentation(3)
        assert problem.train.y.shape[1:] == (16, 16)
        whole = problem.merge()
        order = [bytes(image) for image in images]
        rows = [order.index(bytes(image)) for image in whole.x[:]]
        np.testing.assert_array_equal(whole.y, masks[rows])

    @pytest.mark.parametrize(
        "data",
        [
            (images, {"boxes": boxes, "labels": objects}),
            tfds_objects(),
            tfds_objects().ragged_batch(7),
        ],
    )
    def test_boxes_are_detection(self, data):
        problem = load(data)
        assert problem.task == Detection(3, image_shape=(16, 16, 1))
        whole = problem.merge()
        assert whole.y.shape == (N, 2, 5)
        order = [bytes(image) for image in images]
        for image, found in zip(whole.x[:], whole.y, strict=True):
            row = order.index(bytes(image))
            kept = found[found[:, 4] >= 0]
            np.testing.assert_allclose(kept[:, :4], boxes[row])
            np.testing.assert_array_equal(kept[:, 4], objects[row])

    def test_quantities_are_a_regression_in_their_own_units(self):
        target = 150 + 70 * rng.normal(size=N)
        problem = load((numbers, target))
        assert isinstance(problem.task, Regression)
        of_training = problem.train.y
        assert problem.task.offset == pytest.approx(of_training.mean(), rel=1e-4)
        assert problem.task.scale == pytest.approx(of_training.std(), rel=1e-4)
        np.testing.assert_allclose(
            np.sort(problem.merge().y[:, 0]), np.sort(target), rtol=1e-6
        )

    def test_rows_of_zeros_and_ones_are_several_labels(self):
        labels = (np.arange(N)[:, np.newaxis] >> np.arange(5)) & 1
        assert load((images, labels)).task == MultiLabel(5)

    def test_texts_as_labels_name_the_classes(self):
        names = np.array(["cat", "dog", "ant", "bee"])[classes]
        problem = load((images, names))
        assert problem.class_names == ["ant", "bee", "cat", "dog"]
        again = read((images, names), task=problem.task, class_names=problem.class_names)
        assert again.y.tolist() == [problem.class_names.index(name) for name in names]

    def test_a_task_that_is_told_settles_what_the_labels_leave_open(self):
        ratings = 1 + classes
        with pytest.raises(ValueError, match="task="):
            load((numbers, ratings))
        assert isinstance(load((numbers, ratings), task="regression").task, Regression)

    @pytest.mark.parametrize(
        "data", [(images, masks), (numbers, rng.normal(size=N)), tfds_objects()]
    )
    def test_a_task_survives_the_journal(self, data):
        task = load(data).task
        assert restored(described(task)) == task


class TestSequences:
    @pytest.mark.parametrize(
        "data",
        [
            (texts, classes),
            (list(texts), list(classes)),
            Dataset.from_tensor_slices((texts, classes)),
            Dataset.from_tensor_slices((texts, classes)).batch(7),
            Dataset.from_tensor_slices({"text": texts, "label": classes}),
        ],
    )
    def test_texts_become_tokens_by_words_of_the_training_part(self, data):
        problem = load(data)
        assert (problem.layout, problem.input_dtype) == ("tokens", "int32")
        assert problem.rescaling is None
        assert problem.train.x[:].max() < problem.vocabulary
        np.testing.assert_array_equal(
            read(data, task=problem.task, preprocessing=problem.preprocessing).x[:],
            problem.preprocessing(texts),
        )

    def test_a_vocabulary_says_that_whole_numbers_are_tokens(self):
        problem = load((tokens, classes), vocabulary=50)
        assert (problem.layout, problem.vocabulary, problem.input_shape) == (
            "tokens",
            50,
            (13,),
        )
        assert load((tokens, classes)).layout == "table"

    def test_tokens_without_a_vocabulary_are_refused(self):
        with pytest.raises(ValueError, match="vocabulary"):
            load((tokens, classes), layout="tokens")

    def test_ragged_tokens_need_a_length(self):
        ragged = [list(range(1, 4 + i % 5)) for i in range(N)]
        with pytest.raises(ValueError, match="sequence_length"):
            load((ragged, classes), vocabulary=50)
        problem = load((ragged, classes), vocabulary=50, sequence_length=6)
        assert problem.input_shape == (6,)
        assert {row.tolist()[-1] for row in problem.train.x[:]} <= {0, 6}

    def test_ragged_series_of_a_data_set_are_cut_or_padded(self):
        def series():
            for i in range(N):
                yield np.ones((3 + i % 5, 2), np.float32), i % 4

        spec = (tf.TensorSpec((None, 2)), tf.TensorSpec((), tf.int64))
        dataset = Dataset.from_generator(series, output_signature=spec)
        problem = load(dataset, sequence_length=5, layout="series")
        assert problem.input_shape == (5, 2)
        assert problem.merge().x[:].sum() == sum(min(5, 3 + i % 5) * 2 for i in range(N))

    def test_the_end_of_one_long_text_is_held_out(self):
        text = "".join(chr(97 + i % 26) for i in range(4000))
        problem = load(text, task="next_token", split="character", sequence_length=16)
        assert isinstance(problem.task, NextToken)
        np.testing.assert_array_equal(problem.train.x[:][:, 1:], problem.train.y[:, :-1])
        assert (len(problem.train), len(problem.validation)) == (199, 49)

    def test_many_texts_are_split_as_wholes(self):
        texts = [f"{'abcdefghijklmnopqrst'[i] * 3} " * 20 for i in range(20)]
        problem = load(texts, task="next_token", sequence_length=8)
        assert problem.vocabulary == 18  # 16 words of the training part, padding, unknown
        assert (problem.validation.y == 1).all()

    @pytest.mark.parametrize(
        ("data", "settings"),
        [
            (tokens, {"task": "next_token"}),
            ((tokens[:, :-1], tokens[:, 1:]), {}),
            (Dataset.from_tensor_slices(tokens), {"task": "next_token"}),
        ],
    )
    def test_tokens_are_followed_by_the_next(self, data, settings):
        problem = load(data, vocabulary=50, **settings)
        assert problem.task == NextToken(50)
        whole = problem.merge()
        np.testing.assert_array_equal(whole.x[:][:, 1:], whole.y[:, :-1])

    def test_neighbouring_windows_stay_on_one_side_of_the_split(self):
        text = np.random.default_rng(0).integers(0, 50, 4000)
        found = load(
            (np.lib.stride_tricks.sliding_window_view(text, 20)[::2],),
            task="next_token",
            vocabulary=50,
        )
        train = {bytes(row) for row in found.train.x[:][:, 2:]}
        shifted = [bytes(row) in train for row in found.validation.x[:][:, :-2]]
        assert np.mean(shifted) < 0.05

    def test_equal_texts_stay_on_one_side_of_the_split(self):
        texts = [f"{'abcdefghijklmnopqrstuvwxy'[i % 25] * 3} " * 20 for i in range(100)]
        problem = load(texts, task="next_token", sequence_length=8)
        assert problem.vocabulary == 22  # 20 words of the training part
        assert (problem.validation.y == 1).all()

    def test_texts_of_a_language_model_come_alone(self):
        with pytest.raises(ValueError, match="with labels in the training data"):
            load((texts, classes), task="next_token")

    @pytest.mark.parametrize(
        ("data", "settings"),
        [
            ((tokens[:, :-1], tokens[:, 1:]), {"task": "next_token"}),
            ((tokens, classes), {"layouts": ("tokens", "text")}),
        ],
    )
    def test_a_missing_vocabulary_is_asked_for(self, data, settings):
        with pytest.raises(ValueError, match="Tokens need the vocabulary"):
            load(data, **settings)

    def test_whole_numbers_may_be_tokens_or_a_series_of_a_space_of_both(self):
        both = {"layouts": ("tokens", "series", "text")}
        with pytest.raises(ValueError, match="may be tokens or a series"):
            load((tokens, classes), **both)
        assert load((tokens + 0.5, classes), **both).layout == "series"
        assert load((tokens, classes), layout="series").layout == "series"

    def test_tokens_beyond_the_vocabulary_are_refused_when_read_again(self):
        problem = load((tokens, classes), vocabulary=50)
        again = {
            "task": problem.task,
            "layout": problem.layout,
            "vocabulary": problem.vocabulary,
        }
        assert len(read((tokens, classes), **again)) == N
        with pytest.raises(ValueError, match=r"tokens from .* in the data, and a vocab"):
            read((tokens + 40, classes), **again)

    def test_a_sample_rate_says_that_numbers_are_waveforms(self):
        waves = rng.uniform(-1, 1, (N, 800)).astype(np.float32)
        for data in ((waves, classes), (waves[..., np.newaxis], classes)):
            problem = load(data, sample_rate=8000)
            assert (problem.layout, problem.input_shape) == ("waveform", (800,))
        loud = (waves * 32767).astype(np.int16)
        assert load((loud, classes), sample_rate=8000).rescaling == (1 / 32768, 0.0)


class TestTables:
    @pytest.mark.parametrize(
        "data",
        [
            (columns, classes),
            (Frame(), classes),
            Dataset.from_tensor_slices((columns, classes)),
            Dataset.from_tensor_slices((columns, classes)).batch(7),
        ],
    )
    def test_columns_by_name_become_numbers(self, data):
        problem = load(data)
        assert (problem.layout, problem.input_shape) == ("table", (6,))
        x = problem.preprocessing(columns)
        np.testing.assert_allclose(x[:, 0].std(), 1, atol=0.3)
        np.testing.assert_array_equal(x[:, 1:5].sum(axis=1), 1)

    def test_what_encodes_columns_is_learned_from_the_training_part(self):
        problem = load((columns, classes))
        np.testing.assert_allclose(problem.train.x[:][:, [0, 5]].mean(axis=0), 0, atol=1e-4)

    @pytest.mark.parametrize("seed", [0, 1])
    def test_messages_have_the_rows_of_the_users_data(self, seed):
        ages = np.arange(N, dtype=float)
        ages[59] = np.nan
        with pytest.raises(ValueError, match="row 59 of 'a' in the training data"):
            load(({"a": ages, "b": ages}, classes), seed=seed)
        good = {"a": np.zeros(N), "b": np.arange(N)}
        with pytest.raises(ValueError, match="row 59 of 'a' in the validation data"):
            load((good, classes), validation_data=(good | {"a": ages}, classes))
        with pytest.raises(ValueError, match="row 59 of the training data"):
            load((np.array([*texts[:59], None], object), classes), seed=seed)

    def test_a_column_of_mixed_types_is_refused(self):
        with pytest.raises(ValueError, match="numbers or texts, not both"):
            load(({"a": [1, 2, "x"] * 20, "b": list(range(N))}, classes))


class TestSeveralInputs:
    @pytest.mark.parametrize(
        "data",
        [
            ({"image": images, "table": numbers}, classes),
            Dataset.from_tensor_slices(({"image": images, "table": numbers}, classes)),
            Dataset.from_tensor_slices(({"image": images, "table": numbers}, classes)).batch(
                7
            ),
        ],
    )
    def test_a_dictionary_keeps_its_names(self, data):
        problem = load(data)
        assert problem.layout == {"image": "images", "table": "table"}
        assert problem.input_shape == {"image": (16, 16, 1), "table": (5,)}
        assert problem.rescaling["image"] == (1 / 255, 0.0)
        whole = problem.merge()
        order = [bytes(image) for image in images]
        rows = [order.index(bytes(image)) for image in whole.x["image"][:]]
        np.testing.assert_array_equal(whole.x["table"][:], numbers[rows])
        np.testing.assert_array_equal(whole.y, classes[rows])

    def test_a_tuple_is_numbered(self):
        assert list(load(((images, numbers), classes)).layout) == ["input_0", "input_1"]

    def test_texts_columns_and_single_numbers_may_be_among_them(self):
        x = {"photo": images, "note": texts, "facts": columns, "weight": numbers[:, 0]}
        problem = load((x, classes))
        assert problem.layout == {
            "facts": "table",
            "note": "tokens",
            "photo": "images",
            "weight": "table",
        }
        assert sorted(problem.preprocessing) == ["facts", "note"]
        again = read(
            (x, classes),
            task=problem.task,
            layout=problem.layout,
            preprocessing=problem.preprocessing,
        )
        np.testing.assert_array_equal(again.x["note"][:], problem.preprocessing["note"](texts))

    def test_batches_are_dictionaries(self):
        problem = load(({"image": images, "table": numbers}, classes))
        x, y = next(iter(problem.train.dataset(8)))
        assert (x["image"].shape, x["table"].shape, y.shape) == ((8, 16, 16, 1), (8, 5), (8,))

    def test_a_vocabulary_by_name_says_what_are_tokens(self):
        x = {"photo": images, "words": tokens}
        problem = load((x, classes), vocabulary={"words": 50})
        assert problem.layout == {"photo": "images", "words": "tokens"}
        assert problem.vocabulary == {"photo": None, "words": 50}
        alone = load(({"words": tokens}, classes), vocabulary={"words": 50})
        assert (alone.layout, alone.vocabulary) == ("tokens", 50)

    @pytest.mark.parametrize(
        ("settings", "error", "words"),
        [
            ({"vocabulary": {"wrds": 50}}, ValueError, "'wrds'.*Check the spelling"),
            (
                {"vocabulary": {"words": 50}, "layout": {"words": "table"}},
                ValueError,
                "input of tokens or texts. Received: a vocabulary of 'words'",
            ),
            ({"vocabulary": {"words": "abc"}}, TypeError, "vocabulary='abc'"),
            ({"vocabulary": 50}, ValueError, "`vocabulary` is for examples"),
        ],
    )
    def test_a_vocabulary_of_no_tokens_is_refused(self, settings, error, words):
        with pytest.raises(error, match=words):
            load(({"photo": images, "words": tokens}, classes), **settings)

    def test_a_layout_of_an_unknown_input_is_refused(self):
        with pytest.raises(ValueError, match=r"'photo'.*Check the spelling"):
            load(({"image": images, "t": numbers}, classes), layout={"photo": "images"})

    def test_one_layout_for_several_is_refused(self):
        with pytest.raises(ValueError, match="Several inputs have a layout each"):
            load(({"image": images, "t": numbers}, classes), layout="images")

    def test_the_inputs_of_both_parts_must_be_the_same(self):
        with pytest.raises(ValueError, match="must have the inputs of the training data"):
            load(({"a": images, "b": numbers}, classes), ({"a": images}, classes))


@pytest.mark.parametrize(
    ("data", "settings", "words"),
    [
        ((images, classes), {"vocabulary": 50}, "`vocabulary` is for examples of the lay"),
        ((images, classes), {"sequence_length": 5}, "sequence_length=5 with layout='images'"),
        ((images, classes), {"sample_rate": 8000}, "`sample_rate` is for"),
        ((images, classes), {"split": "character"}, "`split` is for .*'text'"),
        ((images, classes), {"split": "nonsense"}, "split='nonsense'"),
        ((numbers, numbers[:, 0]), {"class_names": ["a", "b"]}, "Only classes have names"),
    ],
)
def test_arguments_for_other_data_are_refused(data, settings, words):
    with pytest.raises(ValueError, match=words):
        load(data, **settings)


def test_examples_serve_what_the_loss_takes():
    problem = load((images, {"boxes": boxes, "labels": objects}))
    from kerasnas.scoring import served

    x, y = next(iter(served(problem.train, 8, problem.task)))
    assert (x.shape, y.shape) == ((8, 16, 16, 1), (8, 4, 4, 7))
    assert isinstance(problem.task, Detection)
    assert not isinstance(problem.task, Classification)

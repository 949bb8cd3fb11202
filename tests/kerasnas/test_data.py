import os
import pathlib

import keras
import numpy as np
import pytest
import tensorflow as tf

from kerasnas.data import Data, Examples, load, read, resize

Dataset = tf.data.Dataset


def pair(n=40, shape=(8, 8, 3), classes=4, dtype=np.uint8, seed=0):
    rng = np.random.default_rng(seed)
    x = rng.integers(0, 256, (n, *shape)).astype(dtype)
    return x, np.arange(n) % classes


def sized(*sizes, channels=3):
    """A data set of one image per size, with two classes in turn."""

    def images():
        for i, size in enumerate(sizes):
            yield np.full((*size, channels), i, np.uint8), i % 2

    spec = (tf.TensorSpec([None, None, channels], tf.uint8), tf.TensorSpec([], tf.int64))
    return Dataset.from_generator(images, output_signature=spec)


def one_hot(y, classes=4):
    return np.eye(classes, dtype=np.float32)[y]


x, y = pair()
w = np.linspace(0.5, 2, len(y), dtype=np.float32)
FORMS = {
    "arrays": (x, y),
    "lists": [list(x), y.tolist()],
    "array dictionary": {"image": x, "label": y},
    "tensors": (tf.constant(x), tf.constant(y)),
    "columns of labels": (x, y[:, np.newaxis]),
    "float labels": (x, y.astype(np.float32)),
    "unbatched": Dataset.from_tensor_slices((x, y)),
    "batched": Dataset.from_tensor_slices((x, y)).batch(7),
    "full batches": Dataset.from_tensor_slices((x, y)).batch(8, drop_remainder=True),
    "TFDS": Dataset.from_tensor_slices({"image": x, "label": y, "id": np.arange(40)}),
    "batched TFDS": Dataset.from_tensor_slices({"image": x, "label": y}).batch(7),
    "ragged": Dataset.from_tensor_slices((tf.RaggedTensor.from_tensor(x, ragged_rank=2), y)),
    "unknown shape": Dataset.from_generator(
        lambda: zip(x, y, strict=True), (tf.uint8, tf.int64)
    ),
}
FORMS["batched ragged"] = FORMS["ragged"].batch(7)
FORMS["zipped"] = Dataset.zip(Dataset.from_tensor_slices(x), Dataset.from_tensor_slices(y))


class TestForms:
    @pytest.mark.parametrize("form", FORMS)
    def test_every_form_gives_the_same_examples(self, form):
        examples = read(FORMS[form])
        np.testing.assert_array_equal(examples.x, x)
        np.testing.assert_array_equal(examples.y, y)
        assert (examples.x.dtype, examples.y.dtype) == (np.uint8, np.int64)
        assert examples.weight is None

    @pytest.mark.parametrize("batch", [None, 7, 8])
    @pytest.mark.parametrize("categorical", [False, True])
    def test_weights_and_one_hot_labels_travel(self, batch, categorical):
        label = one_hot(y) if categorical else y
        dataset = Dataset.from_tensor_slices((x, label, w))
        for data in ((x, label, w), dataset.batch(batch) if batch else dataset):
            examples = read(data)
            np.testing.assert_array_equal(examples.y, label)
            np.testing.assert_array_equal(examples.weight, w)
            np.testing.assert_array_equal(examples.strata, y)

    @pytest.mark.parametrize("batch", [None, 5, 8])
    def test_gray_images_get_a_channel(self, batch):
        gray, y = pair(shape=(8, 9))
        dataset = Dataset.from_tensor_slices((gray, y))
        for data in ((gray, y), dataset.batch(batch) if batch else dataset):
            np.testing.assert_array_equal(read(data).x, gray[..., np.newaxis])

    def test_a_colour_image_and_its_one_hot_label_are_not_a_batch(self):
        x, y = pair(shape=(4, 5, 3))
        assert read(Dataset.from_tensor_slices((x, one_hot(y)))).x.shape == (40, 4, 5, 3)

    @pytest.mark.parametrize("dtype", [np.float16, np.float64, np.int32, np.int8, bool])
    def test_other_types_are_stored_as_float32(self, dtype):
        x, y = pair(dtype=dtype)
        for data in ((x, y), Dataset.from_tensor_slices((x, y))):
            examples = read(data)
            assert examples.x.dtype == np.float32
            np.testing.assert_array_equal(examples.x, x.astype(np.float32))

    @pytest.mark.parametrize(
        ("shape", "dtype", "layout", "stored"),
        [
            ((8, 9), np.uint8, "images", (8, 9, 1)),
            ((8, 8), np.float32, "images", (8, 8, 1)),
            ((8, 9), np.float32, "series", (8, 9)),
            ((8, 9, 3), np.float32, "images", (8, 9, 3)),
            ((9,), np.float32, "table", (9,)),
        ],
    )
    @pytest.mark.parametrize("form", [tuple, Dataset.from_tensor_slices])
    def test_the_layout_follows_from_shape_and_type(self, shape, dtype, layout, stored, form):
        data = load(form(pair(shape=shape, dtype=dtype)))
        assert (data.layout, data.input_shape) == (layout, stored)

    @pytest.mark.parametrize(
        ("shape", "layout", "stored"),
        [
            ((8, 9), "audio", (8, 9, 1)),
            ((8, 9), "images", (8, 9, 1)),
            ((9,), "series", (9, 1)),
        ],
    )
    def test_a_layout_that_is_given_counts(self, shape, layout, stored):
        x, y = pair(shape=shape, dtype=np.float32)
        for data in ((x, y), Dataset.from_tensor_slices((x, y)).batch(7)):
            loaded = load(data, layout=layout)
            assert (loaded.layout, loaded.input_shape) == (layout, stored)

    def test_what_a_space_takes_settles_what_the_shape_leaves_open(self):
        x, y = pair(shape=(8, 9), dtype=np.float32)
        assert load((x, y), layouts=("audio", "images")).layout == "audio"
        assert load((x, y), layouts=("table",)).layout == "series"

    def test_series_of_small_numbers_are_standardised_a_channel(self):
        x, y = pair(shape=(8, 9), dtype=np.uint8)
        scale, _ = load((x, y), layout="series").rescaling
        assert len(scale) == 9

    def test_steps_end_a_data_set(self):
        endless = Dataset.from_tensor_slices((x, y)).batch(8).repeat()
        np.testing.assert_array_equal(read(endless, steps=3).x, x[:24])
        data = load(endless, (x, y), steps=4)
        assert (len(data.train), len(data.validation)) == (32, 40)

    @pytest.mark.parametrize("channels", [1, 3, 4, 6])
    @pytest.mark.parametrize("layout", [None, "series"])
    def test_full_batches_of_series_are_no_images(self, channels, layout):
        x, y = pair(shape=(20, channels), dtype=np.float32)
        batches = Dataset.from_tensor_slices((x, y)).batch(8, drop_remainder=True)
        data = load(batches, layout=layout)
        assert (data.layout, data.input_shape) == ("series", (20, channels))
        assert len(data.train) + len(data.validation) == 40

    @pytest.mark.parametrize(("shape", "layout"), [((4, 7), "series"), ((4,), "table")])
    def test_one_example_with_as_many_classes_as_steps_is_no_batch(self, shape, layout):
        x, y = pair(shape=shape, dtype=np.float32)
        data = load(Dataset.from_tensor_slices((x, one_hot(y))), layout=layout)
        assert (data.input_shape, data.num_classes) == (shape, 4)

    @pytest.mark.parametrize("shape", [(8, 9, 1), (8, 8), (8, 9)])
    def test_what_could_be_both_is_what_the_space_is_for_first(self, shape):
        x, y = pair(shape=shape, dtype=np.float32)
        assert load((x, y), layouts=("audio", "images")).layout == "audio"
        assert load((x, y), layouts=("images", "audio")).layout == "images"

    def test_series_of_whole_numbers_are_series(self):
        x, y = pair(shape=(8, 9), dtype=np.int64)
        assert load((x, y)).layout == "series"

    def test_a_data_set_is_read_once(self):
        reads = []

        def images():
            reads.append(1)
            yield from zip(x, y, strict=True)

        spec = (tf.TensorSpec(x.shape[1:], tf.uint8), tf.TensorSpec([], tf.int64))
        data = load(Dataset.from_generator(images, output_signature=spec))
        for part in (data.train, data.validation):
            list(part.dataset(8))
        assert len(reads) == 1

    def test_a_keras_directory_brings_its_class_names(self, tmp_path):
        for name in ("cat", "dog"):
            (tmp_path / name).mkdir()
            for i in range(4):
                keras.utils.save_img(tmp_path / name / f"{i}.png", x[i], scale=False)
        dataset = keras.utils.image_dataset_from_directory(
            tmp_path, image_size=(8, 8), batch_size=3, label_mode="binary", verbose=False
        )
        data = load(dataset)
        assert (data.class_names, data.num_classes) == (["cat", "dog"], 2)
        assert data.input_shape == (8, 8, 3)
        assert load(dataset, class_names=["Cat", "Dog"]).class_names == ["Cat", "Dog"]


class TestSizes:
    def test_images_of_any_size_are_resized(self):
        data = sized((8, 8), (20, 10), (3, 5), (8, 9))
        examples = read(data, image_size=(6, 4))
        assert examples.x.shape == (4, 6, 4, 3)
        assert examples.x.dtype == np.uint8
        assert [set(image.flat) for image in examples.x[:]] == [{0}, {1}, {2}, {3}]

    def test_arrays_and_batches_are_resized_alike(self):
        batched = Dataset.from_tensor_slices((x, y)).batch(7)
        sizes = [read(data, image_size=(5, 3)).x[:] for data in ((x, y), batched)]
        np.testing.assert_array_equal(*sizes)

    def test_batches_of_different_sizes_are_resized(self):
        data = Dataset.from_generator(
            lambda: ((x[:2, :size, :size], y[:2]) for size in (4, 8)),
            output_signature=(
                tf.TensorSpec([None, None, None, 3], tf.uint8),
                tf.TensorSpec([None], tf.int64),
            ),
        )
        assert read(data, image_size=(6, 6)).x.shape == (4, 6, 6, 3)
        with pytest.raises(ValueError, match=r"one size.*\(4, 4, 3\) and \(8, 8, 3\)"):
            read(data)

    def test_shrinking_averages_instead_of_skipping(self):
        lines = tf.constant(np.indices((16, 16))[1][..., np.newaxis] % 4 == 0, tf.float32)
        np.testing.assert_allclose(resize(lines, (4, 4)), 1 / 4, atol=0.1)

    def test_uint8_is_rounded(self):
        step = tf.constant([[[0], [3]]], tf.uint8)
        np.testing.assert_array_equal(resize(step, (1, 4))[0, :, 0], [0, 1, 2, 3])


class TestSplit:
    def test_parts_are_stratified_and_do_not_overlap(self):
        x, _ = pair(200)
        y = np.repeat([0, 1, 2], [120, 60, 20])
        data = load((x, y))
        assert np.bincount(data.validation.y).tolist() == [24, 12, 4]
        assert np.bincount(data.train.y).tolist() == [96, 48, 16]
        both = np.concatenate([data.train.x[:], data.validation.x[:]])
        assert sorted(map(bytes, both)) == sorted(map(bytes, x))

    def test_labels_and_weights_stay_with_their_images(self):
        label = dict(zip(map(bytes, x), zip(y, w, strict=True), strict=True))
        split, given = load((x, y, w)), load((x, y, w), (x[8:], y[8:], w[8:]))
        for part in (split.train, split.validation, split.merge(), given.validation):
            found = [label[bytes(image)] for image in part.x[:]]
            assert found == list(zip(part.y, part.weight, strict=True))

    def test_it_is_fixed_by_the_seed(self):
        parts = [load((x, y), seed=seed).validation.x[:].tobytes() for seed in (0, 0, 1)]
        assert parts[0] == parts[1] != parts[2]

    @pytest.mark.parametrize("given", [None, Dataset.from_tensor_slices((x, y)).shuffle(40)])
    def test_nothing_depends_on_the_order_of_arrival(self, given):
        mixed = Dataset.from_tensor_slices((x, y)).shuffle(40).batch(8)
        first, second, sorted_by_class = (
            load(data, given) for data in (mixed, mixed, (x[y.argsort()], np.sort(y)))
        )
        for part in ("train", "validation"):
            for other in (second, sorted_by_class):
                one, same = getattr(first, part), getattr(other, part)
                np.testing.assert_array_equal(one.x, same.x)
                np.testing.assert_array_equal(one.y, same.y)

    def test_classes_do_not_come_in_blocks(self):
        data = load((x[y.argsort()], np.sort(y)))
        assert (np.diff(data.train.y) != 0).sum() > 12

    def test_equal_images_mostly_fall_on_one_side(self):
        x, y = pair(400, classes=2)
        data = load((np.concatenate([x, x]), np.concatenate([y, y])))
        sides = [{*map(bytes, part.x[:])} for part in (data.train, data.validation)]
        assert len(sides[0] & sides[1]) <= 2  # one at the border of each class

    @pytest.mark.parametrize("share", [0.01, 0.5, 0.99])
    def test_a_class_with_two_examples_is_in_both_parts(self, share):
        y = np.array([0] * 36 + [1, 1, 2, 2])
        data = load((x, y), validation_split=share)
        assert set(data.train.y) == set(data.validation.y) == {0, 1, 2}

    def test_given_validation_data_is_used_whole(self):
        data = load((x, y), (x[:8], y[:8]))
        for part, n in ((data.train, 40), (data.validation, 8)):
            assert {*map(bytes, part.x[:])} == {*map(bytes, x[:n])}
            assert len(part) == n

    @pytest.mark.parametrize("given", [None, (x[:8], y[:8], w[:8])])
    def test_merge_joins_the_parts_without_copying_images(self, given):
        data = load((x, y), given)
        whole = data.merge()
        assert whole.x.array is data.train.x.array
        assert len(whole) == len(data.train) + len(data.validation)
        np.testing.assert_array_equal(whole.x[-1], data.validation.x[-1])
        assert (whole.weight is None) == (given is None)
        if given is not None:
            assert whole.weight.tolist() == [1.0] * 40 + data.validation.weight.tolist()

    def test_merge_joins_parts_of_any_origin(self):
        parts = [Examples(x[:4], y[:4]), Examples(x[4:], y[4:])]
        whole = Data(*parts, (8, 8, 3), "images", 4, False, None, (1.0, 0.0)).merge()
        np.testing.assert_array_equal(whole.x, x)


class TestRescaling:
    def test_uint8_is_divided_by_255(self):
        assert load((x, y)).rescaling == (1 / 255, 0.0)

    @pytest.mark.parametrize("channels", [1, 3])
    def test_floats_are_standardised_by_the_training_part(self, channels):
        rng = np.random.default_rng(0)
        x = rng.normal(
            [5, -300, 0.01][:channels], [2, 40, 1e-4][:channels], (600, 4, 4, channels)
        )
        data = load((x, np.arange(600) % 2))
        scale, offset = data.rescaling
        assert np.shape(scale) == np.shape(offset) == (() if channels == 1 else (3,))
        layer = keras.layers.Rescaling(scale, offset)
        rescaled = np.asarray(layer(data.train.x[:].astype(np.float64)), np.float64)
        np.testing.assert_allclose(rescaled.mean((0, 1, 2)), 0, atol=1e-3)
        np.testing.assert_allclose(rescaled.std((0, 1, 2)), 1, atol=1e-3)
        stored = np.asarray(data.train.x, np.float64)
        np.testing.assert_allclose(scale, np.squeeze(1 / stored.std((0, 1, 2))), rtol=1e-9)

    @pytest.mark.parametrize("constant", [0.0, 0.1, -1e6])
    def test_a_constant_channel_is_centred_and_not_blown_up(self, constant):
        x = np.random.default_rng(0).normal(size=(40, 4, 4, 2)).astype(np.float32)
        x[..., 1] = constant
        x[::2, ..., 1] = np.nextafter(np.float32(constant), np.float32(np.inf))  # rounding
        scale, offset = load((x, y)).rescaling
        assert scale[1] == 1
        assert offset[1] == pytest.approx(-constant, rel=1e-6)


class TestClasses:
    def test_they_are_counted_from_zero_with_gaps(self):
        assert load((x, np.where(y == 2, 0, y))).num_classes == 4

    def test_class_names_and_one_hot_columns_can_count_more(self):
        assert load((x, y), class_names=list("abcdef")).num_classes == 6
        data = load((x, one_hot(y, classes=6)))
        assert (data.num_classes, data.task.one_hot) == (6, True)
        assert not load((x, y)).task.one_hot


class TestCache:
    def test_more_than_the_budget_goes_to_a_file(self, tmp_path):
        label = one_hot(y)
        source = Dataset.from_tensor_slices((x, label)).batch(7)
        cached = load(source, (x[:8], label[:8]), cache_dir=tmp_path, memory_budget=1000)
        held = load(source, (x[:8], label[:8]))
        assert isinstance(cached.train.x.array, np.memmap)
        assert [path.stat().st_size for path in tmp_path.iterdir()] == [
            x.nbytes + x[:8].nbytes
        ]
        for part in ("train", "validation"):
            a, b = (getattr(data, part).dataset(5, shuffle=0) for data in (cached, held))
            for one, other in zip(a, b, strict=True):
                for column, same in zip(one, other, strict=True):
                    np.testing.assert_array_equal(column, same)

    def test_nothing_is_left_behind_when_reading_fails(self, tmp_path):
        bad = x.astype(np.float32)
        bad[-1, 0, 0, 0] = np.nan
        source = Dataset.from_tensor_slices((bad, y)).batch(7)
        with pytest.raises(ValueError, match="example 39"):
            read(source, cache_dir=tmp_path, memory_budget=1000)
        assert not list(tmp_path.iterdir())


def floats(x):
    return x.astype(np.float32)


def spoiled(value):
    bad = floats(x)
    bad[17, 3, 3, 1] = value
    return bad


endless = Dataset.from_tensor_slices((x, y)).repeat()
BAD = {  # what is wrong: arguments of load, settings, error, words of the message
    "a path": ("photos/", {}, TypeError, "must be a data set. Received: str"),
    "nothing": (None, {}, TypeError, "Received: NoneType"),
    "a generator": (iter([(x, y)]), {}, TypeError, "Pass a tf.data.Dataset"),
    "a pair of data sets": ((endless, endless), {}, TypeError, "Dataset. Pass a tf"),
    "images alone": (x, {}, ValueError, "its label each. Received: examples alone"),
    "no labels": ((x, None), {}, ValueError, "its label each. Received: 2 parts"),
    "no labels in a data set": (
        Dataset.from_tensor_slices(x),
        {},
        ValueError,
        "its label each. Received: examples alone",
    ),
    "too many parts": ((x, y, w, w), {}, ValueError, "Received: 4 parts"),
    "other keys": (
        Dataset.from_tensor_slices({"pixels": x, "label": y}),
        {},
        ValueError,
        r"keys \['label', 'pixels'\]",
    ),
    "empty": ((x[:0], y[:0]), {}, ValueError, "training data must not be empty"),
    "an empty data set": (
        Dataset.from_tensor_slices((x, y)).filter(lambda x, y: y > 9),
        {},
        ValueError,
        "must not be empty",
    ),
    "an empty data set of unknown shape": (
        Dataset.from_generator(lambda: iter(()), (tf.uint8, tf.int64)),
        {},
        ValueError,
        "must not be empty",
    ),
    "endless": (endless, {}, ValueError, "come to an end.*steps=100"),
    "steps of zero": (endless, {"steps": 0}, ValueError, "steps=0"),
    "sizes that vary": (
        sized((8, 8), (8, 9)),
        {},
        ValueError,
        r"one size.*\[8,9,3\].*image_size",
    ),
    "portraits and landscapes": (
        sized((8, 9), (9, 8)),
        {},
        ValueError,
        r"\[8,9,3\].*\[9,8,3\]",
    ),
    "arrays that vary": (
        ([x[0], x[1, :4]], [0, 1]),
        {},
        ValueError,
        r"one size.*image_size=\(height, width\)",
    ),
    "image_size of one number": ((x, y), {"image_size": 32}, ValueError, "image_size=32"),
    "image_size of zero": ((x, y), {"image_size": (0, 8)}, ValueError, r"image_size=\(0, 8\)"),
    "image_size of floats": ((x, y), {"image_size": (8.0, 8)}, ValueError, r"\(8.0, 8\)"),
    "a share of 1": ((x, y), {"validation_split": 1}, ValueError, "validation_split=1"),
    "a share of text": (
        (x, y),
        {"validation_split": "20%"},
        ValueError,
        "validation_split='20%'",
    ),
    "a share of 0": ((x, y), {"validation_split": 0.0}, ValueError, "validation_split=0.0"),
    "lengths that differ": ((x, y[:-1]), {}, ValueError, r"lengths \[40, 39\]"),
    "weights that are missing": ((x, y, w[:9]), {}, ValueError, r"lengths \[40, 40, 9\]"),
    "an unknown layout": ((x, y), {"layout": "image"}, ValueError, "Did you mean 'images'"),
    "a layout of other axes": (
        (x, y),
        {"layout": "series"},
        ValueError,
        r"layout='series'.*series are \(length",
    ),
    "a column that int8 loses": (
        (np.stack([y - 1.5, 1e4 * (y - 1.5)], axis=1), y),
        {},
        ValueError,
        r"1 of 2 that would be lost, such as number 0.*standardise each",
    ),
    "series to resize": (
        (x[:, 0], y),
        {"layout": "series", "image_size": (4, 4)},
        ValueError,
        "Only images are resized",
    ),
    "videos": ((x[np.newaxis], y[:1]), {}, ValueError, "too many axes"),
    "masks of colours": ((x, x), {}, ValueError, "3 channels that are not one-hot"),
    "names as images": (
        (y.astype(str).reshape(40, 1, 1), y),
        {},
        TypeError,
        "Examples.*Decode",
    ),
    "labels that are missing": (
        (x, np.where(y, y, np.nan)),
        {},
        ValueError,
        "Labels must be fin",
    ),
    "negative labels": ((x, y - 1), {}, ValueError, "0 or more. Received: -1"),
    "wild labels": ((x, y * 10**6), {}, ValueError, "4 classes, numbered up to 3000000"),
    "a single class": ((x, y * 0), {}, ValueError, "holds only class 0"),
    "a single named class": (
        (x, y * 0 + 1),
        {"class_names": ["a", "b"]},
        ValueError,
        r"holds only class 1 \(b\)",
    ),
    "too few names": (
        (x, y),
        {"class_names": ["a", "b"]},
        ValueError,
        "2 class names.*4 classes",
    ),
    "names without a column": (
        (x, one_hot(y)),
        {"class_names": list("abcde")},
        ValueError,
        "5 class names.*4 classes",
    ),
    "NaN": ((spoiled(np.nan), y), {}, ValueError, "example 17 of the training data"),
    "infinity": (
        Dataset.from_tensor_slices((spoiled(-np.inf), y)).batch(8),
        {},
        ValueError,
        "example 17 of the training data",
    ),
    "negative weights": ((x, y, -w), {}, ValueError, r"weight must be.*from -2.0 to -0.5"),
    "a class that cannot be split": (
        (x, np.where(np.arange(40), y, 7)),
        {"class_names": list("abcdefgh")},
        ValueError,
        r"one example of class 7 \(h\)",
    ),
    "another image shape": (
        (x, y),
        {"validation_data": (x[:, :4], y)},
        ValueError,
        r"\(4, 8, 3\) and uint8 examples of shape \(8, 8, 3\)",
    ),
    "another image type": (
        (x, y),
        {"validation_data": (floats(x) / 255, y)},
        ValueError,
        "validation data must have examples like the training data. Received: float32",
    ),
    "another form of label": (
        (x, y),
        {"validation_data": (x, one_hot(y))},
        ValueError,
        r"labels must have one form.*\(40,\).*\(40, 4\)",
    ),
    "a new class": (
        (x, y),
        {"validation_data": (x, y + 1)},
        ValueError,
        "validation data with class 4, which training data lacks",
    ),
    "endless validation": (
        (x, y),
        {"validation_data": endless},
        ValueError,
        "validation data must come to an end",
    ),
}


@pytest.mark.parametrize("wrong", BAD)
def test_bad_input_gets_a_sentence(wrong):
    data, settings, error, words = BAD[wrong]
    with pytest.raises(error, match=words) as raised:
        load(data, **settings)
    message = str(raised.value)
    assert "Received: " in message
    assert message.endswith(".")


def test_an_error_of_the_pipeline_itself_is_not_hidden():
    failing = Dataset.from_tensor_slices((x, y)).map(
        lambda x, y: (x, tf.debugging.check_numerics(tf.cast(1 / (y - 2), tf.float32), "mine"))
    )
    with pytest.raises(tf.errors.InvalidArgumentError, match="mine"):
        load(failing)


@pytest.mark.skipif("KERASNAS_DATA" not in os.environ, reason="KERASNAS_DATA is not set")
def test_fashion_mnist_is_read_within_seconds():
    path = pathlib.Path(os.environ["KERASNAS_DATA"], "fashion_mnist.npz")
    if not path.is_file():
        pytest.skip(f"{path} is missing")
    with np.load(path) as file:
        data = load((file["x_train"], file["y_train"]))
    assert (data.input_shape, data.num_classes) == ((28, 28, 1), 10)
    assert np.bincount(data.validation.y).tolist() == [1200] * 10

import json
import pathlib
import subprocess
import sys
import wave

import keras
import numpy as np
import pytest
import tensorflow as tf
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

from kerasnas.data import load, read
from kerasnas.datasets import open_dataset

BUILDER = """
import json
import sys

import numpy as np
import tensorflow_datasets as tfds

CONFIGS = json.loads(sys.argv[2])


class Tiny(tfds.core.GeneratorBasedBuilder):
    VERSION = tfds.core.Version("1.0.0")
    BUILDER_CONFIGS = [tfds.core.BuilderConfig(name=name) for name in CONFIGS]

    def _info(self):
        kind = self.builder_config.name.partition("_")[2]
        label = tfds.features.ClassLabel(names=["low", "high"])
        features = {"image": tfds.features.Image(shape=(None, None, 1)), "label": label}
        if kind == "dense":
            box = {"bbox": tfds.features.BBoxFeature(), "label": label}
            mask = tfds.features.Image(shape=(None, None, 1))
            features |= {"objects": tfds.features.Sequence(box), "segmentation_mask": mask}
        elif kind == "text":
            features = {"text": tfds.features.Text(), "label": label}
        elif kind == "audio":
            audio = tfds.features.Audio(sample_rate=4000)
            features = {"audio": audio, "label": label}
        return self.dataset_info_from_configs(
            features=tfds.features.FeaturesDict(features),
            supervised_keys=(next(iter(features)), "label") if kind in ("", "text") else None,
        )

    def _split_generators(self, dl_manager):
        splits = self.builder_config.name.split("_")[0].split("-")
        return {split: self._generate_examples(i) for i, split in enumerate(splits)}

    def _generate_examples(self, part):
        for i in range(20):
            image = np.full((8, 6, 1), 128 * (i % 2) + part, np.uint8)
            box = tfds.features.BBox(0.25, 0.0, 0.5, 0.5)
            example = {
                "image": image,
                "label": i % 2,
                "objects": [{"bbox": box, "label": i % 2}] * (1 + i % 3),
                "segmentation_mask": image // 128,
                "text": "high" if i % 2 else "low",
                "audio": np.full(100, 1000 * i, np.int64),
            }
            yield i, {name: example[name] for name in self.info.features}


for name in CONFIGS:
    Tiny(config=name, data_dir=sys.argv[1]).download_and_prepare()
"""


@pytest.fixture(scope="module")
def tfds_folder(tmp_path_factory):
    """Data sets as `tfds build` leaves them: their code is not at hand when they are read."""
    code, folder = tmp_path_factory.mktemp("code"), tmp_path_factory.mktemp("tfds")
    (code / "tiny").mkdir()
    (code / "tiny" / "__init__.py").touch()
    (code / "tiny" / "tiny.py").write_text(BUILDER)
    configs = ["train-test", "train-validation_dictionary", "train", "test"]
    configs = json.dumps([*configs, "train_dense", "train_text", "train_audio"])
    built = subprocess.run(
        [sys.executable, "-c", "import tiny.tiny", str(folder), configs],
        cwd=code,
        capture_output=True,
        text=True,
    )
    assert built.returncode == 0, built.stderr
    return folder


@pytest.fixture
def tiny(tfds_folder, monkeypatch):
    monkeypatch.setenv("TFDS_DATA_DIR", str(tfds_folder))
    return lambda config, **kwargs: open_dataset(f"tiny/{config}", **kwargs)


def write_images(folder, count=5, names=("cat", "dog"), channels=3, size=(8, 6)):
    rng = np.random.default_rng(0)
    for name in names:
        (folder / name).mkdir(parents=True)
        for i in range(count):
            image = rng.integers(0, 256, (*size, channels))
            keras.utils.save_img(folder / name / f"{i:02}.png", image, scale=False)


class TestDigits:
    def test_the_test_part_is_scikit_learns(self):
        digits = load_digits()
        x_train, x_test, y_train, y_test = train_test_split(
            digits.images, digits.target, test_size=0.2, random_state=0, stratify=digits.target
        )
        data = open_dataset("digits")
        for part, x, y in [(data.train, x_train, y_train), (data.test, x_test, y_test)]:
            np.testing.assert_array_equal(part[0][..., 0], x)
            np.testing.assert_array_equal(part[1], y)
        assert data.train[0].dtype == np.float32
        assert (data.test[0].shape, data.test[0].max()) == ((360, 8, 8, 1), 16)
        assert data.class_names == list("0123456789")

    def test_they_can_be_resized(self):
        data = open_dataset("digits", image_size=(16, 12))
        assert data.train[0].shape == (1437, 16, 12, 1)
        assert load(data.train).input_shape == (16, 12, 1)


class TestArrays:
    def save(self, path, **arrays):
        np.savez(path, **arrays)
        return str(path)

    def test_the_four_arrays_are_read(self, tmp_path):
        x, y = np.zeros((6, 4, 4), np.uint8), np.arange(6) % 2
        path = self.save(tmp_path / "a.npz", x_train=x, y_train=y, x_test=x[:2], y_test=y[:2])
        data = open_dataset(path)
        np.testing.assert_array_equal(data.train[1], y)
        assert data.test[0].shape == (2, 4, 4)
        assert data.class_names is None
        assert open_dataset(path, image_size=(8, 8)).test[0].shape == (2, 8, 8, 1)

    def test_missing_arrays_name_what_is_there(self, tmp_path):
        path = self.save(tmp_path / "a.npz", images=np.zeros(3), x_train=np.zeros(3))
        with pytest.raises(
            ValueError, match=r"must hold.*Received: .*a\.npz with images, x_tr"
        ):
            open_dataset(path)

    def test_python_objects_are_never_unpickled(self, tmp_path):
        risky = np.array([{}], object)
        path = self.save(
            tmp_path / "a.npz", x_train=risky, y_train=risky, x_test=risky, y_test=risky
        )
        with pytest.raises(ValueError, match="must hold numbers"):
            open_dataset(path)

    def test_another_file_is_no_archive(self, tmp_path):
        path = tmp_path / "a.npz"
        path.write_text("x")
        with pytest.raises(ValueError, match=r"no \.npz archive"):
            open_dataset(str(path))


class TestFolder:
    def test_train_and_test_folders_are_the_parts(self, tmp_path):
        write_images(tmp_path / "train", 5)
        write_images(tmp_path / "test", 2)
        data = open_dataset(str(tmp_path))
        train, test = read(data.train), read(data.test)
        assert (len(train), len(test), data.class_names) == (10, 4, ["cat", "dog"])
        assert train.x.shape == (10, 8, 6, 3)
        image = keras.utils.load_img(tmp_path / "train" / "dog" / "03.png")
        np.testing.assert_array_equal(train.x[8], image)

    def test_one_level_is_split_once_and_for_all(self, tmp_path):
        write_images(tmp_path, 10)
        parts = [
            [read(part).x[:] for part in open_dataset(str(tmp_path))[:2]] for _ in range(2)
        ]
        assert [len(part) for part in parts[0]] == [16, 4]
        for one, other in zip(*parts, strict=True):
            np.testing.assert_array_equal(one, other)
        assert not {*map(bytes, parts[0][0])} & {*map(bytes, parts[0][1])}
        assert np.bincount(read(open_dataset(str(tmp_path)).test).y).tolist() == [2, 2]

    @pytest.mark.parametrize(("channels", "stored"), [(1, 1), (3, 3), (4, 3)])
    def test_gray_images_stay_gray(self, channels, stored, tmp_path):
        write_images(tmp_path, channels=channels)
        assert read(open_dataset(str(tmp_path)).train).x.shape[-1] == stored

    def test_a_colour_class_makes_all_colour(self, tmp_path):
        write_images(tmp_path, names=["a"], channels=1)
        write_images(tmp_path, names=["b"], channels=3)
        assert read(open_dataset(str(tmp_path)).train).x.shape[-1] == 3

    def test_images_of_any_size_are_resized(self, tmp_path):
        write_images(tmp_path, names=["a"], size=(8, 6))
        write_images(tmp_path, names=["b"], size=(6, 8))
        with pytest.raises(ValueError, match="one size"):
            read(open_dataset(str(tmp_path)).train)
        data = open_dataset(str(tmp_path), image_size=(4, 4))
        assert read(data.test).x.shape == (2, 4, 4, 3)

    def test_a_file_that_is_no_image_is_named(self, tmp_path):
        write_images(tmp_path)
        (tmp_path / "dog" / "broken.jpg").write_bytes(b"<html>404</html>")
        with pytest.raises(ValueError, match=r"is none.*Received: .*dog.broken\.jpg"):
            open_dataset(str(tmp_path))

    def test_other_files_are_left_alone(self, tmp_path):
        write_images(tmp_path)
        (tmp_path / "dog" / "notes.txt").write_text("x")
        (tmp_path / ".cache").mkdir()
        assert open_dataset(str(tmp_path)).class_names == ["cat", "dog"]

    def test_a_folder_without_classes_or_images_is_an_error(self, tmp_path):
        with pytest.raises(ValueError, match="one folder of images per class"):
            open_dataset(str(tmp_path))
        (tmp_path / "cat").mkdir()
        with pytest.raises(ValueError, match="hold no images"):
            open_dataset(str(tmp_path))

    def test_a_test_class_must_be_in_the_train_folder(self, tmp_path):
        write_images(tmp_path / "train")
        write_images(tmp_path / "test", names=["dog", "emu"])
        with pytest.raises(ValueError, match="Received: emu in"):
            open_dataset(str(tmp_path))

    def test_parts_are_not_taken_for_classes(self, tmp_path):
        write_images(tmp_path / "train")
        write_images(tmp_path / "val")
        with pytest.raises(ValueError, match=r"Received: .* with train, val\. Rename"):
            open_dataset(str(tmp_path))

    def test_a_class_may_be_called_train(self, tmp_path):
        write_images(tmp_path, names=["bus", "train"])
        assert open_dataset(str(tmp_path)).class_names == ["bus", "train"]

    def test_a_class_of_one_image_cannot_be_split(self, tmp_path):
        write_images(tmp_path, names=["a", "b"])
        write_images(tmp_path, 1, names=["c"])
        with pytest.raises(ValueError, match=r"one example of class 2 \(c\)"):
            open_dataset(str(tmp_path))


class TestSeveralKindsOfArrays:
    def save(self, path, **arrays):
        np.savez(path, **arrays)
        return str(path)

    def test_boxes_come_with_their_classes(self, tmp_path):
        x, boxes = np.zeros((6, 8, 8, 1), np.uint8), np.tile([0, 0, 0.5, 0.5], (6, 2, 1))
        labels = np.tile([0, -1], (6, 1))
        arrays = {
            f"{kind}_{part}": y
            for part in ("train", "test")
            for kind, y in {"x": x, "boxes": boxes, "labels": labels}.items()
        }
        data = open_dataset(self.save(tmp_path / "a.npz", **arrays), image_size=(16, 16))
        examples = read(data.train)
        assert examples.x.shape == (6, 16, 16, 1)
        np.testing.assert_allclose(examples.y[0], [[0, 0, 0.5, 0.5, 0]])

    def test_masks_are_resized_without_blending(self, tmp_path):
        x = np.zeros((4, 8, 8), np.uint8)
        y = np.zeros((4, 8, 8), np.int64)
        y[:, 4:] = 2
        path = self.save(tmp_path / "a.npz", x_train=x, y_train=y, x_test=x, y_test=y)
        mask = open_dataset(path, image_size=(4, 6)).test[1]
        np.testing.assert_array_equal(
            mask, np.repeat([[[0] * 6, [0] * 6, [2] * 6, [2] * 6]], 4, 0)
        )

    def test_several_inputs_are_told_by_their_names(self, tmp_path):
        arrays = {
            f"x_{part}_{name}": np.zeros((4, 3))
            for part in ("train", "test")
            for name in ("left", "right")
        }
        y = np.arange(4) % 2
        names = np.array(["no", "yes"])
        path = self.save(tmp_path / "a.npz", y_train=y, y_test=y, class_names=names, **arrays)
        data = open_dataset(path)
        assert list(data.train[0]) == list(data.test[0]) == ["left", "right"]
        assert data.class_names == ["no", "yes"]
        with pytest.raises(ValueError, match="Only images are resized"):
            open_dataset(path, image_size=(8, 8))
        del arrays["x_test_left"]
        path = self.save(tmp_path / "b.npz", y_train=y, y_test=y, **arrays)
        with pytest.raises(ValueError, match=r"left, right to train and right to test on"):
            open_dataset(path)


class TestTable:
    def write(self, path, text):
        path.write_text(text)
        return str(path)

    def rows(self, kind=lambda i: "ab"[i % 2], count=20):
        return "\n".join(
            ["age,city,kind", *(f"{i},{'RO'[i % 2]},{kind(i)}" for i in range(count))]
        )

    def test_columns_hold_numbers_or_categories(self, tmp_path):
        data = open_dataset(self.write(tmp_path / "a.csv", self.rows()))
        x, y = data.train
        assert (x["age"].dtype.kind, x["city"].dtype.kind, list(x)) == (
            "i",
            "U",
            ["age", "city"],
        )
        assert set(y) == {"a", "b"}
        assert data.class_names == ["a", "b"]

    def test_both_parts_have_like_shares_and_are_always_the_same(self, tmp_path):
        path = self.write(tmp_path / "a.csv", self.rows())
        (x, y), (x_test, y_test) = open_dataset(path)[:2]
        assert (len(y), sorted(y_test)) == (16, ["a", "a", "b", "b"])
        assert sorted([*x["age"], *x_test["age"]]) == list(range(20))
        np.testing.assert_array_equal(open_dataset(path).test[0]["age"], x_test["age"])

    @pytest.mark.parametrize(
        ("kind", "dtype"), [(lambda i: i + 0.5, "f"), (lambda i: i * 3, "i")]
    )
    def test_quantities_are_split_by_their_ranges(self, kind, dtype, tmp_path):
        data = open_dataset(self.write(tmp_path / "a.csv", self.rows(kind, 100)))
        assert data.class_names is None
        train, test = data.train[1], data.test[1]
        assert (train.dtype.kind, len(test)) == (dtype, 20)
        assert abs(np.median(train) - np.median(test)) < 0.1 * np.ptp(train)

    def test_any_column_can_be_told_and_others_left_out(self, tmp_path):
        path = self.write(tmp_path / "a.csv", self.rows())
        data = open_dataset(path, target="age", ignore=["kind"])
        assert list(data.train[0]) == ["city"]
        assert data.train[1].dtype.kind == "i"

    @pytest.mark.parametrize("delimiter", [";", "\t", "|", ", "])
    def test_the_header_tells_what_separates(self, delimiter, tmp_path):
        text = self.rows().replace(",", delimiter) + "\n\n"
        data = open_dataset(self.write(tmp_path / "a.csv", "\ufeff" + text))
        assert list(data.train[0]) == ["age", "city"]

    def test_codes_with_leading_zeros_are_categories(self, tmp_path):
        text = "\n".join(["code,kind", *(f"0{i % 2},{'ab'[i % 2]}" for i in range(20))])
        data = open_dataset(self.write(tmp_path / "a.csv", text))
        assert set(data.train[0]["code"]) == {"00", "01"}

    @pytest.mark.parametrize(
        ("text", "options", "message"),
        [
            ("a,b\n1,x\n2,", {}, r"Received: nothing in row 2 of the column 'b'"),
            ("a,b\n1,x\n?,y", {}, r"'1' \(row 1\) and '\?' \(row 2\) in the column 'a'"),
            ("a,b\n1,x\n2", {}, r"1 values in line 3 of .*, which has 2 columns"),
            ("a,b", {}, "of 1 line. Check"),
            ("", {}, "of 0 lines. Check"),
            ("a,a\n1,2", {}, r"columns \['a', 'a'\]"),
            (",a\n1,2", {}, "a name of its own"),
            ("a\n1", {}, "one to tell it from"),
            ("age,b\n1,2", {"target": "aeg"}, "Did you mean 'age'"),
            ("a,b\n1,2", {"ignore": ["c"]}, "no such column. Received: 'c'"),
            ("a,b\n1,2\n2,3", {"target": "a", "ignore": ["a"]}, "one to tell it from"),
            ("a,b\n1,x\n2,x\n3,y", {}, r"one example of class 1 \(y\)"),
        ],
    )
    def test_bad_tables_get_a_sentence(self, text, options, message, tmp_path):
        with pytest.raises(ValueError, match=message):
            open_dataset(self.write(tmp_path / "a.csv", text), **options)

    def test_other_data_have_no_columns(self):
        with pytest.raises(ValueError, match="Only a table has columns"):
            open_dataset("digits", target="age")


class TestText:
    def test_its_end_is_the_test_part(self, tmp_path):
        text = "".join(str(i % 10) for i in range(1000))
        (tmp_path / "a.txt").write_text(text)
        data = open_dataset(str(tmp_path / "a.txt"))
        assert (data.train, data.test) == (text[:800], text[800:])
        assert data.settings["task"] == "next_token"

    def test_what_it_cannot_serve_gets_a_sentence(self, tmp_path):
        path = tmp_path / "a.txt"
        path.write_text("short")
        with pytest.raises(ValueError, match=r"of 5\. Pass a longer"):
            open_dataset(str(path))
        with pytest.raises(ValueError, match="A text alone serves"):
            open_dataset(str(path), task="classification")
        path.write_bytes(b"\xff" * 200)
        with pytest.raises(ValueError, match="something else at byte 0"):
            open_dataset(str(path))


def write_texts(folder, count=5):
    for name in ("bad", "good"):
        (folder / name).mkdir(parents=True)
        for i in range(count):
            (folder / name / f"{i}.txt").write_text(f"{name} {i}")


def write_recording(path, samples, rate=8000, channels=1, width=2):
    path.parent.mkdir(parents=True, exist_ok=True)
    with wave.open(str(path), "wb") as file:
        file.setnchannels(channels)
        file.setsampwidth(width)
        file.setframerate(rate)
        file.writeframes(np.asarray(samples).astype(f"<i{width}").tobytes())


class TestOtherFolders:
    def test_texts_come_with_their_classes_or_alone(self, tmp_path):
        write_texts(tmp_path)
        data = open_dataset(str(tmp_path))
        assert data.class_names == ["bad", "good"]
        assert [len(part[1]) for part in data[:2]] == [8, 2]
        for text, label in zip(*data.train, strict=True):
            assert text.startswith(data.class_names[label])
        alone = open_dataset(str(tmp_path), task="next_token")
        assert list(alone.train) == list(data.train[0])

    def test_recordings_tell_their_rate_and_the_longest_their_length(self, tmp_path):
        ramp = np.arange(0, 30_000, 100)
        for name in ("a", "b"):
            for i in range(5):
                write_recording(tmp_path / "train" / name / f"{i}.wav", ramp[: 100 + i])
            write_recording(tmp_path / "test" / name / "0.wav", ramp)
        data = open_dataset(str(tmp_path))
        assert dict(data.settings) == {
            "layout": "waveform",
            "sample_rate": 8000,
            "sequence_length": 104,
        }
        train, test = (read(part, layout="waveform", sequence_length=104) for part in data[:2])
        assert (train.x.shape, test.x.shape) == ((10, 104), (2, 104))
        np.testing.assert_allclose(test.x[0], ramp[:104] / 32768, atol=1e-7)
        np.testing.assert_allclose(train.x[0][100:], 0)
        assert train.y.tolist() == [0] * 5 + [1] * 5

    @pytest.mark.parametrize(
        ("settings", "message"),
        [
            ({"rate": 4000}, r"b.0\.wav of 4000 Hz, and others of 8000"),
            ({"channels": 2}, r"b.0\.wav of 16 bits and 2 channels"),
            ({"width": 4}, r"b.0\.wav of 32 bits and 1 channels"),
            ({"samples": []}, "which has none"),
        ],
    )
    def test_recordings_must_be_alike(self, settings, message, tmp_path):
        for i in range(3):
            write_recording(tmp_path / "a" / f"{i}.wav", np.ones(100))
            write_recording(tmp_path / "b" / f"{i}.wav", np.ones(100))
        write_recording(tmp_path / "b" / "0.wav", **{"samples": np.ones(100), **settings})
        with pytest.raises(ValueError, match=message):
            open_dataset(str(tmp_path))

    def test_a_file_that_is_no_recording_is_named(self, tmp_path):
        for i in range(3):
            write_recording(tmp_path / "a" / f"{i}.wav", np.ones(100))
            write_recording(tmp_path / "b" / f"{i}.wav", np.ones(100))
        (tmp_path / "b" / "1.wav").write_bytes(b"<html>404</html>")
        with pytest.raises(ValueError, match=r"is none.*Received: .*b.1\.wav"):
            open_dataset(str(tmp_path))

    def test_only_images_are_resized(self, tmp_path):
        write_texts(tmp_path)
        with pytest.raises(ValueError, match="Only images are resized"):
            open_dataset(str(tmp_path), image_size=(8, 8))


class TestTFDS:
    @pytest.mark.parametrize(
        ("config", "train", "test", "start"),
        [
            ("train-test", 20, 20, 1),
            ("train-validation_dictionary", 20, 20, 1),
            ("train", 16, 4, 0),
        ],
    )
    def test_splits(self, tiny, config, train, test, start):
        data = tiny(config)
        parts = [read(part) for part in (data.train, data.test)]
        assert [len(part) for part in parts] == [train, test]
        for part, value in zip(parts, [0, start], strict=True):
            np.testing.assert_array_equal(part.x[:][:, 0, 0, 0], 128 * part.y + value)
        assert data.class_names == ["low", "high"]

    @pytest.mark.parametrize("config", ["train-test", "train-validation_dictionary"])
    def test_images_can_be_resized(self, tiny, config):
        assert read(tiny(config, image_size=(4, 4)).test).x.shape == (20, 4, 4, 1)

    def test_the_task_chooses_among_masks_objects_and_labels(self, tiny):
        with pytest.raises(
            ValueError, match=r"several tasks.*label, segmentation_mask, objects"
        ):
            tiny("train_dense")
        masks = read(tiny("train_dense", task="segmentation", image_size=(4, 4)).train)
        assert masks.y.shape == (16, 4, 4)
        np.testing.assert_array_equal(masks.y[:, 0, 0], masks.x[:][:, 0, 0, 0] // 128)
        data = tiny("train_dense", task="detection")
        objects = read(data.train)
        assert data.class_names == ["low", "high"]
        assert objects.y.shape == (16, 3, 5)
        np.testing.assert_allclose(objects.y[:, 0, :4], [[0.25, 0, 0.5, 0.5]] * 16)
        np.testing.assert_array_equal(objects.y[:, 0, 4], objects.x[:][:, 0, 0, 0] // 128)
        assert set(read(tiny("train_dense", task="classification").train).y) == {0, 1}

    def test_texts_come_with_their_classes_or_alone(self, tiny):
        data = tiny("train_text")
        assert data.class_names == ["low", "high"]
        assert {(x.numpy(), y.numpy()) for x, y in data.test} == {(b"low", 0), (b"high", 1)}
        alone = tiny("train_text", task="next_token")
        assert {x.numpy() for x in alone.train} == {b"low", b"high"}

    def test_recordings_tell_their_rate(self, tiny):
        data = tiny("train_audio")
        assert dict(data.settings) == {"layout": "waveform", "sample_rate": 4000}
        assert read(data.test, layout="waveform").x.shape == (4, 100)

    def test_what_is_asked_must_be_there(self, tiny):
        with pytest.raises(
            ValueError, match=r"objects to be told\. Received: 'tiny/train-test'"
        ):
            tiny("train-test", task="detection")

    def test_without_a_train_split_there_is_nothing_to_learn_from(self, tiny):
        with pytest.raises(
            ValueError, match=r"'train'.*Received: 'tiny/test' with splits test"
        ):
            tiny("test")

    def test_what_cannot_be_prepared_says_why(self, monkeypatch, tmp_path):
        import tensorflow_datasets as tfds

        def offline(*args, **kwargs):
            raise ConnectionError("no route to host")

        monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path))
        monkeypatch.setattr(tfds.core.DatasetBuilder, "download_and_prepare", offline)
        with pytest.raises(ValueError, match=r"could not prepare.*ConnectionError: no route"):
            open_dataset("mnist")


class TestUnknownNames:
    @pytest.mark.parametrize(
        ("name", "nearest"),
        [("digit", "digits"), ("fashion-mnist", "fashion_mnist"), ("mnist/none", "mnist")],
    )
    def test_they_get_the_nearest_name_and_what_is_accepted(self, name, nearest):
        with pytest.raises(
            ValueError, match=f"Received: '{name}'. Did you mean '{nearest}'.*npz"
        ):
            open_dataset(name)

    @pytest.mark.parametrize(
        "name", ["none.npz", "./none", "~/none", str(pathlib.Path("/none"))]
    )
    def test_a_path_that_is_none_is_not_looked_for_elsewhere(self, name):
        with pytest.raises(ValueError, match="no such file or folder"):
            open_dataset(name)


def test_every_kind_is_accepted_by_load(tiny, tmp_path):
    write_images(tmp_path)
    for data in (open_dataset("digits"), open_dataset(str(tmp_path)), tiny("train-test")):
        loaded = load(data.train, class_names=data.class_names)
        assert loaded.num_classes == len(data.class_names)
        assert isinstance(loaded.train.dataset(4), tf.data.Dataset)

import json
import pathlib
import subprocess
import sys

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
        dictionary = self.builder_config.name.endswith("dictionary")
        features = {
            "image": tfds.features.Image(shape=(None, None, 1)),
            "label": tfds.features.ClassLabel(names=["low", "high"]),
        }
        return self.dataset_info_from_configs(
            features=tfds.features.FeaturesDict(features),
            supervised_keys=None if dictionary else ("image", "label"),
        )

    def _split_generators(self, dl_manager):
        splits = self.builder_config.name.split("_")[0].split("-")
        return {split: self._generate_examples(i) for i, split in enumerate(splits)}

    def _generate_examples(self, part):
        for i in range(20):
            image = np.full((8, 6, 1), 128 * (i % 2) + part, np.uint8)
            yield i, {"image": image, "label": i % 2}


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
    configs = json.dumps(["train-test", "train-validation_dictionary", "train", "test"])
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

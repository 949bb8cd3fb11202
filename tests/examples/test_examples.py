import importlib.util
import pathlib

import keras
import numpy as np
import pytest
import tensorflow as tf
import tensorflow_datasets as tfds

import kerasnas
from tflite_export import read_metadata

EXAMPLES = pathlib.Path(__file__).parents[2] / "examples"


def example(name):
    spec = importlib.util.spec_from_file_location(name, EXAMPLES / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def tiny(tmp_path):
    """A data set as TFDS keeps it: 2 classes of images of varying size, 20 of each."""
    rng = np.random.default_rng(0)
    examples = [
        {
            "image": rng.integers(0, 100, (9 + i % 3, 8, 3), np.uint8)
            + np.uint8(150 * (i % 2)),
            "label": i % 2,
        }
        for i in range(40)
    ]
    tfds.dataset_builders.store_as_tfds_dataset(
        name="tiny",
        version="1.0.0",
        features=tfds.features.FeaturesDict(
            {
                "image": tfds.features.Image(shape=(None, 8, 3)),
                "label": tfds.features.ClassLabel(names=["dark", "light"]),
            }
        ),
        split_datasets={"train": list(enumerate(examples))},
        data_dir=tmp_path / "tfds",
    )
    return str(tmp_path / "tfds")


def test_tfds_search_ends_in_a_file_judged_on_unseen_images(tiny, tmp_path):
    report = example("tfds_search").main(
        [
            *("--dataset", "tiny", "--data-dir", tiny, "--image-size", "8"),
            *("--max-trials", "1", "--epochs", "1", "--flash", "12KB"),
            *("--output", str(tmp_path / "out")),
        ]
    )
    assert (report.verified_on, report.num_verified) == ("validation_data", 8)
    assert 0 <= report.accuracy_keras <= 1
    assert 0 <= report.accuracy_tflite <= 1
    assert (tmp_path / "out" / "model.tflite").stat().st_size == report.bytes <= 12 * 1024
    model = keras.models.load_model(tmp_path / "out" / "model.keras")
    assert model.input_shape == (None, 8, 8, 3)
    settings = kerasnas.open_search(tmp_path / "out").settings
    assert settings["class_names"] == ["dark", "light"]


def test_an_existing_pipeline_gets_the_oracle_then_the_space(tmp_path, capsys):
    accuracy = example("existing_keras_tuner").main(
        [
            *("--max-trials", "2", "--epochs", "1", "--flash", "8KB"),
            *("--directory", str(tmp_path)),
        ]
    )
    assert accuracy.keys() == {"own_models", "mobile_nets"}
    assert all(0 < value <= 1 for value in accuracy.values())
    own, mobile = (kerasnas.open_search(tmp_path, name).leaderboard() for name in accuracy)
    assert [len(own), len(mobile)] == [2, 2]
    assert "learning_rate" in own[0].values
    assert all(trial.costs["flash"] <= 8 * 1024 for trial in mobile)
    assert "2 trials in" in capsys.readouterr().out


def test_a_device_search_ends_in_a_package_that_fits(tmp_path):
    measured = example("device_search").main(
        [
            *("--max-trials", "1", "--epochs", "1", "--max-time", "2m"),
            *("--output", str(tmp_path)),
        ]
    )
    assert measured.device == "cortex-m4"
    assert measured.fits
    assert measured.costs["latency_ms"] <= 5
    for name in ("model.tflite", "model.h", "model.cc", "example.py", "MODEL_CARD.md"):
        assert (tmp_path / name).stat().st_size > 0
    assert read_metadata(tmp_path / "model.tflite")["labels"] == list("0123456789")


@pytest.mark.parametrize("given", [False, True])
def test_four_files_are_compared(given, tmp_path, capsys):
    arguments = ["--epochs", "1", "--output", str(tmp_path)]
    if given:
        model = keras.Sequential(
            [keras.Input((8, 8, 1)), keras.layers.Flatten(), keras.layers.Dense(10)]
        )
        model.save(tmp_path / "mine.keras")
        arguments.insert(0, str(tmp_path / "mine.keras"))
    reports = example("export_keras_model").main(arguments)
    table = capsys.readouterr().out
    for name in ("float32", "float16", "dynamic", "int8"):
        report = reports[name]
        assert (report.verified_on, report.num_verified) == ("validation_data", 360)
        assert (tmp_path / f"{name}.tflite").stat().st_size == report.bytes
        assert f"{report.bytes:,}" in table
    assert reports["float32"].agreement == 1
    assert reports["int8"].bytes < reports["float32"].bytes
    assert reports["int8"].operators.get("CONV_2D", 0) == (0 if given else 2)


def test_the_default_model_is_for_digits_only(capsys):
    with pytest.raises(SystemExit):
        example("export_keras_model").main(["--dataset", "mnist"])
    assert "pass a model" in capsys.readouterr().err


def test_an_own_space_is_searched(tmp_path, capsys):
    module = example("own_space")
    model = module.main(
        [
            *("--max-trials", "1", "--epochs", "1", "--params", "2k"),
            *("--directory", str(tmp_path)),
        ]
    )
    assert model(tf.zeros((1, 8, 8, 1))).shape == (1, 10)
    result = kerasnas.open_search(tmp_path, "own_space")
    assert result.settings["space"].startswith("Own:")
    assert result.winner["costs"]["params"] == model.count_params() <= 2_000
    decisions = module.Own((8, 8, 1), 10).hyperparameters()
    assert result.winner["values"].keys() <= {hp.name for hp in decisions.space}
    assert "128 candidates" in capsys.readouterr().out


def test_the_readme_lists_every_script():
    listed = [
        line.split("](")[1].split(")")[0]
        for line in (EXAMPLES / "README.md").read_text().splitlines()
        if line.startswith("| [")
    ]
    assert sorted(listed) == sorted(path.name for path in EXAMPLES.glob("*.py"))


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.py")), ids=lambda path: path.stem)
def test_every_script_says_how_it_is_run(path, capsys):
    module = example(path.stem)
    assert f"python examples/{path.name}" in module.__doc__
    with pytest.raises(SystemExit) as stopped:
        module.main(["--help"])
    assert stopped.value.code == 0
    assert module.__doc__.splitlines()[0] in " ".join(capsys.readouterr().out.split())

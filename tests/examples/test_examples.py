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

TASKS = {
    "audio": "logistic regression",
    "detection": "in the first image:",
    "language_model": "it writes: ",
    "medical_images": "says nothing of medicine",
    "multilabel": "logistic regression",
    "regression": "ridge regression",
    "segmentation": "logistic regression on 5x5 pixels",
    "several_inputs": "logistic regression",
    "table": "the first row as the file takes it: [",
    "text_classification": "logistic regression",
    "time_series": "logistic regression",
}
"""The examples of one task each, and something that each of them prints."""


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


@pytest.mark.slow
def test_methods_are_compared_in_one_table(tmp_path, capsys):
    accuracy = example("search_methods").main(
        [
            *("--strategies", "local", "asha", "--max-trials", "2", "--epochs", "1"),
            *("--flash", "12KB", "--directory", str(tmp_path)),
        ]
    )
    assert list(accuracy) == ["local", "asha"]
    rows = capsys.readouterr().out.splitlines()[-2:]
    assert [row.split(" | ")[:3] for row in rows] == [
        ["| local", "2", "2"],
        ["| asha", "2", "2"],
    ]


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


@pytest.fixture
def judged(tmp_path, capsys):
    """Run an example in as little time as it can, and hold what all of them promise."""

    def run(name, *arguments):
        scores = example(name).main(
            ["--max-time", "1s", "--output", str(tmp_path), *map(str, arguments)]
        )
        printed = capsys.readouterr().out
        assert list(scores) == ["model", "file", "baseline"]
        assert scores.file.keys() == scores.model.keys() == scores.baseline.keys()
        assert np.isfinite([list(each.values()) for each in scores.values()]).all()
        assert scores.file[scores.measure] == pytest.approx(
            scores.model[scores.measure], abs=0.2
        )
        assert str(scores) in printed
        assert f"the file: {tmp_path / 'search' / 'model.tflite'}" in printed
        assert len(kerasnas.open_search(tmp_path).file()) > 1000
        return scores, printed

    return run


def test_a_table_with_a_category_ends_in_a_file_of_its_columns(judged, tmp_path):
    scores, printed = judged("table")
    assert scores.examples == 54
    assert TASKS["table"] in printed
    learned = kerasnas.open_search(tmp_path).preprocessing.facts()["columns"]
    (colour,) = [one for one in learned if "categories" in one]
    assert set(colour["categories"]) == {None, "pale", "medium", "deep"}


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(TASKS.keys() - {"table"}))
def test_every_task_ends_in_a_file_judged_beside_a_plain_method(name, judged):
    _, printed = judged(name)
    assert TASKS[name] in printed


@pytest.mark.slow
def test_images_of_medicine_come_from_a_file_of_medmnist(judged, tmp_path):
    rng = np.random.default_rng(0)
    data = {}
    for part, count in (("train", 60), ("val", 40), ("test", 30)):
        labels = np.arange(count) % 2
        noise = rng.integers(0, 100, (count, 8, 8))
        data[f"{part}_images"] = (noise + 100 * labels[:, None, None]).astype("uint8")
        data[f"{part}_labels"] = labels[:, None].astype("uint8")
    np.savez(tmp_path / "mnist.npz", **data)
    scores, printed = judged("medical_images", "--dataset", tmp_path / "mnist.npz")
    assert scores.examples == 30
    assert TASKS["medical_images"] not in printed
    assert printed.count("AUC ") == printed.count("at a specificity of") == 2


def test_more_than_two_groups_are_no_question_of_health(tmp_path):
    parts = {
        f"{part}_{what}": np.zeros((9, 8, 8), "uint8") if what == "images" else labels
        for labels in [np.arange(9, dtype="uint8")[:, None] % 3]
        for part in ("train", "val", "test")
        for what in ("images", "labels")
    }
    np.savez(tmp_path / "three.npz", **parts)
    with pytest.raises(ValueError, match="2 class names"):
        example("medical_images").main(
            ["--dataset", str(tmp_path / "three.npz"), "--output", str(tmp_path / "out")]
        )


@pytest.mark.slow
def test_a_table_comes_from_a_file(judged, tmp_path):
    rows = [f"{20 + i},{'ab'[i % 2]},{'yes' if i % 3 else 'no'}" for i in range(60)]
    (tmp_path / "people.csv").write_text("\n".join(["age,city,outcome", *rows]) + "\n")
    scores, _ = judged("table", "--dataset", tmp_path / "people.csv", "--target", "city")
    assert scores.examples == 12


@pytest.mark.parametrize("name", TASKS)
def test_an_example_of_a_task_is_short(name):
    assert len((EXAMPLES / f"{name}.py").read_text().splitlines()) < 60


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

import dataclasses
import json
import re
import shutil
import subprocess
import sys

import keras
import numpy as np
import pytest

import tflite_export
from kerasnas.cli import main
from tflite_export import TFLiteModel, exporter, read_metadata
from tflite_export.remedies import AccuracyDropError


@pytest.fixture(scope="module")
def dataset(tmp_path_factory, shades):
    (x_train, y_train), (x_test, y_test) = shades(60), shades(21, seed=1)
    path = tmp_path_factory.mktemp("data") / "shades.npz"
    # Grey images without a channel axis, as such files often have them.
    arrays = {"x_train": x_train[..., 0], "x_test": x_test[..., 0]}
    np.savez(path, y_train=y_train, y_test=y_test, **arrays)
    return str(path)


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """Tells shades apart without a training: one output for each, largest at its grey."""
    inputs = keras.Input((8, 8, 1), name="image")
    x = keras.layers.Rescaling(1 / 80)(inputs)
    x = keras.layers.Conv2D(1, 1)(x)
    outputs = keras.layers.Dense(3)(keras.layers.GlobalAveragePooling2D()(x))
    model = keras.Model(inputs, outputs)
    greys = np.array([0.1, 1.1, 2.1])
    model.layers[2].set_weights([np.ones((1, 1, 1, 1)), np.zeros(1)])
    model.layers[4].set_weights([2 * greys[None], -(greys**2)])
    path = tmp_path_factory.mktemp("model") / "shades.keras"
    model.save(path)
    return str(path)


def test_a_model_is_exported_beside_itself_and_verified(model, dataset, capsys):
    assert main(["export", model, "--dataset", dataset]) == 0
    path = model.replace(".keras", ".tflite")
    printed = capsys.readouterr().out
    assert "test data (21)" in printed
    assert "accuracy     100.00% (Keras 100.00%)" in printed
    assert TFLiteModel(path).input.dtype == "int8"


@pytest.mark.parametrize(
    ("quantization", "dtype"), [("float32", "float32"), ("dynamic", "float32")]
)
def test_without_data_only_what_needs_none(model, tmp_path, quantization, dtype):
    path = tmp_path / "deep" / "file.tflite"
    command = ["export", model, "--quantization", quantization, "--output", str(path)]
    assert main([*command, "--quiet"]) == 0
    assert TFLiteModel(path).input.dtype == dtype


def test_a_package_is_a_folder_that_runs(model, dataset, tmp_path, capsys):
    folder = tmp_path / "shipped"
    command = ["export", model, "--dataset", dataset, "--package", "--output", str(folder)]
    assert main(command) == 0
    assert (
        f"example.py, model.cc, model.h, model.tflite to {folder}" in capsys.readouterr().out
    )
    assert read_metadata(folder / "model.tflite")["labels"] == ["0", "1", "2"]
    card = (folder / "MODEL_CARD.md").read_text()
    assert "21 examples" in card
    assert "| 2 | 0 | 0 | 7 |" in card  # the confusion matrix: all right
    done = subprocess.run(
        [sys.executable, "-I", str(folder / "example.py")],
        capture_output=True,
        text=True,
        check=True,
        cwd="/",
    )
    test = np.load(dataset)
    assert done.stdout.split("\t")[0] == str(test["y_test"][0])
    assert f"the first test example, of class {test['y_test'][0]}" in card


def test_a_file_that_is_too_inaccurate_is_written_and_an_error(
    model, dataset, tmp_path, monkeypatch, capsys
):
    allowed = []

    def export(*args, max_accuracy_drop, **settings):
        allowed.append(max_accuracy_drop)
        report = exporter.export(*args, max_accuracy_drop=None, **settings)
        raise AccuracyDropError(dataclasses.replace(report, max_accuracy_drop=0.02))

    monkeypatch.setattr(tflite_export, "export", export)
    command = ["export", model, "--dataset", dataset, "--output", str(tmp_path), "--package"]
    assert main([*command, "--max-accuracy-drop", "2"]) == 2
    assert allowed == [0.02]
    printed = capsys.readouterr()
    assert "less accurate than is allowed" in printed.err
    assert "MODEL_CARD.md" in printed.out
    assert (tmp_path / "MODEL_CARD.md").exists()


def test_what_a_search_left_is_exported_with_its_own_data(model, dataset, tmp_path):
    shutil.copy(model, tmp_path / "model.keras")
    (tmp_path / "summary.json").write_text(json.dumps({"dataset": dataset}))
    assert main(["export", str(tmp_path), "--quiet"]) == 0
    assert TFLiteModel(tmp_path / "exported" / "model.tflite").input.dtype == "int8"
    assert not (tmp_path / "model.tflite").exists()


def test_the_device_chooses_the_quantization_and_is_kept(model, dataset, tmp_path, capsys):
    command = ["export", model, "--dataset", dataset, "--output", str(tmp_path / "m.tflite")]
    assert main([*command, "--device", "cortex-m4"]) == 0
    assert "int8" in capsys.readouterr().out


def test_a_model_of_no_search_is_judged_by_the_measure_of_its_task(tmp_path, capsys):
    x = np.random.default_rng(0).normal(size=(40, 3)).astype(np.float32)
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(1)])
    model.layers[0].set_weights([np.ones((3, 1)), np.zeros(1)])
    model.save(tmp_path / "sum.keras")
    y = x.sum(axis=1)
    path = tmp_path / "sums.npz"
    np.savez(path, x_train=x, y_train=y, x_test=x[:20], y_test=y[:20])
    command = ["export", str(tmp_path / "sum.keras"), "--dataset", str(path)]
    assert main([*command, "--task", "regression"]) == 0
    assert re.search(r"r2 +(0\.99|99)", capsys.readouterr().out)
    (tmp_path / "sums.csv").write_text("a,b,c,sum\n" + "1,2,3,6.5\n2,3,4,9.5\n" * 9)
    command = ["export", str(tmp_path / "sum.keras"), "--dataset", str(tmp_path / "sums.csv")]
    assert main([*command, "--task", "regression"]) == 2
    assert "by what its search learned" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["MODEL", "--dataset", "DATA", "--task", "regresion"], "Did you mean 'regression'"),
        (["no/such.keras"], "no such file or folder"),
        (["MODEL", "--device", "cortex-m99", "--dataset", "DATA"], "cortex-m99"),
        (["MODEL", "--dataset", "no/such.npz"], "no such file or folder"),
        (["MODEL"], "A data set is needed"),
        (["MODEL", "--quantization", "float32", "--package"], "A data set is needed"),
        (["MODEL", "--dataset", "DATA", "--package", "--output", "a.tflite"], "is a folder"),
        (["EMPTY", "--dataset", "DATA"], "holds no model"),
        (["DATA", "--dataset", "DATA"], "Keras cannot load the model"),
    ],
)
def test_bad_input_is_one_sentence_and_status_2(
    arguments, message, model, dataset, tmp_path, capsys
):
    stand_for = {"MODEL": model, "DATA": dataset, "EMPTY": str(tmp_path)}
    assert main(["export", *(stand_for.get(word, word) for word in arguments)]) == 2
    printed = capsys.readouterr()
    assert message in printed.err
    assert printed.err.startswith("kerasnas: ")
    assert "Traceback" not in printed.err


def test_devices_are_listed_and_told(capsys):
    assert main(["devices"]) == 0
    listed = capsys.readouterr().out
    for name in ("cortex-m4", "cortex-m7", "host"):
        assert name in listed
    assert main(["devices", "cortex-m4"]) == 0
    told = capsys.readouterr().out
    assert "cortex-m4" in told
    assert "cortex-m7" not in told


def test_an_unknown_device_is_one_sentence_and_status_2(capsys):
    assert main(["devices", "cortex-m99"]) == 2
    assert capsys.readouterr().err.startswith("kerasnas: ")


def test_a_file_is_measured_for_a_device(model, tmp_path, capsys):
    path = str(tmp_path / "m.tflite")
    command = ["export", model, "--quantization", "float32", "--output", path, "--quiet"]
    assert main(command) == 0
    assert main(["measure", path, "--device", "cortex-m4"]) == 0
    printed = capsys.readouterr().out
    assert "FULLY_CONNECTED" in printed
    assert "cortex-m4" in printed


def test_what_cannot_be_measured_is_one_sentence_and_status_2(model, capsys):
    assert main(["measure", "no/such.tflite"]) == 2
    assert "no such file" in capsys.readouterr().err
    assert main(["measure", model]) == 2
    assert "not a .tflite file" in capsys.readouterr().err

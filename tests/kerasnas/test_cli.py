import json

import keras
import numpy as np
import pytest

from kerasnas.cli import main


@pytest.fixture(scope="module")
def dataset(tmp_path_factory, shades):
    (x_train, y_train), (x_test, y_test) = shades(60), shades(21, seed=1)
    path = tmp_path_factory.mktemp("data") / "shades.npz"
    # Grey images without a channel axis, as such files often have them.
    arrays = {"x_train": x_train[..., 0], "x_test": x_test[..., 0]}
    np.savez(path, y_train=y_train, y_test=y_test, **arrays)
    return str(path)


@pytest.fixture(scope="module")
def finished(tmp_path_factory, dataset):
    output = tmp_path_factory.mktemp("out")
    arguments = ["search", "--dataset", dataset, "--output", str(output), "--epochs", "2"]
    arguments += ["--max-trials", "1", "--limit", "flash=64KB", "--limit", "macs=1M"]
    assert main([*arguments, "--quiet"]) == 0
    return output, arguments


def test_it_leaves_model_file_and_summary(finished):
    output, _ = finished
    summary = json.loads((output / "summary.json").read_text())
    assert summary["tflite_bytes"] == (output / "model.tflite").stat().st_size <= 65_536
    assert summary["params"] == keras.models.load_model(output / "model.keras").count_params()
    assert 0 < summary["macs"] <= 1_000_000
    assert 0 <= summary["test_accuracy_float"] <= 1
    assert 0 <= summary["test_accuracy_int8"] <= 1
    assert summary["trials"] == 1
    assert summary["finished"] is True
    assert summary["seconds"] > 0
    assert summary["best"]["stem/filters"] == 16
    assert summary["classes"] == 3
    assert summary["seed"] == 0
    assert summary["versions"]["tensorflow"].startswith("2.")


def test_the_accuracy_in_the_summary_is_the_files(finished, dataset):
    output, _ = finished
    summary = json.loads((output / "summary.json").read_text())
    from tflite_export import TFLiteModel

    test = np.load(dataset)
    answers = TFLiteModel(output / "model.tflite").predict(test["x_test"][..., None]).argmax(1)
    assert summary["test_accuracy_int8"] == pytest.approx(np.mean(answers == test["y_test"]))


def test_the_same_command_again_answers_and_says_so(finished, capsys):
    _, arguments = finished
    assert main(arguments) == 0
    printed = capsys.readouterr().out
    assert "trial 1/1  val_accuracy" not in printed
    assert "int8" in printed
    assert "wrote model.keras, model.tflite and summary.json" in printed


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--dataset", "no/such.npz"], "no such file or folder"),
        (["--limit", "flash=64ms"], "64ms"),
        (["--limit", "flash"], "flash"),
        (["--space", "mobilnet"], "Did you mean 'mobilenet'"),
        (["--strategy", "bayes"], "Did you mean 'bayesian'"),
        (["--max-time", "soon"], "soon"),
        (["--device", "cortex-m7"], "not supported yet"),
        (["--limit", "params=10"], "No network of this space meets the limits"),
    ],
)
def test_bad_input_is_one_sentence_and_status_2(arguments, message, tmp_path, capsys):
    assert main(["search", "--output", str(tmp_path), *arguments]) == 2
    printed = capsys.readouterr()
    assert message in printed.err
    assert printed.err.startswith("kerasnas: ")
    assert "Traceback" not in printed.err
    assert printed.out == ""


def test_the_help_names_every_option(capsys):
    with pytest.raises(SystemExit):
        main(["search", "--help"])
    text = capsys.readouterr().out
    for option in ("--dataset", "--limit", "--max-time", "--seed", "--output", "--overwrite"):
        assert option in text

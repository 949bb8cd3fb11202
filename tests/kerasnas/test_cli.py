import json
import re
import subprocess
import sys
import wave

import keras
import numpy as np
import pytest

import kerasnas
import search_spaces
from kerasnas.cli import main
from kerasnas.cli_data import layout
from tflite_export import TFLiteModel, read_metadata


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
    assert "example.py, model.cc, model.h" in printed


def test_what_ships_is_beside_the_file(finished, dataset):
    output, _ = finished
    told = read_metadata(output / "model.tflite")
    assert told["labels"] == ["0", "1", "2"]
    assert (told["input"]["min"], told["input"]["max"]) == ([0.0], [255.0])
    summary = json.loads((output / "summary.json").read_text())
    card = (output / "MODEL_CARD.md").read_text()
    assert f"file of {summary['tflite_bytes']:,} bytes" in card
    assert f"| int8 file | {summary['test_accuracy_int8']:.2%} |" in card
    assert "| flash | " in card
    assert "| at most 64 KB |" in card
    assert "| `stem/filters` | 16 |" in card
    assert "| candidates trained | 1 |" in card
    done = subprocess.run(
        [sys.executable, "-I", str(output / "example.py")],
        cwd="/",
        capture_output=True,
        text=True,
        check=True,
    )
    test = np.load(dataset)
    answers = TFLiteModel(output / "model.tflite").predict(test["x_test"][:1, ..., None])
    assert done.stdout.split("\t")[0] == str(answers[0].argmax())


def test_options_reach_the_search(dataset, tmp_path, monkeypatch, capsys):
    given = {}

    def search(train_data, **settings):
        given.update(settings)
        raise RuntimeError("Enough.")

    monkeypatch.setattr(kerasnas, "search", search)
    arguments = ["search", "--dataset", dataset, "--output", str(tmp_path)]
    arguments += ["--objective", "val_accuracy", "--objective", "energy_mj"]
    arguments += ["--device", "cortex-m7", "--limit", "latency_ms=20ms", "--limit", "ram=9KB"]
    assert main(arguments) == 2
    assert capsys.readouterr().err == "kerasnas: Enough.\n"
    assert given["objective"] == ["val_accuracy", "energy_mj"]
    assert given["device"].name == "cortex-m7"
    assert given["limits"] == {"latency_ms": 20, "ram": 9 * 1024}
    assert main(arguments[:5]) == 2
    assert given["objective"] is given["device"] is None
    assert main([*arguments[:5], "--objective", "val_loss"]) == 2
    assert given["objective"] == "val_loss"


def test_what_files_say_of_themselves_reaches_the_search(tmp_path, monkeypatch, capsys):
    given = {}

    def search(train_data, **settings):
        given.update(settings)
        raise RuntimeError("Enough.")

    monkeypatch.setattr(kerasnas, "search", search)
    (tmp_path / "cat.txt").write_text("the cat sat on the mat. " * 10)
    arguments = ["search", "--dataset", str(tmp_path / "cat.txt"), "--output", str(tmp_path)]
    assert main(arguments) == 2
    assert given["task"] == "next_token"
    assert "split" not in given
    for name in "ab":
        (tmp_path / "tones" / name).mkdir(parents=True)
        for i in range(2):
            with wave.open(str(tmp_path / "tones" / name / f"{i}.wav"), "wb") as file:
                file.setparams((1, 2, 4000, 0, "NONE", ""))
                file.writeframes(bytes(200))
    arguments = ["search", "--dataset", str(tmp_path / "tones"), "--output", str(tmp_path)]
    assert main([*arguments, "--class-weight", "balanced", "--sequence-length", "50"]) == 2
    assert (given["layout"], given["sample_rate"]) == ("waveform", 4000)
    assert (given["sequence_length"], given["class_weight"]) == (50, "balanced")
    capsys.readouterr()
    assert main([*arguments, "--sample-rate", "8000"]) == 2
    assert "recordings of 4000 Hz" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("series", "series"),
        ("image=images,sound=audio", {"image": "images", "sound": "audio"}),
    ],
)
def test_layouts_are_one_or_one_an_input(text, expected):
    assert layout(text) == expected


def test_what_is_no_layout_is_said(capsys):
    with pytest.raises(SystemExit):
        main(["search", "--output", "out", "--layout", "image=,sound=audio"])
    assert "not layouts such as image=images" in capsys.readouterr().err


@pytest.mark.slow
def test_a_device_and_several_objectives(dataset, tmp_path):
    arguments = ["search", "--dataset", dataset, "--output", str(tmp_path), "--quiet"]
    arguments += ["--device", "cortex-m4", "--epochs", "1", "--max-trials", "2"]
    arguments += ["--objective", "val_accuracy", "--objective", "ram"]
    assert main([*arguments, "--limit", "latency_ms=20ms", "--limit", "ram=16KB"]) == 0
    summary = json.loads((tmp_path / "summary.json").read_text())
    assert summary["device"] == "cortex-m4"
    assert summary["limits"]["ram"] == 16 * 1024
    assert summary["limits"]["latency_ms"] == 20
    assert summary["limits"]["flash"] > 64 * 1024  # the device's own
    settings = kerasnas.open_search(tmp_path).settings
    assert settings["objectives"] == ["val_accuracy", "ram"]
    first = (tmp_path / "MODEL_CARD.md").read_text().split("| device |")[1].splitlines()[2]
    assert first.startswith("| cortex-m4 |")


def test_what_a_search_found_is_exported_otherwise(finished):
    output, _ = finished
    before = (output / "model.tflite").read_bytes()
    command = ["export", str(output), "--quantization", "float32", "--package", "--quiet"]
    assert main(command) == 0
    exported = output / "exported"
    assert TFLiteModel(exported / "model.tflite").input.dtype == "float32"
    assert "| `stem/filters` | 16 |" in (exported / "MODEL_CARD.md").read_text()
    assert (output / "model.tflite").read_bytes() == before


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--dataset", "no/such.npz"], "no such file or folder"),
        (["--target", "age"], "Only a table has columns"),
        (["--task", "clasification"], "Did you mean 'classification'"),
        (["--task", "segmentation"], "Segmentation takes a class number for each pixel"),
        (["--limit", "flash=64ms"], "64ms"),
        (["--limit", "flash"], "flash"),
        (["--space", "mobilnet"], "Did you mean 'mobilenet'"),
        (["--strategy", "bayes"], "Did you mean 'bayesian'"),
        (["--max-time", "soon"], "soon"),
        (["--device", "cortex-m99"], "No device is called 'cortex-m99'"),
        (["--objective", "val_loss", "--objective", "latency_ms"], "no device is given"),
        (["--limit", "energy_mj=1mJ"], "no device is given"),
        (["--device", "cortex-m4", "--limit", "ram=1B"], "No network of this space"),
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
    for option in (
        "--dataset",
        "--limit",
        "--max-time",
        "--seed",
        "--output",
        "--overwrite",
        "--device",
    ):
        assert option in text


def test_spaces_are_listed_and_told(capsys):
    assert main(["spaces"]) == 0
    listed = capsys.readouterr().out
    assert all(line.split()[0] in listed for line in search_spaces.SPACES)
    assert main(["spaces", "mobilenet", "--input-shape", "8x8x1"]) == 0
    told = capsys.readouterr().out
    assert "2,668,050 sets of decisions" in told.splitlines()[-2]
    assert "stem/stride" in told


@pytest.mark.parametrize("name", ["transformer", "recurrent"])
def test_spaces_of_tokens_are_told_for_a_vocabulary(name, capsys):
    params = []
    for options in ([], ["--vocabulary", "1000"], ["--vocabulary", "50"]):
        assert main(["spaces", name, "--input-shape", "64", *options]) == 0
        *_, size, network = capsys.readouterr().out.splitlines()
        params.append(int(re.search(r"([\d,]+) parameters", network)[1].replace(",", "")))
    assert "64 of 50 tokens" in size
    assert params[0] == params[1] > params[2]


def test_the_package_runs_as_the_command():
    done = subprocess.run(
        [sys.executable, "-m", "kerasnas", "--version"], capture_output=True, text=True
    )
    assert (done.returncode, done.stdout.strip()) == (0, kerasnas.__version__)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["mobilnet"], "Did you mean 'mobilenet'"),
        (["mobilenet", "--input-shape", "7x8x1"], "at least 8x8 pixels"),
        (["mobilenet", "--vocabulary", "50"], "Received: --vocabulary 50 with mobilenet"),
        (["recurrent", "--input-shape", "64", "--vocabulary", "1"], "at least 2. Received"),
    ],
)
def test_bad_spaces_get_a_sentence(arguments, message, capsys):
    assert main(["spaces", *arguments]) == 2
    assert message in capsys.readouterr().err

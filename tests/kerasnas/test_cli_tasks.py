"""The command line from a data set to a package, for each task; data are made here."""

import json
import wave

import keras
import numpy as np
import pytest

import kerasnas
from kerasnas.cli import main
from kerasnas.preprocessing import load as load_preprocessing
from search_spaces import FrontEnd
from tflite_export import TFLiteModel

QUICK = ["--epochs", "1", "--max-trials", "1", "--quiet", "--max-accuracy-drop", "99"]


def write_table(path, rows=60):
    rng = np.random.default_rng(0)
    ages, cities = rng.integers(20, 70, rows), rng.choice(["Rome", "Oslo"], rows)
    lines = ["row,age,city,income,kind"]
    for row, (age, city) in enumerate(zip(ages, cities, strict=True)):
        lines.append(f"{row},{age},{city},{age * 1000.5},{'old' if age > 45 else 'young'}")
    path.write_text("\n".join(lines))
    return str(path)


def write_recording(path, samples, rate=4000, channels=1, width=2):
    with wave.open(str(path), "wb") as file:
        file.setnchannels(channels)
        file.setsampwidth(width)
        file.setframerate(rate)
        file.writeframes(np.asarray(samples).astype(f"<i{width}").tobytes())


def write_recordings(folder, count=10, shortest=1500):
    rng = np.random.default_rng(0)
    for pitch, name in [(300, "low"), (900, "high")]:
        (folder / name).mkdir(parents=True)
        for i in range(count):
            times = np.arange(shortest + 10 * i) / 4000
            tone = np.sin(2 * np.pi * pitch * times) * rng.uniform(5e3, 2e4)
            write_recording(folder / name / f"{i}.wav", tone)
    return str(folder)


def write_texts(folder, count=10):
    for name, word in [("good", "fine"), ("bad", "poor")]:
        (folder / name).mkdir(parents=True)
        for i in range(count):
            (folder / name / f"{i}.txt").write_text(f"a {word} day number {i}")
    return str(folder)


def write_scenes(path, count=40, **labels):
    rng = np.random.default_rng(0)
    x = rng.integers(0, 256, (count, 16, 16, 1)).astype(np.uint8)
    parts = {"train": slice(0, -10), "test": slice(-10, None)}
    arrays = {f"x_{name}": x[part] for name, part in parts.items()}
    for kind, values in labels.items():
        arrays |= {f"{kind}_{name}": values[part] for name, part in parts.items()}
    np.savez(path, **arrays)
    return str(path)


def boxes(count=40):
    corners = np.random.default_rng(1).uniform(0, 0.5, (count, 2, 2))
    classes = np.tile([0, 1], (count, 1))
    classes[::4, 1] = -1  # padding
    return {"boxes": np.concatenate([corners, corners + 0.4], axis=-1), "labels": classes}


def searched(dataset, output, *options):
    assert (
        main(["search", "--dataset", dataset, "--output", str(output), *QUICK, *options]) == 0
    )
    return json.loads((output / "summary.json").read_text())


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    folder = tmp_path_factory.mktemp("table")
    dataset = write_table(folder / "people.csv")
    return dataset, folder / "out", searched(dataset, folder / "out", "--ignore", "row")


def test_a_table_ends_in_a_file_with_what_encodes_its_columns(table):
    _, output, summary = table
    assert summary["task"]["name"] == "classification"
    assert summary["classes"] == ["old", "young"]
    assert 0 <= summary["test_accuracy_float"] <= 1
    assert summary["test_accuracy_int8"] == pytest.approx(summary["test_scores"]["accuracy"])
    assert {"loss", "f1", "auc"} < summary["test_scores"].keys()
    preprocessing = load_preprocessing(output)
    row = {"age": [30], "city": ["Rome"], "income": [30015.0]}
    answer = TFLiteModel(output / "model.tflite").predict(preprocessing(row))
    assert answer.shape == (1, 2)
    columns = json.loads((output / "preprocessing.json").read_text())["columns"]
    assert [column["name"] for column in columns] == ["age", "city", "income"]


def test_a_table_is_exported_again_with_the_columns_of_its_search(table):
    _, output, _ = table
    command = ["export", str(output), "--quantization", "float32", "--package", "--quiet"]
    assert main(command) == 0
    exported = output / "exported"
    assert (exported / "preprocessing.keras").exists()
    assert (exported / "preprocessing.json").exists()
    assert "| `preprocessing.json` | how" in (exported / "MODEL_CARD.md").read_text()


def test_what_a_table_was_searched_for_may_not_change(table, capsys):
    dataset, output, _ = table
    command = ["search", "--dataset", dataset, "--output", str(output), *QUICK]
    assert main([*command, "--target", "income", "--task", "regression"]) == 2
    assert "another search" in capsys.readouterr().err


@pytest.mark.slow
def test_a_quantity_of_a_table_is_told_in_its_unit(tmp_path):
    dataset = write_table(tmp_path / "people.csv")
    out = tmp_path / "out"
    summary = searched(dataset, out, "--target", "income", "--ignore", "row")
    assert summary["task"]["name"] == "regression"
    assert {"test_r2_float", "test_r2_int8"} < summary.keys()
    assert summary["test_scores"].keys() == {"loss", "mae", "rmse", "r2"}


@pytest.mark.slow
def test_recordings_become_features_in_the_file_or_before_it(tmp_path):
    dataset = write_recordings(tmp_path / "tones")
    inside, outside = tmp_path / "inside", tmp_path / "outside"
    assert searched(dataset, inside)["classes"] == ["high", "low"]
    assert TFLiteModel(inside / "model.tflite").input.shape[1:] == (1590,)
    assert not (inside / "front_end.json").exists()
    summary = searched(dataset, outside, "--device", "cortex-m4")
    front_end = FrontEnd.of(json.loads((outside / "front_end.json").read_text()))
    assert (front_end.sample_rate, front_end.samples) == (4000, 1590)
    assert "| `front_end.json` | how" in (outside / "MODEL_CARD.md").read_text()
    model = keras.models.load_model(outside / "model.keras")
    tone = np.sin(np.arange(1590) / 3).astype(np.float32)[None]
    file = TFLiteModel(outside / "model.tflite")
    features = front_end.features(tone)
    expected = kerasnas.open_search(outside).exported(model)[1](features)
    np.testing.assert_allclose(file.predict(features), expected, atol=0.5)
    np.testing.assert_allclose(model(tone), expected, atol=1e-3)
    assert summary["device"] == "cortex-m4"
    assert main(["export", str(outside), "--quiet", "--quantization", "float32"]) == 0
    assert (outside / "exported" / "front_end.json").exists()


@pytest.mark.slow
def test_texts_of_classes_end_in_a_file_of_tokens(tmp_path):
    summary = searched(write_texts(tmp_path / "days"), tmp_path / "out", "--vocabulary", "20")
    assert summary["classes"] == ["bad", "good"]
    tokens = load_preprocessing(tmp_path / "out")(["a fine day"])
    answer = TFLiteModel(tmp_path / "out" / "model.tflite").predict(tokens)
    assert answer.shape == (1, 2)
    assert main(["export", str(tmp_path / "out"), "--package", "--quiet"]) == 0
    assert (tmp_path / "out" / "exported" / "preprocessing.json").exists()


@pytest.mark.slow
def test_a_long_text_ends_in_a_language_model(tmp_path):
    (tmp_path / "cat.txt").write_text("the cat sat on the mat. " * 100)
    options = ["--task", "next_token", "--split", "character", "--sequence-length", "16"]
    summary = searched(str(tmp_path / "cat.txt"), tmp_path / "out", *options)
    assert {"test_accuracy_float", "test_accuracy_int8"} < summary.keys()
    assert summary["test_scores"]["perplexity"] > 1
    assert summary["classes"] is None
    assert (tmp_path / "out" / "preprocessing.keras").exists()
    assert main(["export", str(tmp_path / "out"), "--quantization", "float32", "--quiet"]) == 0


@pytest.mark.slow
def test_masks_and_boxes_are_resized_with_their_images_or_kept(tmp_path):
    masks = np.random.default_rng(2).integers(0, 3, (40, 16, 16))
    dataset = write_scenes(tmp_path / "masks.npz", y=masks)
    summary = searched(dataset, tmp_path / "masks", "--image-size", "32")
    assert {"test_mean_iou_float", "test_mean_iou_int8"} < summary.keys()
    assert TFLiteModel(tmp_path / "masks" / "model.tflite").output.shape[1:] == (32, 32, 3)
    assert main(["export", str(tmp_path / "masks"), "--package", "--quiet"]) == 0
    dataset = write_scenes(tmp_path / "boxes.npz", **boxes())
    summary = searched(dataset, tmp_path / "boxes")
    assert {"test_map50_float", "test_map50_int8"} < summary.keys()
    assert summary["task"]["name"] == "detection"
    assert main(["export", str(tmp_path / "boxes"), "--package", "--quiet"]) == 0


@pytest.mark.slow
def test_several_inputs_end_in_a_file_of_several(tmp_path):
    rng = np.random.default_rng(0)
    y = np.arange(50) % 2
    image = (rng.integers(0, 100, (50, 8, 8, 1)) + 100 * y[:, None, None, None]).astype(
        np.uint8
    )
    facts = rng.normal(size=(50, 4)).astype(np.float32)
    arrays = {"y_train": y[:40], "y_test": y[40:]}
    for name, x in {"image": image, "facts": facts}.items():
        arrays |= {f"x_train_{name}": x[:40], f"x_test_{name}": x[40:]}
    np.savez(tmp_path / "both.npz", **arrays)
    options = ["--layout", "image=images,facts=table"]
    summary = searched(str(tmp_path / "both.npz"), tmp_path / "out", *options)
    assert 0 <= summary["test_accuracy_int8"] <= 1
    answers = TFLiteModel(tmp_path / "out" / "model.tflite").predict(
        {"image": image[:3], "facts": facts[:3]}
    )
    assert answers.shape == (3, 2)
    assert main(["export", str(tmp_path / "out"), "--package", "--quiet"]) == 0


@pytest.mark.slow
def test_several_labels_may_be_weighed_alike(tmp_path):
    y = np.arange(40)[:, None] >> np.arange(3) & 1
    dataset = write_scenes(tmp_path / "labels.npz", y=y)
    options = ["--class-weight", "balanced", "--search-augment"]
    summary = searched(dataset, tmp_path / "out", *options)
    assert {"test_f1_float", "test_f1_int8"} < summary.keys()
    assert summary["test_scores"]["average_precision"] > 0

import io
import subprocess
import sys
import zipfile

import numpy as np
import pytest

import tflite_export
from edge_devices.device import devices, find
from tflite_export.metadata import read_metadata
from tflite_export.packaging import package

LABELS = ["none", "one", "two"]
FILES = ("MODEL_CARD.md", "example.npy", "example.py", "model.cc", "model.h", "model.tflite")


@pytest.fixture(scope="module")
def report(content, model, x, labels):
    file = tflite_export.TFLiteModel(content)
    expected, actual = np.asarray(model(x)), file.predict(x)
    return tflite_export.Report(
        path="model.tflite",
        quantization="int8",
        bytes=len(content),
        verified_on="validation_data",
        num_verified=len(x),
        agreement=float(np.mean(expected.argmax(1) == actual.argmax(1))),
        accuracy_keras=float(np.mean(expected.argmax(1) == labels)),
        accuracy_tflite=float(np.mean(actual.argmax(1) == labels)),
        max_abs_error=0.1,
        mean_abs_error=0.01,
        input=file.input,
        output=file.output,
        operators=tflite_export.operators(content),
        tensor_dtypes=tflite_export.tensor_dtypes(content),
    )


@pytest.fixture(scope="module")
def shipped(content, report, x, tmp_path_factory):
    folder = tmp_path_factory.mktemp("package") / "new"
    return package(
        folder,
        content,
        report,
        labels=LABELS,
        input="An image.",
        value_range=(0, 1),
        sample=x[0],
        limits={"flash": 64 * 1024, "ram": 32 * 1024},
        search={"method": "GaussianProcess", "decisions": {"stem/filters": 8}},
    )


def test_it_says_what_it_wrote(shipped):
    assert shipped.files == FILES
    assert tuple(sorted(path.name for path in shipped.folder.iterdir())) == FILES
    assert shipped.bytes == (shipped.folder / "model.tflite").stat().st_size
    assert shipped.notes == ()


def test_the_file_has_metadata_and_computes_what_it_did(shipped, content, x):
    path = shipped.folder / "model.tflite"
    told = read_metadata(path)
    assert told["labels"] == LABELS
    assert told["input"]["max"] == [1.0]
    expected = tflite_export.run(content, x[:10])
    np.testing.assert_array_equal(tflite_export.run(path, x[:10]), expected)


def test_the_array_is_the_network_without_what_is_for_people(shipped, content):
    source = (shipped.folder / "model.cc").read_text()
    body = source.split("{", 1)[1].split("}", 1)[0]
    assert bytes(int(word, 16) for word in body.replace(",", " ").split()) == content
    assert f"kModelSize = {len(content)};" in (shipped.folder / "model.h").read_text()


def test_the_example_runs_on_its_sample(shipped, content, x):
    command = [sys.executable, "-I", str(shipped.folder / "example.py")]
    done = subprocess.run(command, cwd="/", capture_output=True, text=True, check=True)
    scores = tflite_export.run(content, x[:1])[0]
    assert done.stdout.splitlines()[0].split("\t")[0] == LABELS[scores.argmax()]


def test_the_card_has_a_row_for_every_device(shipped, report):
    card = (shipped.folder / "MODEL_CARD.md").read_text()
    for device in devices():
        assert f"| {device.name} |" in card
    assert f"{shipped.bytes:,} bytes" in card
    assert f"| int8 file | {report.accuracy_tflite:.2%} |" in card
    assert "| flash | " in card
    assert "| at most 64 KB |" in card
    assert "| `stem/filters` | 8 |" in card


def test_one_device_can_be_asked_for(content, report, tmp_path):
    package(tmp_path, content, report, devices=[find("cortex-m4")])
    card = (tmp_path / "MODEL_CARD.md").read_text()
    assert "| cortex-m4 |" in card
    assert "| cortex-m7 |" not in card
    assert not (tmp_path / "example.npy").exists()


def test_metadata_do_not_carry_the_file_over_its_limit(content, report, tmp_path):
    shipped = package(
        tmp_path, content, report, labels=LABELS, limits={"flash": len(content) + 300}
    )
    assert (tmp_path / "model.tflite").read_bytes() == content
    assert shipped.bytes == len(content)
    assert "metadata are left out" in shipped.notes[0]
    assert shipped.notes[0] in (tmp_path / "MODEL_CARD.md").read_text()
    assert '"two",' in (tmp_path / "example.py").read_text()


def test_what_a_microcontroller_cannot_run_has_no_array(model, report, tmp_path):
    half = tflite_export.convert(model, "float16")
    shipped = package(tmp_path, half, {**report.to_dict(), "quantization": "float16"})
    assert not (tmp_path / "model.cc").exists()
    assert "no C array" in shipped.notes[0]
    assert "no C array" in (tmp_path / "MODEL_CARD.md").read_text()


def test_other_files_of_the_folder_stay(content, report, tmp_path):
    (tmp_path / "summary.json").write_text("{}")
    (tmp_path / "model.h").write_text("old")
    package(tmp_path, content, report)
    assert (tmp_path / "summary.json").read_text() == "{}"
    assert "g_model" in (tmp_path / "model.h").read_text()
    assert not list(tmp_path.glob(".*"))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"labels": ["only one"]}, "one label for each"),
        ({"sample": np.zeros((8, 8))}, r"one input of shape \(8, 8, 1\)"),
    ],
)
def test_nothing_is_written_where_something_does_not_fit(
    content, report, tmp_path, arguments, message
):
    with pytest.raises(ValueError, match=message):
        package(tmp_path / "new", content, report, **arguments)
    assert not (tmp_path / "new").exists()


def test_the_labels_can_be_taken_out_with_any_zip_program(shipped):
    content = (shipped.folder / "model.tflite").read_bytes()
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        assert archive.namelist() == ["labels.txt"]

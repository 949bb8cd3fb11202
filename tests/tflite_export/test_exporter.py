import json
import os

import keras
import numpy as np
import pytest
import tensorflow as tf
from ai_edge_litert.interpreter import Interpreter

import tflite_export
from tflite_export import exporter

QUANTIZATIONS = ["float32", "float16", "dynamic", "int8", "int16x8"]
INTEGER = {"int8": np.int8, "int16x8": np.int16}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("exported")


@pytest.fixture(scope="module")
def reports(model, x, labels, folder):
    return {
        quantization: tflite_export.export(
            model,
            folder / "new" / f"{quantization}.tflite",
            quantization,
            calibration=x if quantization in INTEGER else None,
            validation_data=(x, labels),
            max_accuracy_drop=None,
        )
        for quantization in QUANTIZATIONS
    }


def by_hand(path, x):
    """Outputs of a file with one quantized or float input, independent of the library."""
    interpreter = Interpreter(str(path))
    interpreter.allocate_tensors()
    (source,), (target,) = interpreter.get_input_details(), interpreter.get_output_details()
    outputs = []
    for example in x:
        value = example[np.newaxis]
        if source["dtype"] in INTEGER.values():
            scale, zero = source["quantization"]
            limits = np.iinfo(source["dtype"])
            value = np.clip(np.rint(value / scale + zero), limits.min, limits.max)
            value = value.astype(source["dtype"])
        interpreter.set_tensor(source["index"], value)
        interpreter.invoke()
        value = interpreter.get_tensor(target["index"])[0]
        if target["dtype"] in INTEGER.values():
            scale, zero = target["quantization"]
            value = scale * (value.astype(float) - zero)
        outputs.append(value)
    return np.array(outputs)


def test_a_file_that_exists_is_verified_without_being_made_again(reports, model, x, labels):
    made = reports["int8"]
    before = os.path.getmtime(made.path)
    report = tflite_export.verify(model, made.path, (x, labels))
    assert report.verified_on == "test data"
    assert os.path.getmtime(made.path) == before
    same = ("accuracy_keras", "accuracy_tflite", "agreement", "bytes", "operators", "input")
    assert [getattr(report, name) for name in same] == [getattr(made, name) for name in same]


@pytest.mark.parametrize("drop", ["1%", 5, -0.1])
def test_an_accuracy_drop_is_a_share(model, x, tmp_path, drop):
    with pytest.raises(ValueError, match="share of all answers"):
        tflite_export.export(
            model, tmp_path / "m.tflite", calibration=x, max_accuracy_drop=drop
        )


@pytest.mark.parametrize("quantization", QUANTIZATIONS)
def test_the_report_says_what_a_bare_interpreter_finds(
    reports, quantization, model, x, labels
):
    report = reports[quantization]
    expected, actual = np.asarray(model(x)), by_hand(report.path, x)
    assert report.agreement == np.mean(expected.argmax(1) == actual.argmax(1))
    assert report.accuracy_keras == np.mean(expected.argmax(1) == labels)
    assert report.accuracy_tflite == np.mean(actual.argmax(1) == labels)
    assert report.max_abs_error == pytest.approx(np.abs(expected - actual).max(), abs=1e-6)
    assert report.mean_abs_error == pytest.approx(np.abs(expected - actual).mean(), abs=1e-6)
    assert (report.num_verified, report.verified_on) == (200, "validation_data")
    assert report.bytes == os.path.getsize(report.path)


@pytest.mark.parametrize(
    ("quantization", "tolerance"),
    [
        ("float32", 1e-5),
        ("float16", 0.02),
        ("dynamic", 0.15),
        ("int8", 0.15),
        ("int16x8", 0.15),
    ],
)
def test_a_file_computes_what_the_model_does(reports, quantization, tolerance):
    report = reports[quantization]
    assert report.mean_abs_error < tolerance  # outputs have a standard deviation of 1
    assert report.agreement > (0.9 if tolerance > 0.1 else 0.97)
    assert report.accuracy_keras == 0.9
    assert report.accuracy_drop == report.accuracy_keras - report.accuracy_tflite
    assert report.mixed == {}


def test_int8_files_hold_no_float_at_all(reports):
    report = reports["int8"]
    interpreter = Interpreter(report.path)
    dtypes = {np.dtype(tensor["dtype"]).name for tensor in interpreter.get_tensor_details()}
    assert dtypes == {"int8", "int32"} == set(report.tensor_dtypes)
    assert (report.input.dtype, report.output.dtype) == ("int8", "int8")
    assert report.input.shape == (1, 8, 8, 1)
    assert report.input.scale == pytest.approx(1 / 255, rel=0.01)
    assert report.input.zero_point == -128


def test_int16x8_files_hold_no_float_either(reports):
    report = reports["int16x8"]
    assert set(report.tensor_dtypes) == {"int8", "int16", "int32", "int64"}
    assert (report.input.dtype, report.output.dtype) == ("int16", "int16")


@pytest.mark.parametrize(
    ("quantization", "weights"),
    [("float32", None), ("float16", "float16"), ("dynamic", "int8")],
)
def test_the_other_files_take_and_give_floats(reports, quantization, weights):
    report = reports[quantization]
    assert set(report.tensor_dtypes) == {"float32", "int32", weights} - {None}
    assert report.input.dtype == report.output.dtype == "float32"
    assert report.input.scale is report.output.zero_point is None


def test_a_report_goes_to_json_and_to_the_screen(reports):
    report = reports["int8"]
    told = json.loads(json.dumps(report.to_dict()))
    assert told["accuracy_drop"] == report.accuracy_drop
    assert told["operators"] == report.operators
    assert told["input"]["shape"] == [1, 8, 8, 1]
    text = str(report)
    assert f"{report.bytes:,} bytes" in text
    assert f"accuracy     {report.accuracy_tflite:.2%} (Keras 90.00%)" in text
    assert "verified on  validation_data (200)" in text
    low, high = report.interval_tflite
    assert low < report.accuracy_tflite < high
    assert f"95 % within  {low:.2%} to {high:.2%} (Keras " in text
    assert "mixed" not in text


def test_without_validation_data_the_calibration_sample_verifies(model, x, labels, tmp_path):
    dataset = tf.data.Dataset.from_tensor_slices({"image": x, "label": labels}).batch(32)
    report = tflite_export.export(
        model, tmp_path / "m.tflite", "int8", dataset, num_calibration=50, seed=3
    )
    assert (report.num_verified, report.verified_on) == (50, "calibration")
    assert 0.7 < report.accuracy_keras < 1


def test_layers_in_another_precision_are_named(model, x, tmp_path):
    kind = keras.layers.Conv2D
    stem = next(layer.name for layer in model.layers if isinstance(layer, kind))
    mixed = {"logits": "float32", stem: "int16x8"}
    report = tflite_export.export(model, tmp_path / "m.tflite", "int8", x, mixed=mixed)
    assert report.mixed == mixed
    assert f"mixed        {stem} int16x8, logits float32" in str(report)


def test_without_any_data_random_inputs_verify_and_the_report_says_so(model, tmp_path):
    report = tflite_export.export(model, tmp_path / "m.tflite", "float32")
    assert report.verified_on == "random inputs"
    assert report.accuracy_keras is None
    assert report.agreement == 1
    assert "accuracy" not in str(report)


def test_the_same_seed_gives_the_same_file_and_another_seed_another(model, x, tmp_path):
    def exported(seed):
        path = tmp_path / "m.tflite"
        tflite_export.export(model, path, "int8", x, num_calibration=4, seed=seed)
        return path.read_bytes()

    assert exported(0) == exported(0) != exported(1)


def test_an_export_prints_and_warns_nothing(model, x, tmp_path, capfd):
    tflite_export.export(model, tmp_path / "m.tflite", "int8", x, num_calibration=4)
    assert capfd.readouterr() == ("", "")


def test_a_failed_write_leaves_the_old_file_and_no_other(model, tmp_path, monkeypatch):
    path = tmp_path / "m.tflite"
    path.write_bytes(b"old")
    monkeypatch.setattr(exporter.os, "replace", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        tflite_export.export(model, path, "float32")
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["m.tflite"]


def test_an_existing_file_is_replaced(model, tmp_path):
    path = tmp_path / "m.tflite"
    path.write_bytes(b"old")
    report = tflite_export.export(model, path, "float32")
    assert len(path.read_bytes()) == report.bytes > 1000


class TestRefusesBeforeAnyWork:
    @pytest.fixture(autouse=True)
    def no_conversion(self, monkeypatch):
        monkeypatch.setattr(exporter, "convert", lambda *_: pytest.fail("converted"))

    def test_a_folder_as_path(self, model, tmp_path):
        with pytest.raises(IsADirectoryError, match=r"Received: the folder.*model\.tflite"):
            tflite_export.export(model, tmp_path, "float32")

    def test_an_unknown_quantization_naming_the_nearest(self, model, tmp_path):
        with pytest.raises(ValueError, match=r"Received: .*'int9'.*Did you mean 'int8'"):
            tflite_export.export(model, tmp_path / "m.tflite", "int9")

    def test_int8_without_calibration(self, model, tmp_path):
        message = r"Received: calibration=None.*\('n', 8, 8, 1\).*quantization=\"dynamic\""
        with pytest.raises(ValueError, match=message):
            tflite_export.export(model, tmp_path / "m.tflite", "int8")

    @pytest.mark.parametrize("name", ["calibration", "validation_data"])
    @pytest.mark.parametrize(
        ("data", "message"),
        [
            (np.zeros((5, 8, 8)), r"Received: shape \('n', 8, 8\).*x\[\.\.\., None\]"),
            (np.zeros((5, 9, 9, 1)), r"takes inputs of shape \('n', 8, 8, 1\)"),
            (np.full((5, 8, 8, 1), np.nan), r"finite.*5 of 5 inputs"),
            (np.zeros((0, 8, 8, 1)), r"empty.*Received: 0 inputs"),
            ((np.zeros((5, 8, 8, 1)), np.zeros(4)), r"5 inputs and 4 labels"),
        ],
    )
    def test_unusable_data_by_its_name(self, model, tmp_path, name, data, message):
        with pytest.raises(ValueError, match=rf"(?s){name}.*{message}"):
            tflite_export.export(model, tmp_path / "m.tflite", "float32", **{name: data})

    def test_calibration_that_does_not_vary(self, model, x, tmp_path):
        message = r"must vary.*Received: 20 inputs of nothing but 0.5"
        with pytest.raises(ValueError, match=message):
            tflite_export.export(
                model, tmp_path / "m.tflite", "int8", np.full_like(x[:20], 0.5)
            )

    def test_calibration_of_another_range_than_the_validation_data(self, model, x, tmp_path):
        message = r"of one kind. Received: values from .*0\.9.*deviation of 0\.29, .*of 73"
        with pytest.raises(ValueError, match=message):
            tflite_export.export(
                model, tmp_path / "m.tflite", "int8", x, validation_data=255 * x
            )

    def test_calibration_that_was_rescaled_before_the_model_does(self, x, tmp_path):
        model = keras.Sequential(
            [keras.Input((8, 8, 1)), keras.layers.Rescaling(1 / 255), keras.layers.Flatten()]
        )
        message = r"rescaled already.*Received: values from .*by 0\.00392.*from 0 to 255"
        with pytest.raises(ValueError, match=message):
            tflite_export.export(model, tmp_path / "m.tflite", "int8", x)


def test_of_large_outputs_no_more_are_verified_than_fit_into_memory(
    model, x, labels, tmp_path, monkeypatch
):
    monkeypatch.setattr(exporter, "_MOST_NUMBERS", 3 * 50 + 2)
    report = tflite_export.export(
        model, tmp_path / "m.tflite", "int8", x, validation_data=(x, labels)
    )
    assert report.num_verified == 50
    expected = np.mean(np.asarray(model(x[:50])).argmax(1) == labels[:50])
    assert report.accuracy_keras == pytest.approx(expected)

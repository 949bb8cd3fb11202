import dataclasses
import json

from tflite_export.card import model_card
from tflite_export.report import Remedy

TENSOR = {"name": "image", "dtype": "int8", "shape": [1, 8, 8, 1], "scale": 0.5}
REPORT = {
    "path": "model.tflite",
    "quantization": "int8",
    "bytes": 30_480,
    "verified_on": "validation_data",
    "num_verified": 360,
    "agreement": 0.9975,
    "accuracy_keras": 0.975,
    "accuracy_tflite": 0.9722,
    "interval_keras": [0.9532, 0.9868],
    "interval_tflite": [0.9496, 0.9848],
    "max_abs_error": 0.251,
    "mean_abs_error": 0.0123,
    "input": {**TENSOR, "zero_point": -128},
    "output": {**TENSOR, "name": "output", "shape": [1, 3], "zero_point": 4},
    "operators": {"CONV_2D": 3, "MEAN": 1},
    "tensor_dtypes": {"int8": 12, "int32": 4},
}


def tables(text):
    """Rows of all tables, as lists of cells."""
    rows = [line for line in text.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in row.strip("|").split(" | ")] for row in rows]


def test_accuracies_are_given_with_their_interval():
    card = model_card(REPORT)
    assert "file of 30,480 bytes, `int8`, which gets 97.22% right of 360" in card
    rows = tables(card)
    assert ["Keras model", "97.50%", "95.32% to 98.68%"] in rows
    assert ["int8 file", "97.22%", "94.96% to 98.48%"] in rows
    assert "the decision is the same for 99.75%" in card


def test_only_the_author_knows_what_it_is_for():
    section = model_card(REPORT).split("## Intended use")[1].split("##")[0]
    assert "written by the author" in section


def test_what_is_not_known_has_no_section():
    report = {**REPORT, "accuracy_keras": None, "accuracy_tflite": None, "agreement": None}
    card = model_card({**report, "verified_on": "random inputs"})
    titles = [line for line in card.splitlines() if line.startswith("#")]
    assert titles == ["# model", "## Intended use", "## Accuracy", "## The file"]
    assert "Measured on 360 random inputs, which say little" in card
    assert "None" not in card
    assert "nan" not in card


def test_the_quantization_is_a_formula():
    rows = tables(model_card(REPORT))
    assert ["input", "image: int8 (1, 8, 8, 1), the real number is (q - -128) * 0.5"] in rows
    floats = {"name": "x", "dtype": "float32", "shape": [1, 4], "scale": None}
    card = model_card({**REPORT, "input": {**floats, "zero_point": None}})
    assert ["input", "x: float32 (1, 4)"] in tables(card)


def test_costs_stand_beside_what_was_asked_for():
    costs = {"flash": 30_480, "ram": 9_000, "macs": 610_000}
    rows = tables(model_card(REPORT, costs=costs, limits={"flash": 32_768, "energy_mj": 2}))
    assert ["flash", "29.8 KB", "at most 32 KB"] in rows
    assert ["macs", "610k", ""] in rows
    assert ["energy_mj", "not known", "at most 2 mJ"] in rows


def test_devices_are_a_table_of_what_is_told_of_them():
    row = {"device": "cortex-m4", "flash": "29.8 KB of 1 MB, fits", "latency_ms": "5 ms"}
    other = {"device": "pixel", "flash": "29.8 KB"}
    rows = tables(model_card(REPORT, devices=[row, other]))
    assert list(row) in rows
    assert list(row.values()) in rows
    assert ["pixel", "29.8 KB", ""] in rows


def test_how_it_was_found_is_told_with_its_decisions():
    search = {"method": "GaussianProcess", "candidates trained": 7, "device": ""}
    card = model_card(REPORT, search={**search, "decisions": {"stem/filters": 16}})
    rows = tables(card)
    assert ["method", "GaussianProcess"] in rows
    assert ["candidates trained", "7"] in rows
    assert ["`stem/filters`", "16"] in rows
    assert not [row for row in rows if row[0] == "device"]


def test_a_few_classes_have_a_whole_confusion_matrix():
    card = model_card(REPORT, labels=["a", "b|c"], confusion=[[9, 1], [0, 8]])
    assert "| a | 9 | 1 |" in card
    assert "| b\\|c | 0 | 8 |" in card  # a bar in a name does not make another column


def test_of_many_classes_the_worst_confusions_are_told():
    confusion = [[10 if i == j else 0 for j in range(20)] for i in range(20)]
    confusion[3][7], confusion[1][2] = 5, 9
    card = model_card(REPORT, labels=[f"c{i}" for i in range(20)], confusion=confusion)
    rows = tables(card)
    assert rows.index(["c1", "c2", "9"]) < rows.index(["c3", "c7", "5"])
    assert ["c1", "c1", "10"] not in rows
    assert "20 classes" in card


def test_many_labels_are_cut_short():
    card = model_card(REPORT, labels=[f"c{i}" for i in range(60)])
    assert "c49, and 10 more" in card
    assert "c50" not in card


def test_notes_and_versions_are_listed():
    card = model_card(REPORT, notes=["No C array."], versions={"keras": "3.15.1"})
    assert "- No C array." in card
    assert "keras 3.15.1" in card


def test_remedies_are_told_and_what_they_were_chosen_on():
    remedy = Remedy("wider layers", "conv at int16x8", 31_000, 0.9, 0.97, 2.0, True)
    report = {**REPORT, "max_accuracy_drop": 0.01, "mixed": {"conv": "int16x8"}}
    card = model_card({**report, "remedies": (remedy,)})
    assert "than was allowed (1 percent points). It was chosen on the examples above" in card
    assert f"- {remedy}" in card
    assert ["in another precision", "`conv` int16x8"] in tables(card)
    assert model_card({**report, "remedies": [dataclasses.asdict(remedy)]}) == card


def test_it_takes_what_json_gave_back():
    assert model_card(json.loads(json.dumps(REPORT))) == model_card(REPORT)


def test_remedies_chosen_on_other_examples_flatter_nothing():
    remedy = Remedy("calibration", "more inputs", 31_000, 0.9, 0.97, 2.0, True)
    judged = {**REPORT, "verified_on": "test data", "remedies": (remedy,)}
    card = model_card({**judged, "max_accuracy_drop": None})
    assert f"- {remedy}" in card
    assert "flattered" not in card


def test_a_file_is_judged_by_the_metric_that_it_was_given():
    judged = {"metric_name": "mean IoU", "metric_keras": 0.871, "metric_tflite": 0.8652}
    remedy = Remedy("calibration", "more inputs", 31_000, 0.8, 0.8652, 2.0, True)
    told = {**REPORT, **judged, "max_accuracy_drop": 0.01, "remedies": (remedy,)}
    card = model_card(told, task="segmentation")
    assert "`int8`, whose mean IoU is 86.52% on 360 examples" in card
    rows = tables(card)
    assert ["", "mean IoU"] in rows
    assert ["Keras model", "87.10%"] in rows
    assert ["int8 file", "86.52%"] in rows
    assert ["int8 file", "97.22%", "94.96% to 98.48%"] in rows
    assert "Quantizing cost more of the mean IoU than was allowed" in card
    assert any("at each pixel" in cell for row in rows for cell in row)


def test_labels_are_what_the_task_calls_them():
    assert "2 quantities" in model_card(REPORT, labels=["a", "b"], task="regression")
    assert "2 labels" in model_card(REPORT, labels=["a", "b"], task="multilabel")


def test_several_inputs_are_listed_by_name():
    inputs = {name: {**TENSOR, "zero_point": 0} for name in ("a", "b")}
    rows = tables(model_card({**REPORT, "input": inputs}))
    assert [row[0] for row in rows if row[0].startswith("input")] == ["input `a`", "input `b`"]

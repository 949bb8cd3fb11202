import json
import subprocess
import sys

import keras
import numpy as np
import pytest

import tflite_export
from edge_devices.tflm import compare_interpreters
from tflite_export.answers import TASKS, answer_of, outputs_labelled
from tflite_export.metadata import read_metadata
from tflite_export.packaging import package

LABELS = {
    "classification": ["no", "perhaps", "yes"],
    "multilabel": ["cold", "wet", "windy"],
    "regression": ["width", "height"],
    "segmentation": ["ground", "shoe", "shirt"],
    "detection": ["shoe", "shirt"],
    "next_token": list("abcdefg"),
}


def dense(units):
    inputs = keras.Input((4,), name="row")
    return keras.Model(inputs, keras.layers.Dense(units)(inputs))


def segmentation():
    """A U-Net in miniature: bilinear resizing, and a skip that is concatenated."""
    layers = keras.layers
    inputs = keras.Input((16, 16, 1), name="image")
    fine = layers.Conv2D(6, 3, padding="same", activation="relu")(inputs)
    coarse = layers.Conv2D(8, 3, strides=2, padding="same", activation="relu")(fine)
    up = layers.UpSampling2D(interpolation="bilinear")(coarse)
    x = layers.Conv2D(6, 3, padding="same")(layers.Concatenate()([up, fine]))
    x = layers.ReLU()(layers.BatchNormalization()(x))
    return keras.Model(inputs, layers.Conv2D(3, 1)(x))


def detection():
    """A detector in miniature: one map of logits, sizes and offsets."""
    layers = keras.layers
    inputs = keras.Input((16, 16, 1), name="image")
    x = layers.Conv2D(8, 3, strides=4, padding="same", activation="relu")(inputs)
    return keras.Model(inputs, layers.Conv2D(2 + 4, 1)(x))


def next_token():
    """Causal attention and a GRU over tokens, a row of scores for each place."""
    layers = keras.layers
    inputs = keras.Input((8,), dtype="int32", name="tokens")
    x = layers.Embedding(7, 8)(inputs)
    y = layers.MultiHeadAttention(2, 4)(x, x, use_causal_mask=True)
    x = layers.LayerNormalization()(layers.Add()([x, y]))
    x = layers.GRU(8, return_sequences=True)(x)
    return keras.Model(inputs, layers.Dense(7)(x))


MODELS = {
    "classification": lambda: dense(3),
    "multilabel": lambda: dense(3),
    "regression": lambda: dense(2),
    "segmentation": segmentation,
    "detection": detection,
    "next_token": next_token,
}


def inputs_of(model, count=60):
    rng = np.random.default_rng(0)
    (source,) = model.inputs
    if source.dtype == "int32":
        return rng.integers(0, 7, (count, *source.shape[1:]), dtype=np.int32)
    return rng.normal(size=(count, *source.shape[1:])).astype(np.float32)


def made(task):
    keras.utils.set_random_seed(1)
    model = MODELS[task]()
    x = inputs_of(model)
    return model, x, tflite_export.convert(model, "int8", x)


def pixels_right(labels, outputs):
    return float((outputs.argmax(-1) == labels).mean())


@pytest.fixture(scope="module", params=TASKS)
def shipped(request, tmp_path_factory):
    """A file of each task, exported, judged by a metric, and packaged."""
    task = request.param
    keras.utils.set_random_seed(1)
    model = MODELS[task]()
    x = inputs_of(model)
    truth = np.asarray(model(x))
    labels = truth.argmax(-1)
    folder = tmp_path_factory.mktemp(task)
    report = tflite_export.export(
        model,
        folder / "plain.tflite",
        "int8",
        x,
        validation_data=(x, labels),
        max_accuracy_drop=None,
        metric=pixels_right,
        metric_name="share of places",
    )
    content = (folder / "plain.tflite").read_bytes()
    package(folder, content, report, labels=LABELS[task], task=task, sample=x[0], devices=[])
    return task, model, x, content, report, folder


def test_the_file_is_integer_throughout_and_does_what_the_model_does(shipped):
    _, model, x, content, report, _ = shipped
    assert "float32" not in report.tensor_dtypes
    expected, actual = np.asarray(model(x)), tflite_export.run(content, x)
    assert np.abs(actual - expected).mean() < 0.05 * expected.std()
    assert report.metric_keras == 1
    assert report.metric_tflite == pytest.approx(pixels_right(expected.argmax(-1), actual))
    assert report.metric_tflite > 0.9


def test_microcontrollers_run_it_with_the_operators_of_the_header(shipped):
    pytest.importorskip("tflite_micro", reason="needs the extra micro")
    task, _, x, content, report, folder = shipped
    agreement = compare_interpreters(content, x[:5])
    assert agreement.largest_difference <= 6
    header = (folder / "model.h").read_text()
    assert header.count("resolver.Add") == len(report.operators)
    assert ("resolver.AddResizeBilinear()" in header) is (task == "segmentation")
    said = " ".join(line.removeprefix("// ") for line in header.splitlines())
    assert answer_of(task).sentence in said


def test_metadata_and_card_say_what_comes_out(shipped):
    task, _, _, _, _, folder = shipped
    told = read_metadata(folder / "model.tflite")
    assert told["output"]["description"] == answer_of(task).sentence
    assert told["labels"] == LABELS[task]
    card = (folder / "MODEL_CARD.md").read_text()
    assert f"| what comes out | {answer_of(task).sentence} |" in card
    assert "whose share of places is" in card
    assert ("largest is the answer" in card) is (task == "classification")


def printed(folder):
    command = [sys.executable, "-I", "-W", "error", str(folder / "example.py")]
    done = subprocess.run(command, cwd="/", capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return [line.split("\t") for line in done.stdout.splitlines()]


def test_the_example_prints_what_the_output_says(shipped):
    task, _, x, content, _, folder = shipped
    (y,), lines = tflite_export.run(content, x[:1]), printed(folder)
    names = np.array(LABELS[task])
    if task == "classification":
        assert [line[0] for line in lines] == list(names[np.argsort(-y)])
    elif task == "multilabel":
        assert {line[0] for line in lines} == ({*names[y > 0]} or {"no label"})
    elif task == "regression":
        assert [line[0] for line in lines] == list(names)
        assert [float(line[1]) for line in lines] == pytest.approx(y.tolist(), rel=1e-4)
    elif task == "segmentation":
        found = names[np.unique(y.argmax(-1))]
        assert [line[0] for line in lines] == list(found)
        shares = [float(line[1].rstrip("%")) for line in lines]
        assert sum(shares) == pytest.approx(100, abs=0.05)
    elif task == "detection":
        assert lines
        assert {line[0] for line in lines} <= {*names, "no object"}
    else:
        assert lines[0][0] == names[y[-1].argmax()]
        shares = np.exp(y[-1]) / np.exp(y[-1]).sum()
        assert float(lines[0][1]) == pytest.approx(shares.max(), rel=1e-3)


@pytest.mark.parametrize("pixels", [(24, 40), (32, 32), (17, 17)])
def test_the_example_finds_boxes_where_they_were_put(pixels):
    stride, classes = 8, 2
    y = np.zeros((*(-(-side // stride) for side in pixels), classes + 4), np.float32)
    y[..., :classes] = -6
    y[0, 0] = [-6, 2, 2, 2, 0.5, 0.5]  # an object of four by four cells
    y[0, 2] = [-6, 1, 2, 2, 0.5, 0.0]  # the same again, a little to the right
    y[2, 2] = [1, -6, 0, -1, 0.25, 0.5]  # another of one by half a cell
    space = {"np": np, "PIXELS": pixels}
    exec(answer_of("detection").program, space)
    (score, index, box), (_, other, small) = space["boxes"](y)
    assert (index, other) == (1, 0)
    assert score == pytest.approx(1 / (1 + np.exp(-2.0)))
    sides = np.array([*pixels, *pixels])
    np.testing.assert_allclose(box * sides, np.minimum([0, 0, 20, 20], sides), atol=1e-4)
    np.testing.assert_allclose(small * sides, np.minimum([14, 18, 22, 22], sides), atol=1e-4)


@pytest.mark.parametrize("seed", range(5))
def test_the_example_decodes_as_the_library_that_trained_the_network(seed):
    detection = pytest.importorskip("search_spaces.detection")
    pixels = (36, 52)
    y = np.random.default_rng(seed).normal(size=(9, 13, 3 + 4)).astype(np.float32)
    space = {"np": np, "PIXELS": pixels}
    exec(answer_of("detection").program, space)
    found = space["boxes"](y)
    boxes, scores, classes = detection.decode(y, pixels)
    assert [index for _, index, _ in found] == list(classes)
    np.testing.assert_allclose([score for score, _, _ in found], scores, rtol=1e-5)
    np.testing.assert_allclose([box for _, _, box in found], boxes, atol=1e-6)


def test_a_detector_has_labels_for_its_classes_only():
    assert outputs_labelled(7, "detection") == 3
    assert outputs_labelled(7, "segmentation") == outputs_labelled(7, None) == 7
    _, _, content = made("detection")
    with pytest.raises(ValueError, match="each of the file's 2 outputs"):
        tflite_export.with_metadata(content, labels=list("abcdef"), task="detection")


def test_an_unknown_task_is_refused_with_the_nearest():
    with pytest.raises(
        ValueError, match=r"'segmentation'.*Received: task='segment'.*mean 'seg"
    ):
        answer_of("segment")


def test_several_inputs_are_packaged_by_name(tmp_path):
    layers = keras.layers
    image, row = keras.Input((8, 8, 1), name="image"), keras.Input((4,), name="a_row")
    x = layers.Concatenate()([layers.Flatten()(image), row])
    model = keras.Model({"image": image, "a_row": row}, layers.Dense(3)(x))
    rng = np.random.default_rng(0)
    given = {
        "image": rng.random((50, 8, 8, 1), dtype=np.float32),
        "a_row": rng.normal(size=(50, 4)).astype(np.float32),
    }
    report = tflite_export.export(model, tmp_path / "plain.tflite", "int8", given)
    content = (tmp_path / "plain.tflite").read_bytes()
    sample = {"image": given["image"][0] * 2 + 1, "a_row": given["a_row"][0]}
    about = {
        "labels": ["a", "b", "c"],
        "task": "classification",
        "input": {"image": "What the camera sees."},
        "normalisation": {"image": (1.0, 2.0)},
        "value_range": {"a_row": (-3.0, 3.0)},
        "image": {"image": True},
    }
    report = json.loads(json.dumps(report.to_dict()))
    package(tmp_path, content, report, sample=sample, devices=[], **about)

    told = read_metadata(tmp_path / "model.tflite")
    assert [each["name"] for each in told["inputs"]] == ["a_row", "image"]
    assert [each["content"] for each in told["inputs"]] == ["features", "image"]
    assert told["inputs"][1]["description"] == "What the camera sees."
    assert told["inputs"][0]["max"] == [3.0]
    header = (tmp_path / "model.h").read_text()
    assert "// Input 1, image: int8 of shape (1, 8, 8, 1); q stands for" in header
    assert "constexpr int kModelInputImageIndex = 1;" in header
    assert "constexpr float kModelInputARowScale" in header
    assert "| input `a_row` | " in (tmp_path / "MODEL_CARD.md").read_text()
    (scores,) = tflite_export.run(content, {name: given[name][:1] for name in given})
    assert [line[0] for line in printed(tmp_path)] == list(
        np.array(["a", "b", "c"])[np.argsort(-scores)]
    )
    np.testing.assert_array_equal(
        tflite_export.run(tmp_path / "model.tflite", given), tflite_export.run(content, given)
    )


@pytest.mark.parametrize(
    ("about", "message"),
    [
        ({"input": "Both."}, "input is a dictionary by their names"),
        ({"image": True}, "image is a dictionary"),
        ({"value_range": {"c": (0, 1)}}, "inputs of the file.*'a', 'b'.*Received: 'c'"),
    ],
)
def test_what_is_said_of_several_inputs_is_said_by_name(about, message):
    inputs = [keras.Input((3,), name=name) for name in "ab"]
    content = tflite_export.convert(keras.Model(inputs, keras.layers.Add()(inputs)), "float32")
    with pytest.raises(ValueError, match=message):
        tflite_export.with_metadata(content, **about)

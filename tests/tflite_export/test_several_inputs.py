import keras
import numpy as np
import pytest
import tensorflow as tf
from ai_edge_litert.interpreter import Interpreter

import tflite_export
from edge_devices.inputs import input_names
from tflite_export.calibration import draw, first
from tflite_export.quantization import quantize
from tflite_export.signature import input_specs

N, CLASSES = 100, 3
SHAPES = {"words": (6,), "image": (8, 8, 1), "a_row": (4,)}  # not sorted by name
INTEGER = ("int8", "int16x8", "int4")


def fused(structure="dict", names=True):
    """An image, tokens and a row of numbers, taken as a dictionary, a list or a tuple."""
    layers = keras.layers
    words, image, row = (
        keras.Input(
            SHAPES[name],
            dtype="int32" if name == "words" else "float32",
            name=name if names else None,
        )
        for name in SHAPES
    )
    a = layers.Conv2D(8, 3, activation="relu")(layers.Rescaling(1 / 255)(image))
    b = layers.Conv1D(8, 3, activation="relu")(layers.Embedding(20, 8)(words))
    parts = [
        layers.GlobalAveragePooling2D()(a),
        layers.GlobalAveragePooling1D()(b),
        layers.Dense(8, activation="relu", name="of_row")(row),
    ]
    outputs = layers.Dense(CLASSES, name="logits")(layers.Concatenate()(parts))
    inputs = {
        "dict": {"image": image, "words": words, "a_row": row},
        "list": [words, image, row],
        "tuple": (words, image, row),
    }[structure]
    return keras.Model(inputs, outputs)


@pytest.fixture(scope="module")
def model():
    keras.utils.set_random_seed(0)
    return fused()


@pytest.fixture(scope="module")
def x():
    rng = np.random.default_rng(0)
    return {
        "image": rng.integers(0, 256, (N, *SHAPES["image"]), dtype=np.uint8),
        "words": rng.integers(0, 20, (N, *SHAPES["words"])),
        "a_row": rng.normal(size=(N, *SHAPES["a_row"])),
    }


def answers(model, x):
    given = {name: x[name].astype("int32" if name == "words" else "float32") for name in x}
    if not isinstance(model.input, dict):
        given = type(model.input)(given[name] for name in SHAPES)
    return np.asarray(model(given))


@pytest.fixture(scope="module")
def labels(model, x):
    return answers(model, x).argmax(1)


def by_hand(content, x):
    """Outputs of an int8 file by its signature, independent of the library."""
    runner = Interpreter(model_content=content).get_signature_runner()
    details, (target,) = runner.get_input_details(), runner.get_output_details().values()
    outputs = []
    for index in range(N):
        given = {}
        for name, about in details.items():
            scale, zero = about["quantization"]
            value = x[name][index : index + 1]
            if scale:
                value = np.clip(np.rint(value / np.float32(scale)) + zero, -128, 127)
            given[name] = value.astype(about["dtype"])
        (raw,) = runner(**given).values()
        scale, zero = target["quantization"]
        outputs.append((raw[0].astype(np.float32) - zero) * np.float32(scale))
    return np.array(outputs)


class TestFiles:
    @pytest.mark.parametrize(
        ("quantization", "tolerance"),
        [
            ("float32", 1e-5),
            ("float16", 0.005),
            ("dynamic", 0.05),
            ("int8", 0.05),
            ("int16x8", 0.03),
            ("int4", 0.5),
        ],
    )
    def test_it_computes_what_the_model_does(self, model, x, quantization, tolerance):
        calibration = x if quantization in INTEGER else None
        content = tflite_export.convert(model, quantization, calibration)
        file = tflite_export.TFLiteModel(content)
        np.testing.assert_allclose(file.predict(x), answers(model, x), atol=tolerance)
        assert file.input["words"].dtype == "int32"

    def test_outputs_are_those_of_the_bare_interpreter(self, model, x):
        content = tflite_export.convert(model, "int8", x)
        np.testing.assert_allclose(
            tflite_export.run(content, x), by_hand(content, x), atol=1e-6
        )

    @pytest.mark.parametrize("structure", ["dict", "list", "tuple"])
    @pytest.mark.parametrize("quantization", ["float32", "int8"])
    def test_inputs_are_sorted_by_the_names_of_the_signature(self, x, structure, quantization):
        model = fused(structure)
        content = tflite_export.convert(
            model, quantization, x if quantization == "int8" else None
        )
        assert input_names(content) == ("a_row", "image", "words")
        interpreter = Interpreter(model_content=content)
        shapes = [tuple(each["shape"][1:]) for each in interpreter.get_input_details()]
        assert shapes == [SHAPES[name] for name in sorted(SHAPES)]
        outputs = tflite_export.run(content, x)
        np.testing.assert_allclose(outputs, answers(model, x), atol=0.05)

    def test_equal_weights_give_equal_bytes_whatever_the_inputs_come_in(self, model, x):
        other = fused("tuple")
        other.set_weights(model.get_weights())
        again = {name: x[name] for name in sorted(x, reverse=True)}
        made = tflite_export.convert(model, "int8", x)
        assert made == tflite_export.convert(model, "int8", again)
        np.testing.assert_array_equal(
            tflite_export.run(made, x),
            tflite_export.run(tflite_export.convert(other, "int8", x), x),
        )

    def test_inputs_without_names_are_numbered_in_the_model_s_order(self):
        model = fused("list", names=False)
        specs = input_specs(model)
        assert list(specs) == ["input_0", "input_1", "input_2"]
        shapes = [tuple(spec.shape[1:]) for spec in specs.values()]
        assert shapes == list(SHAPES.values())
        assert input_names(tflite_export.convert(model, "float32")) == tuple(specs)

    def test_the_keys_of_a_dictionary_count_more_than_the_names(self):
        inputs = {"zeta": keras.Input((2,), name="one"), "alpha": keras.Input((3,))}
        joined = keras.layers.Concatenate()(list(inputs.values()))
        with pytest.warns(UserWarning, match="keys in the dict must match"):
            model = keras.Model(inputs, joined)
        content = tflite_export.convert(model, "float32")
        x = {"zeta": np.ones((1, 2)), "alpha": np.zeros((1, 3))}
        assert input_names(content) == ("alpha", "zeta")
        np.testing.assert_array_equal(tflite_export.run(content, x), [[1, 1, 0, 0, 0]])

    def test_it_is_the_converters_where_the_quantizer_lacks_an_operator(self, x):
        row, image = keras.Input((4,), name="a_row"), keras.Input((8, 8, 1), name="image")
        y = keras.layers.LeakyReLU()(keras.layers.Conv2D(4, 3)(image))
        y = keras.layers.GlobalAveragePooling2D()(y)
        model = keras.Model([image, row], keras.layers.Concatenate()([y, row]))
        given = {name: x[name] for name in ("image", "a_row")}
        content = tflite_export.convert(model, "int8", given)
        assert "LEAKY_RELU" in tflite_export.operators(content)
        assert input_names(content) == ("a_row", "image")
        floats = [given[name].astype("float32") for name in ("image", "a_row")]
        np.testing.assert_allclose(
            tflite_export.run(content, given), np.asarray(model(floats)), atol=4
        )  # values of up to 255

    def test_half_precision_and_recurrence(self, x):
        words, row = (
            keras.Input((6,), dtype="int32", name="words"),
            keras.Input((4,), name="a_row"),
        )
        half = {"dtype": "mixed_float16"}
        y = keras.layers.GRU(4, **half)(keras.layers.Embedding(20, 4, **half)(words))
        y = keras.layers.Concatenate(**half)([y, row])
        y = keras.layers.Dense(3, **half)(y)
        model = keras.Model({"words": words, "a_row": row}, y)
        given = {name: x[name] for name in ("words", "a_row")}
        content = tflite_export.convert(model, "int8", given)
        floats = {"words": x["words"].astype("int32"), "a_row": x["a_row"].astype("float32")}
        expected = np.asarray(model(floats), np.float32)
        np.testing.assert_allclose(tflite_export.run(content, given), expected, atol=0.15)

    def test_inputs_stay_in_float_where_one_is_read_in_float(self, model, x):
        content = tflite_export.convert(model, "int8", x, mixed={"of_row": "float32"})
        file = tflite_export.TFLiteModel(content)
        types = {name: info.dtype for name, info in file.inputs.items()}
        assert types == {"a_row": "float32", "image": "float32", "words": "int32"}
        assert tflite_export.operators(content)["QUANTIZE"] >= 2
        np.testing.assert_allclose(file.predict(x), answers(model, x), atol=0.05)

    def test_layers_have_precisions_and_sensitivities(self, model, x):
        content = tflite_export.convert(model, "int8", x, mixed={"logits": "float32"})
        assert tflite_export.TFLiteModel(content).output.dtype == "float32"
        floats = tflite_export.convert(model, "float32", compact=False)
        ranked = tflite_export.sensitivities(floats, x)
        assert {"CONV_2D", "FULLY_CONNECTED"} <= {entry.op for entry in ranked}
        assert quantize(floats, "int8", x) != floats


class TestData:
    def forms(self, x, labels):
        tensors = {name: x[name] for name in x}
        dataset = tf.data.Dataset.from_tensor_slices((tensors, labels))
        ordered = tuple(x[name] for name in SHAPES)
        return {
            "dataset": dataset,
            "batches": dataset.batch(7),
            "arrays": (x, labels),
            "tuples": (ordered, labels),
            "tuples in a dataset": tf.data.Dataset.from_tensor_slices((ordered, labels)),
            "tfds": tf.data.Dataset.from_tensor_slices({**tensors, "label": labels}),
        }

    def test_all_forms_hold_the_same(self, x, labels):
        for name, form in self.forms(x, labels).items():
            taken = first(form, SHAPES, 10)
            assert list(taken.inputs) == sorted(x), name
            for key in x:
                np.testing.assert_array_equal(taken.inputs[key], x[key][:10])
            np.testing.assert_array_equal(taken.labels, labels[:10])

    def test_inputs_of_an_example_stay_together(self, x):
        numbers = np.arange(N)
        marked = {name: np.broadcast_to(numbers, (2, N)).T for name in ("a", "b")}
        for form in (marked, tf.data.Dataset.from_tensor_slices((marked, numbers)).batch(9)):
            drawn = draw(form, {"a": (2,), "b": (2,)}, 30, seed=0)
            np.testing.assert_array_equal(drawn.inputs["a"], drawn.inputs["b"])
            assert len(set(drawn.inputs["a"][:, 0])) == 30

    def test_inputs_alone_and_without_labels(self, x):
        assert first(x, SHAPES, 5).labels is None
        assert first([x[name] for name in SHAPES], SHAPES, 5).labels is None

    @pytest.mark.parametrize(
        ("change", "message"),
        [
            (lambda x: x["image"], "hold the 3 inputs.*'words'.*Received"),
            (lambda x: tuple(x.values()), "hold the 3 inputs"),
            (lambda x: {"image": x["image"]}, "Received: inputs named 'image'"),
            (lambda x: {**x, "image": x["image"][..., 0]}, r"\['image'\].*channel axis"),
            (lambda x: {**x, "a_row": x["a_row"] * np.nan}, r"\['a_row'\] must be finite"),
            (
                lambda x: {**x, "a_row": x["a_row"][:9]},
                "100 of 'image'.*9 of 'a_row'|all inputs",
            ),
        ],
    )
    def test_what_does_not_fit_is_refused(self, model, x, change, message, tmp_path):
        with pytest.raises((ValueError, TypeError), match=message):
            tflite_export.export(model, tmp_path / "m.tflite", calibration=change(x))

    def test_an_input_that_never_varies_is_refused_by_name(self, model, x, tmp_path):
        constant = {**x, "a_row": np.ones_like(x["a_row"])}
        with pytest.raises(ValueError, match=r"calibration\['a_row'\] must vary"):
            tflite_export.export(model, tmp_path / "m.tflite", calibration=constant)

    @pytest.mark.parametrize(
        ("given", "message"),
        [
            (np.zeros((1, 4)), "3 inputs.*array for each by name"),
            (
                {"image": np.zeros((1, 8, 8, 1))},
                "'a_row', 'image', 'words'. Received: 'image'",
            ),
        ],
    )
    def test_a_file_takes_all_inputs_by_name(self, model, given, message):
        file = tflite_export.TFLiteModel(tflite_export.convert(model, "float32"))
        with pytest.raises(ValueError, match=message):
            file.predict(given)


class TestReports:
    def test_export_and_verify(self, model, x, labels, tmp_path):
        data = tf.data.Dataset.from_tensor_slices((x, labels)).batch(32)
        path = tmp_path / "m.tflite"
        report = tflite_export.export(
            model, path, calibration=data, validation_data=data, max_accuracy_drop=0.5
        )
        assert list(report.input) == sorted(x)
        assert report.accuracy_keras == 1
        assert report.accuracy_tflite > 0.9
        assert report.to_dict()["input"]["image"]["shape"] == (1, 8, 8, 1)
        assert "input words  int32 (1, 6)" in str(report)
        judged = tflite_export.verify(model, path, data)
        assert judged.accuracy_tflite == report.accuracy_tflite

    def test_random_inputs_do_for_want_of_others(self, model, tmp_path):
        report = tflite_export.export(model, tmp_path / "m.tflite", "float32")
        assert report.max_abs_error < 1e-5

    def test_remedies_are_tried(self, model, x, labels, tmp_path):
        model.compile(loss="sparse_categorical_crossentropy")
        with pytest.raises(tflite_export.AccuracyDropError) as error:
            tflite_export.export(
                model,
                tmp_path / "m.tflite",
                "int4",
                x,
                validation_data=(x, labels),
                max_accuracy_drop=0.0,
                num_calibration=20,
                fine_tuning_data=(x, labels),
                allow_wide=False,
                allow_float=False,
                metric=lambda _, outputs: -np.abs(outputs - answers(model, x)).mean(),
            )
        names = [remedy.name for remedy in error.value.report.remedies]
        assert names[0] == "calibration"
        assert names[-1] == "quantization-aware fine-tuning"
        assert "one input" in error.value.report.remedies[-1].detail


class TestRefusals:
    @pytest.mark.parametrize(
        "function",
        [
            tflite_export.fold,
            lambda model: tflite_export.prune(model, 0.5, None),
            lambda model: tflite_export.fine_tune(model, None),
        ],
    )
    def test_rewriting_the_model_needs_one_input(self, function):
        model = fused()
        model.compile(loss="mse")
        with pytest.raises(ValueError, match=r"one input and one output.*3 inputs"):
            function(model)

    def test_a_subclassed_model_has_no_names(self):
        class Pair(keras.Model):
            def call(self, inputs):
                return inputs[0] + inputs[1]

        model = Pair()
        model([np.ones((1, 2), "float32"), np.ones((1, 2), "float32")])
        with pytest.raises(ValueError, match="must be functional"):
            tflite_export.convert(model, "float32")

    def test_two_inputs_of_one_name(self):
        a, b = keras.Input((3,), name="a-b"), keras.Input((3,), name="a.b")
        model = keras.Model([a, b], keras.layers.Add()([a, b]))
        with pytest.raises(ValueError, match=r"a name of its own.*'a_b', 'a_b'"):
            tflite_export.convert(model, "float32")

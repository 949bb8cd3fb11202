import keras
import numpy as np
import pytest

import tflite_export
from tflite_export.fake_quantization import (
    ActivationRange,
    FakeQuantizedConv2D,
    calibrate,
    convert_fake_quantized,
    fake_quantized,
    real,
)
from tflite_export.verification import predict

layers = keras.layers


def rounding(model, x, bits=8):
    made = fake_quantized(model, bits)
    calibrate(made, x)
    return made


def chain(*stack, shape=(8, 8, 4)):
    keras.utils.set_random_seed(0)
    z = inputs = keras.Input(shape)
    for layer in stack:
        z = layer(z)
    return keras.Model(inputs, z)


def inputs_for(model, n=64):
    rng = np.random.default_rng(0)
    return rng.uniform(-1, 1, (n, *model.input_shape[1:])).astype("float32")


def steps_apart(model, x, bits=8):
    """Differences of fake-quantized model and file, in steps of the output, and the file."""
    made = rounding(model, x, bits)
    content = convert_fake_quantized(made)
    scale = tflite_export.TFLiteModel(content).output.scale
    return np.abs(predict(made, x) - tflite_export.run(content, x)) / scale, content


@pytest.fixture(scope="module")
def made(model, x):
    return {bits: rounding(model, x, bits) for bits in (4, 8)}


@pytest.fixture(scope="module")
def contents(made):
    return {bits: convert_fake_quantized(model) for bits, model in made.items()}


class TestFiles:
    @pytest.mark.parametrize("bits", [4, 8])
    def test_the_file_computes_what_the_model_does(self, made, contents, x, bits):
        expected, actual = predict(made[bits], x), tflite_export.run(contents[bits], x)
        step = tflite_export.TFLiteModel(contents[bits]).output.scale
        assert (np.abs(expected - actual) < 0.5 * step).mean() > 0.85
        assert (expected.argmax(1) == actual.argmax(1)).mean() >= 0.98

    @pytest.mark.parametrize("bits", [4, 8])
    def test_the_file_has_the_operators_of_plain_quantization(self, contents, content, bits):
        assert tflite_export.operators(contents[bits]) == tflite_export.operators(content)

    def test_weights_have_the_width_asked_for_and_all_else_is_integer(self, contents):
        assert set(tflite_export.tensor_dtypes(contents[8])) == {"int8", "int32"}
        dtypes = tflite_export.tensor_dtypes(contents[4])
        assert set(dtypes) == {"int4", "int8", "int32"}
        assert dtypes["int4"] == 6  # four convolutions, one depthwise, one dense
        assert len(contents[4]) < len(contents[8])

    @pytest.mark.parametrize(
        ("stack", "operators"),
        [
            (
                [layers.Conv2D(4, 3, activation="silu")],
                {"CONV_2D": 1, "LOGISTIC": 1, "MUL": 1},
            ),
            ([layers.Activation("hard_sigmoid")], {"ADD": 1, "MUL": 1}),
            (
                [layers.Rescaling(0.5, 0.3), layers.Conv2D(4, 3, padding="same")],
                {"ADD": 1, "CONV_2D": 1, "MUL": 1},
            ),
            (
                [layers.MaxPooling2D(), layers.Flatten(), layers.Dense(3), layers.Softmax()],
                {"FULLY_CONNECTED": 1, "MAX_POOL_2D": 1, "RESHAPE": 1, "SOFTMAX": 1},
            ),
            (
                [layers.Conv2D(4, 3), layers.LeakyReLU(), layers.AveragePooling2D(2)],
                {"AVERAGE_POOL_2D": 1, "CONV_2D": 1, "LEAKY_RELU": 1},
            ),
        ],
    )
    def test_other_layers_agree_too(self, stack, operators):
        model = chain(*stack)
        apart, content = steps_apart(model, inputs_for(model))
        assert apart.max() < 1.5
        assert tflite_export.operators(content) == operators

    @pytest.mark.parametrize("spread", [0.3, 1.0, 5.0])
    def test_hard_silu_is_that_of_the_integer_kernel(self, spread):
        model = chain(layers.Activation("hard_silu"), shape=(500,))
        x = np.random.default_rng(0).normal(0, spread, (64, 500)).astype("float32")
        apart, content = steps_apart(model, x)
        assert tflite_export.operators(content) == {"HARD_SWISH": 1}
        assert (apart < 0.5).mean() > 0.9999

    def test_a_relu_behind_a_sum_is_part_of_it(self):
        inputs = keras.Input((8, 8, 4))
        left = layers.Conv2D(4, 3, activation="relu")(inputs)
        right = layers.Conv2D(4, 3)(inputs)
        model = keras.Model(inputs, layers.ReLU()(layers.Add()([left, right])))
        apart, content = steps_apart(model, inputs_for(model))
        assert apart.max() < 1.5
        assert tflite_export.operators(content) == {"ADD": 1, "CONV_2D": 2}

    def test_equal_biases_survive_the_converter(self):
        # It would quantize them all by the scale of the first channel.
        model = chain(layers.Conv2D(8, 3, bias_initializer=keras.initializers.Constant(3.0)))
        apart, _ = steps_apart(model, inputs_for(model))
        assert apart.max() < 1.5

    def test_biases_and_sums_are_rounded_as_coarsely_as_with_4_bits(self):
        random = keras.initializers.RandomNormal(seed=1)
        model = chain(
            layers.Conv2D(8, 3, activation="relu6", bias_initializer=random),
            layers.DepthwiseConv2D(3, bias_initializer=random),
            layers.Conv2D(6, 3, bias_initializer=random),
        )
        apart, _ = steps_apart(model, inputs_for(model), bits=4)
        assert (apart < 0.5).mean() > 0.999

    def test_micro_runs_4_bit_files(self, contents, x, tmp_path):
        tflm = pytest.importorskip(
            "tflite_micro.python.tflite_micro.runtime", reason="needs the extra micro"
        )
        path = tmp_path / "model.tflite"
        path.write_bytes(contents[4])
        file = tflite_export.TFLiteModel(contents[4])
        interpreter = tflm.Interpreter.from_file(str(path), arena_size=1 << 20)
        details = interpreter.get_input_details(0)
        (scale,), (zero,) = (
            details["quantization_parameters"][key] for key in ("scales", "zero_points")
        )
        apart = []
        for example in x[:50]:
            quantized = np.clip(np.round(example / scale) + zero, -128, 127)
            interpreter.set_input(quantized[None].astype("int8"), 0)
            interpreter.invoke()
            raw = interpreter.get_output(0).astype(int)
            real_output = (raw - file.output.zero_point) * file.output.scale
            apart.append(np.abs(real_output - file.predict(example[None])))
        # It rounds halves away from zero where LiteRT rounds some of them up.
        assert np.mean(apart) < 2 * file.output.scale


class TestModels:
    def test_weights_take_no_more_values_than_they_have_bits(self, made):
        layer = next(each for each in made[4].layers if isinstance(each, FakeQuantizedConv2D))
        kernel, _, _ = layer.rounded(0.1)
        channel = np.asarray(kernel)[..., 0].ravel()
        steps = channel / (np.abs(channel).max() / 7)
        np.testing.assert_allclose(steps, np.round(steps), atol=1e-4)
        assert np.abs(steps).max() == pytest.approx(7)

    def test_it_computes_about_what_the_model_does(self, made, model, x):
        expected = np.asarray(model(x))
        errors = {
            bits: np.abs(predict(each, x) - expected).mean() / expected.std()
            for bits, each in made.items()
        }
        assert errors[8] < 0.2
        assert errors[8] < errors[4] < 1.0

    def test_real_is_the_model_in_stock_layers(self, made, model, x):
        back = real(made[8], model)
        assert all(type(layer).__module__.startswith("keras.") for layer in back.layers)
        np.testing.assert_allclose(np.asarray(back(x)), np.asarray(model(x)), atol=1e-4)

    def test_it_is_saved_and_loaded(self, made, x, tmp_path):
        made[4].save(tmp_path / "model.keras")
        loaded = keras.models.load_model(tmp_path / "model.keras")
        np.testing.assert_array_equal(predict(loaded, x), predict(made[4], x))

    def test_gradients_pass_through_rounding(self, made, x):
        import tensorflow as tf

        with tf.GradientTape() as tape:
            loss = tf.reduce_sum(made[4](x[:8]) ** 2)
        gradients = tape.gradient(loss, made[4].trainable_variables)
        assert len(gradients) == 12
        assert all(np.abs(gradient).max() > 0 for gradient in gradients)

    def test_ranges_follow_the_data_in_training_only(self):
        layer = ActivationRange()
        layer(np.array([-1.0, 3.0]), training=True)
        assert (float(layer.least), float(layer.largest)) == (-1.0, 3.0)
        layer(np.array([-9.0, 9.0]))
        assert float(layer.largest) == 3.0
        layer(np.array([1.0, 5.0]), training=True)
        assert (float(layer.least), float(layer.largest)) == (-0.5, 4.0)  # zero is in it

    def test_rounding_is_to_255_steps_of_the_range(self):
        layer = ActivationRange()
        layer(np.array([0.0, 255.0]), training=True)
        rounded, step = layer(np.array([0.4, 0.6, 300.0]))
        np.testing.assert_allclose(rounded, [0.0, 1.0, 255.0])
        assert float(step) == 1.0


class TestRefuses:
    @pytest.mark.parametrize("bits", [2, 16, "8"])
    def test_other_widths(self, model, bits):
        with pytest.raises(ValueError, match=r"must be 4 or 8\. Received: weight_bits="):
            fake_quantized(model, bits)

    def test_layers_it_does_not_know_by_name(self):
        model = chain(
            layers.Conv2D(4, 3, activation="gelu", name="bell"),
            layers.LayerNormalization(name="norm"),
            layers.Conv2D(4, 1, groups=2, name="split"),
        )
        message = r"Activation 'bell_activation', LayerNormalization 'norm', Conv2D 'split'\."
        with pytest.raises(ValueError, match=message):
            fake_quantized(model)

    def test_files_of_models_without_ranges(self, model):
        with pytest.raises(ValueError, match=r"no range in 'image_range'.*calibrate"):
            convert_fake_quantized(fake_quantized(model))
        with pytest.raises(ValueError, match=r"with no ranges"):
            convert_fake_quantized(model)

import keras
import numpy as np
import pytest
import tensorflow as tf

import tflite_export
from tflite_export.interpreter import TFLiteModel

layers = keras.layers


def sequential(shape, *stack, **kwargs):
    return keras.Sequential([keras.Input(shape, **kwargs), *stack])


def inputs_for(model, n=32):
    return np.random.default_rng(0).random((n, *model.input_shape[1:]), dtype=np.float32)


def assert_int8(content, model, tolerance):
    """The file is integer throughout and computes what the model does."""
    assert set(tflite_export.tensor_dtypes(content)) <= {"int8", "int32", "bool"}
    x = inputs_for(model)
    expected = np.asarray(model(x))
    error = np.abs(expected - tflite_export.run(content, x))
    assert error.max() < tolerance * np.ptp(expected)


class TestOperators:
    def test_batch_norm_and_relu6_vanish_into_the_convolution(self):
        model = sequential(
            (8, 8, 1),
            layers.Conv2D(4, 3, use_bias=False),
            layers.BatchNormalization(),
            layers.ReLU(6.0),
            layers.DepthwiseConv2D(3, use_bias=False),
            layers.BatchNormalization(),
            layers.Activation("relu6"),
        )
        content = tflite_export.convert(model, "int8", inputs_for(model))
        assert tflite_export.operators(content) == {"CONV_2D": 1, "DEPTHWISE_CONV_2D": 1}

    def test_hard_sigmoid_costs_one_product_and_hard_swish_one_operator(self):
        model = sequential(
            (8, 8, 1),
            layers.Conv2D(4, 3, activation="hard_swish"),
            layers.Conv2D(4, 3, activation="hard_sigmoid"),
        )
        content = tflite_export.convert(model, "int8", inputs_for(model))
        assert tflite_export.operators(content) == {"CONV_2D": 2, "HARD_SWISH": 1, "MUL": 1}

    @pytest.mark.parametrize(
        ("offset", "padding", "extra"),
        [(0.0, "same", {}), (-1.0, "valid", {}), (-1.0, "same", {"ADD": 1, "MUL": 1})],
    )
    def test_a_leading_rescaling_is_free_unless_padding_meets_an_offset(
        self, offset, padding, extra
    ):
        model = sequential(
            (8, 8, 1), layers.Rescaling(2.0, offset), layers.Conv2D(4, 3, padding=padding)
        )
        content = tflite_export.convert(model, "int8", inputs_for(model))
        assert tflite_export.operators(content) == {"CONV_2D": 1, **extra}

    def test_every_layer_of_the_mobile_spaces_is_integer(self, content, model):
        assert_int8(content, model, tolerance=0.1)
        assert tflite_export.operators(content) == {
            "CONV_2D": 4,
            "MUL": 3,
            "ADD": 2,
            "MEAN": 2,
            "DEPTHWISE_CONV_2D": 1,
            "FULLY_CONNECTED": 1,
            "HARD_SWISH": 1,
        }

    @pytest.mark.parametrize("norm", ["LayerNormalization", "RMSNormalization"])
    def test_norms_of_transformers_are_integer(self, norm):
        model = sequential((4, 8), getattr(layers, norm)(), layers.Dense(3))
        content = tflite_export.convert(model, "int8", inputs_for(model))
        assert_int8(content, model, tolerance=0.1)
        assert not {"NEG", "SQUARE"} & set(tflite_export.operators(content))

    @pytest.mark.parametrize(
        ("layer", "operator"),
        [
            (layers.LeakyReLU(), "LEAKY_RELU"),
            (layers.GlobalMaxPooling2D(), "REDUCE_MAX"),
            (layers.ReLU(max_value=3.0), "MINIMUM"),
        ],
    )
    def test_what_only_the_converter_has_in_int8_is_its_file(self, layer, operator):
        model = sequential((8, 8, 1), layers.Conv2D(4, 3), layer, layers.Dense(2))
        assert_int8(tflite_export.convert(model, "int8", inputs_for(model)), model, 0.1)
        content = tflite_export.convert(model, "int8", inputs_for(model))
        assert operator in tflite_export.operators(content)


class TestMixed:
    def test_single_layers_have_the_precision_they_are_given(self, model, x):
        stem = next(layer for layer in model.layers if isinstance(layer, layers.Conv2D))
        mixed = {"logits": "float32", stem.name: "int16x8"}
        content = tflite_export.convert(model, "int8", x, mixed=mixed)
        operators = tflite_export.operators(content)
        assert operators["QUANTIZE"] == 2
        assert operators["DEQUANTIZE"] == 1
        dtypes = set(tflite_export.tensor_dtypes(content))
        assert dtypes == {"int8", "int16", "int32", "int64", "float32"}
        assert TFLiteModel(content).output.dtype == "float32"

    def test_a_layer_without_an_integer_form_can_be_float(self):
        curve = layers.Activation("elu", name="curve")
        model = sequential((8,), layers.Dense(4), curve, layers.Dense(2))
        x = inputs_for(model)
        content = tflite_export.convert(model, "int8", x, mixed={"curve": "float32"})
        assert tflite_export.operators(content)["ELU"] == 1
        np.testing.assert_allclose(
            tflite_export.run(content, x), np.asarray(model(x)), atol=0.05
        )

    @pytest.mark.parametrize(
        ("mixed", "message"),
        [
            ({"logit": "float32"}, r"Received: 'logit'.*Did you mean 'logits'"),
            ({"logits": "float16"}, r"can be 'float32'.*Received: .*'float16'"),
            ({"image": "float32"}, r"Received: layer 'image', of which no operator"),
        ],
    )
    def test_unknown_layers_and_precisions_are_refused(self, model, x, mixed, message):
        with pytest.raises(ValueError, match=message):
            tflite_export.convert(model, "int8", x, mixed=mixed)


@pytest.mark.parametrize(
    ("quantization", "kernel", "size"),
    [("float32", "float32", 4), ("float16", "float16", 2), ("dynamic", "int8", 1)],
)
def test_weights_are_stored_in_the_type_that_was_asked_for(quantization, kernel, size):
    model = sequential((64,), layers.Dense(128))
    content = tflite_export.convert(model, quantization)
    assert tflite_export.tensor_dtypes(content)[kernel] >= 1
    assert len(content) == pytest.approx(64 * 128 * size, abs=3000)
    file = TFLiteModel(content)
    assert file.input.dtype == file.output.dtype == "float32"
    x = inputs_for(model)
    np.testing.assert_allclose(file.predict(x), np.asarray(model(x)), atol=0.03)


class TestModels:
    def test_the_model_and_its_weights_are_left_alone(self, model, x):
        before = model.get_weights(), model.get_config()
        tflite_export.convert(model, "int8", x[:4])
        assert model.get_config() == before[1]
        for old, new in zip(before[0], model.get_weights(), strict=True):
            np.testing.assert_array_equal(old, new)

    def test_signature_and_input_keep_their_names(self, content):
        interpreter = TFLiteModel(content)._interpreter
        assert interpreter.get_signature_list() == {
            "serving_default": {"inputs": ["image"], "outputs": ["output"]}
        }

    def test_layer_names_do_not_change_the_file(self):
        def named(name, mark):
            dense = layers.Dense(2, kernel_initializer="ones", name=mark)
            return keras.Sequential([keras.Input((3,)), dense], name=name)

        a = tflite_export.convert(named("a", "x"), "float32")
        assert a == tflite_export.convert(named("bb", "a_long_name"), "float32")

    @pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16", "float16"])
    def test_half_precision_leaves_no_trace(self, policy):
        keras.utils.set_random_seed(0)
        inner = keras.Sequential([layers.Conv2D(2, 1, dtype=policy)])
        model = sequential(
            (6, 4, 4, 1),
            layers.TimeDistributed(inner, dtype=policy),
            layers.Flatten(dtype=policy),
            layers.Dense(3, dtype=policy),
        )
        x = inputs_for(model)
        content = tflite_export.convert(model, "float32")
        assert set(tflite_export.tensor_dtypes(content)) == {"float32", "int32"}
        expected = np.asarray(keras.ops.cast(model(x), "float32"))
        np.testing.assert_allclose(tflite_export.run(content, x), expected, atol=0.05)

    def test_half_precision_that_cannot_be_copied_is_refused(self):
        class Closed(layers.Layer):
            def __init__(self, power, **kwargs):
                super().__init__(**kwargs)
                self.power = power

            def call(self, x):
                return self.power(x)

        model = sequential((3,), Closed(lambda x: x * x, dtype="mixed_float16"))
        with pytest.raises(ValueError, match=r"float32 copy.*Received: .*get_config"):
            tflite_export.convert(model, "float32")

    def test_half_precision_that_is_built_in_is_refused_by_name(self):
        class Stubborn(layers.Layer):
            def call(self, x):
                return keras.ops.cast(x, "float16")

        model = sequential((3,), Stubborn(name="stubborn"))
        with pytest.raises(ValueError, match=r"Received: .*Cast \(layer 'stubborn'\)"):
            tflite_export.convert(model, "float32")

    def test_a_subclassed_model_is_converted_once_it_is_built(self):
        class Net(keras.Model):
            def __init__(self):
                super().__init__()
                self.dense = layers.Dense(2)

            def call(self, x):
                return self.dense(x)

        model = Net()
        with pytest.raises(ValueError, match=r"input shape is not known.*Call it once"):
            tflite_export.convert(model, "float32")
        x = np.ones((5, 3), np.float32)
        expected = np.asarray(model(x))
        content = tflite_export.convert(model, "float32")
        np.testing.assert_allclose(tflite_export.run(content, x), expected, rtol=1e-5)

    def test_integer_inputs_stay_integers(self):
        model = sequential((4,), layers.Embedding(9, 3), layers.Flatten(), dtype="int32")
        x = np.arange(8).reshape(2, 4)
        content = tflite_export.convert(model, "float32")
        assert TFLiteModel(content).input.dtype == "int32"
        np.testing.assert_allclose(tflite_export.run(content, x), np.asarray(model(x)))

    @pytest.mark.parametrize(
        "memory",
        [
            layers.SimpleRNN(4),
            layers.GRU(4),
            layers.LSTM(4, return_sequences=True),
            layers.Bidirectional(layers.GRU(4, return_sequences=True)),
        ],
    )
    def test_a_recurrent_model_loops_in_float_and_not_in_int8(self, memory):
        model = sequential((5, 3), memory)
        looped = tflite_export.convert(model, "float32")
        assert "WHILE" in tflite_export.operators(looped)
        content = tflite_export.convert(model, "int8", inputs_for(model))
        assert "WHILE" not in tflite_export.operators(content)
        assert_int8(content, model, tolerance=0.1)
        np.testing.assert_allclose(
            tflite_export.run(looped, inputs_for(model)),
            np.asarray(model(inputs_for(model))),
            atol=1e-5,
        )

    @pytest.mark.parametrize("causal", [False, True])
    def test_attention_is_integer_masked_or_not(self, causal):
        x = keras.Input((6, 8))
        model = keras.Model(x, layers.MultiHeadAttention(2, 4)(x, x, use_causal_mask=causal))
        content = tflite_export.convert(model, "int8", inputs_for(model))
        assert ("SELECT_V2" in tflite_export.operators(content)) == causal
        assert_int8(content, model, tolerance=0.1)

    def test_looking_up_tokens_takes_one_operator_and_its_scale(self):
        model = sequential((4,), layers.Embedding(9, 3), layers.Dense(2), dtype="int32")
        x = np.arange(36).reshape(9, 4) % 9
        content = tflite_export.convert(model, "int8", x)
        assert set(tflite_export.operators(content)) == {
            "GATHER",
            "QUANTIZE",
            "FULLY_CONNECTED",
        }
        expected = np.asarray(model(x))
        error = np.abs(expected - tflite_export.run(content, x))
        assert error.max() < 0.02 * np.ptp(expected)


class TestRefuses:
    def refused(self, model, message, quantization="float32", error=ValueError, **kwargs):
        with pytest.raises(error, match=message):
            tflite_export.convert(model, quantization, **kwargs)

    def test_what_is_not_a_model(self):
        self.refused("model.keras", r"Received: str.*load_model", error=TypeError)

    @pytest.mark.parametrize("wrong", ["INT8", "fp16", ""])
    def test_unknown_quantizations(self, model, wrong):
        self.refused(model, r"must be one of 'float32'.*Did you mean", wrong)

    def test_dynamic_dimensions(self):
        model = sequential((None, None, 1), layers.Conv2D(2, 3))
        self.refused(model, r"Received: .*\(None, None, None, 1\).*Rebuild it with")

    def test_a_fixed_batch(self):
        model = keras.Sequential([keras.Input((3,), batch_size=8), layers.Dense(2)])
        self.refused(model, r"fixed batch of 8")

    def test_an_unbuilt_model(self):
        self.refused(keras.Sequential([layers.Dense(2)]), r"unbuilt model")

    def test_several_outputs(self):
        a = keras.Input((3,))
        model = keras.Model(a, [layers.Dense(2)(a), layers.Dense(2)(a)])
        self.refused(model, r"several outputs.*yet.*with 2 outputs")

    def test_operators_without_a_builtin_naming_them_and_their_layers(self):
        model = sequential(
            (3,),
            layers.Lambda(lambda x: keras.ops.erf(x), name="bell"),
            layers.Lambda(lambda x: tf.math.digamma(x), name="psi"),
        )
        self.refused(model, r"Received: .*Erf \(layer 'bell'\), Digamma \(layer 'psi'\)")

    def test_int8_of_operators_that_stay_float_naming_them(self):
        curve = layers.Activation("elu", name="curve")
        model = sequential((8,), layers.Dense(4), curve, layers.Dense(2))
        message = r"Received: .*with ELU \(layer 'curve'\)\. .*quantization=\"dynamic\""
        self.refused(model, message, "int8", calibration=inputs_for(model))

    def test_int16x8_of_operators_that_have_8_bits_only(self):
        stack = layers.LayerNormalization(name="norm"), layers.Dense(2)
        model = sequential((4, 8), *stack)
        message = r"int16x8 export needs integer.*SQUARED_DIFFERENCE \(layer 'norm'\)"
        self.refused(model, message, "int16x8", calibration=inputs_for(model))

    def test_int8_of_loops_which_would_kill_the_process(self):
        def settle(x):
            return keras.ops.while_loop(
                lambda x: keras.ops.max(x) > 0.1, lambda x: (x * 0.5,), (x,)
            )[0]

        model = sequential((5,), layers.Lambda(settle, output_shape=(5,), name="memory"))
        message = r"loops.*Received: .*layer 'memory'.*recurrent layers"
        self.refused(model, message, "int8", calibration=inputs_for(model))

    def test_calibration_of_another_shape(self, model):
        message = r"calibration does not fit.*Received: shape \('n', 4, 4, 1\)"
        self.refused(model, message, "int8", calibration=np.zeros((2, 4, 4, 1)))

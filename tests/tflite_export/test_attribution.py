import keras

from tflite_export.attribution import described, layer_of, operators_of_layers
from tflite_export.conversion import float_file

FUSED = "model_1/relu_1/Relu;model_1/conv_2_1/convolution;model_1/norm_1/batchnorm/sub1"


def test_an_operator_is_that_of_the_layer_with_the_weights_else_of_the_last():
    assert layer_of([FUSED], ["conv", "conv_2", "norm", "relu"]) == "conv_2"
    assert layer_of([FUSED], ["norm", "relu"]) == "norm"
    assert layer_of([FUSED], ["relu"]) == "relu"
    assert (
        layer_of(["PartitionedCall:0", "functional_1/logits_1/MatMul"], ["logits"]) == "logits"
    )
    assert layer_of(["PartitionedCall:0"], ["logits"]) is None


def test_fused_layers_share_an_operator_and_dropout_has_none():
    layers = keras.layers
    model = keras.Sequential(
        [
            keras.Input((8, 8, 1)),
            layers.Conv2D(2, 3, use_bias=False, name="conv"),
            layers.ReLU(name="relu"),
            layers.Dropout(0.5, name="dropout"),
            layers.Flatten(name="flat"),
            layers.Dense(3, name="logits"),
        ]
    )
    found = operators_of_layers(float_file(model), [layer.name for layer in model.layers])
    assert found["conv"] == found["relu"] != ()
    assert found["dropout"] == ()
    assert len(found["logits"]) == 1


def test_equal_descriptions_are_given_once():
    names, scopes = ["ELU", "ELU", "EXP"], ["m/a_1/Elu", "m/a_1/Elu", "else"]
    assert described(names, scopes, ["a"]) == "ELU (layer 'a'), EXP"

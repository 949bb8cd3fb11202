import keras
import numpy as np
import pytest

import tflite_export

SHAPE, CLASSES = (8, 8, 1), 3


def classifier():
    """A MobileNet in miniature with every layer type that the mobile spaces use."""
    layers = keras.layers
    inputs = keras.Input(SHAPE, name="image")
    x = layers.Rescaling(2.0, offset=-1.0)(inputs)
    x = layers.Conv2D(8, 3, strides=2, padding="same", use_bias=False)(x)
    x = layers.ReLU(6.0)(layers.BatchNormalization()(x))
    y = layers.DepthwiseConv2D(3, padding="same", use_bias=False)(x)
    y = layers.Activation("hard_swish")(layers.BatchNormalization()(y))
    gate = layers.GlobalAveragePooling2D(keepdims=True)(y)
    gate = layers.Conv2D(4, 1, activation="relu")(gate)
    gate = layers.Conv2D(8, 1, activation="hard_sigmoid")(gate)
    y = layers.Conv2D(8, 1, use_bias=False)(layers.Multiply()([y, gate]))
    x = layers.Add()([x, layers.BatchNormalization()(y)])
    x = layers.GlobalAveragePooling2D()(x)
    return keras.Model(inputs, layers.Dense(CLASSES, name="logits")(x))


@pytest.fixture(scope="session")
def x():
    return np.random.default_rng(1).random((200, *SHAPE), dtype=np.float32)


@pytest.fixture(scope="session")
def model(x):
    """Weights as after training: batch statistics set, and every class predicted."""
    keras.utils.set_random_seed(0)
    model = classifier()
    rng = np.random.default_rng(0)
    for layer in model.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.set_weights([rng.uniform(0.5, 1.5, w.shape) for w in layer.get_weights()])
    logits = model.get_layer("logits")
    outputs = np.asarray(model(x))
    kernel = logits.kernel.numpy() / outputs.std(axis=0)
    logits.set_weights([kernel, -(outputs / outputs.std(axis=0)).mean(axis=0)])
    return model


@pytest.fixture(scope="session")
def labels(model, x):
    """What the model says, but for one label in ten."""
    labels = np.asarray(model(x)).argmax(axis=1)
    labels[::10] = (labels[::10] + 1) % CLASSES
    return labels


@pytest.fixture(scope="session")
def content(model, x):
    return tflite_export.convert(model, "int8", x)

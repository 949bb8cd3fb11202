import keras
import numpy as np
import pytest

import tflite_export
from tflite_export.layer_graph import read_layers
from tflite_export.pruning import prune, without_channels

layers = keras.layers


def costs(model):
    graph = read_layers(model)
    return {"params": graph.params, "macs": graph.macs}


@pytest.fixture
def compiled(model):
    clone = keras.models.clone_model(model)
    clone.set_weights(model.get_weights())
    clone.compile(loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    return clone


def silenced(model, names, channels):
    """Normalisations that give zero for some channels."""
    for name in names:
        layer = model.get_layer(name)
        weights = layer.get_weights()
        for weight in weights[:2]:
            weight[list(channels)] = 0.0
        layer.set_weights(weights)


def residual():
    """Two blocks around sums, with a gate, and a flattened end."""
    keras.utils.set_random_seed(0)
    inputs = keras.Input((8, 8, 1))
    x = layers.Conv2D(8, 3, padding="same", name="stem")(inputs)
    x = layers.ReLU(6.0)(layers.BatchNormalization(name="stem_norm")(x))
    y = layers.Conv2D(12, 1, name="wide")(x)
    y = layers.Activation("hard_silu")(layers.BatchNormalization(name="wide_norm")(y))
    y = layers.DepthwiseConv2D(3, padding="same", use_bias=False, name="deep")(y)
    y = layers.Activation("hard_silu")(layers.BatchNormalization(name="deep_norm")(y))
    gate = layers.GlobalAveragePooling2D()(y)
    gate = layers.Dense(4, activation="relu", name="squeeze")(gate)
    gate = layers.Dense(12, activation="hard_sigmoid", name="excite")(gate)
    y = layers.Multiply()([y, layers.Reshape((1, 1, 12))(gate)])
    y = layers.BatchNormalization(name="narrow_norm")(layers.Conv2D(8, 1, name="narrow")(y))
    x = layers.Dropout(0.1)(layers.Add(name="sum")([x, y]))
    x = layers.Flatten()(layers.MaxPooling2D(4)(x))
    model = keras.Model(inputs, layers.Dense(3, name="logits")(x))
    rng = np.random.default_rng(0)
    for layer in model.layers:
        if isinstance(layer, layers.BatchNormalization):
            layer.set_weights([rng.uniform(0.5, 1.5, w.shape) for w in layer.get_weights()])
    return model


class TestWithoutChannels:
    def test_outputs_are_the_same_when_the_channels_were_zero(self, x):
        model = residual()
        silenced(model, ["stem_norm", "narrow_norm"], [1, 4, 5])
        silenced(model, ["wide_norm", "deep_norm"], [0, 7])
        smaller = without_channels(model, {"narrow": [1, 4, 5], "wide": [0, 7]})
        np.testing.assert_allclose(np.asarray(smaller(x)), np.asarray(model(x)), atol=1e-5)
        shapes = {layer.name: tuple(layer.output.shape[1:]) for layer in smaller.layers}
        assert shapes["stem"] == shapes["narrow"] == shapes["sum"] == (8, 8, 5)
        assert shapes["deep"] == (8, 8, 10)
        assert shapes["excite"] == (10,)
        assert shapes["squeeze"] == (4,)
        assert smaller.get_layer("logits").kernel.shape == (2 * 2 * 5, 3)

    def test_outputs_change_when_they_were_not(self, x):
        model = residual()
        smaller = without_channels(model, {"wide": [0]})
        assert np.abs(np.asarray(smaller(x)) - np.asarray(model(x))).max() > 1e-3

    def test_layers_are_stock_and_the_file_is_smaller(self, x):
        model = residual()
        smaller = without_channels(model, {"wide": range(8), "squeeze": [0]})
        assert [type(layer) for layer in smaller.layers] == [type(y) for y in model.layers]
        sizes = [len(tflite_export.convert(each, "float32")) for each in (model, smaller)]
        assert sizes[1] < sizes[0]

    @pytest.mark.parametrize(
        ("removed", "message"),
        [
            ({"logits": [0]}, r"Received: 'logits'\. .*stem, "),
            ({"absent": [0]}, r"Received: 'absent'"),
            ({"wide": [12]}, r"0 to 11\. Received: 'wide' without \[12\]"),
            ({"wide": range(12)}, r"Leave at least one"),
        ],
    )
    def test_what_cannot_go_is_refused(self, removed, message):
        with pytest.raises(ValueError, match=message):
            without_channels(residual(), removed)

    def test_channels_that_something_unknown_reads_stay(self):
        inputs = keras.Input((8, 8, 1))
        x = layers.Conv2D(4, 3, name="free")(inputs)
        x = layers.Conv2D(4, 3, name="known")(x)
        x = layers.LayerNormalization()(x)
        model = keras.Model(inputs, layers.Conv2D(2, 1, activation="softmax")(x))
        without_channels(model, {"free": [0]})
        with pytest.raises(ValueError, match=r"Layers with removable channels: free\."):
            without_channels(model, {"known": [0]})


class TestPrune:
    def test_the_least_important_channels_go(self, x, labels):
        model = residual()
        model.compile(loss="sparse_categorical_crossentropy")
        for name in ("wide", "excite"):  # which go together
            layer = model.get_layer(name)
            kernel, bias = layer.get_weights()
            kernel[..., [2, 3, 5, 7]] *= 0.01
            layer.set_weights([kernel, bias])
        smaller = prune(model, 0.15, (x, labels), epochs=0)
        assert smaller.get_layer("wide").kernel.shape[-1] == 8
        kept = [i for i in range(12) if i not in (2, 3, 5, 7)]
        np.testing.assert_array_equal(
            smaller.get_layer("deep").get_weights()[0],
            model.get_layer("deep").get_weights()[0][:, :, kept],
        )

    def test_the_scale_of_the_norm_is_another_criterion(self, x, labels):
        model = residual()
        model.compile(loss="sparse_categorical_crossentropy")
        silenced(model, ["wide_norm", "deep_norm"], [8, 9, 10, 11])
        smaller = prune(model, 0.17, (x, labels), epochs=0, criterion="batch_norm")
        np.testing.assert_allclose(np.asarray(smaller(x)), np.asarray(model(x)), atol=1e-5)
        assert smaller.get_layer("wide").kernel.shape[-1] == 8

    @pytest.mark.parametrize("bounds", [{"macs": 0.6}, {"params": 0.7, "macs": 0.9}])
    def test_bounds_are_kept_and_nearly_used(self, compiled, x, labels, bounds):
        before = costs(compiled)
        target = {name: share * before[name] for name, share in bounds.items()}
        after = costs(prune(compiled, target, (x, labels), epochs=0, divisor=1))
        assert all(after[name] <= bound for name, bound in target.items())
        assert any(after[name] > 0.8 * bound for name, bound in target.items())

    def test_kept_channels_are_multiples_of_the_divisor(self, x, labels):
        model = residual()
        model.compile(loss="sparse_categorical_crossentropy")
        smaller = prune(model, 0.5, (x, labels), epochs=0, divisor=4)
        filters = [layer.filters for layer in smaller.layers if hasattr(layer, "filters")]
        assert any(now < 8 for now in filters)
        assert all(number % 4 == 0 for number in filters)

    def test_the_smaller_model_is_trained_on(self, compiled, x, labels):
        untrained = prune(compiled, 0.4, (x, labels), epochs=0, divisor=1)
        history = keras.callbacks.History()
        trained = prune(compiled, 0.4, (x, labels), epochs=4, divisor=1, callbacks=[history])
        assert costs(untrained) == costs(trained) != costs(compiled)
        assert history.history["loss"][-1] < history.history["loss"][0]

    def test_macs_are_those_of_the_layers(self):
        expected = {"stem": 64 * 9 * 8, "wide": 64 * 8 * 12, "deep": 64 * 9 * 12}
        expected |= {"squeeze": 12 * 4, "excite": 4 * 12, "narrow": 64 * 12 * 8}
        expected |= {"logits": 2 * 2 * 8 * 3}
        model = residual()
        assert costs(model) == {"macs": sum(expected.values()), "params": model.count_params()}

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            ({"target": 1.0}, r"Received: target=1\.0"),
            ({"target": {"flash": 1}}, r"Received: target=\{'flash': 1\}"),
            ({"target": {"macs": 10}}, r"cannot be met.*smallest model has [\d,]+ macs"),
            ({"target": 0.5, "criterion": "l2"}, r"'l1', 'batch_norm'.*Did you mean 'l1'"),
            ({"target": 0.5, "divisor": 0}, r"Received: divisor=0"),
        ],
    )
    def test_bad_arguments_are_refused(self, compiled, x, labels, arguments, message):
        with pytest.raises(ValueError, match=message):
            prune(compiled, train_data=(x, labels), **arguments)

    def test_a_model_that_is_not_compiled_is_refused(self, x, labels):
        with pytest.raises(ValueError, match=r"not compiled"):
            prune(residual(), 0.5, (x, labels))

import keras
import numpy as np
import pytest
import tensorflow as tf

import tflite_export
from tflite_export.fine_tuning import fine_tune
from tflite_export.retraining import batches
from tflite_export.verification import predict

layers = keras.layers


def compiled(model):
    clone = keras.models.clone_model(model)
    clone.set_weights(model.get_weights())
    clone.compile(
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
    )
    return clone


@pytest.fixture(scope="module")
def trained(model):
    return compiled(model)


@pytest.fixture(scope="module")
def tuned(trained, x, labels):
    return fine_tune(
        trained, (x, labels), epochs=2, weight_bits=4, validation_data=(x, labels)
    )


class TestResult:
    def test_training_lowers_the_loss_of_the_rounding_model(self, tuned):
        assert tuned.history["loss"][1] < tuned.history["loss"][0]
        assert set(tuned.history) >= {"loss", "accuracy", "val_loss", "val_accuracy"}

    def test_model_and_file_agree(self, tuned, x):
        actual = tflite_export.run(tuned.content, x).argmax(axis=1)
        assert (predict(tuned.model, x).argmax(axis=1) == actual).mean() >= 0.98
        assert tflite_export.tensor_dtypes(tuned.content)["int4"] == 6

    def test_the_float_model_has_the_learned_weights_and_stock_layers(self, tuned, trained, x):
        stock = tuned.float_model
        assert all(type(layer).__module__.startswith("keras.") for layer in stock.layers)
        moved = np.abs(predict(stock, x) - predict(trained, x)).mean()
        assert moved > 0.01
        apart = np.abs(predict(stock, x) - predict(tuned.model, x)).mean()
        assert apart < predict(stock, x).std()
        assert stock.evaluate(x[:9], np.zeros(9), verbose=0, return_dict=True).keys() >= {
            "accuracy"
        }

    def test_the_model_is_left_alone(self, tuned, trained, model):
        for before, after in zip(model.get_weights(), trained.get_weights(), strict=True):
            np.testing.assert_array_equal(before, after)

    def test_same_seed_same_file(self, x, labels):
        inputs = keras.Input(x.shape[1:])
        small = layers.Dense(3)(layers.Flatten()(inputs))
        model = keras.Model(inputs, small)
        model.compile(loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True))
        files = [
            fine_tune(model, (x, labels), epochs=1, seed=seed).content for seed in (1, 1, 2)
        ]
        assert files[0] == files[1] != files[2]

    def test_without_epochs_it_only_quantizes(self, trained, x, labels):
        tuned = fine_tune(trained, (x, labels), epochs=0)
        expected = predict(trained, x)
        error = np.abs(tflite_export.run(tuned.content, x) - expected).mean()
        assert error < 0.2 * expected.std()
        assert tuned.history == {}


class TestData:
    def examples(self, data):
        return [tuple(part.numpy() for part in batch) for batch in batches(data, (4,), 2, 0)]

    def test_arrays_are_shuffled_and_batched_with_their_weights(self):
        x, y = np.arange(20.0).reshape(5, 4), np.arange(5)
        found = self.examples((x, y, y + 0.5))
        assert [len(batch[0]) for batch in found] == [2, 2, 1]
        order = np.concatenate([batch[1] for batch in found])
        assert sorted(order) == [0, 1, 2, 3, 4]
        assert list(order) != [0, 1, 2, 3, 4]
        np.testing.assert_array_equal(np.concatenate([batch[0] for batch in found]), x[order])
        np.testing.assert_array_equal(np.concatenate([b[2] for b in found]), order + 0.5)

    def test_data_sets_are_taken_batched_or_not_and_as_dictionaries(self):
        whole = tf.data.Dataset.from_tensor_slices((np.zeros((6, 4)), np.arange(6)))
        assert len(self.examples(whole)) == 3
        assert [len(x) for x, _ in self.examples(whole.batch(4))] == [4, 2]
        named = whole.map(lambda x, y: {"image": x, "label": y, "id": y})
        assert [x.shape for x, _ in self.examples(named)] == [(2, 4)] * 3

    @pytest.mark.parametrize(
        ("data", "error", "message"),
        [
            (np.zeros((5, 4)), TypeError, r"needs labels"),
            ({"a": 1, "b": 2}, TypeError, r"a dictionary of \['a', 'b'\]"),
            ((np.zeros((5, 3)), np.zeros(5)), ValueError, r"\('n', 4\).*\('n', 3\)"),
            (
                tf.data.Dataset.from_tensors((np.zeros((5, 3)), np.zeros(5))),
                ValueError,
                r"\(5, 3\)",
            ),
            (
                tf.data.Dataset.from_tensors((np.zeros((5, 4)), np.zeros(5))).repeat(),
                ValueError,
                r"repeats for ever.*take",
            ),
        ],
    )
    def test_other_data_is_refused(self, data, error, message):
        with pytest.raises(error, match=message):
            batches(data, (4,), 2, 0)


class TestRefuses:
    def test_a_model_that_is_not_compiled(self, model, x, labels):
        with pytest.raises(ValueError, match=r"must be compiled.*Received: .*not compiled"):
            fine_tune(model, (x, labels))
        with pytest.raises(TypeError, match=r"Received: str"):
            fine_tune("model.keras", (x, labels))

    def test_negative_epochs(self, trained, x, labels):
        with pytest.raises(ValueError, match=r"Received: epochs=-1"):
            fine_tune(trained, (x, labels), epochs=-1)


@pytest.mark.slow
def test_it_recovers_most_of_what_4_bits_cost_and_file_and_model_agree():
    from benchmarks.fine_tuning import measure
    from benchmarks.small_networks import load

    record = measure(load("digits"), "digits", 4, 4, False, epochs=10, rate=1e-3)
    drop = record["control"] - record["control_ptq"]
    assert drop > 0.01
    assert record["tuned"] - record["control_ptq"] > 0.5 * drop
    assert record["agreement"] >= 0.995

import keras
import keras_tuner
import numpy as np
import pytest
import tensorflow as tf

from kerasnas.data import load
from kerasnas.examples import Examples
from kerasnas.normalization import FusedBatchNormalization
from kerasnas.training import (
    STEP_SECONDS,
    Recipe,
    TimeLimit,
    Trained,
    batch_size,
    full,
    look,
)
from search_spaces.mobile import MobileNet
from search_spaces.task import Classification


def images(count, shape=(8, 8, 1), classes=3, seed=0):
    rng = np.random.default_rng(seed)
    y = np.arange(count) % classes
    x = rng.normal(size=(count, *shape)).astype("float32") + y[:, None, None, None]
    return Examples(x, y)


@pytest.fixture
def space():
    return MobileNet((8, 8, 1), 3)


@pytest.fixture
def hp():
    hp = keras_tuner.HyperParameters()
    hp.values = {"stage0/depth": 1, "stage1/depth": 0, "stem/filters": 8}
    return hp


class Looked(keras.callbacks.Callback):
    """Remembers what was shown."""

    def __init__(self):
        super().__init__()
        self.epochs, self.batches, self.rates = [], 0, []

    def on_train_batch_end(self, batch, logs=None):
        self.batches += 1
        self.rates.append(float(self.model.optimizer.learning_rate))

    def on_epoch_end(self, epoch, logs=None):
        self.epochs.append(epoch)


class TestLessTraining:
    def fit(self, space, hp, values=(), **kwargs):
        hp.values |= dict(values)
        trained = Trained(space, Recipe(epochs=2, batch_size=8, augment=False))
        model, looked = trained.build(hp), Looked()
        trained.fit(hp, model, images(64), images(24, seed=1), callbacks=[looked], **kwargs)
        return model, looked

    def test_a_run_that_continues_counts_epochs_on(self, space, hp):
        _, looked = self.fit(space, hp, epochs=5, initial_epoch=3)
        assert looked.epochs == [3, 4]

    def test_the_learning_rate_rises_and_falls_in_each_run(self, space, hp):
        _, looked = self.fit(space, hp, epochs=5, initial_epoch=3)
        assert max(looked.rates) > 3e-3
        assert looked.rates[-1] < 1e-4

    def test_a_share_of_the_examples_takes_a_share_of_the_steps(self, space, hp):
        _, looked = self.fit(space, hp, {"tuner/examples": 0.25})
        assert looked.batches == 2 * 64 // 4 // 8

    def test_smaller_images_are_shown_to_the_same_weights(self, hp):
        space = MobileNet((16, 16, 1), 3)
        train, judged = (images(24, (16, 16, 1), seed=seed) for seed in (0, 1))
        hp.values["tuner/resolution"] = 0.75
        trained = Trained(space, Recipe(epochs=1, batch_size=8, augment=False))
        model = trained.build(hp)
        assert model.input_shape == (None, 12, 12, 1)
        trained.fit(hp, model, train, judged)
        hp.values.pop("tuner/resolution")
        full = trained.build(hp)
        full.set_weights(model.get_weights())
        assert full.input_shape == (None, 16, 16, 1)

    def test_images_are_averaged_not_skipped(self):
        x = np.zeros((2, 4, 4, 1), "uint8")
        x[0, :2, :2] = [[[10], [20]], [[30], [41]]]
        small = Examples(x, np.arange(2)).resized((2, 2))
        assert small.x[:].dtype == np.uint8
        assert small.x[:][0, ..., 0].tolist() == [[25, 0], [0, 0]]


class TestRecipe:
    def test_the_learning_rate_rises_peaks_and_falls_to_zero(self):
        recipe = Recipe(epochs=10, batch_size=10, learning_rate=0.1, warmup=0.2)
        optimizer = recipe.optimizer(examples=95)
        rates = []
        for step in range(101):
            optimizer.iterations.assign(step)
            rates.append(float(optimizer.learning_rate))
        assert np.argmax(rates) == 20
        assert rates[20] == pytest.approx(0.1)
        assert rates[0] < 0.01
        assert rates[100] == pytest.approx(0.0, abs=1e-6)

    def test_training_learns(self, space, hp):
        trained = Trained(space, Recipe(epochs=15, batch_size=16))
        model = trained.build(hp)
        history = trained.fit(hp, model, images(96), images(48, seed=1))
        assert history.history["val_accuracy"][-1] > 0.8

    def test_each_epoch_says_how_long_a_step_takes(self, space, hp):
        trained = Trained(space, Recipe(epochs=2, batch_size=16))
        history = trained.fit(hp, trained.build(hp), images(32))
        assert len(history.history[STEP_SECONDS]) == 2
        assert 0 < history.history[STEP_SECONDS][0] < 1  # without tracing, which takes seconds

    def test_patience_stops_a_training_that_no_longer_gains(self, space, hp):
        recipe = Recipe(epochs=20, batch_size=16, patience=1, learning_rate=1e-9)
        trained = Trained(space, recipe)
        noise = Examples(images(32).x[:], np.roll(images(32).y, 1))
        history = trained.fit(hp, trained.build(hp), images(32), noise)
        assert len(history.history["loss"]) < 20

    def test_balancing_weighs_rare_classes_up(self, space, hp):
        seen = {}

        class Spy(keras_tuner.HyperModel):
            def build(self, hp):
                return space.build(hp)

            def fit(self, hp, model, data, **kwargs):
                for _, y, weight in data:
                    seen.update(zip(y.numpy(), weight.numpy(), strict=True))

        rare = Examples(images(40).x[:], np.array([0] * 30 + [1] * 10))
        recipe = Recipe(1, 8, class_weight="balanced")
        Trained(Spy(), recipe, Classification(2)).fit(hp, None, rare)
        assert seen == {0: pytest.approx(40 / 60), 1: pytest.approx(40 / 20)}


class TestTrained:
    def test_the_ready_model_is_stock_and_answers_as_the_trained_one(self, space, hp):
        trained = Trained(space, Recipe(epochs=1, batch_size=16))
        model = trained.build(hp)
        trained.fit(hp, model, images(32))
        ready = trained.ready(hp, model)
        assert any(isinstance(layer, FusedBatchNormalization) for layer in model.layers)
        assert all(type(layer).__module__.startswith("keras.") for layer in ready.layers)
        x = images(8).x[:]
        np.testing.assert_allclose(ready(x), model(x), atol=1e-5)
        assert set(ready.evaluate(x, images(8).y, verbose=0, return_dict=True)) == {
            "loss",
            "accuracy",
        }

    def test_the_same_seed_gives_the_same_first_weights(self, space, hp):
        one, same, other = (
            Trained(space, Recipe(1, 16, seed=seed)).build(hp).get_weights()
            for seed in (0, 0, 1)
        )
        assert all(np.array_equal(a, b) for a, b in zip(one, same, strict=True))
        assert not all(np.array_equal(a, b) for a, b in zip(one, other, strict=True))

    def test_mixed_precision_trains_and_ends_in_float32(self, space, hp):
        trained = Trained(space, Recipe(1, 16, mixed_precision=True))
        model = trained.build(hp)
        trained.fit(hp, model, images(16))
        assert model.layers[1].compute_dtype == "float16"
        ready = trained.ready(hp, model)
        assert {layer.compute_dtype for layer in ready.layers} == {"float32"}

    def test_a_foreign_model_keeps_its_optimizer(self, hp):
        class Foreign(keras_tuner.HyperModel):
            def build(self, hp):
                model = keras.Sequential(
                    [keras.Input((8, 8, 1)), keras.layers.Flatten(), keras.layers.Dense(3)]
                )
                loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
                model.compile("sgd", loss)
                return model

        trained = Trained(Foreign(), Recipe(2, 16))
        model = trained.build(hp)
        history = trained.fit(hp, model, images(32), images(16))
        assert isinstance(model.optimizer, keras.optimizers.SGD)
        assert len(history.history["val_loss"]) == 2
        assert trained.ready(hp, model) is model


class TestSchedule:
    def test_a_look_shows_thirty_thousand_images_whatever_the_size(self):
        for count in (1500, 40_000):
            x = np.zeros((count, 8, 8, 1), "uint8")
            recipe, part, _ = look(load((x, np.arange(count) % 3)))
            assert 25_000 < recipe.epochs * len(part) <= 30_000

    def test_larger_data_get_fewer_epochs_and_larger_batches(self):
        epochs = [full(count).epochs for count in (500, 20_000, 60_000)]
        assert epochs == sorted(epochs, reverse=True)
        batches = [batch_size(count) for count in (100, 1150, 5000, 60_000)]
        assert batches == [16, 16, 64, 128]

    def test_a_time_limit_stops_within_a_step(self, space, hp):
        trained = Trained(space, Recipe(epochs=50, batch_size=16))
        history = trained.fit(hp, trained.build(hp), images(64), callbacks=[TimeLimit(0)])
        assert len(history.history["loss"]) == 1


class TestFusedBatchNormalization:
    @pytest.mark.parametrize("training", [True, False])
    @pytest.mark.parametrize("channels", [5, 16])
    def test_it_computes_what_keras_computes(self, training, channels):
        x = np.random.default_rng(0).normal(2, 3, size=(64, 4, 4, channels)).astype("float32")
        ours = FusedBatchNormalization(momentum=0.9)
        theirs = keras.layers.BatchNormalization(momentum=0.9)
        for _ in range(3):
            np.testing.assert_allclose(
                ours(x, training=training), theirs(x, training=training), atol=1e-4
            )
        for mine, stock in zip(ours.weights, theirs.weights, strict=True):
            np.testing.assert_allclose(mine, stock, rtol=1e-4, atol=1e-5)

    @pytest.mark.parametrize("channels", [5, 16])
    def test_its_gradients_are_those_of_keras(self, channels):
        rng = np.random.default_rng(0)
        x = tf.constant(rng.normal(2, 3, size=(64, 4, 4, channels)), tf.float32)
        upstream = tf.constant(rng.normal(size=x.shape), tf.float32)
        gradients = []
        for kind in (FusedBatchNormalization, keras.layers.BatchNormalization):
            layer = kind()
            layer.build(x.shape)
            layer.gamma.assign(np.arange(1.0, channels + 1))
            with tf.GradientTape() as tape:
                tape.watch(x)
                y = layer(x, training=True)
            wanted = [x, *(v.value for v in layer.trainable_variables)]
            gradients.append(tape.gradient(y, wanted, upstream))
        for mine, stock in zip(*gradients, strict=True):
            np.testing.assert_allclose(mine, stock, rtol=1e-3, atol=1e-3)


def test_variation_waits_for_many_epochs():
    examples = images(16)

    def totals(x):
        return np.sort(x.sum(axis=(1, 2, 3)))

    plain, varied = (
        next(iter(Recipe(epochs, 16).batches(examples)))[0].numpy() for epochs in (3, 30)
    )
    np.testing.assert_allclose(totals(plain), totals(examples.x[:]), rtol=1e-5)
    assert not np.allclose(totals(varied), totals(examples.x[:]), rtol=1e-3)


def test_a_part_of_an_epoch_shows_every_time_others(space, hp):
    seen = []

    class Spy(keras_tuner.HyperModel):
        def fit(self, hp, model, train, **kwargs):
            for _, (_, y) in zip(range(6), train, strict=False):
                seen.extend(y.numpy().tolist())
            assert kwargs["epochs"] == 3
            assert kwargs["steps_per_epoch"] == 2

    data = Examples(images(32).x[:], np.arange(32))
    recipe = Recipe(3, 8, share=0.5)
    assert recipe.steps(32) == 2
    Trained(Spy(), recipe, Classification(32)).fit(hp, None, data)
    assert sorted(seen[:32]) == list(range(32))
    assert len(seen) == 48

"""What candidates, models and files cost, on paper and on devices."""

import dataclasses

import keras
import keras_tuner
import numpy as np
import pytest

import kerasnas
import tflite_export
from edge_devices.device import Device
from kerasnas.costs import (
    Costs,
    as_device,
    exceeded,
    is_supported,
    of_file,
    of_model,
    tightest,
)
from search_spaces import blocks
from search_spaces.realise import realise
from search_spaces.space import SearchSpace

SMALL = Device("small", flash="64KB", ram="32KB", core="cortex-m4", clock_hz=80e6)


class Tiny(SearchSpace):
    def body(self, hp, x):
        x = blocks.conv(x, hp.Choice("filters", [4, 8]), 3)
        return blocks.conv(x, 8, 3, activation=hp.Choice("last", ["relu6", "hard_silu"]))


class Known(keras_tuner.HyperModel):
    """A foreign model of layers that descriptions have."""

    def build(self, hp):
        return keras.Sequential(
            [
                keras.Input((8, 8, 1)),
                keras.layers.Conv2D(hp.Choice("filters", [4, 8]), 3, padding="same"),
                keras.layers.ReLU(),
                keras.layers.GlobalAveragePooling2D(),
                keras.layers.Dense(3),
            ]
        )


class Unknown(keras_tuner.HyperModel):
    """A foreign model with a layer that they have not."""

    def build(self, hp):
        inputs = keras.Input((8, 8, 1))
        x = keras.layers.Conv2D(hp.Choice("filters", [4, 8]), 3)(inputs)
        return keras.Model(inputs, keras.layers.Conv2DTranspose(2, 3)(x))


@pytest.fixture
def space():
    return Tiny((8, 8, 1), 3)


def filled(model, seed=0):
    """A model whose weights, statistics included, are random."""
    rng = np.random.default_rng(seed)
    model.set_weights([rng.uniform(0.5, 1.5, w.shape) for w in model.get_weights()])
    return model


def file_of(model):
    x = np.random.default_rng(1).random((8, *model.input_shape[1:]), dtype=np.float32)
    return tflite_export.convert(model, "int8", x)


class TestCostsOfDescribedNetworks:
    def test_are_those_of_the_space_and_quick(self, space):
        costs = Costs(space)
        assert costs({"filters": 4}) == space.costs({"filters": 4})
        assert not costs.slow

    def test_have_those_of_the_device_beside_them(self, space):
        costs = Costs(space, SMALL, ["latency_ms"])
        slow, quick = costs({"filters": 8}), costs({"filters": 4})
        assert slow["latency_ms"] > quick["latency_ms"] > 0
        assert not costs.slow

    def test_agree_with_the_file(self, space):
        values = {"filters": 8}
        content = file_of(filled(realise(space.network(values))))
        told, found = Costs(space, SMALL)(values), of_file(content, SMALL, ["ram"])
        assert found["macs"] == told["macs"]
        assert found["ram"] == pytest.approx(told["ram"], rel=0.02)
        assert found["flash"] == pytest.approx(told["flash"], rel=0.08)
        assert found["latency_ms"] == pytest.approx(told["latency_ms"], rel=0.02)

    def test_that_only_a_device_has_need_one(self, space):
        with pytest.raises(ValueError, match="latency_ms, where no device is given"):
            Costs(space, wanted=["latency_ms"])

    def test_that_another_device_has_are_refused(self, space):
        with pytest.raises(ValueError, match="npu_cycles, where device='small' has none"):
            Costs(space, SMALL, ["npu_cycles"])

    def test_of_an_npu_are_its_compilers(self, space):
        pytest.importorskip("ethosu.vela", reason="needs the extra `npu`")
        device = as_device("ethos-u55-128")
        costs = Costs(space, device, ["npu_cycles"])
        larger = Costs(Tiny((16, 16, 1), 3), device, ["npu_cycles"])
        large, small = larger({"filters": 8}), costs({"filters": 8})
        assert large["npu_cycles"] > small["npu_cycles"] > 0
        assert costs.slow


class TestCostsOfForeignModels:
    def test_follow_from_reading_the_model(self):
        costs = Costs(Known(), SMALL)
        content = file_of(filled(Known().build(keras_tuner.HyperParameters())))
        told, found = costs({"filters": 4}), of_file(content, SMALL, ["ram"])
        assert set(told) >= {"params", "macs", "flash", "ram", "latency_ms"}
        assert told["macs"] == found["macs"] == 64 * 9 * 4 + 4 * 3
        assert told["flash"] == pytest.approx(found["flash"], rel=0.08)
        assert costs.slow

    def test_are_measured_on_a_file_where_it_cannot_be_read(self):
        told = Costs(Unknown())({"filters": 4})
        model = Unknown().build(keras_tuner.HyperParameters())
        assert told["params"] == model.count_params()
        assert told["flash"] > told["params"]
        assert told == of_model(model)

    def test_need_an_input_shape(self):
        class Unbuilt(keras_tuner.HyperModel):
            def build(self, hp):
                return keras.Sequential([keras.layers.Dense(2)])

        with pytest.raises(ValueError, match=r"not built\. Give it a"):
            Costs(Unbuilt())({})


@pytest.fixture(scope="module")
def content():
    return file_of(filled(realise(Tiny((8, 8, 1), 3).network({}))))


class TestLimitsOfFiles:
    def test_hold_or_are_named_with_what_the_file_needs(self, content):
        assert exceeded(content, {"flash": len(content), "ram": 1e6, "macs": 1e9}) == {}
        assert exceeded(content, {"flash": 100, "ram": 1e6}) == {"flash": len(content)}
        assert set(exceeded(content, {"ram": 10, "macs": 10})) == {"ram", "macs"}

    def test_on_a_devices_costs_too(self, content):
        assert set(exceeded(content, {"latency_ms": 1e-4}, SMALL)) == {"latency_ms"}

    def test_are_not_kept_where_nothing_tells_the_cost(self):
        model = filled(realise(Tiny((8, 8, 1), 3).network({})))
        wide = tflite_export.convert(model, "int16x8", np.zeros((2, 8, 8, 1), np.float32))
        assert exceeded(wide, {"latency_ms": 1e9}, SMALL) == {"latency_ms": np.inf}

    def test_on_parameters_are_not_the_files_matter(self, content):
        assert exceeded(content, {"params": 1}) == {}


class TestDevices:
    def test_are_known_by_name(self):
        assert as_device("cortex-m4").name == "cortex-m4"
        assert as_device(SMALL) is SMALL
        assert as_device(None) is None

    def test_of_no_kind_are_refused(self):
        with pytest.raises(TypeError, match=r"name or an `edge_devices.Device`.*device=7"):
            as_device(7)

    def test_with_an_unknown_name_are_refused_with_the_nearest(self):
        with pytest.raises(ValueError, match="Did you mean 'cortex-m7'"):
            as_device("cortex-m77")

    def test_say_which_networks_they_run(self, space):
        runs = is_supported(as_device("cortex-m4"))
        assert runs(space.network({"last": "relu6"}))
        assert not runs(space.network({"last": "hard_silu"}))

    def test_and_limits_of_ones_own_hold_together(self):
        assert tightest({"flash": 10, "macs": 5}, {"flash": 7, "ram": 3}) == {
            "flash": 7,
            "macs": 5,
            "ram": 3,
        }


def test_a_tuner_for_a_device_has_its_limits_and_no_values_it_cannot_run(space, tmp_path):
    tuner = kerasnas.Tuner(
        space,
        oracle=kerasnas.RandomSearch(max_trials=3, seed=0, limits={"flash": "1MB"}),
        device=dataclasses.replace(SMALL, activations=("relu", "relu6")),
        directory=tmp_path,
    )
    assert tuner.oracle.limits == {"flash": 65_536, "ram": 32_768}
    declared = {hp.name: list(hp.values) for hp in tuner.oracle.get_space().space}
    assert declared["last"] == ["relu6"]


def test_a_foreign_model_that_a_device_cannot_run_fails_before_it_is_trained(tmp_path):
    device = Device("no-dense", core="cortex-m4", clock_hz=80e6, operators=["CONV_2D"])
    oracle = kerasnas.RandomSearch("val_loss", max_trials=1, seed=0)
    oracle.verbose = 0
    tuner = kerasnas.Tuner(Known(), oracle=oracle, device=device, directory=tmp_path)
    tuner.search(None, verbose=0)
    (trial,) = tuner.oracle.trials.values()
    assert trial.status == "FAILED"
    assert "no-dense does not run operator" in trial.message


def test_a_foreign_oracle_cannot_keep_a_devices_limits(space, tmp_path):
    oracle = keras_tuner.oracles.RandomSearchOracle("val_loss", max_trials=1)
    with pytest.raises(ValueError, match="Only the oracles of this library"):
        kerasnas.Tuner(space, oracle=oracle, device="cortex-m4", directory=tmp_path)

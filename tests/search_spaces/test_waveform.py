import keras
import numpy as np
import pytest

import tflite_export
from edge_devices import flatbuffer
from search_spaces import costs
from search_spaces.counting import check_stock, count_macs, count_params
from search_spaces.dscnn import DSCNN
from search_spaces.front_end import FrontEnd
from search_spaces.lowering import lower
from search_spaces.members import draws
from search_spaces.mlp import MLP
from search_spaces.realise import realise
from search_spaces.task import Regression
from search_spaces.testing import SpaceContract
from search_spaces.waveform import Waveform

RATE = 4000


def small(input_shape, task):
    return DSCNN(input_shape, task=task, filters=(8, 16))


def recordings(count=16, samples=RATE // 2, seed=0):
    rng = np.random.default_rng(seed)
    level = 10 ** rng.uniform(-3, 0, (count, 1))
    return np.clip(rng.normal(0, 0.3, (count, samples)) * level, -1, 1).astype(np.float32)


class TestTheContract(SpaceContract):
    smallest = (400,)
    realised = 1

    def make(self, input_shape=(1200,)):
        return Waveform(input_shape, 3, sample_rate=RATE, space=small)

    def test_the_docstring_lists_every_decision_and_its_values(self):
        # Those of the space behind are in its own docstring.
        assert_listed(self.make())


class TestTheContractWithTheFrontEndOutside(TestTheContract):
    def make(self, input_shape=(1200, 1)):
        return Waveform(input_shape, 3, sample_rate=RATE, space=small, in_graph=False)

    @pytest.mark.parametrize("which", ["default", "random", "first values", "last values"])
    def test_the_realised_model_is_what_was_described(self, which):
        made = self.make()
        for values, network, _ in self._chosen(made, which):
            front_end, behind = made.exported(realise(network))
            check_stock(front_end)
            check_stock(behind)
            assert count_params(behind) == costs.params(network), values
            assert count_macs(behind) == costs.macs(network), values
            assert behind.output_shape[1:] == network.output_shape, values
            keras.backend.clear_session()


def assert_listed(space):
    names = {hp.name for hp in space.hyperparameters().space}
    names -= {hp.name for hp in space.space.hyperparameters().space}
    assert names
    assert all(f"`{name}`" in Waveform.__doc__ for name in names)


def decisions(space):
    return {hp.name: list(hp.values) for hp in space.hyperparameters().space}


@pytest.mark.parametrize(
    ("samples", "rate", "bands", "hops"),
    [
        (16_000, 16_000, [20, 40, 64], [10, 20]),
        (47_999, 16_000, [20, 40, 64], [10, 20]),
        (48_000, 16_000, [20, 40, 64], [20, 40]),
        (2000, 2000, [20, 40], [10, 20]),
        (1000, 500, [10], [10, 20]),
    ],
)
def test_sample_rate_and_length_settle_what_front_ends_there_are(samples, rate, bands, hops):
    found = decisions(Waveform((samples,), 3, sample_rate=rate, space=small))
    assert found["front_end/bands"] == bands
    assert found["front_end/hop_ms"] == hops


def test_the_front_end_is_that_of_the_decisions():
    space = Waveform((16_000,), 3, sample_rate=16_000, rescaling=(1 / 32768, 0))
    values = {"front_end": "mfcc", "front_end/coefficients": 20, "front_end/bands": 64}
    values |= {"front_end/frame_ms": 25, "front_end/hop_ms": 10}
    expected = FrontEnd("mfcc", 16_000, 16_000, 400, 160, 64, 20, 1 / 32768)
    assert space.front_end(values) == expected


def test_front_ends_with_features_of_one_shape_are_told_apart():
    space = Waveform((4000,), 3, sample_rate=8000, in_graph=False)
    mel = {"front_end": "log_mel", "front_end/bands": 20}
    mfcc = {"front_end": "mfcc", "front_end/coefficients": 20}
    assert space.front_end(mel).shape == space.front_end(mfcc).shape
    assert space.identity(mel) != space.identity(mfcc)
    assert space.costs(mel) == space.costs(mfcc)


@pytest.mark.parametrize("family", ["dscnn", "mobilenet", "resnet", "tcn", "recurrent"])
def test_spaces_of_audio_images_and_series_fit_behind_any_front_end(family):
    space = Waveform((8000,), 3, sample_rate=8000, space=family)
    for member in draws(space, 20):
        assert member.network.output_shape == (3,)
        assert member.network.layers[1].op == "front_end"


def test_any_task_of_the_space_behind_will_do():
    space = Waveform((4000,), task=Regression(2), sample_rate=8000)
    assert space.network({}).output_shape == (2,)


@pytest.mark.parametrize("shape", [(2000,), (2000, 1)])
def test_a_model_is_taken_apart_into_front_end_and_network(shape, tmp_path):
    space = Waveform(shape, 3, sample_rate=RATE, space=small)
    model = realise(space.network({"front_end": "mfcc"}), seed=0)
    front_end, network = space.split(model)
    x = recordings().reshape(-1, *shape)
    features = space.front_end({"front_end": "mfcc"}).features(x)
    np.testing.assert_allclose(front_end(x), features, atol=1e-3)
    np.testing.assert_allclose(network(features), model(x), atol=1e-3)
    network.save(tmp_path / "network.keras")
    loaded = keras.models.load_model(tmp_path / "network.keras")
    np.testing.assert_allclose(loaded(features), model(x), atol=1e-3)
    assert [weight.path for weight in model.weights] == [w.path for w in network.weights]


def test_the_parts_do_not_share_weights_with_the_model():
    space = Waveform((2000,), 3, sample_rate=RATE, space=small)
    model = realise(space.network({}), seed=0)
    _, network = space.split(model)
    before = np.asarray(model(recordings()))
    network.set_weights([np.zeros(weight.shape) for weight in network.weights])
    np.testing.assert_array_equal(model(recordings()), before)


def test_what_is_exported_depends_on_where_the_front_end_is():
    inside = Waveform((2000,), 3, sample_rate=RATE, space=small)
    outside = Waveform((2000,), 3, sample_rate=RATE, space=small, in_graph=False)
    model = realise(inside.network({}), seed=0)
    assert inside.exported(model) == (None, model)
    assert inside.mixed == {model.layers[1].name: "float32"}
    front_end, network = outside.exported(model)
    assert front_end is model.layers[1]
    assert network.input_shape[1:] == inside.front_end({}).shape
    assert outside.mixed == {}
    plain = small((20, 10), inside.task)
    assert plain.exported(model) == (None, model)
    assert plain.mixed == {}


def drawn(model, seed):
    """Give a model weights of which none is zero, as trained ones are."""
    rng = np.random.default_rng(seed)
    for weight in model.weights:
        low = 0.5 if weight.path.endswith(("gamma", "moving_variance")) else -0.5
        if len(weight.shape) < 2:
            weight.assign(rng.uniform(low, low + 1, weight.shape))
    return model


@pytest.mark.parametrize(
    ("family", "count"),
    [
        (small, 1),
        pytest.param(small, 12, marks=pytest.mark.slow),
        pytest.param("tcn", 12, marks=pytest.mark.slow),
    ],
)
@pytest.mark.parametrize("in_graph", [True, False])
def test_costs_are_those_of_the_file(in_graph, family, count):
    space = Waveform(
        (2013, 1), 3, sample_rate=RATE, space=family, in_graph=in_graph, rescaling=(0.5, 0.0)
    )
    x = recordings(samples=2013)[..., None]
    for seed, (_, network, _) in enumerate(draws(space, count, seed=1)):
        front_end, behind = space.exported(drawn(realise(network, seed=0), seed))
        given = x if front_end is None else np.asarray(front_end(x))
        content = tflite_export.convert(behind, "int8", given, mixed=space.mixed)
        program, found = lower(network), flatbuffer.read(content)
        assert program.operators == found.operators
        assert program.tensors == found.tensors
        assert program.inputs == found.inputs
        assert costs.macs(network) == sum(map(found.macs, found.operators))
        assert costs.flash_bytes(network) == pytest.approx(len(content), rel=0.03)
        keras.backend.clear_session()


@pytest.mark.parametrize(
    ("shape", "settings", "said"),
    [
        ((399,), {}, "at least 400 samples"),
        ((2000, 2), {}, "the mean of several channels"),
        ((20, 100), {}, "the mean of several channels"),
        ((2000,), {"sample_rate": 200}, "too low for mel bands"),
        ((2000,), {"space": "dcnn"}, "space='dcnn'"),
        ((2000,), {"space": MLP}, "for table"),
        ((2000,), {"rescaling": ((1, 2), 0)}, "Pass two numbers"),
    ],
)
def test_what_cannot_be_heard_is_refused(shape, settings, said):
    with pytest.raises(ValueError, match="Received: ") as refused:
        Waveform(shape, 3, **{"sample_rate": RATE, **settings})
    assert said in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_model_without_a_front_end_is_not_taken_apart():
    model = realise(DSCNN((20, 10), 3, filters=(8,)).network({}))
    with pytest.raises(ValueError, match="Only a model of waveforms has a front end"):
        Waveform.split(model)

import keras
import numpy as np
import pytest

from search_spaces import costs
from search_spaces.realise import realise
from search_spaces.recurrent import Recurrent, bidirectional_lstm_imdb
from search_spaces.task import NextToken
from search_spaces.testing import SpaceContract


class TestRecurrentOfSeries(SpaceContract):
    smallest = (4, 1)
    told = ("front/stride",)
    elsewhere = ("embedding",)

    def make(self, input_shape=(9, 2)):
        return Recurrent(input_shape, 3)


class TestRecurrentOfTokens(SpaceContract):
    smallest = (4,)
    described, realised = 10, 1
    told = ("front/stride",)

    def make(self, input_shape=(9,)):
        return Recurrent(input_shape, 3, vocabulary=10)


class TestLanguageModel(SpaceContract):
    smallest = (4,)
    described, realised = 10, 1
    told = ("front/stride",)
    elsewhere = ("front/stride", "bidirectional", "pooling")

    def make(self, input_shape=(9,)):
        return Recurrent(input_shape, task=NextToken(10))


def test_sizes_match_the_docstring():
    assert Recurrent((29, 12), 9).size() == 3640 * (1 + 9 * 4) == 134_680
    assert Recurrent((29,), 9, vocabulary=20).size() == 4 * 134_680
    assert Recurrent((64,), task=NextToken(20)).size() == 4 * 910 * 10 == 36_400
    assert "134,680" in Recurrent.__doc__
    assert "36,400" in Recurrent.__doc__


def test_the_bidirectional_lstm_of_keras_examples_has_its_published_parameters():
    space, values = bidirectional_lstm_imdb()
    assert costs.params(space.network(values)) == 2_757_761


@pytest.mark.parametrize("cell", ["gru", "lstm"])
def test_parameters_are_those_of_the_papers_formulas(cell):
    space = Recurrent((10, 3), 2)
    values = {"layers": 1, "layer0/units": 8, "cell": cell, "pooling": "last"}
    gates, biases = {"gru": (3, 2), "lstm": (4, 1)}[cell]
    layer = gates * 8 * (3 + 8 + biases)
    assert costs.params(space.network(values)) == layer + (8 + 1) * 2


@pytest.mark.parametrize(
    ("length", "steps"), [(29, 29), (64, 64), (65, 33), (200, 50), (784, 49), (4096, 128)]
)
def test_by_default_long_sequences_are_shortened_before_they_are_read(length, steps):
    read = [
        record.shape[0]
        for record in Recurrent((length, 2), 2).network({"pooling": "mean"}).layers
        if record.op == "recurrent"
    ]
    assert read == [steps]


def test_no_stride_steps_over_anything():
    space = Recurrent((64, 2), 2)
    network = space.network({"front/filters": 16, "front/kernel": 3, "front/stride": 8})
    (front,) = (dict(record.settings) for record in network.layers if record.op == "conv")
    assert front["kernel"] == (8, 1)


def test_a_language_model_knows_its_vocabulary_from_its_task():
    space = Recurrent((16,), task=NextToken(11))
    assert space.vocabulary == 11
    assert space.network({}).output_shape == (16, 11)


@pytest.mark.parametrize("values", [{}, {"front/filters": 16, "front/kernel": 9, "layers": 2}])
def test_a_language_model_never_reads_ahead(values):
    model = realise(Recurrent((12,), task=NextToken(11)).network(values), seed=0)
    x = np.arange(12)[None] % 11
    later = x.copy()
    later[0, 7:] = 3
    before, after = np.asarray(model(x)), np.asarray(model(later))
    np.testing.assert_allclose(before[0, :7], after[0, :7], atol=1e-5)
    assert np.abs(before[0, 7:] - after[0, 7:]).max() > 1e-3
    keras.backend.clear_session()


def test_decisions_of_missing_layers_are_inactive():
    space = Recurrent((12, 2), 2)
    assert space.identity({"layers": 1}) == space.identity(
        {"layers": 1, "layer1/units": 64, "dropout": 0.4}
    )


@pytest.mark.parametrize(
    ("shape", "options", "said"),
    [
        ((12,), {}, r"how many different tokens .* Received: input_shape=\(12,\)"),
        ((12,), {"vocabulary": 1}, "at least 2. Received"),
        ((12, 3), {"vocabulary": 10}, r"Only tokens \(length,\) have a vocabulary"),
        ((3,), {"vocabulary": 10}, r"at least 4 tokens\. Received"),
        ((3, 2), {}, r"at least 4 steps\. Received"),
        ((8, 8, 1), {}, r"sequences \(length, channels\)"),
        ((12,), {"vocabulary": 10, "rescaling": (2.0, 0.0)}, "Tokens cannot be rescaled"),
    ],
)
def test_what_is_no_sequence_is_refused(shape, options, said):
    with pytest.raises(ValueError, match=said):
        Recurrent(shape, 2, **options)

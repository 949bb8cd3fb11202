import pytest

from search_spaces.blocks import conv, depthwise
from search_spaces.network import freeze, input_node
from search_spaces.sequences import along_time, check_sequences, vocabulary_of
from search_spaces.task import Classification, NextToken


@pytest.mark.parametrize(("stride", "length"), [(1, 10), (2, 5), (3, 4), (4, 3)])
def test_a_convolution_along_time_leaves_a_sequence(stride, length):
    y = along_time(conv, input_node((10, 3)), 4, stride, filters=8)
    assert y.shape == (length, 8)
    y = along_time(depthwise, input_node((10, 3)), 4, stride)
    assert y.shape == (length, 3)


def test_kernels_do_not_reach_beyond_the_one_pixel_of_width():
    network = freeze(along_time(conv, input_node((10, 3)), 5, filters=8, norm=False))
    (record,) = (record for record in network.layers if record.op == "conv")
    assert dict(record.settings)["kernel"] == (5, 1)


def test_a_causal_one_is_padded_in_front_only():
    network = freeze(along_time(conv, input_node((10, 3)), 5, causal=True, filters=8))
    settings = {record.op: dict(record.settings) for record in network.layers}
    assert settings["pad"]["padding"] == ((4, 0), (0, 0))
    assert settings["conv"]["padding"] == "valid"
    assert network.output_shape == (10, 8)


def test_a_causal_one_of_single_steps_needs_no_padding():
    network = freeze(along_time(conv, input_node((10, 3)), 1, causal=True, filters=8))
    assert "pad" not in {record.op for record in network.layers}


def test_the_vocabulary_is_what_was_said_or_what_is_predicted():
    assert vocabulary_of("Space", (5,), Classification(2), 9) == 9
    assert vocabulary_of("Space", (5,), NextToken(7), None) == 7
    assert vocabulary_of("Space", (5,), NextToken(7), 9) == 9
    assert vocabulary_of("Space", (5, 2), Classification(2), None) is None


@pytest.mark.parametrize(
    ("shape", "vocabulary", "said"),
    [
        ((5,), None, "Space must know .* Received: .*vocabulary=None"),
        ((5,), 1, "at least 2. Received: .*vocabulary=1"),
        ((5, 2), 9, r"Only tokens .* Received: .*input_shape=\(5, 2\)"),
    ],
)
def test_a_vocabulary_goes_with_tokens_and_nothing_else(shape, vocabulary, said):
    with pytest.raises(ValueError, match=said):
        vocabulary_of("Space", shape, Classification(2), vocabulary)


@pytest.mark.parametrize(
    ("shape", "vocabulary", "rescaling", "said"),
    [
        ((3,), 9, None, r"at least 4 tokens\. Received"),
        ((5,), 9, (2.0, 0.0), "cannot be rescaled. Received"),
        ((3, 2), None, None, r"at least 4 steps\. Received"),
    ],
)
def test_sequences_that_a_space_cannot_read_are_refused(shape, vocabulary, rescaling, said):
    with pytest.raises(ValueError, match=said):
        check_sequences("Space", shape, vocabulary, rescaling, 4)


def test_sequences_of_the_shortest_length_are_taken():
    check_sequences("Space", (4,), 9, None, 4)
    check_sequences("Space", (4, 2), None, (2.0, 0.0), 4)

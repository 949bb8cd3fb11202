import hashlib

import pytest

from edge_devices import flatbuffer, host, synthesis
from edge_devices.host import HostLatency, is_tie, latency, reference
from edge_devices.program import Operator, Program, Tensor


def convolution(channels, repeats=1):
    shape = (1, 24, 24, channels)
    operators = tuple(
        Operator(
            "CONV_2D",
            (i,),
            (i + 1,),
            weights=(channels, 3, 3, channels),
            bias=True,
            window=(3, 3),
        )
        for i in range(repeats)
    )
    tensors = tuple(Tensor(shape) for _ in range(repeats + 1))
    return synthesis.file(Program(tensors, operators, (0,), (repeats,)))


def test_a_model_takes_as_long_as_itself():
    content = convolution(32, repeats=4)
    measured = latency(content, content)
    assert measured.ratio == pytest.approx(1.0, abs=0.1)
    assert is_tie(measured, 1.0)
    assert measured.ms == pytest.approx(measured.ratio * measured.reference_ms)


def test_four_times_the_layers_take_about_four_times_as_long():
    one, four = convolution(32, repeats=2), convolution(32, repeats=8)
    measured = latency(four, one)
    assert 2.5 < measured.ratio < 5.5
    assert measured.spread < 0.5
    assert not is_tie(measured, 1.0)


def test_the_nominal_time_of_the_reference_is_measured_once():
    first, second = latency(convolution(8)), latency(convolution(16))
    assert first.reference_ms == second.reference_ms > 0
    assert first.num_threads == 1


def test_the_reference_is_always_the_same_file():
    assert reference() == reference()
    assert hashlib.sha256(reference()).hexdigest()[:12] == "2b7114a995bf"
    program = flatbuffer.read(reference())
    assert sum(map(program.macs, program.operators)) == 10_068_608


def test_ratios_under_ten_percent_apart_are_a_tie():
    assert is_tie(1.0, 1.09)
    assert is_tie(1.09, 1.0)
    assert not is_tie(1.0, 1.11)
    assert is_tie(HostLatency(2.0, 0.1, 4.0, 2.0, 1), HostLatency(2.1, 0.1, 4.2, 2.0, 1))


def test_it_reads_as_a_ratio_first():
    text = str(HostLatency(1.5, 0.04, 0.105, 0.07, 1))
    assert text == "1.5 x the reference (+- 2.0 %), nominally 0.105 ms"


@pytest.mark.parametrize("setting", ["num_threads", "rounds"])
def test_settings_must_be_positive(setting):
    with pytest.raises(ValueError, match=f"Received: {setting}=0"):
        latency(convolution(8), **{setting: 0})


def test_a_file_that_cannot_be_run_says_why():
    with pytest.raises(ValueError, match=r"not a \.tflite file\. Received: 13 bytes"):
        latency(b"hello, world!")
    with pytest.raises(ValueError, match=r"LiteRT cannot run this file\. Received: 5,000 b"):
        latency(reference()[:5000])


def test_nothing_is_printed(capfd):
    latency(convolution(8), rounds=1)
    host.latency(convolution(8), rounds=1, num_threads=2)
    assert capfd.readouterr() == ("", "")

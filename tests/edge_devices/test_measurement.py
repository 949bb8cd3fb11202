import json
import time

import numpy as np
import pytest

from edge_devices import flatbuffer, host, synthesis
from edge_devices.device import Device, find
from edge_devices.measurement import Measurement, measure
from edge_devices.memory import memory
from edge_devices.program import Operator, Program, Tensor


def network(activation="RELU6", dtype="int8", stride=2):
    tensors = (
        Tensor((1, 12, 12, 2), dtype),
        Tensor((1, 12 // stride, 12 // stride, 8), dtype),
        Tensor((1, 12 // stride, 12 // stride, 8), dtype),
        Tensor((1, 8), dtype),
        Tensor((1, 3), dtype),
    )
    weighted = {"bias": True, "weight_dtype": dtype}
    operators = (
        Operator(
            "CONV_2D",
            (0,),
            (1,),
            weights=(8, 5, 5, 2),
            window=(5, 5),
            stride=(stride, stride),
            activation="RELU6",
            **weighted,
        ),
        Operator(activation, (1,), (2,)),
        Operator("MEAN", (2,), (3,), weights=(2,), weight_dtype="int32"),
        Operator("FULLY_CONNECTED", (3,), (4,), weights=(3, 8), **weighted),
    )
    return synthesis.file(Program(tensors, operators, (0,), (4,)))


SMALL = Device("small", flash="64KB", ram="2KB", core="cortex-m4", clock_hz=64e6)
X = np.random.default_rng(0).random((20, 12, 12, 2))


@pytest.fixture
def without_extras(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)


def test_costs_are_those_of_the_file(without_extras):
    content = network()
    measured = measure(content)
    assert measured.costs == {
        "params": 8 * 5 * 5 * 2 + 8 + 3 * 8 + 3,
        "macs": 6 * 6 * 8 * 5 * 5 * 2 + 3 * 8,
        "flash": len(content),
        "ram": memory(flatbuffer.read(content)).total,
    }
    assert measured.device is None
    assert measured.fits is None


def test_every_operator_has_a_row(without_extras):
    rows = measure(network(), "cortex-m7").operators
    assert [row.op for row in rows] == [
        "CONV_2D 5x5 /2 RELU6",
        "RELU6",
        "MEAN",
        "FULLY_CONNECTED",
    ]
    assert rows[0].inputs == ((1, 12, 12, 2),)
    assert rows[0].outputs == ((1, 6, 6, 8),)
    assert [row.macs for row in rows] == [6 * 6 * 8 * 50, 0, 0, 24]
    assert [row.weight_bytes for row in rows] == [400, 0, 0, 24]
    assert sum(row.share for row in rows) == pytest.approx(1.0)
    assert max(rows, key=lambda row: row.share) == rows[0]
    assert {row.share for row in measure(network()).operators} == {None}


def test_latency_and_energy_are_the_devices(without_extras):
    content = network()
    device = find("cortex-m4")
    expected = device.costs(flatbuffer.read(content))
    measured = measure(content, "cortex-m4")
    assert measured.costs.items() >= expected.items()
    assert measured.costs["latency_ms"] > 0
    assert measured.limits == device.limits


def test_limits_of_the_device_are_held_by_default(without_extras):
    fits = measure(network(), SMALL)
    assert fits.violations() == []
    assert fits.fits
    tight = Device("tight", flash="64KB", ram="1KB", activations=["relu"])
    broken = measure(network(), tight).violations()
    assert broken[0].startswith("ram is ")
    assert broken[0].endswith(", over the limit of 1 KB")
    assert broken[1:] == ["activation relu6 is not supported"]
    assert measure(network(), tight).fits is False


def test_limits_can_be_given_in_the_devices_units(without_extras):
    measured = measure(network(), tight := SMALL)
    assert tight.limits.keys() == {"flash", "ram"}
    assert measured.violations({"macs": "1k", "flash": "1MB"}) == [
        "macs is 14.4k, over the limit of 1k"
    ]
    assert measured.violations({}) == []
    with pytest.raises(ValueError, match=r"limits on 'npu_cycles'; measured: params, macs"):
        measured.violations({"npu_cycles": "1M"})
    with pytest.raises(ValueError, match="'flash' must be bytes"):
        measured.violations({"flash": "3 apples"})


def test_a_missing_extra_is_a_note_with_the_pip_line(without_extras):
    measured = measure(network(), "ethos-u55-128", x=X)
    assert (measured.micro, measured.agreement, measured.npu) == (None, None, None)
    assert any("pip install 'kerasnas[micro]'" in note for note in measured.notes)
    assert any("pip install 'kerasnas[npu]'" in note for note in measured.notes)
    assert "npu_cycles" not in measured.costs


def test_tensorflow_lite_micro_is_asked_too():
    pytest.importorskip("tflite_micro", reason="needs the extra micro")
    measured = measure(network(), x=X)
    assert measured.micro.activations == measured.arena.activations
    assert measured.micro.persistent > measured.arena.persistent  # pointers are wider here
    assert measured.agreement.examples == 20
    assert measured.agreement.same_class >= 0.9
    assert measured.notes == ()
    with pytest.raises(ValueError, match=r"Received: shape \(20, 12, 2, 12\)"):
        measure(network(), x=X.transpose(0, 1, 3, 2))


def test_what_tensorflow_lite_micro_cannot_run_is_noted():
    pytest.importorskip("tflite_micro", reason="needs the extra micro")
    measured = measure(network("GELU"))
    assert measured.micro is None
    assert any("GELU" in note for note in measured.notes)


def test_cycles_come_from_the_npus_compiler_and_time_from_the_devices_clock():
    pytest.importorskip("ethosu", reason="needs the extra npu")
    device = find("ethos-u55-128")
    measured = measure(network(), device)
    assert measured.costs["npu_cycles"] == measured.npu.cycles > 6 * 6 * 8 * 50 / 128
    assert measured.costs["latency_ms"] == 1000 * measured.npu.cycles / device.clock_hz
    assert measured.npu.accelerator == device.npu


def test_without_all_operators_on_the_npu_there_is_no_latency():
    pytest.importorskip("ethosu", reason="needs the extra npu")
    measured = measure(network(stride=4), "ethos-u55-128")
    assert "npu_cycles" in measured.costs
    assert "latency_ms" not in measured.costs
    assert measured.violations() == [
        "CONV_2D (Unsupported kernel stride: 4, 4) is not supported"
    ]


def test_a_float_file_on_an_npu_is_noted_and_unsupported():
    pytest.importorskip("ethosu", reason="needs the extra npu")
    measured = measure(network(dtype="float32"), "ethos-u55-128")
    assert measured.npu is None
    assert any("integer arithmetic only" in note for note in measured.notes)
    assert measured.fits is False


def test_on_the_host_it_is_timed():
    measured = measure(host.reference(), "host")
    assert measured.host.ratio == pytest.approx(1.0, abs=0.15)
    assert measured.costs["latency_ms"] == measured.host.ms > 0


def test_it_prints_as_a_table(tmp_path, without_extras):
    (tmp_path / "net.tflite").write_bytes(network())
    lines = str(measure(tmp_path / "net.tflite", SMALL)).splitlines()
    assert lines[0] == "net.tflite"
    assert lines[1].split() == ["operator", "input", "output", "MACs", "weights", "latency"]
    cells = "CONV_2D 5x5 /2 RELU6 12x12x2 6x6x8 14.4k 400 B"
    assert lines[2].split()[:-1] == cells.split()
    assert lines[2].endswith("%")
    assert len({len(line) for line in lines[1:3]}) == 1
    facts = dict(line.split("  ", 1) for line in lines[7:])
    assert facts["macs"].strip() == "14.4k"
    assert facts["small"].strip() == "takes it"
    assert max(map(len, lines[:7])) < 95


def test_it_becomes_json(tmp_path):
    measured = measure(network(), "cortex-m4")
    plain = json.loads(json.dumps(measured.to_dict()))
    assert plain["costs"] == measured.costs
    assert plain["operators"][0]["outputs"] == [[1, 6, 6, 8]]
    assert plain["device"]["fits"] is True
    assert plain["device"]["limits"] == measured.limits
    assert plain["notes"] == list(measured.notes)


def test_a_path_tells_the_name(tmp_path, without_extras):
    (tmp_path / "net.tflite").write_bytes(network())
    named, unnamed = measure(tmp_path / "net.tflite"), measure(network())
    assert (named.name, unnamed.name) == ("net.tflite", "")
    assert named.costs == unnamed.costs
    assert isinstance(named, Measurement)


def test_bad_input_is_refused():
    with pytest.raises(ValueError, match=r"not a \.tflite file"):
        measure(b"hello, world!")
    with pytest.raises(ValueError, match=r"No device is called 'cortex-m0'\. Did you mean"):
        measure(network(), "cortex-m0")
    with pytest.raises(TypeError, match=r"Received: 7 \(int\)"):
        measure(network(), 7)
    with pytest.raises(FileNotFoundError):
        measure("nowhere.tflite")


def test_it_is_quick():
    measure(network(), "cortex-m4")
    start = time.perf_counter()
    measure(network(), "cortex-m4")
    assert time.perf_counter() - start < 1

import dataclasses

import pytest

from edge_devices.device import Device, devices, find
from edge_devices.flatbuffer import read
from edge_devices.memory import memory
from edge_devices.units import format_cost
from tflite_export import device_costs as module
from tflite_export.device_costs import device_costs, file_costs


def test_a_file_costs_what_is_in_it(content):
    program = read(content)
    assert file_costs(content) == {
        "macs": sum(map(program.macs, program.operators)),
        "flash": len(content),
        "ram": memory(program).total,
    }
    assert file_costs(content, 9_000)["flash"] == 9_000


def test_there_is_a_row_for_every_device(content):
    rows = device_costs(content)
    assert [row["device"] for row in rows] == [device.name for device in devices()]
    assert len({tuple(row) for row in rows}) == 1  # of the same columns


def test_a_row_says_whether_it_fits(content):
    size = len(content)
    small = Device("small", flash=size, ram=64)
    (row,) = device_costs(content, [small])
    assert row["flash"].endswith("KB: fits")
    assert row["ram"].endswith("of 64 B: **too large**")
    (row,) = device_costs(content, [small], size=size + 1)
    assert row["flash"].endswith("**too large**")
    (row,) = device_costs(content, [Device("boundless")])
    assert row["flash"] == format_cost("flash", size)


def test_a_latency_comes_with_its_error(content):
    device = dataclasses.replace(find("cortex-m85"), activations=None)
    (row,) = device_costs(content, [device])
    latency = format_cost("latency_ms", device.costs(read(content))["latency_ms"])
    assert row["latency"] == f"{latency} ({device.latency_model.errors.networks[0]:.0%} off)"
    rows = [{"op": "CONV_2D", "macs": m, "bytes": m, "latency_ms": m} for m in range(1, 9)]
    timed = Device.from_measurements("timed", rows)
    (row,) = device_costs(content, [timed])
    assert row["latency"].endswith("% off)")


def test_what_a_device_must_not_be_given_has_no_time(content):
    picky = Device("picky", core="cortex-m4", clock_hz=80e6, activations=["relu"])
    (row,) = device_costs(content, [picky])
    assert row["latency"] == row["energy"] == ""
    assert "activation hard_silu" in row["remarks"]


def test_the_npus_compiler_tells_its_time(content):
    pytest.importorskip("ethosu.vela", reason="needs the extra 'npu'")
    device = Device("npu", npu="ethos-u55-128")
    (row,) = device_costs(content, [device])
    assert row["latency"].endswith("(by its compiler)")


def test_without_the_npus_compiler_it_says_what_is_missing(content, monkeypatch):
    def missing(*args, **settings):
        raise ImportError("No module named 'ethosu'")

    monkeypatch.setattr(module.npu, "npu", missing)
    (row,) = device_costs(content, [Device("npu", npu="ethos-u55-128")])
    assert row["latency"] == ""
    assert "`ethos-u-vela`, which is not installed" in row["remarks"]

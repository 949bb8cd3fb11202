import dataclasses
import json
import pickle
import subprocess
import sys

import numpy as np
import pytest

import edge_devices
from benchmarks.latency_networks import program
from edge_devices import Device, OperatorTable, Power, device
from edge_devices.latency import CycleModel
from edge_devices.memory import memory
from edge_devices.program import Operator, Program, Tensor


@pytest.fixture(autouse=True)
def registry(monkeypatch):
    monkeypatch.setattr(device, "_REGISTERED", {})


def make(**fields):
    fields = {"flash": "512KB", "ram": "96KB", "core": "cortex-m4", "clock_hz": 80e6, **fields}
    return Device("mine", **fields)


def one(op, *, dtype="int8", activation=None, weights=(), weight_dtype="int8"):
    """A program of one operator."""
    tensors = (Tensor((1, 8), dtype), Tensor((1, 8), dtype))
    operator = Operator(
        op,
        (0,),
        (1,),
        weights,
        bool(weights),
        activation=activation,
        weight_dtype=weight_dtype,
    )
    return Program(tensors, (operator,), (0,), (1,))


class TestOwnDevices:
    def test_amounts_are_read_as_people_write_them_and_kept_as_bytes(self):
        assert make().limits == {"flash": 512 * 1024, "ram": 96 * 1024}
        assert make(flash=1000).limits["flash"] == 1000.0

    def test_what_is_not_given_is_not_limited_and_costs_nothing(self):
        bare = Device("bare")
        assert bare.limits == {}
        assert bare.costs(program("ds-cnn")) == {}
        assert bare.unsupported(program("ds-cnn")) == []

    def test_a_core_and_a_clock_give_the_time(self):
        expected = CycleModel("cortex-m4", 80e6).milliseconds(program("ds-cnn"))
        assert make().costs(program("ds-cnn"))["latency_ms"] == expected

    def test_ram_counts_the_scratch_memory_of_its_kernels(self):
        portable = memory(program("ds-cnn")).total
        assert make().costs(program("ds-cnn"))["ram"] > portable
        assert "ram" not in edge_devices.find("ethos-u55-128").costs(program("ds-cnn"))

    def test_a_power_gives_the_energy(self):
        costs = make(power=Power(50)).costs(program("ds-cnn"))
        assert costs["energy_mj"] == pytest.approx(costs["latency_ms"] * 50 / 1e3)

    def test_a_copy_with_another_clock_or_runtime_has_another_time(self):
        board = edge_devices.find("cortex-m4")
        half = dataclasses.replace(board, clock_hz=60e6)
        cube = dataclasses.replace(board, runtime="x-cube-ai")
        base, slow, fast = (
            d.costs(program("resnet-8"))["latency_ms"] for d in (board, half, cube)
        )
        assert slow == pytest.approx(2 * base)
        assert fast < base

    def test_a_model_that_is_given_comes_before_the_core(self):
        table = OperatorTable.fit([{"op": "CONV_2D", "macs": 1000, "latency_ms": 2}])
        assert make(latency=table).latency_model is table

    def test_devices_are_values_that_survive_another_process(self):
        mine = make(sources={"flash": "a label"})
        assert pickle.loads(pickle.dumps(mine)) == mine
        assert len({mine, make(sources={"flash": "a label"})}) == 1

    @pytest.mark.parametrize(
        ("fields", "message"),
        [
            ({"flash": "20ms"}, r"has of 'flash' must be bytes such as .* flash='20ms'"),
            ({"ram": 0}, r"has of 'ram' must be positive and finite.*ram=0"),
            ({"ram": "-3KB"}, r"'ram' must be positive"),
            ({"clock_hz": 0}, r"clock_hz must be positive.*clock_hz=0"),
            ({"clock_hz": float("nan")}, r"clock_hz must be positive"),
            ({"clock_hz": None}, r"depends on its clock.*core='cortex-m4' and no clock_hz"),
            ({"core": "cortex-m5"}, r"core='cortex-m5'\. Did you mean 'cortex-m\d+'\?"),
            ({"runtime": "cube"}, r"runtime='cube'.*Known: 'tflm', 'x-cube-ai'"),
            ({"npu": "ethos-u55-129"}, r"npu='ethos-u55-129'\. Did you mean 'ethos-u55-12"),
        ],
    )
    def test_impossible_values_are_refused_in_a_sentence(self, fields, message):
        with pytest.raises(ValueError, match=message):
            make(**fields)

    @pytest.mark.parametrize(
        ("fields", "message"),
        [
            ({"flash": ["1MB"]}, "must be a number or text"),
            ({"clock_hz": "80MHz"}, r"clock_hz must be a number of hertz.*'80MHz' \(str\)"),
            ({"activations": "relu"}, r"activations must be a collection.*Write \['relu'\]"),
        ],
    )
    def test_values_of_another_type_are_refused_in_a_sentence(self, fields, message):
        with pytest.raises(TypeError, match=message):
            make(**fields)

    def test_a_device_needs_a_name(self):
        with pytest.raises(TypeError, match="needs a name"):
            Device("")


class TestRegistry:
    def test_a_registered_device_is_found(self):
        mine = edge_devices.register(make())
        assert edge_devices.find("mine") is mine
        assert edge_devices.devices()[-1] is mine

    def test_an_unknown_name_is_answered_with_the_nearest_and_the_list(self):
        with pytest.raises(ValueError, match=r"'cortex-m77'\. Did you mean.*esp32-s3.*host"):
            edge_devices.find("cortex-m77")

    def test_another_device_of_the_same_name_needs_consent(self):
        with pytest.raises(ValueError, match="Another device is called 'host'"):
            edge_devices.register(Device("host"))
        edge_devices.register(Device("host", "mine"), overwrite=True)
        assert edge_devices.find("host").description == "mine"

    def test_registering_the_same_device_twice_is_harmless(self):
        edge_devices.register(make())
        edge_devices.register(make())

    def test_only_devices_can_be_registered(self):
        with pytest.raises(TypeError, match=r"Received: 'cortex-m4' \(str\)"):
            edge_devices.register("cortex-m4")


class TestUnsupported:
    def test_an_activation_of_its_own_must_be_allowed(self):
        assert edge_devices.find("cortex-m4").unsupported(one("HARD_SWISH")) == [
            "activation hard_silu"
        ]
        assert edge_devices.find("ethos-u55-128").unsupported(one("HARD_SWISH")) == []

    def test_either_name_of_hard_swish_allows_it(self):
        for name in ("hard_silu", "hard_swish"):
            assert make(activations=[name]).unsupported(one("HARD_SWISH")) == []

    def test_a_folded_activation_counts_as_well(self):
        plain = one("ADD", activation="RELU6")
        assert make(activations=["relu"]).unsupported(plain) == ["activation relu6"]
        assert make(activations=["relu", "relu6"]).unsupported(plain) == []

    def test_an_operator_the_device_lacks_is_named_once(self):
        lacking = make(operators=["CONV_2D"])
        twice = one("ADD")._replace(operators=one("ADD").operators * 2)
        assert lacking.unsupported(twice) == ["operator ADD"]

    def test_an_npu_takes_integers_only(self):
        npu = edge_devices.find("ethos-u55-128")
        assert npu.unsupported(one("ADD", dtype="float32")) == ["ADD of float32 on the NPU"]
        assert npu.unsupported(one("ADD", dtype="int16")) == []
        four_bits = one("FULLY_CONNECTED", weights=(8, 8), weight_dtype="int4")
        assert npu.unsupported(four_bits) == ["FULLY_CONNECTED with 4-bit weights on the NPU"]

    def test_a_microcontroller_takes_no_hybrids_of_float_and_int8(self):
        hybrid = one("FULLY_CONNECTED", dtype="float32", weights=(8, 8))
        assert make().unsupported(hybrid) == ["FULLY_CONNECTED of float32 with int8 weights"]
        assert make().unsupported(one("ADD", dtype="float16")) == ["ADD of float16"]
        assert edge_devices.find("host").unsupported(hybrid) == []

    def test_the_reference_networks_run_on_every_device(self):
        for known in edge_devices.devices():
            for name in ("ds-cnn", "resnet-8", "mobilenet", "autoencoder"):
                assert known.unsupported(program(name)) == []


# A device whose prices are known: per operator, multiply-accumulate and byte.
PRICES = {"CONV_2D": (0.5, 2e-6, 1e-5), "ADD": (0.1, 0.0, 4e-5)}


class TestMeasuredDevices:
    def rows(self, noise=0.0, seed=0):
        rng = np.random.default_rng(seed)
        for op, (each, mac, byte) in PRICES.items():
            for _ in range(12):
                macs = float(rng.integers(10**4, 10**6)) if mac else 0.0
                size = float(rng.integers(10**3, 10**5))
                time = (each + mac * macs + byte * size) * (1 + noise * rng.standard_normal())
                yield {"op": op, "macs": macs, "bytes": size, "latency_ms": time}

    def test_the_prices_of_a_device_are_found(self):
        table = OperatorTable.fit(self.rows())
        for op, prices in PRICES.items():
            assert table.prices[op] == pytest.approx(prices, rel=1e-6, abs=1e-12)
        assert max(table.error) < 1e-6

    def test_a_program_costs_the_sum_of_its_operators(self):
        mine = Device.from_measurements("mine", self.rows(), ram="64KB")
        added = program("add/4096")
        read_and_written = 3 * 4096  # two operands, of which one is read twice here
        expected = 0.1 + 4e-5 * read_and_written
        assert mine.costs(added)["latency_ms"] == pytest.approx(expected)
        assert mine.limits == {"ram": 64 * 1024}

    def test_the_error_is_that_of_rows_left_out(self):
        table = OperatorTable.fit(self.rows(noise=0.1))
        residuals = [
            abs(
                table.prices[r["op"]].milliseconds(r["macs"], r["bytes"]) / r["latency_ms"] - 1
            )
            for r in self.rows(noise=0.1)
        ]
        assert 0.03 < np.median(residuals) < table.error[0] < 0.15
        assert f"{table.error[0]:.0%} in the median" in str(table)

    def test_prices_are_never_negative(self):
        rows = [
            {"op": "ADD", "bytes": b, "latency_ms": t} for b, t in ((10, 3), (20, 2), (30, 1))
        ]
        assert min(OperatorTable.fit(rows).prices["ADD"]) >= 0

    def test_shapes_stand_for_multiply_accumulates_and_bytes(self):
        by_shape = {
            "op": "conv_2d",
            "input_shape": "1x8x8x4",
            "output_shape": [1, 8, 8, 16],
            "weights": "16x3x3x4",
            "latency_ms": 1.5,
        }
        macs, size = 8 * 8 * 16 * 36, 8 * 8 * 4 + 8 * 8 * 16 + 16 * 36
        by_number = {"op": "CONV_2D", "macs": macs, "bytes": size, "latency_ms": 1.5}
        assert OperatorTable.fit([by_shape]).prices == OperatorTable.fit([by_number]).prices

    def test_an_operator_that_was_not_timed_is_charged_what_all_rows_say(self):
        table = OperatorTable.fit([{"op": "ADD", "bytes": 100, "latency_ms": 1}])
        assert table.milliseconds(one("MUL")) == pytest.approx(table.milliseconds(one("ADD")))

    @pytest.mark.parametrize("suffix", ["csv", "json"])
    def test_a_file_does_as_well(self, tmp_path, suffix):
        rows = list(self.rows())
        path = tmp_path / f"timed.{suffix}"
        if suffix == "json":
            path.write_text(json.dumps(rows))
        else:
            lines = [",".join(rows[0]), *(",".join(map(str, r.values())) for r in rows)]
            path.write_text("\n".join(lines))
        assert OperatorTable.fit(path).prices == OperatorTable.fit(rows).prices

    @pytest.mark.parametrize(
        ("row", "message"),
        [
            ({"op": "ADD"}, r"Row 1 .* lacks latency_ms\. Received: the columns op"),
            ({"latency_ms": 1, "macs": 1}, "lacks op"),
            ({"op": "ADD", "latency_ms": 1}, "lacks macs or bytes"),
            ({"op": "ADD", "latency_ms": 1, "input_shape": "1x2"}, "lacks output_shape"),
            ({"op": "ADD", "latency_ms": 0, "bytes": 1}, "must be positive. Received: 0"),
            ({"op": "ADD", "latency_ms": "2ms", "bytes": 1}, "must be a number.*'2ms'"),
            ({"op": "ADD", "latency_ms": 1, "bytes": -5}, "bytes in row 1 .*not below 0"),
            (
                {"op": "ADD", "latency_ms": 1, "input_shape": "axb", "output_shape": "1"},
                "input_shape in row 1 .* must be a shape",
            ),
            (
                {"op": "CONV_2D", "latency_ms": 1, "input_shape": "1", "output_shape": "1"},
                "must be the shape that the file has",
            ),
        ],
    )
    def test_a_row_that_cannot_be_used_is_named(self, row, message):
        with pytest.raises(ValueError, match=message):
            Device.from_measurements("mine", [row])

    def test_no_rows_and_no_table_are_refused(self, tmp_path):
        with pytest.raises(ValueError, match="Received: no row"):
            OperatorTable.fit([])
        with pytest.raises(TypeError, match="Received: int"):
            OperatorTable.fit(5)
        with pytest.raises(TypeError, match="Received: dict"):
            OperatorTable.fit({"op": "ADD"})
        with pytest.raises(ValueError, match=r"from a \.csv or a \.json file"):
            OperatorTable.fit(tmp_path / "timed.txt")


class TestText:
    def test_a_device_tells_its_numbers_with_units_source_and_error(self):
        text = str(edge_devices.find("cortex-m4"))
        for part in (
            "1 MB of 2 MB; 1 MB are left for the firmware",
            "320 KB of 640 KB",
            "cortex-m4, 120 MHz",
            "7% in the median and 30% at most",
            "41 mW at 1.8 V",
            "tiny_results_v0.5",
        ):
            assert part in " ".join(text.split())
        assert max(map(len, text.splitlines())) <= 95

    def test_the_table_has_a_line_for_every_device(self):
        lines = device.describe().splitlines()
        assert lines[0].split() == ["device", "flash", "ram", "latency", "energy", "NPU"]
        assert [line.split()[0] for line in lines[1:]] == [
            d.name for d in edge_devices.devices()
        ]

    def test_one_device_is_described_by_name(self):
        assert device.describe("esp32-s3") == str(edge_devices.find("esp32-s3"))
        with pytest.raises(ValueError, match=r"No device is called 'esp32'\. Did you mean"):
            device.describe("esp32")

    def test_a_measured_device_tells_the_error_of_its_table(self):
        rows = [{"op": "ADD", "bytes": b, "latency_ms": b / 100} for b in (100, 200, 300)]
        mine = edge_devices.register(Device.from_measurements("mine", rows, ram="64KB"))
        assert "fitted to 3 timed operators (ADD)" in str(mine)
        assert "table, 0% off" in device.describe()


def test_devices_are_found_without_tensorflow_or_a_slow_import():
    code = (
        "import sys, edge_devices; edge_devices.find('cortex-m4'); "
        "print([m for m in ('tensorflow', 'keras', 'scipy', 'ai_edge_litert') "
        "if m in sys.modules])"
    )
    found = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert found.stdout.strip() == "[]"

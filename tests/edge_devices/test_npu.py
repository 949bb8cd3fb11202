import os

import pytest

from edge_devices import host, isolation, synthesis
from edge_devices.npu import ACCELERATORS, npu, npu_file
from edge_devices.program import Operator, Program, Tensor

vela = pytest.importorskip("ethosu.vela", reason="needs the extra npu")


def convolution(
    side=16, stride=1, dtype="int8", weight_dtype="int8", channels=(8, 16), kernel=3
):
    before, after = channels
    tensors = (
        Tensor((1, side, side, before), dtype),
        Tensor((1, side // stride, side // stride, after), dtype),
        Tensor((1, after), dtype),
    )
    convolve = Operator(
        "CONV_2D",
        (0,),
        (1,),
        weights=(after, kernel, kernel, before),
        bias=True,
        window=(kernel, kernel),
        stride=(stride, stride),
        activation="RELU6",
        weight_dtype=weight_dtype,
    )
    mean = Operator("MEAN", (1,), (2,), weights=(2,), weight_dtype="int32")
    return synthesis.file(Program(tensors, (convolve, mean), (0,), (2,)))


MACS = 16 * 16 * 16 * 8 * 9


def test_cycles_are_those_of_the_compilers_own_command_line(tmp_path, capfd):
    """Run as a user would, in this process, and read from what it prints."""
    from ethosu.vela import vela

    (tmp_path / "net.tflite").write_bytes(host.reference())
    vela.main(
        [
            str(tmp_path / "net.tflite"),
            "--accelerator-config=ethos-u55-256",
            "--config=Arm/vela.ini",
            "--system-config=Ethos_U55_High_End_Embedded",
            "--memory-mode=Shared_Sram",
            f"--output-dir={tmp_path}",
            "--verbose-cycle-estimate",
        ]
    )
    printed = {
        line.split("  ")[0].strip(): line.split()[-2]
        for line in capfd.readouterr().out.splitlines()
        if "  " in line
    }
    cost = npu(
        host.reference(),
        "ethos-u55-256",
        system_config="Ethos_U55_High_End_Embedded",
        memory_mode="Shared_Sram",
    )
    assert cost.cycles == int(printed["Total cycles"])
    assert cost.macs == int(printed["Neural network macs"])
    assert cost.sram_bytes == pytest.approx(1024 * float(printed["Total SRAM used"]), abs=6)
    flash = 1024 * float(printed["Total Off-chip Flash used"])
    assert cost.flash_bytes == pytest.approx(flash, abs=6)
    assert cost.clock_hz == 500e6
    assert cost.file_bytes == (tmp_path / "net_vela.tflite").stat().st_size


def test_it_cannot_be_faster_than_its_multipliers_allow():
    for accelerator in ("ethos-u55-32", "ethos-u55-256", "ethos-u65-512", "ethos-u85-256"):
        cost = npu(convolution(), accelerator)
        assert cost.macs >= MACS
        assert cost.cycles >= MACS / int(accelerator.split("-")[-1])
        assert cost.latency_ms == pytest.approx(1000 * cost.cycles / cost.clock_hz)
        assert cost.cpu_operators == ()


@pytest.mark.parametrize("accelerator", ACCELERATORS)
def test_every_accelerator_compiles(accelerator):
    cost = npu(convolution(), accelerator)
    assert cost.accelerator == accelerator
    assert cost.sram_bytes >= 16 * 16 * (8 + 16)
    assert cost.flash_bytes >= 1000


def test_the_same_file_costs_the_same_every_time():
    assert npu(convolution()) == npu(convolution())


def test_weights_on_the_chip_are_the_default_and_those_in_flash_cost_traffic():
    content = convolution(side=4, channels=(64, 64))
    inside, outside = npu(content), npu(content, memory_mode="Shared_Sram")
    assert (inside.system_config, inside.memory_mode) == (
        "Ethos_U55_Deep_Embedded",
        "Sram_Only",
    )
    assert inside.flash_traffic_bytes == 0
    assert outside.flash_traffic_bytes > 64 * 64 * 9 * 0.7  # they are compressed
    assert outside.cycles > 2 * inside.cycles


def test_the_compiled_file_is_one_operator_for_the_npu():
    from edge_devices import flatbuffer

    compiled = npu_file(host.reference())
    assert len(compiled) == npu(host.reference()).file_bytes
    assert [op.op for op in flatbuffer.read(compiled).operators] == ["ethos-u"]


def test_a_path_does_as_well(tmp_path):
    (tmp_path / "net.tflite").write_bytes(convolution())
    assert npu(tmp_path / "net.tflite") == npu(convolution())


def test_operators_left_to_the_cpu_are_named_with_the_reason():
    content = convolution(stride=4, kernel=5)
    with pytest.raises(ValueError, match=r"stay on the CPU: CONV_2D \(.*stride: 4, 4\)\. Use"):
        npu(content)
    cost = npu(content, cpu_operators=True)
    (operator,) = cost.cpu_operators
    assert operator.startswith("CONV_2D")
    assert 0 < cost.cycles < npu(convolution()).cycles


def test_a_float_file_has_nothing_for_the_npu():
    content = convolution(dtype="float32", weight_dtype="float32")
    with pytest.raises(
        ValueError, match=r"runs nothing.*CPU: CONV_2D, MEAN \(.*Float32.*int8"
    ):
        npu(content, cpu_operators=True)


def test_4_bit_weights_are_refused_in_a_sentence():
    with pytest.raises(ValueError, match=r"cannot read 4-bit weights.*1 int4 tensors.*8 bits"):
        npu(convolution(weight_dtype="int4"))


def test_a_crash_of_the_compiler_is_an_error_and_leaves_no_files(tmp_path, monkeypatch):
    """4-bit weights do kill it, where they get that far."""
    monkeypatch.setattr("edge_devices.npu._check_types", lambda content: None)
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    with pytest.raises(isolation.Crash, match=r"Vela compiled.*ethos-u55-128.*SIGFPE.*4-bit"):
        npu(convolution(weight_dtype="int4"))
    assert os.listdir(tmp_path) == []
    assert npu(convolution()).cycles > 0


def test_an_unknown_accelerator_is_answered_with_the_known_ones():
    with pytest.raises(ValueError, match=r"'u55-128'\. Did you mean 'ethos-u55-128'"):
        npu(convolution(), "u55-128")


@pytest.mark.parametrize("setting", ["system_config", "memory_mode"])
def test_an_unknown_configuration_is_named(setting):
    with pytest.raises(ValueError, match=f"{setting}='Nowhere'.*Nowhere not found"):
        npu(convolution(), **{setting: "Nowhere"})


def test_what_is_no_tflite_file_is_refused():
    with pytest.raises(ValueError, match=r"not a \.tflite file\. Received: 13 bytes"):
        npu(b"hello, world!")


def test_without_the_extra_the_pip_line_is_given(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(ImportError, match=r"pip install 'kerasnas\[npu\]'"):
        npu(convolution())


def test_nothing_is_printed(capfd):
    npu(convolution(stride=4, kernel=5), cpu_operators=True)
    assert capfd.readouterr() == ("", "")

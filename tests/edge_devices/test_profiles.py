import contextlib
import io

import pytest

import edge_devices
from edge_devices import synthesis
from edge_devices.latency import BOARDS, CORES, CycleModel
from edge_devices.profiles import PROFILES
from edge_devices.program import Operator, Program, Tensor
from edge_devices.published import points

NAMES = [profile.name for profile in PROFILES]


def test_the_devices_people_ask_for_are_there():
    wanted = "cortex-m4 cortex-m7 cortex-m33 cortex-m55 ethos-u55-128 esp32-s3 host"
    assert {*wanted.split(), "raspberry-pi-4", "pixel-6"} <= set(NAMES)
    assert len(set(NAMES)) == len(NAMES)


@pytest.mark.parametrize("profile", PROFILES, ids=NAMES)
class TestEveryProfile:
    def test_every_number_has_a_source(self, profile):
        sourced = {field.strip() for key in profile.sources for field in key.split(",")}
        for field, name in (("flash", "flash"), ("ram", "ram"), ("clock_hz", "clock")):
            if getattr(profile, field) is not None:
                assert name in sourced
        if profile.power is not None:
            assert profile.sources["energy"] == profile.power.source != ""
        assert all(profile.sources.values())

    def test_half_of_a_chip_is_left_for_the_firmware(self, profile):
        for name, amount in profile.limits.items():
            assert amount == getattr(profile, f"chip_{name}") / 2

    def test_it_is_what_its_name_finds(self, profile):
        assert edge_devices.find(profile.name) == profile

    def test_it_exports_int8(self, profile):
        assert profile.quantization == "int8"


def test_hard_swish_is_allowed_where_it_is_fast():
    allowed = {
        profile.name: profile.activations is None or "hard_silu" in profile.activations
        for profile in PROFILES
    }
    for name, is_allowed in allowed.items():
        assert is_allowed == (name.startswith("ethos") or name == "host"), name


def test_every_microcontroller_has_a_model_of_time():
    for profile in PROFILES:
        micro = profile.core is not None and profile.npu is None
        assert isinstance(profile.latency_model, CycleModel) == micro


def test_boards_that_were_timed_have_their_own_speed():
    timed = {point.board for point in points()}
    for profile in PROFILES:
        if profile.board is not None:
            assert profile.board in timed
            speed = BOARDS.get(("tflm", profile.board), CORES["tflm", profile.core])
            assert profile.latency_model.speed == speed


def test_operators_of_an_npu_are_those_its_compiler_reports(tmp_path, monkeypatch):
    vela = pytest.importorskip("ethosu.vela.vela", reason="needs ethos-u-vela (extra npu)")
    monkeypatch.chdir(tmp_path)
    with contextlib.redirect_stdout(io.StringIO()):
        vela.main(["--supported-ops-report"])
    report = (tmp_path / "SUPPORTED_OPS.md").read_text()
    for name, title in (
        ("ethos-u55-128", "## Ethos-U55 and Ethos-U65 TFLite Summary Table"),
        ("ethos-u85-256", "## Ethos-U85 TFLite Summary Table"),
    ):
        table = report.split(title)[1].split("\n### ")[0].split("\n## ")[0]
        reported = {row.split("|")[1].strip() for row in table.splitlines() if row[:2] == "| "}
        assert set(edge_devices.find(name).operators) == reported - {"Operator", "---"}


def chain(op, before, after, *, dtype="int8", **settings):
    """A program of one operator and, for compilers want more than that, a RELU."""
    tensors = (Tensor(before, dtype), Tensor(after), Tensor(after))
    operators = (Operator(op, (0,), (1,), **settings), Operator("RELU", (1,), (2,)))
    return Program(tensors, operators, (0,), (2,))


def product():
    shapes = (1, 2, 8, 4), (1, 2, 4, 8), (1, 2, 8, 8)
    return Program(
        tuple(map(Tensor, (*shapes, shapes[2]))),
        (Operator("BATCH_MATMUL", (0, 1), (2,)), Operator("RELU", (2,), (3,))),
        (0, 1),
        (3,),
    )


INDICES = {"weight_dtype": "int32"}
RESIZES = {
    f"{op} {before} {after}": chain(
        f"RESIZE_{op}", (1, *before, 8), (1, *after, 8), weights=(2,), **INDICES
    )
    for op in ("BILINEAR", "NEAREST_NEIGHBOR")
    for before, after in (
        *(((8, 8), (16, 16)), ((8, 8), (32, 32)), ((8, 8), (24, 24)), ((9, 9), (13, 11))),
        *(((8, 8), (16, 32)), ((1, 1), (7, 5)), ((3, 1), (6, 1)), ((16, 16), (8, 8))),
    )
}
PROGRAMS = {
    "attention": product(),
    "a mask": chain("SELECT_V2", (1, 8, 8), (1, 8, 8), weights=(1, 8, 8), weight_dtype="bool"),
    "tokens": chain("GATHER", (1, 8), (1, 8, 4), weights=(20, 4), dtype="int32"),
    "an axis that is turned": chain("GATHER", (1, 8, 4), (1, 8, 4), weights=(8,), **INDICES),
    "gaps": chain(
        "DEPTHWISE_CONV_2D",
        *((1, 9, 9, 8), (1, 9, 9, 8)),
        weights=(1, 3, 3, 8),
        window=(3, 3),
        dilation=(2, 2),
        bias=True,
    ),
    "space to batch": chain(
        "SPACE_TO_BATCH_ND", (1, 8, 8, 4), (4, 4, 4, 4), weights=(2,), **INDICES
    ),
    **RESIZES,
}
# Devices that must not be given them; all others may.
REFUSED = {
    "a mask": {"ethos-u55-128", "ethos-u55-256"},
    "tokens": {"ethos-u55-128", "ethos-u55-256"},
    "an axis that is turned": {"ethos-u55-128", "ethos-u55-256", "ethos-u85-256"},
    "space to batch": {"ethos-u55-128", "ethos-u55-256", "ethos-u85-256"},
}


@pytest.mark.parametrize("name", sorted(PROGRAMS.keys() - RESIZES.keys()))
def test_operators_of_sequences_are_refused_where_there_is_no_kernel(name):
    refusing = {p.name for p in PROFILES if p.unsupported(PROGRAMS[name])}
    assert refusing == REFUSED.get(name, set())


@pytest.mark.parametrize("npu", ["ethos-u55-128", "ethos-u85-256"])
def test_an_npu_is_given_what_its_compiler_takes(npu):
    pytest.importorskip("ethosu", reason="needs ethos-u-vela (extra npu)")
    from edge_devices.npu import npu as compiled

    for name, program in PROGRAMS.items():
        if name == "space to batch":
            continue  # nothing that we write has it
        content = synthesis.file(program)
        left = compiled(content, npu, cpu_operators=True).cpu_operators
        assert bool(left) == bool(edge_devices.find(npu).unsupported(program)), (name, left)


def test_microcontrollers_are_given_what_their_interpreter_runs():
    pytest.importorskip("tflite_micro", reason="needs the extra micro")
    from edge_devices import tflm

    for name, program in PROGRAMS.items():
        if name != "space to batch":
            assert not edge_devices.find("cortex-m4").unsupported(program), name
            assert tflm.refusal(synthesis.file(program)) is None, name

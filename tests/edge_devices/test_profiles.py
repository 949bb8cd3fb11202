import contextlib
import io

import pytest

import edge_devices
from edge_devices.latency import BOARDS, CORES, CycleModel
from edge_devices.profiles import PROFILES
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

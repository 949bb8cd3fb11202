import dataclasses
import math

import pytest

from benchmarks.latency_networks import program
from edge_devices import find
from edge_devices.energy import POWERS, energy_mj
from edge_devices.published import points

MEASURED = [point for point in points() if point.energy_mj]
# Measured at 3 V; the board's power here is that at 1.8 V.
OTHER_SUPPLY = [p for p in MEASURED if (p.board, p.supply) == ("NUCLEO-L4R5ZI", "3.0 V")]
SAME_SUPPLY = [p for p in MEASURED if p not in OTHER_SUPPLY]


def test_milliwatts_for_milliseconds_are_microjoules():
    assert energy_mj(100, 40) == pytest.approx(4.0)


@pytest.mark.parametrize("numbers", [(-1, 40), (100, -1), (math.nan, 40), (100, math.inf)])
def test_impossible_numbers_are_refused(numbers):
    with pytest.raises(ValueError, match=r"must be at least 0 and finite\. Received"):
        energy_mj(*numbers)


@pytest.mark.parametrize("board", POWERS)
def test_a_board_has_the_mean_power_of_its_published_energies(board):
    powers = [p.energy_mj / p.milliseconds * 1e3 for p in SAME_SUPPLY if p.board == board]
    assert len(powers) == 4
    assert POWERS[board].milliwatts == pytest.approx(sum(powers) / 4, rel=0.005)


@pytest.mark.parametrize("point", SAME_SUPPLY, ids=lambda p: f"{p.network}-{p.board}")
def test_power_hardly_depends_on_the_network(point):
    estimate = energy_mj(point.milliseconds, POWERS[point.board].milliwatts)
    assert estimate == pytest.approx(point.energy_mj, rel=0.07)


def test_the_supply_matters_as_the_documentation_says():
    powers = [p.energy_mj / p.milliseconds * 1e3 for p in OTHER_SUPPLY]
    assert sum(powers) / len(powers) == pytest.approx(75, abs=1)


@pytest.mark.parametrize("point", [p for p in SAME_SUPPLY if p.board == "NUCLEO-U575ZI-Q"])
def test_with_the_runtime_it_was_measured_with_the_whole_estimate_is_near(point):
    device = dataclasses.replace(find("cortex-m33"), runtime="x-cube-ai")
    estimate = device.costs(program(point.network))["energy_mj"]
    assert estimate == pytest.approx(point.energy_mj, rel=0.45)


def test_a_device_without_a_published_power_has_no_energy():
    assert find("esp32-s3").power is None
    assert find("esp32-s3").costs(program("ds-cnn")).keys() == {"latency_ms"}


def test_every_power_says_where_it_was_published():
    for power in POWERS.values():
        assert "MLPerf Tiny" in power.source
        assert str(power) == f"{power.milliwatts:g} mW at {power.supply}"

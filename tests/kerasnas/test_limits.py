import math
import subprocess
import sys

import numpy as np
import pytest

from kerasnas.limits import (
    format_duration,
    parse_duration,
    parse_limit_options,
    parse_limits,
    violation,
)


class TestParseLimits:
    def test_each_bound_is_read_in_the_base_unit_of_its_cost(self):
        limits = {"flash": "128KB", "macs": "10M", "ram": "1MB", "latency_ms": "2s"}
        base = {"flash": 131_072, "macs": 10e6, "ram": 1_048_576, "latency_ms": 2_000}
        assert parse_limits(limits) == base

    @pytest.mark.parametrize("nothing", [None, {}])
    def test_no_limits_bound_nothing(self, nothing):
        assert parse_limits(nothing) == {}

    def test_limits_must_be_a_mapping(self):
        with pytest.raises(TypeError, match="must map costs"):
            parse_limits("flash=128KB")

    def test_the_module_loads_nothing_heavy(self):
        code = (
            "import sys, kerasnas.limits; print({'tensorflow', 'keras'} & sys.modules.keys())"
        )
        loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
        assert loaded.stdout.strip() == "set()"


class TestParseLimitOptions:
    def test_reads_what_parse_limits_reads(self):
        options = ["flash=128KB", "macs = 10M"]
        assert parse_limit_options(options) == parse_limits({"flash": "128KB", "macs": "10M"})

    @pytest.mark.parametrize("option", ["flash", "flash=", "=128KB", ""])
    def test_an_option_needs_a_name_and_a_bound(self, option):
        with pytest.raises(ValueError, match="NAME=BOUND"):
            parse_limit_options([option])

    def test_a_cost_cannot_be_limited_twice(self):
        with pytest.raises(ValueError, match="twice"):
            parse_limit_options(["flash=128KB", "flash=64KB"])


class TestViolation:
    def test_a_network_at_its_limits_meets_them(self):
        assert (
            violation({"flash": 100, "macs": 3, "params": 9}, {"flash": 100, "macs": 4}) == 0.0
        )

    def test_broken_limits_add_their_log_ratios(self):
        costs, limits = (
            {"flash": 200, "macs": 30, "params": 1},
            dict.fromkeys(["flash", "macs", "params"], 10),
        )
        assert violation(costs, limits) == pytest.approx(math.log(20) + math.log(3))

    def test_the_slightest_excess_counts(self):
        assert violation({"flash": math.nextafter(100, 200)}, {"flash": 100}) > 0

    @pytest.mark.parametrize("unknown", [math.nan, math.inf])
    def test_a_cost_that_is_no_number_meets_no_limit(self, unknown):
        assert violation({"flash": unknown}, {"flash": 100}) == math.inf

    def test_a_limit_without_its_cost_is_an_error(self):
        with pytest.raises(ValueError, match=r"Provide \['macs'\]"):
            violation({"flash": 1}, {"macs": 1, "flash": 2})


class TestDurations:
    @pytest.mark.parametrize(
        ("text", "seconds"),
        [
            ("20m", 1200),
            ("90s", 90),
            ("1h30m", 5400),
            ("2H", 7200),
            ("1.5h", 5400),
            ("1d 2h 3m 4s", 93_784),
            ("45", 45),
            (7.5, 7.5),
            (None, None),
        ],
    )
    def test_parse(self, text, seconds):
        assert parse_duration(text) == seconds

    @pytest.mark.parametrize(
        "text", ["", " ", "soon", "20ms", "30m1h", "1h1h", "0m", "-5m", "nan", -1, 0, math.inf]
    )
    def test_what_is_no_duration_is_refused(self, text):
        with pytest.raises(ValueError, match=r"duration must be positive.*Received"):
            parse_duration(text)

    @pytest.mark.parametrize("value", [True, [1]])
    def test_another_type_is_refused(self, value):
        with pytest.raises(TypeError, match="text or a number of seconds"):
            parse_duration(value)

    @pytest.mark.parametrize(
        ("seconds", "text"),
        [
            (-3, "0s"),
            (3.21, "3.2s"),
            (9.97, "10s"),
            (59.7, "1m"),
            (725, "12m 5s"),
            (3599.8, "1h"),
            (5400, "1h 30m"),
            (90_030, "25h"),
        ],
    )
    def test_format(self, seconds, text):
        assert format_duration(seconds) == text

    def test_what_is_formatted_is_read_again(self):
        for seconds in np.geomspace(0.1, 1e6, 200):
            assert parse_duration(format_duration(seconds)) == pytest.approx(seconds, rel=0.5)
            again = format_duration(parse_duration(format_duration(seconds)))
            assert again == format_duration(seconds)

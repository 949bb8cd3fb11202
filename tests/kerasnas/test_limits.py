import math
import subprocess
import sys

import numpy as np
import pytest

from kerasnas.limits import (
    format_cost,
    format_duration,
    parse_duration,
    parse_limit_options,
    parse_limits,
    violation,
)


class TestParseLimits:
    @pytest.mark.parametrize(
        ("name", "bound", "base"),
        [
            ("params", "10M", 10_000_000),
            ("params", "50k", 50_000),
            ("params", "1_500", 1_500),
            ("macs", "1.5G", 1.5e9),
            ("macs", "10m", 10_000_000),
            ("macs", 2e6, 2e6),
            ("flash", "128KB", 131_072),
            ("flash", "128 kib", 131_072),
            ("flash", "1.5MB", 1_572_864),
            ("flash", ".5KB", 512),
            ("flash", "900B", 900),
            ("flash", "900", 900),
            ("flash", np.int64(4096), 4096),
        ],
    )
    def test_counts_are_decimal_and_bytes_1024_based(self, name, bound, base):
        assert parse_limits({name: bound}) == {name: base}

    @pytest.mark.parametrize("nothing", [None, {}])
    def test_no_limits_bound_nothing(self, nothing):
        assert parse_limits(nothing) == {}

    @pytest.mark.parametrize(
        ("name", "bound"),
        [
            ("flash", "20ms"),
            ("flash", "10M"),
            ("macs", "64KB"),
            ("params", "many"),
            ("macs", ""),
        ],
    )
    def test_another_unit_is_named_with_what_is_expected(self, name, bound):
        with pytest.raises(ValueError, match=f"Received: limits={{'{name}': '{bound}'}}") as e:
            parse_limits({name: bound})
        assert ("'10KB'" if name == "flash" else "'10M'") in str(e.value)

    @pytest.mark.parametrize("name", ["ram", "latency_ms", "energy_mj"])
    def test_a_cost_not_measured_yet_says_what_works(self, name):
        with pytest.raises(ValueError, match=f"{name}.*yet.*'params', 'macs', 'flash'"):
            parse_limits({name: 1})

    @pytest.mark.parametrize(
        ("typo", "meant"), [("flsh", "flash"), ("MACs", "macs"), ("latency", "latency_ms")]
    )
    def test_an_unknown_name_gets_the_nearest_one(self, typo, meant):
        with pytest.raises(ValueError, match=f"{typo}.*Did you mean '{meant}'"):
            parse_limits({typo: 1})

    @pytest.mark.parametrize("bound", [0, -1, "-5KB", "0", math.nan, math.inf, "1e999"])
    def test_a_bound_must_be_positive_and_finite(self, bound):
        with pytest.raises(ValueError, match="positive and finite"):
            parse_limits({"flash": bound})

    @pytest.mark.parametrize("bound", [None, True, [1]])
    def test_a_bound_must_be_a_number_or_text(self, bound):
        with pytest.raises(TypeError, match=r"'flash' must be a number or text\. Received"):
            parse_limits({"flash": bound})

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


class TestFormatCost:
    @pytest.mark.parametrize(
        ("name", "value", "text"),
        [
            ("flash", 59_699, "58.3 KB"),
            ("flash", 131_072, "128 KB"),
            ("flash", 1024**2 - 1, "1 MB"),
            ("flash", 900, "900 B"),
            ("flash", 3 * 1024**4, "3,072 GB"),
            ("params", 1_234_567, "1.2M"),
            ("params", 999, "999"),
            ("macs", 999_960, "1M"),
            ("macs", 48_700, "48.7k"),
            ("latency_ms", 20, "20 ms"),
            ("energy_mj", 0.5, "500 uJ"),
            ("flash", math.inf, "inf"),
            ("score", 0.25, "0.25"),
        ],
    )
    def test_one_decimal_at_most(self, name, value, text):
        assert format_cost(name, value) == text

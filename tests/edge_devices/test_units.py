import math

import numpy as np
import pytest

from edge_devices.units import format_cost, parse_amount


class TestParseAmount:
    @pytest.mark.parametrize(
        ("name", "bound", "base"),
        [
            ("params", "10M", 10_000_000),
            ("params", "50k", 50_000),
            ("params", "1_500", 1_500),
            ("macs", "1.5G", 1.5e9),
            ("macs", "10m", 10_000_000),
            ("macs", 2e6, 2e6),
            ("ram", "64KB", 65_536),
            ("latency_ms", "20ms", 20),
            ("latency_ms", "1.5s", 1500),
            ("latency_ms", "500us", 0.5),
            ("energy_mj", "2J", 2000),
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
        assert parse_amount(name, bound) == base

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
        with pytest.raises(ValueError, match=f"Received: {name}='{bound}'") as e:
            parse_amount(name, bound)
        assert ("'10KB'" if name == "flash" else "'10M'") in str(e.value)

    @pytest.mark.parametrize(
        ("typo", "meant"), [("flsh", "flash"), ("MACs", "macs"), ("latency", "latency_ms")]
    )
    def test_an_unknown_name_gets_the_nearest_one(self, typo, meant):
        with pytest.raises(ValueError, match=f"{typo}.*Did you mean '{meant}'"):
            parse_amount(typo, 1)

    @pytest.mark.parametrize("bound", [0, -1, "-5KB", "0", math.nan, math.inf, "1e999"])
    def test_a_bound_must_be_positive_and_finite(self, bound):
        with pytest.raises(ValueError, match="positive and finite"):
            parse_amount("flash", bound)

    @pytest.mark.parametrize("bound", [None, True, [1]])
    def test_a_bound_must_be_a_number_or_text(self, bound):
        with pytest.raises(TypeError, match=r"'flash' must be a number or text\. Received"):
            parse_amount("flash", bound)


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

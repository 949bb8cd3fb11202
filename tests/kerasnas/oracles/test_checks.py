import pytest

from kerasnas.oracles._checks import check_range


def test_what_is_out_of_range_is_named_with_what_to_give():
    message = r"`rate` is out of its range\. Received: rate=-1\.0\. Give a number above 0\."
    with pytest.raises(ValueError, match=message):
        check_range("rate", -1.0, False, "a number above 0")


def test_what_is_within_passes():
    check_range("rate", 0.5, True, "a number above 0")

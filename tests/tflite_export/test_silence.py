import os
import subprocess
import sys
import warnings

import pytest

from tflite_export.silence import silence


def test_nothing_gets_out_whichever_way_it_is_written(capfd):
    with silence():
        print("printed")
        os.write(1, b"native")
        os.write(2, b"native")
        warnings.warn("a warning", stacklevel=1)
    assert capfd.readouterr() == ("", "")


def test_output_is_back_afterwards_even_after_an_error(capfd):
    with pytest.raises(ZeroDivisionError), silence():
        raise ZeroDivisionError
    os.write(1, b"native")
    print("printed", file=sys.stderr)
    assert capfd.readouterr() == ("native", "printed\n")
    with pytest.warns(UserWarning, match="heard"):
        warnings.warn("heard", stacklevel=1)


def test_no_file_descriptor_is_left_open():
    def lowest_free():
        descriptor = os.dup(0)
        os.close(descriptor)
        return descriptor

    before = lowest_free()
    with silence():
        assert lowest_free() > before
    assert lowest_free() == before


def test_log_handlers_made_meanwhile_still_work_afterwards():
    code = (
        "import logging\n"
        "from tflite_export.silence import silence\n"
        "with silence():\n"
        "    logging.basicConfig()\n"
        "    logging.warning('unheard')\n"
        "logging.warning('heard')\n"
    )
    run = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert run.stderr.splitlines() == ["WARNING:root:heard"]

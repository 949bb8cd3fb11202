import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(("oracle", "kills"), [("random", 5), ("bayesian", 2)])
def test_no_kill_loses_or_repeats_a_trial(oracle, kills):
    command = [
        sys.executable,
        "benchmarks/kills.py",
        "--kills",
        str(kills),
        "--oracle",
        oracle,
    ]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    found = json.loads(done.stdout)
    assert found["kills"] == kills
    assert found["not_reopened"] == found["other_proposals"] == 0
    assert found["trials_lost"] == found["trials_run_twice"] == 0

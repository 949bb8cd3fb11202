"""Statistics of scores against accuracies."""

import numpy as np
import pytest

from benchmarks import training_free
from search_spaces import MobileNet
from search_spaces.costs import costs


def test_a_score_is_held_against_the_better_size():
    accuracies = np.arange(20.0)
    scores = {
        "good": accuracies**3,
        "bad": -accuracies,
        "params": np.roll(accuracies, 3),
        "macs": np.roll(accuracies, 9),
    }
    lines = training_free.table(accuracies, scores, {"good": 12.3}).splitlines()
    assert "less params's" in lines[0]
    assert lines[2].startswith("| good | +1.00 (+1.00 to +1.00) |")
    assert lines[2].endswith("| 19.00 %, 1 | 12 |")
    assert lines[-1].startswith("| bad | -1.00")


def test_members_keep_limits_and_differ():
    space = MobileNet((28, 28, 1), 10)
    found = training_free.members(space, 5, {"macs": "1M"})
    assert len({one.network.digest for one in found}) == 5
    assert all(costs(one.network)["macs"] <= 1e6 for one in found)
    with pytest.raises(ValueError, match="Too few members"):
        training_free.members(space, 2, {"params": 500})


def test_what_is_known_is_asked_once(tmp_path):
    path = tmp_path / "folder" / "one.json"
    assert training_free.kept(path, lambda: [1.5, -np.inf]) == [1.5, -np.inf]
    assert training_free.kept(path, lambda: None) == [1.5, -np.inf]

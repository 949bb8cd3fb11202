import math

import pytest

from kerasnas import budget as module
from kerasnas.budget import Budget


@pytest.fixture
def clock(monkeypatch):
    """A clock that stands still until it is told otherwise."""

    class Clock:
        now = 1000.0

    monkeypatch.setattr(module.time, "monotonic", lambda: Clock.now)
    return Clock


def test_without_a_bound_everything_is_affordable():
    budget = Budget(None)
    assert budget.looking is None
    assert budget.left == math.inf
    assert budget.finalists(100, 1e3) == (3, 100)
    assert budget.final_epochs(100, 1e3) == 100


def test_looks_get_under_half_of_the_time(clock):
    assert 0.4 * 1200 < Budget(1200).looking < 0.5 * 1200


def test_time_for_the_files_is_kept_back(clock):
    budget = Budget(1200)
    clock.now += 1150
    assert budget.left <= 5
    clock.now += 100
    assert budget.left < 0
    assert budget.looking == 0


def test_what_earlier_sessions_took_counts(clock):
    assert Budget(1200, spent=300).looking == Budget(1200).looking - 300


def test_the_finalists_and_the_last_training_fit_in_what_is_left(clock):
    budget = Budget(1200)
    clock.now += budget.looking
    for epoch_seconds in (1, 5, 20, 40):
        count, epochs = budget.finalists(30, epoch_seconds)
        assert count * epochs * epoch_seconds < budget.left
        clock_before = clock.now
        clock.now += count * epochs * epoch_seconds
        assert budget.final_epochs(30, epoch_seconds) * epoch_seconds < budget.left
        clock.now = clock_before


def test_fewer_finalists_when_an_epoch_is_dear(clock):
    budget = Budget(1200)
    counts = [budget.finalists(30, seconds)[0] for seconds in (1, 10, 20, 100)]
    assert counts == sorted(counts, reverse=True)
    assert counts[0] == 3
    assert budget.finalists(30, 100) == (1, 0)

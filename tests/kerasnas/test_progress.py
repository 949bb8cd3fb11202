import io

import pytest
from rich.console import Console

from kerasnas.budget import Budget
from kerasnas.progress import Progress


@pytest.fixture
def shown():
    return io.StringIO()


def progress(shown, terminal=False, **kwargs):
    console = Console(file=shown, force_terminal=terminal, width=100, highlight=False)
    return Progress("val_accuracy", "max", 4, Budget(600), console=console, **kwargs)


def test_without_a_terminal_each_trial_is_one_plain_line(shown):
    with progress(shown) as p:
        p.trial_started(1)
        p.trial_ended(1, 0.5, {"flash": 2048}, 12)
        p.trial_ended(2, None, {}, 3)
    first, second = shown.getvalue().splitlines()
    assert "trial 1/4" in first
    assert "0.5000" in first
    assert "2 KB" in first
    assert "left" in first
    assert "failed" in second
    assert "best 0.5000" in second
    assert "\x1b" not in shown.getvalue()


def test_the_best_follows_the_direction(shown):
    console = Console(file=shown)
    p = Progress("val_loss", "min", None, Budget(None), console=console)
    for number, score in enumerate([0.5, 0.3, 0.4], start=1):
        p.trial_ended(number, score, {}, 1)
    assert p.best == 0.3


def test_on_a_terminal_a_table_is_kept(shown):
    with progress(shown, terminal=True) as p:
        for number in range(1, 12):
            p.trial_started(number)
            p.trial_ended(number, number / 20, {"flash": 1024 * number}, 1)
    last = shown.getvalue().split("trial")[-1]
    assert "11/4" in last
    assert "2/4" not in last.replace("12/4", "")

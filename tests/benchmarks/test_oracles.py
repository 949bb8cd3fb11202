"""A report of replays from the command line to the table."""

import json
import os

import pytest

from benchmarks.oracles import main

pytestmark = [
    pytest.mark.filterwarnings("ignore"),  # of KerasTuner, on every call
    pytest.mark.skipif(
        not os.environ.get("KERASNAS_DATA"), reason="needs KERASNAS_DATA: the folder of tables"
    ),
]


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    folder = tmp_path_factory.mktemp("report")
    arguments = "--problems nb201-cifar10 --searchers random largest ours-random --seeds 3"
    shorter = "--trials 110 --short ours-random --short-trials 20"
    folders = ["--cache", str(folder / "cache"), "--output", str(folder / "out")]
    assert main([*arguments.split(), *shorter.split(), *folders]) == 0
    text = (folder / "out" / "oracles.md").read_text()
    return json.loads((folder / "out" / "oracles.json").read_text()), text


def test_random_is_what_others_are_compared_with(report):
    searchers = report[0]["problems"]["nb201-cifar10"]["searchers"]
    mean, error = searchers["largest"]["less_random"]["100"]
    regret = {name: one["regret"] for name, one in searchers.items()}
    assert mean == pytest.approx(regret["largest"]["100"][0] - regret["random"]["100"][0])
    assert error > 0.0
    assert searchers["random"]["less_random"] == {}


def test_fewer_trials_are_compared_up_to_their_end(report):
    summary, text = report
    figures = summary["problems"]["nb201-cifar10"]["searchers"]["ours-random"]
    assert len(figures["mean"]) == 20
    assert figures["regret"].keys() == {"10"}
    assert figures["less_random"] == {}
    comparison = summary["comparisons"]["ours-random over the best peer"]
    assert comparison["problems"]["nb201-cifar10"]["by_checkpoint"].keys() == {"20"}
    assert "| ours-random | 3 |" in text


def test_the_table_has_a_cell_for_every_head(report):
    rows = [line for line in report[1].splitlines() if line.startswith("|")]
    assert {row.count("|") for row in rows[:5]} == {rows[0].count("|")}

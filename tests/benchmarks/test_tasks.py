"""Each task goes from a data set to a file that LiteRT runs, and is judged fairly."""

import json
import math
import os

import numpy as np
import pytest

from benchmarks import tasks

QUICK = {
    "examples": 300,
    "folds": 1,
    "max_trials": 1,
    "epochs": 2,
    "max_accuracy_drop": None,
    "verbose": 0,
}
NEED_FILES = {
    *("fashion", "fsdd", "motions", "vowels"),
    *("multilabel", "scenes-segmentation", "scenes-detection"),
}
EASY = {"motions", "scenes-segmentation", "scenes-detection"}  # even in two epochs
FAST = ("wine", "language")


def needs_files(name):
    missing = name in NEED_FILES and "KERASNAS_DATA" not in os.environ
    return pytest.mark.skipif(missing, reason="KERASNAS_DATA is not set")


def check(name, figures):
    json.dumps(figures, allow_nan=False)
    score = figures["score"]
    model, file = (figures[key][score] for key in ("model", "file"))
    if name == "language":  # perplexities
        assert 1 < file < 100
        assert abs(math.log(file / model)) < 0.05
    else:
        assert abs(file - model) < 0.06
    assert figures["bytes"] > 1000
    assert figures["trials"] == 1
    assert figures["best_baseline"] in figures["baselines"]
    assert 0 < figures["standard_error"] < 0.3 * max(1, file)
    if name in EASY:
        assert figures["verdict"] == "ahead"


@pytest.mark.parametrize("name", FAST)
def test_a_table_and_tokens_become_files(name):
    examples = {"wine": 300, "language": 100}[name]
    check(name, tasks.run(name, **{**QUICK, "examples": examples}))


@pytest.mark.slow
@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=needs_files(name))
        for name in tasks.PROBLEMS
        if name not in FAST
    ],
)
def test_every_task_goes_from_data_set_to_a_file(name):
    check(name, tasks.run(name, **QUICK))


@pytest.mark.parametrize("name", ["wine", "diabetes"])
def test_each_row_of_a_small_table_is_judged_once(name):
    folds = tasks.PROBLEMS[name].read().folds
    column = next(iter(folds[0][0][0]))
    judged = np.concatenate([test[0][column] for _, test in folds])
    learned = np.concatenate([train[0][column] for train, _ in folds])
    whole = np.concatenate([part[0][column] for part in folds[0]])
    np.testing.assert_array_equal(np.sort(judged), np.sort(whole))
    np.testing.assert_array_equal(np.sort(learned), np.sort(np.tile(whole, 4)))


def test_two_inputs_share_a_digit_between_them():
    [(train, test)], settings = tasks.PROBLEMS["several"].read()
    for inputs, labels in (train, test):
        assert inputs["image"].shape == (len(labels), 8, 8, 1)
        assert not inputs["image"][:, :, 4:].any()
        rows = inputs["profile"][:, 4:].sum(axis=1)
        np.testing.assert_allclose(inputs["profile"][:, :4].sum(axis=1), rows)
    assert set(settings["layout"]) == set(inputs)


def test_the_standard_error_of_a_share_is_that_of_a_binomial():
    right = np.random.default_rng(0).random(2000) < 0.8
    found = [
        tasks.standard_errors(lambda rows: right[rows].mean(), 2000, seed=seed)
        for seed in range(10)
    ]
    assert np.mean(found) == pytest.approx(np.sqrt(0.8 * 0.2 / 2000), rel=0.1)


def test_the_standard_error_of_a_ratio_is_that_of_its_bootstrap():
    rng = np.random.default_rng(1)
    above, below = rng.exponential(size=800), 1 + rng.random(800)

    def ratio(rows):
        return above[rows].sum() / below[rows].sum()

    drawn = [ratio(rng.integers(0, 800, 800)) for _ in range(500)]
    found = [tasks.standard_errors(ratio, 800, seed=seed) for seed in range(10)]
    assert np.mean(found) == pytest.approx(np.std(drawn), rel=0.1)


def test_fewer_examples_than_groups_are_left_out_one_by_one():
    values = np.array([1.0, 2.0, 4.0])
    found = tasks.standard_errors(lambda rows: values[rows].mean(), 3)
    assert found == pytest.approx(values.std(ddof=1) / np.sqrt(3))


def test_an_unknown_problem_is_refused(monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", ["tasks", "digit"])
    with pytest.raises(SystemExit):
        tasks.main()
    assert "unknown: digit; known: digits," in capsys.readouterr().err

import keras_tuner
import pytest

from search_spaces.decisions import Decisions


def read(hp):
    """Every way of reading, with scopes; what was answered."""
    answers = [
        hp.Choice("kind", ["a", "b"]),
        hp.Int("count", 2, 8, step=2),
        hp.Float("rate", 0.1, 1.0, sampling="log"),
        hp.Boolean("flag"),
        hp.Fixed("constant", 7),
        hp.Choice("child", [1, 2], default=2, parent_name="kind", parent_values=["b"]),
    ]
    with hp.name_scope("stage0"):
        answers.append(hp.Choice("depth", [0, 1], default=1))
        with hp.conditional_scope("depth", [1]):
            answers.append(hp.Boolean("squeeze", default=True))
        with hp.conditional_scope("depth", 0):
            answers.append(hp.Int("never", 1, 3, default=2))
    return answers


@pytest.mark.parametrize(
    "values",
    [
        {},
        {"kind": "b", "count": 6, "rate": 0.5, "flag": True},
        {"kind": "b", "child": 1, "stage0/depth": 0, "stage0/never": 3},
    ],
)
def test_answers_are_keras_tuners(values):
    theirs = keras_tuner.HyperParameters()
    theirs.values = dict(values)
    ours = Decisions(values)
    assert read(ours) == read(theirs)
    assert ours.values == theirs.values


def test_the_given_values_stay_as_they_are():
    values = {}
    Decisions(values).Choice("kind", ["a"])
    assert values == {}

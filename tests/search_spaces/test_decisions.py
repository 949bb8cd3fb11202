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


def test_one_name_for_two_decisions_is_refused():
    reader = Decisions({}, checked=True)
    reader.Choice("kernel", [3, 5])
    with pytest.raises(ValueError, match=r"name of its own\. Received: `kernel` with"):
        reader.Choice("kernel", [3, 5, 7])


def test_one_decision_may_be_read_twice():
    reader = Decisions({"kernel": 5}, checked=True)
    assert reader.Choice("kernel", [3, 5]) == reader.Choice("kernel", [3, 5]) == 5


def test_alternatives_may_have_decisions_of_one_name():
    reader = Decisions({"kind": "a"}, checked=True)
    reader.Choice("kind", ["a", "b"])
    for kind, kernels in (("a", [3, 5]), ("b", [5, 7])):
        with reader.conditional_scope("kind", kind):
            reader.Choice("kernel", kernels)
    assert reader.values == {"kind": "a", "kernel": 3}

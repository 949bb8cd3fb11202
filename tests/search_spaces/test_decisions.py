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


def test_a_list_and_a_tuple_offer_the_same():
    reader = Decisions({}, checked=True)
    assert reader.Choice("filters", [8, 16]) == reader.Choice("filters", (8, 16)) == 8


@pytest.mark.parametrize(
    ("first", "second", "message"),
    [
        (
            lambda hp: hp.Choice("a", [3, 5]),
            lambda hp: hp.Choice("a", [3, 5], default=5),
            r"`a` with the default 3, and again with 5\.",
        ),
        (
            lambda hp: hp.Boolean("a"),
            lambda hp: hp.Boolean("a", default=True),
            r"`a` with the default False, and again with True\.",
        ),
        (
            lambda hp: hp.Choice("a", [False, True]),
            lambda hp: hp.Boolean("a"),
            r"`a` with `hp\.Choice`, and again with `hp\.Boolean`\.",
        ),
        (
            lambda hp: hp.Int("a", 1, 3),
            lambda hp: hp.Int("a", 1, 4),
            r"`a` with the values range\(1, 4\), and again with range\(1, 5\)\.",
        ),
    ],
)
def test_reading_a_name_differently_makes_two_decisions(first, second, message):
    reader = Decisions({}, checked=True)
    first(reader)
    with pytest.raises(ValueError, match=message):
        second(reader)


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("kind", "c", r"Received: 'c' for `kind`\. It offers 'a', 'b'\."),
        ("count", 3, r"Received: 3 for `count`\. It offers 2, 4, 6, 8\."),
        ("count", "4", r"Received: '4' for `count`\. It offers 2"),
        ("rate", 1.5, r"Received: 1\.5 for `rate`\. It offers the numbers from 0\.1 to 1\.0"),
        ("rate", "high", "Received: 'high' for `rate`"),
        ("flag", "yes", r"Received: 'yes' for `flag`\. It offers False, True\."),
        ("constant", 8, r"Received: 8 for `constant`\. It offers 7\."),
        ("stage0/depth", None, r"Received: None for `stage0/depth`\. It offers 0, 1\."),
    ],
)
def test_what_is_not_offered_is_refused(name, value, message):
    with pytest.raises(ValueError, match=message):
        read(Decisions({name: value}, strict=True))


def test_a_misspelt_value_is_guessed():
    with pytest.raises(ValueError, match=r"'con3' for `a`\. Did you mean 'conv3'\? It offers"):
        Decisions({"a": "con3"}, strict=True).Choice("a", ["conv3", "skip"])


def test_what_is_inactive_is_never_asked_for():
    values = {"kind": "a", "child": None, "stage0/depth": 1, "stage0/never": 99}
    reader = Decisions(values, strict=True)
    read(reader)
    assert reader.unread == {"child": None, "stage0/never": 99}


def test_many_values_are_listed_in_part():
    with pytest.raises(ValueError, match=r"It offers 1, 2, .*, 20, \.\.\.\.$"):
        Decisions({"a": 0}, strict=True).Int("a", 1, 10**9)

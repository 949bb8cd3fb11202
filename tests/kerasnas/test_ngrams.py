from collections import Counter, defaultdict

import numpy as np
import pytest

from kerasnas import ngrams
from kerasnas.ngrams import NGram


def windows(count, length, vocabulary, memory, seed=0):
    """Windows of a source in which a token mostly follows from the `memory` before it."""
    rng = np.random.default_rng(seed)
    rule = rng.integers(vocabulary, size=(vocabulary,) * memory) if memory else None
    tokens = rng.integers(vocabulary, size=(count, length + 1))
    for place in range(memory, length + 1):
        if rule is not None:
            follows = rule[tuple(tokens[:, place - memory : place].T)]
            tokens[:, place] = np.where(rng.random(count) < 0.7, follows, tokens[:, place])
    return tokens[:, :-1].astype("int32"), tokens[:, 1:].astype("int32")


def chances_by_hand(x, y, vocabulary, order, context):
    """Witten and Bell's recursion, from the longest context down."""
    followed = defaultdict(Counter)
    for row, following in zip(x.tolist(), y.tolist(), strict=True):
        for place, token in enumerate(following):
            for length in range(min(order - 1, place + 1) + 1):
                followed[tuple(row[place + 1 - length : place + 1])][token] += 1

    def chance(token, context):
        if context is None:
            return 1 / vocabulary
        shorter = chance(token, context[1:] if context else None)
        counts = followed[context]
        if not counts:
            return shorter
        kinds = len(counts)
        return (counts[token] + kinds * shorter) / (sum(counts.values()) + kinds)

    return [chance(token, context) for token in range(vocabulary)]


@pytest.mark.parametrize("order", [1, 2, 3, 5])
def test_probabilities_are_those_of_the_definition(order):
    x, y = windows(30, 8, 4, memory=2)
    model = NGram(4, order).fit(x, y)
    fresh = np.random.default_rng(1).integers(4, size=(3, 8))
    logits = model.predict(fresh)
    assert logits.shape == (3, 8, 4)
    np.testing.assert_allclose(np.exp(logits).sum(axis=-1), 1, rtol=1e-5)
    for row, answers in zip(fresh.tolist(), logits, strict=True):
        for place, found in enumerate(answers):
            context = tuple(row[max(0, place + 2 - order) : place + 1]) if order > 1 else ()
            expected = chances_by_hand(x, y, 4, order, context)
            np.testing.assert_allclose(np.exp(found), expected, rtol=1e-5)


@pytest.mark.parametrize(("memory", "vocabulary"), [(0, 30), (1, 5), (2, 5)])
def test_the_order_is_the_memory_of_the_source(memory, vocabulary):
    model = NGram(vocabulary).fit(*windows(400, 20, vocabulary, memory))
    assert model.order == memory + 1


def test_what_is_worked_on_at_a_time_makes_no_difference(monkeypatch):
    x, y = windows(30, 8, 4, memory=1)
    whole = NGram(4).fit(x, y)
    monkeypatch.setattr(ngrams, "_CHUNK", 12)
    parts = NGram(4).fit(x, y)
    assert parts.order == whole.order
    np.testing.assert_array_equal(parts.predict(x), whole.predict(x))


def test_tokens_that_were_never_seen_are_possible():
    model = NGram(50, 3).fit([[1, 2, 3]], [[2, 3, 1]])
    logits = model.predict([[1, 2, 49, 48]])
    assert np.isfinite(logits).all()
    assert logits[0, 1].argmax() == 3

"""An interpolated n-gram: how far counting goes in guessing the next token."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import sparse

__all__ = ["NGram"]

Whole = NDArray[np.int64]

_HELD_OUT = 0.1  # share of the windows that choose the order
_CHUNK = 1 << 22  # probabilities worked on at a time


class _Level(NamedTuple):
    """What followed contexts of one length.

    Attributes:
        keys: Of each context its first part and its last token, as one number, ascending.
        counts: How often each token followed, `(contexts, vocabulary)`.
    """

    keys: Whole
    counts: sparse.csr_array


class NGram:
    """Guesses the next token from how often tokens followed the last few.

    The probabilities after a context are interpolated with those after the same context
    without its first token, down to equal ones, by the method of Witten and Bell: the more
    different tokens have followed a context, the likelier is one that never has. A context
    does not reach beyond the start of its window, as that of a network does not.

    Args:
        vocabulary: Number of different tokens.
        order: Length of context and token together: 1 looks at no context. `None` takes the
            best up to `most` on the last tenth of the windows.
        most: Largest order to try.

    Reference:
        Witten and Bell, "The zero-frequency problem", IEEE Transactions on Information Theory
        37 (1991), interpolated as in Chen and Goodman, "An empirical study of smoothing
        techniques for language modeling", Computer Speech & Language 13 (1999).
    """

    def __init__(self, vocabulary: int, order: int | None = None, most: int = 5) -> None:
        self.order = order
        self._vocabulary = vocabulary
        self._most = most
        self._levels: list[_Level] = []

    def fit(self, x: ArrayLike, y: ArrayLike) -> Self:
        """Count what follows.

        Args:
            x: Tokens `(n, length)`.
            y: The next token at each position, in the same shape.
        """
        tokens, following = np.asarray(x, np.int64), np.asarray(y, np.int64)
        if self.order is None:
            rest = len(tokens) - max(1, round(_HELD_OUT * len(tokens)))
            self._levels = self._counted(tokens[:rest], following[:rest], self._most)
            nats = np.zeros(self._most)
            for part, chances in self._interpolated(tokens[rest:]):
                right = following[rest:].reshape(-1)[part]
                for place, one in enumerate(chances):
                    nats[place] -= np.log(one[np.arange(len(right)), right]).sum()
            self.order = 1 + int(np.argmin(nats))
        self._levels = self._counted(tokens, following, self.order)
        return self

    def predict(self, x: ArrayLike) -> NDArray[np.float32]:
        """Logarithms of the probabilities of the next token, `(n, length, vocabulary)`."""
        tokens = np.asarray(x, np.int64)
        logits = np.empty((tokens.size, self._vocabulary), np.float32)
        for part, chances in self._interpolated(tokens):
            *_, last = chances
            logits[part] = np.log(last)
        return logits.reshape(*tokens.shape, self._vocabulary)

    def _counted(self, tokens: Whole, following: Whole, order: int) -> list[_Level]:
        levels: list[_Level] = []
        context = np.zeros(tokens.shape, np.int64)
        for length in range(order):
            keys = np.zeros(1, np.int64)
            if length:
                longer = self._longer(context, tokens, length)
                keys = np.unique(longer[longer >= 0])
                context = _found(keys, longer)
            there = context >= 0
            counts = sparse.coo_array(
                (
                    np.ones(int(there.sum()), np.float32),
                    (context[there], following[there]),
                ),
                shape=(len(keys), self._vocabulary),
            ).tocsr()
            counts.sum_duplicates()
            levels.append(_Level(keys, counts))
        return levels

    def _longer(self, context: Whole, tokens: Whole, length: int) -> Whole:
        """Contexts of `length` tokens as one number each, -1 where the window begins later."""
        earlier = np.full(tokens.shape, -1)
        earlier[:, length - 1 :] = tokens[:, : tokens.shape[1] - length + 1]
        known = (context >= 0) & (earlier >= 0)
        return np.where(known, context * self._vocabulary + earlier, -1)

    def _interpolated(
        self, tokens: Whole
    ) -> Iterator[tuple[slice, Iterator[NDArray[np.float64]]]]:
        """Probabilities of some positions at a time, those of each order in turn."""
        contexts = [np.zeros(tokens.shape, np.int64)]
        for length, level in enumerate(self._levels[1:], start=1):
            contexts.append(_found(level.keys, self._longer(contexts[-1], tokens, length)))
        step = max(1, _CHUNK // self._vocabulary)
        for start in range(0, tokens.size, step):
            part = slice(start, start + step)
            yield part, self._orders([one.reshape(-1)[part] for one in contexts])

    def _orders(self, contexts: list[Whole]) -> Iterator[NDArray[np.float64]]:
        shape = (len(contexts[0]), self._vocabulary)
        chances = np.full(shape, 1 / self._vocabulary)
        for level, context in zip(self._levels, contexts, strict=True):
            there = np.flatnonzero(context >= 0)
            followed: Any = level.counts[context[there]]
            kinds = np.diff(followed.indptr)[:, None]
            seen = np.asarray(followed.sum(axis=1), np.float64).reshape(-1, 1)
            mixed = (followed.toarray() + kinds * chances[there]) / (seen + kinds)
            chances[there] = mixed
            yield chances


def _found(keys: Whole, wanted: Whole) -> Whole:
    """Places of numbers among ascending `keys`, -1 where they are not."""
    if not len(keys):
        return np.full(wanted.shape, -1)
    places = np.minimum(np.searchsorted(keys, wanted), len(keys) - 1)
    return np.where(keys[places] == wanted, places, -1)

"""A data set with a test part of its own, as the command line opens it."""

from __future__ import annotations

import types
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from kerasnas.data import stratified_split

__all__ = ["TEST_SHARE", "NamedData", "held_out"]

TEST_SHARE = 0.2
"""Share of the examples that is held out for the test where a data set has no such part."""


class NamedData(NamedTuple):
    """A data set with its own test part.

    Attributes:
        train: For `kerasnas.search` and `kerasnas.data.load`.
        test: For `SearchResult.read` and `kerasnas.data.read`; the search never sees it.
        class_names: Name of each class, if known.
        settings: What the files say of themselves, as arguments of `kerasnas.search`: that
            they are waveforms and of which sample rate, for instance.
    """

    train: Any
    test: Any
    class_names: list[str] | None
    settings: Mapping[str, Any] = types.MappingProxyType({})


def held_out(
    strata: NDArray[np.int64], class_names: Sequence[str] | None = None
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The rows of a training and of a test part, the same ones each time.

    Args:
        strata: A class number of each row, of which both parts have like shares.
        class_names: For the message.

    Raises:
        ValueError: If a class has fewer than two rows.
    """
    order = np.random.default_rng(0).permutation(len(strata))
    return stratified_split(strata, order, TEST_SHARE, class_names)

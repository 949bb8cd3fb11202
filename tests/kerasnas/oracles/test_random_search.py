import collections
import functools

import pytest

from kerasnas.oracles.random_search import RandomSearch
from kerasnas.testing import OracleContract, choices, play, rough


class TestRandomSearch(OracleContract):
    @pytest.fixture
    def make(self):
        return functools.partial(RandomSearch, objective="loss")

    def test_every_option_is_as_likely(self, make):
        played = play(make(hyperparameters=choices(4, 2, 50), seed=0, max_trials=300), rough)
        counts = collections.Counter(values["d0"] for values in played)
        assert all(50 < count < 100 for count in counts.values())  # 75 expected

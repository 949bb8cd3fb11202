"""A problem small enough to know by heart."""

import keras_tuner
import pytest

from benchmarks.problems import Problem


class Tiny(Problem):
    """24 candidates; the loss adds up over decisions, noise is normal."""

    name = "tiny"
    optimum = 0.0
    checkpoints = (5, 10)

    def hyperparameters(self):
        hp = keras_tuner.HyperParameters()
        hp.Choice("depth", [1, 2, 3])
        hp.Choice("op", ["conv", "pool"])
        hp.Boolean("norm")
        with hp.conditional_scope("op", ["conv"]):
            hp.Choice("kernel", [3, 5, 7])
        return hp

    def costs(self, values):
        return {"params": 10.0 * values["depth"] + values.get("kernel", 1)}

    def observe(self, values, rng):
        return self.truth(values) + 0.01 * float(rng.normal())

    def truth(self, values):
        return float(3 - values["depth"] + (values.get("kernel") != 5) + values["norm"])


@pytest.fixture
def tiny():
    return Tiny()

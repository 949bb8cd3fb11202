import math

import numpy as np
import pytest

from kerasnas.oracles.cost_model import CostModel
from kerasnas.oracles.decisions import Decisions
from kerasnas.testing import choices
from search_spaces import MobileNet


@pytest.fixture(scope="module")
def mobile():
    """A mobile space and 340 random members of it with their costs."""
    space = MobileNet((28, 28, 1), num_classes=10)
    decisions = Decisions(space.hyperparameters())
    rows = decisions.sample(np.random.default_rng(0), 340)
    return decisions, rows, [space.costs(decisions.values(row)) for row in rows]


KNOWN, HELD_OUT = slice(240), slice(240, None)


@pytest.fixture(scope="module")
def model(mobile):
    decisions, rows, costs = mobile
    return CostModel(decisions, rows[KNOWN], costs[KNOWN])


class Additive:
    """A cost that is a product of factors, one a decision: additive in its logarithm."""

    decisions = Decisions(choices(4, 4, 4, 4, 4))

    def __init__(self, **others):
        self.rows = self.decisions.sample(np.random.default_rng(0), 400)
        self.params = 1000 * np.exp(self.rows @ np.array([0.1, 0.2, 0.3, 0.4, 0.5]))
        columns = {"params": self.params, **others}
        self.costs = [
            {
                name: float(np.broadcast_to(values, 400)[index])
                for name, values in columns.items()
            }
            for index in range(400)
        ]

    def model(self, part=slice(150)):
        return CostModel(self.decisions, self.rows[part], self.costs[part])


def test_guesses_are_close_to_what_mobile_networks_cost(mobile, model):
    _, rows, costs = mobile
    guessed = model.predict(rows[HELD_OUT])
    exact = np.array([model.standardised(known) for known in costs[HELD_OUT]])
    assert model.names == sorted(costs[0])
    np.testing.assert_array_less(np.abs(guessed - exact).mean(axis=0), 0.3)
    for name, guess, truth in zip(model.names, guessed.T, exact.T, strict=True):
        # A peak of memory depends on less, and less smoothly, than a sum.
        assert np.corrcoef(guess, truth)[0, 1] > (0.9 if name == "ram" else 0.95)


def test_it_knows_how_far_it_is_off(mobile, model):
    _, rows, costs = mobile
    guessed = model.predict(rows[HELD_OUT])
    exact = np.array([model.standardised(known) for known in costs[HELD_OUT]])
    scale = np.log([[known[name] for name in model.names] for known in costs[KNOWN]]).std(0)
    for index, name in enumerate(model.names):
        shown = scale[index] * (guessed - exact)[:, index].std()
        assert 0.5 < shown / model.errors[name] < 2


def test_known_costs_are_standardised_logarithms():
    additive = Additive()
    ours = np.array([additive.model().standardised(known) for known in additive.costs[:150]])
    logarithms = np.log(additive.params[:150])
    expected = (logarithms - logarithms.mean()) / logarithms.std()
    np.testing.assert_allclose(ours[:, 0], expected, atol=1e-9)


def test_a_product_of_factors_is_guessed_almost_exactly():
    additive = Additive()
    model = additive.model()
    guessed = model.predict(additive.rows[150:])[:, 0]
    exact = [model.standardised(known)[0] for known in additive.costs[150:]]
    np.testing.assert_allclose(guessed, exact, atol=0.1)


@pytest.mark.parametrize("constant", [0.0, 7.0, 1234.5, 0.1])
def test_a_cost_that_all_share_is_left_out(constant):
    model = Additive(flash=constant).model(slice(299))
    assert model.names == ["params"]
    assert model.predict(Additive.decisions.members(5000)[:3]).shape == (3, 1)


def test_costs_are_sorted_by_name():
    additive = Additive()
    both = Additive(macs=additive.params[::-1], flash=additive.params**2)
    assert both.model().names == ["flash", "macs", "params"]


@pytest.mark.parametrize("odd", [0.0, math.nan, math.inf, -1.0])
def test_one_odd_cost_does_not_spoil_the_guesses(odd):
    additive = Additive()
    additive.costs[3] = {"params": odd}
    model = additive.model()
    guessed = model.predict(additive.rows[150:])[:, 0]
    assert np.isfinite(guessed).all()
    assert np.corrcoef(guessed, np.log(additive.params[150:]))[0, 1] > 0.6
    assert np.isfinite(model.standardised({"params": odd})).all()


@pytest.mark.parametrize("odd", [0.0, math.nan, math.inf])
def test_a_cost_that_is_never_a_number_is_left_out(odd):
    assert Additive(flash=odd).model().names == ["params"]


def test_no_costs_are_no_error():
    decisions = Additive.decisions
    model = CostModel(decisions, decisions.members(5000)[:9], [{}] * 9)
    assert model.names == []
    assert model.predict(decisions.members(5000)[:7]).shape == (7, 0)
    assert list(model.log_probability(np.zeros((2, 5)), {"params": 1.0})) == [0.0, 0.0]


def test_costs_far_outside_what_is_known_are_cut_off():
    model = Additive().model()
    low, high = (model.standardised({"params": cost})[0] for cost in (1e-9, 1e12))
    assert -10 < low < -2
    assert 2 < high < 10


def test_probabilities_to_keep_a_limit_are_calibrated():
    rng = np.random.default_rng(1)
    additive = Additive()
    noisy = additive.params * np.exp(rng.normal(scale=0.3, size=400))
    noise = Additive(params=noisy)
    model = noise.model()
    limits = {"params": float(np.median(noisy))}
    probability = np.exp(model.log_probability(noise.rows[150:], limits))
    kept = noisy[150:] <= limits["params"]
    assert abs(probability.mean() - kept.mean()) < 0.06
    for low, high in ((0.0, 0.2), (0.2, 0.8), (0.8, 1.0)):
        among = (probability >= low) & (probability <= high)
        assert among.sum() >= 15
        assert abs(probability[among].mean() - kept[among].mean()) < 0.15


def test_every_limit_counts_and_other_costs_do_not():
    additive = Additive()
    both = Additive(macs=additive.params[::-1])
    model, rows = both.model(), both.rows[:20]
    limits = {"params": 5000.0, "macs": 9000.0}
    each = [model.log_probability(rows, {name: bound}) for name, bound in limits.items()]
    np.testing.assert_allclose(model.log_probability(rows, limits), sum(each))
    assert list(model.log_probability(rows, {"flash": 1.0})) == [0.0] * 20
    assert np.ptp(each[0]) > 1

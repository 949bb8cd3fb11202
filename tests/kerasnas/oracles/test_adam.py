import numpy as np
import pytest

from kerasnas.oracles.adam import Adam


def test_the_first_step_is_the_learning_rate_along_each_sign():
    climbed = Adam.at(np.zeros(3)).climbed(np.array([5.0, -0.01, 0.0]), 0.1)
    assert climbed.theta == pytest.approx([0.1, -0.1, 0.0], abs=1e-6)


def test_it_climbs_to_the_top():
    state = Adam.at(np.array([3.0, -2.0]))
    for _ in range(500):
        state = state.climbed(-2.0 * (state.theta - [1.0, 1.0]), 0.05)
    assert state.theta == pytest.approx([1.0, 1.0], abs=1e-3)


def test_the_second_step_is_that_of_the_paper():
    gradients = np.array([1.0, 3.0])
    state = Adam.at(np.zeros(1))
    for gradient in gradients:
        state = state.climbed(gradient[None], 1.0)
    mean = (0.9 * 0.1 * 1.0 + 0.1 * 3.0) / (1 - 0.9**2)
    square = (0.999 * 0.001 * 1.0 + 0.001 * 9.0) / (1 - 0.999**2)
    assert state.theta[0] == pytest.approx(1.0 + mean / np.sqrt(square))


def test_the_state_before_is_left_as_it_was():
    state = Adam.at(np.zeros(2))
    state.climbed(np.ones(2), 1.0)
    assert state.steps == 0
    assert not np.any([state.theta, state.mean, state.square])

"""The stated function sees the network that was described."""

import numpy as np
import pytest

from benchmarks.mobile import NOISE, OPTIMUM, Mobile, blocks, receptive_field


@pytest.fixture(scope="module")
def mobile():
    return Mobile()


BEST = {
    "stem/stride": 1,
    "stem/filters": 16,
    "stage0/depth": 4,
    "stage0/kernel": 3,
    "stage0/expansion": 6,
    "stage0/width": 2.0,
    "stage0/squeeze": True,
    "stage0/activation": "relu6",
    "stage1/depth": 0,
    "stage2/depth": 3,
    "stage2/kernel": 3,
    "stage2/expansion": 6,
    "stage2/width": 2.0,
    "stage2/squeeze": True,
    "stage2/activation": "relu6",
    "stage3/depth": 3,
    "stage3/kernel": 3,
    "stage3/expansion": 6,
    "stage3/width": 2.0,
    "stage3/squeeze": True,
    "stage3/activation": "hard_silu",
    "head/expansion": 4,
}


def values_of(mobile, **changes):
    return mobile.grid.active({**mobile.space.default(), **changes})


def test_blocks_are_read_from_the_description(mobile):
    changes = {f"stage{i}/depth": 0 for i in range(4)}
    changes |= {
        "stem/filters": 16,
        "stem/stride": 1,
        "stage1/depth": 2,
        "stage1/kernel": 5,
        "stage1/expansion": 3,
        "stage1/width": 1.0,
        "stage1/squeeze": True,
        "stage1/activation": "hard_silu",
    }
    made = blocks(mobile.space.network(values_of(mobile, **changes)))
    assert made == [
        (16, 5, 48, 24, True, True, False),
        (16, 5, 72, 24, True, True, True),
    ]


def test_receptive_field_by_hand(mobile):
    changes = {f"stage{i}/depth": 0 for i in range(4)}
    changes |= {"stem/stride": 2}
    empty = mobile.space.network(values_of(mobile, **changes))
    assert receptive_field(empty) == 3
    one = {"stage1/depth": 1, "stage1/kernel": 5, "stage1/expansion": 1}
    one |= {"stage1/width": 1.0, "stage1/squeeze": False, "stage1/activation": "relu6"}
    network = mobile.space.network(values_of(mobile, **changes | one))
    assert receptive_field(network) == 3 + 4 * 2


def test_the_optimum_is_where_the_search_found_it(mobile):
    assert mobile.truth(BEST) == pytest.approx(OPTIMUM, abs=1e-6)
    rng = np.random.default_rng(0)
    around = [mobile.truth(values) for values in mobile.grid.neighbours(BEST, rng)]
    assert min(around) > OPTIMUM


def test_random_candidates_are_far_from_the_optimum(mobile):
    rng = np.random.default_rng(0)
    losses = [mobile.truth(mobile.grid.draw(rng)) for _ in range(100)]
    assert OPTIMUM < min(losses)
    assert np.std(losses) > 5 * NOISE


def test_a_trial_reports_the_loss_with_noise(mobile):
    rng = np.random.default_rng(0)
    values = mobile.grid.draw(rng)
    seen = [mobile.observe(values, rng) for _ in range(500)]
    assert np.mean(seen) == pytest.approx(mobile.truth(values), abs=4 * NOISE / 500**0.5)
    assert np.std(seen) == pytest.approx(NOISE, rel=0.15)

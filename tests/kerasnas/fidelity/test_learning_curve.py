import dataclasses
import time

import numpy as np
import pytest

from kerasnas.fidelity import Hyperband, LearningCurve, Record, Run, SuccessiveHalving

EPOCHS = 20


def curve(end, *, rate=1.0, epochs=EPOCHS, noise=0.005, seed=0):
    """A loss that falls to `end` by a power law."""
    times = np.arange(1, epochs + 1)
    rng = np.random.default_rng(seed)
    return tuple(end + 0.8 * times**-rate + noise * rng.normal(size=epochs))


def ended(*ends, **options):
    curves = [curve(end, seed=seed, **options) for seed, end in enumerate(ends)]
    return [
        Record(f"{number:04d}", {float(EPOCHS): min(seen)}, seen)
        for number, seen in enumerate(curves)
    ]


def stops_at(policy, whole, others, *, level=EPOCHS):
    """The epoch after which a run is stopped, `None` if it never is."""
    for epoch in range(1, len(whole) + 1):
        record = Record("9999", running=float(level), curve=whole[:epoch])
        if not policy.goes_on(record, [*others, record]):
            return epoch
    return None


OTHERS = ended(0.1, 0.2, 0.25, 0.3, 0.35, 0.4)


def test_what_is_far_behind_is_stopped_and_what_leads_is_not():
    policy = LearningCurve(EPOCHS)
    assert stops_at(policy, curve(0.6, seed=9), OTHERS) == 5
    assert stops_at(policy, curve(0.08, seed=9), OTHERS) is None


def test_what_could_still_win_is_trained_to_the_end():
    assert stops_at(LearningCurve(EPOCHS), curve(0.101, seed=9), OTHERS) is None


def test_nothing_is_stopped_in_the_first_epochs_or_before_enough_trials_ended():
    hopeless = curve(5.0)
    assert stops_at(LearningCurve(EPOCHS), hopeless, OTHERS) == 5  # a quarter of them
    assert stops_at(LearningCurve(EPOCHS, min_epochs=9), hopeless, OTHERS) == 9
    assert stops_at(LearningCurve(EPOCHS), hopeless, OTHERS[:4]) is None
    assert stops_at(LearningCurve(EPOCHS, min_trials=7), hopeless, OTHERS) is None


def test_a_finished_run_is_never_called_hopeless():
    whole = Record("9999", running=float(EPOCHS), curve=curve(5.0))
    assert LearningCurve(EPOCHS).goes_on(whole, [*OTHERS, whole])


def test_a_run_that_is_the_best_already_goes_on_whatever_others_did_from_there():
    odd = [Record(f"{i:04d}", {float(EPOCHS): 1.0}, curve=(0.0,) * EPOCHS) for i in range(9)]
    assert stops_at(LearningCurve(EPOCHS), (0.99,) * EPOCHS, odd) is None
    assert stops_at(LearningCurve(EPOCHS), (1.5,) * EPOCHS, odd) is not None


def test_a_chance_of_zero_stops_nothing():
    assert stops_at(LearningCurve(EPOCHS, chance=0.0), curve(5.0), OTHERS) is None


def test_a_fall_at_the_end_that_others_had_too_is_waited_for():
    # With a rate that falls, most is gained late: no formula knows, earlier trials do.
    def late(end, seed):
        rng = np.random.default_rng(seed)
        fall = 0.5 * (1 + np.cos(np.pi * np.arange(EPOCHS) / EPOCHS))
        return tuple(end + 0.6 * fall**0.5 + 0.02 * rng.normal(size=EPOCHS))

    others = [
        Record(f"{seed:04d}", {float(EPOCHS): min(late(0.1 + 0.05 * seed, seed))})
        for seed in range(8)
    ]
    others = [
        dataclasses.replace(other, curve=late(0.1 + 0.05 * seed, seed))
        for seed, other in enumerate(others)
    ]
    policy = LearningCurve(EPOCHS)
    assert stops_at(policy, late(0.08, 20), others) is None
    assert stops_at(policy, late(0.9, 20), others) is not None


def test_slow_starters_are_given_longer_where_others_were_slow_too():
    rng = np.random.default_rng(0)
    mixed = [
        Record(f"{i:04d}", {float(EPOCHS): min(seen)}, seen)
        for i, seen in enumerate(
            curve(rng.uniform(0.1, 0.4), rate=rng.uniform(0.3, 2), seed=i) for i in range(12)
        )
    ]
    slow = curve(0.3, rate=0.4, seed=30)
    policy = LearningCurve(EPOCHS)
    assert (stops_at(policy, slow, OTHERS) or 99) <= (stops_at(policy, slow, mixed) or 99)


def test_losses_that_are_no_numbers_stop_nothing():
    broken = (np.nan,) * 12
    assert stops_at(LearningCurve(EPOCHS), broken, OTHERS) is None
    others = [dataclasses.replace(other, curve=broken * 2) for other in OTHERS]
    assert stops_at(LearningCurve(EPOCHS), curve(5.0), others) is None


def test_at_a_lower_level_it_takes_the_better_half_to_go_on():
    policy = LearningCurve(SuccessiveHalving([EPOCHS, 3 * EPOCHS]))
    assert policy.levels == (EPOCHS, 3 * EPOCHS)
    middling = curve(0.2, seed=9)
    assert stops_at(policy, middling, OTHERS) is None
    assert stops_at(LearningCurve(EPOCHS), middling, OTHERS) is not None
    assert stops_at(policy, curve(0.8, seed=9), OTHERS) is not None


def test_a_run_is_compared_from_where_it_goes_on():
    policy = LearningCurve(SuccessiveHalving([10, 30]), min_trials=2)
    before, after = curve(0.3, epochs=10), curve(0.1, epochs=20)
    others = [
        Record(f"{i:04d}", {10.0: 0.3, 30.0: min(after)}, before + after) for i in range(4)
    ]
    record = Record("9999", {10.0: 0.3}, before, running=30.0)
    for epochs in range(1, 20):
        bad = dataclasses.replace(record, curve=before + curve(0.9, epochs=20)[:epochs])
        assert policy.goes_on(bad, [*others, bad]) == (epochs < 5)


def test_it_answers_within_five_milliseconds_a_call():
    others = ended(*np.random.default_rng(0).uniform(0.1, 0.5, 300))
    record = Record("9999", running=float(EPOCHS), curve=curve(0.3)[:10])
    policy = LearningCurve(EPOCHS)
    times = []
    for _ in range(20):
        began = time.process_time()
        policy.goes_on(record, [*others, record])
        times.append(time.process_time() - began)
    assert min(times) < 5e-3


def test_most_epochs_of_bad_runs_are_saved_and_the_winner_is_kept():
    rng = np.random.default_rng(0)
    policy, lost, saved = LearningCurve(EPOCHS), 0, []
    for search in range(10):
        ends, rates = rng.gamma(2, 0.1, 40), rng.uniform(0.5, 1.5, 40)
        curves = [
            curve(end, rate=rate, noise=0.01, seed=100 * search + i)
            for i, (end, rate) in enumerate(zip(ends, rates, strict=True))
        ]
        records, trained, stopped = [], 0, set()
        for number, whole in enumerate(curves):
            at = stops_at(policy, whole, records)
            seen = whole[:at]
            trained += len(seen)
            if at:
                stopped.add(number)
            records.append(
                Record(f"{number:04d}", {float(len(seen)): min(seen)}, seen, settled=bool(at))
            )
        lost += int(np.argmin([min(whole) for whole in curves])) in stopped
        saved.append(1 - trained / (40 * EPOCHS))
    assert lost <= 1
    assert np.mean(saved) > 0.3


def test_all_else_is_as_the_policy_says():
    policy = LearningCurve(SuccessiveHalving(9, 1))
    records = [Record(f"{i:04d}", {1.0: 0.1 * i}) for i in range(3)]
    assert policy.next_run(records, last=False) == Run("0000", 3.0)
    assert list(policy.expected(records)) == list(policy.policy.expected(records))
    assert LearningCurve(27).levels == (27.0,)
    assert LearningCurve(27).next_run(records, last=False) == 27.0


def test_policies_that_answer_alike_read_alike():
    assert repr(LearningCurve(27)) == repr(LearningCurve(SuccessiveHalving([27])))
    assert repr(LearningCurve(27)) != repr(LearningCurve(27, chance=0.1))
    assert repr(LearningCurve(Hyperband(27))) != repr(LearningCurve(SuccessiveHalving(27)))


def test_only_epochs_have_a_curve():
    with pytest.raises(ValueError, match="dimension='examples'"):
        LearningCurve(SuccessiveHalving(1.0, dimension="examples"))


@pytest.mark.parametrize(
    "arguments", [{"chance": 1.0}, {"chance": -0.1}, {"min_epochs": 0}, {"min_trials": 1}]
)
def test_numbers_out_of_range_are_refused(arguments):
    name, value = next(iter(arguments.items()))
    with pytest.raises(ValueError, match=f"{name}={value}"):
        LearningCurve(27, **arguments)

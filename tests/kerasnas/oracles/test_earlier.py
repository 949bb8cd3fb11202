import re

import keras_tuner
import numpy as np
import pytest

from kerasnas.fidelity import SuccessiveHalving
from kerasnas.oracles.decisions import Decisions
from kerasnas.oracles.earlier import EarlierSearch, earlier_searches
from kerasnas.oracles.gaussian_process import GaussianProcess
from kerasnas.oracles.random_search import RandomSearch
from kerasnas.result import SearchResult
from kerasnas.testing import bits, choices, conditional, options, play, resume, rough


def searched(space=None, folder=None, objective="loss", score=options):
    oracle = RandomSearch(objective, 8, hyperparameters=space or bits(4), seed=0)
    oracle = oracle if folder is None else resume(oracle, folder)
    play(oracle, score)
    return oracle


def of_keras_tuner(tmp_path, score=options):
    class Plain(keras_tuner.Tuner):
        def run_trial(self, trial, **kwargs):
            return score(trial.hyperparameters.values)

    oracle = keras_tuner.oracles.RandomSearchOracle(
        keras_tuner.Objective("loss", "min"), 8, hyperparameters=bits(4), seed=0
    )
    tuner = Plain(oracle=oracle, directory=str(tmp_path), project_name="theirs")
    tuner.search(verbose=0)
    return tuner.oracle


class TestReading:
    def test_every_form_of_a_search_reads_alike(self, tmp_path):
        oracle = searched(folder=tmp_path)
        folder = tmp_path / "search"
        given = [oracle, SearchResult(folder), folder, str(folder)]
        first, *others = earlier_searches(given)
        assert len(first.values) == 8
        assert others == [first] * 3

    def test_trials_that_were_trained_on_count_at_the_level_that_all_have(self, tmp_path):
        oracle = RandomSearch(
            "loss", 9, hyperparameters=bits(5), seed=0, fidelity=SuccessiveHalving(9, 1)
        )

        def loss(values):
            quality = sum(str(value).endswith("1") for value in values.values())
            return quality + 20 / values["tuner/epochs"]

        play(resume(oracle, tmp_path), loss)
        for given in (oracle, tmp_path / "search"):
            (earlier,) = earlier_searches(given)
            assert len(earlier.losses) == 9
            assert earlier.losses == sorted(earlier.losses)
            assert all(20 <= loss <= 25 for loss in earlier.losses)

    def test_the_best_comes_first_with_less_being_better(self):
        (lowest,) = earlier_searches(searched())
        (highest,) = earlier_searches(searched(objective="val_accuracy"))
        assert list(lowest.losses) == sorted(map(options, lowest.values))
        assert list(highest.losses) == sorted(-options(values) for values in highest.values)

    def test_an_oracle_of_keras_tuner_works(self, tmp_path):
        (search,) = earlier_searches([of_keras_tuner(tmp_path)])
        assert len(search.values) == 8
        assert list(search.losses) == sorted(map(options, search.values))

    @pytest.mark.parametrize("endless", [np.inf, -np.inf])
    def test_a_score_without_end_does_not_spoil_the_model(self, tmp_path, endless):
        # KerasTuner calls such a trial completed.
        ends = iter([endless])
        oracle = of_keras_tuner(tmp_path, lambda values: next(ends, options(values)))
        (search,) = earlier_searches(oracle)
        decisions = Decisions(bits(4))
        mean = predicted(search.model(decisions), decisions, decisions.members(16))
        assert np.isfinite(mean).all()

    def test_failed_trials_are_left_out(self):
        broken = iter([float("nan")])
        oracle = searched(score=lambda values: next(broken, options(values)))
        (search,) = earlier_searches(oracle)
        assert len(search.values) == 7

    def test_nothing_given_is_nothing_read(self):
        assert earlier_searches(()) == []

    @pytest.mark.parametrize("wrong", [3, {"d0": "option0"}, bits(2)])
    def test_anything_else_is_explained(self, wrong):
        with pytest.raises(TypeError, match=f"Received: {re.escape(repr(wrong))} of type"):
            earlier_searches([wrong])

    def test_a_search_without_completed_trials_is_explained(self):
        oracle = RandomSearch("loss", hyperparameters=bits(2))
        with pytest.raises(ValueError, match=r"must have completed trials.*let it run first"):
            earlier_searches(oracle)

    def test_a_folder_without_a_search_is_explained(self, tmp_path):
        with pytest.raises(FileNotFoundError, match="no search in this folder"):
            earlier_searches(tmp_path / "nothing")


def predicted(model, decisions, rows):
    return model.mean(model.regression.kernel.points(*decisions.features(rows)))


class TestModel:
    def test_it_ranks_what_was_not_tried(self):
        rng = np.random.default_rng(0)
        decisions = Decisions(choices(4, 4, 4, 4))
        known, others = decisions.sample(rng, 60), decisions.sample(rng, 60)
        candidates = sorted(map(decisions.values, known), key=options)
        search = EarlierSearch(candidates, list(map(options, candidates)))
        mean = predicted(search.model(decisions), decisions, others)
        truth = [options(decisions.values(row)) for row in others]
        assert np.corrcoef(mean, truth)[0, 1] > 0.9

    def test_decisions_that_it_does_not_know_make_no_difference(self):
        (search,) = earlier_searches(searched(bits(4)))
        space = bits(4)
        space.Choice("new", ["a", "b", "c"])
        space.Float("rate", 0.0, 1.0)
        decisions = Decisions(space)
        rows = decisions.sample(np.random.default_rng(0), 40)
        rows[:, :4] = [1, 0, 0, 1]
        mean = predicted(search.model(decisions), decisions, rows)
        np.testing.assert_allclose(mean, mean[0])

    def test_decisions_that_are_gone_leave_the_others_useful(self):
        (search,) = earlier_searches(searched(bits(4)))
        decisions = Decisions(bits(3))
        low, high = predicted(
            search.model(decisions), decisions, np.array([[0.0, 0, 0], [1, 1, 1]])
        )
        assert low < high

    def test_a_space_without_common_decisions_learns_nothing(self):
        (search,) = earlier_searches(searched(bits(4)))
        assert search.model(Decisions(conditional())) is None

    def test_one_trial_is_too_little(self):
        search = EarlierSearch([{"d0": "option1"}], [0.5])
        assert search.model(Decisions(bits(2))) is None

    def test_conditional_spaces_work(self):
        (search,) = earlier_searches(searched(conditional(), score=rough))
        decisions = Decisions(conditional())
        rows = decisions.sample(np.random.default_rng(0), 20)
        mean = predicted(search.model(decisions), decisions, rows)
        assert np.isfinite(mean).all()
        assert np.ptp(mean) > 0


class TestBest:
    def test_they_are_the_best_found(self):
        (search,) = earlier_searches(searched())
        decisions = Decisions(bits(4))
        best = [decisions.values(row) for row in search.best(decisions)]
        assert len(best) > 1
        assert best == list(search.values)[: len(best)]

    def test_what_another_space_has_besides_is_filled_the_same_way_each_time(self):
        (search,) = earlier_searches(searched())
        space = bits(3)
        space.Choice("new", ["a", "b"])
        decisions = Decisions(space)
        one, two = (search.best(decisions) for _ in "ab")
        np.testing.assert_array_equal(one, two)
        for row, values in zip(one, search.values, strict=False):
            ours = decisions.values(row)
            assert ours.pop("new") in ("a", "b")
            assert ours == {name: values[name] for name in ours}
            assert len(ours) == 3


def test_a_decision_of_another_kind_is_no_knowledge():
    old = keras_tuner.HyperParameters()
    old.Choice("rate", ["slow", "fast"])
    old.Float("decay", 0.0, 1.0)
    search = RandomSearch("loss", 6, hyperparameters=old, seed=0)
    play(search, lambda values: values["decay"])
    new = keras_tuner.HyperParameters()
    new.Float("rate", 0.0, 1.0)
    new.Float("decay", 1e-3, 1.0, sampling="log")
    oracle = GaussianProcess("loss", 6, hyperparameters=new, seed=0, warm_start=search)
    assert len(play(oracle, lambda values: values["decay"])) == 6

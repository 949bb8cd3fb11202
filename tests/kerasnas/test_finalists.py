"""How the winner is chosen, with trainings and conversions played."""

import itertools
import types

import keras_tuner
import numpy as np
import pytest

from kerasnas.budget import Budget
from kerasnas.data import load
from kerasnas.finalists import Final, Finalist
from kerasnas.progress import Progress


class Model:
    """Stands for a trained model: `validation_loss` says how good it is."""

    def __init__(self, loss):
        self.loss = loss

    def evaluate(self, *_, **__):
        return {"loss": self.loss}


def trial(number, score):
    hp = types.SimpleNamespace(values={})
    return types.SimpleNamespace(trial_id=f"{number:04d}", score=score, hyperparameters=hp)


@pytest.fixture
def final(shades, monkeypatch):
    def make(objective="val_loss", losses=(), sizes=(), limits=None, epochs=1, **kwargs):
        objective = keras_tuner.Objective(objective, "min" if "loss" in objective else "max")
        budget = Budget(None)
        losses, sizes = iter(losses), itertools.chain(sizes, itertools.repeat(1000))
        made = Final(
            space=None,
            data=load(shades(30)),
            objective=objective,
            limits=limits or {},
            budget=budget,
            progress=Progress("score", "min", None, budget, verbose=0),
            recipe={},
            load=lambda trial: Model(next(losses)),
            epochs=epochs,
            **kwargs,
        )

        class Played:
            def __init__(self, space, recipe, task):
                pass

            def build(self, hp):
                model = Model(next(losses))
                model.set_weights = lambda weights: None
                return model

            def fit(self, *args, **kwargs):
                pass

            def ready(self, hp, model):
                return model

        Model.get_weights = lambda self: []
        monkeypatch.setattr("kerasnas.finalists.Trained", Played)
        monkeypatch.setattr(
            "kerasnas.finalists.tflite_export.convert",
            lambda *args, **kwargs: bytes(next(sizes)),
            raising=False,
        )
        return made

    return make


def test_the_int8_score_decides_where_accuracy_counts(final):
    chooser = final("val_accuracy")
    floats = Finalist(
        trial(0, 0.9), None, {"val_accuracy": 0.9, "val_accuracy_int8": 0.5}, b""
    )
    whole = Finalist(trial(1, 0.8), None, {"val_accuracy": 0.8, "val_accuracy_int8": 0.8}, b"")
    assert min([floats, whole], key=chooser.rank) is whole


def test_the_objective_decides_otherwise(final):
    low = Finalist(trial(0, 9.0), None, {"val_loss_int8": 0.1, "val_accuracy_int8": 0.5}, b"")
    high = Finalist(trial(1, 9.0), None, {"val_loss_int8": 0.2, "val_accuracy_int8": 0.8}, b"")
    assert min([low, high], key=final("val_loss").rank) is low


def test_a_loss_that_a_file_does_not_tell_makes_way_for_the_measure(final):
    low = Finalist(trial(0, 9.0), None, {"val_loss": 0.1, "val_accuracy_int8": 0.5}, b"")
    high = Finalist(trial(1, 9.0), None, {"val_loss": 0.2, "val_accuracy_int8": 0.8}, b"")
    assert min([low, high], key=final("val_loss").rank) is high


def test_the_best_finalist_is_trained_on_with_all_examples(final):
    winner = final(losses=[0.3, 0.1, 0.2, 0.09]).choose([trial(i, 0.0) for i in range(3)], 0.0)
    assert winner.trial.trial_id == "0001"
    assert winner.refitted
    assert winner.scores["val_loss"] == 0.1  # from before it had seen the validation part
    assert winner.model.loss == 0.09


def test_a_last_training_that_went_wrong_is_thrown_away(final):
    winner = final(losses=[0.3, 0.1, 0.2, 0.5]).choose([trial(i, 0.0) for i in range(3)], 0.0)
    assert not winner.refitted
    assert winner.model.loss == 0.1


def test_no_finalist_is_lost_when_the_rest_is_interrupted(final):
    kept = []
    chooser = final(losses=[0.3, 0.1], on_finalist=kept.append)
    with pytest.raises(StopIteration):  # what is played ends here
        chooser.choose([trial(i, 0.0) for i in range(3)], 0.0)
    assert [finalist.model.loss for finalist in kept] == [0.3, 0.1]


def test_files_over_the_limit_are_passed_over(final):
    chooser = final(
        losses=np.linspace(1, 0, 20), limits={"flash": 2000}, sizes=[5000, 1000, 5000]
    )
    winner = chooser.choose([trial(i, 0.0) for i in range(2)], 0.0)
    assert winner.trial.trial_id == "0001"


def test_nothing_fits_is_no_winner(final):
    chooser = final(losses=[1.0] * 9, limits={"flash": 10})
    assert chooser.choose([trial(0, 0.0)], 0.0) is None


class TestAFileThatIsTooInaccurate:
    @pytest.fixture
    def mend(self, final, monkeypatch):
        """Mend a finalist whose file loses 10 points, with an export that is played."""

        def mend(size=500, fails=False, drop=0.1, **kwargs):
            exported = []

            def export(model, path, quantization, calibration, **options):
                exported.append((quantization, options))
                path.write_bytes(bytes(size))
                report = types.SimpleNamespace(remedies=("calibration: 80 -> 89",))
                report.accuracy_keras, report.accuracy_tflite = 0.9, 0.89
                if fails:
                    error = RuntimeError("too inaccurate")
                    error.report = report
                    raise error
                return report

            monkeypatch.setattr(
                "kerasnas.finalists.tflite_export.export", export, raising=False
            )
            monkeypatch.setattr(
                "kerasnas.finalists.tflite_export.AccuracyDropError",
                RuntimeError,
                raising=False,
            )
            scores = {"val_accuracy": 0.9, "val_accuracy_int8": 0.9 - drop}
            finalist = Finalist(trial(0, 0.9), Model(0.0), scores, bytes(1000), drop=drop)
            return final("val_accuracy", **kwargs)._mended(finalist), exported

        return mend

    def test_is_mended_on_the_validation_part(self, mend):
        mended, [(quantization, options)] = mend()
        assert quantization == "int8"
        assert options["max_accuracy_drop"] == 0.01
        assert len(options["validation_data"][1]) == 6
        assert (len(mended.file), mended.scores["val_accuracy_int8"]) == (500, 0.89)
        assert mended.remedies == ("calibration: 80 -> 89",)

    def test_is_left_alone_within_the_allowed_drop(self, mend):
        assert mend(drop=0.005)[1] == []
        assert mend(max_accuracy_drop=None)[1] == []

    def test_keeps_the_limits_or_stays_as_it_was(self, mend):
        mended, _ = mend(size=5000, limits={"flash": 2000})
        assert len(mended.file) == 1000
        assert mended.remedies

    def test_is_the_best_there_is_where_nothing_helps(self, mend):
        with pytest.warns(UserWarning, match="too inaccurate"):
            mended, _ = mend(fails=True)
        assert len(mended.file) == 500
        assert mended.drop == pytest.approx(0.01)


def test_of_equal_scores_the_lower_loss_is_better(final):
    unsure = {"val_accuracy_int8": 1.0, "val_loss_int8": 0.3}
    sure = {"val_accuracy_int8": 1.0, "val_loss_int8": 0.1}
    first, second = (
        Finalist(trial(i, 1.0), None, s, b"") for i, s in enumerate([unsure, sure])
    )
    assert min([first, second], key=final("val_accuracy").rank) is second

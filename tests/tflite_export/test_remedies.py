import pickle
import types

import keras
import numpy as np
import pytest

import tflite_export
from tflite_export.conversion import float_file
from tflite_export.inspection import precisions
from tflite_export.quantization import quantize
from tflite_export.remedies import (
    AccuracyDropError,
    Attempt,
    Course,
    Judged,
    fewest,
    recalibrate,
    unlike,
    widen,
)

layers = keras.layers


@pytest.fixture(scope="module")
def spoilt(x):
    """A classifier with a tensor that int8 cannot hold: its channels are of many scales."""
    keras.utils.set_random_seed(0)
    scale = np.geomspace(1, 3000, 16)
    inputs = keras.Input((8, 8, 1))
    stem = layers.Conv2D(16, 3, activation="relu", name="stem")
    left = layers.Conv2D(16, 3, activation="relu", name="left")
    right = layers.Conv2D(16, 3, activation="relu", name="right")
    y = stem(inputs)
    # Two layers read it, so that no other scale would serve both.
    y = layers.Add()([left(y), right(y)])
    y = layers.Conv2D(16, 3, activation="relu", name="last")(y)
    logits = layers.Dense(4, name="logits")
    model = keras.Model(inputs, logits(layers.GlobalAveragePooling2D()(y)))
    kernel, bias = stem.get_weights()
    stem.set_weights([kernel * scale, bias * scale])
    for reader in (left, right):
        kernel, bias = reader.get_weights()
        reader.set_weights([kernel / scale[:, None], bias])
    outputs = np.asarray(model(x))
    mean, deviation = outputs.mean(axis=0), outputs.std(axis=0)
    logits.set_weights([logits.kernel.numpy() / deviation, -mean / deviation])
    return model


@pytest.fixture(scope="module")
def floats(spoilt):
    return float_file(spoilt, integer=True)


@pytest.fixture(scope="module")
def truth(spoilt, x):
    """Labels that the float model gets right, all of them."""
    return np.asarray(spoilt(x)).argmax(axis=1)


@pytest.fixture(scope="module")
def judge(x, truth):
    return lambda content: float((tflite_export.run(content, x).argmax(1) == truth).mean())


class TestExport:
    def test_sensitive_layers_in_float_rescue_a_network(self, spoilt, x, truth, tmp_path):
        path = tmp_path / "m.tflite"
        plain = tflite_export.export(
            spoilt, path, "int8", x, validation_data=(x, truth), max_accuracy_drop=None
        )
        assert plain.accuracy_drop > 0.2
        assert plain.remedies == ()
        report = tflite_export.export(
            spoilt, path, "int8", x, validation_data=(x, truth), max_accuracy_drop=0.05
        )
        assert report.accuracy_drop <= 0.05 + 1e-9
        assert report.accuracy_tflite == pytest.approx(
            np.mean(tflite_export.run(path, x).argmax(1) == truth)
        )
        kept = report.remedies[-1]
        assert (kept.name, kept.kept) == ("layers in float32", True)
        assert kept.accuracy == report.accuracy_tflite > kept.accuracy_before
        assert kept.bytes == report.bytes == path.stat().st_size
        assert set(report.mixed.values()) == {"float32"}
        assert {"stem", "left", "right"} & report.mixed.keys()
        assert "logits" not in report.mixed
        text = str(report)
        assert "remedy 1" in text
        assert " float32" in text
        assert f"-> {report.accuracy_tflite:.2%}" in text

    def test_when_nothing_helps_the_best_file_is_written_and_the_error_has_its_report(
        self, spoilt, x, truth, tmp_path
    ):
        path = tmp_path / "m.tflite"
        message = r"Received: max_accuracy_drop=0.01.*tried calibration.*fine_tuning_data"
        with pytest.raises(AccuracyDropError, match=message) as caught:
            tflite_export.export(
                spoilt,
                path,
                "int8",
                x,
                validation_data=(x, truth),
                allow_wide=False,
                allow_float=False,
            )
        report = caught.value.report
        assert set(report.tensor_dtypes) == {"int8", "int32"}
        assert report.bytes == path.stat().st_size
        assert pickle.loads(pickle.dumps(caught.value)).report == report
        best = max(remedy.accuracy for remedy in report.remedies)
        assert report.accuracy_tflite == max(best, report.remedies[0].accuracy_before)

    def test_a_model_that_cannot_be_fine_tuned_says_why(self, spoilt, x, truth, tmp_path):
        with pytest.raises(AccuracyDropError) as caught:
            tflite_export.export(
                spoilt,
                tmp_path / "m.tflite",
                "int8",
                x,
                validation_data=(x, truth),
                fine_tuning_data=(x, truth),  # and the model is not compiled
                allow_wide=False,
                allow_float=False,
            )
        last = caught.value.report.remedies[-1]
        assert last.name == "quantization-aware fine-tuning"
        assert last.detail.startswith("not possible: ")
        assert "fine_tuning_data" not in str(caught.value)

    def test_fine_tuning_is_the_last_remedy(self, spoilt, x, truth, tmp_path, monkeypatch):
        asked = []

        def fine_tune(model, train_data, **kwargs):
            asked.append((model, train_data, kwargs))
            return types.SimpleNamespace(content=quantize(float_file(model), "float16"))

        monkeypatch.setattr("tflite_export.fine_tuning.fine_tune", fine_tune)
        report = tflite_export.export(
            spoilt,
            tmp_path / "m.tflite",
            "int8",
            x,
            validation_data=(x, truth),
            fine_tuning_data="training data",
            max_accuracy_drop=0.9,
            allow_wide=False,
            allow_float=False,
            seed=5,
        )
        assert asked == []
        report = tflite_export.export(
            spoilt,
            tmp_path / "m.tflite",
            "int8",
            x,
            validation_data=(x, truth),
            fine_tuning_data="training data",
            max_accuracy_drop=0.01,
            allow_wide=False,
            allow_float=False,
            seed=5,
        )
        assert asked == [(spoilt, "training data", {"weight_bits": 8, "seed": 5})]
        assert report.remedies[-1].name == "quantization-aware fine-tuning"
        assert report.remedies[-1].kept

    def test_unlabelled_data_cannot_tell_a_drop(self, spoilt, x, tmp_path):
        report = tflite_export.export(
            spoilt, tmp_path / "m.tflite", "int8", x, validation_data=x
        )
        assert report.remedies == ()
        assert report.accuracy_drop is None


def test_clipped_ranges_rescue_a_network_from_outliers(model, x, labels):
    # One calibration input in 400 is broken: its values are far beyond all others.
    inputs = np.concatenate([x, x])
    inputs[7] *= 100
    floats = float_file(model, integer=True)

    def judge(content):
        return float((tflite_export.run(content, x).argmax(1) == labels).mean())

    plain = judge(quantize(floats, "int8", inputs))
    attempts = list(recalibrate(floats, "int8", inputs, len(inputs), judge))
    assert {attempt.name for attempt in attempts} == {"calibration"}
    assert max(attempt.result.accuracy for attempt in attempts) > plain + 0.2


def test_more_inputs_are_tried_only_where_there_are_more(floats, x, judge):
    details = [attempt.detail for attempt in recalibrate(floats, "int8", x, 50, judge)]
    assert details[0] == "200 inputs instead of 50"
    assert len(details) == 7
    assert {"ranges of least error", "equalized channels"} < set(details)


class TestWiden:
    def test_as_few_operators_as_are_needed(self, floats, x, judge):
        attempts = list(widen(floats, "int8", x, None, judge, wanted=0.9, allow_wide=False))
        (attempt,) = attempts
        kinds = precisions(attempt.result.content)
        count = sum(kind == "float32" for kind in kinds.values())
        assert attempt.result.accuracy >= 0.9
        assert attempt.detail.startswith(f"{count} of {len(kinds)} operators: ")
        assert 0 < count < len(kinds)

    def test_int4_is_tried_at_8_bits_first(self, floats, x, judge):
        attempts = widen(floats, "int4", x, None, judge, wanted=2.0)
        assert [attempt.name for attempt in attempts] == [
            "layers in int8",
            "layers in int16x8",
            "layers in float32",
        ]

    def test_layers_with_a_precision_of_their_own_keep_it(self, floats, x, judge):
        name = next(iter(precisions(floats)))
        (attempt, _) = widen(floats, "int8", x, None, judge, wanted=2.0, mixed={name: "int8"})
        assert precisions(attempt.result.content)[name] == "int8"

    def test_float_is_not_used_where_it_is_not_allowed(self, floats, x, judge):
        attempts = widen(floats, "int8", x, None, judge, wanted=2.0, allow_float=False)
        for attempt in attempts:
            assert "float32" not in precisions(attempt.result.content).values()


@pytest.mark.parametrize("answer", range(1, 12))
def test_fewest_finds_the_smallest_count_in_few_trials(answer):
    tried = []

    def reaches(count):
        tried.append(count)
        return count >= answer

    assert fewest(11, reaches) == answer
    assert len(tried) == len(set(tried)) <= 8


def test_fewest_gives_up_when_all_are_not_enough():
    assert fewest(6, lambda count: False) is None


def test_a_course_keeps_the_best_and_stops_when_it_is_over():
    course = Course(Judged(any_file(), 0.5), wanted=0.9)
    left = iter(
        [
            Attempt("a", "", Judged(any_file(), 0.4)),
            Attempt("b", "not possible", None),
            Attempt("c", "", Judged(any_file(), 0.9)),
            Attempt("d", "", Judged(any_file(), 1.0)),
        ]
    )
    course.take(left)
    assert [(r.name, r.kept, r.accuracy) for r in course.remedies] == [
        ("a", False, 0.4),
        ("b", False, 0.5),
        ("c", True, 0.9),
    ]
    assert course.over
    assert course.remedies[1].bytes == 0
    assert str(course.remedies[1]) == "b: not possible"


def any_file():
    model = keras.Sequential([keras.Input((2,)), layers.Dense(2)])
    return float_file(model)


def test_files_with_float_activations_are_like_themselves(floats):
    assert unlike(quantize(floats, "dynamic"), "dynamic") == {}


class TestMetric:
    """The network that loses its accuracy, judged by another metric."""

    def test_it_decides_what_is_mended_and_is_reported(self, spoilt, x, truth, tmp_path):
        def macro(labels, outputs):
            found = outputs.argmax(1)
            return np.mean([(found[labels == c] == c).mean() for c in np.unique(labels)])

        path = tmp_path / "m.tflite"
        report = tflite_export.export(
            spoilt,
            path,
            "int8",
            x,
            validation_data=(x, truth),
            max_accuracy_drop=0.05,
            metric=macro,
            metric_name="balanced accuracy",
        )
        assert report.metric_name == "balanced accuracy"
        assert report.metric_tflite == pytest.approx(macro(truth, tflite_export.run(path, x)))
        assert 0 <= report.metric_keras - report.metric_tflite <= 0.05 + 1e-9
        assert report.remedies[-1].accuracy == report.metric_tflite
        assert f"balanced accuracy {report.metric_tflite:.2%} (Keras 100.00%)" in str(report)
        assert report.accuracy_tflite is not None
        judged = tflite_export.verify(spoilt, path, (x, truth), metric=macro)
        assert (judged.metric_name, judged.metric_tflite) == ("macro", report.metric_tflite)

    def test_the_error_speaks_of_it(self, spoilt, x, truth, tmp_path):
        def closeness(labels, outputs):
            return float((outputs.argmax(1) == labels[:, 0]).mean())

        boxes = np.stack([truth, truth], axis=1)
        with pytest.raises(AccuracyDropError, match=r"and closeness \d") as caught:
            tflite_export.export(
                spoilt,
                tmp_path / "m.tflite",
                "int8",
                x,
                validation_data=(x, boxes),
                allow_wide=False,
                allow_float=False,
                metric=closeness,
            )
        report = caught.value.report
        assert report.accuracy_keras is report.interval_keras is report.agreement is None
        assert report.accuracy_drop == report.metric_keras - report.metric_tflite > 0.01

    @pytest.mark.parametrize(
        ("data", "metric", "message"),
        [
            (lambda x: x, lambda *_: 1.0, "needs labels"),
            (lambda x: (x, np.zeros(len(x))), lambda *_: float("nan"), "finite number"),
        ],
    )
    def test_what_it_cannot_judge_is_said_before_any_work(
        self, spoilt, x, tmp_path, monkeypatch, data, metric, message
    ):
        monkeypatch.setattr(tflite_export.exporter, "convert", None)
        with pytest.raises(ValueError, match=message):
            tflite_export.export(
                spoilt,
                tmp_path / "m.tflite",
                "int8",
                x,
                validation_data=data(x),
                metric=metric,
            )

    def test_inputs_need_not_be_floats(self, spoilt, x, truth, tmp_path):
        # Of pictures there are bytes, and remedies measure ranges on them.
        whole = keras.Sequential([keras.Input(spoilt.input_shape[1:]), spoilt])
        bytes_ = np.round(255 * x).astype(np.uint8)
        given = np.asarray(whole(bytes_.astype(np.float32))).argmax(1)
        report = tflite_export.export(
            whole,
            tmp_path / "m.tflite",
            "int8",
            bytes_,
            validation_data=(bytes_, given),
            max_accuracy_drop=0.2,
        )
        assert report.accuracy_drop <= 0.2 + 1e-9

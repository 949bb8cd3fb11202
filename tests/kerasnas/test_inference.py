"""The task of a data set: prepared ones, and those that must be asked for."""

import os
import pathlib
import re

import numpy as np
import pytest
from sklearn import datasets

from kerasnas.inference import fitted, infer, recognise, targets_of
from search_spaces.detection import Detection
from search_spaces.segmentation import Segmentation
from search_spaces.task import Classification, MultiLabel, NextToken, Regression

DATA = os.environ.get("KERASNAS_DATA")
rng = np.random.default_rng(0)
EYE = np.eye(4, dtype=np.float32)
IMAGE = {"shape": (16, 12, 3), "layout": "images"}
TABLE = {"shape": (9,), "layout": "table"}
SERIES = {"shape": (29, 12), "layout": "series"}
TOKENS = {"shape": (8,), "layout": "tokens"}
classes = np.arange(60) % 4
tokens = rng.integers(2, 50, (30, 9)).astype(np.int32)
mask = rng.integers(0, 3, (20, 16, 12))
BOX = np.array([[0.1, 0.2, 0.5, 0.6], [0.0, 0.0, 1.0, 0.3]])
BOXES = {"boxes": [BOX, BOX[:1], BOX[:0]], "labels": [[2, 0], [1], []]}
STORED = np.full((3, 2, 5), -1.0)
STORED[0, :, :4], STORED[0, :, 4], STORED[1, 0] = BOX, [2, 0], [*BOX[0], 1]


def diabetes():
    return datasets.load_diabetes().target


def smooth(probabilities):
    return 0.9 * probabilities + 0.1 / probabilities.shape[1]


def bordered(mask):
    edged = mask.astype(np.uint8)
    edged[:, 0] = 255
    return edged


multilabel = datasets.make_multilabel_classification(80, n_classes=5, random_state=0)[1]
quantities = rng.normal(50, 9, 60)
letters = rng.integers(0, 26, 1000)
PREPARED = {  # labels, where they belong, the task, and the targets if these are others
    "digits": (datasets.load_digits().target, IMAGE, Classification(10), None),
    "letters": (letters, {**IMAGE, "layout": "audio"}, Classification(26), None),
    "words of a sound and columns": (
        letters,
        {"shape": {"a": (9,), "b": (29, 12)}, "layout": {"a": "table", "b": "audio"}},
        Classification(26),
        None,
    ),
    "nine even classes of columns": (
        np.arange(60) % 9,
        TABLE,
        Classification(9),
        None,
    ),
    "wine": (datasets.load_wine().target, TABLE, Classification(3), None),
    "breast cancer": (datasets.load_breast_cancer().target, TABLE, Classification(2), None),
    "iris as a list": (datasets.load_iris().target.tolist(), TABLE, Classification(3), None),
    "diabetes": (
        diabetes(),
        TABLE,
        Regression(scale=diabetes().std(), offset=diabetes().mean()),
        diabetes()[:, np.newaxis],
    ),
    "linnerud": (datasets.load_linnerud().target, TABLE, 3, None),
    "fractions": (quantities, SERIES, 1, quantities[:, np.newaxis]),
    "a column of fractions": (quantities[:, np.newaxis], IMAGE, 1, None),
    "several quantities": (np.stack([quantities, -quantities], 1), SERIES, 2, None),
    "fractions of 1": (rng.uniform(size=(60, 3)), TABLE, 3, None),
    "classes as floats": (classes.astype(np.float32), IMAGE, Classification(4), classes),
    "a column of classes": (classes[:, np.newaxis], IMAGE, Classification(4), classes),
    "few of each class": (np.repeat(np.arange(15), 2), IMAGE, Classification(15), None),
    "classes that are rare": (
        np.repeat(np.arange(8), [90, 3, 70, 2, 5, 60, 4, 30]),
        TABLE,
        Classification(8),
        None,
    ),
    "truth values": (classes > 1, TABLE, Classification(2), (classes > 1).astype(int)),
    "multi-label": (multilabel, TABLE, MultiLabel(5), None),
    "truth values by label": (multilabel > 0, TABLE, MultiLabel(5), multilabel),
    "one-hot": (EYE[classes], IMAGE, Classification(4, one_hot=True), None),
    "one-hot numbers": (
        EYE[classes].astype(int),
        SERIES,
        Classification(4, one_hot=True),
        None,
    ),
    "probabilities": (smooth(EYE[classes]), IMAGE, Classification(4, one_hot=True), None),
    "masks": (mask, IMAGE, Segmentation(3), None),
    "masks with a channel": (mask[..., np.newaxis], IMAGE, Segmentation(3), mask),
    "one-hot masks": (np.eye(3)[mask], IMAGE, Segmentation(3), mask),
    "masks of truth values": (mask > 1, IMAGE, Segmentation(2), mask > 1),
    "masks with borders": (bordered(mask), IMAGE, Segmentation(3, 255), None),
    "boxes": (BOXES, IMAGE, Detection(3, image_shape=(16, 12, 3)), STORED),
    "padded boxes": (STORED, IMAGE, Detection(3, image_shape=(16, 12, 3)), None),
    "boxes of TFDS": (
        {"objects": [{"bbox": b, "label": c} for b, c in zip(*BOXES.values(), strict=True)]},
        IMAGE,
        Detection(3, image_shape=(16, 12, 3)),
        STORED,
    ),
    "tokens, shifted": (
        tokens[:, 1:],
        {**TOKENS, "x": tokens[:, :-1]},
        NextToken(tokens.max() + 1),
        None,
    ),
    "tokens alone": (
        None,
        {**TOKENS, "x": tokens, "vocabulary_size": 64},
        NextToken(64),
        tokens[:, 1:],
    ),
    "as many labels as tokens": (
        np.tile(multilabel[:30, :4], 2),
        {**TOKENS, "x": tokens[:, 1:]},
        MultiLabel(8),
        None,
    ),
    "classes of tokens": (
        classes[:30],
        {**TOKENS, "x": tokens},
        Classification(4),
        None,
    ),
}


@pytest.mark.parametrize("data", PREPARED)
def test_the_task_of_a_prepared_data_set(data):
    y, settings, task, stored = PREPARED[data]
    problem = infer(y, **settings)
    if isinstance(task, int):
        columns = np.reshape(y, (len(y), -1))
        deviation, mean = columns.std(axis=0), columns.mean(axis=0)
        assert isinstance(problem.task, Regression)
        assert problem.task.units == task
        np.testing.assert_allclose(problem.task.scale, np.squeeze(deviation), rtol=1e-5)
        np.testing.assert_allclose(problem.task.offset, np.squeeze(mean), rtol=1e-5)
    elif data == "diabetes":
        assert (problem.task.scale, problem.task.offset) == pytest.approx(
            (task.scale, task.offset)
        )
    else:
        assert problem.task == task
    np.testing.assert_allclose(problem.targets, y if stored is None else stored, rtol=1e-6)
    assert problem.targets.dtype == {
        Classification: np.float32 if getattr(task, "one_hot", False) else np.int64,
        Segmentation: np.int32,
        NextToken: np.int32,
    }.get(type(problem.task), np.float32)
    assert problem.class_names is None
    again = targets_of(
        problem.task,
        y,
        train=problem.targets,
        **{key: value for key, value in settings.items() if key != "vocabulary_size"},
    )
    np.testing.assert_array_equal(again, problem.targets)


@pytest.mark.skipif(DATA is None, reason="KERASNAS_DATA names no folder with data sets")
@pytest.mark.parametrize(
    ("file", "layout", "count"),
    [
        ("fashion_mnist", "images", 10),
        ("fsdd_logmel", "audio", 10),
        ("ts_JapaneseVowels", "series", 9),
        ("ts_BasicMotions", "series", 4),
    ],
)
def test_the_task_of_a_data_set_on_disk(file, layout, count):
    with np.load(pathlib.Path(DATA, f"{file}.npz"), allow_pickle=False) as arrays:
        name = next(name for name in ("y_train", "train_y", "y") if name in arrays.files)
        problem = infer(arrays[name], shape=(8, 8), layout=layout)
    assert problem.task == Classification(count)


def test_text_alone_is_for_the_next_token():
    assert recognise(None, layout="text") == "next_token"


class TestNames:
    y = np.array(["dog", "cat", "cow", "cat", "dog", "cow", "cat"])
    numbers = np.array([2, 0, 1, 0, 2, 1, 0])

    @pytest.mark.parametrize(
        "labels", [y, y.tolist(), y.astype(object), y.astype("S"), y[:, np.newaxis]]
    )
    def test_of_classes_come_from_texts_in_alphabetic_order(self, labels):
        problem = infer(labels, **TABLE)
        assert problem.task == Classification(3)
        assert problem.class_names == ["cat", "cow", "dog"]
        np.testing.assert_array_equal(problem.targets, self.numbers)

    def test_that_are_given_say_the_order(self):
        problem = infer(self.y, **TABLE, class_names=["dog", "cat", "cow", "emu"])
        assert problem.task == Classification(4)
        np.testing.assert_array_equal(problem.targets, [0, 1, 2, 1, 0, 2, 1])

    def test_make_numbers_classes_that_may_be_quantities(self):
        problem = infer(np.arange(60) % 11, **TABLE, class_names=list("abcdefghijk"))
        assert problem.task == Classification(11)

    def test_make_any_whole_numbers_classes(self):
        problem = infer(np.array([1, 3, 5, 3, 1, 5]), **TABLE, class_names=list("abcdef"))
        assert problem.task == Classification(6)

    def test_of_objects_come_from_texts_too(self):
        named = {"boxes": BOXES["boxes"], "labels": [["dog", "ant"], [b"bee"], []]}
        problem = infer(named, **IMAGE)
        assert problem.class_names == ["ant", "bee", "dog"]
        np.testing.assert_allclose(problem.targets, STORED, rtol=1e-6)

    def test_say_what_a_further_part_means(self):
        problem = infer(self.y, **TABLE)
        part = targets_of(
            problem.task,
            ["dog", "cow"],
            **TABLE,
            class_names=problem.class_names,
            train=problem.targets,
        )
        assert part.tolist() == [2, 1]

    def test_that_training_lacks_are_refused(self):
        problem = infer(self.y, **TABLE)
        with pytest.raises(ValueError, match=r"with class 'emu', which training data lacks"):
            targets_of(
                problem.task,
                ["dog", "emu"],
                **TABLE,
                class_names=problem.class_names,
                train=problem.targets,
            )


ratings = rng.integers(1, 6, 200)
ages = rng.integers(18, 91, 500)
OPEN = {  # labels, where they belong, words of what was received and of the candidates
    "one and two": (1 + classes // 2, IMAGE, "from 1 to 2, 2 of them", "count them from 0"),
    "zero and a hundred": (classes // 2 * 100, IMAGE, "from 0 to 100", "np.unique(y"),
    "zero and two": (classes // 2 * 2, TABLE, "from 0 to 2, 2 of them", "classification"),
    "even ratings": (np.arange(60) % 11, TABLE, "from 0 to 10, 11 of them", "ratings"),
    "hours": (rng.integers(0, 24, 2000), SERIES, "from 0 to 23", "quantities"),
    "hours of several inputs": (
        rng.integers(0, 24, 2000),
        {"shape": {"a": (9,), "b": (29, 2)}, "layout": {"a": "table", "b": "series"}},
        "from 0 to 23",
        "quantities",
    ),
    "ratings": (ratings, TABLE, "from 1 to 5, 5 of them", "ratings"),
    "ratings as floats": (ratings.astype(float), TABLE, "from 1 to 5", "quantities"),
    "ages": (ages, IMAGE, "from 18 to 90", "ages"),
    "counts": (rng.poisson(3, 500), TABLE, "whole numbers from 0 to", "counts"),
    "rare counts": (rng.poisson(1, 3000), TABLE, "whole numbers from 0 to", "counts"),
    "ids": (rng.permutation(200), TABLE, "200 of them different", "classes"),
    "prices": (rng.integers(100, 900, 400) * 1000, TABLE, "different", "regression"),
    "numbers from 3": (3 + classes, TABLE, "from 3 to 6", "count them from 0: y - 3"),
    "tens": (rng.integers(0, 5, 100) * 10, TABLE, "from 0 to 40, 5 of them", "quantities"),
    "one-hot or none": (
        np.vstack([EYE[classes], EYE[:2] * 0]),
        IMAGE,
        "2 of 62 hold only 0",
        'task="multilabel" if an example may be of no class, or leave the rows of 0 out',
    ),
    "rows of whole numbers": (
        rng.integers(0, 5, (60, 3)),
        TABLE,
        "rows of 3 whole numbers",
        'task="regression" if they are quantities, or 0 and 1',
    ),
    "pictures": (
        rng.integers(0, 256, (20, 16, 12)),
        IMAGE,
        "256 of them different",
        'task="segmentation" if they number classes',
    ),
    "the images": (
        mask,
        {**IMAGE, "x": mask[..., np.newaxis]},
        "those of the images themselves",
        "no task here returns images",
    ),
}


@pytest.mark.parametrize("data", OPEN)
def test_what_labels_leave_open_is_asked_for(data):
    y, settings, received, candidates = OPEN[data]
    with pytest.raises(ValueError, match=r"leave the task open\. Received: ") as raised:
        infer(y, **settings)
    message = str(raised.value)
    assert received in message
    assert candidates in message.partition("Pass ")[2]
    assert "in the training data" in message


@pytest.mark.parametrize(
    ("data", "task"),
    [
        ("ratings", Classification(6)),
        ("ages", Regression(1, scale=ages.std(), offset=ages.mean())),
        ("one-hot or none", MultiLabel(4)),
        ("pictures", Segmentation(256)),
    ],
)
def test_a_name_settles_what_is_open(data, task):
    y, settings, *_ = OPEN[data]
    name = {Classification: "classification", Regression: "regression"}.get(
        type(task), {MultiLabel: "multilabel", Segmentation: "segmentation"}.get(type(task))
    )
    assert infer(y, **settings, task=name).task == task


def test_classes_in_any_order_are_hardly_taken_for_counts():
    asked = 0
    for seed in range(200):
        random = np.random.default_rng(seed)
        frequencies = np.ceil(200 * random.dirichlet(np.ones(10)))
        y = np.repeat(np.arange(10), frequencies.astype(int) + 2)
        try:
            assert recognise(y, layout="table") == "classification"
        except ValueError:
            asked += 1
    assert asked <= 12  # of 200, with frequencies that differ a hundredfold


class TestGivenTask:
    def test_that_is_a_regression_learns_its_scale_but_keeps_one_that_is_set(self):
        y = np.array([3.0, 5.0, 7.0])
        assert infer(y, **TABLE, task=Regression()).task.offset == 5
        kept = Regression(scale=10.0, offset=1.0)
        assert infer(y, **TABLE, task=kept).task == kept

    def test_that_is_a_regression_is_fitted_to_a_part(self):
        whole, part = quantities[:, np.newaxis], quantities[:40, np.newaxis]
        for given in ("regression", Regression(), None):
            task = infer(whole, **TABLE, task=given).task
            task = fitted(task, given, part)
            assert (task.scale, task.offset) == pytest.approx((part.std(), part.mean()))
        kept = Regression(scale=10.0, offset=1.0)
        assert fitted(infer(whole, **TABLE, task=kept).task, kept, part) == kept
        assert fitted(Classification(3), None, classes) == Classification(3)
        with pytest.raises(ValueError, match="must vary"):
            fitted(Regression(), None, part * 0 + 1)

    def test_that_is_a_detection_learns_the_size_of_images(self):
        assert infer(BOXES, **IMAGE, task=Detection(5)).task.image_shape == (16, 12, 3)

    def test_may_know_more_classes_than_there_are(self):
        task = Classification(7)
        assert infer(classes, **TABLE, task=task).task is task

    def test_serves_several_inputs(self):
        several = {"shape": {"a": (8, 8, 1), "b": (9,)}, "layout": {"a": "images"}}
        assert infer(classes, **several).task == Classification(4)
        with pytest.raises(ValueError, match="Several inputs serve classification"):
            infer(classes, **several, task="segmentation")


BAD = {  # labels, settings, words of the message
    "classes as masks": (classes, {**IMAGE, "task": "segmentation"}, "class number for each"),
    "masks as classes": (mask, {**IMAGE, "task": "classification"}, "one class an example"),
    "fractions as classes": (
        quantities,
        {**TABLE, "task": "classification"},
        'whole numbers or one-hot.*task="regression"',
    ),
    "several classes as one": (
        multilabel,
        {**TABLE, "task": "classification"},
        r'One-hot labels must sum to 1.*task="multilabel"',
    ),
    "classes as several": (classes, {**TABLE, "task": "multilabel"}, "row of 0 and 1"),
    "quantities as several classes": (
        np.ones((4, 2)) * 0.5,
        {**TABLE, "task": "multilabel"},
        "takes 0 and 1, one column a class",
    ),
    "texts as quantities": (
        ["a", "b"],
        {**TABLE, "task": "regression"},
        r"one number an example.*Received: texts",
    ),
    "classes as boxes": (classes, {**IMAGE, "task": "detection"}, "boxes and their classes"),
    "boxes as classes": (BOXES, {**IMAGE, "task": "classification"}, "Received: boxes"),
    "classes as tokens": (
        classes[:30],
        {**TOKENS, "x": tokens, "task": "next_token"},
        "tokens, shifted by one",
    ),
    "tokens that are not shifted": (
        tokens,
        {**TOKENS, "x": tokens},
        r"shifted by one.*tokens\[:, :-1\]",
    ),
    "tokens of images": (None, {**IMAGE, "task": "next_token"}, "is one of tokens"),
    "masks of a table": (mask, {**TABLE, "task": "segmentation"}, "is one of images"),
    "masks of series": (mask, SERIES, "No task takes such labels"),
    "no labels": (None, IMAGE, "Received: no labels"),
    "no labels for a name": (None, {**IMAGE, "task": "regression"}, "Received: no labels"),
    "a task that is unknown": (classes, {**TABLE, "task": "clasification"}, "Did you mean"),
    "fewer classes": (classes, {**TABLE, "task": Classification(3)}, "from 0 to 2"),
    "other columns": (
        EYE[classes],
        {**TABLE, "task": Classification(5, one_hot=True)},
        r"Received: shape \(60, 4\)",
    ),
    "one-hot for numbers": (EYE[classes], {**TABLE, "task": Classification(4)}, "60, 4"),
    "other labels": (multilabel, {**TABLE, "task": MultiLabel(4)}, r"\(80, 5\)"),
    "other units": (quantities, {**TABLE, "task": Regression(2)}, r"\(60, 1\)"),
    "fewer classes in masks": (mask, {**IMAGE, "task": Segmentation(2)}, "Received: .*2"),
    "fewer classes of boxes": (BOXES, {**IMAGE, "task": Detection(2)}, "Received: .*2"),
    "fewer tokens": (
        tokens[:, 1:],
        {**TOKENS, "x": tokens[:, :-1], "task": NextToken(20)},
        "Received: ",
    ),
    "a constant": (np.full(9, 2.5), TABLE, r"must vary\. Received: 2\.5"),
    "no object": (
        {"boxes": [BOX[:0]] * 3, "labels": [[]] * 3},
        IMAGE,
        "Detection needs objects",
    ),
    "one class": (classes * 0, TABLE, "holds only class 0"),
    "too few names": (classes, {**TABLE, "class_names": ["a", "b"]}, "2 class names"),
    "more names than a task": (
        classes,
        {**TABLE, "class_names": list("abcde"), "task": Classification(4)},
        "5 class names, and labels or a task of 4 classes",
    ),
    "wild numbers": (classes * 10**6, TABLE, r"4 classes, numbered up to 3000000.*np\.unique"),
    "numbers far apart by name": (
        np.where(classes < 2, 3, 70),
        {**TABLE, "task": "classification"},
        r"2 classes, numbered up to 70.*np\.unique.*task=Classification\(71\)",
    ),
    "negative numbers": (classes - 1, TABLE, r"0 or more\. Received: -1"),
    "numbers as texts": (["1.5", "2", "3"], TABLE, r"must not be texts\. Received: '1\.5'"),
    "texts that differ": (
        [f"text {i}" for i in range(9)],
        TABLE,
        "9 different texts for 9 examples",
    ),
    "masks as PNG": (mask.clip(0, 1) * 255, IMAGE, "0 and 255.*Write 1 for the object"),
}


@pytest.mark.parametrize("wrong", BAD)
def test_labels_that_do_not_fit_get_a_sentence(wrong):
    y, settings, words = BAD[wrong]
    with pytest.raises(ValueError, match=r"Received: .*\.$") as raised:
        infer(y, **settings)
    assert re.search(words, str(raised.value)), raised.value


def test_what_is_no_task_is_a_type_error():
    with pytest.raises(TypeError, match="task=3"):
        infer(classes, **TABLE, task=3)


@pytest.mark.parametrize(
    ("train", "y", "words"),
    [
        (classes, classes + 1, "validation data with class 4, which training data lacks"),
        (classes, EYE[classes], r"one form.*\(60,\).*\(60, 4\)"),
        (classes, quantities, "Received: a label"),
        (EYE[classes], classes, r"one form.*\(60, 4\).*\(60,\)"),
        (quantities, np.stack([quantities, quantities], 1), r"\(60, 2\)"),
        (multilabel, multilabel[:, :4], r"\(80, 4\)"),
    ],
)
def test_a_further_part_that_does_not_fit_is_refused(train, y, words):
    problem = infer(train, **TABLE)
    with pytest.raises(ValueError, match=words):
        targets_of(problem.task, y, **TABLE, train=problem.targets)

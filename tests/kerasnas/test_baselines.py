import numpy as np
import pytest
from sklearn.datasets import load_breast_cancer, load_diabetes, load_digits
from sklearn.linear_model import Ridge
from sklearn.preprocessing import StandardScaler

from kerasnas import baselines
from kerasnas.baselines import baseline
from search_spaces.detection import Detection
from search_spaces.segmentation import Segmentation
from search_spaces.task import Classification, MultiLabel, NextToken, Regression

SIZE = 12
CASES = [
    (Classification(3), "linear"),
    (Classification(3), "neighbour"),
    (Classification(3), "majority"),
    (Classification(3, one_hot=True), "linear"),
    (MultiLabel(2), "linear"),
    (MultiLabel(2), "neighbour"),
    (MultiLabel(2), "majority"),
    (Regression(2), "linear"),
    (Regression(2), "neighbour"),
    (Regression(2), "majority"),
    (Segmentation(3, ignore_class=255), "pixels"),
    (Segmentation(3, ignore_class=255), "neighbour"),
    (Segmentation(3, ignore_class=255), "majority"),
    (Detection(2, image_shape=(SIZE, SIZE)), "neighbour"),
    (NextToken(5), "ngram"),
    (NextToken(5), "majority"),
]


def examples(task, count=60, seed=0):
    """Inputs of a task, its targets, which follow from them, and the layout."""
    rng = np.random.default_rng(seed)
    if isinstance(task, NextToken):
        tokens = rng.integers(task.vocabulary, size=(count, 10))
        tokens[:, 1::2] = (tokens[:, ::2] + 1) % task.vocabulary
        return tokens[:, :-1], tokens[:, 1:], "tokens"
    if isinstance(task, Segmentation):
        masks = rng.integers(task.num_classes, size=(count, SIZE // 3, SIZE // 3))
        masks = masks.repeat(3, axis=1).repeat(3, axis=2).astype("int32")
        images = (masks * 80 + rng.integers(20, size=masks.shape)).astype("uint8")
        masks[:, 0] = 255
        return images[..., None], masks, "images"
    if isinstance(task, Detection):
        images = rng.integers(255, size=(count, SIZE, SIZE, 1), dtype="uint8")
        corner = rng.uniform(0, 0.5, size=(count, 1, 2))
        classes = rng.integers(task.num_classes, size=(count, 1, 1))
        return images, np.concatenate([corner, corner + 0.4, classes], axis=-1), "images"
    x = rng.normal(size=(count, 6)).astype("float32") * [1, 10, 100, 1, 1, 1] + 5
    if isinstance(task, Regression):
        return x, (x[:, :2] * 3 + 1).astype("float32"), "table"
    if isinstance(task, MultiLabel):
        return x, (x[:, :2] > 5).astype("float32"), "table"
    labels = x[:, : task.num_classes].argmax(axis=1)
    return x, np.eye(task.num_classes)[labels] if task.one_hot else labels, "table"


@pytest.mark.parametrize(("task", "kind"), CASES, ids=str)
def test_answers_have_the_form_of_a_networks(task, kind):
    x, y, layout = examples(task)
    model = baseline(task, layout, kind=kind)
    outputs = model.fit(x[:50], y[:50]).predict(x[50:])
    assert outputs.dtype == np.float32
    assert len(outputs) == 10
    found = task.scores(y[50:], outputs)
    assert all(np.isfinite(score) for score in found.values())
    usual = {"linear", "pixels", "ngram"} | (
        {"neighbour"} if isinstance(task, Detection) else set()
    )
    if kind in usual:
        assert baseline(task, layout).fit(x[:50], y[:50]).name == model.name


@pytest.mark.parametrize(
    ("task", "kind", "least"),
    [
        (Classification(3), "linear", 0.8),
        (MultiLabel(2), "linear", 0.85),
        (Regression(2), "linear", 0.99),
        (Segmentation(3, 255), "pixels", 0.95),
        (NextToken(5), "ngram", 0.5),
    ],
)
def test_what_follows_from_the_input_is_learned_and_the_majority_does_not(task, kind, least):
    def measure(kind):
        x, y, layout = examples(task, count=200)
        model = baseline(task, layout, kind=kind).fit(x[:150], y[:150])
        return task.scores(y[150:], model.predict(x[150:]))[task.measure]

    assert measure("majority") < least - 0.2
    assert measure(kind) >= least


@pytest.mark.parametrize(("task", "kind"), [c for c in CASES if c[1] == "neighbour"], ids=str)
def test_training_examples_are_their_own_neighbours(task, kind):
    x, y, layout = examples(task)
    found = baseline(task, layout, kind=kind).fit(x, y).predict(x)
    assert task.scores(y, found)[task.measure] == pytest.approx(1)


def test_the_mean_explains_nothing():
    x, y, layout = examples(Regression(2))
    model = baseline(Regression(2), layout, kind="majority").fit(x, y)
    assert model.name == "mean"
    assert Regression(2).scores(y, model.predict(x))["r2"] == pytest.approx(0, abs=1e-6)


def test_logistic_regression_is_as_good_as_is_known_of_it():
    x, y = load_breast_cancer(return_X_y=True)
    model = baseline(Classification(2), "table").fit(x[::2], y[::2])
    assert Classification(2).scores(y[1::2], model.predict(x[1::2]))["accuracy"] > 0.95
    x, y = load_digits(return_X_y=True)
    model = baseline(Classification(10), "images").fit(x[:1000].reshape(-1, 8, 8), y[:1000])
    answers = model.predict(x[1000:].reshape(-1, 8, 8))
    assert Classification(10).scores(y[1000:], answers)["accuracy"] > 0.9


def test_ridge_regression_is_that_of_the_reference():
    x, y = load_diabetes(return_X_y=True, scaled=False)
    model = baseline(Regression(1), "table").fit(x[::2], y[::2, None])
    scaler = StandardScaler().fit(x[::2])
    best = max(
        (
            Ridge(alpha).fit(scaler.transform(x[::2]), y[::2])
            for alpha in np.logspace(-3, 4, 15)
        ),
        key=lambda one: one.score(scaler.transform(x[1::2]), y[1::2]),
    )
    found = Regression(1).scores(y[1::2, None], model.predict(x[1::2]))["r2"]
    assert found == pytest.approx(best.score(scaler.transform(x[1::2]), y[1::2]), abs=0.02)


@pytest.mark.parametrize("kind", ["linear", "neighbour"])
def test_bytes_and_fractions_are_the_same_images(kind):
    rng = np.random.default_rng(0)
    labels = rng.integers(2, size=60)
    images = rng.integers(100, size=(60, 4, 4, 1), dtype="uint8")
    images[:, 1] += (labels * 60).astype("uint8")[:, None, None]
    answers = [
        baseline(Classification(2), "images", kind=kind)
        .fit(x[:50], labels[:50])
        .predict(x[50:])
        for x in (images, images / np.float32(255))
    ]
    np.testing.assert_allclose(answers[0], answers[1], atol=1e-2)


@pytest.mark.parametrize("word", [2, 0])  # 0 is padding at the end alone
def test_pairs_of_tokens_say_more_than_tokens(word):
    rng = np.random.default_rng(0)
    labels = rng.integers(2, size=200)
    noise = rng.integers(4, 9, size=(200, 4))
    pair = np.where(labels[:, None], [word, 3], [3, word])
    tokens = np.concatenate([noise[:, :2], pair, noise[:, 2:], 0 * noise], axis=1)
    model = baseline(Classification(2), "tokens").fit(tokens[:150], labels[:150])
    assert Classification(2).scores(labels[150:], model.predict(tokens[150:]))["accuracy"] == 1


@pytest.mark.parametrize("form", [dict, tuple])
def test_several_inputs_are_joined(form):
    rng = np.random.default_rng(0)
    parts = {
        "input_0": rng.integers(255, size=(200, 3, 3, 1), dtype="uint8"),
        "input_1": rng.integers(1, 9, size=(200, 5)),
        "input_2": rng.normal(size=(200, 2)),
    }
    layouts = {"input_0": "images", "input_1": "tokens", "input_2": "table"}
    first, last = parts["input_0"][:, 0, 0, 0] / 255, parts["input_2"][:, 1]
    labels = (first + last > 0.5).astype(int)

    def some(rows):
        chosen = {name: part[rows] for name, part in parts.items()}
        return chosen if form is dict else tuple(chosen.values())

    train, test = slice(0, 150), slice(150, 200)
    for kind, least in [("linear", 0.85), ("neighbour", 0.5), ("majority", 0.3)]:
        model = baseline(Classification(2), layouts, kind=kind).fit(some(train), labels[train])
        outputs = model.predict(some(test))
        assert Classification(2).scores(labels[test], outputs)["accuracy"] > least


def test_large_data_sets_are_cut_down_and_the_name_says_so():
    x, y, layout = examples(Classification(3), count=200)
    one, again, other = (
        baseline(Classification(3), layout, seed=seed, max_examples=50).fit(x, y)
        for seed in (0, 0, 1)
    )
    assert one.name == "logistic regression, 50 of 200 examples"
    np.testing.assert_array_equal(one.predict(x), again.predict(x))
    assert (one.predict(x) != other.predict(x)).any()
    assert baseline(Classification(3), layout).fit(x, y).name == "logistic regression"


def test_large_examples_leave_fewer_of_them(monkeypatch):
    monkeypatch.setattr(baselines, "_MOST_NUMBERS", 300)
    x, y, layout = examples(Classification(3))
    model = baseline(Classification(3), layout, kind="neighbour").fit(x, y)
    assert model.name == "1-nearest neighbour, 50 of 60 examples"


def test_masks_are_learned_from_some_of_their_pixels(monkeypatch):
    monkeypatch.setattr(baselines, "_PIXELS", 500)
    task = Segmentation(3, ignore_class=255)
    x, y, layout = examples(task)
    model = baseline(task, layout).fit(x, y)
    assert model.name == "logistic regression on 5x5 pixels, 500 of 7,920"
    assert task.scores(y, model.predict(x[..., 0]))["mean_iou"] > 0.9


def test_classes_that_training_lacks_are_never_answered():
    x, y, layout = examples(Classification(3))
    for labels in (np.minimum(y, 1), np.zeros_like(y)):
        outputs = baseline(Classification(3), layout).fit(x, labels).predict(x)
        assert outputs.argmax(axis=1).max() == labels.max()
        assert np.isfinite(outputs).all()
    labels = np.zeros((60, 2))
    assert not (baseline(MultiLabel(2), layout).fit(x, labels).predict(x) > 0).any()


def test_columns_that_do_not_vary_do_no_harm():
    x, y, layout = examples(Classification(3))
    x[:, 3:] = [0.0, 1e9, -3.0]
    outputs = baseline(Classification(3), layout).fit(x, y).predict(x)
    assert Classification(3).scores(y, outputs)["accuracy"] > 0.9


def test_a_method_that_does_not_serve_the_task_is_refused():
    with pytest.raises(
        ValueError, match=r"Detection are 'neighbour'\. Received: kind='linear'"
    ):
        baseline(Detection(2), "images", kind="linear")
    with pytest.raises(ValueError, match=r"Did you mean 'linear'"):
        baseline(Classification(2), "table", kind="linaer")

"""Plain methods that a network has to beat: what is easy is not worth a search.

```python
plain = baselines.baseline(task, "images").fit(x_train, y_train)
print(plain.name, task.scores(y_test, plain.predict(x_test)))
```
"""

from __future__ import annotations

import abc
import itertools
import warnings
from collections.abc import Mapping, Sequence
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from edge_devices.spelling import did_you_mean
from kerasnas.ngrams import NGram
from search_spaces import metrics
from search_spaces.detection import Detection
from search_spaces.segmentation import Segmentation
from search_spaces.task import Classification, MultiLabel, NextToken, Regression, Task

__all__ = ["Baseline", "baseline"]

Array = NDArray[Any]
Layout = str | Mapping[str, str]

_MOST_NUMBERS = 20_000_000  # of all training examples, as features
_TUNED_ON = 2_000  # examples on which the strength of a penalty is chosen
_PENALTIES = (0.001, 0.01, 0.1, 1.0)  # C of scikit-learn, whose default is the weakest here
_FOLDS = 3
_PIXELS = 100_000  # that a class a pixel is learned from
_REACH = 2  # pixels on each side
_SURE = 30.0  # logit of what is certain
_MOST_WORDS = 50_000


class Baseline(abc.ABC):
    """A method without a network, that answers in the form of a network for its task.

    Attributes:
        name: What it is, for a table; after `fit` also of how many examples it has learned,
            where those are not all.
    """

    name: str

    @abc.abstractmethod
    def fit(self, x: Any, y: Array) -> Self:
        """Learn from examples, raw or in any scale, and targets as data sets store them."""

    @abc.abstractmethod
    def predict(self, x: Any) -> NDArray[np.float32]:
        """Answer as a network would: `task.scores(y, baseline.predict(x))`."""


def baseline(
    task: Task,
    layout: Layout,
    *,
    kind: str | None = None,
    seed: int | None = 0,
    max_examples: int = 10_000,
) -> Baseline:
    """Make the plain method for a task.

    | kind          | method                                        | tasks                 |
    |---------------|-----------------------------------------------|-----------------------|
    | `"linear"`    | logistic regression; ridge regression         | one answer an example |
    | `"pixels"`    | logistic regression on the 5x5 pixels around  | segmentation          |
    | `"ngram"`     | interpolated n-gram, the order chosen         | next token            |
    | `"neighbour"` | the answer of the nearest training example    | all but next token    |
    | `"majority"`  | the most frequent answer, or the mean         | all but detection     |

    Strengths of penalties are chosen by cross-validation; that of a logistic regression is
    scikit-learn's default or stronger, as small data sets are not enough to choose a weaker
    one. Numbers are standardised, each on its own for a regression and in tables, else all
    together. Tokens are counted, alone and in pairs, and weighed by how rare they are
    (TF-IDF).

    Args:
        task: What is asked for.
        layout: What the axes of an example are, as in `data.load`; a dictionary of them where
            there are several inputs, whose features are then joined.
        kind: A method of the table; `None` is the first that serves the task, and the nearest
            neighbour for detection.
        seed: Draws the examples where there are too many. `None` draws fresh entropy.
        max_examples: Examples to learn from at most, fewer where they are large; more takes
            longer.

    Raises:
        ValueError: If there is no such method for the task.
    """
    kinds = [one for one, tasks in _SERVES.items() if isinstance(task, tasks)]
    if not kinds or (kind is not None and kind not in kinds):
        raise ValueError(
            f"Plain methods for {type(task).__name__} are {', '.join(map(repr, kinds))}. "
            f"Received: kind={kind!r}. {did_you_mean(str(kind), kinds)}Leave it out for the "
            "usual one."
        )
    kind = kind or kinds[0]
    if isinstance(task, NextToken):
        return _Counting(task, order=1 if kind == "majority" else None)
    if kind == "majority":
        return _Majority(task)
    if kind == "pixels":
        assert isinstance(task, Segmentation)
        return _Pixels(task, seed)
    features = _Features(layout, seed, max_examples, by_column=kind == "linear")
    return _Linear(task, features) if kind == "linear" else _Neighbour(task, features)


_ONE_ANSWER = (Classification, MultiLabel, Regression)
_SERVES: dict[str, tuple[type[Task], ...]] = {
    "linear": _ONE_ANSWER,
    "pixels": (Segmentation,),
    "ngram": (NextToken,),
    "neighbour": (*_ONE_ANSWER, Segmentation, Detection),
    "majority": (*_ONE_ANSWER, Segmentation, NextToken),
}


class _Linear(Baseline):
    """Logistic or ridge regression."""

    def __init__(self, task: Task, features: _Features) -> None:
        self._task = task
        self._features = features
        ridge = isinstance(task, Regression)
        self.name = "ridge regression" if ridge else "logistic regression"

    def fit(self, x: Any, y: Array) -> Self:
        rows, found = self._features.fit(x)
        self.name += self._features.of_how_many
        targets = np.asarray(y)[rows]
        if isinstance(self._task, Regression):
            self._models = [_ridge(found, targets.reshape(len(rows), -1))]
        elif isinstance(self._task, MultiLabel):
            self._models = [_logistic(found, column) for column in targets.T.astype(np.int64)]
        else:
            self._models = [_logistic(found, self._task.strata(targets))]
        return self

    def predict(self, x: Any) -> NDArray[np.float32]:
        found = self._features.transform(x)
        if isinstance(self._task, Regression):
            answers = self._models[0].predict(found).reshape(found.shape[0], -1)
        elif isinstance(self._task, MultiLabel):
            logits = [_logits(model, found, 2) for model in self._models]
            answers = np.stack([one[:, 1] - one[:, 0] for one in logits], axis=1)
        else:
            assert isinstance(self._task, Classification)
            answers = _logits(self._models[0], found, self._task.num_classes)
        outputs: NDArray[np.float32] = answers.astype(np.float32)
        return outputs


class _Neighbour(Baseline):
    """The answer of the most similar training example."""

    def __init__(self, task: Task, features: _Features) -> None:
        self._task = task
        self._features = features
        self.name = "1-nearest neighbour"

    def fit(self, x: Any, y: Array) -> Self:
        from sklearn.neighbors import NearestNeighbors

        rows, found = self._features.fit(x)
        self.name += self._features.of_how_many
        self._answers = np.asarray(y)[rows]
        self._model = NearestNeighbors(n_neighbors=1, algorithm="brute").fit(found)
        return self

    def predict(self, x: Any) -> NDArray[np.float32]:
        nearest = self._model.kneighbors(
            self._features.transform(x), return_distance=False
        ).reshape(-1)
        return _as_outputs(self._task, self._answers[nearest])


class _Majority(Baseline):
    """The same answer whatever goes in: the shares of classes, or the mean."""

    def __init__(self, task: Task) -> None:
        self._task = task
        self.name = "mean" if isinstance(task, Regression) else "most frequent class"

    def fit(self, x: Any, y: Array) -> Self:
        targets, task = np.asarray(y), self._task
        if isinstance(task, Regression):
            self._answer = targets.reshape(len(targets), -1).mean(axis=0)
        elif isinstance(task, MultiLabel):
            shares = (targets.sum(axis=0) + 0.5) / (len(targets) + 1)
            self._answer = np.log(shares / (1 - shares))
        else:
            assert isinstance(task, Classification | Segmentation)
            labels = task.strata(targets) if isinstance(task, Classification) else targets
            counts = [(labels == one).sum(axis=0) for one in range(task.num_classes)]
            shares = np.stack(counts, axis=-1) + 1 / task.num_classes
            self._answer = np.log(shares / shares.sum(axis=-1, keepdims=True))
        return self

    def predict(self, x: Any) -> NDArray[np.float32]:
        parts = list(x.values()) if isinstance(x, Mapping) else x
        several = isinstance(x, Mapping | tuple)
        count = len(parts[0] if several else parts)
        answer = self._answer.astype(np.float32)
        return np.broadcast_to(answer, (count, *answer.shape))


class _Pixels(Baseline):
    """Logistic regression of each pixel on those around it."""

    def __init__(self, task: Segmentation, seed: int | None) -> None:
        self._task = task
        self._rng = np.random.default_rng(seed)
        self.name = "logistic regression on 5x5 pixels"

    def fit(self, x: Any, y: Array) -> Self:
        masks = np.asarray(y)
        counted = np.flatnonzero((masks >= 0) & (masks < self._task.num_classes))
        if len(counted) > _PIXELS:
            self.name += f", {_PIXELS:,} of {len(counted):,}"
            counted = np.sort(self._rng.choice(counted, _PIXELS, replace=False))
        images, rows, columns = np.unravel_index(counted, masks.shape)
        found = []
        for image in np.unique(images):
            there = images == image
            found.append(_around(np.asarray(x[image]))[rows[there], columns[there]])
        pixels = np.concatenate(found)
        self._scale = _Standard().fit(pixels)
        self._model = _logistic(self._scale.transform(pixels), masks.reshape(-1)[counted])
        return self

    def predict(self, x: Any) -> NDArray[np.float32]:
        return np.stack([self._classes(np.asarray(image)) for image in x])

    def _classes(self, image: Array) -> NDArray[np.float32]:
        found = _around(image)
        rows = self._scale.transform(found.reshape(-1, found.shape[-1]))
        logits = _logits(self._model, rows, self._task.num_classes)
        return logits.reshape(*found.shape[:2], -1).astype(np.float32)


def _around(image: Array) -> NDArray[np.float32]:
    """The pixels around each as its channels."""
    image = image.reshape(*image.shape[:2], -1).astype(np.float32)
    side = 2 * _REACH + 1
    edges = ((_REACH, _REACH), (_REACH, _REACH), (0, 0))
    windows = np.lib.stride_tricks.sliding_window_view(
        np.pad(image, edges, mode="edge"), (side, side), axis=(0, 1)
    )
    return windows.reshape(*image.shape[:2], -1)


class _Counting(Baseline):
    """An n-gram, or with order 1 the frequencies of tokens."""

    def __init__(self, task: NextToken, order: int | None) -> None:
        self._model = NGram(task.vocabulary, order)
        self.name = "n-gram" if order is None else "most frequent token"

    def fit(self, x: Any, y: Array) -> Self:
        self._model.fit(x, y)
        if self.name == "n-gram":
            self.name = f"{self._model.order}-gram"
        return self

    def predict(self, x: Any) -> NDArray[np.float32]:
        return self._model.predict(x)


class _Features:
    """Examples as rows of numbers that vary alike."""

    def __init__(
        self, layout: Layout, seed: int | None, max_examples: int, by_column: bool
    ) -> None:
        self._layout = layout
        self._rng = np.random.default_rng(seed)
        self._max_examples = max_examples
        self._by_column = by_column
        self.of_how_many = ""

    def fit(self, x: Any) -> tuple[NDArray[np.int64], Any]:
        """Return the row numbers of the examples to learn from, and their features."""
        parts = self._parts(x)
        count = len(parts[0][1])
        size = sum(one[:1].size for layout, one in parts if layout != "tokens")
        most = max(1, min(self._max_examples, _MOST_NUMBERS // max(size, 1)))
        rows = np.arange(count)
        if count > most:
            rows = np.sort(self._rng.choice(count, most, replace=False))
            self.of_how_many = f", {most:,} of {count:,} examples"
        chosen = [one[rows] for _, one in parts]
        self._steps: list[_Standard | _Words] = [
            (
                _Words()
                if layout == "tokens"
                else _Standard(self._by_column or layout == "table")
            ).fit(one)
            for (layout, _), one in zip(parts, chosen, strict=True)
        ]
        return rows, self._joined(chosen)

    def transform(self, x: Any) -> Any:
        """The features of other examples."""
        return self._joined([one for _, one in self._parts(x)])

    def _joined(self, parts: Sequence[Array]) -> Any:
        found = [step.transform(part) for step, part in zip(self._steps, parts, strict=True)]
        if any(sparse.issparse(one) for one in found):
            return sparse.hstack(found, format="csr")
        return np.concatenate(found, axis=1)

    def _parts(self, x: Any) -> list[tuple[str, Array]]:
        if isinstance(self._layout, str):
            return [(self._layout, np.asarray(x))]
        if not isinstance(x, Mapping):
            x = {f"input_{place}": one for place, one in enumerate(x)}
        return [(self._layout[name], np.asarray(x[name])) for name in sorted(x)]


class _Standard:
    """Numbers in a row with mean 0 and deviation 1: each column, or all together."""

    def __init__(self, by_column: bool = True) -> None:
        self._axis = 0 if by_column else None

    def fit(self, x: Array) -> Self:
        rows = x.reshape(len(x), -1)
        self._mean = rows.mean(axis=self._axis, dtype=np.float64)
        deviation = rows.std(axis=self._axis, dtype=np.float64)
        constant = deviation <= 1e-6 * np.abs(self._mean) + 1e-30  # within rounding
        self._deviation = np.where(constant, 1.0, deviation)
        return self

    def transform(self, x: Array) -> NDArray[np.float32]:
        rows = x.reshape(len(x), -1)
        standard: NDArray[np.float32] = (rows - self._mean) / self._deviation
        return standard.astype(np.float32)


class _Words:
    """How often tokens and pairs of neighbours are there, by TF-IDF; ends of 0 are padding."""

    def fit(self, x: Array) -> Self:
        from sklearn.feature_extraction.text import TfidfVectorizer

        self._model = TfidfVectorizer(
            analyzer=_words,
            min_df=2 if len(x) > 100 else 1,
            max_features=_MOST_WORDS,
            sublinear_tf=True,
            dtype=np.float32,
        )
        self._model.fit(x)
        return self

    def transform(self, x: Array) -> Any:
        return self._model.transform(x)


def _words(tokens: Array) -> list[Any]:
    kept = np.trim_zeros(tokens, "b").tolist()
    return [*zip(kept, strict=True), *itertools.pairwise(kept)]


def _logistic(found: Any, labels: Array) -> Any:
    """A logistic regression whose penalty is chosen; a class number if there is only one."""
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import GridSearchCV, StratifiedKFold

    classes = np.unique(labels)
    if len(classes) == 1:
        return int(classes[0])
    part = np.arange(found.shape[0])
    if len(part) > _TUNED_ON:
        part = np.random.default_rng(0).choice(part, _TUNED_ON, replace=False)
    penalty = 1.0
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        if np.unique(labels[part], return_counts=True)[1].min() >= _FOLDS:
            search = GridSearchCV(
                LogisticRegression(max_iter=100, tol=1e-3),
                {"C": _PENALTIES},
                scoring="neg_log_loss",
                cv=StratifiedKFold(_FOLDS, shuffle=True, random_state=0),
                refit=False,
            )
            penalty = search.fit(found[part], labels[part]).best_params_["C"]
        return LogisticRegression(C=penalty, max_iter=300).fit(found, labels)


def _logits(model: Any, found: Any, num_classes: int) -> NDArray[np.float64]:
    """Logarithms of probabilities, those of classes that were never seen very low."""
    logits = np.full((found.shape[0], num_classes), -_SURE)
    if isinstance(model, int):
        logits[:, model] = 0
    else:
        decisions = model.decision_function(found)
        if decisions.ndim == 1:  # of two classes there is one
            decisions = np.stack([0 * decisions, decisions], axis=1)
        logits[:, model.classes_] = np.maximum(metrics.log_softmax(decisions), -_SURE)
    return logits


def _ridge(found: Any, targets: Array) -> Any:
    from sklearn.linear_model import RidgeCV

    return RidgeCV(np.logspace(-3, 4, 15), alpha_per_target=True).fit(
        found.astype(np.float64), targets
    )


def _as_outputs(task: Task, targets: Array) -> NDArray[np.float32]:
    """What a network would return that is as good as sure of these targets."""
    if isinstance(task, Regression):
        return targets.reshape(len(targets), -1).astype(np.float32)
    if isinstance(task, MultiLabel):
        return np.where(targets > 0, 2.0, -2.0).astype(np.float32)
    if isinstance(task, Detection):
        grids: NDArray[np.float32] = task.encoded(targets)
        heat = np.clip(grids[..., : task.num_classes], 1e-4, 1 - 1e-4)
        grids[..., : task.num_classes] = np.log(heat / (1 - heat))
        return grids
    assert isinstance(task, Classification | Segmentation)
    labels = task.strata(targets) if isinstance(task, Classification) else targets
    shares: NDArray[np.float64]
    # One example says as much as one count more: Laplace's rule.
    shares = ((labels[..., None] == np.arange(task.num_classes)) + 1.0) / (
        task.num_classes + 1
    )
    return np.log(shares).astype(np.float32)

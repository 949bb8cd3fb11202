"""What a network is for: its head, and how it is trained and judged."""

from __future__ import annotations

import abc
import dataclasses
import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from search_spaces import blocks, metrics, roc
from search_spaces import targets as _targets
from search_spaces.network import Node

if TYPE_CHECKING:
    import keras_tuner

__all__ = [
    "Classification",
    "MultiLabel",
    "NextToken",
    "Regression",
    "Task",
    "check_feature_map",
]

Scores = dict[str, float]
Numbers = float | tuple[float, ...]

_FEWEST_STEPS = 2  # of an int8 output, by which a quantity must deviate


class Task(abc.ABC):
    """Turns the features of a space into an answer, and says how good answers are.

    A space's body ends in features; the task adds the head, and says which loss and metrics
    belong to it. What it says of answers (`scores`) is plain NumPy, so that it holds for a
    Keras model and for its file alike.

    Attributes:
        measure: Name of the score by which a file is compared with its model: a share of 1,
            larger is better, and defined whatever the targets.
        directions: `"max"` or `"min"` by the name of every score.
        dense: Whether there is an answer for each place of an image or a sequence.
    """

    measure: ClassVar[str]
    directions: ClassVar[Mapping[str, str]]
    dense: ClassVar[bool] = False

    @property
    @abc.abstractmethod
    def objective(self) -> str | keras_tuner.Objective:
        """What a search for this task maximises or minimises unless told otherwise."""

    @abc.abstractmethod
    def head(self, x: Node) -> Node:
        """From features to the answer."""

    @abc.abstractmethod
    def compile_arguments(self) -> dict[str, Any]:
        """Fresh `loss` and `metrics`, and weights of them, for `keras.Model.compile`."""

    @abc.abstractmethod
    def scores(self, targets: ArrayLike, outputs: ArrayLike) -> Scores:
        """Judge answers.

        Args:
            targets: As data sets store them: see the task.
            outputs: What a model or its file returns for the same examples, real numbers.

        Returns:
            Scores by name, as in `directions`. Those that such targets leave undefined, as
            one class alone leaves the area under its curve, are left out; `measure` is not.
        """

    def strata(self, targets: ArrayLike) -> NDArray[np.int64]:
        """Number the group of each example, by which a data set is split in like shares.

        Groups have two examples or more where there are as many, but for `Classification`,
        whose groups are the classes as they are.
        """
        return np.zeros(len(np.asarray(targets)), np.int64)

    def encoded(self, targets: ArrayLike) -> NDArray[Any]:
        """The targets in the form that the loss takes."""
        return np.asarray(targets)

    def check(self, targets: ArrayLike, input_shape: Any) -> None:
        """Refuse targets that this task cannot have, before anything is trained.

        Args:
            targets: As data sets store them.
            input_shape: Shape of one example, without the batch; where there are several
                inputs, a dictionary of shapes.

        Raises:
            ValueError: If they do not fit, with the reason in one sentence.
        """
        _targets.check_finite(np.asarray(targets))


@dataclasses.dataclass(frozen=True)
class Classification(Task):
    """One class an example: of images, sequences or tables.

    The head averages over all axes but the last and ends in logits: a softmax would cost a
    device many passes and change no decision. Two classes have two logits, so that a file
    decides by the larger, as it does for more.

    Targets are whole numbers `(n,)`, or one-hot rows `(n, num_classes)`. The scores are
    `loss`, `accuracy`, `balanced_accuracy`, `f1` (the mean over classes) and `auc`: of two
    classes the area under the ROC curve, of more its mean over each class against the rest,
    for the classes that are there; left out where there is one alone.

    Args:
        num_classes: Number of classes, at least 2; the model returns this many logits.
        one_hot: Whether labels are one-hot rows rather than integers.
        dropout: Rate of dropout before the last layer; more regularises more.

    Raises:
        ValueError: If there are fewer than 2 classes.
    """

    measure: ClassVar[str] = "accuracy"
    directions: ClassVar[Mapping[str, str]] = {
        "loss": "min",
        "accuracy": "max",
        "balanced_accuracy": "max",
        "f1": "max",
        "auc": "max",
    }

    num_classes: int
    one_hot: bool = False
    dropout: float = 0.1

    def __post_init__(self) -> None:
        if self.num_classes < 2:
            raise ValueError(
                "A classifier needs at least 2 classes. "
                f"Received: num_classes={self.num_classes}. Check the labels."
            )

    @property
    def objective(self) -> str:
        return "val_accuracy"

    def head(self, x: Node) -> Node:
        return blocks.dense(blocks.dropout(_pooled(x), self.dropout), self.num_classes)

    def compile_arguments(self) -> dict[str, Any]:
        import keras

        if self.one_hot:
            return {
                "loss": keras.losses.CategoricalCrossentropy(from_logits=True),
                "metrics": [keras.metrics.CategoricalAccuracy(name="accuracy")],
            }
        return {
            "loss": keras.losses.SparseCategoricalCrossentropy(from_logits=True),
            "metrics": [keras.metrics.SparseCategoricalAccuracy(name="accuracy")],
        }

    def scores(self, targets: ArrayLike, outputs: ArrayLike) -> Scores:
        logits, labels = np.asarray(outputs), self.strata(targets)
        answers = logits.argmax(axis=-1)
        found = {
            "loss": metrics.cross_entropy(targets, logits),
            "accuracy": metrics.accuracy(labels, answers),
            "balanced_accuracy": metrics.balanced_accuracy(labels, answers, self.num_classes),
            "f1": metrics.f1(labels, answers, self.num_classes),
        }
        if len(np.unique(labels)) > 1:
            if self.num_classes == 2:
                found["auc"] = roc.roc_auc(labels, logits[:, 1] - logits[:, 0])
            else:
                chances = metrics.log_softmax(logits)
                found["auc"] = roc.roc_auc_one_vs_rest(labels, chances)
        return found

    def strata(self, targets: ArrayLike) -> NDArray[np.int64]:
        return _targets.class_numbers(targets)

    def check(self, targets: ArrayLike, input_shape: Any) -> None:
        labels = np.asarray(targets)
        if not self.one_hot:
            _targets.check_shape(self, labels, ())
            _targets.check_whole(labels, self.num_classes, "Classes")
            return
        _targets.check_shape(self, labels, (self.num_classes,))
        _targets.check_finite(labels)
        wrong = (labels < 0).any(axis=1) | (np.abs(labels.sum(axis=1) - 1) > 1e-3)
        if wrong.any():
            raise ValueError(
                "One-hot labels must be 0 or more and sum to 1. Received: a label "
                f"{labels[wrong][0].tolist()}. Pass `MultiLabel` where an example may have "
                "several classes or none."
            )


@dataclasses.dataclass(frozen=True)
class MultiLabel(Task):
    """Any number of labels an example, none included: each is a question of its own.

    The head averages over all axes but the last and ends in a logit a label, which is given
    where the logit is above 0.

    Targets are rows of 0 and 1 `(n, num_classes)`. The scores are `loss`, the mean binary
    cross-entropy; `accuracy`, the share of all single answers that are right; `f1`, the mean
    over labels; and `auc` and `average_precision`, the means over the labels that some
    examples have and others have not, left out where there is no such label.

    Args:
        num_classes: Number of labels, at least 1; the model returns this many logits.
        dropout: Rate of dropout before the last layer; more regularises more.

    Raises:
        ValueError: If there is no label.
    """

    measure: ClassVar[str] = "f1"
    directions: ClassVar[Mapping[str, str]] = {
        "loss": "min",
        "accuracy": "max",
        "f1": "max",
        "auc": "max",
        "average_precision": "max",
    }

    num_classes: int
    dropout: float = 0.1

    def __post_init__(self) -> None:
        if self.num_classes < 1:
            raise ValueError(
                "There must be at least 1 label to give. "
                f"Received: num_classes={self.num_classes}. Count the columns of the labels."
            )

    @property
    def objective(self) -> str:
        return "val_loss"

    def head(self, x: Node) -> Node:
        return blocks.dense(blocks.dropout(_pooled(x), self.dropout), self.num_classes)

    def compile_arguments(self) -> dict[str, Any]:
        import keras

        return {
            "loss": keras.losses.BinaryCrossentropy(from_logits=True),
            "metrics": [
                keras.metrics.BinaryAccuracy(name="accuracy", threshold=0.0),
                # Keras wants a threshold above 0, where logits have theirs.
                keras.metrics.F1Score(average="macro", threshold=1e-9, name="f1"),
            ],
        }

    def scores(self, targets: ArrayLike, outputs: ArrayLike) -> Scores:
        labels, logits = np.asarray(targets), np.asarray(outputs)
        answers = logits > 0
        found = {
            "loss": metrics.binary_cross_entropy(labels, logits),
            "accuracy": metrics.accuracy(labels > 0, answers),
            "f1": metrics.f1(labels, answers, self.num_classes),
        }
        shares = labels.mean(axis=0)
        if ((shares > 0) & (shares < 1)).any():
            found["auc"] = roc.roc_auc_one_vs_rest(labels, logits)
            found["average_precision"] = roc.average_precision(labels, logits)
        return found

    def strata(self, targets: ArrayLike) -> NDArray[np.int64]:
        """The rarest label of each example, plus 1; 0 of none."""
        labels = np.asarray(targets) > 0
        rarity = np.argsort(np.argsort(labels.sum(axis=0), kind="stable"), kind="stable")
        rarest = np.where(labels, rarity, self.num_classes).argmin(axis=1)
        return _targets.merged(np.where(labels.any(axis=1), rarest + 1, 0))

    def check(self, targets: ArrayLike, input_shape: Any) -> None:
        labels = np.asarray(targets)
        _targets.check_shape(self, labels, (self.num_classes,))
        _targets.check_finite(labels)
        wrong = ~np.isin(labels, (0, 1))
        if wrong.any():
            raise ValueError(
                "Labels must be 0 or 1, a column each. Received: "
                f"{np.unique(labels[wrong])[:5].tolist()}. Compare, for example: y > 0.5."
            )


@dataclasses.dataclass(frozen=True)
class Regression(Task):
    """One number an example, or several.

    The head ends in `x * scale + offset`, with which it needs to learn numbers around 0 and 1
    only, whatever the unit of the targets; the converter puts both into the last layer. The
    loss is the mean squared error over the mean square of `scale`: of standardised targets it
    is 1 for a model that knows the mean alone.

    Several quantities share the loss, and an int8 file has one scale for all its answers and
    for zero. Where quantities differ much in size the small ones count little and are rounded
    coarsely, as are those that vary little beside their size, such as years: standardise them
    before. Those that would be lost are refused.

    Targets are `(n, units)`. The scores are `loss`; `mae` and `rmse`, in the unit of the
    targets; and `r2`, the share of their variance that is explained, the mean over units.

    Args:
        units: Numbers the model returns.
        dropout: Rate of dropout before the last layer; more regularises more.
        scale: Size of the targets' deviations from `offset`, above 0: a number, or one a
            unit. Their standard deviation makes the last layer learn fastest.
        offset: Where targets lie, their mean for example: a number, or one a unit.

    Raises:
        ValueError: If there is no number to return, or scale and offset are not one or
            `units` finite numbers, the scale above 0.
    """

    measure: ClassVar[str] = "r2"
    directions: ClassVar[Mapping[str, str]] = {
        "loss": "min",
        "mae": "min",
        "rmse": "min",
        "r2": "max",
    }

    units: int = 1
    dropout: float = 0.0
    scale: Numbers = 1.0
    offset: Numbers = 0.0

    def __post_init__(self) -> None:
        if self.units < 1:
            raise ValueError(
                f"A regression returns at least 1 number. Received: units={self.units}. "
                "Count the columns of the targets."
            )
        for name in ("scale", "offset"):
            values = np.asarray(getattr(self, name), np.float64)
            good = values.shape in ((), (self.units,)) and np.isfinite(values).all()
            if not good or (name == "scale" and (values <= 0).any()):
                raise ValueError(
                    "Scale and offset are a finite number or one a unit, the scale above 0. "
                    f"Received: {name}={getattr(self, name)} for units={self.units}. Pass "
                    "the standard deviation and the mean of the training targets."
                )
            # One form of each, so that equal tasks are equal.
            same = values.ndim == 0 or (values == values[0]).all()
            plain = float(values.flat[0]) if same else tuple(values.tolist())
            object.__setattr__(self, name, plain)

    @property
    def objective(self) -> str:
        return "val_loss"

    def head(self, x: Node) -> Node:
        x = blocks.dense(blocks.dropout(_pooled(x), self.dropout), self.units)
        if (self.scale, self.offset) == (1.0, 0.0):
            return x
        return blocks.rescale(x, self.scale, self.offset)

    def compile_arguments(self) -> dict[str, Any]:
        import keras

        arguments = {
            "loss": keras.losses.MeanSquaredError(),
            "metrics": [
                keras.metrics.MeanAbsoluteError(name="mae"),
                keras.metrics.RootMeanSquaredError(name="rmse"),
            ],
        }
        weight = self._weight()
        return arguments if weight == 1 else {**arguments, "loss_weights": weight}

    def scores(self, targets: ArrayLike, outputs: ArrayLike) -> Scores:
        wanted = np.asarray(targets, np.float64).reshape(-1, self.units)
        found = np.asarray(outputs, np.float64).reshape(-1, self.units)
        return {
            "loss": metrics.mse(wanted, found) * self._weight(),
            "mae": metrics.mae(wanted, found),
            "rmse": metrics.rmse(wanted, found),
            "r2": metrics.r2(wanted, found),
        }

    def strata(self, targets: ArrayLike) -> NDArray[np.int64]:
        """Up to ten groups from small to large; of several quantities, by their mean rank."""
        wanted = np.asarray(targets).reshape(-1, self.units)
        ranks = np.argsort(np.argsort(wanted, axis=0, kind="stable"), axis=0, kind="stable")
        return _targets.quantiles(ranks.mean(axis=1))

    def check(self, targets: ArrayLike, input_shape: Any) -> None:
        wanted = np.asarray(targets)
        _targets.check_shape(self, wanted, (self.units,))
        _targets.check_finite(wanted)
        low, high = min(float(wanted.min()), 0.0), max(float(wanted.max()), 0.0)
        deviation = wanted.std(axis=0, dtype=np.float64)
        lost = (deviation > 0) & (deviation < _FEWEST_STEPS * (high - low) / 255)
        if lost.any():
            raise ValueError(
                "Quantities must vary enough beside their size, because an int8 file has one "
                "scale for all answers and zero. Received: targets with a deviation of "
                f"{deviation[lost].min():.3g} where answers go from {low:.3g} to {high:.3g}. "
                "Subtract a number near the mean before the search, or standardise each."
            )

    def _weight(self) -> float:
        return float(1 / np.mean(np.square(self.scale)))


@dataclasses.dataclass(frozen=True)
class NextToken(Task):
    """The next token at each position of a sequence, as language models have it.

    Features must be a sequence `(length, channels)` as long as the input, in which no position
    knows those behind it. The model returns logits `(length, vocabulary)`; the labels are the
    tokens, shifted by one.

    Targets are whole numbers `(n, length)`. The scores are `loss`, `perplexity`, its
    exponential, and `accuracy`, the share of tokens that are the likeliest.

    Args:
        vocabulary: Number of different tokens, at least 2.
        dropout: Rate of dropout before the last layer; more regularises more.

    Raises:
        ValueError: If there are fewer than 2 tokens; by `head`, if features are no such
            sequence.
    """

    dense: ClassVar[bool] = True
    measure: ClassVar[str] = "accuracy"
    directions: ClassVar[Mapping[str, str]] = {
        "loss": "min",
        "perplexity": "min",
        "accuracy": "max",
    }

    vocabulary: int
    dropout: float = 0.1

    def __post_init__(self) -> None:
        if self.vocabulary < 2:
            raise ValueError(
                "A language has at least 2 different tokens. "
                f"Received: vocabulary={self.vocabulary}. Count the tokens."
            )

    @property
    def objective(self) -> str:
        return "val_loss"

    def head(self, x: Node) -> Node:
        if len(x.shape) != 2 or len(x.input_shape) > 2 or x.shape[0] != x.input_shape[0]:
            raise ValueError(
                "The next token is asked for at each position of a sequence. Received: "
                f"features of shape {x.shape}, of an input of shape {x.input_shape}. Use a "
                "space of sequences that keeps their length, such as `Transformer`."
            )
        return blocks.dense(blocks.dropout(x, self.dropout), self.vocabulary)

    def compile_arguments(self) -> dict[str, Any]:
        import keras

        return {
            "loss": keras.losses.SparseCategoricalCrossentropy(from_logits=True),
            "metrics": [keras.metrics.SparseCategoricalAccuracy(name="accuracy")],
        }

    def scores(self, targets: ArrayLike, outputs: ArrayLike) -> Scores:
        logits = np.asarray(outputs)
        nats = metrics.cross_entropy(targets, logits)
        return {
            "loss": nats,
            "perplexity": math.exp(min(nats, 700.0)),
            "accuracy": metrics.accuracy(targets, logits.argmax(axis=-1)),
        }

    def check(self, targets: ArrayLike, input_shape: Any) -> None:
        tokens = np.asarray(targets)
        length = None if isinstance(input_shape, Mapping) else input_shape[0]
        _targets.check_shape(self, tokens, (length,))
        _targets.check_whole(tokens, self.vocabulary, "Tokens")


def check_feature_map(name: str, x: Node) -> None:
    """Refuse features that are not the rows and columns of an image.

    Args:
        name: Name of the task, for the message.
        x: Features.

    Raises:
        ValueError: If they are not `(rows, columns, channels)`, or the input is not.
    """
    if len(x.shape) != 3 or len(x.input_shape) != 3:
        raise ValueError(
            f"{name} needs features in rows and columns. Received: features of shape "
            f"{x.shape}, of an input of shape {x.input_shape}. Use a space of images whose "
            "body does not pool."
        )


def _pooled(x: Node) -> Node:
    """One vector an example."""
    return blocks.global_average_pool(x) if len(x.shape) > 1 else x

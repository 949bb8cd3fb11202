"""A search space: what can be decided, and the network that the decisions stand for."""

from __future__ import annotations

import abc
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import keras
import keras_tuner

from search_spaces import blocks, costs
from search_spaces.decisions import Decisions
from search_spaces.network import Network, Node, freeze, input_node
from search_spaces.realise import realise
from search_spaces.task import ImageClassification, Task

__all__ = ["SearchSpace", "choose", "size"]

Values = Mapping[str, Any]
Block = Callable[[Node], Node]


def choose(
    hp: keras_tuner.HyperParameters, name: str, x: Node, alternatives: Mapping[str, Block]
) -> Node:
    """Pick one of several ways on from `x`, and record the decision.

    Args:
        hp: The hyperparameters being read; `name` becomes a `Choice` of them.
        name: Name of the decision.
        x: Where the alternatives start.
        alternatives: Functions from node to node by name. Decisions made inside one of them
            are conditional on it: they are active only where it is picked.

    Returns:
        What the picked alternative makes of `x`.
    """
    picked = hp.Choice(name, list(alternatives))
    result = x
    for value, block in alternatives.items():
        # The scope is opened for the others too: that is how KerasTuner, and
        # `SearchSpace.hyperparameters`, learn that there is something to explore.
        with hp.conditional_scope(name, [value]):
            if value == picked:
                result = block(x)
    return result


class SearchSpace(keras_tuner.HyperModel, abc.ABC):
    """A family of networks and its decisions, described rather than built.

    A family writes `body`: features from a node, with every decision taken from `hp`. All the
    rest follows from the description. A space is a `keras_tuner.HyperModel`: any KerasTuner
    tuner can search it.

    Args:
        input_shape: Shape of one example without the batch, e.g. `(height, width, channels)`.
        num_classes: Number of classes; short for `task=ImageClassification(num_classes)`.
        task: What the networks are for; give it or `num_classes`.
        rescaling: `(scale, offset)` applied to raw inputs inside the model, as in
            `keras.layers.Rescaling`: numbers, or tuples of one number a channel. `None`
            leaves inputs as they are.

    Raises:
        ValueError: If both or neither of `num_classes` and `task` are given.

    Example:

    ```python
    class Small(SearchSpace):
        def body(self, hp, x):
            for i in range(3):
                x = choose(
                    hp,
                    f"stage{i}/block",
                    x,
                    {
                        "conv3": lambda x: conv(x, 32, kernel=3),
                        "mb6_k5": lambda x: inverted_residual(x, 32, kernel=5, expansion=6),
                        "skip": identity,
                    },
                )
                x = max_pool(x)
            return x


    tuner = keras_tuner.RandomSearch(Small((32, 32, 3), 10), objective="val_accuracy")
    ```
    """

    def __init__(
        self,
        input_shape: Sequence[int],
        num_classes: int | None = None,
        *,
        task: Task | None = None,
        rescaling: tuple[Any, Any] | None = None,
    ) -> None:
        super().__init__()
        if (num_classes is None) == (task is None):
            raise ValueError(
                "A space needs either `num_classes` or `task`. "
                f"Received: num_classes={num_classes}, task={task}. Pass one of them."
            )
        self.input_shape = tuple(int(side) for side in input_shape)
        self.task = task or ImageClassification(int(num_classes or 0))
        self.rescaling = rescaling
        self._latest: tuple[Any, Network] | None = None

    @abc.abstractmethod
    def body(self, hp: keras_tuner.HyperParameters, x: Node) -> Node:
        """Describe the features that the decisions in `hp` make of the inputs `x`."""

    def describe(self, hp: keras_tuner.HyperParameters) -> Network:
        """The network that the decisions in `hp` stand for."""
        x = input_node(self.input_shape)
        if self.rescaling is not None:
            x = blocks.rescale(x, *self.rescaling)
        return freeze(self.task.head(self.body(hp, x)))

    def build(self, hp: keras_tuner.HyperParameters) -> keras.Model:
        """The Keras model of the network, compiled with Adam: KerasTuner's contract."""
        model = realise(self.describe(hp))
        model.compile(optimizer="adam", **self.task.compile_arguments())
        return model

    def network(self, values: Values) -> Network:
        """The network that plain decisions stand for; those left out take their defaults."""
        # Costs and identity of a candidate are asked for one after the other.
        asked = (tuple(sorted(values.items())), self.task, self.rescaling)
        if self._latest is None or self._latest[0] != asked:
            self._latest = asked, self.describe(Decisions(values))
        return self._latest[1]

    def costs(self, values: Values) -> dict[str, float]:
        """What the network of these decisions costs: see `costs.costs`."""
        return costs.costs(self.network(values))

    def identity(self, values: Values) -> str:
        """Equal for decisions that lead to the same network."""
        return self.network(values).digest

    def default(self) -> dict[str, Any]:
        """The decisions that the space's author takes by default, active ones only."""
        reader = Decisions({})
        self.describe(reader)
        return reader.values

    def hyperparameters(self) -> keras_tuner.HyperParameters:
        """Every decision of the space, conditional ones included, at its default."""
        known = keras_tuner.HyperParameters()
        explored: list[Any] = []
        waiting: list[Any] = [[]]
        while waiting:
            scope = waiting.pop(0)
            hp = keras_tuner.HyperParameters()
            hp.values = {condition.name: condition.values[0] for condition in scope}
            self.describe(hp)
            known.merge(hp, overwrite=False)
            explored += [s for s in hp.active_scopes if s not in explored]
            waiting = [s for s in waiting if s not in explored]
            waiting += [s for s in hp.inactive_scopes if s not in explored + waiting]
        return known

    def declare_hyperparameters(self, hp: keras_tuner.HyperParameters) -> None:
        """Register every decision at once: KerasTuner then need not build models for it."""
        hp.merge(self.hyperparameters(), overwrite=False)

    def size(self) -> int:
        """Number of different sets of active decisions.

        Not of different networks: some sets lead to the same one.
        """
        return size(self.hyperparameters())


def size(hyperparameters: keras_tuner.HyperParameters) -> int:
    """Number of different sets of active values of finite `hyperparameters`.

    Independent decisions multiply; below a decision, what its values activate adds up.

    Raises:
        ValueError: If one of them is real-valued without a step.
    """
    below: dict[Any, list[Any]] = {}
    for hp in hyperparameters.space:
        scope = tuple((c.name, tuple(c.values)) for c in hp.conditions)
        below.setdefault(scope, []).append(hp)

    def count(scope: tuple[Any, ...]) -> int:
        return math.prod(settings(scope, hp) for hp in below.get(scope, []))

    def settings(scope: tuple[Any, ...], hp: Any) -> int:
        inner = [s for s in below if s and s[:-1] == scope and s[-1][0] == hp.name]
        return sum(
            math.prod(count(s) for s in inner if value in s[-1][1]) for value in _values(hp)
        )

    return count(())


def _values(hp: Any) -> Sequence[Any]:
    values: Sequence[Any] = getattr(hp, "values", None) or [hp.default]
    if isinstance(hp, keras_tuner.engine.hyperparameters.Float) and hp.step is None:
        raise ValueError(
            f"Only a finite space has a size. Received: the real-valued decision `{hp.name}`. "
            "Give it a `step`."
        )
    return values

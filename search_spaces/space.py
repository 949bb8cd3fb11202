"""A search space: what can be decided, and the network that the decisions stand for."""

from __future__ import annotations

import abc
import copy
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, ClassVar

import keras
import keras_tuner
from keras_tuner.engine import hyperparameters

from edge_devices.spelling import did_you_mean
from search_spaces import blocks, costs
from search_spaces.decisions import Decisions
from search_spaces.network import (
    Network,
    Node,
    freeze,
    input_node,
    input_nodes,
    with_weight_bits,
)
from search_spaces.paths import paths
from search_spaces.realise import realise
from search_spaces.rounding import RoundedWeights
from search_spaces.task import Classification, Task

__all__ = [
    "WEIGHT_BITS",
    "SearchSpace",
    "check_images",
    "check_series",
    "check_weight_bits",
    "choose",
    "size",
]

WEIGHT_BITS = "weight_bits"
"""Name of the decision that `SearchSpace.with_weight_bits` adds."""

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
    if isinstance(hp, Decisions):  # which learns nothing from scopes
        return x if picked is None else alternatives[picked](x)
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
    tuner can search it. One that reads tokens sets `input_dtype` to `"int32"`.

    Args:
        input_shape: Shape of one example without the batch, e.g. `(height, width, channels)`;
            of a space that reads several inputs, such as `Fusion`, a shape for each by name.
        num_classes: Number of classes; short for `task=Classification(num_classes)`.
        task: What the networks are for; give it or `num_classes`.
        rescaling: `(scale, offset)` applied to raw inputs inside the model, as in
            `keras.layers.Rescaling`: numbers, or tuples of one number a channel. `None`
            leaves inputs as they are.

    Raises:
        ValueError: If both or neither of `num_classes` and `task` are given, if the space is
            not for such a task, or if a side of the input is unknown or there is no channel.

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

    layouts: ClassVar[tuple[str, ...]] = ("images", "audio", "series", "table", "tokens")
    """What the axes of inputs may be, the most usual first."""
    tasks: ClassVar[tuple[type[Task], ...]] = (Task,)
    """What the networks can be for."""

    def __init__(
        self,
        input_shape: Sequence[int] | Mapping[str, Sequence[int]],
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
        self.input_shape: tuple[int, ...] = _known(type(self).__name__, input_shape)
        self.task = task or Classification(int(num_classes or 0))
        if not isinstance(self.task, self.tasks):
            raise ValueError(
                f"{type(self).__name__} is for {self.tasks[0].__name__}. Received: "
                f"task={self.task}. Pass such a task, or use another space."
            )
        self.rescaling = rescaling
        self.input_dtype = "float32"
        self._latest: tuple[Any, Network] | None = None
        self._weight_bits: tuple[int, ...] = ()
        self._kept: dict[str, list[Any]] = {}  # of restricted decisions, the values left
        self._names: frozenset[str] | None = None  # of all decisions, once they are needed

    @abc.abstractmethod
    def body(self, hp: keras_tuner.HyperParameters, x: Node) -> Node:
        """Describe the features that the decisions in `hp` make of the inputs `x`.

        Where there are several inputs, `x` is the first and `x.inputs` has all of them.
        """

    def features(self, hp: keras_tuner.HyperParameters, x: Node) -> Node:
        """Describe what the space makes of raw inputs `x`: its body behind the rescaling."""
        if self.rescaling is not None:
            x = blocks.rescale(x, *self.rescaling)
        return self.body(hp, x)

    def describe(self, hp: keras_tuner.HyperParameters) -> Network:
        """The network that the decisions in `hp` stand for."""
        network = freeze(self.task.head(self.features(hp, self._start())))
        if self._weight_bits:
            network = with_weight_bits(
                network, hp.Choice(WEIGHT_BITS, list(self._weight_bits))
            )
        return network

    def _start(self) -> Node:
        shape: Any = self.input_shape
        dtype: Any = self.input_dtype
        if isinstance(shape, Mapping):
            return next(iter(input_nodes(shape, dtype).values()))
        return input_node(shape, dtype)

    def build(self, hp: keras_tuner.HyperParameters) -> keras.Model:
        """The Keras model of the network, compiled with Adam: KerasTuner's contract."""
        # KerasTuner would build once a conditional scope to learn what there is.
        reader = Decisions(hp.values)
        network = self.describe(reader)
        if not reader.values.keys() <= {known.name for known in hp.space}:
            network = self.describe(hp)
        model = realise(network)
        model.compile(optimizer="adam", **self.task.compile_arguments())
        return model

    def fit(
        self,
        hp: keras_tuner.HyperParameters,
        model: keras.Model,
        *args: Any,
        callbacks: Sequence[keras.callbacks.Callback] = (),
        **kwargs: Any,
    ) -> Any:
        """Train a model: KerasTuner's contract. Narrow weights are scored rounded."""
        bits = hp.values.get(WEIGHT_BITS, 8)
        rounding = [] if bits == 8 else [RoundedWeights(bits)]
        return model.fit(*args, callbacks=[*rounding, *callbacks], **kwargs)

    @property
    def mixed(self) -> dict[str, str]:
        """Layers that keep a precision of their own in a file, for `tflite_export.convert`."""
        return {}

    def exported(self, model: keras.Model) -> tuple[keras.Model | None, keras.Model]:
        """What of a model runs before its file, if anything, and what the file is made of."""
        return None, model

    def network(self, values: Values, *, strict: bool = True) -> Network:
        """The network that plain decisions stand for; those left out take their defaults.

        Args:
            values: Decisions by name. Those that are inactive make no difference.
            strict: Whether to refuse names and values that the space does not have. Among the
                values of a KerasTuner trial there may be others, such as a learning rate.

        Raises:
            ValueError: If `strict` and a value is none that its decision offers, or no
                decision has the name.
        """
        # Costs and identity of a candidate are asked for one after the other.
        asked = (tuple(sorted(values.items())), self.task, self.rescaling, strict)
        if self._latest is None or self._latest[0] != asked:
            reader = Decisions(values, strict=strict)
            network = self.describe(reader)
            if reader.unread:
                self._check_names(reader.unread)
            self._latest = asked, network
        return self._latest[1]

    def _check_names(self, names: Iterable[str]) -> None:
        if self._names is None:
            self._names = frozenset(hp.name for hp in self.hyperparameters().space)
        for name in names:
            if name not in self._names:
                raise ValueError(
                    f"{type(self).__name__} has no decision of this name. Received: "
                    f"`{name}`. {did_you_mean(name, self._names)}`hyperparameters()` has all "
                    "of them."
                )

    def costs(self, values: Values) -> dict[str, float]:
        """What the network of these decisions costs: see `network` and `costs.costs`."""
        return costs.costs(self.network(values))

    def identity(self, values: Values, *, strict: bool = True) -> str:
        """Equal for decisions that lead to the same network; arguments as of `network`."""
        return self.network(values, strict=strict).digest

    def paths(self, values: Values) -> frozenset[str]:
        """What inputs go through in the network of these decisions: see `paths.paths`.

        Names that the space does not have are passed over.
        """
        return paths(self.network(values, strict=False))

    def default(self) -> dict[str, Any]:
        """The decisions that the space's author takes by default, active ones only."""
        values: dict[str, Any] = {}
        while True:
            reader = Decisions(values)
            self.describe(reader)
            lost = [n for n, v in reader.values.items() if v not in self._kept.get(n, [v])]
            if not lost:
                return reader.values
            values |= {name: self._kept[name][0] for name in lost}

    def with_weight_bits(self, *bits: int) -> SearchSpace:
        """The space with the width of weights as one more decision, `weight_bits`.

        Weights of 4 bits halve the flash that convolutions and dense layers take, so that
        twice as many fit; depthwise convolutions, which have few, keep 8. Whether they are
        worth it is for the search to find out. The Keras models are the same for all widths:
        it is when a model is scored and exported that its weights are rounded.

        Args:
            *bits: The widths to choose from, of 8 and 4; the first is the default.

        Raises:
            ValueError: If none is given, one twice, or another than 8 and 4.
        """
        check_weight_bits(bits)
        space = copy.copy(self)
        space._weight_bits, space._latest, space._names = bits, None, None
        return space

    def resized(self, share: float) -> SearchSpace:
        """The same networks for images whose sides are a share as long.

        Args:
            share: Above 0 and at most 1; sides are rounded, to at least one pixel.

        Raises:
            ValueError: If the inputs are no images, or weights of the networks depend on the
                size of an image.
        """
        if share == 1:
            return self
        space = copy.copy(self)
        if isinstance(self.input_shape, Mapping) or len(self.input_shape) != 3:
            raise ValueError(
                f"Only images have a resolution. Received: a {type(self).__name__} for inputs "
                f"of shape {self.input_shape}. Train on fewer epochs or examples instead."
            )
        height, width, channels = self.input_shape
        sides = (max(1, round(share * side)) for side in (height, width))
        space.input_shape, space._latest = (*sides, channels), None
        if space.costs({})["params"] != self.costs({})["params"]:
            raise ValueError(
                "The weights of these networks depend on the size of an image. Received: "
                f"{type(self).__name__} at {share:g} of the resolution. Train on fewer epochs "
                "or examples instead."
            )
        return space

    def restricted(self, allows: Callable[[Network], bool]) -> SearchSpace:
        """The space without the values that bring a network in what is not allowed.

        A value of a decision goes if the network in which it alone is not the default is
        refused, while with another value of the same decision it is not. What only several
        decisions together bring about stays.

        Args:
            allows: Whether a network is allowed.

        Returns:
            A copy that declares fewer values, with a default that is allowed; the space itself
            where nothing is refused.

        Raises:
            ValueError: If no default is allowed.
        """
        restricted, every = self, self.hyperparameters().space
        while True:
            kept = dict(self._kept)
            for hp in every:
                values = list(getattr(hp, "values", ()))
                allowed = restricted._allowed(hp, values, allows)
                if 0 < len(allowed) < len(values):
                    kept[hp.name] = allowed
            if kept == restricted._kept:
                break
            # What is left of one decision may clear up what another one is to blame for.
            restricted = copy.copy(self)
            restricted._kept, restricted._latest = kept, None
        if not allows(restricted.network(restricted.default())):
            raise ValueError(
                "The space's default network is not allowed, and no single decision makes it "
                f"so. Received: {type(self).__name__} with the default {self.default()}. Let "
                "the space choose what the device lacks by a decision."
            )
        return restricted

    def _allowed(
        self, hp: Any, values: Sequence[Any], allows: Callable[[Network], bool]
    ) -> list[Any]:
        """Of a decision's values those whose network is allowed, all else being default."""
        scope = {name: left[0] for name, left in self._kept.items()}
        scope |= {condition.name: condition.values[0] for condition in hp.conditions}
        return [value for value in values if allows(self.network({**scope, hp.name: value}))]

    def hyperparameters(self) -> keras_tuner.HyperParameters:
        """Every decision of the space, conditional ones included, at its default.

        Raises:
            ValueError: If two decisions have one name.
        """
        known = keras_tuner.HyperParameters()
        explored: set[Any] = set()
        waiting: dict[Any, Any] = {(): ()}  # scopes by their names and values
        while waiting:
            # Scopes that do not contradict each other are explored together.
            wanted: dict[str, Any] = {}
            for scope in waiting.values():
                values = {condition.name: condition.values[0] for condition in scope}
                if all(wanted.get(name, value) == value for name, value in values.items()):
                    wanted |= values
            hp = keras_tuner.HyperParameters()
            hp.values = wanted
            self.describe(Decisions(hp.values, checked=True))
            self.describe(hp)
            known.merge(hp, overwrite=False)
            explored |= {next(iter(waiting)), *map(_key, hp.active_scopes)}
            found = {**waiting, **{_key(scope): scope for scope in hp.inactive_scopes}}
            waiting = {key: scope for key, scope in found.items() if key not in explored}
        return self._reduced(known) if self._kept else known

    def _reduced(self, known: keras_tuner.HyperParameters) -> keras_tuner.HyperParameters:
        """The same decisions with the values that a restriction leaves."""
        reduced = keras_tuner.HyperParameters()
        for hp in known.space:
            values = self._kept.get(hp.name)
            if values is not None:
                default = hp.default if hp.default in values else values[0]
                if len(values) == 1:
                    hp = hyperparameters.Fixed(hp.name, default, conditions=hp.conditions)
                else:
                    ordered = getattr(hp, "ordered", None)
                    hp = hyperparameters.Choice(
                        hp.name, values, ordered, default, conditions=hp.conditions
                    )
            reduced.merge([hp], overwrite=False)
        return reduced

    def declare_hyperparameters(self, hp: keras_tuner.HyperParameters) -> None:
        """Register every decision at once: KerasTuner then need not build models for it."""
        hp.merge(self.hyperparameters(), overwrite=False)

    def size(self) -> int:
        """Number of different sets of active decisions.

        Not of different networks: some sets lead to the same one.
        """
        return size(self.hyperparameters())


def _key(scope: Sequence[Any]) -> tuple[Any, ...]:
    return tuple((condition.name, tuple(condition.values)) for condition in scope)


def check_images(name: str, input_shape: Sequence[int], smallest: int) -> None:
    """Refuse inputs that are no images, or too small for a space.

    Args:
        name: Name of the space, for the message.
        input_shape: Shape of one example.
        smallest: Pixels that height and width must have at least.

    Raises:
        ValueError: If it is not `(height, width, channels)` of that size.
    """
    _check_known(name, input_shape)
    if len(input_shape) != 3 or min(input_shape[:2]) < smallest:
        raise ValueError(
            f"{name} needs images (height, width, channels) of at least {smallest}x{smallest} "
            f"pixels. Received: input_shape={tuple(input_shape)}. Resize them, or add the "
            "channel axis to grey images."
        )


def check_series(name: str, input_shape: Sequence[int], shortest: int) -> None:
    """Refuse inputs that are no sequences, or too short for a space.

    Args:
        name: Name of the space, for the message.
        input_shape: Shape of one example.
        shortest: Steps that a sequence must have at least.

    Raises:
        ValueError: If it is not `(length, channels)` of that length.
    """
    _check_known(name, input_shape, axes=2)
    if len(input_shape) != 2 or input_shape[0] < shortest:
        raise ValueError(
            f"{name} needs sequences (length, channels) of at least {shortest} steps. "
            f"Received: input_shape={tuple(input_shape)}. Use longer windows, or put the "
            "channels last, one for a single quantity."
        )


def _known(name: str, input_shape: Any) -> Any:
    """A shape as numbers, or shapes by name, once all that can be known is."""
    if isinstance(input_shape, Mapping):
        return {key: _known(name, input_shape[key]) for key in sorted(input_shape)}
    _check_known(name, input_shape)
    return tuple(int(side) for side in input_shape)


def _check_known(name: str, input_shape: Sequence[int | None], axes: int = 3) -> None:
    """Refuse inputs of unknown size, and those of so many axes that have no channel."""
    if None in input_shape:
        raise ValueError(
            f"{name} must know the size of every axis. Received: input_shape="
            f"{tuple(input_shape)}. Bring all inputs to one size, and leave the batch out."
        )
    if len(input_shape) == axes and (input_shape[-1] or 0) < 1:
        raise ValueError(
            f"{name} needs inputs of at least 1 channel. Received: input_shape="
            f"{tuple(input_shape)}. Put the channels last, 1 for grey images."
        )


def check_weight_bits(bits: Sequence[int]) -> None:
    """Refuse widths of weights that there are no kernels for.

    Raises:
        ValueError: If there is none, one twice, or another than 8 and 4.
    """
    if not bits or len(set(bits)) < len(bits) or not set(bits) <= {4, 8}:
        raise ValueError(
            f"Weights have 8 or 4 bits. Received: weight_bits={bits}. Write 8, 4, or (8, 4) "
            "to let the search choose."
        )


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

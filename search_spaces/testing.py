"""What every space must do, as tests to inherit; and random examples for its members.

A test module of a space of ours, or of yours, is a subclass that makes a small one:

```python
class TestMobileNet(search_spaces.testing.SpaceContract):
    smallest = (8, 8, 1)

    def make(self, input_shape=(8, 8, 1)):
        return MobileNet(input_shape, 3)
```

Nothing is trained but in the tests marked `slow`. Needs pytest (`pip install kerasnas[dev]`).
"""

from __future__ import annotations

import inspect
import math
import re
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import keras
import keras_tuner
import numpy as np
import pytest
from numpy.typing import NDArray

from search_spaces import costs, members
from search_spaces.counting import check_stock, count_macs, count_params
from search_spaces.decisions import Decisions
from search_spaces.members import Member
from search_spaces.network import Input, Layer, Network, freeze
from search_spaces.operations import pair
from search_spaces.realise import realise
from search_spaces.space import SearchSpace

__all__ = ["SpaceContract", "random_inputs", "random_targets", "step", "unmoved", "unread"]

Values = dict[str, Any]
Array = NDArray[Any]

_DEVIATIONS = 6  # of an estimate from the truth before it counts as wrong
_ROUNDING = 1e-9
_FEW = 10


# --- random examples ------------------------------------------------------------------------


def random_inputs(network: Network, count: int, rng: np.random.Generator) -> Any:
    """Draw inputs of a network: tokens where it reads tokens, else normal numbers.

    Returns:
        An array; of several inputs a dictionary of arrays by name.
    """
    drawn = {one.name: _drawn(one, network, count, rng) for one in network.inputs}
    return drawn if len(drawn) > 1 else next(iter(drawn.values()))


def _drawn(one: Input, network: Network, count: int, rng: np.random.Generator) -> Array:
    shape = (count, *one.shape)
    if one.dtype == "float32":
        return rng.normal(size=shape).astype(np.float32)
    sizes = [dict(record.settings).get("vocabulary") for record in network.layers]
    return rng.integers(min(filter(None, sizes), default=2), size=shape, dtype=np.int32)


def random_targets(model: keras.Model, count: int, rng: np.random.Generator) -> Array:
    """Draw what the loss of a compiled model compares its answers with.

    Whole numbers for a sparse loss, one-hot rows for a categorical one, for any other numbers
    from 0 to 1 in the shape of the answers.
    """
    *positions, channels = model.output_shape[1:]
    name = type(model.loss).__name__
    if name.startswith("Sparse"):
        return rng.integers(channels, size=(count, *positions))
    if name.startswith("Categorical"):
        return np.eye(channels)[rng.integers(channels, size=(count, *positions))]
    return rng.uniform(size=(count, *positions, channels))


def step(model: keras.Model, network: Network, seed: int = 0, batch: int = 8) -> None:
    """Train a compiled model for one step on a random batch.

    Compile it to run eagerly: tracing a deep network takes much longer than one step of it.
    """
    rng = np.random.default_rng(seed)
    x, y = random_inputs(network, batch, rng), random_targets(model, batch, rng)
    model.fit(x, y, batch_size=batch, epochs=1, verbose=0)


def unmoved(model: keras.Model, network: Network, seed: int = 0, batch: int = 8) -> list[str]:
    """The trainable weights of a compiled model that a random batch does not move.

    Returns:
        Paths of the weights whose gradient is missing or zero throughout.

    Raises:
        ArithmeticError: If a gradient is not finite.
    """
    import tensorflow as tf

    rng = np.random.default_rng(seed)
    x, y = random_inputs(network, batch, rng), random_targets(model, batch, rng)
    with tf.GradientTape() as tape:
        loss = model.compute_loss(x, y, model(x, training=True))
    weights = model.trainable_variables
    gradients = [
        None if one is None else np.asarray(tf.convert_to_tensor(one))
        for one in tape.gradient(loss, [weight.value for weight in weights])
    ]
    for weight, gradient in zip(weights, gradients, strict=True):
        if gradient is not None and not np.isfinite(gradient).all():
            raise ArithmeticError(f"The gradient of {weight.path} is not finite.")
    return [
        weight.path
        for weight, gradient in zip(weights, gradients, strict=True)
        if gradient is None or not gradient.any()
    ]


def unread(network: Network) -> list[Layer]:
    """The convolutions of a network with kernels that reach into padding only somewhere.

    A weight of a kernel is read if at one place at least it meets a pixel, and not one of the
    zeros that the layer, or a `pad` before it, puts around the image. The others train
    nothing. It is arithmetic on the description.
    """
    return [
        record
        for record in network.layers
        if record.op in ("conv", "depthwise")
        and not all(_all_read(network, record, axis) for axis in (0, 1))
    ]


def _all_read(network: Network, record: Layer, axis: int) -> bool:
    """Whether each row (axis 0) or column (1) of a kernel meets a pixel somewhere."""
    settings = dict(record.settings)
    kernel, stride, gap = (
        pair(settings.get(name, 1))[axis] for name in ("kernel", "stride", "dilation")
    )
    source = network.layers[record.inputs[0]]
    length, before = source.shape[axis], 0
    if settings.get("padding") != "valid":
        missing = (record.shape[axis] - 1) * stride + (kernel - 1) * gap + 1 - length
        before = max(missing, 0) // 2
    if source.op == "pad":
        before += dict(source.settings)["padding"][axis][0]
        length = network.layers[source.inputs[0]].shape[axis]
    starts = np.arange(record.shape[axis]) * stride - before
    read = starts[:, None] + np.arange(kernel) * gap
    return bool(((read >= 0) & (read < length)).any(axis=0).all())


# --- the contract ---------------------------------------------------------------------------
_MORE = [
    pytest.param(which, marks=pytest.mark.slow)
    for which in ("random", "first values", "last values")
]


class SpaceContract:
    """What all spaces promise. A subclass says how to make one.

    Attributes:
        smallest: The smallest input that the space takes, without the batch; `None` where it
            takes any.
        described: How many random members are described.
        realised: How many random members are realised, besides the default and the two of
            first and of last values; the slow tests train as many.
        enumerable: The largest size at which all members are gone through; of larger spaces
            the size is estimated by random draws.
        milliseconds: How long describing a member may take at most.
        dead_branches: Whether a member may describe layers that its output does not need.
        idle_weights: Whether a member may have weights that training does not move.
        padding_only: Whether kernels may have weights that never meet more than padding.
        same_costs: The costs that equal networks have in common. The order in which layers
            are described can change the last two.
        told: Decisions whose values the docstring's table tells in words, as it has the names.
        elsewhere: Decisions of the table that the space of `make` does not have.
    """

    smallest: tuple[int, ...] | None = None
    described: int = 30
    realised: int = 2
    enumerable: int = 2000
    milliseconds: float = 5.0
    dead_branches: bool = False
    idle_weights: bool = False
    padding_only: bool = False
    same_costs: Sequence[str] = ("params", "macs", "flash", "ram")
    told: Sequence[str] = ()
    elsewhere: Sequence[str] = ()

    def make(self, input_shape: Any = None) -> SearchSpace:
        """Return a small space: of `input_shape` if given, and it must have a default."""
        raise NotImplementedError("Override `make`: see `search_spaces.testing`.")

    # --- decisions ---

    def test_it_is_described_alike_however_decisions_are_read(self) -> None:
        made = self.make()
        known = made.hyperparameters()
        for values, network, _ in self._some(made):
            hp = keras_tuner.HyperParameters()
            hp.values = dict(values)
            assert made.describe(hp) == network, values
            assert made.describe(Decisions(values)) == network, values
            assert _active(hp) == values
            hp = keras_tuner.HyperParameters()
            hp.merge(known)
            hp.values |= values
            assert made.describe(hp) == network, values

    def test_every_decision_is_known_with_its_values_before_a_search(self) -> None:
        made = self.make()
        known = made.hyperparameters()
        offered: dict[str, list[Any]] = {}

        def pick(name: str, values: Sequence[Any]) -> Any:
            offered.setdefault(name, []).append(list(values))
            return values[int(rng.integers(len(values)))]

        rng = np.random.default_rng(1)
        for _ in range(self.described):
            members.member(made, pick)
        for name, lists in offered.items():
            listed = [list(hp.values) for hp in known.space if hp.name == name]
            for values in lists:
                assert set(values) in map(set, listed), name

    def test_a_name_stands_for_one_decision(self) -> None:
        made = self.make()
        for values, _, _ in self._some(made):
            made.describe(Decisions(values, checked=True))

    def test_size_counts_every_set_of_active_decisions(self) -> None:
        made = self.make()
        size = made.size()
        if size <= self.enumerable:
            found = [tuple(member.values.items()) for member in members.walk(made)]
            assert len(found) == len(set(found)) == size
            return
        # The product of the numbers of values along a random path is, on average, the number
        # of paths (Knuth, "Estimating the efficiency of backtrack programs", 1975).
        ratios = [
            math.prod(one.counts) / size for one in members.draws(made, 20 * self.described)
        ]
        error = float(np.std(ratios)) / math.sqrt(len(ratios))
        assert abs(np.mean(ratios) - 1) <= _DEVIATIONS * error + _ROUNDING, (size, ratios)

    def test_the_docstring_lists_every_decision_and_its_values(self) -> None:
        made = self.make()
        rows = dict(_table(inspect.getdoc(type(made)) or ""))
        decided: dict[str, set[str]] = {row: set() for row in rows}
        for hp in made.hyperparameters().space:
            found = [row for row in rows if _pattern(row).fullmatch(hp.name)]
            assert found, f"The docstring's table has no row for `{hp.name}`."
            decided[found[0]] |= {str(value) for value in hp.values}
        for row, values in decided.items():
            if row in self.elsewhere:
                continue
            assert values, f"The space does not have the decision `{row}` of its docstring."
            if row not in self.told:
                assert values == rows[row], row

    # --- networks ---

    def test_describing_is_quick(self) -> None:
        made = self.make()
        for values, _, _ in self._some(made, 5):
            seconds = []
            for _ in range(5):  # others may use the machine meanwhile
                started = time.perf_counter()
                made.describe(Decisions(values))
                seconds.append(time.perf_counter() - started)
            assert 1000 * min(seconds) <= self.milliseconds, values

    def test_every_layer_leads_to_the_output(self, monkeypatch: pytest.MonkeyPatch) -> None:
        if self.dead_branches:
            pytest.skip("this space describes dead branches on purpose")
        outputs: list[Any] = []

        def recording(output: Any) -> Network:
            outputs.append(output)
            return freeze(output)

        monkeypatch.setattr("search_spaces.space.freeze", recording)
        for values, _, _ in self._some(self.make()):
            layers = outputs[-1]._layers
            needed = {*range(len(outputs[-1].inputs)), outputs[-1].index}
            for index in range(len(layers) - 1, -1, -1):
                if index in needed:
                    needed.update(layers[index].inputs)
            dead = [layers[index].op for index in range(len(layers)) if index not in needed]
            assert not dead, (dead, values)

    def test_every_weight_of_a_kernel_meets_the_image(self) -> None:
        if self.padding_only:
            pytest.skip("this space has kernels that reach into padding only on purpose")
        for shape in {None, self.smallest}:
            made = self.make() if shape is None else self.make(shape)
            for values, network, _ in self._some(made, 2 * self.described):
                assert not unread(network), (unread(network), network.inputs, values)

    def test_every_member_has_costs(self) -> None:
        made = self.make()
        for values, network, _ in self._some(made):
            found = made.costs(values)
            assert found == costs.costs(network), values
            assert all(0 < cost < math.inf for cost in found.values()), (values, found)

    def test_inactive_decisions_make_no_difference(self) -> None:
        made, rng = self.make(), np.random.default_rng(2)
        known = made.hyperparameters().space
        for values, network, _ in self._some(made, 10):
            others = {hp.name: _any(hp, rng) for hp in known}
            assert made.identity({**others, **values}) == network.digest, values

    def test_every_decision_makes_a_difference(self) -> None:
        made = self.make()
        without: dict[str, int] = {}  # and how often nothing came of another value
        with_one: set[str] = set()
        for values, network, _ in self._some(made, 2 * self.described):
            for name in values.keys() - with_one:
                others = members.neighbours(made, values, name)
                if any(other.network.digest != network.digest for other in others):
                    with_one.add(name)
                else:
                    without[name] = without.get(name, 0) + 1
        idle = {name: count for name, count in without.items() if name not in with_one}
        # In a few members any decision may be idle.
        assert max(idle.values(), default=0) < _FEW, idle

    @pytest.mark.slow
    def test_equal_networks_have_equal_costs(self) -> None:
        seen: dict[str, tuple[Values, dict[str, float]]] = {}
        for values, network, _ in self._around(self.make()):
            found = {
                name: cost
                for name, cost in costs.costs(network).items()
                if name in self.same_costs
            }
            first, expected = seen.setdefault(network.digest, (values, found))
            assert found == expected, (first, values)

    # --- Keras models ---

    @pytest.mark.parametrize("which", ["default", *_MORE])
    def test_the_realised_model_is_what_was_described(self, which: str) -> None:
        made = self.make()
        for values, network, _ in self._chosen(made, which):
            model = realise(network)
            check_stock(model)
            assert count_params(model) == costs.params(network), values
            assert count_macs(model) == costs.macs(network), values
            read = {tensor.name: tuple(tensor.shape[1:]) for tensor in model.inputs}
            assert read == {one.name: one.shape for one in network.inputs}, values
            x = random_inputs(network, 2, np.random.default_rng(0))
            answers = np.asarray(model(x))
            assert answers.shape == (2, *network.output_shape), values
            assert np.isfinite(answers).all(), values
            keras.backend.clear_session()

    @pytest.mark.slow
    def test_any_tuner_of_keras_tuner_can_search_it(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        made = self.make()
        with monkeypatch.context() as patched:
            build = Mock()
            patched.setattr("search_spaces.space.realise", build)
            tuner = keras_tuner.RandomSearch(made, "loss", directory=str(tmp_path))
        # To learn conditions a tuner would build a model for each.
        assert build.call_count == 1
        tuner.oracle.verbose = 0
        names = {hp.name for hp in made.hyperparameters().space}
        assert {hp.name for hp in tuner.oracle.get_space().space} == names
        hp = tuner.oracle.create_trial("tuner0").hyperparameters
        model = made.build(hp)
        network = made.network(_active(hp))
        assert count_params(model) == costs.params(network), hp.values
        assert model.loss is not None
        keras.backend.clear_session()

    @pytest.mark.slow
    def test_one_step_of_training_leaves_numbers(self) -> None:
        made = self.make()
        for values, network, _ in self._trained(made):
            model = realise(network, seed=0)
            loss = made.task.compile_arguments()
            model.compile(optimizer="adam", run_eagerly=True, **loss)
            step(model, network)
            for weight in model.weights:
                assert np.isfinite(np.asarray(weight)).all(), (weight.path, values)
            x = random_inputs(network, 4, np.random.default_rng(1))
            assert np.isfinite(np.asarray(model(x))).all(), values
            keras.backend.clear_session()

    @pytest.mark.slow
    def test_training_moves_every_weight(self) -> None:
        if self.idle_weights:
            pytest.skip("this space has weights without use on purpose")
        made = self.make()
        for values, network, _ in self._trained(made):
            still: set[str] = set()
            for seed in range(3):  # units can be dead by chance, for one start
                model = realise(network, seed=seed)
                model.compile(**made.task.compile_arguments())
                idle = set(unmoved(model, network, seed))
                still = still & idle if seed else idle
                keras.backend.clear_session()
                if not still:
                    break
            assert not still, (sorted(still), values)

    # --- inputs ---

    def test_the_smallest_input_is_taken(self) -> None:
        if self.smallest is None:
            pytest.skip("this space takes inputs of any size")
        made = self.make(self.smallest)
        for values, network, _ in self._some(made, 10):
            assert min(map(min, (record.shape for record in network.layers))) > 0, values
        realise(made.network({}))
        keras.backend.clear_session()

    def test_a_smaller_input_is_refused_by_the_size_it_must_have(self) -> None:
        if self.smallest is None:
            pytest.skip("this space takes inputs of any size")
        sides = self.smallest[: max(1, len(self.smallest) - 1)]
        for axis, side in enumerate(sides):
            smaller = (*self.smallest[:axis], side - 1, *self.smallest[axis + 1 :])
            with pytest.raises(ValueError, match="Received: ") as refused:
                self.make(smaller)
            said = str(refused.value)
            assert "x".join(map(str, sides)) in said.replace(" ", ""), said
            assert "\n" not in said

    # --- which members ---

    def _some(self, made: SearchSpace, count: int | None = None) -> Iterator[Member]:
        return members.draws(made, self.described if count is None else count)

    def _chosen(self, made: SearchSpace, which: str) -> Iterator[Member]:
        if which == "random":
            yield from self._some(made, self.realised)
        elif which == "default":
            values = made.default()
            yield Member(values, made.network(values), ())
        else:
            place = 0 if which == "first values" else -1
            yield members.member(made, lambda name, values: values[place])

    def _trained(self, made: SearchSpace) -> Iterator[Member]:
        yield from self._chosen(made, "default")
        yield from self._chosen(made, "random")

    def _around(self, made: SearchSpace) -> Iterator[Member]:
        if made.size() <= self.enumerable:
            yield from members.walk(made)
            return
        for one in self._some(made, 5):
            yield one
            yield from members.neighbours(made, one.values)


def _active(hp: keras_tuner.HyperParameters) -> Values:
    return {one.name: hp.values[one.name] for one in hp.space if hp.is_active(one)}


def _any(hp: Any, rng: np.random.Generator) -> Any:
    values = list(hp.values)
    return values[int(rng.integers(len(values)))]


def _table(docstring: str) -> Iterator[tuple[str, set[str]]]:
    """The decisions of a docstring's table and the values listed for each.

    The first cell of a row names decisions, in backticks; the second lists values, of which
    `...` may stand for whole numbers. What is in parentheses is for readers. A row with an
    empty first cell goes on with the values of the one before.
    """
    names: list[str] = []
    listed: list[str] = []
    for line in [*docstring.splitlines(), ""]:
        cells = [cell.strip() for cell in line.split("|")[1:-1]]
        found = re.findall(r"`([^`]+)`", cells[0]) if cells else []
        if len(cells) > 1 and not cells[0] and names:
            listed.append(cells[1])
            continue
        for name in names:
            yield name, _listed(", ".join(listed))
        names, listed = found, cells[1:2]


def _listed(text: str) -> set[str]:
    text = re.sub(r"\([^)]*\)", "", text).replace("`", "")
    values = [value.strip() for value in text.split(",") if value.strip()]
    for place, value in enumerate(values):
        if value == "...":
            one, two, last = (int(values[place + shift]) for shift in (-2, -1, 1))
            values[place : place + 1] = map(str, range(two, last, two - one))
    return set(values)


def _pattern(row: str) -> re.Pattern[str]:
    """The names that a row stands for: `{i}` is any number or word."""
    parts = re.split(r"\{[^}]*\}", row)
    return re.compile(r"[^/]+?".join(map(re.escape, parts)))

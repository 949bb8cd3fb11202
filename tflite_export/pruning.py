"""Taking channels out of a trained network, which makes it smaller and faster in fact."""

from __future__ import annotations

import dataclasses
import difflib
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import keras
import numpy as np
from keras import layers
from numpy.typing import NDArray

from tflite_export.layer_graph import LayerGraph, Step, read_layers
from tflite_export.retraining import check_compiled, retrain

__all__ = ["CRITERIA", "prune", "without_channels"]

Array = NDArray[Any]

_LEAST_KEPT = 0.125

_CHANNELWISE = (
    layers.Activation,
    layers.AveragePooling2D,
    layers.BatchNormalization,
    layers.Cropping2D,
    layers.DepthwiseConv2D,
    layers.Dropout,
    layers.GaussianDropout,
    layers.GaussianNoise,
    layers.GlobalAveragePooling2D,
    layers.GlobalMaxPooling2D,
    layers.LeakyReLU,
    layers.MaxPooling2D,
    layers.ReLU,
    layers.SpatialDropout2D,
    layers.UpSampling2D,
    layers.ZeroPadding2D,
)
_PAIRING = (
    layers.Add,
    layers.Average,
    layers.Maximum,
    layers.Minimum,
    layers.Multiply,
    layers.Subtract,
)
_PRODUCING = (layers.Conv2D, layers.Dense)
_MIXING = ("softmax", "log_softmax", "glu", "sparsemax")


def prune(
    model: keras.Model,
    target: float | Mapping[str, float],
    train_data: Any,
    *,
    criterion: str = "l1",
    divisor: int = 4,
    epochs: int = 10,
    learning_rate: float = 4e-3,
    batch_size: int = 64,
    validation_data: Any = None,
    seed: int | None = 0,
    callbacks: Sequence[keras.callbacks.Callback] = (),
    verbose: int = 0,
) -> keras.Model:
    """Remove the least important channels of a trained model and train what is left on.

    Channels that must go together do: those of tensors that are added or multiplied, through
    depthwise convolutions, normalisation and pooling, into the layers that read them. Each
    group's channels are ranked relative to the group's mean; the least of all groups go
    first. Input, output and whatever is not understood keep their channels.

    Args:
        model: A trained, compiled functional or sequential model of stock layers, channels
            last. It is not changed.
        target: Share of the removable channels to remove, 0 to 1; or upper bounds such as
            `{"macs": 500_000, "params": 20_000}`, as few channels as they need.
        train_data: As in `fine_tune`.
        criterion: What makes a channel important: `"l1"`, the sum of the absolute weights
            that make it, or `"batch_norm"`, the absolute scale of its normalisation (of its
            weights where there is none).
        divisor: The number of channels a group keeps is rounded to a multiple of it, at
            least one, as far as it had that many; kernels on devices want 4 or 8. A group
            keeps about an eighth at least.
        epochs: Passes over the data afterwards; 0 only removes.
        learning_rate: Of Adam in the first epoch; it falls to zero along a cosine.
        batch_size: Examples a step, of data that comes without batches.
        validation_data: As `train_data`; judged on after each epoch.
        seed: Seeds the order of the examples. `None` draws fresh entropy.
        callbacks: Passed on to `fit`.
        verbose: Passed on to `fit`.

    Returns:
        A smaller functional model of the same layers, compiled with the loss and metrics of
        the model.

    Raises:
        ValueError: If the model is not compiled or not functional, an argument is out of its
            range, or the bounds cannot be met; the smallest that can is named.
        TypeError: If `model` is not a Keras model, or the data of no known form.

    Example:

    ```python
    smaller = tflite_export.prune(model, {"macs": 1_000_000}, train_ds, epochs=20)
    ```

    References:
        Li et al., "Pruning Filters for Efficient ConvNets", ICLR 2017,
        https://arxiv.org/abs/1608.08710 (`"l1"`).
        Liu et al., "Learning Efficient Convolutional Networks through Network Slimming",
        ICCV 2017, https://arxiv.org/abs/1708.06519 (`"batch_norm"`). Unlike theirs, the
        training before had no penalty on the scales. Liu et al., "Rethinking the Value of
        Network Pruning", ICLR 2019, https://arxiv.org/abs/1810.05270, found networks of the
        pruned shape to do as well when trained afresh: compare before you rely on it.
    """
    check_compiled(model)
    _check(target, criterion, divisor, epochs)
    graph = read_layers(model)
    groups = _Groups(graph)
    kept = _choose(graph, groups, target, CRITERIA[criterion], divisor)
    smaller = _reduced(graph, groups, kept).build()
    retrain(
        smaller,
        model,
        train_data,
        epochs=epochs,
        learning_rate=learning_rate,
        batch_size=batch_size,
        validation_data=validation_data,
        seed=seed,
        callbacks=callbacks,
        verbose=verbose,
    )
    return smaller


def without_channels(model: keras.Model, removed: Mapping[str, Sequence[int]]) -> keras.Model:
    """The model without some channels of some layers, and of all that goes with these.

    Args:
        model: As in `prune`; it need not be compiled.
        removed: Names of layers whose output channels are removed, and which.

    Returns:
        A smaller functional model, uncompiled. Where the removed channels were always zero,
        its outputs are the same.

    Raises:
        ValueError: If there is no such layer or channel, or it cannot be removed.
        TypeError: If `model` is not a Keras model.
    """
    graph = read_layers(model)
    groups = _Groups(graph)
    names = {step.name: step for step in graph}
    gone: dict[int, set[int]] = {}
    for name, channels in removed.items():
        group = groups.of(names[name]) if name in names else None
        if group is None or group not in groups.removable:
            raise ValueError(
                "Channels can be removed from layers whose readers are all understood, and "
                f"not from the output. Received: {name!r}. Layers with removable channels: "
                f"{', '.join(s.name for s in graph if groups.of(s) in groups.removable)}."
            )
        size = groups.size(group)
        outside = [channel for channel in channels if not 0 <= channel < size]
        if outside or len({*gone.get(group, ()), *channels}) >= size:
            raise ValueError(
                f"Channels must be some, not all, of 0 to {size - 1}. Received: {name!r} "
                f"without {list(channels)}. Leave at least one."
            )
        gone.setdefault(group, set()).update(channels)
    kept = {
        group: np.array([i for i in range(groups.size(group)) if i not in channels])
        for group, channels in gone.items()
    }
    return _reduced(graph, groups, kept).build()


class _Groups:
    """Which channels of a model go together: groups of tensors with the same channels.

    Args:
        graph: The model's layers.

    Attributes:
        removable: Groups that may lose channels.
    """

    def __init__(self, graph: LayerGraph) -> None:
        self._graph = graph
        self._parent: list[int] = []
        self._sizes: list[int] = []
        self._group: dict[int, int] = {}
        fixed: list[Step] = [graph.output]
        for step in graph:
            source = step.inputs[0] if step.inputs else None
            if source is not None and self._passes(step, source):
                self._group[id(step)] = self._group[id(source)]
            elif step.is_a(*_PAIRING) and self._alike(step):
                wide = [read for read in step.inputs if read.shape[-1] == step.shape[-1]]
                for read in wide[1:]:
                    self._join(self._group[id(wide[0])], self._group[id(read)])
                self._group[id(step)] = self._group[id(wide[0])]
            else:
                self._group[id(step)] = self._new(step)
                if not _produces(step):
                    fixed += [step, *step.inputs]
        kept = {self.of(step) for step in fixed}
        produced = {self.of(step) for step in graph if _produces(step)}
        self.removable = sorted(produced - kept)

    def of(self, step: Step) -> int:
        """The group of a step's output."""
        return self._root(self._group[id(step)])

    def size(self, group: int) -> int:
        """Number of channels."""
        return self._sizes[group]

    def members(self, group: int) -> list[Step]:
        """The steps whose output is of a group."""
        return [step for step in self._graph if self.of(step) == group]

    def positions(self, step: Step, kept: Mapping[int, Array]) -> Array:
        """Which positions along a step's last axis are kept.

        Flattened images have a group's channels many times, once a pixel.
        """
        group = self.of(step)
        size, length = self._sizes[group], step.shape[-1]
        channels = kept.get(group, np.arange(size))
        copies = np.arange(length // size)
        return (copies[:, None] * size + channels).ravel()

    def _passes(self, step: Step, source: Step) -> bool:
        """Whether a step keeps the channels of its input."""
        if step.is_a(layers.Flatten):
            return True
        if step.is_a(layers.Reshape):
            return step.shape[-1] == source.shape[-1]
        if step.is_a(layers.BatchNormalization):
            return step.config["axis"] in (-1, len(step.shape))
        if step.is_a(layers.DepthwiseConv2D):
            return bool(step.config["depth_multiplier"] == 1)
        if step.is_a(layers.Rescaling):
            return np.ndim(step.config["scale"]) == np.ndim(step.config["offset"]) == 0
        return step.is_a(*_CHANNELWISE) and _activation(step) not in _MIXING

    def _alike(self, step: Step) -> bool:
        """Whether the inputs have the channels of the output, or one that is broadcast."""
        wide = [read for read in step.inputs if read.shape[-1] == step.shape[-1]]
        sizes = {self._sizes[self.of(read)] for read in wide}
        return len(sizes) == 1 and all(
            read in wide or read.shape[-1] == 1 for read in step.inputs
        )

    def _new(self, step: Step) -> int:
        self._parent.append(len(self._parent))
        self._sizes.append(step.shape[-1])
        return len(self._parent) - 1

    def _root(self, group: int) -> int:
        while self._parent[group] != group:
            group = self._parent[group]
        return group

    def _join(self, a: int, b: int) -> None:
        self._parent[self._root(b)] = self._root(a)


def _produces(step: Step) -> bool:
    """Whether a layer makes channels of its own, each of all it reads."""
    return (
        step.is_a(*_PRODUCING)
        and step.config.get("groups", 1) == 1
        and _activation(step) not in _MIXING
    )


def _activation(step: Step) -> str | None:
    activation = step.config.get("activation")
    return activation if isinstance(activation, str) else None


def _summed(values: list[Array]) -> Array:
    """The sum of vectors, each relative to its mean."""
    total: Array = np.sum([each / max(each.mean(), 1e-12) for each in values], axis=0)
    return total


def _by_weights(groups: _Groups, group: int) -> Array:
    """Importance by the sum of the absolute weights that make a channel, a mean of 1."""
    made = [step.weights[0] for step in groups.members(group) if _produces(step)]
    sums = [np.abs(kernel).reshape(-1, kernel.shape[-1]).sum(axis=0) for kernel in made]
    return _summed(sums)


def _by_norm(groups: _Groups, group: int) -> Array:
    """Importance by the absolute scales of a channel's normalisations, a mean of 1."""
    scales = [
        np.abs(step.weights[0])
        for step in groups.members(group)
        if step.is_a(layers.BatchNormalization)
        and step.config["scale"]
        and step.shape[-1] == groups.size(group)
    ]
    if not scales:
        return _by_weights(groups, group)
    return _summed(scales)


Criterion = Callable[[_Groups, int], Array]

CRITERIA: dict[str, Criterion] = {"l1": _by_weights, "batch_norm": _by_norm}
"""What makes a channel important, by name."""


def _choose(
    graph: LayerGraph,
    groups: _Groups,
    target: float | Mapping[str, float],
    criterion: Criterion,
    divisor: int,
) -> dict[int, Array]:
    """The channels each group keeps."""
    importance = {}
    for group in groups.removable:
        values = criterion(groups, group)
        importance[group] = values / max(values.mean(), 1e-12)
    ranked = np.sort(np.concatenate([*importance.values(), np.zeros(0)]))

    def keep(count: int) -> dict[int, Array]:
        """Without the `count` least important channels, but for what groups must keep."""
        threshold = ranked[count] if count < len(ranked) else np.inf
        kept = {}
        for group, values in importance.items():
            wanted = max((values >= threshold).sum(), _LEAST_KEPT * len(values), 1)
            multiple = max(1, math.floor(wanted / divisor + 0.5)) * divisor
            number = min(len(values), multiple)
            kept[group] = np.sort(np.argsort(-values, kind="stable")[:number])
        return kept

    if not isinstance(target, Mapping):
        return keep(round(target * len(ranked)))

    def meets(count: int) -> bool:
        smaller = _reduced(graph, groups, keep(count))
        return all(getattr(smaller, name) <= bound for name, bound in target.items())

    if not meets(len(ranked)):
        smallest = _reduced(graph, groups, keep(len(ranked)))
        raise ValueError(
            "The bounds cannot be met by removing channels. Received: "
            f"target={dict(target)}; the smallest model has "
            + " and ".join(f"{getattr(smallest, name):,} {name}" for name in target)
            + ". Allow more, or search for another architecture."
        )
    low, high = -1, len(ranked)  # does not meet them, meets them
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if meets(middle) else (middle, high)
    return keep(high)


def _reduced(graph: LayerGraph, groups: _Groups, kept: Mapping[int, Array]) -> LayerGraph:
    """The same layers with fewer channels."""
    made: dict[int, Step] = {}
    for step in graph:
        here = groups.positions(step, kept)
        read = groups.positions(step.inputs[0], kept) if step.inputs else here
        config, weights = dict(step.config), list(step.weights)
        if step.is_a(layers.Dense):
            config["units"] = len(here)
            weights[0] = weights[0][read][:, here]
            weights[1:] = [bias[here] for bias in weights[1:]]
        elif step.is_a(layers.DepthwiseConv2D):
            if len(here) < step.shape[-1]:
                weights[0] = weights[0][:, :, here]
                weights[1:] = [bias[here] for bias in weights[1:]]
        elif step.is_a(layers.Conv2D) and _produces(step):
            config["filters"] = len(here)
            weights[0] = weights[0][:, :, read][..., here]
            weights[1:] = [bias[here] for bias in weights[1:]]
        elif step.is_a(layers.BatchNormalization) and len(here) < step.shape[-1]:
            weights = [weight[here] for weight in weights]
        elif step.is_a(layers.Reshape):
            config["target_shape"] = (*step.shape[:-1], len(here))
        inputs = [made[id(source)] for source in step.inputs]
        shape = (*step.shape[:-1], len(here))
        made[id(step)] = dataclasses.replace(
            step, config=config, weights=weights, inputs=inputs, shape=shape
        )
    return LayerGraph(list(made.values()), made[id(graph.output)], graph.name)


def _check(
    target: float | Mapping[str, float], criterion: str, divisor: int, epochs: int
) -> None:
    if isinstance(target, Mapping):
        unknown = set(target) - {"macs", "params"}
        if unknown or not target:
            raise ValueError(
                'target bounds "macs", "params" or both. Received: '
                f"target={dict(target)}. Other costs follow from these."
            )
    elif isinstance(target, bool) or not 0 <= target < 1:
        raise ValueError(
            "target must be a share of channels from 0 to less than 1, or bounds such as "
            f'{{"macs": 1_000_000}}. Received: target={target!r}.'
        )
    if criterion not in CRITERIA:
        near = difflib.get_close_matches(str(criterion), CRITERIA, n=1, cutoff=0.0)
        raise ValueError(
            f"criterion must be one of {', '.join(map(repr, CRITERIA))}. "
            f"Received: criterion={criterion!r}. Did you mean {near[0]!r}?"
        )
    if divisor < 1 or epochs < 0:
        raise ValueError(
            "divisor must be at least 1, and epochs not negative. "
            f"Received: divisor={divisor}, epochs={epochs}."
        )

"""A Keras model as a list of layers that can be rewritten and built again."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import keras
from numpy.typing import NDArray

from tflite_export.precision import in_float32

__all__ = ["LayerGraph", "Step", "read_layers"]

Array = NDArray[Any]


@dataclasses.dataclass(eq=False)
class Step:
    """A layer as a model calls it: what it is, what it reads, and its weights.

    Attributes:
        kind: Its class.
        config: What `kind.from_config` takes.
        weights: Its weights, in the order of `Layer.get_weights`.
        inputs: The steps it reads, in order.
        shape: Its output shape without the batch.
    """

    kind: type[keras.layers.Layer]
    config: dict[str, Any]
    weights: list[Array]
    inputs: list[Step]
    shape: tuple[int, ...]

    @property
    def name(self) -> str:
        """The layer's name."""
        return str(self.config["name"])

    def is_a(self, *kinds: type) -> bool:
        """Whether the layer is of one of these classes."""
        return issubclass(self.kind, kinds)

    def __str__(self) -> str:
        return f"{self.kind.__name__} {self.name!r}"


class LayerGraph:
    """The layers of a model with one input and one output, in an order of computation.

    Rewrites change the steps in place; the model the graph was read from is not changed.

    Args:
        steps: The layers, each after those it reads; the first is the input.
        output: The step whose output is the model's.
        name: The model's name.
    """

    def __init__(self, steps: list[Step], output: Step, name: str) -> None:
        self.steps = steps
        self.output = output
        self.name = name

    def __iter__(self) -> Iterator[Step]:
        return iter(list(self.steps))

    def readers(self, step: Step) -> list[Step]:
        """The steps that read a step's output, twice if they read it twice."""
        return [other for other in self.steps for read in other.inputs if read is step]

    def only_reader(self, step: Step) -> Step | None:
        """The one step that reads a step's output; `None` if others, or the caller, do too."""
        readers = self.readers(step)
        return readers[0] if len(readers) == 1 and step is not self.output else None

    def remove(self, step: Step) -> None:
        """Take out a step of one input: what read it reads its input instead."""
        (source,) = step.inputs
        self.redirect(step, source)
        self.steps.remove(step)

    def redirect(self, old: Step, new: Step) -> None:
        """Let everything that reads `old` read `new`, but for `new` itself."""
        for other in self.steps:
            if other is not new:
                other.inputs = [new if read is old else read for read in other.inputs]
        if self.output is old:
            self.output = new

    def insert_after(self, step: Step, kind: type[keras.layers.Layer], **config: Any) -> Step:
        """Put a layer without weights that keeps shapes behind a step, for all its readers."""
        config["name"] = self.free_name(config["name"])
        new = Step(kind, config, [], [step], step.shape)
        self.redirect(step, new)
        self.steps.insert(self.steps.index(step) + 1, new)
        return new

    def free_name(self, name: str) -> str:
        """The name itself, or with the first number that makes it unused."""
        taken = {step.name for step in self.steps}
        candidates = (f"{name}_{i}" if i else name for i in range(len(taken) + 1))
        return next(each for each in candidates if each not in taken)

    def build(
        self, make: Callable[[Step, list[Any]], Any] | None = None, name: str | None = None
    ) -> keras.Model:
        """Build the model.

        Args:
            make: From a step and the tensors it reads to its output; the layer itself,
                with its weights, unless another is wanted.
            name: Name of the model; `None` for that of the model it was read from.

        Returns:
            A functional model, uncompiled.
        """
        make = make or call
        source = self.steps[0]
        shape = source.config.get("batch_shape") or (None, *source.shape)
        inputs = keras.Input(
            batch_shape=shape, dtype=source.config.get("dtype"), name=source.name
        )
        tensors = {id(source): make(source, [inputs])}
        for step in self.steps[1:]:
            tensors[id(step)] = make(step, [tensors[id(read)] for read in step.inputs])
        return keras.Model(inputs, tensors[id(self.output)], name=name or self.name)

    @property
    def params(self) -> int:
        """Number of weights, trainable or not."""
        return sum(weight.size for step in self.steps for weight in step.weights)

    @property
    def macs(self) -> int:
        """Multiply-accumulates of convolutions and dense layers for one example."""
        return sum(_macs(step) for step in self.steps)


def call(step: Step, inputs: list[Any]) -> Any:
    """Call a step's layer with its weights on the tensors it reads."""
    if step.is_a(keras.layers.InputLayer):
        return inputs[0]
    layer = step.kind.from_config(step.config)
    outputs = layer(inputs[0] if len(inputs) == 1 else inputs)
    if step.weights:
        layer.set_weights(step.weights)
    return outputs


def read_layers(model: keras.Model) -> LayerGraph:
    """Read the layers of a functional or sequential model, nested ones included.

    Args:
        model: A built model. It is not changed. One that computes in half precision is read
            as its float32 copy.

    Returns:
        Its layers, with copies of their weights.

    Raises:
        ValueError: If the model is subclassed, has several inputs or outputs, or calls a
            layer twice; or has operations that are no layers. They are named.
        TypeError: If `model` is not a Keras model.
    """
    if not isinstance(model, keras.Model):
        raise TypeError(
            f"model must be a Keras 3 model. Received: {type(model).__name__}. Load a saved "
            "one with `keras.models.load_model(path)`."
        )
    if not isinstance(model, keras.Sequential | type(_functional())) or not model.built:
        raise ValueError(
            "Only functional and sequential models can be taken apart. Received: "
            f"{'a subclassed' if model.built else 'an unbuilt'} model {model.name!r}. Build "
            "it of layers between `keras.Input` and an output."
        )
    if len(model.inputs) != 1 or len(model.outputs) != 1:
        raise ValueError(
            "The model must have one input and one output. Received: model="
            f"{model.name!r} with {len(model.inputs)} inputs and {len(model.outputs)} "
            "outputs. Join them, or take the parts one by one."
        )
    if any(layer.compute_dtype != "float32" for layer in _all_layers(model)):
        model = in_float32(model)
    steps: list[Step] = []
    output = _read(model, None, steps)
    names = [step.name for step in steps]
    for step in steps:
        if names.count(step.name) > 1:  # of nested models, which name layers for themselves
            step.config["name"] = f"{step.name}_{names.index(step.name)}_{steps.index(step)}"
    used = _leading_to(output)
    steps = [step for step in steps if id(step) in used]
    return LayerGraph(steps, output, model.name)


def _read(model: keras.Model, source: Step | None, steps: list[Step]) -> Step:
    """Append the layers of a model; return the step that is its output."""
    functional = keras.Model(model.inputs[0], model.outputs[0])
    config = functional.get_config()
    operations = {operation.name: operation for operation in functional.operations}
    _refuse_operations(operations, model)
    made: dict[str, Step] = {}
    for record in config["layers"]:
        layer = operations[record["name"]]
        calls = record["inbound_nodes"]
        if len(calls) > 1:
            raise ValueError(
                "Every layer must be called once. Received: model="
                f"{model.name!r}, which calls {type(layer).__name__} {layer.name!r} "
                f"{len(calls)} times. Give each call a layer of its own, with equal weights."
            )
        read = [made[name] for name in _histories(calls)]
        if isinstance(layer, keras.layers.InputLayer) and source is not None:
            made[layer.name] = source
        elif isinstance(layer, keras.Model):
            _refuse_unlike(layer)
            made[layer.name] = _read(layer, read[0], steps)
        else:
            # A copy of the configuration: rewrites change it.
            made[layer.name] = Step(
                type(layer),
                dict(layer.get_config()),
                layer.get_weights(),
                read,
                _output_shape(layer, read),
            )
            steps.append(made[layer.name])
    return made[config["output_layers"][0]]


def _output_shape(layer: keras.layers.Layer, read: list[Step]) -> tuple[int, ...]:
    if isinstance(layer, keras.layers.InputLayer):
        return tuple(layer.batch_shape[1:])
    shapes = [(None, *step.shape) for step in read]
    return tuple(layer.compute_output_shape(shapes[0] if len(shapes) == 1 else shapes)[1:])


def _histories(record: Any) -> Iterator[str]:
    """Names of the layers whose outputs a saved call reads, in order."""
    if isinstance(record, Mapping):
        if record.get("class_name") == "__keras_tensor__":
            yield record["config"]["keras_history"][0]
        else:
            for value in record.values():
                yield from _histories(value)
    elif isinstance(record, list | tuple):
        for value in record:
            yield from _histories(value)


def _refuse_operations(operations: Mapping[str, Any], model: keras.Model) -> None:
    bare = [
        operation
        for operation in operations.values()
        if not isinstance(operation, keras.layers.Layer)
    ]
    if bare:
        names = ", ".join(f"{type(each).__name__} {each.name!r}" for each in bare)
        raise ValueError(
            "The model must be made of layers only. Received: model="
            f"{model.name!r} with the operations {names}. Use layers for them, e.g. "
            "`keras.layers.Add()([a, b])` instead of `a + b`."
        )


def _refuse_unlike(model: keras.Model) -> None:
    if not isinstance(model, keras.Sequential | type(_functional())):
        raise ValueError(
            "Nested models must be functional or sequential. Received: "
            f"{type(model).__name__} {model.name!r}. Build it of layers between `keras.Input` "
            "and an output."
        )
    if len(model.inputs) != 1 or len(model.outputs) != 1:
        raise ValueError(
            "Nested models must have one input and one output. Received: "
            f"{model.name!r} with {len(model.inputs)} and {len(model.outputs)}. Take the "
            "layers out of it."
        )


def _functional() -> keras.Model:
    """An empty functional model: Keras does not export the class."""
    inputs = keras.Input((1,))
    return keras.Model(inputs, inputs)


def _all_layers(model: keras.Model) -> Iterator[keras.layers.Layer]:
    for layer in model.layers:
        yield layer
        if isinstance(layer, keras.Model):
            yield from _all_layers(layer)


def _leading_to(output: Step) -> set[int]:
    found: set[int] = set()
    ahead = [output]
    while ahead:
        step = ahead.pop()
        if id(step) not in found:
            found.add(id(step))
            ahead.extend(step.inputs)
    return found


def _macs(step: Step) -> int:
    layers = keras.layers
    if step.is_a(layers.DepthwiseConv2D, layers.DepthwiseConv1D):
        return math.prod(step.shape) * math.prod(step.weights[0].shape[:-2])
    if step.is_a(layers.Conv1D, layers.Conv2D, layers.Dense):
        return math.prod(step.shape) * math.prod(step.weights[0].shape[:-1])
    return 0

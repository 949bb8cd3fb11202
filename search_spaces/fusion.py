"""Networks of several inputs: a branch for each, and what brings them together."""

from __future__ import annotations

import contextlib
import copy
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import keras_tuner

from search_spaces import blocks
from search_spaces.detection import Detection
from search_spaces.network import Node, input_nodes, layer
from search_spaces.segmentation import Segmentation
from search_spaces.space import WEIGHT_BITS, SearchSpace
from search_spaces.task import NextToken, Task

__all__ = ["Fusion"]

_PREFIX = "fusion"
_NONE = "nothing"
_TAKEN = (_PREFIX, _NONE, WEIGHT_BITS)
_JOINS = ["concatenate", "add", "gate"]
_UNITS = [16, 32, 64, 128]
_DEPTHS = [0, 1, 2]
_RATES = [0.0, 0.3]
# Tasks that answer for places of one input rather than for the whole example.
_DENSE = (Segmentation, Detection, NextToken)


class Fusion(SearchSpace):
    """Several inputs, each with a space of its own, and searched layers that fuse them.

    An image and a table, series of several sensors, a text and what is known of it: examples
    are dictionaries of arrays. What the body of a space makes of its input is averaged to a
    vector. The vectors are joined, dense layers follow, and the task adds its head.

    | decision                    | values                  | what it sets                   |
    |-----------------------------|-------------------------|--------------------------------|
    | `fusion/without`            | nothing (or an input)   | the input that is not read     |
    | `fusion/join`               | concatenate, add, gate  | how vectors become one         |
    | `fusion/units`              | 16, 32, 64, 128         | width of what is added         |
    | `fusion/depth`              | 0, 1, 2                 | layers before the head         |
    | `fusion/layer{i}/units`     | 16, 32, 64, 128         | width of such a layer          |
    | `fusion/layer{i}/dropout`   | 0.0, 0.3                | rate behind it                 |
    | `{input}/{decision}`        | (those of its space)    | the branch of an input         |
    | `{input}/{part}/{decision}` | (those of its space)    | a part of a branch             |

    To concatenate keeps vectors as they are, but an integer file then has one scale for all of
    them. Added are layers of `units` over each vector, as wide as each other. Gated ones are
    added too, each multiplied by how much of it all vectors together let through.
    `fusion/units` is conditional on such a join, decisions of a layer on the depth. There are
    `9 * 73`, 657 sets of these decisions, times those of each branch.

    Where inputs are `optional`, one of them may be left out: nothing of its branch is there
    then, and no join if a single one remains. Whether the search ends there tells what the
    input is worth. Models and files have it all the same, so that they are called alike.

    Args:
        spaces: From the name of an input to the space of its branch, made for its shape and
            dtype and for the task of all; at least two. Names are letters, digits and
            underscores. A branch rescales its input itself.
        num_classes: Number of classes; short for `task=Classification(num_classes)`.
        task: What the networks are for, instead of `num_classes`: it answers for an example
            as a whole. By default it is the task of the spaces.
        optional: Names of inputs that may be left out, one at a time. Each takes its share of
            the candidates, so name those that are in doubt.

    Raises:
        ValueError: If there are fewer than two inputs, a name cannot be used, spaces are for
            different tasks, the task answers for places of an input, or an optional input is
            none.
        TypeError: If one is no space.

    References:
        Arevalo et al., "Gated Multimodal Units for Information Fusion", ICLR 2017 workshop,
        https://arxiv.org/abs/1702.01992 (the gates; of two inputs theirs add up to 1).
        Pérez-Rúa et al., "MFAS: Multimodal Fusion Architecture Search", CVPR 2019,
        https://arxiv.org/abs/1903.06496 (to search for how inputs are fused; theirs joins
        branches at several depths, ours at their ends).

    Example:

    ```python
    space = Fusion({"image": MobileNet((32, 32, 3), 5), "table": MLP((12,), 5)})
    model = realise(space.network(space.default()))
    answers = model.predict({"image": images, "table": columns})
    ```
    """

    layouts: ClassVar[tuple[str, ...]] = ("images", "audio", "series", "table", "tokens")

    def __init__(
        self,
        spaces: Mapping[str, SearchSpace],
        num_classes: int | None = None,
        *,
        task: Task | None = None,
        optional: Sequence[str] = (),
    ) -> None:
        _check(spaces)
        if num_classes is None and task is None:
            task = next(iter(spaces.values())).task
        super().__init__(
            {name: space.input_shape for name, space in spaces.items()}, num_classes, task=task
        )
        self.spaces = {name: spaces[name] for name in sorted(spaces)}
        dtypes: Any = {name: space.input_dtype for name, space in self.spaces.items()}
        self.input_dtype = dtypes
        self._kept = {
            f"{name}/{decision}": values
            for name, space in self.spaces.items()
            for decision, values in space._kept.items()
        }
        _check_tasks(self.spaces, self.task)
        _check_optional(self.spaces, optional)
        self.optional = sorted(optional)

    def body(self, hp: keras_tuner.HyperParameters, x: Node) -> Node:
        choices = [_NONE, *self.optional]
        left_out = hp.Choice(f"{_PREFIX}/without", choices) if self.optional else _NONE
        vectors = []
        for name, space in self.spaces.items():
            # The scope is opened in any case: so KerasTuner learns that there is one.
            with self._unless(hp, [name]), hp.name_scope(name):
                if left_out != name:
                    vectors.append(_vector(space.features(hp, x.inputs[name])))
        with self._unless(hp, self.optional if len(self.spaces) == 2 else []):
            join = hp.Choice(f"{_PREFIX}/join", _JOINS)
            with hp.conditional_scope(f"{_PREFIX}/join", _JOINS[1:]):
                units = hp.Choice(f"{_PREFIX}/units", _UNITS, default=64)
        y = vectors[0] if len(vectors) == 1 else _joined(vectors, join, units)
        depth = hp.Choice(f"{_PREFIX}/depth", _DEPTHS, default=1)
        for i in range(_DEPTHS[-1]):
            with hp.conditional_scope(f"{_PREFIX}/depth", _DEPTHS[i + 1 :]):
                width = hp.Choice(f"{_PREFIX}/layer{i}/units", _UNITS, default=64)
                rate = hp.Choice(f"{_PREFIX}/layer{i}/dropout", _RATES)
            if i < depth:
                y = blocks.dropout(_unit(y, width), rate)
        return y

    def _unless(
        self, hp: keras_tuner.HyperParameters, left_out: Sequence[str]
    ) -> contextlib.AbstractContextManager[Any]:
        """A scope of what is there unless one of these inputs is left out."""
        if not set(left_out) & set(self.optional):
            return contextlib.nullcontext()
        kept = [name for name in [_NONE, *self.optional] if name not in left_out]
        scope: contextlib.AbstractContextManager[Any] = hp.conditional_scope(
            f"{_PREFIX}/without", kept
        )
        return scope

    def rescaled(self, rescaling: Mapping[str, tuple[Any, Any] | None]) -> Fusion:
        """The space with branches that rescale their inputs, where they do not yet.

        Args:
            rescaling: By the name of an input, `(scale, offset)` as in `SearchSpace`; `None`,
                as for inputs that are left out, changes nothing.
        """
        fusion = copy.copy(self)
        fusion.spaces = {name: copy.copy(space) for name, space in self.spaces.items()}
        for name, space in fusion.spaces.items():
            if space.rescaling is None:
                space.rescaling = rescaling.get(name)
        fusion._latest = None
        return fusion


def _vector(x: Node) -> Node:
    return blocks.global_average_pool(x) if len(x.shape) > 1 else x


def _joined(vectors: Sequence[Node], join: str, units: int) -> Node:
    if join == "concatenate":
        return blocks.concatenate(*vectors)
    if join == "add":
        return blocks.add(*(_unit(vector, units) for vector in vectors))
    everything = blocks.concatenate(*vectors)
    return blocks.add(
        *(
            blocks.multiply(
                blocks.dense(vector, units, "tanh"),
                blocks.dense(everything, units, "sigmoid"),
            )
            for vector in vectors
        )
    )


def _unit(x: Node, units: int) -> Node:
    """A dense layer, normalised and rectified: branches end in numbers of any size."""
    # Batch normalisation would undo a bias.
    x = layer("dense", x, units=units, bias=False)
    return blocks.activation(blocks.batch_norm(x), "relu")


def _check(spaces: Any) -> None:
    if not isinstance(spaces, Mapping) or not all(
        isinstance(space, SearchSpace) for space in spaces.values()
    ):
        raise TypeError(
            "Fusion takes a dictionary from names of inputs to spaces. Received: "
            f"{type(spaces).__name__} {str(spaces)[:80]}. Make the spaces first, or let "
            "`search_spaces.auto.space` make all of them."
        )
    for name, space in spaces.items():
        if name in _TAKEN:
            raise ValueError(
                f"Fusion has decisions of this name. Received: an input {name!r}. Rename it "
                "in the data set."
            )
        if isinstance(space.input_shape, Mapping):
            raise ValueError(
                f"The branches of a fusion read one input each. Received: {name!r} with a "
                f"{type(space).__name__} of inputs {', '.join(space.input_shape)}. Put all "
                "inputs into one fusion."
            )
        if space._weight_bits:
            raise ValueError(
                "Weights have one width in a whole file. Received: the space of "
                f"{name!r} with weight_bits={space._weight_bits}. Call `with_weight_bits` on "
                "the fusion instead."
            )
        if "waveform" in space.layouts or space.mixed:
            raise ValueError(
                "A branch cannot make features of recordings, nor have layers of another "
                f"precision than the file. Received: {name!r} with a {type(space).__name__}. "
                "Compute its features beforehand: see `search_spaces.FrontEnd.features`."
            )
    input_nodes({name: space.input_shape for name, space in spaces.items()})


def _check_optional(spaces: Mapping[str, SearchSpace], optional: Sequence[str]) -> None:
    unknown = [name for name in optional if name not in spaces]
    if isinstance(optional, str) or unknown:
        raise ValueError(
            "What is optional must be a list of inputs. Received: "
            f"optional={optional!r} of inputs {', '.join(spaces)}. Name some of these."
        )


def _check_tasks(spaces: Mapping[str, SearchSpace], task: Task) -> None:
    for name, space in spaces.items():
        if space.task != task:
            raise ValueError(
                "All spaces of a fusion must be made for its task. Received: "
                f"{space.task} of {name!r}, and {task}. Pass the same to all of them."
            )
    if isinstance(task, _DENSE):
        raise ValueError(
            "A fusion answers for an example as a whole, not for places of an input. "
            f"Received: task={task}. Use a space of one input."
        )

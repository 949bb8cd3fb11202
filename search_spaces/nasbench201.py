"""The space of NAS-Bench-201: six operations in a cell that fifteen places repeat."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar

import keras_tuner

from search_spaces import blocks, costs
from search_spaces.blocks import activation, add, average_pool, batch_norm, conv
from search_spaces.decisions import Decisions
from search_spaces.network import Network, Node, layer
from search_spaces.space import SearchSpace, check_images, choose
from search_spaces.task import Task

__all__ = [
    "EDGES",
    "OPERATIONS",
    "NASBench201Cells",
    "from_string",
    "published_flops",
    "to_string",
    "unique_string",
]

EDGES = ((0, 1), (0, 2), (1, 2), (0, 3), (1, 3), (2, 3))
"""From node to node, in the published order."""


def _preactivated(x: Node, filters: int, kernel: int, stride: int = 1) -> Node:
    """Rectify, convolve, normalise."""
    return conv(activation(x, "relu"), filters, kernel, stride, activation="linear")


OPERATIONS: Mapping[str, Callable[[Node], Node]] = {
    "nor_conv_3x3": lambda x: _preactivated(x, x.channels, 3),
    "nor_conv_1x1": lambda x: _preactivated(x, x.channels, 1),
    "avg_pool_3x3": lambda x: average_pool(x, 3, stride=1),
    "skip_connect": blocks.identity,
    "none": blocks.zero,
}
"""What an edge may do, by the published name; the first is the default."""


class NASBench201Cells(SearchSpace):
    """The 15,625 cells of NAS-Bench-201, on their published skeleton.

    A cell has four nodes. Each is the sum of what its edges make of the nodes before it; node
    0 is the input, node 3 the output. The skeleton is a stem, three stages of `cells` copies
    of the one cell with `channels`, twice and four times as many channels, a residual block
    of stride 2 between stages, and batch normalisation with ReLU before the task's head.

    | decision       | values                                    | what it sets              |
    |----------------|-------------------------------------------|---------------------------|
    | `cell/edge{i}` | nor_conv_3x3, nor_conv_1x1, avg_pool_3x3, | operation of the edge;    |
    |                | skip_connect, none                        | nor_conv is ReLU,         |
    |                |                                           | convolution, batch norm   |

    The edges 0 to 5 lead from node 0 to 1, 0 to 2, 1 to 2, 0 to 3, 1 to 3 and 2 to 3. That is
    `5**6` = 15,625 sets of decisions, whatever the skeleton, and 5,260 different networks:
    see `Network` for what makes them equal.

    `none` multiplies by zero. So an operation whose input is zero, or whose output meets a
    zero, stays in the network with its weights, as published: costs count it. It is the one
    space with dead branches. Members without a path from input to output return the same for
    every image.

    Args:
        input_shape: `(height, width, channels)` of one image, at least 8x8 pixels: on fewer,
            kernels of the last stage would read padding only.
        num_classes: Number of classes; the model returns this many logits.
        task: Any other task, instead of `num_classes`.
        rescaling: As in `SearchSpace`.
        channels: Channels of the stem and of the first stage.
        cells: Copies of the cell in each stage.

    Raises:
        ValueError: If the input is no image, or smaller than 8x8, or the skeleton has no
            channels or cells.

    Example:

    ```python
    space = NASBench201Cells((32, 32, 3), 10)
    cell = "|nor_conv_3x3~0|+|nor_conv_3x3~0|none~1|+|skip_connect~0|none~1|nor_conv_3x3~2|"
    network = space.network(from_string(cell))
    ```

    Reference:
        Dong and Yang, "NAS-Bench-201: Extending the Scope of Reproducible Neural Architecture
        Search", ICLR 2020, https://arxiv.org/abs/2001.00326. The defaults are its skeleton on
        CIFAR-10. "Same" padding of strided convolutions follows Keras, one row and column at
        the far end instead of one at each, and images of odd size are rounded up.
    """

    layouts: ClassVar[tuple[str, ...]] = ("images", "audio")

    def __init__(
        self,
        input_shape: Sequence[int],
        num_classes: int | None = None,
        *,
        task: Task | None = None,
        rescaling: tuple[Any, Any] | None = None,
        channels: int = 16,
        cells: int = 5,
    ) -> None:
        super().__init__(input_shape, num_classes, task=task, rescaling=rescaling)
        check_images("NASBench201Cells", self.input_shape, 8)
        if channels < 1 or cells < 1:
            raise ValueError(
                "The skeleton needs at least 1 channel and 1 cell a stage. Received: "
                f"channels={channels}, cells={cells}. The published one has 16 and 5."
            )
        self.channels = channels
        self.cells = cells

    def body(self, hp: keras_tuner.HyperParameters, x: Node) -> Node:
        x = conv(x, self.channels, 3, activation="linear")
        for stage in range(3):
            if stage:
                x = _reduced(x, self.channels << stage)
            for _ in range(self.cells):
                x = _cell(hp, x)
        return activation(batch_norm(x), "relu")


def _cell(hp: keras_tuner.HyperParameters, x: Node) -> Node:
    made: list[list[Node]] = [[x], [], [], []]  # by node, what it adds up
    for i, (source, target) in enumerate(EDGES):
        if len(made[source]) > 1:
            made[source] = [add(*made[source])]
        made[target].append(choose(hp, f"cell/edge{i}", made[source][0], OPERATIONS))
    return add(*made[3])


def _reduced(x: Node, filters: int) -> Node:
    """A residual block that halves the resolution."""
    y = _preactivated(_preactivated(x, filters, 3, stride=2), filters, 3)
    pooled = average_pool(x, 2)
    return add(layer("conv", pooled, filters=filters, kernel=1, stride=1, bias=False), y)


def published_flops(network: Network) -> int:
    """What the tables of NAS-Bench-201 call the FLOPs of a network.

    Multiply-accumulates of convolutions and of the linear layer, one each, and one more for
    each bias of the linear layer; batch normalisation, pooling, sums and activations are not
    counted. It equals the published column on all 15,625 rows for CIFAR-10 and CIFAR-100, as
    `costs.trainable_params` equals the published parameters.
    """
    biases = sum(r.shape[-1] for r in network.layers if r.op == "dense")
    return costs.macs(network) + biases


def from_string(architecture: str) -> dict[str, str]:
    """The decisions of a cell in the notation of the tables.

    Args:
        architecture: For each node from 1 on, between bars, the operations of its edges with
            the nodes they read: `|op~0|+|op~0|op~1|+|op~0|op~1|op~2|`.

    Raises:
        ValueError: If the text has another form, or names an unknown operation.
    """
    edges = re.findall(r"([^|+~]+)~(\d+)\|", architecture)
    if _notation(edges) != architecture or [int(s) for _, s in edges] != [s for s, _ in EDGES]:
        raise ValueError(
            "A cell of NAS-Bench-201 has the form |op~0|+|op~0|op~1|+|op~0|op~1|op~2|. "
            f"Received: {architecture!r}. Name the operation of each of the six edges, and "
            "the node that it reads."
        )
    unknown = sorted({operation for operation, _ in edges} - OPERATIONS.keys())
    if unknown:
        raise ValueError(
            f"NAS-Bench-201 has no operation {unknown[0]!r}. Received: {architecture!r}. Use "
            f"one of {', '.join(OPERATIONS)} on each edge."
        )
    return {f"cell/edge{i}": operation for i, (operation, _) in enumerate(edges)}


def to_string(values: Mapping[str, Any]) -> str:
    """A cell in the notation of the tables; inverse of `from_string`.

    Args:
        values: Decisions by name; those left out take their defaults.

    Raises:
        ValueError: If a decision does not offer its value.
    """
    sources = [source for source, _ in EDGES]
    return _notation(list(zip(_decided(values), sources, strict=True)))


def unique_string(values: Mapping[str, Any]) -> str:
    """The name under which the benchmark groups cells as isomorphic; there are 6,466.

    It is the output as a formula of the input 0: `(read)@operation` for an operation, sorted
    terms joined by `+` for a node, `#` for what is zero; `skip_connect` leaves no trace.

    Cells of one name need not be equal networks. The formula writes out a node at each place
    that reads it, so that `0+(0)@nor_conv_3x3+(0)@nor_conv_3x3` may be one convolution added
    twice, or two with weights of their own: 430 of the groups hold networks that differ so,
    which `Network` tells apart. Cells of two names may be equal, since sums keep their zeros.

    Args:
        values: Decisions by name; those left out take their defaults.

    Raises:
        ValueError: If a decision does not offer its value.
    """
    terms: list[list[str]] = [["0"], [], [], []]  # by node, what it adds up
    for operation, (source, target) in zip(_decided(values), EDGES, strict=True):
        read = "+".join(sorted(terms[source]))
        if operation == "none" or read == "#":
            terms[target].append("#")
        elif operation == "skip_connect":
            terms[target].append(read)
        else:
            terms[target].append(f"({read})@{operation}")
    return "+".join(sorted(terms[3]))


def _decided(values: Mapping[str, Any]) -> list[str]:
    """The operation of each edge."""
    hp, names = Decisions(values, strict=True), list(OPERATIONS)
    return [hp.Choice(f"cell/edge{i}", names) for i in range(len(EDGES))]


def _notation(edges: Sequence[tuple[str, Any]]) -> str:
    parts = [f"{operation}~{source}|" for operation, source in edges]
    return "+".join("|" + "".join(part) for part in (parts[:1], parts[1:3], parts[3:]))

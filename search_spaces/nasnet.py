"""Cells of NASNet, which AmoebaNet and ENAS search too."""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Sequence
from typing import Any, ClassVar, NamedTuple

import keras_tuner

from search_spaces.blocks import activation, add, concatenate, conv
from search_spaces.cells import (
    alternatives,
    check_operations,
    chosen_stem,
    conv_norm,
    counts,
    factorized_reduction,
    fit,
    pick,
)
from search_spaces.network import Node
from search_spaces.space import SearchSpace, choose
from search_spaces.task import Task

__all__ = ["AMOEBANET_A", "NASNET_A", "NASNetCells"]

_OPERATIONS = (
    "sep_conv_3x3",
    "sep_conv_5x5",
    "sep_conv_7x7",
    "dil_conv_3x3",
    "conv_7x1_1x7",
    "max_pool_3x3",
    "avg_pool_3x3",
    "skip_connect",
)
_STAGES = 3  # of normal cells, with a reduction cell between two of them


def _cell(kind: str, edges: Sequence[tuple[str, int]], keep: str = "none") -> dict[str, str]:
    values = {f"{kind}/keep": keep}
    for place, (operation, source) in enumerate(edges):
        block, side = divmod(place, 2)
        values[f"{kind}/block{block}/input{side + 1}"] = str(source)
        values[f"{kind}/block{block}/operation{side + 1}"] = operation
    return values


NASNET_A = {
    **_cell(
        "normal",
        [
            *[("sep_conv_5x5", 1), ("sep_conv_3x3", 0)],
            *[("sep_conv_5x5", 0), ("sep_conv_3x3", 0)],
            *[("avg_pool_3x3", 1), ("skip_connect", 0)],
            *[("avg_pool_3x3", 0), ("avg_pool_3x3", 0)],
            *[("sep_conv_3x3", 1), ("skip_connect", 1)],
        ],
        keep="0",
    ),
    **_cell(
        "reduce",
        [
            *[("sep_conv_5x5", 1), ("sep_conv_7x7", 0)],
            *[("max_pool_3x3", 1), ("sep_conv_7x7", 0)],
            *[("avg_pool_3x3", 1), ("sep_conv_5x5", 0)],
            *[("skip_connect", 3), ("avg_pool_3x3", 2)],
            *[("sep_conv_3x3", 2), ("max_pool_3x3", 1)],
        ],
        keep="3",
    ),
}
"""NASNet-A of Zoph et al. (2018): with `cells=4, filters=44` NASNet-A mobile, with `cells=6,
filters=32, stem="cifar"` NASNet-A (6 @ 768)."""

AMOEBANET_A = {
    **_cell(
        "normal",
        [
            *[("avg_pool_3x3", 0), ("max_pool_3x3", 1)],
            *[("sep_conv_3x3", 0), ("sep_conv_5x5", 2)],
            *[("sep_conv_3x3", 0), ("avg_pool_3x3", 3)],
            *[("sep_conv_3x3", 1), ("skip_connect", 1)],
            *[("skip_connect", 0), ("avg_pool_3x3", 1)],
        ],
    ),
    **_cell(
        "reduce",
        [
            *[("avg_pool_3x3", 0), ("sep_conv_3x3", 1)],
            *[("max_pool_3x3", 0), ("sep_conv_7x7", 2)],
            *[("sep_conv_7x7", 0), ("avg_pool_3x3", 1)],
            *[("max_pool_3x3", 0), ("max_pool_3x3", 1)],
            *[("conv_7x1_1x7", 0), ("sep_conv_3x3", 5)],
        ],
    ),
}
"""AmoebaNet-A of Real et al. (2019): with `cells=6, filters=36, stem="cifar"` the network for
CIFAR-10."""


class NASNetCells(SearchSpace):
    """Cells of NASNet: blocks that add up two operations on any two earlier outputs.

    A stem, three stages of `cells` normal cells with a reduction cell between two of them, and
    the task's head. All cells of a kind are alike; a reduction cell halves images and doubles
    channels. Input 0 of a cell is the cell before the last one and input 1 the last one,
    brought to one size; block i has number i + 2. Each block adds up what two operations make
    of two inputs or earlier blocks. The output concatenates what no block reads, inputs
    included, so that nothing idles, and what `keep` names. Every operation has an int8 kernel
    in TFLite.

    | decision                       | values                       | what it sets           |
    |--------------------------------|------------------------------|------------------------|
    | `{cell}/block{i}/input{j}`     | 0, 1, ..., 5 (i + 1 at most) | what side j (1 or 2)   |
    |                                |                              | of the block reads     |
    | `{cell}/block{i}/operation{j}` | sep_conv_3x3, sep_conv_5x5,  | what it does to it     |
    |                                | sep_conv_7x7, dil_conv_3x3,  |                        |
    |                                | conv_7x1_1x7, max_pool_3x3,  |                        |
    |                                | avg_pool_3x3, skip_connect   |                        |
    | `{cell}/keep`                  | none, 0, 1, ..., 5           | what the output holds  |
    |                                |                              | although it is read    |
    | `cells`                        | (if several are given)       | normal cells in a      |
    |                                |                              | stage                  |
    | `filters`                      | (if several are given)       | channels of a block in |
    |                                |                              | the first stage        |

    `{cell}` is `normal` or `reduce`. That is `((blocks + 1)!**2 * 8**(2 * blocks) * (blocks +
    2))**2` sets of decisions: 1.5e31 for 5 blocks. Many are the same network: the order of
    blocks, and of the two sides of a block, makes no difference.

    Args:
        input_shape: `(height, width, channels)` of one image: at least 8x8 pixels, with the
            stem for ImageNet 64x64.
        num_classes: Number of classes; the model returns this many logits.
        task: Any other task, instead of `num_classes`.
        rescaling: As in `SearchSpace`.
        blocks: Blocks in a cell, at least 1; 5 as published. More widen the output.
        cells: Normal cells in a stage, at least 1, or several to choose from, the first by
            default; 6 (CIFAR-10) and 4 (mobile) as published.
        filters: Channels of a block in the first stage, at least 4, or several to choose
            from; 32 (CIFAR-10) and 44 (mobile) as published.
        stem: `"cifar"`, one convolution at full resolution; `"imagenet"`, a convolution and
            two reduction cells that halve images; by default the second from 96 pixels on.
        operations: Operations to choose from, of `cells.OPERATIONS`; the first by default.

    Raises:
        ValueError: If the input is no image or too small, or an argument is none of the above.

    References:
        Zoph et al., "Learning Transferable Architectures for Scalable Image Recognition",
        CVPR 2018, https://arxiv.org/abs/1707.07012. `keep` is what its published cells need:
        they concatenate an output that a block reads. A `skip_connect` that halves images is
        the factorized reduction of ENAS; there is no auxiliary head and no path dropout.
        Real et al., "Regularized Evolution for Image Classifier Architecture Search", AAAI
        2019, https://arxiv.org/abs/1802.01548.
        Pham et al., "Efficient Neural Architecture Search via Parameter Sharing", ICML 2018,
        https://arxiv.org/abs/1802.03268.
    """

    layouts: ClassVar[tuple[str, ...]] = ("images", "audio")

    def __init__(
        self,
        input_shape: Sequence[int],
        num_classes: int | None = None,
        *,
        task: Task | None = None,
        rescaling: tuple[Any, Any] | None = None,
        blocks: int = 5,
        cells: int | Sequence[int] = 2,
        filters: int | Sequence[int] = 16,
        stem: str | None = None,
        operations: Sequence[str] = _OPERATIONS,
    ) -> None:
        super().__init__(input_shape, num_classes, task=task, rescaling=rescaling)
        self.stem = chosen_stem("NASNetCells", stem, self.input_shape)
        (self.blocks,) = counts("blocks", (blocks,), 1)
        self.cells = counts("cells", cells, 1)
        self.filters = counts("filters", filters, 4)
        self.operations = check_operations(operations)

    def body(self, hp: keras_tuner.HyperParameters, x: Node) -> Node:
        filters = pick(hp, "filters", self.filters)
        cells = pick(hp, "cells", self.cells)
        plans = {kind: self._plan(hp, kind) for kind in ("normal", "reduce")}
        before = last = self._stem(x, filters)
        for kind, width in self._cells(cells, filters):
            output = self._cell(hp, kind, plans[kind], before, last, width)
            before, last = last, output
        return activation(last, "relu")

    def _stem(self, x: Node, filters: int) -> Node:
        if self.stem == "cifar":
            return conv(x, 3 * filters, 3, activation="linear")
        return conv(x, 32, 3, 2, activation="linear")

    def _cells(self, cells: int, filters: int) -> Iterable[tuple[str, int]]:
        """Kind and channels of each cell."""
        if self.stem == "imagenet":
            yield "reduce", max(filters // 4, 2)
            yield "reduce", max(filters // 2, 2)
        for stage in range(_STAGES):
            if stage:
                yield "reduce", filters << stage
            yield from [("normal", filters << stage)] * cells

    def _plan(self, hp: keras_tuner.HyperParameters, kind: str) -> _Plan:
        blocks: list[_Block] = []
        # What each output is, whatever its number, after how many blocks it is known: sorted
        # by that, blocks in another order are described alike.
        ranks = [(0, 0), (0, 1)]
        for i in range(self.blocks):
            sources = [str(number) for number in range(i + 2)]
            sides = []
            for j in (1, 2):
                name = f"{kind}/block{i}/input{j}"
                source = int(hp.Choice(name, sources, default=sources[j - 1]))
                name = f"{kind}/block{i}/operation{j}"
                operation = hp.Choice(name, list(self.operations))
                sides.append((ranks[source], operation, name, source))
            sides.sort()
            blocks.append(_Block(i + 2, tuple([side[2:] for side in sides])))
            depth = 1 + max(rank[0] for rank, *_ in sides)
            digest = zlib.crc32(repr([side[:2] for side in sides]).encode())
            ranks.append((depth, digest))
        keep = hp.Choice(f"{kind}/keep", ["none", *map(str, range(self.blocks + 1))])
        read = {source for block in blocks for _, source in block.sides}
        outputs = [n for n in range(self.blocks + 2) if n not in read or str(n) == keep]
        blocks.sort(key=lambda block: ranks[block.number])
        return _Plan(tuple(blocks), tuple(sorted(outputs, key=ranks.__getitem__)))

    def _cell(
        self,
        hp: keras_tuner.HyperParameters,
        kind: str,
        plan: _Plan,
        before: Node,
        last: Node,
        filters: int,
    ) -> Node:
        if before is not last and before.shape != (*last.shape[:2], filters):
            before = fit(before, last.shape, filters)
        states = {0: before, 1: conv_norm(last, filters)}
        keeping = halving = alternatives(self.operations, filters, 1)
        if kind == "reduce":
            halving = alternatives(self.operations, filters, 2)
        for number, sides in plan.blocks:
            first, second = [
                choose(hp, name, states[source], halving if source < 2 else keeping)
                for name, source in sides
            ]
            states[number] = add(first, second)
        outputs = [
            factorized_reduction(states[number], filters)
            if number < 2 and kind == "reduce"
            else states[number]
            for number in plan.outputs
        ]
        return concatenate(*outputs)


class _Block(NamedTuple):
    """A block of a cell.

    Attributes:
        number: Its number among the inputs and blocks of the cell.
        sides: Name of the decision on the operation, and number of what it reads, twice.
    """

    number: int
    sides: tuple[tuple[str, int], ...]


class _Plan(NamedTuple):
    """The graph of a cell.

    Attributes:
        blocks: Its blocks in the order in which they are described.
        outputs: Numbers of what the output concatenates.
    """

    blocks: tuple[_Block, ...]
    outputs: tuple[int, ...]

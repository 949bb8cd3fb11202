"""The paths of a network: what its input goes through on each way to the output."""

from __future__ import annotations

from typing import Any

from search_spaces.network import Layer, Network

__all__ = ["paths"]

Path = tuple[int, tuple[str, ...]]  # how long it is, and its layers

_PATHS = 64  # that are kept of those which lead to a layer, the shortest
_WIDTHS = {"filters", "units"}  # settings that make a layer wide, not another one
_STEP = ">"


def paths(network: Network) -> frozenset[str]:
    """Name every path through the parts of a network by its layers.

    A network is cut at each layer through which all paths go, so that a stack of cells falls
    into its cells: copies of one cell have the same paths, however many there are and however
    wide. Cells that describe one network by other decisions have the same paths, because
    they are read off the canonical form; what is multiplied by zero is on none.

    A part may have more paths than can be listed. Of those that lead to one layer the 64
    shortest are kept, which say most (White et al.).

    Args:
        network: The network.

    Returns:
        The paths, layers joined by `>`, inputs left out. A layer is its operation and settings
        but for its width.

    Reference:
        White et al., "BANANAS: Bayesian Optimization with Neural Architectures for Neural
        Architecture Search", AAAI 2021, https://arxiv.org/abs/1910.11858, for cells;
        "A Study on Encodings for Neural Architecture Search", NeurIPS 2020,
        https://arxiv.org/abs/2007.04965, for leaving out long ones.
    """
    layers = network.canonical
    reach = _reach(layers)
    found: set[str] = set()
    leading: list[list[Path]] = []  # shortest first
    for index, record in enumerate(layers):
        if record.op == "input":
            leading.append([(0, ())])
            continue
        label = _label(record)
        sources = [leading[source] for source in set(record.inputs)] or [[(0, ())]]
        kept = sources[0] if len(sources) == 1 else _shortest(sources)
        kept = [(length + 1, (*path, label)) for length, path in kept]
        if reach[index - 1] <= index:  # all paths go through here
            found.update(_STEP.join(path) for _, path in kept)
            kept = [(0, ())]
        leading.append(kept)
    return frozenset(found)


def _shortest(
    sources: list[list[Path]],
) -> list[Path]:
    """Merge what leads to several layers, each shortest first."""
    return sorted({known for source in sources for known in source})[:_PATHS]


def _reach(layers: tuple[Layer, ...]) -> list[int]:
    """Tell for each layer how far what was computed up to it is still read."""
    last = [0] * len(layers)
    for index, record in enumerate(layers):
        for source in record.inputs:
            last[source] = index
    reach, furthest = [], 0
    for position in last:
        furthest = max(furthest, position)
        reach.append(furthest)
    return reach


def _label(record: Layer) -> str:
    settings = [f"{n}={_short(v)}" for n, v in record.settings if n not in _WIDTHS]
    return f"{record.op}({','.join(settings)})" if settings else record.op


def _short(value: Any) -> str:
    return str(value).replace(" ", "")

"""Which layer of a Keras model an operator of its file came from, by the names they share."""

from __future__ import annotations

import re
from collections.abc import Iterable

from tflite_export.inspection import operators_in

__all__ = ["described", "layer_of", "operators_of_layers"]

_PRODUCTS = ("convolution", "depthwise", "MatMul")


def layer_of(scopes: Iterable[str], layers: Iterable[str]) -> str | None:
    """The layer that a name of the converter's speaks of.

    An operator is named after the layers that were fused into it:
    `"relu_1/Relu;norm_1/add;conv_1/convolution"`. Of these the one with the weights counts,
    else the last. TensorFlow makes scopes unique by a suffix: layer `conv` becomes `conv_1`.

    Args:
        scopes: Names of an operator's tensors, the most telling first.
        layers: The names of the model's layers.

    Returns:
        The layer's name, or `None` if no scope names one.
    """
    names = set(layers)
    for scope in scopes:
        parts = scope.split(";")
        weighted = [part for part in parts if part.rpartition("/")[2].startswith(_PRODUCTS)]
        for part in (*weighted, *reversed(parts)):
            if found := _layers_in(part, names):
                return found[-1]
    return None


def operators_of_layers(content: bytes, layers: Iterable[str]) -> dict[str, tuple[str, ...]]:
    """The operators of a file that each layer has a part in.

    Args:
        content: The bytes of a file with names.
        layers: The names of the model's layers.

    Returns:
        From layers to names of operators. A layer that was fused into another's operator
        has that one; one that left no trace, as dropout does, has none.
    """
    names = set(layers)
    found: dict[str, list[str]] = {name: [] for name in names}
    for operator in operators_in(content):
        scopes = (*operator.outputs, *operator.constants)
        for layer in {named for scope in scopes for named in _layers_in(scope, names)}:
            found[layer].append(operator.name)
    return {layer: tuple(operators) for layer, operators in found.items()}


def described(names: Iterable[str], scopes: Iterable[str], layers: Iterable[str]) -> str:
    """Operators, each with the layer it comes from where that is known, none twice."""
    layers = set(layers)
    texts = []
    for name, scope in zip(names, scopes, strict=True):
        layer = layer_of([scope], layers)
        texts.append(f"{name} (layer {layer!r})" if layer else name)
    return ", ".join(dict.fromkeys(texts))


def _layers_in(scope: str, layers: set[str]) -> list[str]:
    found = []
    for part in re.split("[/;]", scope):
        bare = part.rpartition("_")[0]
        if bare in layers:
            found.append(bare)
        elif part in layers:
            found.append(part)
    return found

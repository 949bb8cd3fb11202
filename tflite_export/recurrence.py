"""Recurrent layers step by step, because files of integers cannot hold loops."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import keras

__all__ = ["unrolled"]


@contextlib.contextmanager
def unrolled(model: keras.Model) -> Iterator[None]:
    """Let a model's recurrent layers run without a loop while it is traced.

    An unrolled layer computes the same with the same weights; each of its steps becomes
    operators of its own, so a file grows with the length of its sequences.

    Args:
        model: A built model. Its layers are as before when the context ends.
    """
    looping = [layer for layer in _recurrent(model) if not layer.unroll]
    for layer in looping:
        layer.unroll = True
    try:
        yield
    finally:
        for layer in looping:
            layer.unroll = False


def _recurrent(layer: keras.layers.Layer) -> Iterator[keras.layers.RNN]:
    """The recurrent layers in a layer, itself included."""
    if isinstance(layer, keras.layers.RNN):
        yield layer
    elif isinstance(layer, keras.layers.Bidirectional):
        yield from (layer.forward_layer, layer.backward_layer)
    else:
        for inner in getattr(layer, "layers", ()):
            yield from _recurrent(inner)

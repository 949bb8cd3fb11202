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
        model: A built model. Its layers are as before when the context ends. Recurrent layers
            are found wherever Keras tracks layers: in models, wrappers, and attributes of
            other layers, but not in what a function holds.
    """
    inside = model._flatten_layers()  # those of wrappers and of layers of one's own too
    recurrent = [layer for layer in inside if isinstance(layer, keras.layers.RNN)]
    looping = [layer for layer in recurrent if not layer.unroll]
    for layer in looping:
        layer.unroll = True
    try:
        yield
    finally:
        for layer in looping:
            layer.unroll = False

"""Weights of few bits, as they will be in the file, while a network is scored."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

__all__ = ["RoundedWeights", "rounded"]

_NARROW = (keras.layers.Conv2D, keras.layers.Dense)


def rounded(
    kernel: NDArray[np.float32], bits: int, *, per_channel: bool = True
) -> NDArray[np.float32]:
    """The nearest weights that so many bits can hold.

    Symmetric: the largest weight is `2**(bits - 1) - 1` steps. With a scale for each output
    channel weights can be rounded before batch normalisation is folded in, because that
    scales whole channels.

    Args:
        kernel: Weights, output channels last, as of `Conv2D` and `Dense`.
        bits: Bits of a weight, sign included.
        per_channel: Whether each output channel has a scale of its own, as convolutions have;
            dense layers of 4 bits have one in all.
    """
    most = 2 ** (bits - 1) - 1
    axes = tuple(range(kernel.ndim - 1)) if per_channel else None
    largest = np.abs(kernel).max(axis=axes, keepdims=True)
    step = np.where(largest > 0, largest, 1.0) / most
    nearest: NDArray[np.float32] = (np.round(kernel / step) * step).astype(np.float32)
    return nearest


class RoundedWeights(keras.callbacks.Callback):
    """Rounds the weights of convolutions and dense layers for as long as a model is tested.

    Training goes on in full precision; scores are those of the weights that a file would
    hold. Depthwise convolutions keep theirs, as in the file.

    Args:
        bits: Bits of a weight.
    """

    def __init__(self, bits: int) -> None:
        super().__init__()
        self.bits = bits
        self._full: list[tuple[Any, NDArray[np.float32]]] = []

    def on_test_begin(self, logs: dict[str, Any] | None = None) -> None:
        for layer in self.model.layers:
            if isinstance(layer, _NARROW):
                full = np.array(keras.ops.convert_to_numpy(layer.kernel))
                per_channel = isinstance(layer, keras.layers.Conv2D)
                layer.kernel.assign(rounded(full, self.bits, per_channel=per_channel))
                self._full.append((layer.kernel, full))

    def on_test_end(self, logs: dict[str, Any] | None = None) -> None:
        for kernel, full in self._full:
            kernel.assign(full)
        self._full = []

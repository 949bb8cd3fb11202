"""What a network costs, known without building it: pure functions of the description.

Parameters and multiply-accumulates are exact for the realised Keras model. Bytes of flash and
of RAM follow from the operators of the int8 file to come (`program`): flash from the layout of
a FlatBuffer, RAM from the layout of an interpreter's memory. All four together take 0.3 to 4
milliseconds; of recurrent networks, in whose files every step counts, 8 and more.
"""

from __future__ import annotations

from collections.abc import Sequence

from edge_devices.memory import memory
from edge_devices.program import Program
from search_spaces.file_size import file_bytes
from search_spaces.lowering import lower
from search_spaces.network import Layer, Network
from search_spaces.operations import OPERATIONS, Shape

__all__ = [
    "costs",
    "flash_bytes",
    "macs",
    "params",
    "program",
    "ram_bytes",
    "trainable_params",
]


def params(network: Network) -> int:
    """Weights of the Keras model, trainable or not: its `count_params()`, exactly."""
    return sum(
        OPERATIONS[record.op].params(dict(record.settings), shapes)
        for record, shapes in _with_input_shapes(network)
    )


def trainable_params(network: Network) -> int:
    """Weights that gradients change: what PyTorch counts, and most papers.

    The moving statistics of batch normalisation, which `params` and Keras count, are left out.
    """
    return params(network) - sum(
        OPERATIONS[record.op].statistics(dict(record.settings), shapes)
        for record, shapes in _with_input_shapes(network)
    )


def macs(network: Network) -> int:
    """Multiply-accumulates for one example: of convolutions, dense layers and the like.

    Those of the Keras layers and those of the operators in the file are the same, but for
    recurrent layers: a file spares the first step's product with a state that is zero.
    """
    return sum(
        OPERATIONS[record.op].macs(dict(record.settings), shapes, record.shape)
        for record, shapes in _with_input_shapes(network)
    )


def program(network: Network) -> Program:
    """The operators of the network's int8 file, with the activations between them.

    It is what a device's costs are functions of. On random members of the spaces it equals
    `edge_devices.flatbuffer.read` of the real file, operator by operator.
    """
    global _latest
    latest = _latest  # another thread may replace it meanwhile
    if latest is None or latest[0] is not network:
        # The costs of a network are asked for one after the other.
        latest = _latest = network, lower(network)
    return latest[1]


_latest: tuple[Network, Program] | None = None


def flash_bytes(network: Network) -> int:
    """Bytes of the int8 `.tflite` file that `tflite_export` writes.

    Weights, biases and scales, and what the file says of itself, of each tensor and of each
    operator: small files are mostly that. Of mobile networks the figure is 0.06 % off in the
    median and 1 % at most, over 200 files that its constants were not fitted to; of the other
    spaces under 1 % in the median and 2.7 % at most, over 8 files each; of networks of an
    operator or two (1 KB) up to 6 %. Layers whose biases are all zero, as untrained ones have
    them, make smaller files: equal vectors are written once.
    """
    return file_bytes(program(network))


def ram_bytes(network: Network) -> int:
    """Bytes of the memory in which TensorFlow Lite Micro runs the int8 file: its arena.

    Activations and what the interpreter keeps, for the 32-bit pointers of a microcontroller:
    the total of `edge_devices.memory.memory`. Of mobile networks it is what follows from the
    real file, to the byte, with activations as the interpreter itself lays them out; of
    networks that concatenate it is 4 % off at most, and for a U-Net up to 19 % too high, where
    a requantization that the description has turns out not to be needed.
    """
    return memory(program(network)).total


def costs(network: Network) -> dict[str, float]:
    """All costs by the names that limits use: `params`, `macs`; `flash` and `ram` in bytes."""
    return {
        "params": params(network),
        "macs": macs(network),
        "flash": flash_bytes(network),
        "ram": ram_bytes(network),
    }


def _with_input_shapes(network: Network) -> list[tuple[Layer, Sequence[Shape]]]:
    layers = network.layers
    return [(record, [layers[i].shape for i in record.inputs]) for record in layers]

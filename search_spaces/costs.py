"""What a network costs, known without building it: pure functions of the description.

Parameters and multiply-accumulates are exact for the realised Keras model. Bytes of flash and
of RAM follow from the operators of the int8 file to come (`program`): flash from the layout of
a FlatBuffer, RAM from the layout of an interpreter's memory. All four together take less than
a millisecond.
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
    operator: small files are mostly that. Over the 60 random members of the mobile space (4 KB
    to 820 KB) and the four networks of MLPerf Tiny that its constants were fitted to, the
    figure is 0.03 % off in the median and 0.3 % at most; over 200 other members 0.06 % and
    1 %; of networks of an operator or two (1 KB) up to 5 %. Layers whose biases are all zero,
    as untrained ones have them, make smaller files: equal vectors are written once.
    """
    return file_bytes(program(network))


def ram_bytes(network: Network) -> int:
    """Bytes of the memory in which TensorFlow Lite Micro runs the int8 file: its arena.

    Activations and what the interpreter keeps, for the 32-bit pointers of a microcontroller:
    the total of `edge_devices.memory.memory`. For the same 64 networks it is what follows from
    the real file, to the byte, with activations as the interpreter itself lays them out.
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

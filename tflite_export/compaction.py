"""The same network in fewer bytes: a file's names dropped, its repetitions shared."""

from __future__ import annotations

from typing import Any

import flatbuffers  # type: ignore[import-untyped]
import numpy as np
from ai_edge_litert import schema_py_generated as schema

__all__ = ["compact", "packed", "self_contained", "unpacked"]

_IDENTIFIER = b"TFL3"
_BUFFER_ALIGNMENT = 16


def compact(content: bytes) -> bytes:
    """Write a `.tflite` file again with nothing in it that the interpreter does not need.

    Two things go. The names of inner tensors, which the converter copies from the layers;
    names of inputs, outputs and signatures stay. And repeated vectors, above all the zero
    points of per-channel weights and biases: eight zero bytes a channel, twice. A
    FlatBuffer may point to one vector from many places, so equal ones are written once.

    Operators, weights and results are unchanged. A third of a small int8 file is saved
    (62,656 to 42,544 bytes for a 24,000-parameter MobileNet), and the size no longer depends
    on what layers are called. Tools that address layers by tensor name need the original.

    Args:
        content: The bytes of a `.tflite` file.

    Returns:
        The bytes of an equivalent file.
    """
    model = unpacked(content)
    for graph in model.subgraphs:
        named = {*graph.inputs, *graph.outputs}
        for index, tensor in enumerate(graph.tensors):
            if index not in named:
                tensor.name = b""
    return packed(model)


def unpacked(content: bytes) -> Any:
    """Read a file into the schema's objects, weights inside of them.

    Files of some hundred kilobytes and more may come with their weights behind the FlatBuffer,
    where microcontrollers do not look for them, and packing would lose them.

    Args:
        content: The bytes of a `.tflite` file.

    Returns:
        A `schema.ModelT`.
    """
    model = schema.ModelT.InitFromObj(schema.Model.GetRootAs(content))
    for buffer in model.buffers:
        if buffer.size:
            behind = content[buffer.offset : buffer.offset + buffer.size]
            buffer.data = np.frombuffer(behind, np.uint8)
            buffer.offset = buffer.size = 0
    return model


def self_contained(content: bytes) -> bytes:
    """The file with all its weights inside of the FlatBuffer; the same bytes if they are."""
    model = schema.Model.GetRootAs(content)
    behind = any(model.Buffers(index).Size() for index in range(model.BuffersLength()))
    return packed(unpacked(content)) if behind else content


def packed(model: Any) -> bytes:
    """Write a file from the schema's objects, equal vectors once and weights aligned.

    Args:
        model: A `schema.ModelT`.

    Returns:
        The bytes of the file.
    """
    builder = _SharingBuilder()
    builder.Finish(model.Pack(builder), file_identifier=_IDENTIFIER)
    return bytes(builder.Output())


class _SharingBuilder(flatbuffers.Builder):
    """A FlatBuffer builder that writes equal strings and equal vectors once."""

    def __init__(self) -> None:
        super().__init__(1024)
        self._written: dict[Any, int] = {}

    def CreateString(self, s: Any, *args: Any, **kwargs: Any) -> int:
        if s not in self._written:
            self._written[s] = super().CreateString(s, *args, **kwargs)
        return self._written[s]

    def CreateNumpyVector(self, x: Any) -> int:
        key = (x.dtype.str, x.tobytes())
        if key not in self._written:
            if x.dtype == np.uint8:
                # Weights: the schema asks for this, Python's generated code forgets it.
                self.Prep(_BUFFER_ALIGNMENT, x.nbytes)
            self._written[key] = super().CreateNumpyVector(x)
        return self._written[key]

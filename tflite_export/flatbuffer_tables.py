"""Tables of a FlatBuffer whose schema has no generated code: written from values, and read."""

from __future__ import annotations

from typing import Any, NamedTuple

import flatbuffers  # type: ignore[import-untyped]
import numpy as np
from flatbuffers import number_types
from flatbuffers.table import Table as Reader  # type: ignore[import-untyped]

__all__ = [
    "Byte",
    "Fields",
    "Table",
    "Unsigned",
    "byte_at",
    "floats_at",
    "pack",
    "root",
    "table_at",
    "tables_at",
    "text_at",
]


class Byte(int):
    """A number in one byte."""


class Unsigned(int):
    """A number in four bytes."""


class Table(NamedTuple):
    """A table of a FlatBuffer: how many slots its schema has, and what is in some."""

    size: int
    fields: Fields


Fields = dict[int, Any]
"""By slot: text, a `Byte`, an `Unsigned`, a list of floats, a `Table`, or a list of them."""


def pack(table: Table, identifier: bytes) -> bytes:
    """Write a table as the root of a FlatBuffer.

    Args:
        table: The root table. Empty texts are left out: readers take an absent one for it.
        identifier: Four bytes that tell the schema.

    Returns:
        The buffer.
    """
    builder = flatbuffers.Builder(512)
    builder.Finish(_written(builder, table), file_identifier=identifier)
    return bytes(builder.Output())


def root(buffer: bytes) -> Reader:
    """The root table of a FlatBuffer, for the functions below to read."""
    return Reader(buffer, flatbuffers.encode.Get(flatbuffers.packer.uoffset, buffer, 0))


def text_at(table: Reader, slot: int) -> str:
    """A text field; empty where the table has none."""
    place = _at(table, slot)
    return table.String(place).decode() if place else ""


def byte_at(table: Reader | None, slot: int) -> int:
    """A field of one byte; 0 where the table has none."""
    place = _at(table, slot)
    return int(table.Get(number_types.Int8Flags, place)) if table and place else 0


def table_at(table: Reader | None, slot: int) -> Reader | None:
    """A table that is a field, or the value of a union."""
    place = _at(table, slot)
    return Reader(table.Bytes, table.Indirect(place)) if table and place else None


def tables_at(table: Reader | None, slot: int) -> list[Reader]:
    """A vector of tables; empty where the table has none."""
    if table is None or not _at(table, slot):
        return []
    offset = table.Offset(4 + 2 * slot)
    start = table.Vector(offset)
    return [
        Reader(table.Bytes, table.Indirect(start + 4 * index))
        for index in range(table.VectorLen(offset))
    ]


def floats_at(table: Reader | None, slot: int) -> list[float]:
    """A vector of float32; empty where the table has none."""
    if table is None or not _at(table, slot):
        return []
    vector = table.GetVectorAsNumpy(number_types.Float32Flags, table.Offset(4 + 2 * slot))
    return [float(number) for number in vector]


def _at(table: Reader | None, slot: int) -> int:
    """Where a field is in the buffer; 0 where the table has none."""
    offset = table.Offset(4 + 2 * slot) if table is not None else 0
    return int(offset + table.Pos) if table is not None and offset else 0


def _written(builder: Any, value: Any) -> int:
    """Write text, numbers, tables or a table, and return where it is in the buffer."""
    if isinstance(value, str):
        return int(builder.CreateString(value))
    if isinstance(value, list):
        if value and isinstance(value[0], Table):
            written = [_written(builder, table) for table in value]
            builder.StartVector(4, len(written), 4)
            for place in reversed(written):
                builder.PrependUOffsetTRelative(place)
            return int(builder.EndVector())
        return int(builder.CreateNumpyVector(np.asarray(value, np.float32)))
    places = {
        slot: _written(builder, field)
        for slot, field in value.fields.items()
        if not isinstance(field, int) and field != ""
    }
    builder.StartObject(value.size)
    for slot, field in value.fields.items():
        if isinstance(field, Byte):
            builder.PrependInt8Slot(slot, field, 0)
        elif isinstance(field, Unsigned):
            builder.PrependUint32Slot(slot, field, 0)
        elif slot in places:
            builder.PrependUOffsetTRelativeSlot(slot, places[slot], 0)
    return int(builder.EndObject())

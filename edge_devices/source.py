"""Files given by path or by their bytes."""

from __future__ import annotations

import os
from pathlib import Path

__all__ = ["Source", "content_of"]

Source = str | os.PathLike[str] | bytes
"""A path, or the bytes themselves."""


def content_of(source: Source) -> bytes:
    """The bytes of a `.tflite` file.

    Raises:
        ValueError: If it is no such file, by the mark that all of them carry.
        OSError: If a path cannot be read.
    """
    if isinstance(source, bytes | bytearray | memoryview):
        content = bytes(source)
    else:
        content = Path(source).read_bytes()
    if content[4:8] != b"TFL3":
        raise ValueError(
            f"This is not a .tflite file. Received: {len(content):,} bytes that begin with "
            f"{content[:8]!r}. Pass the path or the bytes of a TensorFlow Lite model."
        )
    return content

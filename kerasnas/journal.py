"""The durable record of a search: one line of JSON per event, on disk before it counts."""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

__all__ = ["Event", "Journal", "write_atomically"]

Event = dict[str, Any]


class Journal:
    """An append-only file of events that a crash at any moment leaves readable.

    A record counts once its whole line is on the disk. A last record without its end, which
    is what a kill or a power cut in the middle of `append` leaves, never happened: `read`
    leaves it out and the next `append` cuts it off. Many may read, one process may write.

    Args:
        path: The file. It is created, with its folder, by the first `append`.
    """

    def __init__(self, path: str | os.PathLike[str]):
        self.path = Path(path)
        self._lock = threading.Lock()
        self._ends_cleanly = False  # until this process has looked at the end, or written it

    def append(self, event: Mapping[str, Any]) -> None:
        """Write one event and wait until it is on the disk.

        Args:
            event: What happened, in types that JSON knows; by convention `"event"` names the
                kind. The record also gets `"time"`, the seconds since the epoch.
        """
        record = json.dumps({**event, "time": round(time.time(), 3)}) + "\n"
        with self._lock:
            if not self._ends_cleanly:
                self._cut_torn_record()
            self._ends_cleanly = False  # a write that fails halfway (disk full) tears too
            with self.path.open("ab") as file:
                file.write(record.encode())
                file.flush()
                os.fsync(file.fileno())
            self._ends_cleanly = True

    def read(self) -> list[Event]:
        """Return all events, oldest first; none if nothing was written yet.

        Raises:
            ValueError: If a record other than the last cannot be read.
        """
        return self._parse()[0]

    def _parse(self) -> tuple[list[Event], int]:
        """Return all events and the number of bytes they take."""
        content = self.path.read_bytes() if self.path.exists() else b""
        events, size = [], 0
        for number, line in enumerate(content.splitlines(keepends=True), start=1):
            event = _event(line)
            if event is None and size + len(line) < len(content):
                raise ValueError(
                    "The journal of this search is damaged: only its last record may be torn. "
                    f"Received: line {number} of {self.path}: {line[:80]!r}. Restore the "
                    "file, delete that line to go on without it, or pass `overwrite=True` to "
                    "start over."
                )
            if event is not None:
                events.append(event)
                size += len(line)
        return events, size

    def _cut_torn_record(self) -> None:
        if not self.path.exists():
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self.path.touch()
            _sync_folder(self.path.parent)
        else:
            _, size = self._parse()
            if size < self.path.stat().st_size:
                os.truncate(self.path, size)


def write_atomically(path: str | os.PathLike[str], text: str) -> None:
    """Replace a file's text so that a crash leaves the old text or the new, never a part.

    Args:
        path: The file; its folder is created if needed. One writer at a time.
        text: The new content.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.tmp")
    with temporary.open("w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    os.replace(temporary, path)


def _event(line: bytes) -> Event | None:
    """Return the event on a line, `None` if the line is not a whole record."""
    if not line.endswith(b"\n"):
        return None
    try:
        event = json.loads(line)
    except ValueError:
        return None
    return event if isinstance(event, dict) else None


def _sync_folder(folder: Path) -> None:
    """Put a new file's name on the disk, where the system can sync folders."""
    if hasattr(os, "O_DIRECTORY"):
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

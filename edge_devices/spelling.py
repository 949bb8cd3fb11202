"""What somebody may have meant who misspelt a name."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

__all__ = ["did_you_mean"]


def did_you_mean(received: object, known: Iterable[str]) -> str:
    """A question with the nearest of the `known` names, or nothing where none is near.

    It ends in a space, to go before the rest of a message.
    """
    nearest = difflib.get_close_matches(str(received).lower(), list(known), n=1, cutoff=0.5)
    return f"Did you mean {nearest[0]!r}? " if nearest else ""

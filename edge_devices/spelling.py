"""What somebody may have meant who misspelt a name."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import Any

__all__ = ["did_you_mean", "unknown"]


def did_you_mean(received: object, known: Iterable[str]) -> str:
    """A question with the nearest of the `known` names, or nothing where none is near.

    It ends in a space, to go before the rest of a message.
    """
    nearest = difflib.get_close_matches(str(received).lower(), list(known), n=1, cutoff=0.5)
    return f"Did you mean {nearest[0]!r}? " if nearest else ""


def unknown(what: str, received: Any, known: Iterable[str]) -> ValueError:
    """The error of a name that is none of the known ones.

    Args:
        what: What is named, the argument.
        received: The name.
        known: Those there are.
    """
    known = list(known)
    return ValueError(
        f"Unknown {what}. Received: {what}={received!r}. {did_you_mean(received, known)}"
        f"Known: {', '.join(map(repr, known))}."
    )

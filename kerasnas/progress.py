"""What a search says while it runs: one live table, or plain lines without a terminal."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.console import Console
from rich.live import Live
from rich.table import Table

from edge_devices.units import format_cost
from kerasnas.budget import Budget
from kerasnas.limits import format_duration

__all__ = ["Progress"]

_SHOWN = 8  # latest trials in the live table


class Progress:
    """Shows trials as they end, the best so far, and the time.

    On a terminal a table is kept up to date; elsewhere (a log file, a pipe) each event is one
    line. Nothing here influences a search.

    Args:
        objective: Name of the score.
        direction: `"max"` or `"min"`: which score is better.
        max_trials: Trials at most, or `None`.
        budget: The time of the search.
        verbose: 0 is silent; 1 shows all.
        console: Where to write; standard output by default.
    """

    def __init__(
        self,
        objective: str,
        direction: str,
        max_trials: int | None,
        budget: Budget,
        *,
        verbose: int = 1,
        console: Console | None = None,
    ) -> None:
        self.objective = objective
        self.max_trials = max_trials
        self.budget = budget
        self.best: float | None = None
        self._better = max if direction == "max" else min
        self._console = console or Console(quiet=not verbose, highlight=False, soft_wrap=True)
        self._rows: list[tuple[str, ...]] = []
        self._live: Live | None = None
        self._now = ""

    def __enter__(self) -> Progress:
        if self._console.is_terminal and not self._console.quiet:
            self._live = Live(console=self._console, get_renderable=self._table)
            self._live.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._now = ""
        if self._live is not None:
            self._live.stop()
            self._live = None

    def say(self, text: str) -> None:
        """Print one line, above the table where there is one."""
        self._console.print(text, markup=False)

    def stage(self, text: str) -> None:
        """Name what is going on now."""
        self._now = text
        if self._live is None:
            self.say(text)

    def trial_started(self, number: int) -> None:
        """Show that a trial runs."""
        self._now = f"trial {number}{self._of()} runs"

    def trial_ended(
        self, number: int, score: float | None, costs: Mapping[str, float], seconds: float
    ) -> None:
        """Show how a trial ended: its score (`None` when it failed), costs and seconds."""
        if score is not None:
            self.best = score if self.best is None else self._better(self.best, score)
        self._now = ""
        size = format_cost("flash", costs["flash"]) if "flash" in costs else ""
        row = (
            f"{number}{self._of()}",
            "failed" if score is None else f"{score:.4f}",
            "" if self.best is None else f"{self.best:.4f}",
            size,
            format_duration(seconds),
            format_duration(self.budget.spent),
            self._left(),
        )
        self._rows.append(row)
        if self._live is None:
            shown = f"trial {row[0]}  {self.objective} {row[1]}  best {row[2]}"
            shown += f"  size {size}" if size else ""
            self.say(f"{shown}  took {row[4]}  spent {row[5]}{row[6] and '  left ' + row[6]}")

    def _of(self) -> str:
        return f"/{self.max_trials}" if self.max_trials else ""

    def _left(self) -> str:
        if self.budget.max_time is None:
            return ""
        return format_duration(max(0.0, self.budget.max_time - self.budget.spent))

    def _table(self) -> Any:
        table = Table(title=self._now or None, title_justify="left")
        for column in ("trial", self.objective, "best", "size", "took", "spent", "left"):
            table.add_column(column, justify="right")
        for row in self._rows[-_SHOWN:]:
            table.add_row(*row)
        return table

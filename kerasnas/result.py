"""The result of a search, read from its folder: finished, interrupted or still running."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import keras
import numpy as np

from kerasnas import model_files
from kerasnas.journal import Journal
from kerasnas.normalization import FUSED_NAME
from kerasnas.oracles.pareto import nondominated
from kerasnas.tasks import restored
from search_spaces.task import Task
from search_spaces.waveform import Waveform

if TYPE_CHECKING:
    from kerasnas.evaluation import Evaluation
    from kerasnas.examples import Examples

__all__ = ["FILE", "JOURNAL", "MODEL", "SearchResult", "TrialRecord"]

JOURNAL = "journal.jsonl"
MODEL = "model.keras"
FILE = "model.tflite"
ARCHITECTURE = "architecture.json"
CHECKPOINT = "checkpoint.weights.h5"  # KerasTuner's name
PAUSED = "paused.weights.h5"


# Settings of a search with which other examples are read too.
_READ_WITH = ("layout", "class_names", "image_size", "sequence_length", "vocabulary")


@dataclasses.dataclass(frozen=True)
class TrialRecord:
    """One trial, as the journal has it.

    Attributes:
        trial_id: Its name, and that of its folder `trial_{trial_id}`.
        values: Its decisions.
        costs: What it costs without training; empty for a foreign `HyperModel`.
        status: `"COMPLETED"`, `"FAILED"`, or `"RUNNING"` when it has not ended.
        score: Value of the (first) objective, or `None`.
        losses: Values of all objectives, signed so that less is better; empty before it is
            complete.
        seconds: How long it took, or `None`.
        message: Why it failed, or `None`.
        parent: The trial that it was made from, by methods that work so.
        reached: The loss by level, such as the number of epochs, where candidates are trained
            for different lengths.
    """

    trial_id: str
    values: Mapping[str, Any]
    costs: Mapping[str, float]
    status: str = "RUNNING"
    score: float | None = None
    losses: tuple[float, ...] = ()
    seconds: float | None = None
    message: str | None = None
    parent: str | None = None
    reached: Mapping[float, float] = dataclasses.field(default_factory=dict)

    @property
    def level(self) -> float | None:
        """How far it was trained; `None` where all are trained alike."""
        return max(self.reached, default=None)


class SearchResult:
    """What a search found.

    Args:
        folder: The search's folder, which holds its journal.

    Raises:
        FileNotFoundError: If the folder holds no search.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        self._events = Journal(self.folder / JOURNAL).read()
        if not self._events:
            found = (
                sorted(p.name for p in self.folder.glob("*")) if self.folder.exists() else []
            )
            raise FileNotFoundError(
                f"There is no search in this folder. Received: {self.folder}, which "
                f"{f'holds {found[:5]}' if found else 'is empty or does not exist'}. Pass the "
                "`directory` and `project_name` that the search was given."
            )

    @property
    def objective(self) -> tuple[str, str]:
        """Name and direction (`"max"` or `"min"`) of the score."""
        header = self._last("search") or self.settings
        return str(header["objective"]), str(header["direction"])

    @property
    def settings(self) -> dict[str, Any]:
        """What `kerasnas.search` was asked for; empty for a bare tuner's search."""
        return dict((self._last("session") or {}).get("settings", {}))

    @property
    def task(self) -> Task | None:
        """What the networks answer; `None` for a bare tuner's search."""
        return restored(self.settings.get("task") or {})

    @property
    def preprocessing(self) -> Any:
        """What makes texts and columns by name into what the model and its file take.

        `preprocessing(x)` gives arrays; of several inputs a dictionary of such by name; `None`
        where inputs are taken as they come. Each is kept in the folder as a stock Keras model
        and as JSON.
        """
        from kerasnas.preprocessing import load  # brings TensorFlow

        layout = self.settings.get("layout")
        names = [f"preprocessing_{n}" for n in layout] if isinstance(layout, dict) else []
        found = {
            name: load(self.folder, name)
            for name in [*names, "preprocessing"]
            if (self.folder / f"{name}.json").exists()
        }
        if "preprocessing" in found:
            return found["preprocessing"]
        return {n.removeprefix("preprocessing_"): one for n, one in found.items()} or None

    @property
    def winner(self) -> dict[str, Any] | None:
        """What is known of the network that won, or `None` before the search is finished."""
        finished = self._last("finished")
        return None if finished is None else dict(finished["answer"])

    @property
    def answer(self) -> dict[str, Any] | None:
        """Likewise of the network returned last: the winner, or the best when interrupted."""
        returned = self._last("finished", "interrupted")
        return None if returned is None else dict(returned["answer"])

    @property
    def budgeted(self) -> dict[str, Any]:
        """The `max_trials` and `max_time` under which the search was finished."""
        return dict((self._last("finished") or {}).get("budgeted", {}))

    @property
    def trials(self) -> list[TrialRecord]:
        """All trials in the order in which they were proposed."""
        records: dict[str, TrialRecord] = {}
        for event in self._events:
            if event["event"] == "created":
                records[event["trial"]] = TrialRecord(
                    event["trial"],
                    event["values"],
                    event.get("costs") or {},
                    parent=event.get("parent"),
                )
            elif event["event"] == "ended":
                records[event["trial"]] = dataclasses.replace(
                    records[event["trial"]],
                    status=event["status"],
                    score=event["score"],
                    values=event["values"],
                    losses=tuple(event.get("losses") or self._loss_of(event["score"])),
                    seconds=event.get("seconds"),
                    message=event["message"],
                    reached=dict((event.get("training") or {}).get("losses") or ()),
                )
        return list(records.values())

    def _loss_of(self, score: float | None) -> tuple[float, ...]:
        """The only loss of a trial, where an older journal does not say."""
        sign = -1.0 if self.objective[1] == "max" else 1.0
        return () if score is None else (sign * score,)

    def leaderboard(self) -> list[TrialRecord]:
        """The completed trials, best first; of equal scores the earlier one."""
        sign = -1 if self.objective[1] == "max" else 1
        completed = [t for t in self.trials if t.status == "COMPLETED" and t.score is not None]
        return sorted(completed, key=lambda t: sign * (t.score or 0.0))

    def pareto_front(self) -> list[TrialRecord]:
        """The completed trials that no other dominates, the best of the first objective first.

        With a single objective, the best one and its equals.
        """
        ranked = self.leaderboard()
        if not ranked:
            return []
        kept = nondominated(np.array([trial.losses for trial in ranked]))
        return [trial for trial, on in zip(ranked, kept, strict=True) if on]

    def best_model(self) -> keras.Model:
        """The model the search returned; before its end, the best trial's.

        The best trial's model has the weights of its best epoch and is not compiled.

        Raises:
            LookupError: If no trial has completed yet.
        """
        if (self.folder / MODEL).exists():
            described = ":" in str(self.settings.get("space"))
            return model_files.load(self.folder / MODEL, self.task if described else None)
        ranked = self.leaderboard()
        if not ranked:
            raise LookupError(
                f"No trial of this search has completed yet. Received: {len(self.trials)} "
                f"trials in {self.folder}. Continue the search first."
            )
        folder = self.folder / f"trial_{ranked[0].trial_id}"
        # Training has a faster normalisation, which the stock layer stands in for.
        model = keras.models.model_from_json(
            (folder / ARCHITECTURE).read_text(), {FUSED_NAME: keras.layers.BatchNormalization}
        )
        paused = folder / PAUSED  # of a trial that is being trained on
        model.load_weights(paused if paused.exists() else folder / CHECKPOINT)
        return model

    def read(self, data: Any, **settings: Any) -> Examples:
        """Read examples as the search read its own, such as those of a test part.

        Args:
            data: As of `kerasnas.search`.
            **settings: Others of `kerasnas.data.read` than the search knows, e.g. `steps`, or
                instead of what it knows.

        Raises:
            ValueError: If examples have another shape than those of the search.
        """
        from kerasnas.data import read  # brings TensorFlow

        known = self.settings
        kept: dict[str, Any] = {name: known.get(name) for name in _READ_WITH}
        if kept["image_size"] is not None:
            kept["image_size"] = tuple(kept["image_size"])
        examples = read(
            data, task=self.task, preprocessing=self.preprocessing, **(kept | settings)
        )
        _check_shape(examples.x.example_shape, known.get("input_shape"))
        return examples

    def exported(self, model: keras.Model) -> tuple[keras.Model | None, keras.Model]:
        """What of the search's model runs before its file, if anything, and what is in it."""
        outside = self.settings.get("front_end") == "outside"
        return Waveform.split(model) if outside else (None, model)

    def file(self) -> bytes | None:
        """The winner's file; `None` before the search is finished, or if there is none."""
        path = self.folder / FILE
        return path.read_bytes() if path.exists() else None

    def evaluate(self, test_data: Any, train_data: Any = None, **settings: Any) -> Evaluation:
        """Judge the model, its file and a plain method on examples the search has not seen.

        Args:
            test_data: As of `kerasnas.search`, with labels.
            train_data: What the search was given, for the plain method of the task to learn
                from: see `kerasnas.baselines.baseline`. `None` leaves it out.
            **settings: Others of `kerasnas.data.read`, e.g. `image_size`.

        Returns:
            The scores of the task by `"model"`, `"file"` and `"baseline"`; printed, a table.
            Before the end of the search those of the best trial's model alone.

        Raises:
            LookupError: If no trial has completed yet.
            ValueError: If the data are not like those of the search, or its networks are of no
                search space, so that the form of their answers is not known.
        """
        from kerasnas.evaluation import evaluate  # brings TensorFlow

        test = self.read(test_data, **settings)
        train = None if train_data is None else self.read(train_data, **settings)
        return evaluate(self, test, train)

    def spent(self) -> float:
        """Seconds that searching took so far, over all sessions."""
        total = 0.0
        start = last = None
        for event in self._events:
            if event["event"] == "session":
                total += 0.0 if start is None or last is None else last - start
                start = event["time"]
            last = event["time"]
        return total + (0.0 if start is None or last is None else last - start)

    def __str__(self) -> str:
        name = self.objective[0]
        lines = [f"{len(self.trials)} trials in {self.folder}"]
        for rank, trial in enumerate(self.leaderboard()[:10], start=1):
            decisions = json.dumps(dict(trial.values))
            level = "" if trial.level is None else f" at {trial.level:g}"
            lines.append(
                f"{rank:3d}. {name} {trial.score:.4f}{level}  {trial.trial_id}  {decisions}"
            )
        return "\n".join(lines)

    def _last(self, *kinds: str) -> dict[str, Any] | None:
        return next((dict(e) for e in reversed(self._events) if e["event"] in kinds), None)


def _check_shape(received: Any, known: Any) -> None:
    """Refuse examples of another shape than networks were made for."""
    found = json.loads(json.dumps(received))
    if known is not None and found != known:
        raise ValueError(
            "Examples must have the shape of those that the search was given. Received: "
            f"{found}, where the search had {known}. Pass `image_size=(height, width)` for "
            "images and `sequence_length` for sequences."
        )

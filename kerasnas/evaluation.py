"""What a network, its file and a plain method are worth on examples none of them has seen."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from kerasnas.baselines import baseline
from kerasnas.scoring import outputs_of, part_to_judge, through
from tflite_export.interpreter import TFLiteModel

if TYPE_CHECKING:
    from kerasnas.examples import Examples
    from kerasnas.result import SearchResult

__all__ = ["Evaluation", "evaluate"]


@dataclasses.dataclass(frozen=True)
class Evaluation(Mapping[str, Mapping[str, float]]):
    """Scores by name, of up to three that answered the same examples; it prints as a table.

    `evaluation["file"]["accuracy"]` is a number; names are `model`, `file` and `baseline`,
    of which those are there that have been asked.

    Attributes:
        examples: How many were answered.
        measure: The score by which the task compares a file with its model.
        model: Scores of the Keras model.
        file: Those of its file, run by LiteRT; `None` if the model makes none.
        baseline: Those of the plain method; `None` if there was nothing to learn from.
        baseline_name: What that method is.
    """

    examples: int
    measure: str
    model: Mapping[str, float]
    file: Mapping[str, float] | None = None
    baseline: Mapping[str, float] | None = None
    baseline_name: str = ""

    def __getitem__(self, name: str) -> Mapping[str, float]:
        return self._asked[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._asked)

    def __len__(self) -> int:
        return len(self._asked)

    @property
    def _asked(self) -> dict[str, Mapping[str, float]]:
        every = {"model": self.model, "file": self.file, "baseline": self.baseline}
        return {name: scores for name, scores in every.items() if scores is not None}

    def __str__(self) -> str:
        called = {
            "model": "Keras model",
            "file": "its .tflite file",
            "baseline": self.baseline_name,
        }
        others = [name for name in self.model if name != self.measure]
        columns = [self.measure, *others]
        title = f"{self.examples:,} examples"
        width = max(len(title), *(len(called[name]) for name in self))
        lines = [f"{title:<{width}}" + "".join(f"  {name:>10}" for name in columns)]
        for name, scores in self.items():
            told = (f"{scores[c]:.4g}" if c in scores else "" for c in columns)
            cells = (
                f"{text:>{max(10, len(c))}}" for c, text in zip(columns, told, strict=True)
            )
            lines.append("  ".join([f"{called[name]:<{width}}", *cells]))
        return "\n".join(lines)


def evaluate(
    result: SearchResult, test: Examples, train: Examples | None = None
) -> Evaluation:
    """Judge what a search returned; see `SearchResult.evaluate`.

    Args:
        result: The search.
        test: What is answered, read as the search read its own examples.
        train: What the plain method learns from, likewise; `None` leaves it out.

    Raises:
        LookupError: If no trial has completed yet.
        ValueError: If the networks are of no search space, whose answers have any form.
    """
    task, settings = result.task, result.settings
    # Of a foreign function or hypermodel there is the name alone, without decisions.
    if task is None or ":" not in str(settings.get("space")):
        raise ValueError(
            "Answers are judged where their form is known, that of a search space. Received: "
            f"space={settings.get('space')} in {result.folder}. Judge the model by its own "
            "`evaluate`, and its file by `tflite_export.verify`."
        )
    model = result.best_model()
    part = part_to_judge(test, model.output_shape)
    file = plain = None
    name = ""
    if (content := result.file()) is not None:
        front, _ = result.exported(model)
        answers = TFLiteModel(content).predict(through(front, part).x[:])
        file = task.scores(part.y, answers)
    if train is not None:
        method = baseline(task, settings["layout"], seed=settings.get("seed"))
        method.fit(_whole(train), train.y)
        name, plain = method.name, task.scores(part.y, method.predict(_whole(part)))
    return Evaluation(
        examples=len(part),
        measure=task.measure,
        model=task.scores(part.y, outputs_of(model, part)),
        file=file,
        baseline=plain,
        baseline_name=name,
    )


def _whole(examples: Examples) -> Any:
    return examples.x[:]

"""From the best candidates of a search to one trained network.

Looks rank candidates; here the best few are trained fully, quantized and measured as files,
the best one wins by its *int8* score, and the winner is trained once more on the training and
the validation part together.
"""

from __future__ import annotations

import copy
import dataclasses
import itertools
import math
import tempfile
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np

import tflite_export
from edge_devices import flatbuffer
from edge_devices.device import Device
from edge_devices.units import format_cost
from kerasnas.budget import Budget
from kerasnas.costs import exceeded
from kerasnas.data import Data
from kerasnas.examples import Examples
from kerasnas.progress import Progress
from kerasnas.scoring import metric_of, outputs_of, part_to_judge, served, through
from kerasnas.training import Recipe, TimeLimit, Trained, batch_size, full
from search_spaces.space import WEIGHT_BITS, SearchSpace
from search_spaces.task import Classification
from tflite_export.report import Remedy
from tflite_export.verification import decision

__all__ = ["Final", "Finalist"]

_CALIBRATED_ON = 256
_JUDGED_ON = 5_000
_JUDGED_BATCH = 256
_WATCHED = 2_000  # validation examples that early stopping goes by
_LEAST_PATIENCE = 5  # epochs
_LEAST_EPOCHS = 0.3  # of a last training on all examples
_FEW_EPOCHS = 8
# A last training that ends this much under the finalist it repeats has gone wrong: it has
# even seen the examples it is judged on.
_TOLERANCE = 0.02
_MENDING = 20.0  # seconds that must be left for remedies that need no training
_TUNING = 60.0  # seconds that must be left for training on with rounding
_ORDINALS = ("", "first", "second", "third")


@dataclasses.dataclass(frozen=True)
class Finalist:
    """A candidate that was trained fully.

    Attributes:
        trial: KerasTuner's trial it comes from.
        model: The trained model, compiled.
        scores: Scores of the task on the validation part, `val_accuracy` for one, and those
            of the file, `val_accuracy_int8`, where the model converts.
        file: The int8 `.tflite`, or `None` where the model does not convert.
        refitted: Whether it learned from the validation part too; `scores` are then those
            from before.
        remedies: What was tried because the file was too inaccurate.
        drop: How much worse this very file is than this very model on the validation part, by
            the measure of the task, as a share; `None` where that cannot be told.
    """

    trial: Any
    model: keras.Model
    scores: Mapping[str, float]
    file: bytes | None
    refitted: bool = False
    remedies: tuple[Remedy, ...] = ()
    drop: float | None = None


@dataclasses.dataclass(frozen=True)
class Final:
    """The last part of a search: chooses among its best candidates.

    Args:
        space: A `SearchSpace` or any `keras_tuner.HyperModel`.
        data: The problem; its validation part decides.
        objective: KerasTuner's objective.
        limits: Upper bounds, checked on the file itself.
        budget: How much time is left.
        progress: Where to report.
        recipe: Settings of every training.
        load: The model of a trial as the search trained it, compiled.
        epochs: Epochs of each training, or `None` for as many as the data deserve.
        callbacks: Keras callbacks for each training.
        device: What the network is for; it says in which format. `None` is int8, anywhere.
        max_accuracy_drop: How much worse than its model a file may be before remedies are
            tried, by the measure of the task; `None` takes it as it is.
        on_finalist: Called with each finalist when it is trained, so that none is lost when
            what follows is interrupted.
    """

    space: Any
    data: Data
    objective: Any
    limits: Mapping[str, float]
    budget: Budget
    progress: Progress
    recipe: Mapping[str, Any]
    load: Callable[[Any], keras.Model]
    epochs: int | None = None
    callbacks: Sequence[keras.callbacks.Callback] = ()
    device: Device | None = None
    max_accuracy_drop: float | None = 0.01
    on_finalist: Callable[[Finalist], None] = lambda finalist: None

    def choose(self, ranked: Sequence[Any], seconds_per_image: float) -> Finalist | None:
        """Train the best few, keep the best, and train it on everything.

        Args:
            ranked: Completed trials, best first.
            seconds_per_image: What training on one image once takes.

        Returns:
            The winner; `None` if no candidate's file keeps the limits.
        """
        entrants = self._entrants(ranked)
        train = self.data.train
        epochs = self.epochs or full(len(train)).epochs
        count, affordable = self.budget.finalists(epochs, seconds_per_image * len(train))
        finalists: list[Finalist] = []
        for number, trial in enumerate(itertools.islice(entrants, count), start=1):
            finalists.append(self._finalist(trial, number, affordable))
            self.on_finalist(finalists[-1])
        if not finalists:
            return None
        finalists.sort(key=self.rank)
        winner = self._refit(finalists[0], affordable, seconds_per_image)
        ranking = [winner, *finalists] if winner is not None else finalists
        chosen = next((each for each in ranking if not self._refused(each.file)), None)
        return chosen if chosen is None else self._mended(chosen)

    def _mended(self, finalist: Finalist) -> Finalist:
        """A finalist whose file is as accurate as its model, as far as remedies bring it."""
        limit = self.max_accuracy_drop
        if limit is None or finalist.drop is None or finalist.drop <= limit:
            return finalist
        if self.budget.left < _MENDING:
            self.progress.say("the file is too inaccurate, and no time is left to mend it")
            return finalist
        self.on_finalist(finalist)
        self.progress.stage("the file is too inaccurate: trying remedies")
        try:
            return self._remedied(finalist, limit)
        except Exception as error:
            # Whatever goes wrong here, a trained model and its file are there already.
            self.progress.say(f"the file cannot be mended: {error}")
            return finalist

    def _remedied(self, finalist: Finalist, limit: float) -> Finalist:
        front, network = self._exported(finalist.model)
        train, part = self.data.train, self._judged_on(finalist.model)
        samples = through(front, train.stratified_subset(4 * _CALIBRATED_ON, 0))
        judged = through(front, part)
        options: dict[str, Any] = {}
        if front is None and self.budget.left > _TUNING:
            options["fine_tuning_data"] = served(
                train, batch_size(len(train), self._task), self._task
            )
        if self._is_described:
            options["metric"] = metric_of(self._task)
            options["metric_name"] = self._task.measure
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "model.tflite"
            try:
                report = tflite_export.export(
                    network,
                    path,
                    self._format(finalist.trial),
                    samples.x[:],
                    validation_data=(
                        judged.x[:],
                        part.y if self._is_described else part.strata,
                    ),
                    num_calibration=_CALIBRATED_ON,
                    max_accuracy_drop=limit,
                    allow_float=self.device is None or self.device.npu is None,
                    mixed=self._mixed or None,
                    **options,
                )
            except tflite_export.AccuracyDropError as error:
                report = error.report
                warnings.warn(str(error), stacklevel=2)
            file = path.read_bytes()
        remedies = report.remedies
        for remedy in remedies:
            self.progress.say(str(remedy))
        if refused := self._refused(file):
            self.progress.say(f"the mended file is not taken: {refused}")
            return dataclasses.replace(finalist, remedies=remedies)
        if self._is_described:
            told = self._scores(
                finalist.model, self._answers(file, finalist.model, part), part
            )
            mine = self._scores(finalist.model, outputs_of(finalist.model, part), part)
        else:
            told, mine = ({"accuracy": a or 0.0} for a in _accuracies(report))
        scores = dict(finalist.scores)
        if not finalist.refitted:  # else the model has learned what it would be judged on
            scores |= {f"val_{name}_{self._quantization}": v for name, v in told.items()}
        drop = mine[self._measure] - told[self._measure]
        return dataclasses.replace(
            finalist, file=file, scores=scores, remedies=remedies, drop=drop
        )

    @property
    def _task(self) -> Any:
        return self.data.task

    @property
    def _is_described(self) -> bool:
        """Whether models answer in the form of the task, as those of our spaces do."""
        return isinstance(self.space, SearchSpace)

    @property
    def _measure(self) -> str:
        return str(self._task.measure)

    @property
    def _mixed(self) -> dict[str, str]:
        """Layers that keep a precision of their own in a file."""
        return dict(getattr(self.space, "mixed", {}))

    def _exported(self, model: keras.Model) -> tuple[keras.Model | None, keras.Model]:
        """What runs before the file, if anything, and what the file is made of."""
        return self.space.exported(model) if self._is_described else (None, model)

    def _judged_on(self, model: keras.Model) -> Examples:
        shape = getattr(model, "output_shape", None)
        return part_to_judge(self.data.validation, shape, _JUDGED_ON)

    def _answers(self, file: bytes, model: keras.Model, part: Examples) -> Any:
        front, _ = self._exported(model)
        return tflite_export.TFLiteModel(file).predict(through(front, part).x[:])

    @property
    def _quantization(self) -> str:
        return "int8" if self.device is None else self.device.quantization

    def _format(self, trial: Any) -> str:
        narrow = trial.hyperparameters.values.get(WEIGHT_BITS) == 4
        return "int4" if narrow else self._quantization

    def rank(self, finalist: Finalist) -> tuple[float, float]:
        """Lower is better: by the objective of the int8 file where the file tells it.

        A loss that cannot be told from answers is stood in for by the measure of the task. Of
        equals, such as the accuracies of few examples often are, the lower loss is better.
        """
        name, sign = str(self.objective.name), 1.0
        if self.objective.direction == "max":
            sign = -1.0
        scores = finalist.scores
        measured = f"val_{self._measure}_{self._quantization}"
        if f"{name}_{self._quantization}" in scores:
            name = f"{name}_{self._quantization}"
        elif name == "val_loss" and measured in scores:
            name, sign = measured, -1.0
        loss = scores.get(f"val_loss_{self._quantization}", scores.get("val_loss", math.inf))
        return sign * float(scores.get(name, finalist.trial.score)), float(loss)

    def _finalist(self, trial: Any, number: int, epochs: int) -> Finalist:
        if self.epochs is not None or epochs == 0:
            # Trained as long as asked for already, or no time to train it longer.
            return self._judged(trial, self.load(trial))
        self.progress.stage(f"training the {_ORDINALS[number]} of the best, {epochs} epochs")
        watched = self.data.validation.stratified_subset(_WATCHED, 0)
        return self._train(trial, epochs, self.data.train, watched)

    def _refit(
        self, finalist: Finalist, epochs: int, seconds_per_image: float
    ) -> Finalist | None:
        """The finalist trained on with all examples; `None` if time or success is lacking."""
        everything = self.data.merge()
        wanted = self.epochs or full(len(everything)).epochs
        possible = self.budget.final_epochs(wanted, seconds_per_image * len(everything))
        # A much shorter training would lose more than the added examples bring.
        if possible < max(_LEAST_EPOCHS, 0.6 * epochs):
            return None
        self.progress.stage(f"training the best on all examples, {possible:.3g} epochs")
        refit = self._train(finalist.trial, possible, everything, None, finalist.model)
        lost_its_file = finalist.file is not None and refit.file is None
        if lost_its_file or self._loss(refit) > self._loss(finalist) + _TOLERANCE:
            self.progress.say("training on all examples went worse: the finalist is kept")
            return None
        return dataclasses.replace(refit, refitted=True, scores=finalist.scores)

    def _train(
        self,
        trial: Any,
        passes: float,
        train: Examples,
        validation: Examples | None,
        start: keras.Model | None = None,
    ) -> Finalist:
        hp = trial.hyperparameters
        epochs, share = max(1, int(passes)), 1.0
        if passes < _FEW_EPOCHS and self._is_described:  # what is left of one counts
            epochs = math.ceil(passes)
            share = passes / epochs
        recipe = Recipe(
            epochs,
            batch_size(len(train), self._task),
            share=share,
            patience=max(_LEAST_PATIENCE, epochs // 4),
            **self.recipe,
        )
        trained = Trained(self.space, recipe, self._task)
        model = trained.build(hp)
        if start is not None:
            model.set_weights(start.get_weights())
        callbacks = [*copy.deepcopy(list(self.callbacks)), TimeLimit(self.budget.left)]
        trained.fit(hp, model, train, validation, callbacks=callbacks)
        return self._judged(trial, trained.ready(hp, model))

    def _judged(self, trial: Any, model: keras.Model) -> Finalist:
        part = self._judged_on(model)
        told: dict[str, float] = {}
        if self._is_described:
            told = self._scores(model, outputs_of(model, part), part)
        scores = {f"val_{name}": value for name, value in told.items()}
        if "loss" not in told:
            batches = served(part, _JUDGED_BATCH, self._task)
            evaluated = model.evaluate(batches, verbose=0, return_dict=True)
            scores = {f"val_{name}": float(v) for name, v in evaluated.items()} | scores
        file = self._file(trial, model)
        drop = None
        if file is not None and (self._is_described or "val_accuracy" in scores):
            quantized = self._scores(model, self._answers(file, model, part), part)
            scores |= {f"val_{n}_{self._quantization}": v for n, v in quantized.items()}
            if self._measure in quantized and f"val_{self._measure}" in scores:
                drop = scores[f"val_{self._measure}"] - quantized[self._measure]
        return Finalist(trial, model, scores, file, drop=drop)

    def _scores(self, model: keras.Model, outputs: Any, part: Examples) -> dict[str, float]:
        """Scores of answers, those of a model or of its file."""
        if self._is_described:
            return dict(self._task.scores(part.y, outputs))
        decide = decision(model, outputs.shape)
        if decide is None or not isinstance(self._task, Classification):
            return {}
        return {"accuracy": float(np.mean(decide(outputs).ravel() == part.strata))}

    def _entrants(self, ranked: Sequence[Any]) -> Iterator[Any]:
        """The trials whose network, as far as trained, makes a file within the limits."""
        if not self.limits and self.device is None:
            yield from ranked
            return
        for trial in ranked:
            refused = self._refused(self._file(trial, self.load(trial)))
            if refused:
                self.progress.say(f"trial {trial.trial_id} is left out: {refused}")
            else:
                yield trial

    def _refused(self, file: bytes | None) -> str:
        """Why a file may not be returned; empty if it may."""
        if not self.limits and self.device is None:
            return ""
        if file is None:
            return "it makes no file"
        if self.device is not None:
            unsupported = self.device.unsupported(flatbuffer.read(file))
            if unsupported:
                return f"{self.device.name} does not run {', '.join(unsupported)}"
        try:
            over = exceeded(file, self.limits, self.device)
        except RuntimeError as error:  # the NPU's compiler does not survive every file
            return str(error)
        return ", ".join(
            f"{name} of the file is {format_cost(name, cost)}" for name, cost in over.items()
        )

    def _loss(self, finalist: Finalist) -> float:
        scores = finalist.scores
        for name in (f"val_{self._measure}_{self._quantization}", f"val_{self._measure}"):
            if name in scores:
                return 1 - scores[name]
        return scores["val_loss"]

    def _file(self, trial: Any, model: keras.Model) -> bytes | None:
        samples = self.data.train.stratified_subset(_CALIBRATED_ON, 0)
        front, network = self._exported(model)
        try:
            file: bytes = tflite_export.convert(
                network,
                self._format(trial),
                through(front, samples).x[:],
                mixed=self._mixed or None,
            )
            return file
        except Exception as error:
            # Only a foreign model can get here, with any error of its own: all operations of
            # our spaces convert. What was trained is not lost for it.
            self.progress.say(f"no file can be made of this model: {error}")
            return None


def _accuracies(report: Any) -> tuple[float | None, float | None]:
    """Of the file, and of its model."""
    return report.accuracy_tflite, report.accuracy_keras

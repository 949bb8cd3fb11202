"""KerasTuner's Tuner, made safe to leave alone."""

from __future__ import annotations

import contextlib
import functools
import json
import os
import shutil
import statistics
import time
import warnings
from pathlib import Path
from typing import Any

import keras
import keras_tuner
from keras_tuner.engine.trial import Trial

from edge_devices.device import Device
from edge_devices.units import COSTS
from kerasnas.costs import Costs, as_device, program_of, tightest
from kerasnas.fidelity._fidelity import EPOCHS, INITIAL, SOURCE, Fidelity
from kerasnas.journal import write_atomically
from kerasnas.oracles._oracle import SearchOracle, costs_of
from kerasnas.oracles.predictor import PredictorGuided
from kerasnas.progress import Progress
from kerasnas.result import ARCHITECTURE, PAUSED
from kerasnas.spaces import restricted
from search_spaces.inheritance import inherit
from search_spaces.space import SearchSpace

__all__ = ["Tuner", "check_oracle"]


class Tuner(keras_tuner.Tuner):
    """Runs trials: builds, trains and scores what the oracle proposes.

    All methods and arguments of `keras_tuner.Tuner` work, with any `HyperModel` and any
    `Oracle`. What differs:

    - With one of our oracles the search folder can be reopened after a kill at any moment:
      its journal is what counts, KerasTuner's own files are written beside it.
    - The decisions of a `SearchSpace` are known without building models, and its costs and
      its notion of equal networks are given to the oracle: none over a limit is ever built,
      none is trained twice. The networks of a foreign `HyperModel` are built to be measured,
      few of them, because a model of those measures says which are worth building.
    - `max_time` ends the search between trials.

    Args:
        hypermodel: A `SearchSpace`, or any `keras_tuner.HyperModel` or build function.
        oracle: What to try next.
        device: What the networks are for: the name of a device, or an `edge_devices.Device`.
            Its flash and RAM become limits of the oracle, its costs can be limits or
            objectives, and a `SearchSpace` loses the values that it cannot run.
        max_time: Seconds after which no further trial starts, counted from `search()`; a
            trial that would probably end later (by the median so far) does not start
            either. `None` sets no bound. The very first trial of a search always starts.
        progress: Shows the trials; `None` leaves that to KerasTuner.
        inherit_weights: Whether the weights of a new candidate start from those of its parent
            where layers match (`search_spaces.inheritance`): of the trial whose candidate was
            changed to make it, or else of the completed trial that shares most decisions. A
            few epochs then tell more, but scores also tell who was born late: train the
            winner from scratch before its score is reported.
            It takes a `SearchSpace` and an oracle of ours.
        **kwargs: Passed on to `keras_tuner.Tuner`: `directory`, `project_name`,
            `overwrite`, `executions_per_trial`, `distribution_strategy`, ...

    Raises:
        ValueError: If the folder holds another search, if the device is unknown, or if a
            cost is limited that only other devices have.

    Example:

    ```python
    tuner = kerasnas.Tuner(
        search_spaces.MobileNet((96, 96, 3), 5),
        oracle=kerasnas.GaussianProcess("val_accuracy", max_trials=50, seed=0),
        directory="searches",
        project_name="flowers",
    )
    tuner.search(train_ds, validation_data=val_ds, epochs=20)
    ```
    """

    def __init__(
        self,
        hypermodel: Any,
        oracle: keras_tuner.Oracle,
        *,
        device: str | Device | None = None,
        max_time: float | None = None,
        progress: Progress | None = None,
        inherit_weights: bool = False,
        **kwargs: Any,
    ) -> None:
        self.device = as_device(device)
        self.inherit_weights = inherit_weights
        if self.device is not None:
            hypermodel = _for_device(hypermodel, oracle, self.device)
        self.max_time = max_time
        self.progress = progress
        if progress is not None:
            oracle.verbose = 0
        self._durations: list[float] = []
        self._started = self._trial_started = 0.0
        super().__init__(oracle=oracle, hypermodel=hypermodel, **kwargs)

        self._check_runs()

    def _check_runs(self) -> None:
        """Refuse what nobody would carry out."""
        if self.inherit_weights:
            if self.space is None or not isinstance(self.oracle, SearchOracle):
                raise ValueError(
                    "Weights are inherited between networks that are described, and one of "
                    "our oracles says from whom. Received: inherit_weights=True with "
                    f"{type(self.hypermodel).__name__} and {type(self.oracle).__name__}. "
                    "Use a `search_spaces.SearchSpace` and an oracle of `kerasnas`."
                )
            self.oracle.inherit = True
        fidelity = getattr(self.oracle, "fidelity", None)
        if fidelity is None:
            return
        if self.executions_per_trial > 1 and type(fidelity).goes_on is not Fidelity.goes_on:
            raise ValueError(
                "Runs are stopped by the curve of a single training. Received: "
                f"executions_per_trial={self.executions_per_trial} with {fidelity!r}. Leave "
                "it at 1, or take the policy without `LearningCurve`."
            )
        if fidelity.dimension == "epochs":
            return
        if self.space is self.hypermodel:
            raise ValueError(
                "A `SearchSpace` alone trains on all that it is given. Received: a fidelity "
                f"of dimension={fidelity.dimension!r} with {type(self.space).__name__}. Use "
                "`kerasnas.search`, or a `HyperModel` whose `fit` reads "
                f'`hp.values["tuner/{fidelity.dimension}"]`.'
            )
        if fidelity.dimension == "resolution" and self.space is not None:
            self.space.resized(fidelity.levels[0])
        elif fidelity.dimension == "resolution" and hasattr(self.hypermodel, "space"):
            raise ValueError(
                "Only networks that are described can be made for smaller images. Received: a "
                f"fidelity of dimension='resolution' with {self.hypermodel.space!r}. Train on "
                "fewer epochs or examples instead."
            )

    @property
    def space(self) -> SearchSpace | None:
        """The search space, also where a recipe wraps it; `None` for a foreign model."""
        space = getattr(self.hypermodel, "space", self.hypermodel)
        return space if isinstance(space, SearchSpace) else None

    def search(self, *fit_args: Any, **fit_kwargs: Any) -> None:
        """Run trials until the oracle stops or the time is over.

        Args:
            *fit_args: Passed on to `HyperModel.fit`, e.g. the training data.
            **fit_kwargs: Likewise, e.g. `validation_data`, `epochs`, `callbacks`.
        """
        self._started = time.monotonic()
        self._check_epochs(fit_kwargs.get("epochs"))
        try:
            super().search(*fit_args, **fit_kwargs)
        except _OutOfTime:
            self.on_search_end()

    def _check_epochs(self, epochs: int | None) -> None:
        fidelity = getattr(self.oracle, "fidelity", None)
        if epochs is None or fidelity is None or fidelity.dimension != "epochs":
            return
        if fidelity.levels[-1] != epochs:
            raise ValueError(
                "The policy says how many epochs a training has at most. Received: "
                f"epochs={epochs} with {fidelity!r}, whose highest level is "
                f"{fidelity.levels[-1]:g}. Leave `epochs` out, or give both the same."
            )

    def pre_create_trial(self) -> None:
        if self.max_time is None or not self.oracle.end_order:
            return
        left = self.max_time - (time.monotonic() - self._started)
        if left <= 0 or (self._durations and left < statistics.median(self._durations)):
            raise _OutOfTime

    def on_trial_begin(self, trial: Any) -> None:
        self._trial_started = time.monotonic()
        if self.progress is not None:
            self.progress.trial_started(len(self.oracle.trials))
        super().on_trial_begin(trial)

    def on_epoch_end(
        self, trial: Any, model: keras.Model, epoch: int, logs: dict[str, float] | None = None
    ) -> None:
        # With KerasTuner's weights beside it the model can be had without the hypermodel.
        if epoch == 0:
            path = Path(self.get_trial_dir(trial.trial_id)) / ARCHITECTURE
            with contextlib.suppress(NotImplementedError, TypeError):  # a subclassed model
                write_atomically(path, model.to_json())
        super().on_epoch_end(trial, model, epoch, logs)
        if isinstance(self.oracle, SearchOracle):
            told = {name: float(value) for name, value in (logs or {}).items()}
            if not self.oracle.report(trial.trial_id, epoch, told):
                model.stop_training = True

    def on_trial_end(self, trial: Any) -> None:
        seconds = time.monotonic() - self._trial_started
        self._durations.append(seconds)
        super().on_trial_end(trial)
        ended = self.oracle.get_trial(trial.trial_id)
        self._tidy(ended)
        if self.progress is not None:
            costs = costs_of(self.oracle, ended)
            number = sorted(self.oracle.trials).index(trial.trial_id) + 1
            self.progress.trial_ended(number, ended.score, costs, seconds)

    def run_trial(self, trial: Any, *args: Any, **kwargs: Any) -> Any:
        if self.device is not None:
            self._check_supported(trial.hyperparameters)
        values = trial.hyperparameters.values
        if EPOCHS in values:
            kwargs |= {"epochs": values[EPOCHS], "initial_epoch": values[INITIAL]}
        if values.get(SOURCE) == trial.trial_id:
            self._keep_paused(trial)
        return super().run_trial(trial, *args, **kwargs)

    def _keep_paused(self, trial: Trial) -> None:
        """Keep the weights with which a trial was paused: the run that begins overwrites them.

        A run that was killed begins again with the same.
        """
        paused, last = self._paused(trial.trial_id), self._checkpoint(trial.trial_id)
        if paused.exists():
            return
        if not last.exists():
            raise keras_tuner.errors.FailedTrialError(
                f"There are no weights to go on from: {last} of trial {trial.trial_id} was "
                "deleted, or never written because `fit` does not pass its callbacks on."
            )
        copied = paused.with_suffix(".tmp")
        shutil.copyfile(last, copied)
        os.replace(copied, paused)

    def _tidy(self, trial: Trial) -> None:
        """Drop what is kept for a run that is over; where it failed, the weights before it."""
        paused = self._paused(trial.trial_id)
        if not paused.exists() or trial.status not in ("COMPLETED", "FAILED"):
            return
        if trial.message:
            os.replace(paused, self._checkpoint(trial.trial_id))
        else:
            paused.unlink()

    def _paused(self, trial_id: str) -> Path:
        return Path(self.get_trial_dir(trial_id)) / PAUSED

    def _checkpoint(self, trial_id: str) -> Path:
        return Path(self._get_checkpoint_fname(trial_id))

    def _build_hypermodel(self, hp: keras_tuner.HyperParameters) -> keras.Model:
        model = super()._build_hypermodel(hp)
        if (source := hp.values.get(SOURCE)) is None:
            return model
        trial = self.oracle.get_trial(source)
        paused = self._paused(source)
        weights = paused if paused.exists() else self._checkpoint(source)
        if _decisions(trial.hyperparameters) == _decisions(hp):
            model.load_weights(weights)
        elif weights.exists() and self.inherit_weights:
            self._inherit(model, hp, trial, weights)
        return model

    def _inherit(
        self,
        model: keras.Model,
        hp: keras_tuner.HyperParameters,
        parent: Trial,
        weights: Path,
    ) -> None:
        """Start a model from the weights of another trial, where layers match."""
        assert self.space is not None
        with warnings.catch_warnings():
            _ignore_optimizers()
            before = super()._build_hypermodel(parent.hyperparameters)
            before.load_weights(weights)
        inherit(
            model,
            before,
            network=self.space.describe(hp),
            parent_network=self.space.describe(parent.hyperparameters),
        )

    def _check_supported(self, hp: keras_tuner.HyperParameters) -> None:
        """Fail a trial whose network the device cannot run, before it is trained."""
        assert self.device is not None
        model = self.hypermodel if self.space is None else self.space
        unsupported = self.device.unsupported(program_of(model, hp))
        if unsupported:
            raise keras_tuner.errors.FailedTrialError(
                f"{self.device.name} does not run {', '.join(unsupported)}"
            )

    def load_model(self, trial: Any) -> keras.Model:
        with warnings.catch_warnings():
            _ignore_optimizers()
            if not self._paused(trial.trial_id).exists():
                return super().load_model(trial)
            # It is being trained on; its score is of what it was before.
            model = self._try_build(trial.hyperparameters)
            model.load_weights(self._paused(trial.trial_id))
            return model

    def save(self) -> None:
        if not self._is_worker():
            self.oracle.save()
        write_atomically(Path(self._get_tuner_fname()), json.dumps(self.get_state()))

    def reload(self) -> None:
        # Called by KerasTuner where its own file says that there was a search; the journal
        # says so earlier and more reliably, so both ways lead to the same place.
        if isinstance(self.oracle, SearchOracle):
            self._populate_initial_space()
        else:
            super().reload()

    def _populate_initial_space(self) -> None:
        if self.space is None:
            super()._populate_initial_space()
        else:
            # A recipe around the space may have decisions of its own.
            self.oracle.update_space(self.hypermodel.hyperparameters())
        if isinstance(self.oracle, SearchOracle):
            self._give_costs(self.oracle)
            self.oracle.reload()
            for trial in self.oracle.trials.values():
                self._tidy(trial)  # of a search that was killed just before

    def _give_costs(self, oracle: SearchOracle) -> None:
        if self.space is not None:
            # A trial may have more values than the space has decisions.
            identity = functools.partial(self.hypermodel.identity, strict=False)
            oracle.identity = oracle.identity or identity
            oracle.edit = oracle.edit or getattr(self.space, "edited", None)
            if isinstance(oracle, PredictorGuided):
                oracle.paths = oracle.paths or self.space.paths
        if oracle.costs is not None:
            return
        wanted = {*oracle.limits, *(one.name for one in oracle.objectives)} & set(COSTS)
        if self.space is not None or wanted:
            model = self.hypermodel if self.space is None else self.space
            costs = Costs(model, self.device, wanted, oracle.get_space)
            oracle.costs, oracle.slow_costs = costs, costs.slow

    def _configure_tensorboard_dir(
        self, callbacks: list[Any], trial: Any, execution: int = 0
    ) -> None:
        # KerasTuner imports TensorBoard for every trial, asked for or not.
        if any(type(callback).__name__ == "TensorBoard" for callback in callbacks):
            super()._configure_tensorboard_dir(callbacks, trial, execution)


def _decisions(hp: keras_tuner.HyperParameters) -> dict[str, Any]:
    """A trial's values without those that only say how it is run."""
    return {name: value for name, value in hp.values.items() if not name.startswith("tuner/")}


def _ignore_optimizers() -> None:
    """Keras would rather load the optimizer's state too, which nobody asked for."""
    warnings.filterwarnings("ignore", "A total of .* objects could not be loaded")
    warnings.filterwarnings("ignore", "Skipping variable loading for optimizer")


def check_oracle(oracle: keras_tuner.Oracle, device: Device) -> None:
    """Refuse an oracle that would not keep a device's limits."""
    if not isinstance(oracle, SearchOracle):
        raise ValueError(
            "Only the oracles of this library keep a device's limits. Received: device="
            f"{device.name!r} with oracle={type(oracle).__name__}. Use "
            "`kerasnas.GaussianProcess` or `kerasnas.RandomSearch`."
        )


def _for_device(hypermodel: Any, oracle: keras_tuner.Oracle, device: Device) -> Any:
    check_oracle(oracle, device)
    oracle.limits = tightest(oracle.limits, device.limits)
    return restricted(hypermodel, device)


class _OutOfTime(Exception):
    """Ends KerasTuner's search loop, which knows no other end than the oracle's."""

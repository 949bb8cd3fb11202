"""KerasTuner's Tuner, made safe to leave alone."""

from __future__ import annotations

import contextlib
import functools
import json
import statistics
import time
import warnings
from pathlib import Path
from typing import Any

import keras
import keras_tuner

from edge_devices.device import Device
from edge_devices.units import COSTS
from kerasnas.costs import Costs, as_device, program_of, tightest
from kerasnas.journal import write_atomically
from kerasnas.oracles._oracle import SearchOracle, costs_of
from kerasnas.progress import Progress
from kerasnas.result import ARCHITECTURE
from kerasnas.spaces import restricted
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
        **kwargs: Any,
    ) -> None:
        self.device = as_device(device)
        if self.device is not None:
            hypermodel = _for_device(hypermodel, oracle, self.device)
        self.max_time = max_time
        self.progress = progress
        if progress is not None:
            oracle.verbose = 0
        self._durations: list[float] = []
        self._started = self._trial_started = 0.0
        super().__init__(oracle=oracle, hypermodel=hypermodel, **kwargs)

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
        try:
            super().search(*fit_args, **fit_kwargs)
        except _OutOfTime:
            self.on_search_end()

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

    def on_trial_end(self, trial: Any) -> None:
        seconds = time.monotonic() - self._trial_started
        self._durations.append(seconds)
        super().on_trial_end(trial)
        if self.progress is not None:
            ended = self.oracle.get_trial(trial.trial_id)
            costs = costs_of(self.oracle, ended)
            number = sorted(self.oracle.trials).index(trial.trial_id) + 1
            self.progress.trial_ended(number, ended.score, costs, seconds)

    def run_trial(self, trial: Any, *args: Any, **kwargs: Any) -> Any:
        if self.device is not None:
            self._check_supported(trial.hyperparameters)
        return super().run_trial(trial, *args, **kwargs)

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
            # Keras would rather load the optimizer's state too, which nobody asked for.
            warnings.filterwarnings("ignore", "A total of .* objects could not be loaded")
            warnings.filterwarnings("ignore", "Skipping variable loading for optimizer")
            return super().load_model(trial)

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

    def _give_costs(self, oracle: SearchOracle) -> None:
        if self.space is not None:
            # A trial may have more values than the space has decisions.
            identity = functools.partial(self.hypermodel.identity, strict=False)
            oracle.identity = oracle.identity or identity
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

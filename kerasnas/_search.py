"""`search()`: a data set in, a trained model out; `open_search()`: its result again."""

from __future__ import annotations

import contextlib
import math
import os
import secrets
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import keras
import keras_tuner
import numpy as np
import tensorflow as tf

from edge_devices.device import Device
from edge_devices.units import COSTS, format_cost
from kerasnas import settings, spaces, tasks
from kerasnas.budget import Budget, trial_seconds
from kerasnas.checks import (
    check_arguments,
    check_bits,
    check_class_weight,
    check_format,
    check_objectives,
    check_strategy,
)
from kerasnas.costs import Costs, as_device, tightest
from kerasnas.data import Data, load
from kerasnas.fidelity._fidelity import Fidelity
from kerasnas.limits import parse_duration, parse_limits, violation
from kerasnas.oracles._oracle import SearchOracle
from kerasnas.oracles.candidates import smallest
from kerasnas.oracles.gaussian_process import GaussianProcess
from kerasnas.result import SearchResult
from kerasnas.scoring import objectives_of
from kerasnas.session import Session
from kerasnas.strategies import (
    FIDELITIES,
    STRATEGIES,
    Choice,
    choose,
    fidelity_of,
    oracle_of,
)
from kerasnas.training import look
from kerasnas.tuner import check_oracle
from search_spaces.space import SearchSpace
from search_spaces.task import Classification, Task
from tflite_export.exporter import check_drop

__all__ = ["open_search", "search"]

_LONGER_LOOKS = 3  # times as long as a look is the longest training of a candidate
_MAX_TRIALS = 30
_LARGE_IMAGE = 64  # pixels a side, from which a GPU's float16 units make a difference


def search(
    train_data: Any,
    validation_data: Any = None,
    *,
    task: Task | str | None = None,
    space: Any = "auto",
    strategy: Any = "bayesian",
    fidelity: Any = None,
    inherit_weights: bool = False,
    objective: Any = None,
    limits: Mapping[str, float | int | str] | None = None,
    device: Any = None,
    weight_bits: int | Sequence[int] = 8,
    max_accuracy_drop: float | None = 0.01,
    max_trials: int | None = None,
    max_time: float | str | None = None,
    epochs: int | None = None,
    layout: str | Mapping[str, str] | None = None,
    image_size: tuple[int, int] | None = None,
    sequence_length: int | None = None,
    vocabulary: Any = None,
    split: str = "word",
    sample_rate: int | None = None,
    validation_split: float = 0.2,
    steps: int | None = None,
    class_names: Sequence[str] | None = None,
    class_weight: str | Mapping[int, float] | None = None,
    augment: bool | str = True,
    workers: int = 0,
    directory: str | os.PathLike[str] = "searches",
    project_name: str = "search",
    overwrite: bool = False,
    seed: int | None = 0,
    callbacks: Sequence[keras.callbacks.Callback] = (),
    verbose: int = 1,
) -> keras.Model:
    """Search an architecture for a data set and return it, trained.

    What is asked of the network is told from the labels: classes, several labels each,
    quantities, a class for each pixel, boxes, the next token; where they leave a doubt, an
    error asks for `task`. Candidates are proposed one after another, trained shortly and
    scored on a validation part; the best few are trained fully and quantized, the best int8
    score wins, and the winner is trained once more on all examples. A network over a limit is
    never built.

    Everything found is kept in `directory/project_name`. The same call continues a search
    that was interrupted, by Ctrl-C or by force; Ctrl-C returns the best model so far.

    Args:
        train_data: Labelled examples: a `tf.data.Dataset`, batched or not, of `(x, y)`,
            `(x, y, sample_weight)` or TFDS' dictionaries, such as
            `keras.utils.image_dataset_from_directory` makes; or a tuple of arrays. `x` may be
            several inputs, a dictionary or tuple, which are fused; texts; or the columns of
            a table by name. uint8 images are divided by 255, other numbers standardised,
            both inside the model; texts and columns are prepared before it, by what
            `open_search(...).preprocessing` keeps. Boxes are `{"boxes": ..., "labels": ...}`
            or TFDS' `objects`: top, left, bottom, right as fractions of the image.
        validation_data: Likewise; candidates are compared on it, and the returned model
            has in the end been trained on it too: judge that on other data. `None` splits a
            fixed, stratified part off.
        task: What is asked: `"classification"`, `"multilabel"`, `"regression"`,
            `"segmentation"`, `"detection"`, `"next_token"`, or a task of `search_spaces`.
            `None` is told from the labels, where they leave no doubt.
        space: `"auto"`, which chooses by the examples and says so (see
            `search_spaces.auto.family`); a name in `search_spaces.SPACES`, a `SearchSpace` (an
            instance, or a class to be made for the data), or any `keras_tuner.HyperModel` or
            build function. An instance without
            `rescaling` is given that of the data; `(1.0, 0.0)` says that it needs none. Of
            several inputs a dictionary of names or classes by input, or `"auto"`.
        strategy: How candidates are proposed: `"bayesian"`, `"random"`, `"grid"`, `"local"`,
            `"evolution"`, `"nsga2"`, `"reinforce"`, `"qlearning"`, `"predictor"`; `"asha"` and
            `"hyperband"` are `"bayesian"` with that `fidelity`; `"auto"` chooses by the space,
            the budget and the data, and says so. Or any `keras_tuner.Oracle`, which then
            brings its own objective, seed, number of trials and fidelity.
        fidelity: How much training candidates get: `None` gives all of them the same, `"asha"`
            and `"hyperband"` train most of them shortly and the best on and on, from where
            they were paused; or a policy such as `kerasnas.SuccessiveHalving`. With a name
            the longest training has `epochs`, or three times as many as a look.
        inherit_weights: Whether new candidates start from the weights of the one they were
            made from, or that shares most decisions: see `kerasnas.Tuner`. The finalists are
            trained from scratch; but with `epochs`, or if time is short, they stay as they
            are, and their scores are those of inherited weights.
        objective: As in KerasTuner, e.g. `"val_accuracy"` or `"val_loss"`, and any other score
            of the task, such as `"val_f1"`, `"val_auc"`, `"val_mean_iou"` or `"val_map50"`.
            `None` is the task's own. Of a
            list, such as `["val_accuracy", "flash"]`, candidates are sought that trade one
            for the other; the model returned is the best in the first, and
            `open_search(...).pareto_front()` tells all that no other dominates. Candidates
            are ranked by what Keras tells while training, in which sample weights count for
            `"val_loss"`; the best few and their files by scores in which all examples count
            alike.
        limits: Upper bounds, e.g. `{"params": "50k", "macs": "10M", "flash": "128KB"}`;
            `flash` is the size of the int8 `.tflite` file and `ram` that of the arena it
            runs in. All are kept before training and checked again on the file itself.
            Without `max_time`, two of the first candidates are about the largest networks
            within the limits, which take long on a CPU if there are none.
        device: What the network is for: a name that `kerasnas devices` lists, such as
            `"cortex-m4"`, or an `edge_devices.Device`. What it holds is added to the limits,
            what it cannot run leaves the space, and its `latency_ms`, `energy_mj` or
            `npu_cycles` can be limits and objectives.
        weight_bits: Bits of a weight in the file, 8 or 4; of several, `(8, 4)`, the search
            decides for each candidate. Those of 4 bits are scored with rounded weights; they
            take half the flash, run in the kernels of LiteRT and TensorFlow Lite Micro, and
            on no NPU.
        max_accuracy_drop: How much worse on the validation part than the model its file may
            be, by the measure of the task (accuracy, F1, R2, mean IoU, mAP), 0.01 being one
            point. Where it is more, remedies are tried in order:
            better calibration, sensitive layers with more bits or in float, training on with
            rounding. `None` takes the file as it is.
        max_trials: Candidates to train at most; 30 unless there is a `max_time`. More find
            better networks.
        max_time: Time for everything to the last file, in seconds or as `"20m"`, `"2h"`.
            Under half of it goes to candidates, the rest to training the best.
        epochs: Epochs of every training. `None` is automatic: short looks at candidates,
            full training for the best few.
        layout: What the axes of an example are: `"images"` (height, width[, channels]),
            `"audio"` (frames, bands), such as log-mel spectrograms, `"waveform"` (samples,),
            `"series"` (length, channels), `"table"` (columns,), `"tokens"` (length,) or
            `"text"`; of several inputs by name. `None` goes by the space and the shape; of two
            axes, whole numbers and squares are images, others series.
        image_size: `(height, width)` to resize images to; needed when they vary.
        sequence_length: Steps or tokens to cut or pad sequences to; needed when they vary. Of
            texts `None` takes most of them whole, of language models windows of 64 tokens.
        vocabulary: Different tokens, a list of words or their number; token ids need it, of
            texts `None` learns one. Token id 0 pads short sequences at their end, so leave it
            out of a vocabulary of your own where lengths differ.
        split: Texts are split by `"word"` or `"character"`.
        sample_rate: Samples a second of waveforms, which need it: log-mel or MFCC features
            are made of them, and how is decided with the network. Where a device cannot
            compute them in the file, the file takes features, as does `kerasnas.verify` of
            it, and `front_end.json` beside it says how to make them
            (`search_spaces.FrontEnd.of`). Recordings cannot be one of several inputs yet.
        validation_split: Share of the examples that is split off without `validation_data`.
        steps: Batches (examples, if not batched) to read of a data set without end.
        class_names: Names of the classes; taken from the data set where it has them.
        class_weight: `"balanced"` weighs classes alike however many examples they have; a
            dictionary says what each weighs, as in Keras.
        augment: Whether long trainings vary examples a little, as suits the task: see
            `kerasnas.augmentation`. `"search"` makes a decision of how much; `False` where,
            say, mirroring would make another class of an image, such as road signs.
        workers: Not yet; 0 trains in this process.
        directory: Folder of searches.
        project_name: Name of this search's folder in it.
        overwrite: Whether to start over where the folder holds a search; `False` continues.
        seed: Seeds the split, the proposals and the trainings. `None` draws a fresh one, or
            takes that of the search that is continued.
        callbacks: Keras callbacks for every training; must be deep-copyable.
        verbose: 0 is silent; 1 shows progress.

    Returns:
        The best network found, a compiled, trained `keras.Model` of stock layers. It takes
        examples as they were given, texts and columns as `open_search(...).preprocessing`
        makes them, and returns what the task says: logits, quantities of a regression, maps
        of boxes, which `search_spaces.detection.decode` reads. `model.keras` in the folder
        needs nothing of this library to be loaded. Nor does what `model.save()` writes, but
        for detection: Keras has not its loss, so load that with `compile=False`.

    Raises:
        ValueError: If anything asked for is unknown or impossible, before any training.
        TypeError: If the data are of no known kind, likewise.
        RuntimeError: If no candidate could be trained, or none keeps the limits as a file.
        KeyboardInterrupt: If interrupted before the first trial is complete.

    Example:

    ```python
    model = kerasnas.search(train_ds, limits={"flash": "128KB"}, max_time="20m")
    report = tflite_export.export(model, "model.tflite", calibration=train_ds)
    ```
    """
    started = time.monotonic()
    target, seconds = as_device(device), parse_duration(max_time)
    bounds = tightest(parse_limits(limits), {} if target is None else target.limits)
    bits = tuple(np.atleast_1d(weight_bits).tolist())
    check_arguments(
        workers=workers,
        class_weight=class_weight,
        augment=augment,
        max_trials=max_trials,
        epochs=epochs,
        sample_rate=sample_rate,
    )
    check_strategy(strategy, objective, max_trials, fidelity)
    tasks.check_task(task)
    spaces.check_space(space)
    check_format(target)
    check_bits(bits, target)
    check_drop(max_accuracy_drop)
    if target is not None and isinstance(strategy, keras_tuner.Oracle):
        check_oracle(strategy, target)
    layouts = spaces.layouts(space)  # refuses what nothing can be read for
    folder = _writable(Path(directory), project_name)
    earlier = None if overwrite else _earlier(folder)
    seed = _seed(earlier) if seed is None else seed
    _let_gpu_memory_grow()
    data = load(
        train_data,
        validation_data,
        task=spaces.task_of(space) if task is None else task,
        validation_split=validation_split,
        layout=layout,
        layouts=layouts,
        image_size=image_size,
        sequence_length=sequence_length,
        vocabulary=vocabulary,
        split=split,
        sample_rate=sample_rate,
        steps=steps,
        class_names=class_names,
        seed=seed,
        cache_dir=folder,
    )
    check_class_weight(class_weight, data)
    hypermodel, chosen = spaces.for_data(space, data, sample_rate, target)
    hypermodel = spaces.restricted(spaces.with_weight_bits(hypermodel, bits), target)
    asked = _asked(strategy, objective)
    check_objectives(asked, hypermodel, data.task, callbacks=bool(callbacks))
    choice = None
    if strategy == "auto":
        choice = _settled(
            earlier, hypermodel, data, len(asked), max_trials, seconds, epochs, fidelity
        )
        strategy, fidelity = choice.strategy, choice.fidelity
        if verbose:
            print(f"strategy: {choice.reason}")
    policy = _policy(strategy, fidelity, data, epochs)
    oracle = _oracle(
        strategy, _directed(objective, data.task), max_trials, bounds, seed, policy
    )
    named = isinstance(strategy, str)
    bounds = _prepared(oracle, hypermodel, target, bounds, seconds, named)
    asked_for = {
        "space": spaces.identity_of(hypermodel),
        **settings.of_oracle(oracle),
        "chosen": choice and [choice.strategy, _named(choice.fidelity), choice.reason],
        "inherit_weights": inherit_weights or None,
        "limits": bounds,
        **settings.of_device(target),
        "max_accuracy_drop": max_accuracy_drop,
        "epochs": epochs,
        "class_weight": class_weight,
        "augment": augment,
        "seed": seed,
        **settings.of_data(data),
        "image_size": image_size,
        "sequence_length": sequence_length,
        "sample_rate": sample_rate,
        "front_end": spaces.front_end(hypermodel),
    }
    budgeted = {"max_trials": oracle.max_trials, "max_time": seconds}
    spent = 0.0
    if earlier is not None:
        settings.check_same_search(earlier, asked_for)
        if earlier.winner is not None and earlier.budgeted == budgeted:
            return earlier.best_model()
        spent = earlier.spent()
    if verbose:
        _say_what_was_told(None if task is not None else data.task, chosen)
    return Session(
        space=hypermodel,
        oracle=oracle,
        data=data,
        limits=bounds,
        device=target,
        max_accuracy_drop=max_accuracy_drop,
        budget=Budget(seconds, spent + time.monotonic() - started),
        epochs=epochs,
        recipe={
            "augment": augment,
            "layout": data.layout,
            "class_weight": class_weight,
            "mixed_precision": _mixed_precision_pays(data),
            "seed": seed,
        },
        folder=folder,
        settings=asked_for,
        budgeted=budgeted,
        inherit_weights=inherit_weights,
        overwrite=overwrite,
        callbacks=callbacks,
        verbose=verbose,
    ).run()


def open_search(
    directory: str | os.PathLike[str] = "searches", project_name: str = "search"
) -> SearchResult:
    """Open the result of a search: finished, interrupted, or still running.

    Args:
        directory: As it was given to `search`, or to a tuner.
        project_name: Likewise.

    Returns:
        Its `leaderboard()`, `best_model()`, `trials` and `winner`.

    Raises:
        FileNotFoundError: If there is no search.
    """
    return SearchResult(Path(directory) / project_name)


def _seed(earlier: SearchResult | None) -> int:
    """The seed of the search that is continued, or a fresh one."""
    there = None if earlier is None else earlier.settings.get("seed")
    return secrets.randbits(32) if there is None else int(there)


def _asked(strategy: Any, objective: Any) -> list[Any]:
    """The objectives that were asked for, with an oracle or beside a name."""
    if not isinstance(strategy, str):
        return objectives_of(strategy)
    if objective is None:
        return []
    return list(objective) if isinstance(objective, list | tuple) else [objective]


def _say_what_was_told(task: Task | None, chosen: str) -> None:
    """Say what was told from the data: the task, but for classes, and the space."""
    if task is not None and not isinstance(task, Classification):
        print(f"task: {task}")
    if chosen:
        print(f"space: {chosen}")


def _directed(objective: Any, task: Task) -> Any:
    """The objective, with the direction of those that are scores of the task."""
    if objective is None:
        return task.objective
    if isinstance(objective, list | tuple):
        return [_directed(one, task) for one in objective]
    direction = task.directions.get(str(objective).removeprefix("val_"))
    if isinstance(objective, str) and direction:
        return keras_tuner.Objective(objective, direction)
    return objective


def _settled(
    earlier: SearchResult | None,
    space: keras_tuner.HyperModel,
    data: Data,
    objectives: int,
    max_trials: int | None,
    seconds: float | None,
    epochs: int | None,
    fidelity: Any,
) -> Choice:
    """What `"auto"` stands for in a search; in one that is continued, what it stood for."""
    there = None if earlier is None else earlier.settings.get("chosen")
    if there is not None:
        choice = Choice(*there)
        return choice if fidelity is None else choice._replace(fidelity=fidelity)
    trials = math.inf if max_trials is None else float(max_trials)
    if max_trials is None and seconds is None:
        trials = _MAX_TRIALS
    if seconds is not None:
        shown = epochs * len(data.train) if epochs else _shown(data)
        looking = Budget(seconds).looking or 0.0
        trials = min(trials, looking / trial_seconds(space, shown))
    described = isinstance(space, SearchSpace)
    choice = choose(
        size=space.size() if described else math.inf,
        objectives=max(1, objectives),
        trials=trials,
        epochs=epochs,
        staged=fidelity is None and described,
    )
    return choice if fidelity is None else choice._replace(fidelity=fidelity)


def _named(fidelity: Any) -> str | None:
    """A policy's name; one that is given as an object has to be given again."""
    return fidelity if isinstance(fidelity, str) else None


def _shown(data: Data) -> int:
    """How many examples a look shows."""
    recipe, part, _ = look(data)
    return recipe.epochs * len(part)


def _policy(strategy: Any, fidelity: Any, data: Data, epochs: int | None) -> Fidelity | None:
    """How much training the candidates of a named strategy get."""
    if strategy in FIDELITIES:
        fidelity = strategy
    longest = epochs or _LONGER_LOOKS * look(data)[0].epochs
    policy = fidelity_of(fidelity, longest)
    in_epochs = policy is not None and policy.dimension == "epochs"
    if policy is not None and in_epochs and epochs not in (None, policy.levels[-1]):
        raise ValueError(
            "A fidelity over epochs says how many the longest training has. Received: "
            f"epochs={epochs} with {policy!r}. Leave `epochs` out, or give both the same."
        )
    return policy


def _oracle(
    strategy: Any,
    objective: Any,
    max_trials: int | None,
    limits: Mapping[str, float],
    seed: int | None,
    fidelity: Fidelity | None,
) -> keras_tuner.Oracle:
    if isinstance(strategy, str):
        return oracle_of(
            strategy, objective, max_trials, limits=limits, seed=seed, fidelity=fidelity
        )
    if isinstance(strategy, SearchOracle):
        strategy.limits = tightest(strategy.limits, limits)
    elif limits:
        raise ValueError(
            "Only the oracles of this library hold limits. Received: "
            f"limits={dict(limits)} with strategy={type(strategy).__name__}. "
            f"Use {', '.join(map(repr, STRATEGIES))}."
        )
    return strategy


def _writable(directory: Path, project_name: str) -> Path:
    folder = directory / project_name
    try:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / ".writable").touch()
        (folder / ".writable").unlink()
    except OSError as error:
        raise ValueError(
            "The folder of the search cannot be written. Received: "
            f"directory={str(directory)!r}, project_name={project_name!r}: {error.strerror}. "
            "Pass a `directory` that you may write to."
        ) from error
    return folder


def _earlier(folder: Path) -> SearchResult | None:
    """The search that the folder holds, if there is one."""
    with contextlib.suppress(FileNotFoundError):
        return SearchResult(folder)
    return None


def _prepared(
    oracle: keras_tuner.Oracle,
    space: keras_tuner.HyperModel,
    device: Device | None,
    bounds: Mapping[str, float],
    seconds: float | None,
    named: bool,
) -> dict[str, float]:
    """Give an oracle what only the data and the time decide; the limits that hold.

    Raises:
        ValueError: If a cost is limited or optimised that nothing tells, or if no network of
            the space meets the limits.
    """
    if seconds is not None and named and isinstance(oracle, GaussianProcess):
        # Looks are then compared at equal time, in which large networks are only begun.
        oracle.size_prior = 0.0
    if oracle.max_trials is None and seconds is None:
        oracle.max_trials = _MAX_TRIALS
    if isinstance(oracle, SearchOracle):
        bounds = oracle.limits  # an oracle may bring more of them
    if isinstance(space, SearchSpace):
        _check_costs(space, oracle, device)
        _check_reachable(space, bounds, device)
        if isinstance(oracle, SearchOracle) and not oracle.start_with:
            # A safe start: if time allows for one look only, it is at no random network.
            oracle.start_with = [space.default()]
    return dict(bounds)


def _check_costs(
    space: SearchSpace, oracle: keras_tuner.Oracle, device: Device | None
) -> None:
    """Refuse a cost that is to be kept or optimised where nothing tells it."""
    objectives = {one.name for one in objectives_of(oracle)}
    if getattr(oracle, "costs", None) is None:
        Costs(space, device, (objectives & set(COSTS)) | getattr(oracle, "limits", {}).keys())


def _check_reachable(
    space: SearchSpace, limits: Mapping[str, float], device: Device | None
) -> None:
    costs = Costs(space, device)
    told = costs(space.default())
    limits = {name: bound for name, bound in limits.items() if name in told}
    if not limits:
        return
    nearest = smallest(space.hyperparameters(), costs, limits)
    if violation(nearest, limits):
        wanted = ", ".join(f"{k} <= {format_cost(k, v)}" for k, v in limits.items())
        found = ", ".join(f"{k} {format_cost(k, nearest[k])}" for k in limits)
        raise ValueError(
            f"No network of this space meets the limits. Received: {wanted} for examples of "
            f"shape {space.input_shape}; the smallest that was found has {found}. Raise the "
            "limits, or make the images smaller with `image_size`."
        )


def _let_gpu_memory_grow() -> None:
    for gpu in tf.config.list_physical_devices("GPU"):
        # A GPU that is in use already keeps its setting.
        with contextlib.suppress(RuntimeError):
            tf.config.experimental.set_memory_growth(gpu, True)


def _mixed_precision_pays(data: Data) -> bool:
    """Whether there is a GPU with float16 units, and images that keep it busy."""
    gpus = tf.config.list_physical_devices("GPU")
    if not gpus or data.layout != "images" or min(data.input_shape[:2]) < _LARGE_IMAGE:
        return False
    details = [tf.config.experimental.get_device_details(gpu) for gpu in gpus]
    return all(d.get("compute_capability", (0, 0)) >= (7, 0) for d in details)

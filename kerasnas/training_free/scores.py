"""Scores of the members of a space: as they are, and as features of a surrogate."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import keras
import numpy as np

from edge_devices.spelling import unknown
from kerasnas.limits import parse_limits
from kerasnas.oracles.candidates import Candidates, Costs
from kerasnas.oracles.cost_model import CostModel
from kerasnas.oracles.decisions import Decisions, Values
from kerasnas.training_free.catalogue import SCORES
from kerasnas.training_free.copies import Unscorable
from search_spaces.network import Network
from search_spaces.realise import realise
from search_spaces.space import SearchSpace

__all__ = ["Features", "Scores", "draw"]

Limits = Mapping[str, float | int | str]

_FEWEST = 8  # members to guess from


class Scores:
    """Scores of untrained members of a space: `scores(values)`.

    A member is built with seeded weights, scored and dropped, which takes some tenths of a
    second; equal networks are scored once. A score says something of networks that differ
    much and little of good ones, so it is for starting a search (`seeds`), for deciding
    between equals (`order`) and as a feature of a surrogate (`features`), never the objective.

    Args:
        space: The space.
        x: A batch of examples as data sets store them, 16 to 128; only scores of the same
            batch compare. `None` where no score needs one.
        y: Their targets, likewise, for `snip` and `grad_norm`.
        names: Which scores: of `SCORES`.
        seed: Seeds the weights.

    Raises:
        ValueError: If a score is unknown, or lacks examples or targets.
        TypeError: If the space is a foreign `HyperModel`, whose networks are not described.

    Example:

    ```python
    scores = Scores(space, x_train[:64], names=("naswot", "synflow"))
    rng = np.random.default_rng(0)
    oracle = kerasnas.GaussianProcess(
        "val_accuracy",
        max_trials=50,
        costs=scores.features(),
        start_with=seeds(scores, 3, rng),
    )
    tuner = kerasnas.Tuner(space, oracle)
    ```
    """

    def __init__(
        self,
        space: SearchSpace,
        x: Any = None,
        y: Any = None,
        names: Sequence[str] = ("naswot", "synflow"),
        *,
        seed: int = 0,
    ) -> None:
        if not isinstance(space, SearchSpace):
            raise TypeError(
                "Members are scored of a space that describes them. Received: "
                f"{type(space).__name__}. Score its models one by one, with "
                "`kerasnas.training_free.naswot(model, x)` and the like."
            )
        if not names or isinstance(names, str):
            raise ValueError(
                f"Scores are asked for by their names. Received: names={names!r}. Pass a "
                f"tuple of some of {', '.join(SCORES)}."
            )
        for name in names:
            _check_score(name, x, y)
        self.space = space
        self.names = tuple(names)
        self.seed = seed
        self._x = x
        self._y = None if y is None else space.task.encoded(y)
        self._known: dict[str, dict[str, float]] = {}

    @property
    def examples(self) -> int:
        """How many examples there are."""
        return 0 if self._x is None else len(keras.tree.flatten(self._x)[0])

    def __call__(self, values: Values) -> dict[str, float]:
        """The scores of a member by name, as published: larger promises more.

        Minus infinity where it has none of what a score is made of.
        """
        network = self.space.network(values, strict=False)
        if network.digest not in self._known:
            self._known[network.digest] = self._ask(network)
        return dict(self._known[network.digest])

    def positive(self, values: Values) -> dict[str, float]:
        """The scores as positive numbers in the same order; see `Score.positive`."""
        return {
            name: SCORES[name].positive(score, self.examples) if score > -math.inf else 0.0
            for name, score in self(values).items()
        }

    def features(
        self, costs: Costs | None = None, *, limits: Limits | None = None, sample: int = 64
    ) -> Features:
        """Return costs and guessed scores of candidates, for the `costs=` of an oracle."""
        return Features(self, costs, limits=limits, sample=sample)

    def _ask(self, network: Network) -> dict[str, float]:
        model = realise(network, seed=self.seed)
        if self._y is not None:
            model.compile(**self.space.task.compile_arguments())
        found = {}
        for name in self.names:
            try:
                found[name] = SCORES[name].ask(model, self._x, self._y)
            except Unscorable:
                found[name] = -math.inf
        return found


class Features:
    """Costs of candidates with their guessed scores beside them: `features(values)`.

    A surrogate weighs thousands of candidates a proposal, far more than can be built. So
    `sample` random members are scored when the first candidate is asked for, and a
    `CostModel` guesses all others from these, in about a millisecond. It is a fixed function
    of the candidate, the same before and after a trial.

    Of costs in general less is better; an oracle of ours only expects of larger ones that
    networks score a little better, until trials say otherwise. Give such features to a
    `GaussianProcess`; an objective or a limit cannot be one of them.

    Args:
        scores: The scores.
        costs: Costs that stay beside them, so that limits hold: the description's by default;
            with a device `kerasnas.costs.Costs(space, device, names of limits)`.
        limits: Limits within which the sample is drawn, best those of the search.
        sample: Members to score; more make better guesses and take longer to build.

    Raises:
        ValueError: If fewer than 8 members are to be scored, and when called, if there are
            not so many different ones or no score differs among them.
    """

    def __init__(
        self,
        scores: Scores,
        costs: Costs | None = None,
        *,
        limits: Limits | None = None,
        sample: int = 64,
    ) -> None:
        if sample < _FEWEST:
            raise ValueError(
                f"Scores are guessed from those of {_FEWEST} members or more. Received: "
                f"sample={sample}. Use 32 to 128."
            )
        self.scores = scores
        self._costs = costs or _on_paper(scores.space)
        self._limits = limits
        self._sample = sample
        self._decisions = Decisions(scores.space.hyperparameters())
        self._model: CostModel | None = None

    def __call__(self, values: Values) -> dict[str, float]:
        """The costs of a candidate, and its guessed scores under their names."""
        if self._model is None:
            self._model = self._learn()
        # What are costs too, such as `params`, is known exactly.
        guessed = np.exp(self._model.predict(self._decisions.encode([values]))[0])
        found = dict(zip(self._model.names, map(float, guessed), strict=True))
        return {**found, **self._costs(values)}

    def _learn(self) -> CostModel:
        rng = np.random.default_rng(self.scores.seed)
        drawn = draw(self.scores.space, self._sample, rng, self._limits, self._costs)
        known = [self.scores.positive(values) for values in drawn]
        model = None
        if len(drawn) >= _FEWEST:
            model = CostModel(self._decisions, self._decisions.encode(drawn), known)
        if model is None or not model.names:
            raise ValueError(
                "Scores are features where they differ. Received: "
                f"{', '.join(self.scores.names)} of {len(drawn)} different members"
                f"{' within the limits' if self._limits else ''}, "
                f"{'too few' if model is None else 'all equal'}. Use other scores, or none."
            )
        return model


def draw(
    space: SearchSpace,
    count: int,
    rng: np.random.Generator,
    limits: Limits | None = None,
    costs: Costs | None = None,
) -> list[Values]:
    """Draw random members within limits, no network twice.

    Args:
        space: The space.
        count: How many, at most: fewer if there are no more.
        rng: Draws them.
        limits: Upper bounds on costs.
        costs: What the limits are held against; the description's by default.
    """
    candidates = Candidates(
        Decisions(space.hyperparameters()),
        costs or _on_paper(space),
        parse_limits(limits),
        lambda values: space.identity(values, strict=False),
    )
    drawn: list[Values] = []
    while len(drawn) < count and (row := candidates.draw(rng)) is not None:
        drawn.append(candidates.decisions.values(row))
        candidates.exclude(drawn[-1])
    return drawn


def _on_paper(space: SearchSpace) -> Costs:
    from kerasnas.costs import Costs as Known

    return Known(space)


def _check_score(name: str, x: Any, y: Any) -> None:
    if name not in SCORES:
        raise unknown("score", name, SCORES)
    score = SCORES[name]
    lacks = [
        f"{argument}=None"
        for argument, given, needed in (("x", x, score.examples), ("y", y, score.targets))
        if needed and given is None
    ]
    if lacks:
        raise ValueError(
            f"`{name}` is a score of examples{' and their targets' if score.targets else ''}. "
            f"Received: {', '.join(lacks)}. Pass a batch of the training data."
        )

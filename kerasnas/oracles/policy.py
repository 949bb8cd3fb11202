"""Distributions over the candidates of a space, with gradients, for methods that learn one."""

from __future__ import annotations

import abc
import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from kerasnas.oracles.choices import NOTHING, Choices, Options, Picks
from kerasnas.oracles.decisions import Rows
from kerasnas.oracles.lstm import UNITS, Step, Weights, step, step_back

__all__ = ["FactorisedPolicy", "Policy", "RecurrentPolicy"]

Flags = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.float64]
Weigh = Callable[[Floats], Floats]

_SPREAD = 0.1  # first parameters of the LSTM are uniform between minus this and this


class Policy(abc.ABC):
    """A distribution over candidates, decision by decision, given by a vector of parameters.

    A policy holds no parameters itself: each method is a function of those it is given. Only
    decisions that are active count.

    Args:
        choices: The decisions of the space.
    """

    def __init__(self, choices: Choices):
        self.choices = choices
        self._width = max((choices.counts[j] for j in choices.order), default=1)

    @abc.abstractmethod
    def initial(self, rng: np.random.Generator) -> Floats:
        """Return parameters by which all options are about as likely."""

    @abc.abstractmethod
    def draw(self, theta: Floats, count: int, rng: np.random.Generator) -> Rows:
        """Draw so many assignments."""

    @abc.abstractmethod
    def log_probabilities(self, theta: Floats, picks: Picks) -> Floats:
        """Return the log-probability of each candidate, one a row of `picks`."""

    @abc.abstractmethod
    def gradient(self, theta: Floats, picks: Picks, weigh: Weigh, entropy: float) -> Floats:
        """Return the gradient of weighted log-probabilities plus a bonus for entropy.

        Args:
            theta: The parameters.
            picks: The candidates, one a row.
            weigh: Returns a weight for each of them, given their log-probabilities. The
                weights count as constants.
            entropy: Factor of the entropies of the active decisions, each given the choices
                of the candidate before it, summed over decisions and candidates.

        Returns:
            A vector like `theta`.
        """


class FactorisedPolicy(Policy):
    """One categorical distribution for each decision, whatever the others are.

    The parameters are the logits, `width` of them a column, of which the last ones of a column
    with fewer options mean nothing.
    """

    def __init__(self, choices: Choices):
        super().__init__(choices)
        counts = np.array([choices.counts[j] for j in choices.order], dtype=int)
        self._present = np.arange(self._width) < counts[:, None]

    def initial(self, rng: np.random.Generator) -> Floats:
        return np.zeros(self._present.size)

    def draw(self, theta: Floats, count: int, rng: np.random.Generator) -> Rows:
        probabilities = np.exp(self._logs(theta))
        place = {j: index for index, j in enumerate(self.choices.order)}

        def pick(j: int, active: Flags) -> Options:
            own = probabilities[place[j], : self.choices.counts[j]]
            return _sampled(np.tile(own, (int(active.sum()), 1)), rng)

        return self.choices.draw(count, pick, rng)

    def log_probabilities(self, theta: Floats, picks: Picks) -> Floats:
        picks = picks[:, self.choices.order]
        logs = self._logs(theta)[np.arange(picks.shape[1]), picks]
        summed: Floats = np.where(picks == NOTHING, 0.0, logs).sum(axis=1)
        return summed

    def gradient(self, theta: Floats, picks: Picks, weigh: Weigh, entropy: float) -> Floats:
        weights = weigh(self.log_probabilities(theta, picks))
        picks = picks[:, self.choices.order]
        active = picks != NOTHING
        logs = self._logs(theta)
        probabilities = np.exp(logs)
        gradient = -probabilities * (weights @ active)[:, None]
        rows, columns = np.nonzero(active)
        np.add.at(gradient, (columns, picks[rows, columns]), weights[rows])
        gradient += entropy * active.sum(axis=0)[:, None] * _entropy_slope(logs)
        flat: Floats = gradient.ravel()
        return flat

    def _logs(self, theta: Floats) -> Floats:
        logits = np.where(self._present, theta.reshape(self._present.shape), -np.inf)
        return _log_softmax(logits)


class RecurrentPolicy(Policy):
    """A small LSTM that reads the choices so far and gives the next decision's distribution.

    At each active decision it reads the token of the choice before, and its output goes
    through a linear layer of the decision's own. Decisions that are not active are passed
    over. So what one decision takes may depend on all before it.
    """

    def initial(self, rng: np.random.Generator) -> Floats:
        size = sum(math.prod(shape) for shape in self._shapes)
        return rng.uniform(-_SPREAD, _SPREAD, size)

    def draw(self, theta: Floats, count: int, rng: np.random.Generator) -> Rows:
        network, memory = self._network(theta), _Memory.empty(count)
        place = {j: index for index, j in enumerate(self.choices.order)}
        picks = np.full((count, len(self.choices)), NOTHING)

        def pick(j: int, active: Flags) -> Options:
            _, logs = self._read(network, memory, place[j], active)
            taken = _sampled(np.exp(logs), rng)
            picks[active, j] = taken
            memory.tokens[active] = self.choices.tokens(picks[active], j)
            return taken

        return self.choices.draw(count, pick, rng)

    def log_probabilities(self, theta: Floats, picks: Picks) -> Floats:
        return _summed(self._visits(self._network(theta), picks), len(picks))

    def gradient(self, theta: Floats, picks: Picks, weigh: Weigh, entropy: float) -> Floats:
        network = self._network(theta)
        visits = self._visits(network, picks)
        weights = weigh(_summed(visits, len(picks)))
        gradient = np.zeros(theta.size)
        slopes = self._network(gradient)  # views: what is added to them is added to it
        d_output, d_cell = np.zeros((2, len(picks), UNITS))
        for visit in reversed(visits):
            active, place = visit.active, visit.place
            d_logits = -np.exp(visit.logs) * weights[active, None]
            d_logits[np.arange(len(visit.picks)), visit.picks] += weights[active]
            d_logits += entropy * _entropy_slope(visit.logs)
            count = d_logits.shape[1]
            slopes.heads[place, :count] += d_logits.T @ visit.step.output
            slopes.biases[place, :count] += d_logits.sum(axis=0)
            d_output[active], d_cell[active] = step_back(
                network.lstm,
                slopes.lstm,
                visit.step,
                d_output[active] + d_logits @ network.heads[place, :count],
                d_cell[active],
            )
        return gradient

    def _visits(self, network: _Network, picks: Picks) -> list[_Visit]:
        """Go through the active decisions of candidates that are known."""
        memory = _Memory.empty(len(picks))
        visits: list[_Visit] = []
        for place, j in enumerate(self.choices.order):
            active = picks[:, j] != NOTHING
            if active.any():
                made, logs = self._read(network, memory, place, active)
                memory.tokens[active] = self.choices.tokens(picks[active], j)
                visits.append(_Visit(place, active, picks[active, j], made, logs))
        return visits

    def _read(
        self, network: _Network, memory: _Memory, place: int, active: Flags
    ) -> tuple[Step, Floats]:
        """Read the last choice of some candidates, and weigh the options of a decision.

        Returns:
            The step of the LSTM, and the log-probabilities: `(candidates, options)`.
        """
        tokens, output, cell = memory.tokens, memory.output, memory.cell
        made = step(network.lstm, tokens[active], output[active], cell[active])
        memory.output[active], memory.cell[active] = made.output, made.cell
        count = self.choices.counts[self.choices.order[place]]
        logits = made.output @ network.heads[place, :count].T + network.biases[place, :count]
        return made, _log_softmax(logits)

    @property
    def _shapes(self) -> list[tuple[int, ...]]:
        columns = len(self.choices.order)
        return [
            (self.choices.num_tokens, 4 * UNITS),
            (UNITS, 4 * UNITS),
            (columns, self._width, UNITS),
            (columns, self._width),
        ]

    def _network(self, theta: Floats) -> _Network:
        """Return views of a vector of parameters, or of their gradient."""
        ends = np.cumsum([math.prod(shape) for shape in self._shapes])
        parts = np.split(theta, ends[:-1])
        inputs, recurrent, heads, biases = (
            part.reshape(shape) for part, shape in zip(parts, self._shapes, strict=True)
        )
        return _Network(Weights(inputs, recurrent), heads, biases)


class _Network(NamedTuple):
    """The parameters of a recurrent policy, or their gradient."""

    lstm: Weights
    heads: Floats  # from the output to the logits of each column: (columns, width, UNITS)
    biases: Floats  # of the logits: (columns, width)


class _Memory(NamedTuple):
    """Where the LSTM stands in each candidate, as `step` takes it."""

    tokens: Options
    output: Floats
    cell: Floats

    @classmethod
    def empty(cls, count: int) -> _Memory:
        return cls(
            np.zeros(count, dtype=int), np.zeros((count, UNITS)), np.zeros((count, UNITS))
        )


class _Visit(NamedTuple):
    """A decision, in those of some candidates for which it is active."""

    place: int  # in the order of the choices
    active: Flags
    picks: Options
    step: Step
    logs: Floats


def _summed(visits: list[_Visit], count: int) -> Floats:
    """Return the log-probability of each candidate."""
    total = np.zeros(count)
    for visit in visits:
        total[visit.active] += visit.logs[np.arange(len(visit.picks)), visit.picks]
    return total


# --- categorical distributions ------------------------------------------------------------


def _log_softmax(logits: Floats) -> Floats:
    shifted = logits - logits.max(axis=-1, keepdims=True)
    logs: Floats = shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))
    return logs


def _entropy_slope(logs: Floats) -> Floats:
    """Return the gradient of each row's entropy with respect to its logits."""
    probabilities = np.exp(logs)
    finite = np.where(probabilities > 0.0, logs, 0.0)
    entropy = -(probabilities * finite).sum(axis=-1, keepdims=True)
    slope: Floats = -probabilities * (finite + entropy)
    return slope


def _sampled(probabilities: Floats, rng: np.random.Generator) -> Options:
    """Draw an option from each row of probabilities."""
    # The last one gets what is left, because rounding may leave the sum a little off 1.
    reached = np.cumsum(probabilities[:, :-1], axis=1)
    options: Options = (reached <= rng.random((len(probabilities), 1))).sum(axis=1)
    return options

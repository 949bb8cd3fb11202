"""Runs that will not become good are stopped on the way."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from kerasnas.fidelity._fidelity import Fidelity, Record, Run
from kerasnas.fidelity.calibration import forecast, reached
from kerasnas.fidelity.halving import SuccessiveHalving

__all__ = ["LearningCurve"]


class LearningCurve(Fidelity):
    """Stops a run as soon as its learning curve leaves it hardly a chance.

    After each epoch the run is compared with those that were trained to the same level before:
    what they had reached after as many epochs, and where they ended, tells how this one will
    end and how sure that is (`Forecast`). At the highest level it goes on while the chance of
    becoming better than the best is above `chance`; at lower levels, where many are promoted,
    the chance of becoming better than the median.

    Curves are not continued by a formula: the learning rate rises and falls once a run, and
    most of what a run gains comes with the fall, which no power law foresees and every earlier
    curve shows. The price is that some trials must be trained to the end first.

    Args:
        policy: How far trials are trained if none is stopped, such as `SuccessiveHalving(27)`;
            a number trains all of them for so many epochs.
        chance: Stops below this probability. Larger saves more epochs and more often stops a
            run that would have been the best.
        min_epochs: Epochs of a run in which it is never stopped; at least a quarter of it
            always is trained.
        min_trials: As long as fewer have been trained to the level, nothing is stopped.

    Raises:
        ValueError: If the policy's levels are not epochs, or if one of the numbers is out of
            range.

    Reference:
        The question is that of Domhan et al., "Speeding Up Automatic Hyperparameter
        Optimization of Deep Neural Networks by Extrapolation of Learning Curves", IJCAI 2015,
        with 5 % as there. The answer by earlier trials' curves is that of Baker et al.,
        "Accelerating Neural Architecture Search using Performance Prediction", 2017,
        https://arxiv.org/abs/1705.10823, reduced to one feature, so that five trials are
        enough.
    """

    def __init__(
        self,
        policy: Fidelity | float,
        *,
        chance: float = 0.05,
        min_epochs: int = 3,
        min_trials: int = 5,
    ) -> None:
        if not isinstance(policy, Fidelity):
            policy = SuccessiveHalving([policy])
        super().__init__(policy.dimension)
        if policy.dimension != "epochs":
            raise ValueError(
                "Learning curves tell of a run where levels are epochs. "
                f"Received: a policy of dimension={policy.dimension!r}. Use the policy "
                'without `LearningCurve`, or with dimension="epochs".'
            )
        if not 0 <= chance < 1 or min_epochs < 1 or min_trials < 2:
            raise ValueError(
                "`chance` is from 0 to below 1, and there is at least 1 epoch and 2 trials to "
                f"judge by. Received: chance={chance}, min_epochs={min_epochs}, "
                f"min_trials={min_trials}. The defaults are 0.05, 3 and 5."
            )
        self.policy = policy
        self.chance = chance
        self.min_epochs = min_epochs
        self.min_trials = min_trials

    @property
    def levels(self) -> tuple[float, ...]:
        return self.policy.levels

    def next_run(self, records: Sequence[Record], *, last: bool) -> Run | float:
        return self.policy.next_run(records, last=last)

    def goes_on(self, record: Record, records: Sequence[Record]) -> bool:
        if record.running is None or not self.policy.goes_on(record, records):
            return record.running is None
        level, start, epoch = record.running, record.level, len(record.curve)
        if epoch >= level or epoch - start < max(self.min_epochs, (level - start) / 4):
            return True
        others = [other for other in records if level in other.losses]
        told = forecast(others, record, level, at_least=self.min_trials)
        if told is None:
            return True
        ends = [other.losses[level] for other in others]
        bound = min(ends) if level == self.levels[-1] else float(np.median(ends))
        so_far = reached(record, start)
        return so_far < bound or told.chance(so_far, bound) >= self.chance

    def expected(self, records: Sequence[Record]) -> npt.NDArray[np.float64]:
        return self.policy.expected(records)

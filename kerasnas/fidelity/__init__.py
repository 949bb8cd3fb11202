"""How much training a candidate deserves: policies that any oracle of ours takes.

| policy              | who is trained how far                                          |
|---------------------|-----------------------------------------------------------------|
| `SuccessiveHalving` | all a little, one in three of them three times as long, ...     |
| `Hyperband`         | the same from several starts, in case a little misleads         |
| `LearningCurve`     | as another policy says, less what is hopeless                   |
| a `Fidelity`        | as you write it                                                 |
"""

from kerasnas.fidelity._fidelity import Fidelity, Record, Run
from kerasnas.fidelity.halving import SuccessiveHalving
from kerasnas.fidelity.hyperband import Hyperband
from kerasnas.fidelity.learning_curve import LearningCurve

__all__ = ["Fidelity", "Hyperband", "LearningCurve", "Record", "Run", "SuccessiveHalving"]

"""Scores of networks that were never trained: a hint where to look, never a verdict.

| module            | what it holds                                                        |
|-------------------|----------------------------------------------------------------------|
| `copies.py`       | copies of a model that can be probed, so that it stays as it is      |
| `saliency.py`     | `synflow`, `snip`, `grad_norm`: weights and their gradients          |
| `separation.py`   | `naswot`, `jacob_cov`: how well a batch is told apart                |
| `perturbation.py` | `zen`: how much features answer to noise                             |
| `catalogue.py`    | all scores by name, `params` and `macs` among them                   |
| `scores.py`       | `Scores`: of the members of a space, and as features of a surrogate  |
| `ranks.py`        | several scores as one order, and as what decides between equals      |
| `seeding.py`      | `seeds`: candidates to start a search with                           |

**None of them beats counting.** `benchmarks/training_free.py` ranks trained networks by each
score. On NAS-Bench-201 `synflow`, `naswot`, `jacob_cov` and `zen` rank about as well as
`params` and `macs`, and know something beside them; `snip` and `grad_norm` are clearly worse
than both. In the mobile space all six rank less well than both sizes, `naswot` nearest, with
intervals that mostly leave a tie open. Sizes cost nothing and a `GaussianProcess` has them
as features already: so scores are for starting a search, for deciding between equals, or one
feature among others.
"""

from __future__ import annotations

import importlib
from typing import Any

_HOME = {
    "SCORES": "catalogue",
    "Scores": "scores",
    "grad_norm": "saliency",
    "jacob_cov": "separation",
    "macs": "catalogue",
    "naswot": "separation",
    "order": "ranks",
    "params": "catalogue",
    "seeds": "seeding",
    "snip": "saliency",
    "summed_ranks": "ranks",
    "synflow": "saliency",
    "zen": "perturbation",
}

__all__ = [
    "SCORES",
    "Scores",
    "grad_norm",
    "jacob_cov",
    "macs",
    "naswot",
    "order",
    "params",
    "seeds",
    "snip",
    "summed_ranks",
    "synflow",
    "zen",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOME[name]}"), name)

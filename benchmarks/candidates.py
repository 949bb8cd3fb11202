"""Random candidates of the mobile space described, costed and held against limits.

One core, no model built. Prints seconds for `--count` candidates and how many keep the limits.

    taskset -c 0 python benchmarks/candidates.py --count 10000
"""

from __future__ import annotations

import argparse
import time

import numpy as np

import kerasnas


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=10_000)
    arguments = parser.parse_args()
    space = kerasnas.search_spaces.MobileNet((28, 28, 1), 10, rescaling=(1 / 255, 0.0))

    from kerasnas.limits import parse_limits, violation
    from kerasnas.oracles.decisions import Decisions

    limits = parse_limits({"params": "100k", "macs": "5M", "flash": "128KB"})
    started = time.perf_counter()
    decisions = Decisions(space.hyperparameters())
    kept, networks = 0, set()
    for row in decisions.sample(np.random.default_rng(0), arguments.count):
        values = decisions.values(row)
        kept += violation(space.costs(values), limits) == 0.0
        networks.add(space.identity(values))
    seconds = time.perf_counter() - started
    print(
        f"{arguments.count:,} candidates described, costed, identified and checked in "
        f"{seconds:.1f} s ({1e3 * seconds / arguments.count:.2f} ms each); {kept:,} keep "
        f"{limits}; {len(networks):,} different networks"
    )


if __name__ == "__main__":
    main()

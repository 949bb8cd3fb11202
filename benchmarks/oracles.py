"""Replay oracles and peers on tables of trained networks, and compare their regret.

    python -m benchmarks.oracles --data ../shared/data --searchers ours random tpe gpsampler \
        --seeds 10 --trials 100 --processes 2 --output out

Searchers that take long to propose can be given fewer trials than the others: `--short ours
ours-predictor --short-trials 100`.

Finished runs are kept in `--cache` and never computed twice; runs of our own oracles are kept
by a fingerprint of their sources, so they are new when those change. `--output` gets
`oracles.json`, `oracles.md` and `oracles.png`. With `--cached` nothing is run, and the report
is of what is there.

Searchers are described in `benchmarks/peers.py`, problems in `benchmarks/problems.py`. Seconds
are CPU seconds of the searcher on one thread, asking and telling. `less random` is the regret
less that of the peer `random`, paired by seed, and in brackets over its standard error: below
-2 it is better than random, above 2 worse.
"""

from __future__ import annotations

import os

if __name__ == "__main__":
    # Before NumPy: such small matrices take longer on several threads.
    os.environ.update(OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1", TF_CPP_MIN_LOG_LEVEL="3")

import argparse
import json
import multiprocessing
import sys
import time
import traceback
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from benchmarks.peers import is_ours
from benchmarks.problems import PROBLEMS, TABLES, load
from benchmarks.regret import (
    compare,
    interval,
    mean_and_error,
    paired,
    returned,
    simple_regret,
)
from benchmarks.replay import (
    cached,
    fingerprint,
    keep,
    loaded_fingerprint,
    replay,
    run_file,
)

MARKS = (10, 25, 50, 100, 300)  # numbers of trials at which regret is told
LATE = (100, 300)  # those at which test accuracy is, and how it stands to random
BASELINES = ("random", "largest")  # peers that learn nothing
PEERS = (*BASELINES, "local-search", "evolution", "tpe", "gpsampler", "smac")

Runs = dict[str, dict[str, dict[int, dict[str, Any]]]]
"""Runs by problem, searcher and seed."""


class Task(NamedTuple):
    """One run to make: picklable."""

    spec: str
    problem: str
    seed: int
    trials: int
    data: str | None
    file: Path
    sources: str


def main(arguments: Sequence[str] | None = None) -> int:
    """Run what is missing and report. Return 1 if a run failed."""
    options = _parser().parse_args(arguments)
    tasks = list(_tasks(options))
    failed = 0 if options.cached else _run(tasks, options.processes)
    runs: Runs = {}
    for task in tasks:
        run = cached(task.file, task.trials)
        if run is not None:
            seeds = runs.setdefault(task.problem, {}).setdefault(task.spec, {})
            seeds[task.seed] = run
    if runs:
        _report(runs, options)
    return int(failed > 0)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    home = Path(__file__).parent
    parser.add_argument("--data", help="folder of the tables; default $KERASNAS_DATA")
    parser.add_argument("--problems", nargs="+", default=TABLES, choices=PROBLEMS)
    parser.add_argument("--searchers", nargs="+", default=["ours", *PEERS])
    parser.add_argument("--seeds", type=int, default=30, help="seeds 0, 1, ...")
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("--trials", type=int, default=100)
    parser.add_argument("--short", nargs="+", default=[], help="searchers with fewer trials")
    parser.add_argument("--short-trials", type=int, default=100)
    parser.add_argument("--processes", type=int, default=1)
    parser.add_argument("--label", default="", help="keeps runs of ours apart in the cache")
    parser.add_argument("--cache", type=Path, default=home / ".cache" / "oracles")
    parser.add_argument("--cached", action="store_true", help="run nothing")
    parser.add_argument("--output", type=Path, help="folder of the report; default: print")
    return parser


# --- running ----------------------------------------------------------------------------


def _tasks(options: argparse.Namespace) -> Iterator[Task]:
    """Go through all runs, seed after seed, so that a part of them is already useful."""
    for seed in range(options.first_seed, options.first_seed + options.seeds):
        for problem in options.problems:
            for spec in options.searchers:
                file = run_file(options.cache, spec, problem, seed, options.label)
                sources = fingerprint() if is_ours(spec) else ""
                trials = options.short_trials if spec in options.short else options.trials
                yield Task(spec, problem, seed, trials, options.data, file, sources)


def _run(tasks: Sequence[Task], processes: int) -> int:
    """Run what is not cached and return how many runs failed."""
    missing = [task for task in tasks if cached(task.file, task.trials) is None]
    print(f"{len(missing)} of {len(tasks)} runs to make", file=sys.stderr, flush=True)
    if processes == 1:
        return sum(_report_line(task, *_one(task)) for task in missing)
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(processes, mp_context=context) as pool:
        results = pool.map(_one, missing)
        return sum(
            _report_line(task, *result) for task, result in zip(missing, results, strict=True)
        )


def _one(task: Task) -> tuple[float, str]:
    """Make one run and keep it. Return its seconds, and the error if there was one."""
    begun = time.perf_counter()
    try:
        if task.sources and task.sources != loaded_fingerprint():
            raise RuntimeError("The sources of our oracles changed meanwhile: start again.")
        problem = load(task.problem, task.data)
        keep(task.file, replay(task.spec, problem, task.seed, task.trials))
    except Exception:
        return time.perf_counter() - begun, traceback.format_exc()
    return time.perf_counter() - begun, ""


def _report_line(task: Task, seconds: float, error: str) -> bool:
    state = f"failed\n{error}" if error else "done"
    print(
        f"{task.problem} {task.spec} seed {task.seed}: {seconds:.1f} s {state}",
        file=sys.stderr,
        flush=True,
    )
    return bool(error)


# --- reporting --------------------------------------------------------------------------


def _report(runs: Runs, options: argparse.Namespace) -> None:
    summary = summarise(runs, options.data, options.trials)
    text = markdown(summary)
    print(text)
    if options.output is not None:
        options.output.mkdir(parents=True, exist_ok=True)
        (options.output / "oracles.json").write_text(json.dumps(summary, indent=1))
        (options.output / "oracles.md").write_text(text)
        plot(summary, options.output / "oracles.png")


def summarise(runs: Runs, data: str | None, trials: int) -> dict[str, Any]:
    """Return all figures of a report.

    Returns:
        `problems`: by problem and searcher the regret at each of `MARKS` (mean, standard
        error), the same less that of random at each of `LATE`, the test accuracy of what a
        search would return, CPU seconds a trial, the mean curve with its 95 % bootstrap band,
        repeats and broken limits. `comparisons`: for each of our searchers, `regret.compare`
        with the best peers, and with the best of those that learn from trials.
    """
    curves: dict[str, dict[str, dict[int, Any]]] = {}
    problems: dict[str, Any] = {}
    for name, searchers in runs.items():
        problem = load(name, data)
        optimum = min(
            [problem.optimum]
            + [s["truth"] for seeds in searchers.values() for r in seeds.values()
               for s in r["steps"] if problem.allowed(problem.grid.values(tuple(s["row"])))]
        )  # fmt: skip
        for spec, seeds in searchers.items():
            curves.setdefault(name, {})[spec] = {
                seed: simple_regret([s["truth"] for s in run["steps"]], optimum, run["trials"])
                for seed, run in seeds.items()
            }
        problems[name] = {
            "optimum": optimum,
            "searchers": {
                spec: {
                    **_figures(list(seeds.values()), curves[name][spec], problem.limits),
                    "less_random": _less_random(curves[name], spec),
                }
                for spec, seeds in searchers.items()
            },
        }
    return {
        "trials": trials,
        "problems": problems,
        "comparisons": _comparisons(curves, data),
    }


def _figures(
    runs: Sequence[Mapping[str, Any]], curves: Mapping[int, Any], limits: Mapping[str, float]
) -> dict[str, Any]:
    matrix = np.array(list(curves.values()))
    rng = np.random.default_rng(0)
    drawn = matrix[rng.integers(len(matrix), size=(1000, len(matrix)))].mean(axis=1)
    bands = [interval(column) for column in drawn.T]
    marks = [mark for mark in MARKS if mark <= matrix.shape[1]]
    steps = [run["steps"] for run in runs]
    tests = {mark: [returned(one, mark)["test"] for one in steps] for mark in marks}
    seconds = [[step["seconds"] for step in one] for one in steps]
    return {
        "seeds": len(runs),
        "regret": {str(mark): mean_and_error(matrix[:, mark - 1]) for mark in marks},
        "test": {
            str(mark): mean_and_error(figures)
            for mark, figures in tests.items()
            if None not in figures
        },
        "seconds": float(np.mean(np.concatenate(seconds))),
        "mean": matrix.mean(axis=0).tolist(),
        "low": [low for low, _ in bands],
        "high": [high for _, high in bands],
        "repeats": float(
            np.mean([len(one) - len({tuple(step["row"]) for step in one}) for one in steps])
        ),
        "infeasible": sum(
            any(step["costs"][name] > bound for name, bound in limits.items())
            for one in steps
            for step in one
        ),
    }


def _less_random(curves: Mapping[str, Mapping[int, Any]], spec: str) -> dict[str, Any]:
    """Return by mark the mean difference to random search, and its standard error."""
    theirs = curves.get("random", {}) if spec != "random" else {}
    if len(theirs.keys() & curves[spec].keys()) < 2:
        return {}
    shortest = min(len(curve) for one in (curves[spec], theirs) for curve in one.values())
    return {
        str(mark): paired(
            {seed: curve[mark - 1] for seed, curve in curves[spec].items()},
            {seed: curve[mark - 1] for seed, curve in theirs.items()},
        )
        for mark in LATE
        if mark <= shortest
    }


def _comparisons(curves: Mapping[str, Mapping[str, Any]], data: str | None) -> dict[str, Any]:
    """Compare each searcher of ours with the best peers, on the problems that both ran."""
    specs = {spec for searchers in curves.values() for spec in searchers if is_ours(spec)}
    made: dict[str, Any] = {}
    for spec in sorted(specs):
        ours = {name: one[spec] for name, one in curves.items() if spec in one}
        for kind, left_out in (("peer", ()), ("learning peer", BASELINES)):
            peers = {
                name: {
                    peer: one
                    for peer, one in curves[name].items()
                    if not is_ours(peer) and peer not in left_out
                }
                for name in ours
            }
            shared = [name for name in ours if peers[name]]
            checkpoints = {}
            for name in shared:
                curve_sets = (ours[name], *peers[name].values())
                shortest = min(len(curve) for one in curve_sets for curve in one.values())
                marks = [mark for mark in load(name, data).checkpoints if mark <= shortest]
                checkpoints[name] = marks or [shortest]
            made[f"{spec} over the best {kind}"] = compare(
                {name: ours[name] for name in shared}, peers, checkpoints
            )
    return made


def markdown(summary: Mapping[str, Any]) -> str:
    """Return the report as tables in Markdown."""
    lines: list[str] = []
    marks = [str(mark) for mark in MARKS if mark <= summary["trials"]]
    for name, problem in summary["problems"].items():
        shortest = min(len(one["mean"]) for one in problem["searchers"].values())
        ranked = sorted(
            problem["searchers"].items(), key=lambda one: np.mean(one[1]["mean"][:shortest])
        )
        late = [mark for mark in marks if int(mark) in LATE]
        heads = [
            "searcher",
            "seeds",
            *(f"regret @{mark}" for mark in marks),
            *(f"less random @{mark}" for mark in late),
            *(f"test @{mark}" for mark in late),
            "CPU s/trial",
            "repeats",
            "infeasible",
        ]
        lines += [f"### {name}", "", f"| {' | '.join(heads)} |", "|---" * len(heads) + "|"]
        for spec, figures in ranked:
            cells = [
                spec,
                str(figures["seeds"]),
                *(_plus_minus(figures["regret"].get(mark)) for mark in marks),
                *(_in_errors(figures["less_random"].get(mark)) for mark in late),
                *(_plus_minus(figures["test"].get(mark), 2) for mark in late),
                f"{figures['seconds']:.3f}",
                f"{figures['repeats']:.1f}",
                str(figures["infeasible"]),
            ]
            lines.append(f"| {' | '.join(cells)} |")
        lines.append("")
    for title, comparison in summary["comparisons"].items():
        lines += _comparison_lines(title, comparison)
    return "\n".join(lines)


def _comparison_lines(title: str, comparison: Mapping[str, Any]) -> list[str]:
    """Return the table that holds a searcher of ours against the best peers."""
    if not comparison["problems"]:
        return []
    lines = [
        f"### {title}",
        "",
        "| problem | best peer | seeds | ratio | first checkpoint | by checkpoint | trials |",
        "|---|---|---|---|---|---|---|",
    ]
    rows = [("**all**", {"peer": "", "seeds": "", "by_checkpoint": {}, **comparison})]
    for name, one in [*comparison["problems"].items(), *rows]:
        marks = ", ".join(
            f"@{mark} {ratio:.2f}" for mark, ratio in one["by_checkpoint"].items()
        )
        lines.append(
            f"| {name} | {one['peer']} | {one['seeds']} | {_with_interval(one, 'ratio')} "
            f"| {_with_interval(one, 'ratio_first')} | {marks} | {one['trials'] or 'never'} |"
        )
    return [*lines, ""]


def _plus_minus(figure: tuple[float, float] | None, digits: int = 3) -> str:
    if figure is None:
        return ""
    mean, error = figure
    return f"{mean:.{digits}f} ± {error:.{digits}f}"


def _in_errors(difference: tuple[float, float] | None) -> str:
    if difference is None:
        return ""
    mean, error = difference
    return f"{mean:+.3f} ({mean / error:+.1f})" if error else f"{mean:+.3f}"


def _with_interval(one: Mapping[str, Any], name: str) -> str:
    low, high = one[f"{name}_interval"]
    return f"{one[name]:.2f} ({low:.2f} to {high:.2f})"


def plot(summary: Mapping[str, Any], path: Path) -> None:
    """Draw regret against trials, one panel a problem, with 95 % bootstrap bands."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    problems = summary["problems"]
    specs = list(dict.fromkeys(spec for one in problems.values() for spec in one["searchers"]))
    colours = {spec: plt.get_cmap("tab20")(index % 20) for index, spec in enumerate(specs)}
    columns = min(3, len(problems))
    rows = -(-len(problems) // columns)
    figure, axes = plt.subplots(
        rows, columns, figsize=(5 * columns, 4 * rows), squeeze=False, layout="constrained"
    )
    for axis in axes.flat[len(problems) :]:
        axis.set_visible(False)
    for axis, (name, problem) in zip(axes.flat, problems.items(), strict=False):
        for spec, figures in problem["searchers"].items():
            trials = np.arange(1, len(figures["mean"]) + 1)
            style = {"color": colours[spec], "linewidth": 2.5 if is_ours(spec) else 1.2}
            axis.plot(trials, figures["mean"], label=spec, **style)
            axis.fill_between(
                trials, figures["low"], figures["high"], color=colours[spec], alpha=0.15
            )
        axis.set(title=name, xlabel="trials", ylabel="simple regret", yscale="log")
        axis.set_ylim(bottom=1e-3)
    handles = {}
    for axis in axes.flat:
        handles.update(dict(zip(*reversed(axis.get_legend_handles_labels()), strict=True)))
    figure.legend(
        handles.values(), handles.keys(), loc="outside lower center", ncols=min(6, len(specs))
    )
    figure.savefig(path, dpi=120)
    plt.close(figure)


if __name__ == "__main__":
    sys.exit(main())

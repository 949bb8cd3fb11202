"""How well costs on paper predict the file, its operators, and the memory it is run in.

    python -m benchmarks.device_costs members --count 60 --output members.jsonl
    python -m benchmarks.device_costs spaces --count 12 --output spaces.jsonl
    python -m benchmarks.device_costs mlperf
    taskset -c 0 python -m benchmarks.device_costs limits --exports 200 --output limits.jsonl

`members` exports random members of the mobile space (uniform decisions, several input shapes),
`spaces` small ones of every other space, `mlperf` the four networks of MLPerf Tiny; `limits`
judges 10,000 candidates against four
limits and exports some of them. Networks are not trained for this, but given the weights and
statistics of no particular training: fresh ones have biases of zero, which a file stores once,
and wild ones have activations so large that biases round to zero. The arena is that of
TensorFlow Lite Micro (extra `micro`).

Every network is one line of JSON in `--output`; those already there are kept, so a run can be
continued. `members --fit --others spaces.jsonl` prints the constants of
`search_spaces/file_size.py` that least squares on the relative error gives.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import flatbuffers
import numpy as np
import scipy.optimize
from ai_edge_litert import schema_py_generated as schema

import kerasnas
import search_spaces as spaces
from benchmarks import mlperf_tiny
from edge_devices import tflm
from edge_devices.flatbuffer import read
from edge_devices.memory import memory
from edge_devices.program import Program
from search_spaces import blocks, costs
from search_spaces.file_size import FITTED, parts
from search_spaces.members import draws
from search_spaces.network import Network, Node, freeze, input_node
from search_spaces.realise import realise

SHAPES = [((8, 8, 1), 10), ((28, 28, 1), 10), ((32, 32, 3), 10), ((96, 96, 3), 2)]
RESCALING = [(1 / 255, 0.0), (0.3, -0.5)]
# Small ones: a hundred files are written in minutes.
OTHERS = {
    "darts": lambda: spaces.DARTSCells((16, 16, 3), 5, cells=4, filters=8),
    "detector": lambda: spaces.Detector((32, 32, 3), task=spaces.Detection(3)),
    "dscnn": lambda: spaces.DSCNN((49, 40), 10),
    "efficientnet": lambda: spaces.EfficientNet((32, 32, 3), 5),
    "graph": lambda: spaces.GraphNetwork((16, 16, 3), 5),
    "language": lambda: spaces.Transformer((16,), task=spaces.NextToken(20), vocabulary=20),
    "mlp": lambda: spaces.MLP((13,), 4),
    "nasbench101": lambda: spaces.NASBench101Cells((16, 16, 3), 5, channels=16, modules=1),
    "nasbench201": lambda: spaces.NASBench201Cells((16, 16, 3), 5, channels=8, cells=1),
    "nasnet": lambda: spaces.NASNetCells((16, 16, 3), 5),
    "recurrent": lambda: spaces.Recurrent((8, 12), 9),
    "resnet": lambda: spaces.ResNet((32, 32, 3), 10),
    "tcn": lambda: spaces.TemporalConvNet((29, 12), 9),
    "transformer": lambda: spaces.Transformer((32, 12), 9),
    "unet": lambda: spaces.UNet((32, 32, 3), task=spaces.Segmentation(3)),
    "vision transformer": lambda: spaces.Transformer((16, 16, 3), 5),
}
# What the fit is for first of all: the space that microcontrollers are searched with.
_MOBILE_WEIGHT = 14.0
# Those of uNAS, and what usually comes with them.
LIMITS = {"params": 60_000, "macs": 2_000_000, "flash": 64 * 1024, "ram": 32 * 1024}
# Largest relative error stated in the docstrings of `search_spaces/costs.py`.
STATED = {"params": 0.0, "macs": 0.0, "flash": 0.01, "ram": 0.01}


def member(number: int, shape: Any, classes: int, rescaling: Any) -> Network:
    """A random member of the mobile space, the same for the same number."""
    space = kerasnas.search_spaces.MobileNet(shape, classes, rescaling=rescaling)
    return space.network(next(candidates(space, number)))


def candidates(space: Any, seed: int) -> Iterator[dict[str, Any]]:
    """Uniform draws of a space's decisions."""
    from kerasnas.oracles.decisions import Decisions

    decisions, rng = Decisions(space.hyperparameters()), np.random.default_rng(seed)
    while True:
        yield decisions.values(decisions.sample(rng, 1)[0])


def exported(network: Network, seed: int, *, compact: bool = True) -> bytes:
    """The int8 file of a network with plausible weights and statistics."""
    import keras

    rng = np.random.default_rng(seed)
    model = realise(network, seed=seed)
    model.set_weights([_drawn(rng, weight) for weight in model.weights])
    samples = _inputs(rng, network)
    content = kerasnas.tflite_export.convert(model, "int8", samples, compact=compact)
    keras.backend.clear_session()
    return bytes(content)


def _inputs(rng: np.random.Generator, network: Network) -> Any:
    shape = (16, *network.input_shape)
    if network.input_dtype == "int32":
        (vocabulary,) = (
            dict(record.settings)["vocabulary"]
            for record in network.layers
            if record.op == "embedding"
        )
        return rng.integers(0, vocabulary, shape).astype("int32")
    if len(shape) == 4:
        return rng.uniform(0, 255, shape).astype("float32")
    return rng.normal(0, 1, shape).astype("float32")


def _drawn(rng: np.random.Generator, weight: Any) -> Any:
    small = weight.path.endswith("bias") or tuple(weight.shape) == (1, 1)
    if len(weight.shape) > 1 and not small:
        return np.asarray(weight)  # as initialised: activations keep their size
    low = 0.5 if weight.path.endswith(("gamma", "moving_variance")) else -0.5
    return rng.uniform(low, low + 1, weight.shape)


def judged(network: Network, content: bytes) -> dict[str, Any]:
    """Costs on paper beside those of the file and of the interpreter."""
    program = read(content)
    arena = tflm.arena(content)
    wide = memory(costs.program(network), pointer_bytes=8)
    settled, counts = parts(costs.program(network))
    return {
        "predicted": costs.costs(network),
        "same_operators": program == costs.program(network),
        "same_but_for_scales": unscaled(program) == unscaled(costs.program(network)),
        "bytes": len(content),
        "macs": sum(map(program.macs, program.operators)),
        "activations": [wide.activations, arena.activations],
        "persistent": [wide.persistent, arena.persistent],
        # What TFLM uses on a microcontroller: its own layout, structures with short pointers.
        "ram": arena.activations + memory(program).persistent,
        "settled": settled,
        "counts": counts,
    }


def unscaled(program: Program) -> tuple[Any, ...]:
    """A program without the operators that bring inputs of a concatenation to one scale."""
    source: dict[int, int] = {}
    number = {index: place for place, index in enumerate(program.inputs)}
    kept = []
    for operator in program.operators:
        inputs = tuple(source.get(index, index) for index in operator.inputs)
        if operator.op == "QUANTIZE":
            source[operator.outputs[0]] = inputs[0]
            continue
        for index in operator.outputs:
            number[index] = len(number)
        kept.append(
            operator._replace(
                inputs=tuple(number[index] for index in inputs),
                outputs=tuple(number[index] for index in operator.outputs),
            )
        )
    return tuple(kept), program.constants


def continued(output: Path, count: int, one: Callable[[int], dict[str, Any]]) -> list[Any]:
    """Lines of a file, after those that are missing were added."""
    lines = output.read_text().splitlines() if output.exists() else []
    for number in range(len(lines), count):
        with output.open("a") as file:
            file.write(json.dumps(one(number)) + "\n")
    return [json.loads(line) for line in output.read_text().splitlines()[:count]]


def members(arguments: argparse.Namespace) -> None:
    """Random members of the mobile space."""

    def one(number: int) -> dict[str, Any]:
        shape, classes = SHAPES[number % len(SHAPES)]
        network = member(number, shape, classes, RESCALING[number % 8 // 4])
        return {"shape": shape} | judged(network, exported(network, number))

    records = continued(arguments.output, arguments.count, one)
    summary(records)
    if arguments.fit:
        references = [describe() for describe in mlperf_tiny.NETWORKS.values()]
        judge = [judged(network, exported(network, 0)) for network in references]
        small = [judged(network, exported(network, 0)) for network in smallest()]
        print("networks of an operator or two:")
        summary(small)
        others = list(map(json.loads, arguments.others.read_text().splitlines()))
        print(json.dumps(fit(records + judge, others, small), indent=2))


def others(arguments: argparse.Namespace) -> None:
    """Random members of every other space."""
    drawn = [(name, number) for name in OTHERS for number in range(arguments.count)]

    def one(place: int) -> dict[str, Any]:
        name, number = drawn[place]
        network = list(draws(OTHERS[name](), number + 1, seed=0))[number].network
        return {"space": name} | judged(network, exported(network, number))

    records = continued(arguments.output, len(drawn), one)
    for name in OTHERS:
        print(name)
        summary([record for record in records if record["space"] == name])


def smallest() -> list[Network]:
    """Networks of an operator or two: the file is mostly what it says of itself."""

    def image() -> Node:
        return input_node((12, 12, 4))

    ends = [
        blocks.max_pool(image()),
        blocks.average_pool(blocks.max_pool(image())),
        blocks.activation(image(), "hard_silu"),
        blocks.activation(blocks.max_pool(image()), "sigmoid"),
        blocks.conv(image(), 8),
        blocks.global_average_pool(blocks.depthwise(image())),
        blocks.dense(blocks.flatten(image()), 10),
        blocks.add(*[blocks.conv(x, 4) for x in [image()] for _ in range(2)]),
    ]
    return [freeze(end) for end in ends]


def summary(records: list[dict[str, Any]]) -> None:
    """Print how far predictions are off."""
    sizes = [record["bytes"] for record in records]
    print(f"{len(records)} files of {min(sizes):,} to {max(sizes):,} bytes")
    show("flash", [r["predicted"]["flash"] / r["bytes"] - 1 for r in records])
    for name in ("activations", "persistent"):
        show(f"{name} (64 bit)", [r[name][0] / r[name][1] - 1 for r in records])
    show("ram", [r["predicted"]["ram"] / r["ram"] - 1 for r in records])
    print("  macs equal:", sum(r["predicted"]["macs"] == r["macs"] for r in records))
    exact, nearly = (
        sum(record[name] for record in records)
        for name in ("same_operators", "same_but_for_scales")
    )
    print(f"  programs equal: {exact}, but for QUANTIZE {nearly}, of {len(records)}")


def show(name: str, errors: list[float]) -> None:
    """Print what is known of errors, predicted / real - 1."""
    error = np.array(errors)
    print(
        f"  {name}: median |error| {np.median(abs(error)):.3%}, from {error.min():+.2%} to "
        f"{error.max():+.2%}, exact in {np.mean(error == 0):.0%}, within 10 % in "
        f"{np.mean(abs(error) <= 0.1):.0%}"
    )


def fit(
    records: list[dict[str, Any]], others: list[dict[str, Any]], small: list[dict[str, Any]]
) -> dict[str, float]:
    """Non-negative constants by least squares on the relative error.

    Those of other spaces tell apart what the mobile space lacks, and weigh less; tiny
    networks, which tell apart what others add up, a tenth: nobody searches them.
    """
    names = list(FITTED)
    every = records + others + small
    size = np.array([r["bytes"] for r in every], float)
    settled = np.array([r["settled"] for r in every], float)
    counts = np.array([[r["counts"][name] for name in names] for r in every], float)
    sizes = len(records), len(others), len(small)
    weight = np.repeat([_MOBILE_WEIGHT, 1.0, 0.1], sizes) / size
    solution, _ = scipy.optimize.nnls(counts * weight[:, None], (size - settled) * weight)
    errors = (settled + counts @ solution) / size - 1
    show("fitted", list(errors[: len(records)]))
    show("fitted, other spaces", list(errors[len(records) : len(records) + len(others)]))
    return dict(zip(names, solution.round(1).tolist(), strict=True))


def unshared(content: bytes) -> int:
    """Bytes of a file in which equal vectors are repeated, as other converters write it."""
    model = schema.ModelT.InitFromObj(schema.Model.GetRootAs(content))
    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), file_identifier=b"TFL3")
    return len(builder.Output())


def mlperf(arguments: argparse.Namespace) -> None:
    """The reference networks of MLPerf Tiny."""
    records = []
    for name, describe in mlperf_tiny.NETWORKS.items():
        network, published = describe(), mlperf_tiny.PUBLISHED[name]
        content, named = exported(network, 0), exported(network, 0, compact=False)
        record = judged(network, content)
        records.append(record)
        # The published files have one scale a dense layer; ours have one a channel, and a
        # zero point, for weights and biases.
        dense = [o for o in costs.program(network).operators if o.op == "FULLY_CONNECTED"]
        per_channel = sum(24 * operator.weights[0] for operator in dense)
        sizes = {
            "ours": len(content),
            "with names": len(named),
            "nothing shared": unshared(named),
            "and dense layers with one scale": unshared(named) - per_channel,
        }
        print(f"{name}: published {published:,}", *_relative(sizes, published), sep="; ")
        print(f"  predicted {record['predicted']}, file {record['bytes']:,}")
        for part in ("activations", "persistent"):
            print("  {}: predicted {:,}, TFLM {:,}".format(part, *record[part]))
    summary(records)


def _relative(sizes: dict[str, int], reference: int) -> list[str]:
    return [f"{name} {size:,} ({size / reference - 1:+.1%})" for name, size in sizes.items()]


def limits(arguments: argparse.Namespace) -> None:
    """Judge many candidates on paper, export some of them, and compare."""
    shape, classes = SHAPES[1]
    space = kerasnas.search_spaces.MobileNet(shape, classes, rescaling=RESCALING[0])
    draws = candidates(space, seed=0)
    values = [next(draws) for _ in range(arguments.count)]
    started = time.perf_counter(), time.process_time()
    ratios = np.array(
        [[c[name] / LIMITS[name] for name in LIMITS] for c in map(space.costs, values)]
    ).max(axis=1)
    wall, cpu = time.perf_counter() - started[0], time.process_time() - started[1]
    print(
        f"{len(values):,} candidates judged in {wall:.1f} s ({cpu:.1f} s of one core's time); "
        f"{np.mean(ratios <= 1):.1%} are within {LIMITS}"
    )
    # Half of the exports at random, half where a wrong judgement is most likely.
    half = arguments.exports // 2
    nearest = np.argsort(abs(np.log(ratios)), kind="stable")[:half]
    others = np.setdiff1d(np.arange(len(values)), nearest)
    drawn = np.random.default_rng(0).choice(others, arguments.exports - half, replace=False)
    chosen = [int(index) for pair in zip(nearest, drawn, strict=False) for index in pair]

    def one(number: int) -> dict[str, Any]:
        network = space.network(values[chosen[number]])
        return judged(network, exported(network, number))

    records = continued(arguments.output, len(chosen), one)
    summary(records)
    verdict(records)


def verdict(records: list[dict[str, Any]]) -> None:
    """Print how many were judged wrongly."""
    over, wrongly = [], 0
    for record in records:
        real = {
            "params": record["predicted"]["params"],
            "macs": record["macs"],
            "flash": record["bytes"],
            "ram": record["ram"],
        }
        accepted = all(record["predicted"][name] <= bound for name, bound in LIMITS.items())
        excess = max(
            real[name] / (bound * (1 + STATED[name])) for name, bound in LIMITS.items()
        )
        fits = all(real[name] <= bound for name, bound in LIMITS.items())
        over += [excess] if accepted and excess > 1 else []
        wrongly += not accepted and fits
    print(
        f"of {len(records)} exported, {len(over)} were accepted and are over a limit by more "
        f"than the stated error; {wrongly} ({wrongly / len(records):.1%}) rejected wrongly"
    )


def main() -> None:
    """Run one of the benchmarks."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    commands = parser.add_subparsers(dest="command", required=True)
    command = commands.add_parser("members")
    command.add_argument("--count", type=int, default=60)
    command.add_argument("--output", type=Path, default=Path("members.jsonl"))
    command.add_argument("--fit", action="store_true")
    command.add_argument("--others", type=Path, default=Path("spaces.jsonl"))
    command.set_defaults(run=members)
    command = commands.add_parser("spaces")
    command.add_argument("--count", type=int, default=12)
    command.add_argument("--output", type=Path, default=Path("spaces.jsonl"))
    command.set_defaults(run=others)
    commands.add_parser("mlperf").set_defaults(run=mlperf)
    command = commands.add_parser("limits")
    command.add_argument("--count", type=int, default=10_000)
    command.add_argument("--exports", type=int, default=200)
    command.add_argument("--output", type=Path, default=Path("limits.jsonl"))
    command.set_defaults(run=limits)
    arguments = parser.parse_args()
    arguments.run(arguments)


if __name__ == "__main__":
    main()

"""Random members of every space: described, costed, realised, trained, saved, exported.

    python -m benchmarks.spaces describe --count 500 --out spaces
    python -m benchmarks.spaces chain --count 15 --out spaces
    python -m benchmarks.spaces members
    python -m benchmarks.spaces report --out spaces

`describe` draws members of each space in a small setting (`SETTINGS`): their decisions are
read by `Decisions`, their costs told, their Keras models built, and what the description says
of shapes, parameters and MACs is held against the model, counted on its weights and tensors.

`chain` takes members through all that follows a search: a step of training on random data,
with no weight left unmoved and no number lost; saved, and loaded again, all of them by one
Python process in which none of these packages can be imported; an int8 file of built-in
operators that LiteRT runs. The file's operators, bytes, RAM and MACs are held against the
description.

`members` prints the networks known by hand, with their published numbers of parameters.

Each member is one line of JSON in `--out`, with its decisions, so that a failure can be
repeated and spaces can be run one by one; `report` makes tables of them. Names of spaces after
the command restrict it to those.
"""

from __future__ import annotations

import argparse
import functools
import importlib
import importlib.util
import itertools
import json
import subprocess
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

import keras
import numpy as np

from search_spaces import costs, members
from search_spaces.blocks import dense
from search_spaces.counting import check_stock, count_macs, count_params
from search_spaces.decisions import Decisions
from search_spaces.members import Member
from search_spaces.network import Network, freeze, input_node
from search_spaces.realise import realise
from search_spaces.space import SearchSpace
from search_spaces.testing import random_inputs, step, unmoved

__all__ = ["KNOWN", "SETTINGS", "Known", "Setting", "chain", "described", "report"]

Record = dict[str, Any]

_EXAMPLES = 64  # to calibrate and to compare with
_OWN = (
    "benchmarks",
    "edge_devices",
    "kerasnas",
    "keras_tuner",
    "search_spaces",
    "tflite_export",
)


class Setting(NamedTuple):
    """A space as small as the benchmark wants it.

    Attributes:
        home: Module of `search_spaces` and name of the class.
        input_shape: Shape of one example.
        arguments: What else the class is given; settings among them are made to spaces.
        task: Name of a task in `search_spaces.task` and its arguments.
        dead: Whether weights without use are part of the space's definition.
        stock_loss: Whether Keras has the loss, so that a model is loaded with it elsewhere.
    """

    home: tuple[str, str]
    input_shape: tuple[int, ...]
    arguments: Mapping[str, Any] = MappingProxyType({})
    task: tuple[str, int] = ("Classification", 4)
    dead: bool = False
    stock_loss: bool = True

    def make(self) -> SearchSpace:
        """The space.

        Raises:
            ImportError: If the package does not have it.
        """
        module, name = self.home
        if importlib.util.find_spec(f"search_spaces.{module}") is None:
            raise ImportError(f"search_spaces has no module {module}")
        space = getattr(importlib.import_module(f"search_spaces.{module}"), name)
        task = getattr(
            importlib.import_module(f"search_spaces.{_TASKS[self.task[0]]}"), self.task[0]
        )
        arguments = {
            key: value.make() if isinstance(value, Setting) else value
            for key, value in self.arguments.items()
        }
        made: SearchSpace = space(self.input_shape, task=task(self.task[1]), **arguments)
        return made


_TASKS = {
    "Classification": "task",
    "Detection": "detection",
    "NextToken": "task",
    "Regression": "task",
    "Segmentation": "segmentation",
}
_SMALL = (16, 16, 3)

SETTINGS: dict[str, Setting] = {
    "mobilenet": Setting(("mobile", "MobileNet"), _SMALL),
    "efficientnet": Setting(("efficientnet", "EfficientNet"), _SMALL),
    "resnet": Setting(("resnet", "ResNet"), _SMALL),
    "nasnet": Setting(("nasnet", "NASNetCells"), _SMALL, {"cells": 1, "filters": 4}),
    "darts": Setting(("darts", "DARTSCells"), _SMALL, {"cells": 3, "filters": 4}),
    "nasbench101": Setting(
        ("nasbench101", "NASBench101Cells"), _SMALL, {"channels": 16, "modules": 1}
    ),
    "nasbench201": Setting(
        ("nasbench201", "NASBench201Cells"), _SMALL, {"channels": 4, "cells": 1}, dead=True
    ),
    "graph": Setting(("graph", "GraphNetwork"), _SMALL),
    "transformer": Setting(("transformer", "Transformer"), _SMALL),
    "transformer-series": Setting(("transformer", "Transformer"), (29, 12)),
    "transformer-tokens": Setting(
        ("transformer", "Transformer"), (16,), {"vocabulary": 20}, ("NextToken", 20)
    ),
    "dscnn": Setting(("dscnn", "DSCNN"), (25, 10, 1)),
    "tcn": Setting(("tcn", "TemporalConvNet"), (29, 12)),
    "recurrent": Setting(("recurrent", "Recurrent"), (12, 4)),
    "recurrent-tokens": Setting(
        ("recurrent", "Recurrent"), (12,), {"vocabulary": 20}, ("NextToken", 20)
    ),
    "mlp": Setting(("mlp", "MLP"), (13,), task=("Regression", 1)),
    "unet": Setting(("unet", "UNet"), _SMALL, task=("Segmentation", 3)),
    "unet-mobilenet": Setting(
        ("unet", "UNet"),
        _SMALL,
        {"encoder": Setting(("mobile", "MobileNet"), _SMALL)},
        ("Segmentation", 3),
    ),
    "detector": Setting(
        ("detector", "Detector"), (32, 32, 3), task=("Detection", 2), stock_loss=False
    ),
}
"""The spaces by the names that `space=` takes, with what they read where that varies."""


_Pair = tuple[SearchSpace, Mapping[str, Any]]


class Known(NamedTuple):
    """A network known by hand.

    Attributes:
        home: Module of `search_spaces`.
        member: From the module to a space and the decisions of the network.
        published: Weights as published.
        trained: Whether those are without moving statistics, as PyTorch counts.
        source: Who says so, and why ours has others if it has.
    """

    home: str
    member: Callable[[Any], _Pair]
    published: int
    trained: bool
    source: str


_IMAGENET = (224, 224, 3)


def _mobile(layout: str) -> Callable[[Any], _Pair]:
    def member(module: Any) -> _Pair:
        space = module.MobileNet(_IMAGENET, 1000, layout=getattr(module, layout))
        return space, space.default()

    return member


def _darts(module: Any) -> _Pair:
    space = module.DARTSCells((32, 32, 3), 10, cells=20, filters=36)
    return space, space.values(module.DARTS_V2)


def _nasnet(module: Any) -> _Pair:
    space = module.NASNetCells(_IMAGENET, 1000, cells=4, filters=44)
    return space, module.NASNET_A


def _convolutions(module: Any) -> _Pair:
    # The cell of NAS-Bench-201 with a 3x3 convolution on every edge.
    one, two, three = ("|".join(f"nor_conv_3x3~{i}" for i in range(n)) for n in (1, 2, 3))
    space = module.NASBench201Cells((32, 32, 3), 10)
    return space, module.from_string(f"|{one}|+|{two}|+|{three}|")


KNOWN: dict[str, Known] = {
    "MobileNetV2": Known("mobile", _mobile("MOBILENET_V2"), 3_504_872, True, "torchvision"),
    "MobileNetV3-small": Known(
        "mobile", _mobile("MOBILENET_V3_SMALL"), 2_542_856, True, "torchvision"
    ),
    "MobileNetV3-large": Known(
        "mobile", _mobile("MOBILENET_V3_LARGE"), 5_483_032, True, "torchvision"
    ),
    "MnasNet-B1": Known("mobile", _mobile("MNASNET_B1"), 4_383_312, True, "torchvision"),
    "EfficientNet-B0": Known(
        "efficientnet",
        lambda m: (m.EfficientNet(_IMAGENET, 1000), m.published(0)[1]),
        5_288_548,
        True,
        "torchvision",
    ),
    "NASNet-A mobile": Known("nasnet", _nasnet, 5_326_716, False, "keras.applications"),
    "DARTS-V2, CIFAR-10": Known("darts", _darts, 3_349_342, True, "the authors' program"),
    "NAS-Bench-201, 3x3 convolutions": Known(
        "nasbench201", _convolutions, 1_531_546, True, "the table"
    ),
    "NAS-Bench-101, Inception-like": Known(
        "nasbench101",
        lambda m: (m.NASBench101Cells((32, 32, 3), 10), m.from_cell(m.INCEPTION_LIKE)),
        2_694_282,
        True,
        "the benchmark's README",
    ),
    "ResNet-8": Known(
        "resnet",
        lambda m: m.resnet8(),
        78_666,
        False,
        "MLPerf Tiny, model.summary()",
    ),
    "ResNet-50": Known("resnet", lambda m: m.resnet50(), 25_557_032, True, "torchvision"),
    "DS-CNN": Known(
        "dscnn",
        lambda m: m.ds_cnn(),
        23_756,
        True,
        "MLPerf Tiny, which has biases before its batch normalisations",
    ),
    "TC-ResNet8": Known("tcn", lambda m: m.tc_resnet8(), 66_000, False, "paper"),
    "TCN, sequential MNIST": Known(
        "tcn", lambda m: m.tcn_sequential_mnist(), 70_000, True, "paper"
    ),
    "bidirectional LSTM, IMDB": Known(
        "recurrent",
        lambda m: m.bidirectional_lstm_imdb(),
        2_757_761,
        False,
        "Keras' example",
    ),
    "ViT-Tiny/16": Known(
        "transformer",
        lambda m: m.vit_tiny(),
        5_717_416,
        False,
        "timm, which has a class token and its position",
    ),
    "U-Net": Known(
        "unet",
        lambda m: (m.UNet((572, 572, 1), 2, norm=False), m.ronneberger()),
        31_031_685,
        False,
        "the usual program, whose last two convolutions differ from the paper's one",
    ),
}
"""Published networks that are members of the spaces."""


# --- described, costed, realised -------------------------------------------------------------


def described(space: SearchSpace, number: int, drawn: Member) -> Record:
    """Describe, cost and realise a member; tell the times, and what does not agree.

    Times are those of one core, so that other programs on the machine do not count.
    """
    values = drawn.values
    started = time.process_time()
    network = space.describe(Decisions(values))
    read = time.process_time()
    on_paper = costs.costs(network)
    costed = time.process_time()
    model = realise(network)
    realised = time.process_time()
    check_stock(model)
    real = {"params": count_params(model), "macs": count_macs(model)}
    shapes = Counter(tuple(layer.output.shape[1:]) for layer in model.layers)
    wrong = [
        f"{name}: {on_paper[name]} described, {real[name]} realised"
        for name in real
        if on_paper[name] != real[name]
    ]
    if Counter(record.shape for record in network.layers) - shapes:
        wrong.append("shapes of layers")
    if network != drawn.network:
        wrong.append("another network when described again")
    keras.backend.clear_session()
    return {
        "number": number,
        "values": values,
        "layers": len(network.layers),
        "digest": network.digest,
        "costs": on_paper,
        "describe_ms": 1e3 * (read - started),
        "cost_ms": 1e3 * (costed - read),
        "realise_ms": 1e3 * (realised - costed),
        "wrong": wrong,
    }


# --- through the whole chain -----------------------------------------------------------------


def chain(
    space: SearchSpace, number: int, drawn: Member, folder: Path, *, dead: bool = False
) -> Record:
    """Train a member for a step, save it, export it and run the file.

    Args:
        space: Its space.
        number: Its number, which seeds weights and data.
        drawn: The member.
        folder: Where the model goes, with inputs and answers, to be loaded elsewhere.
        dead: Whether weights may be without use.
    """
    from tflite_export import convert, run

    network, rng = drawn.network, np.random.default_rng(number)
    started = time.perf_counter()
    idle = [] if dead else sorted(_idle(space, network))
    model = realise(network, seed=number)
    model.compile(optimizer="adam", run_eagerly=True, **space.task.compile_arguments())
    step(model, network, seed=number)
    wrong = [f"no gradient: {name}" for name in idle]
    wrong += [
        f"not finite: {weight.path}"
        for weight in model.weights
        if not np.isfinite(np.asarray(weight)).all()
    ]
    # As if it had been trained for long: vectors that are all zero are in a file once.
    model.set_weights([_shifted(weight, rng) for weight in model.weights])
    x = random_inputs(network, _EXAMPLES, rng)
    answers = np.asarray(model(x, training=False))
    if not np.isfinite(answers).all():
        wrong.append("answers are not finite")
    model.save(folder / f"{number}.keras")
    np.savez(folder / f"{number}.npz", x=x[:4], y=answers[:4])
    content = bytes(convert(model, "int8", x))
    found = _of_file(content, network)
    error = np.abs(run(content, x) - answers).max() / max(np.abs(answers).max(), 1e-9)
    keras.backend.clear_session()
    return {
        "number": number,
        "values": drawn.values,
        "layers": len(network.layers),
        **found,
        "error": float(error),
        "wrong": wrong + found["wrong"],
        "seconds": time.perf_counter() - started,
    }


def _shifted(weight: Any, rng: np.random.Generator) -> Any:
    values = np.asarray(weight)
    return values + rng.uniform(0.0, 0.2, values.shape) if values.ndim == 1 else values


def _idle(space: SearchSpace, network: Network) -> set[str]:
    """Weights that have no gradient whatever they and the data are."""
    idle: set[str] | None = None
    for seed in range(3):  # units can be dead by chance, for one start
        model = realise(network, seed=seed)
        model.compile(**space.task.compile_arguments())
        still = set(unmoved(model, network, seed))
        idle = still if idle is None else idle & still
        if not idle:
            break
    return idle or set()


def _of_file(content: bytes, network: Network) -> Record:
    """What a file holds, beside what the description says."""
    from edge_devices import tflm
    from edge_devices.flatbuffer import read
    from edge_devices.memory import memory
    from tflite_export import operators
    from tflite_export.inspection import floating_operators

    program, on_paper = read(content), costs.costs(network)
    expected = costs.program(network)
    floats = sorted({operator.name for operator in floating_operators(content)})
    names = operators(content)
    wrong = [f"operators in float: {floats}"] if floats else []
    custom = [name for name in names if not name.isupper()]  # built-in ones are in capitals
    wrong += [f"custom operators: {custom}"] if custom else []
    real = {
        "flash": len(content),
        "ram": memory(program).total,
        "macs": sum(map(program.macs, program.operators)),
    }
    return {
        "operators": names,
        "micro": not set(names) - tflm.OPERATORS,
        "costs": on_paper,
        "real": real,
        "same_program": program == expected,
        "difference": _difference(expected, program),
        "wrong": wrong,
    }


def _difference(expected: Any, found: Any) -> str | None:
    """The first operator that is not as described."""
    pairs = itertools.zip_longest(expected.operators, found.operators)
    for place, (one, other) in enumerate(pairs):
        if one != other:
            return f"{place}: {one} described, {other} in the file"
    return None if expected == found else "tensors"


_LOAD = """
import importlib.abc, json, pathlib, sys


class Refuse(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in sys.argv[2].split(","):
            raise ImportError(name)


sys.meta_path.insert(0, Refuse())
import numpy as np
import keras

found = {}
for path in pathlib.Path(sys.argv[1]).glob("*.keras"):
    try:
        kept = np.load(path.with_suffix(".npz"))
        model = keras.models.load_model(path, compile=sys.argv[3] == "1")
        answers = np.asarray(model(kept["x"], training=False))
        np.testing.assert_allclose(answers, kept["y"], rtol=1e-4, atol=1e-4)
        found[path.stem] = None
    except Exception as error:
        found[path.stem] = f"{type(error).__name__}: {error}"[:500]
print("LOADED" + json.dumps(found))
"""


def loaded_elsewhere(folder: Path, compiled: bool) -> dict[int, str | None]:
    """Load the models of a folder in a Python without these packages.

    Args:
        folder: Models, with inputs and answers.
        compiled: Whether to load what a model was compiled with.

    Returns:
        By number of the member what went wrong, `None` if it computes what it did.
    """
    done = subprocess.run(
        [sys.executable, "-I", "-c", _LOAD, str(folder), ",".join(_OWN), str(int(compiled))],
        capture_output=True,
        text=True,
        check=True,
    )
    found = json.loads(done.stdout.rsplit("LOADED", 1)[1])
    return {int(number): wrong for number, wrong in found.items()}


# --- runs ------------------------------------------------------------------------------------


def run_describe(setting: Setting, drawn: Iterator[tuple[int, Member]]) -> list[Record]:
    """Members of one space described, costed and realised."""
    space = setting.make()
    realise(freeze(dense(input_node((1,)), 1)))  # TensorFlow starts
    return _attempts(functools.partial(described, space), drawn)


def run_chain(setting: Setting, drawn: Iterator[tuple[int, Member]]) -> list[Record]:
    """Members of one space taken through the whole chain."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        judge = functools.partial(chain, setting.make(), folder=folder, dead=setting.dead)
        records = _attempts(judge, drawn)
        loaded = loaded_elsewhere(folder, setting.stock_loss)
    for record in records:
        wrong = loaded.get(record["number"], "was not saved")
        record["wrong"] += [f"elsewhere: {wrong}"] if wrong else []
    return records


def _attempts(
    judge: Callable[[int, Member], Record], drawn: Iterator[tuple[int, Member]]
) -> list[Record]:
    records = []
    for number, one in drawn:
        try:
            records.append(judge(number, one))
        except Exception as error:  # what is wrong with one member says nothing of the next
            place = traceback.extract_tb(error.__traceback__)[-1]
            said = (
                f"{type(error).__name__}: {error} ({Path(place.filename).name}:{place.lineno})"
            )
            records.append({"number": number, "values": one.values, "wrong": [said]})
            keras.backend.clear_session()
    return records


def run(command: str, arguments: argparse.Namespace) -> bool:
    """Run `describe` or `chain` for the spaces asked for.

    Returns:
        Whether all went well.
    """
    well = True
    judge = {"describe": run_describe, "chain": run_chain}[command]
    for name in arguments.spaces or SETTINGS:
        setting = SETTINGS[name]
        try:
            space = setting.make()
        except (ImportError, AttributeError) as missing:
            print(f"{name}: not there, skipped: {missing}", flush=True)
            continue
        started = time.perf_counter()
        drawn = enumerate(members.draws(space, arguments.count, arguments.seed))
        records = judge(setting, drawn)
        seconds = time.perf_counter() - started
        head = {
            "space": name,
            "class": type(space).__name__,
            "input_shape": space.input_shape,
            "size": space.size(),
            "command": command,
            "seed": arguments.seed,
            "seconds": seconds,
        }
        arguments.out.mkdir(parents=True, exist_ok=True)
        lines = [json.dumps(head), *map(json.dumps, records)]
        (arguments.out / f"{command}_{name}.jsonl").write_text("\n".join(lines) + "\n")
        wrong = [record for record in records if record["wrong"]]
        well &= not wrong
        print(f"{name}: {len(records) - len(wrong)} of {len(records)} well, {seconds:.0f} s")
        for record in wrong[:3]:
            print(f"  {record['number']}: {record['wrong'][:3]}; {record['values']}")
        sys.stdout.flush()
    return well


# --- tables ----------------------------------------------------------------------------------


def table(head: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    """Rows as a Markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(map(str, line)) + " |" for line in lines)


def report(folder: Path) -> str:
    """The tables of `describe` and `chain` for the spaces that a folder has records of."""
    parts = []
    for command, head, row in (
        ("describe", _DESCRIBE, _described_row),
        ("chain", _CHAIN, _chain_row),
    ):
        paths = [folder / f"{command}_{name}.jsonl" for name in SETTINGS]
        read = [
            [json.loads(line) for line in path.read_text().splitlines()]
            for path in paths
            if path.exists()
        ]
        if read:
            parts.append(table(head, [row(records[0], records[1:]) for records in read]))
        failures = [
            f"- {records[0]['space']} {record['number']}: {'; '.join(record['wrong'])}: "
            f"`{json.dumps(record['values'])}`"
            for records in read
            for record in records[1:]
            if record["wrong"]
        ]
        parts += ["\n".join(failures)] if failures else []
    return "\n\n".join(parts)


_DESCRIBE = (
    "space",
    "sets of decisions",
    "members, networks",
    "agree with Keras",
    "layers",
    "described ms (median, max)",
    "costed ms",
    "realised ms a layer",
)


def _described_row(head: Record, records: list[Record]) -> list[str]:
    done = [record for record in records if "layers" in record]
    layers = [record["layers"] for record in done]
    describing = [record["describe_ms"] for record in done]
    realising = [record["realise_ms"] / record["layers"] for record in done]
    return [
        f"`{head['class']}` {'x'.join(map(str, head['input_shape']))}",
        _number(head["size"]),
        f"{len(records)}, {len({record['digest'] for record in done})}",
        str(sum(not record["wrong"] for record in records)),
        f"{min(layers)} to {max(layers)}" if done else "-",
        f"{np.median(describing):.1f}, {max(describing):.1f}" if done else "-",
        f"{np.median([record['cost_ms'] for record in done]):.1f}" if done else "-",
        f"{np.median(realising):.1f}" if done else "-",
    ]


_CHAIN = (
    "space",
    "members",
    "all well",
    "operators as described",
    "flash (median, worst)",
    "RAM",
    "MACs",
    "largest error of int8",
    "in TFLM",
    "seconds a member",
)


def _chain_row(head: Record, records: list[Record]) -> list[str]:
    done = [record for record in records if "real" in record]
    if not done:
        return [f"`{head['class']}`", str(len(records)), "0", *["-"] * 7]
    errors = {
        name: [record["costs"][name] / max(record["real"][name], 1) - 1 for record in done]
        for name in ("flash", "ram", "macs")
    }
    return [
        f"`{head['class']}`",
        str(len(records)),
        str(sum(not record["wrong"] for record in records)),
        str(sum(record["same_program"] for record in done)),
        *(_error(errors[name]) for name in ("flash", "ram", "macs")),
        f"{max(record['error'] for record in done):.3f}",
        str(sum(record["micro"] for record in done)),
        f"{np.median([record['seconds'] for record in done]):.1f}",
    ]


def _error(errors: list[float]) -> str:
    if not any(errors):
        return "equal"
    worst = max(errors, key=abs)
    return f"{np.median(np.abs(errors)):.2%}, {worst:+.2%}"


def _number(value: int) -> str:
    return f"{value:,}" if value < 10**7 else f"{value:.1e}"


def known() -> str:
    """The networks known by hand, published and ours."""
    rows = []
    for name, one in KNOWN.items():
        try:
            space, values = one.member(importlib.import_module(f"search_spaces.{one.home}"))
        except (ImportError, AttributeError) as missing:
            print(f"{name}: not there, skipped: {missing}")
            continue
        seconds = []
        for _ in range(5):
            started = time.perf_counter()
            network = space.describe(Decisions(values))
            seconds.append(time.perf_counter() - started)
        ours = (costs.trainable_params if one.trained else costs.params)(network)
        difference = ours / one.published - 1
        rows.append(
            [
                name,
                f"{one.published:,}",
                f"{ours:,}",
                f"{difference:+.3%}" if difference else "equal",
                "trained" if one.trained else "all",
                f"{costs.macs(network) / 1e6:,.1f}",
                str(len(network.layers)),
                f"{1e3 * min(seconds):.1f}",
                one.source,
            ]
        )
    return table(_KNOWN, rows)


_KNOWN = (
    "network",
    "published",
    "ours",
    "difference",
    "weights",
    "MACs, M",
    "layers",
    "described, ms",
    "source",
)


def main() -> int:
    """Run one of the commands."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    commands = parser.add_subparsers(dest="command", required=True)
    for name, count in (("describe", 500), ("chain", 15)):
        command = commands.add_parser(name)
        command.add_argument("spaces", nargs="*", choices=[[], *SETTINGS], metavar="SPACE")
        command.add_argument("--count", type=int, default=count, help="members a space")
        command.add_argument("--seed", type=int, default=0)
        command.add_argument("--threads", type=int, default=1)
        command.add_argument("--out", type=Path, default=Path("spaces"))
    commands.add_parser("members")
    commands.add_parser("report").add_argument("--out", type=Path, default=Path("spaces"))
    arguments = parser.parse_args()
    if arguments.command == "members":
        print(known())
    elif arguments.command == "report":
        print(report(arguments.out))
    else:
        import tensorflow as tf

        tf.config.threading.set_intra_op_parallelism_threads(arguments.threads)
        tf.config.threading.set_inter_op_parallelism_threads(arguments.threads)
        return 0 if run(arguments.command, arguments) else 1
    return 0


if __name__ == "__main__":
    sys.exit(main())

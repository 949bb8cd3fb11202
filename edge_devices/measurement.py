"""Everything that can be known of a `.tflite` file before it is on the device."""

from __future__ import annotations

import dataclasses
import importlib.util
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from edge_devices import flatbuffer, host, isolation, npu, tflm
from edge_devices.device import HOST, Device, find
from edge_devices.inputs import Given
from edge_devices.memory import Memory, memory
from edge_devices.program import Operator, Program
from edge_devices.source import Source, content_of
from edge_devices.units import format_cost, parse_amount

__all__ = ["Measurement", "OperatorRow", "measure", "program_costs"]

Shape = tuple[int, ...]


class OperatorRow(NamedTuple):
    """What one operator of a file takes.

    Attributes:
        op: Its name, with the window, the stride and what is folded in where it has such.
        inputs: Shapes of the activations it reads.
        outputs: Shapes of the activations it writes.
        macs: Multiply-accumulates.
        weight_bytes: Bytes of its weights, without biases, scales and indices.
        share: Its part of the device's latency, 0 to 1, by the device's latency model;
            `None` without a device or a model.
    """

    op: str
    inputs: tuple[Shape, ...]
    outputs: tuple[Shape, ...]
    macs: int
    weight_bytes: int
    share: float | None


@dataclasses.dataclass(frozen=True)
class Measurement:
    """What `measure` found; `print` shows it as a table.

    Attributes:
        name: The file's name, or "" if its bytes were given.
        operators: One row an operator, in the order in which they run.
        arena: Memory of TensorFlow Lite Micro's arena as planned from the file, with 32-bit
            pointers.
        costs: What is known by the names that limits use: `flash` (bytes of the file), `ram`
            (bytes of the arena), `params`, `macs`, and where there is a model or a compiler
            for the device `latency_ms`, `energy_mj` and `npu_cycles`. There is no latency of
            a file whose operators an NPU leaves to the CPU in part.
        device: The device's name, or `None`.
        limits: Its limits, by the same names.
        unsupported: What the file has that the device must not be given, e.g.
            `"activation hard_silu"`, or the operators that its NPU leaves to the CPU.
        micro: The arena as TensorFlow Lite Micro itself reports it on this machine; `None`
            if it does not run the file or is not installed.
        agreement: How far TensorFlow Lite Micro and LiteRT agree on the examples given.
        npu: What the compiler of the device's NPU says.
        host: Time on this computer, for the device `"host"`.
        notes: What could not be measured and why, and what to install.
    """

    name: str
    operators: tuple[OperatorRow, ...]
    arena: Memory
    costs: dict[str, float]
    device: str | None = None
    limits: dict[str, float] = dataclasses.field(default_factory=dict)
    unsupported: tuple[str, ...] = ()
    micro: tflm.Arena | None = None
    agreement: tflm.Agreement | None = None
    npu: npu.NpuCost | None = None
    host: host.HostLatency | None = None
    notes: tuple[str, ...] = ()

    def violations(self, limits: Mapping[str, float | str] | None = None) -> list[str]:
        """Say which limits the file breaks.

        Args:
            limits: Bounds by cost, e.g. `{"flash": "64KB", "macs": 2e6}`; by default those
                of the device. What the device does not support counts as well then.

        Returns:
            One sentence for each limit broken; nothing if the file fits.

        Raises:
            ValueError: If a limit cannot be read, or is on a cost that was not measured.
        """
        given = self.limits if limits is None else limits
        bounds = {name: parse_amount(name, bound) for name, bound in given.items()}
        if missing := sorted(bounds.keys() - self.costs.keys()):
            raise ValueError(
                "A limit needs its cost. Received: limits on "
                f"{', '.join(map(repr, missing))}; measured: {', '.join(self.costs)}. Name a "
                "device that has a model of it, or install the extra that measures it."
            )
        broken = [
            f"{name} is {format_cost(name, self.costs[name])}, over the limit of "
            f"{format_cost(name, bound)}"
            for name, bound in bounds.items()
            if not self.costs[name] <= bound
        ]
        if limits is None:
            broken += [f"{what} is not supported" for what in self.unsupported]
        return broken

    @property
    def fits(self) -> bool | None:
        """Whether the device can take the file; `None` without a device."""
        return not self.violations() if self.device else None

    def to_dict(self) -> dict[str, Any]:
        """The same as plain values that `json` can write."""
        plain: dict[str, Any] = {
            "name": self.name,
            "costs": dict(self.costs),
            "arena": _plain(self.arena),
            "operators": [_plain(row) for row in self.operators],
            "notes": list(self.notes),
        }
        if self.device is not None:
            plain["device"] = {
                "name": self.device,
                "fits": self.fits,
                "limits": dict(self.limits),
                "violations": self.violations(),
            }
        for key in ("micro", "agreement", "npu", "host"):
            if (value := getattr(self, key)) is not None:
                plain[key] = _plain(value)
        return plain

    def __str__(self) -> str:
        shares = any(row.share is not None for row in self.operators)
        header = ["operator", "input", "output", "MACs", "weights"] + ["latency"] * shares
        rows = [header] + [_cells(row, shares) for row in self.operators]
        lines = [self.name] if self.name else []
        lines += [*_table(rows), ""]
        facts = self._facts()
        width = max(len(label) for label, _ in facts)
        lines += [f"{label:<{width}}  {text}" for label, text in facts]
        return "\n".join(lines)

    def _facts(self) -> list[tuple[str, str]]:
        costs = self.costs
        arena = f"activations {_bytes(self.arena.activations)}, "
        arena += f"persistent {_bytes(self.arena.persistent)}"
        facts = [
            (name, format_cost(name, costs[name])) for name in ("params", "macs", "flash")
        ]
        facts.append(("ram", f"{_bytes(costs['ram'])} ({arena})"))
        if self.micro is not None:
            facts.append(
                (
                    "TFLM",
                    f"runs it: activations {_bytes(self.micro.activations)}, persistent "
                    f"{_bytes(self.micro.persistent)} with this machine's 64-bit pointers",
                )
            )
        if self.agreement is not None:
            facts.append(
                (
                    "agreement",
                    f"TFLM and LiteRT name the same class for {self.agreement.same_class:.1%} "
                    f"of {self.agreement.examples} examples; outputs differ by "
                    f"{self.agreement.largest_difference:g} steps at most",
                )
            )
        facts += [
            (label, format_cost(name, costs[name]))
            for label, name in _LABELS.items()
            if name in costs
        ]
        if self.npu is not None:
            facts.append(("NPU", _npu_text(self.npu)))
        if self.host is not None:
            facts.append(("host", str(self.host)))
        if self.device is not None:
            broken = self.violations()
            facts.append((self.device, "; ".join(broken) if broken else "takes it"))
        return facts + [("note", note) for note in self.notes]


_LABELS = {"latency": "latency_ms", "energy": "energy_mj", "NPU cycles": "npu_cycles"}


def program_costs(program: Program, flash: int) -> dict[str, float]:
    """What a program costs wherever it runs: `macs`, `flash` and `ram`.

    Args:
        program: What a file holds.
        flash: Bytes of the file.
    """
    return {
        "macs": sum(map(program.macs, program.operators)),
        "flash": flash,
        "ram": memory(program).total,
    }


def measure(
    source: Source, device: str | Device | None = None, *, x: Given | None = None
) -> Measurement:
    """Read, plan, compile and run a file, and report what it takes.

    Sizes, shapes, multiply-accumulates and the arena are read from the file. TensorFlow Lite
    Micro (extra `micro`) is asked whether it runs the file and for its own account of the
    arena. For a device there are its limits, its models of latency and energy, and its NPU's
    compiler (extra `npu`); for the device `"host"` the file is timed on this computer.

    Args:
        source: Path or bytes of a `.tflite` file.
        device: Name of a device, or a `Device`. Without one nothing is said of time.
        x: Some real inputs `(n, ...)`, of several inputs by name, on which TensorFlow Lite
            Micro and LiteRT are compared.

    Returns:
        What was found. What could not be measured is among its `notes`.

    Raises:
        ValueError: If it is not a `.tflite` file, no device has this name, or `x` has
            another shape than the file's input.
    """
    chosen = _device(device)
    content = content_of(source)
    program = flatbuffer.read(content)
    arena = memory(program)
    costs: dict[str, float] = {
        "params": sum(_params(operator) for operator in program.operators),
        **program_costs(program, len(content)),
    }
    notes: list[str] = []
    micro = _attempt(notes, tflm.arena, content)
    agreement = None
    if micro is not None and x is not None:
        agreement = tflm.compare_interpreters(content, x)
    compiled = timed = None
    unsupported: list[str] = []
    if chosen is not None:
        costs |= chosen.costs(program)
        unsupported += chosen.unsupported(program)
        if chosen.npu is not None:
            compiled = _attempt(notes, npu.npu, content, chosen.npu, cpu_operators=True)
            if compiled is None and importlib.util.find_spec("ethosu") is not None:
                unsupported.append(f"the file as a whole, by the compiler of {chosen.npu},")
        if compiled is not None:
            costs |= chosen.npu_costs(compiled)
            # The compiler knows better than the rules that stand for it.
            unsupported = [what for what in unsupported if not what.endswith("on the NPU")]
            unsupported += compiled.cpu_operators
        if chosen.name == HOST:
            timed = _attempt(notes, host.latency, content, num_threads=chosen.threads or 1)
        if timed is not None:
            costs["latency_ms"] = timed.ms
    return Measurement(
        name="" if isinstance(source, bytes | bytearray) else Path(source).name,
        operators=_rows(program, chosen),
        arena=arena,
        costs=costs,
        device=chosen.name if chosen else None,
        limits=dict(chosen.limits) if chosen else {},
        unsupported=tuple(unsupported),
        micro=micro,
        agreement=agreement,
        npu=compiled,
        host=timed,
        notes=tuple(notes),
    )


def _device(device: str | Device | None) -> Device | None:
    if isinstance(device, str):
        return find(device)
    if device is not None and not isinstance(device, Device):
        raise TypeError(
            f"device must be a name or a Device. Received: {device!r} "
            f'({type(device).__name__}). Write, for example, device="cortex-m7".'
        )
    return device


def _attempt(notes: list[str], function: Any, *args: Any, **settings: Any) -> Any:
    try:
        return function(*args, **settings)
    except (ImportError, ValueError, TimeoutError, isolation.Crash) as error:
        notes.append(str(error))
    return None


def _params(operator: Operator) -> int:
    weighted = ("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED", "TRANSPOSE_CONV")
    if operator.op not in weighted:
        return 0
    return math.prod(operator.weights) + operator.channels


def _rows(program: Program, device: Device | None) -> tuple[OperatorRow, ...]:
    times = [_alone(program, operator, device) for operator in program.operators]
    known = [time for time in times if time is not None]
    total = sum(known) if len(known) == len(times) else 0.0
    return tuple(
        OperatorRow(
            _described(operator),
            tuple(program.tensors[i].shape for i in operator.inputs),
            tuple(program.tensors[i].shape for i in operator.outputs),
            program.macs(operator),
            0 if operator.weight_dtype == "int32" else operator.weight_bytes,
            time / total if total and time is not None else None,
        )
        for operator, time in zip(program.operators, times, strict=True)
    )


def _alone(program: Program, operator: Operator, device: Device | None) -> float | None:
    """Milliseconds of one operator, as if the network had no other."""
    if device is None:
        return None
    only = program._replace(
        operators=(operator,), inputs=operator.inputs, outputs=operator.outputs
    )
    return device.costs(only).get("latency_ms")


def _described(operator: Operator) -> str:
    parts = [operator.op]
    if operator.window != (1, 1):
        parts.append("x".join(map(str, operator.window)))
    if operator.stride != (1, 1):
        parts.append("/" + "x".join(map(str, dict.fromkeys(operator.stride))))
    if operator.activation:
        parts.append(operator.activation)
    return " ".join(parts)


def _cells(row: OperatorRow, shares: bool) -> list[str]:
    cells = [
        row.op,
        ", ".join(map(_shape, row.inputs)),
        ", ".join(map(_shape, row.outputs)),
        format_cost("macs", row.macs) if row.macs else "",
        _bytes(row.weight_bytes) if row.weight_bytes else "",
    ]
    if shares:
        cells.append("" if row.share is None else f"{row.share:.1%}")
    return cells


def _table(rows: list[list[str]]) -> list[str]:
    """Lines with text to the left and numbers to the right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(
            cell.ljust(width) if column < 3 else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]


def _shape(shape: Shape) -> str:
    return "x".join(map(str, shape[1:] or shape))


def _bytes(number: float) -> str:
    return format_cost("flash", number)


def _npu_text(cost: npu.NpuCost) -> str:
    traffic = ""
    if cost.flash_traffic_bytes:
        traffic = f", {_bytes(cost.flash_traffic_bytes)} of traffic off the chip"
    return (
        f"{cost.accelerator} at {cost.clock_hz / 1e6:g} MHz ({cost.memory_mode}): SRAM "
        f"{_bytes(cost.sram_bytes)}, flash {_bytes(cost.flash_bytes)}{traffic}"
    )


def _plain(value: Any) -> Any:
    if hasattr(value, "_asdict"):
        return {name: _plain(field) for name, field in value._asdict().items()}
    if isinstance(value, tuple | list):
        return [_plain(item) for item in value]
    if isinstance(value, dict):
        return {name: _plain(item) for name, item in value.items()}
    return value

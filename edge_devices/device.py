"""Devices: what a network may take on one of them, and what it costs there.

```python
device = edge_devices.find("cortex-m7")
mine = edge_devices.Device("mine", flash="512KB", ram="96KB", core="cortex-m4", clock_hz=80e6)
edge_devices.register(mine)
```
"""

from __future__ import annotations

import dataclasses
import importlib
import math
import numbers
import textwrap
from collections.abc import Collection, Mapping
from typing import Any

from edge_devices.energy import Power, energy_mj
from edge_devices.latency import CycleModel, LatencyModel
from edge_devices.memory import memory
from edge_devices.npu import ACCELERATORS, NpuCost
from edge_devices.operator_table import OperatorTable, Rows
from edge_devices.program import Operator, Program
from edge_devices.spelling import did_you_mean
from edge_devices.units import format_cost, parse_amount

__all__ = ["HOST", "Device", "describe", "devices", "find", "register"]

# Activations that are an operator of their own in a file, as Keras calls them.
_ACTIVATIONS = {
    "ELU": "elu",
    "GELU": "gelu",
    "HARD_SWISH": "hard_silu",
    "LEAKY_RELU": "leaky_relu",
    "LOGISTIC": "sigmoid",
    "PRELU": "prelu",
    "RELU": "relu",
    "RELU6": "relu6",
    "TANH": "tanh",
}
QUANTIZATIONS = ("float32", "float16", "dynamic", "int8", "int16x8", "int4")
"""Formats of files that a device may want."""

HOST = "host"
"""Name of the device that is this computer: its latency is measured, not modelled."""

_ALIASES = {"hard_swish": "hard_silu", "hard_silu": "hard_swish"}
_FUSED = {"RELU": "relu", "RELU6": "relu6"}
_INTEGERS = ("bool", "int8", "int16", "int32", "int64", "uint8")
_BORDERS = ("QUANTIZE", "DEQUANTIZE")


@dataclasses.dataclass(frozen=True)
class Device:
    """Limits and cost models under one name.

    Nothing is known of a device that is not given: without `flash` it has no limit on flash,
    without a core or a latency model no cost in time, without a power none in energy.
    `dataclasses.replace(find("cortex-m4"), clock_hz=80e6)` is that board at 80 MHz.

    Args:
        name: What `find` and the command line call it.
        description: The board or chip, in a line.
        flash: Flash that the model file may take: bytes, or text such as `"512KB"`.
        ram: Memory that the tensor arena may take, likewise.
        chip_flash: Flash of the whole chip; the rest is the firmware's. For people.
        chip_ram: Memory of the whole chip, likewise.
        core: Processor, a key of `edge_devices.latency.KERNELS`: gives a latency model,
            fitted to published timings. With an `npu` it is for people only.
        clock_hz: Clock of the core, and of the NPU if there is one.
        board: A board that was timed or its power measured; its own speed is then taken
            instead of the mean of boards with its core.
        runtime: What runs the network, `"tflm"` (TensorFlow Lite Micro with CMSIS-NN) or
            `"x-cube-ai"`. Only changes the latency.
        npu: Neural processing unit by the name its compiler has, e.g. `"ethos-u55-128"`.
            Time on it comes of that compiler, given a file (`edge_devices.npu`), not of
            `costs`.
        activations: Activations that spaces may use, as in Keras. `None` allows all.
        operators: Operators that the device has, as in the TensorFlow Lite schema. `None`
            allows all.
        quantization: Export format, as `tflite_export.export` takes it.
        latency: Another latency model; comes before `core`.
        power: Power while it computes.
        threads: Threads of a device with an operating system.
        sources: Where each number comes from, by the name of the field or fields.

    Raises:
        TypeError: If an argument has another type.
        ValueError: If an amount has another quantity's unit or is not positive, the core, the
            runtime or the NPU is unknown, or a core has no clock.
    """

    name: str
    description: str = ""
    _: dataclasses.KW_ONLY
    flash: float | str | None = None
    ram: float | str | None = None
    chip_flash: float | str | None = None
    chip_ram: float | str | None = None
    core: str | None = None
    clock_hz: float | None = None
    board: str | None = None
    runtime: str = "tflm"
    npu: str | None = None
    activations: Collection[str] | None = None
    operators: Collection[str] | None = None
    quantization: str = "int8"
    latency: LatencyModel | None = None
    power: Power | None = None
    threads: int | None = None
    sources: Mapping[str, str] = dataclasses.field(default_factory=dict, hash=False)

    def __post_init__(self) -> None:
        if not isinstance(self.name, str) or not self.name:
            raise TypeError(
                "A device needs a name. Received: "
                f"name={self.name!r}. Write, for example, Device('mine', ram='96KB')."
            )
        set_field = object.__setattr__  # the usual way to normalise a frozen dataclass
        for field, cost in _AMOUNTS.items():
            amount = getattr(self, field)
            if amount is not None:
                what = f"The amount that device {self.name!r} has of"
                set_field(self, field, parse_amount(cost, amount, what))
        for field in ("activations", "operators"):
            names = getattr(self, field)
            if isinstance(names, str):
                raise TypeError(
                    f"{field} must be a collection of names. Received: {field}={names!r}. "
                    f"Write [{names!r}]."
                )
            if names is not None:
                set_field(self, field, tuple(names))
        set_field(self, "sources", dict(self.sources))
        self._check_clock()
        if self.quantization not in QUANTIZATIONS:
            raise ValueError(
                f"Files have no such format. Received: quantization={self.quantization!r}. "
                f"{did_you_mean(self.quantization, QUANTIZATIONS)}"
                f"Known: {', '.join(QUANTIZATIONS)}."
            )
        if self.npu is not None and self.npu not in ACCELERATORS:
            raise ValueError(
                f"No NPU is called so. Received: npu={self.npu!r}. "
                f"{did_you_mean(self.npu, ACCELERATORS)}Known: {', '.join(ACCELERATORS)}."
            )
        if self.latency is None and self.core is not None and self.npu is None:
            self._cycles()  # raises what is wrong with the core or the runtime

    def _check_clock(self) -> None:
        clock = self.clock_hz
        if clock is None:
            if self.core is not None and self.latency is None and self.npu is None:
                raise ValueError(
                    f"The time on a core depends on its clock. Received: core={self.core!r} "
                    "and no clock_hz. Give it in hertz, for example clock_hz=80e6."
                )
            return
        if isinstance(clock, bool) or not isinstance(clock, numbers.Real):
            raise TypeError(
                f"clock_hz must be a number of hertz. Received: {clock!r} "
                f"({type(clock).__name__}). Write, for example, clock_hz=80e6 for 80 MHz."
            )
        if not 0 < clock < math.inf:
            raise ValueError(
                f"clock_hz must be positive and finite. Received: clock_hz={clock!r}. "
                "Write, for example, clock_hz=80e6 for 80 MHz."
            )

    @staticmethod
    def from_measurements(name: str, rows: Rows, **fields: Any) -> Device:
        """A device described by operators that were timed on it.

        Prices for each type of operator, so much each, per multiply-accumulate and per byte,
        are fitted to them (`edge_devices.operator_table.OperatorTable`); the error on rows
        left out of the fit is printed with the device.

        Args:
            name: As for `Device`.
            rows: Path of a CSV or JSON file, or a list of mappings: `op`, `latency_ms`, and
                either `macs` and `bytes` or `input_shape`, `output_shape` and `weights`.
            **fields: As for `Device`.

        Raises:
            TypeError: As `Device`, or if `rows` are no rows.
            ValueError: As `Device`, or if columns are missing or a number is not one.
        """
        return Device(name, latency=OperatorTable.fit(rows), **fields)

    @property
    def limits(self) -> dict[str, float]:
        """Bytes that a model may take: `"flash"` and `"ram"`, as far as they are limited."""
        return {
            name: amount
            for name in ("flash", "ram")
            if isinstance(amount := getattr(self, name), float)
        }

    @property
    def latency_model(self) -> LatencyModel | None:
        """What tells a program's time: the model given, or that of the core."""
        if self.latency is not None or self.core is None or self.npu is not None:
            return self.latency
        return self._cycles()

    def costs(self, program: Program) -> dict[str, float]:
        """What a program costs here: `"ram"`, `"latency_ms"` and `"energy_mj"`.

        RAM is given where it differs from that of portable kernels: CMSIS-NN's, for Cortex-M,
        need scratch memory. A pure function, in well under a millisecond. A cost of which the
        device has no model is missing; a published model of a core prices int8 only.
        """
        found = {}
        if self.npu is None and (self.core or "").startswith("cortex-m"):
            found["ram"] = float(memory(program, kernels="cmsis_nn").total)
        model = self.latency_model
        latency = None if model is None else model.milliseconds(program)
        if latency is not None:
            found["latency_ms"] = latency
            if self.power is not None:
                found["energy_mj"] = energy_mj(latency, self.power.milliwatts)
        return found

    def npu_costs(self, compiled: NpuCost) -> dict[str, float]:
        """What a file costs on the NPU: `"npu_cycles"`, `"latency_ms"` and `"energy_mj"`.

        Args:
            compiled: What the NPU's compiler says of the file. Its time is for the clock that
                the compiler assumes; here it is for the device's own.

        Returns:
            Costs by name; neither time nor energy if operators are left to the processor.
        """
        found: dict[str, float] = {"npu_cycles": float(compiled.cycles)}
        if compiled.cpu_operators:
            return found
        found["latency_ms"] = 1e3 * compiled.cycles / (self.clock_hz or compiled.clock_hz)
        if self.power is not None:
            found["energy_mj"] = energy_mj(found["latency_ms"], self.power.milliwatts)
        return found

    def unsupported(self, program: Program) -> list[str]:
        """Say what a program has that the device must not be given, each thing once.

        Operators that the device lacks, activations that it does not allow, and, on an NPU
        or under TensorFlow Lite Micro, types of numbers without kernels there.
        """
        found: dict[str, None] = {}
        for operator in program.operators:
            for name in _activations(operator.op, operator.activation):
                if not self._allows(name):
                    found[f"activation {name}"] = None
            if self.operators is not None and operator.op not in self.operators:
                found[f"operator {operator.op}"] = None
            read = [program.tensors[i].dtype for i in operator.inputs]
            written = [program.tensors[i].dtype for i in operator.outputs]
            if self.npu is not None:
                others = {*read, *written}.difference(_INTEGERS)
                if operator.op not in _BORDERS and others:
                    found[f"{operator.op} of {', '.join(sorted(others))} on the NPU"] = None
                if operator.weights and operator.weight_dtype == "int4":
                    found[f"{operator.op} with 4-bit weights on the NPU"] = None
                newest = self.npu.startswith("ethos-u85")
                if not newest and _jumps(operator):
                    stride = max(operator.stride)
                    found[f"{operator.op} with a stride of {stride} on the NPU"] = None
                if operator.op == "GATHER" and operator.weight_dtype == "int32":
                    found["GATHER of rows of an activation on the NPU"] = None
                if operator.op in _RESIZES and not _enlarges(program, operator, newest):
                    before, after = _sides(program, operator)
                    found[f"{operator.op} from {before} to {after} on the NPU"] = None
            elif self.threads is None and self.core is not None:
                if "float16" in (*read, *written):
                    found[f"{operator.op} of float16"] = None
                if (
                    operator.weights
                    and "float32" in read
                    and operator.weight_dtype != "float32"
                ):
                    found[f"{operator.op} of float32 with {operator.weight_dtype} weights"] = (
                        None
                    )
        return list(found)

    def __str__(self) -> str:
        lines = [
            ("flash", self._share("flash")),
            ("ram", self._share("ram")),
            ("core", self._processor()),
            ("NPU", self.npu or "none"),
            ("runtime", self.runtime if self._is_micro() else "LiteRT"),
            ("format", self.quantization),
            (
                "activations",
                "any" if self.activations is None else ", ".join(self.activations),
            ),
            ("operators", "any" if self.operators is None else ", ".join(self.operators)),
            ("latency", self._time()),
            ("energy", self._joules()),
        ]
        title = f"{self.name}: {self.description}" if self.description else self.name
        text = [title, *(_wrapped(name, value) for name, value in lines)]
        if self.sources:
            text += ["sources", *(_wrapped(name, told) for name, told in self.sources.items())]
        return "\n".join(text)

    def _cycles(self) -> CycleModel:
        assert self.core is not None
        assert self.clock_hz is not None
        return CycleModel(self.core, float(self.clock_hz), self.runtime, self.board)

    def _allows(self, activation: str) -> bool:
        allowed = self.activations
        return allowed is None or activation in allowed or _ALIASES.get(activation) in allowed

    def _is_micro(self) -> bool:
        return self.threads is None and (self.core is not None or self.npu is not None)

    def _share(self, field: str) -> str:
        limit, chip = self.limits.get(field), getattr(self, f"chip_{field}")
        if limit is None:
            return "no limit"
        text = format_cost(field, limit)
        if not isinstance(chip, float):
            return text
        left = format_cost(field, chip - limit)
        return f"{text} of {format_cost(field, chip)}; {left} are left for the firmware"

    def _processor(self) -> str:
        clock = "" if self.clock_hz is None else f"{self.clock_hz / 1e6:g} MHz"
        threads = "" if self.threads is None else f"{self.threads} threads"
        return ", ".join(part for part in (self.core, clock, threads) if part) or "not known"

    def _time(self) -> str:
        if self.npu is not None:
            return "by the NPU's compiler, ethos-u-vela, for a file"
        model = self.latency_model
        if model is not None:
            return str(model)
        return "measured on this computer" if self.name == HOST else "no model published"

    def _joules(self) -> str:
        if self.power is None:
            return "no published power"
        return f"an estimate: latency times {self.power}"


def _jumps(operator: Operator) -> bool:
    """Whether a convolution's stride is one that Ethos-U55 and U65 leave to the processor."""
    strided = operator.op in ("CONV_2D", "DEPTHWISE_CONV_2D")
    return strided and max(operator.stride) > 3 and max(operator.window) > max(operator.stride)


_RESIZES = ("RESIZE_BILINEAR", "RESIZE_NEAREST_NEIGHBOR")


def _sides(program: Program, operator: Operator) -> tuple[str, str]:
    ends = (operator.inputs[0], operator.outputs[0])
    before, after = ("x".join(map(str, program.tensors[i].shape[1:3])) for i in ends)
    return before, after


def _enlarges(program: Program, operator: Operator, newest: bool) -> bool:
    """Whether images are enlarged as an NPU can; an Ethos-U85 (`newest`) can more."""
    smooth = operator.op == "RESIZE_BILINEAR"
    before = program.tensors[operator.inputs[0]].shape[1:3]
    after = program.tensors[operator.outputs[0]].shape[1:3]
    if before in ((1, 1), after) or (newest and not smooth):
        return True
    factors = [b / a for a, b in zip(before, after, strict=True)]
    if newest:
        return all(factor >= 1 and math.log2(factor).is_integer() for factor in factors)
    flat = not smooth and 1 in after and 1.0 in factors  # a line of pixels
    allowed = (2.0,) if smooth else (2.0, 4.0, 8.0)
    return max(factors) in allowed and (flat or factors[0] == factors[1])


_AMOUNTS = {"flash": "flash", "ram": "ram", "chip_flash": "flash", "chip_ram": "ram"}
_REGISTERED: dict[str, Device] = {}


def register(device: Device, *, overwrite: bool = False) -> Device:
    """Make a device known by its name, in this process.

    Args:
        device: The device.
        overwrite: Whether it may take the place of another one of that name.

    Returns:
        The device.

    Raises:
        TypeError: If it is none.
        ValueError: If another device has its name.
    """
    if not isinstance(device, Device):
        raise TypeError(
            f"Only a device can be registered. Received: {device!r} "
            f"({type(device).__name__}). Make one: Device('mine', ram='96KB')."
        )
    if _known().get(device.name, device) != device and not overwrite:
        raise ValueError(
            f"Another device is called {device.name!r}. Received: a device of that name. "
            "Choose another name, or pass `overwrite=True`."
        )
    _REGISTERED[device.name] = device
    return device


def find(name: str) -> Device:
    """The device of a name.

    Raises:
        ValueError: If there is none; the message lists those there are.
    """
    known = _known()
    if name not in known:
        raise ValueError(
            f"No device is called {name!r}. {did_you_mean(name, known)}"
            f"Known: {', '.join(known)}. Make your own with `edge_devices.Device` and "
            "`edge_devices.register`."
        )
    return known[name]


def devices() -> tuple[Device, ...]:
    """All devices: those that come with the package, then those registered."""
    return tuple(_known().values())


def describe(name: str | None = None) -> str:
    """What the command line says of one device, or a table of all.

    Raises:
        ValueError: If no device has the name.
    """
    if name is not None:
        return str(find(name))
    rows = [("device", "flash", "ram", "latency", "energy", "NPU", ""), *map(_row, devices())]
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    )


def _known() -> dict[str, Device]:
    profiles = importlib.import_module("edge_devices.profiles")
    return {device.name: device for device in profiles.PROFILES} | _REGISTERED


def _row(device: Device) -> tuple[str, ...]:
    flash, ram = (
        format_cost(name, device.limits[name]) if name in device.limits else "-"
        for name in ("flash", "ram")
    )
    model = device.latency_model
    if device.npu is not None:
        time = "compiler"
    elif isinstance(model, CycleModel):
        time = f"model, {model.errors.networks[0]:.0%} off"
    elif isinstance(model, OperatorTable) and model.error:
        time = f"table, {model.error[0]:.0%} off"
    elif model is not None:
        time = "model"
    else:
        time = "measured" if device.name == HOST else "-"
    power = "-" if device.power is None else f"{device.power.milliwatts:g} mW"
    return device.name, flash, ram, time, power, device.npu or "-", device.description


def _activations(op: str, fused: str | None) -> list[str]:
    names = [_ACTIVATIONS.get(op), _FUSED.get(fused or "")]
    return [name for name in names if name is not None]


def _wrapped(name: str, text: str) -> str:
    indent = " " * 15
    return textwrap.fill(
        text,
        95,
        initial_indent=f"  {name:12} ",
        subsequent_indent=indent,
        break_on_hyphens=False,
    )

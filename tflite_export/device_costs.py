"""What a file costs on devices, in words: the rows of a table."""

from __future__ import annotations

from collections.abc import Sequence

from edge_devices import npu
from edge_devices.device import Device, devices
from edge_devices.flatbuffer import read
from edge_devices.isolation import Crash
from edge_devices.latency import CycleModel
from edge_devices.measurement import program_costs
from edge_devices.operator_table import OperatorTable
from edge_devices.program import Program
from edge_devices.units import format_cost

__all__ = ["device_costs", "file_costs"]


def file_costs(content: bytes, size: int | None = None) -> dict[str, float]:
    """What a file costs wherever it runs.

    Args:
        content: The bytes of a `.tflite` file.
        size: Bytes that it takes; `None` for those of `content`.

    Returns:
        `macs`, `flash` and `ram`, in base units.
    """
    return program_costs(read(content), len(content) if size is None else size)


def device_costs(
    content: bytes, on: Sequence[Device] | None = None, *, size: int | None = None
) -> list[dict[str, str]]:
    """What a file costs on each of some devices, and whether it fits.

    Times are those of a device's latency model, with the error that it had in the median on
    networks it was not fitted to, or those of the NPU's compiler, if it is installed.

    Args:
        content: The bytes of a `.tflite` file.
        on: The devices; `None` takes all that are known.
        size: Bytes that it takes; `None` for those of `content`.

    Returns:
        For each device a row of text by column.
    """
    program = read(content)
    costs = program_costs(program, len(content) if size is None else size)
    return [
        _row(content, program, costs, device) for device in (devices() if on is None else on)
    ]


def _row(
    content: bytes, program: Program, costs: dict[str, float], device: Device
) -> dict[str, str]:
    remarks = device.unsupported(program)
    modelled = {} if remarks else device.costs(program)
    costs = costs | {name: cost for name, cost in modelled.items() if name in costs}
    latency = energy = ""
    if "latency_ms" in modelled:
        latency = format_cost("latency_ms", modelled["latency_ms"]) + _error(device)
    if "energy_mj" in modelled:
        energy = format_cost("energy_mj", modelled["energy_mj"])
    if device.npu is not None and not remarks:
        latency, reason = _compiled(content, device.npu, device)
        remarks = [reason] if reason else []
    return {
        "device": device.name,
        "flash": _against("flash", costs, device),
        "ram": _against("ram", costs, device),
        "latency": latency,
        "energy": energy,
        "remarks": "; ".join(remarks),
    }


def _against(cost: str, costs: dict[str, float], device: Device) -> str:
    text = format_cost(cost, costs[cost])
    limit = device.limits.get(cost)
    if limit is None:
        return text
    fits = "fits" if costs[cost] <= limit else "**too large**"
    return f"{text} of {format_cost(cost, limit)}: {fits}"


def _error(device: Device) -> str:
    model = device.latency_model
    error = None
    if isinstance(model, CycleModel):
        error = model.errors.networks
    elif isinstance(model, OperatorTable):
        error = model.error
    return "" if error is None else f" ({error[0]:.0%} off)"


def _compiled(content: bytes, accelerator: str, device: Device) -> tuple[str, str]:
    """The time on an NPU by its compiler, or why it cannot be told."""
    try:
        cost = npu.npu(content, accelerator, cpu_operators=True)
    except ImportError:
        return "", "time by its compiler, `ethos-u-vela`, which is not installed"
    except (ValueError, Crash, TimeoutError) as error:
        return "", str(error).split(". ")[0]
    if cost.cpu_operators:
        return "", "operators left to the CPU: " + ", ".join(cost.cpu_operators)
    milliseconds = device.npu_costs(cost)["latency_ms"]
    return format_cost("latency_ms", milliseconds) + " (by its compiler)", ""

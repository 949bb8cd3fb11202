"""What Arm's compiler says of a file on an Ethos-U: cycles, memory, traffic.

`ethos-u-vela` is the compiler that a file has to pass anyway before it runs on this NPU. It
knows the schedule it makes, so its figures are exact where they are bytes and an estimate
where they are cycles. Some files crash it, so it runs in a process of its own
(`edge_devices.isolation`).
"""

from __future__ import annotations

import csv
import importlib.util
import re
import tempfile
from collections import Counter
from pathlib import Path
from typing import NamedTuple

from edge_devices import isolation
from edge_devices.source import Source, content_of
from edge_devices.spelling import did_you_mean

__all__ = ["ACCELERATORS", "NpuCost", "npu", "npu_file"]

ACCELERATORS = (
    *("ethos-u55-32", "ethos-u55-64", "ethos-u55-128", "ethos-u55-256"),
    *("ethos-u65-256", "ethos-u65-512"),
    *("ethos-u85-128", "ethos-u85-256", "ethos-u85-512", "ethos-u85-1024", "ethos-u85-2048"),
)
"""Names of the NPUs; the number is multiply-accumulates a cycle."""

# The compiler's own defaults describe larger systems, with weights in flash off the chip.
_SYSTEMS = {
    "u55": "Ethos_U55_Deep_Embedded",
    "u65": "Ethos_U65_Embedded",
    "u85": "Ethos_U85_SYS_Flash_Low",
}
_MEMORY_MODE = "Sram_Only"
_KIBIBYTE = 1024
_TIMEOUT = 300.0  # seconds
_ADVICE = (
    "Other files still compile. Files with 4-bit weights are known to crash it; otherwise "
    "convert the model again with default settings, and if that crashes too, this version "
    "of ethos-u-vela has a bug with one of the operators: use another layer."
)


class NpuCost(NamedTuple):
    """What one inference takes on the NPU, by the compiler's own account.

    Attributes:
        cycles: Clock cycles. Arm calls its figure an estimate; the schedule is real, and the
            waiting for memory is modelled.
        latency_ms: Those cycles at `clock_hz`, milliseconds.
        sram_bytes: Activations and what else the NPU keeps in memory while it runs.
        flash_bytes: Weights, compressed as the NPU reads them, and its commands.
        flash_traffic_bytes: Bytes moved to and from memory off the chip (flash or DRAM), 0
            if the configuration has none: this is what slows a small network down.
        macs: Multiply-accumulates as the NPU executes them. It counts operators that it
            turns into convolutions too (means, for one), so it is above the network's own.
        file_bytes: Bytes of the compiled `.tflite` file.
        cpu_operators: Operators that stay on the CPU, each with the reason; their time is
            not in `cycles`.
        accelerator: The NPU, one of `ACCELERATORS`.
        system_config: The compiler's name of the clock and memories assumed.
        memory_mode: The compiler's name of what is stored where.
        clock_hz: The clock assumed.
    """

    cycles: int
    latency_ms: float
    sram_bytes: int
    flash_bytes: int
    flash_traffic_bytes: int
    macs: int
    file_bytes: int
    cpu_operators: tuple[str, ...]
    accelerator: str
    system_config: str
    memory_mode: str
    clock_hz: float


def npu(
    source: Source,
    accelerator: str = "ethos-u55-128",
    *,
    system_config: str | None = None,
    memory_mode: str | None = None,
    cpu_operators: bool = False,
) -> NpuCost:
    """Compile a file for an Ethos-U NPU and report what it costs there.

    Some 5 to 30 ms, the same figures every time.

    Args:
        source: Path or bytes of an int8 `.tflite` file.
        accelerator: The NPU, one of `ACCELERATORS`.
        system_config: Clock and memories, a `System_Config` of the compiler's
            `Arm/vela.ini`. By default the smallest one of the NPU's family: 200 MHz for a
            U55 (`"Ethos_U55_Deep_Embedded"`) and a U85, 500 MHz for a U65.
        memory_mode: What is stored where, a `Memory_Mode` of the same file. The default,
            `"Sram_Only"`, has all of it on the chip, as on a microcontroller.
            `"Shared_Sram"` reads the weights from flash off the chip.
        cpu_operators: Whether operators may stay on the CPU. If so they are listed in the
            result; else they are an error.

    Raises:
        ImportError: If `ethos-u-vela` is not installed.
        ValueError: If the NPU or a configuration is unknown, the file is not for an NPU
            (float, 4-bit weights), or operators stay on the CPU that must not.
        edge_devices.isolation.Crash: If the compiler crashes.
    """
    cost, _ = _compiled(source, accelerator, system_config, memory_mode)
    if cost.cpu_operators and not cpu_operators:
        raise ValueError(
            f"The NPU cannot run all of this file. Received: accelerator={accelerator!r} and "
            f"operators that stay on the CPU: {', '.join(cost.cpu_operators)}. Use other "
            "layers there, or pass `cpu_operators=True` to have them listed."
        )
    return cost


def npu_file(
    source: Source,
    accelerator: str = "ethos-u55-128",
    *,
    system_config: str | None = None,
    memory_mode: str | None = None,
) -> bytes:
    """Compile a file for an Ethos-U NPU and return the file that runs there.

    Args:
        source: As in `npu`.
        accelerator: As in `npu`.
        system_config: As in `npu`.
        memory_mode: As in `npu`.

    Returns:
        A `.tflite` file with the operators that the NPU runs made into one `ethos-u`
        operator. TensorFlow Lite Micro hands that to the NPU's driver.

    Raises:
        ImportError: As `npu`.
        ValueError: As `npu`, but for operators that stay on the CPU.
        edge_devices.isolation.Crash: As `npu`.
    """
    return _compiled(source, accelerator, system_config, memory_mode)[1]


def _compiled(
    source: Source, accelerator: str, system_config: str | None, memory_mode: str | None
) -> tuple[NpuCost, bytes]:
    if accelerator not in ACCELERATORS:
        raise ValueError(
            f"accelerator must be one of {', '.join(map(repr, ACCELERATORS))}. Received: "
            f"accelerator={accelerator!r}. {did_you_mean(accelerator, ACCELERATORS)}".strip()
        )
    if importlib.util.find_spec("ethosu") is None:
        raise ImportError(
            "The compiler for Ethos-U NPUs is not installed. It comes with an extra: "
            "`pip install 'kerasnas[npu]'`."
        )
    content = content_of(source)
    _check_types(content)
    family = accelerator.split("-")[1]
    system, memory = system_config or _SYSTEMS[family], memory_mode or _MEMORY_MODE
    # Made here, so that it goes even if the compiler crashes.
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "network.tflite").write_bytes(content)
        isolation.call(
            _compile,
            folder,
            (accelerator, system, memory),
            timeout=_TIMEOUT,
            doing=f"Vela compiled a file of {len(content):,} bytes for {accelerator}",
            advice=_ADVICE,
        )
        (summary,) = _rows(folder, "*_summary_*.csv")
        layers = _rows(folder, "*_per-layer.csv")
        said = (Path(folder) / _OUTPUT).read_text()
        compiled = (Path(folder) / "network_vela.tflite").read_bytes()
    cpu = _cpu_operators(layers, said)
    cycles = int(float(summary["cycles_total"]))
    if cycles == 0:
        listed = ", ".join(cpu) or "none"
        advice = (
            'Export with `quantization="int8"`: an NPU has integer arithmetic only.'
            if "Float" in listed
            else "Use other layers there."
        )
        raise ValueError(
            f"The NPU runs nothing of this file. Received: accelerator={accelerator!r} and a "
            f"file of {len(content):,} bytes whose operators stay on the CPU: {listed}. "
            f"{advice}"
        )
    chip = ("dram", "off_chip_flash")
    return NpuCost(
        cycles=cycles,
        latency_ms=1000 * float(summary["inference_time"]),
        sram_bytes=_bytes(summary, "sram"),
        flash_bytes=sum(
            _bytes(summary, area) for area in ("dram", "on_chip_flash", "off_chip_flash")
        ),
        flash_traffic_bytes=sum(int(float(summary[f"{area}_total_bytes"])) for area in chip),
        macs=int(float(summary["nn_macs"])),
        file_bytes=len(compiled),
        cpu_operators=cpu,
        accelerator=accelerator,
        system_config=system,
        memory_mode=memory,
        clock_hz=float(summary["core_clock"]),
    ), compiled


def _check_types(content: bytes) -> None:
    from ai_edge_litert import schema_py_generated as schema

    model = schema.Model.GetRootAs(content)
    for graph in map(model.Subgraphs, range(model.SubgraphsLength())):
        tensors = list(map(graph.Tensors, range(graph.TensorsLength())))
        narrow = sum(tensor.Type() == schema.TensorType.INT4 for tensor in tensors)
        if narrow:
            raise ValueError(
                "The compiler for Ethos-U NPUs cannot read 4-bit weights. Received: a file "
                f"of {len(content):,} bytes with {narrow} int4 tensors. Keep the weights at "
                "8 bits for this device."
            )


def _bytes(summary: dict[str, str], area: str) -> int:
    return round(_KIBIBYTE * float(summary[f"{area}_memory_used"]))


def _rows(folder: str, pattern: str) -> list[dict[str, str]]:
    (path,) = Path(folder).glob(pattern)
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


_REASON = re.compile(r"operator: (\w+), .*?\nReason: (.*)")
_TENSOR_NAME = re.compile(r"\s*\([^()]*\)\s*$")


def _cpu_operators(layers: list[dict[str, str]], said: str) -> tuple[str, ...]:
    """Operators of the CPU by their name in the file, each kind once, with the reason."""
    from ai_edge_litert import schema_py_generated as schema

    # The compiler's table has "Conv2D", its warnings and the schema "CONV_2D".
    names = {name.replace("_", "").lower(): name for name in vars(schema.BuiltinOperator)}
    reasons = {name: _TENSOR_NAME.sub("", why) for name, why in _REASON.findall(said)}
    counts = Counter(row["Original Operator"] for row in layers if row["Target"] == "CPU")
    texts = []
    for operator, count in counts.items():
        name = names.get(operator.lower(), operator)
        times = f"{count} x " if count > 1 else ""
        why = reasons.get(name, "").strip(" .")
        texts.append(f"{times}{name}" + (f" ({why})" if why else ""))
    return tuple(texts)


_OUTPUT = "output.txt"


def _compile(folder: str, configuration: tuple[str, str, str]) -> None:
    """Run the compiler, in the other process, and leave what it writes in the folder."""
    from ethosu.vela import vela

    accelerator, system, memory = configuration
    try:
        vela.main(
            [
                str(Path(folder) / "network.tflite"),
                f"--accelerator-config={accelerator}",
                "--config=Arm/vela.ini",
                f"--system-config={system}",
                f"--memory-mode={memory}",
                f"--output-dir={folder}",
                "--verbose-performance",
            ]
        )
    except (Exception, SystemExit) as error:
        said = isolation.written().strip().splitlines()
        why = str(error) if not isinstance(error, SystemExit) else (said or [""])[-1]
        raise ValueError(
            "The compiler for Ethos-U NPUs refuses this. Received: "
            f"accelerator={accelerator!r}, system_config={system!r}, memory_mode={memory!r} "
            f"({why.strip()}). The configurations are those of its `Arm/vela.ini`."
        ) from error
    (Path(folder) / _OUTPUT).write_text(isolation.written())

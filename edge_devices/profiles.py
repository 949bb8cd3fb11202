"""The devices that come with the package, each a board one can buy, as data.

Flash and memory of a profile are half of the chip's: the other half is left for the firmware,
its stack and buffers, and an update of it. That is a convention of ours, as is every choice of
board; `dataclasses.replace` makes another one. All other numbers are published, and `sources`
says where.

Activations are those whose int8 kernel is worth having. HARD_SWISH is not among them on
microcontrollers and phones: TensorFlow Lite Micro runs portable C code for it, 50 cycles a
value, and XNNPACK has no int8 kernel and splits the network around it. On an NPU it is a
table look-up.
"""

from __future__ import annotations

from edge_devices.device import Device
from edge_devices.energy import POWERS
from edge_devices.tflm import OPERATORS

__all__ = ["PROFILES"]

_KB = 1024
_MB = 1024 * _KB

_INT8 = ("linear", "relu", "relu6", "leaky_relu", "hard_sigmoid", "sigmoid", "tanh", "softmax")
_ON_NPU = (*_INT8, "hard_silu", "silu")

# Those of `vela --supported-ops-report`, ethos-u-vela 5.2.0.
_ETHOS_U55 = (
    *("ABS", "ADD", "ARG_MAX", "AVERAGE_POOL_2D", "BATCH_MATMUL", "CONCATENATION", "CONV_2D"),
    *("DEPTHWISE_CONV_2D", "ELU", "EXP", "EXPAND_DIMS", "FULLY_CONNECTED", "GELU"),
    *("HARD_SWISH", "LEAKY_RELU", "LOG", "LOGISTIC", "MAXIMUM", "MAX_POOL_2D", "MEAN"),
    *("MINIMUM", "MIRROR_PAD", "MUL", "NEG", "PACK", "PAD", "PADV2", "PRELU", "QUANTIZE"),
    *("REDUCE_MAX", "REDUCE_MIN", "RELU", "RELU6", "RELU_0_TO_1", "RELU_N1_TO_1", "RESHAPE"),
    *("RESIZE_BILINEAR", "RESIZE_NEAREST_NEIGHBOR", "REVERSE_V2", "RSQRT", "SLICE"),
    *("SOFTMAX", "SPLIT", "SPLIT_V", "SQUARED_DIFFERENCE", "SQUEEZE", "STRIDED_SLICE", "SUB"),
    *("SUM", "TANH", "TILE", "TRANSPOSE", "TRANSPOSE_CONV", "UNIDIRECTIONAL_SEQUENCE_LSTM"),
    "UNPACK",
)
_ETHOS_U85 = (
    *_ETHOS_U55,
    *("ASSIGN_VARIABLE", "CAST", "DIV", "EQUAL", "GATHER", "GREATER", "GREATER_EQUAL", "LESS"),
    *("LESS_EQUAL", "LOGICAL_AND", "LOGICAL_NOT", "LOGICAL_OR", "NOT_EQUAL", "READ_VARIABLE"),
    *("REDUCE_ALL", "REDUCE_ANY", "SCATTER_ND", "SELECT", "SELECT_V2"),
)

_HALF = "half of the chip's, a convention of this package; "
_TINY = "https://github.com/mlcommons/tiny_results_"
_HELIA = (
    "AmbiqAI, helia-profiler, platform registry in examples/results/hardware-validation-"
    "2026-09-16/apollo510_evb-kws-tflm-arm-arm-none-eabi-gcc-rtt-auto/run_metadata.json, "
    "https://github.com/AmbiqAI/helia-profiler"
)
_ZEPHYR = "https://github.com/zephyrproject-rtos/zephyr"
_ALIF = (
    "Alif Semiconductor, Ensemble device family pack, AlifSemiconductor.Ensemble.pdsc, E5, "
    "https://github.com/alifsemi/alif_ensemble-cmsis-dfp"
)
_ALIF_NPU = (
    "Alif Semiconductor, sdk-alif, samples/modules/tflite-micro/tflm_ethosu/README.rst, "
    "https://github.com/alifsemi/sdk-alif"
)
_VELA = "`vela --supported-ops-report` of ethos-u-vela 5.2.0, https://pypi.org/project/ethos-u-vela"
_HARD_SWISH = (
    "TensorFlow Lite Micro's kernels; HARD_SWISH takes 53 cycles a value: AmbiqAI, helia-rt, "
    "docs/reference/benchmarks/index.md, column LiteRT, https://github.com/AmbiqAI/helia-rt"
)
_RESOLVER = "micro_mutable_op_resolver.h, https://github.com/tensorflow/tflite-micro"
_FITTED = (
    "fitted by benchmarks/latency_fit.py to edge_devices/latency_points.csv, which has the "
    "source of each timing"
)
_NEVER = "none published for this chip"


def _micro(
    name: str,
    description: str,
    core: str,
    clock_hz: float,
    flash: float,
    ram: float,
    board: str,
    source: str,
    power: str = _NEVER,
) -> Device:
    """A microcontroller that runs TensorFlow Lite Micro: half of the chip is the model's."""
    return Device(
        name,
        description,
        flash=flash / 2,
        ram=ram / 2,
        chip_flash=flash,
        chip_ram=ram,
        core=core,
        clock_hz=clock_hz,
        board=board,
        activations=_INT8,
        operators=sorted(OPERATORS),
        power=POWERS.get(board),
        sources={
            "flash, ram": _HALF + source,
            "core, clock": source,
            "activations": _HARD_SWISH,
            "operators": _RESOLVER,
            "latency": _FITTED,
            "energy": POWERS[board].source if board in POWERS else power,
        },
    )


def _npu(
    name: str,
    description: str,
    npu: str,
    clock_hz: float,
    flash: float,
    ram: float,
    source: str,
    macs: str,
) -> Device:
    """A Cortex-M55 whose NPU runs the network."""
    return Device(
        name,
        description,
        flash=flash / 2,
        ram=ram / 2,
        chip_flash=flash,
        chip_ram=ram,
        core="cortex-m55",
        clock_hz=clock_hz,
        npu=npu,
        activations=_ON_NPU,
        operators=_ETHOS_U85 if "u85" in npu else _ETHOS_U55,
        sources={
            "flash, ram": _HALF + source,
            "core, clock": source,
            "NPU": macs,
            "operators": _VELA,
            "latency": "the NPU's compiler, ethos-u-vela",
            "energy": _NEVER,
        },
    )


PROFILES = (
    _micro(
        "cortex-m4",
        "NUCLEO-L4R5ZI, STM32L4R5",
        "cortex-m4",
        120e6,
        2 * _MB,
        640 * _KB,
        "NUCLEO-L4R5ZI",
        "MLPerf Tiny v0.5, closed/reference/systems/Nucleo_L4R5ZI_System_Description.json, "
        f"{_TINY}v0.5",
    ),
    _micro(
        "cortex-m7",
        "NUCLEO-H7A3ZI-Q, STM32H7A3",
        "cortex-m7",
        280e6,
        2 * _MB,
        1.19 * _MB,
        "NUCLEO-H7A3ZI-Q",
        "MLPerf Tiny v1.2, closed/STMicroelectronics/systems/NUCLEO_H7A3ZI_Q.json, "
        f"{_TINY}v1.2",
    ),
    _micro(
        "cortex-m33",
        "NUCLEO-U575ZI-Q, STM32U575",
        "cortex-m33",
        160e6,
        2 * _MB,
        768 * _KB,
        "NUCLEO-U575ZI-Q",
        "MLPerf Tiny v1.2, closed/STMicroelectronics/systems/NUCLEO_U575ZI_Q.json, "
        f"{_TINY}v1.2",
    ),
    _micro(
        "cortex-m55",
        "Apollo510 EVB, without an NPU",
        "cortex-m55",
        250e6,
        4 * _MB,
        3 * _MB,
        "apollo510_evb",
        _HELIA,
    ),
    _micro(
        "cortex-m85",
        "EK-RA8D1, R7FA8D1AH",
        "cortex-m85",
        480e6,
        2 * _MB,
        1 * _MB,
        "EK-RA8D1",
        f"MLPerf Tiny v1.2, closed/Renesas/systems/EK-RA8D1.json, {_TINY}v1.2",
    ),
    _micro(
        "esp32-s3",
        "ESP32-S3-DevKitC-1-N8",
        "esp32-s3",
        240e6,
        8 * _MB,
        512 * _KB,
        "ESP32-S3-DevKitC-1",
        "Zephyr, boards/espressif/esp32s3_devkitc/doc/index.rst and "
        f"dts/xtensa/espressif/esp32s3/esp32s3_common.dtsi, {_ZEPHYR}; the N8 module has 8 MB "
        "of flash",
    ),
    _npu(
        "ethos-u55-128",
        "Alif Ensemble E5, M55-HE with Ethos-U55",
        "ethos-u55-128",
        160e6,
        5.5 * _MB,
        4 * _MB,
        f"{_ALIF}: M55_HE 160 MHz, MRAM 0x580000, SRAM0 0x400000",
        f"128 multiply-accumulates a cycle beside the HE core: {_ALIF_NPU}",
    ),
    _npu(
        "ethos-u55-256",
        "Alif Ensemble E5, M55-HP with Ethos-U55",
        "ethos-u55-256",
        400e6,
        5.5 * _MB,
        4 * _MB,
        f"{_ALIF}: M55_HP 400 MHz, MRAM 0x580000, SRAM0 0x400000",
        f"256 multiply-accumulates a cycle beside the HP core: {_ALIF_NPU}",
    ),
    _npu(
        "ethos-u85-256",
        "Alif Ensemble E8, M55-HP with Ethos-U85",
        "ethos-u85-256",
        400e6,
        5.5 * _MB,
        4 * _MB,
        "Zephyr, dts/arm/alif/ensemble/ae822fa0e5597ls0.dtsi (MRAM 5632 KB, SRAM0 4 MB) and "
        f"common/ensemble_rtss_hp.dtsi (400 MHz), {_ZEPHYR}",
        f"256 multiply-accumulates a cycle: {_ALIF_NPU}",
    ),
    Device(
        "raspberry-pi-4",
        "Raspberry Pi 4 Model B, BCM2711, 4 x Cortex-A72",
        clock_hz=1.5e9,
        activations=_INT8,
        threads=4,
        sources={
            "clock, threads": "Raspberry Pi 4 Model B specifications, "
            "https://www.raspberrypi.com/products/raspberry-pi-4-model-b/specifications/",
            "flash, ram": "sold with different amounts of memory: no limit is set",
            "activations": "XNNPACK has no int8 HARD_SWISH: tested with ai-edge-litert 2.3",
        },
    ),
    Device(
        "pixel-6",
        "Google Pixel 6, Tensor, 2 x Cortex-X1, 2 x A76, 4 x A55",
        clock_hz=2.802e9,
        activations=_INT8,
        threads=4,
        sources={
            "clock, threads": "the X1 cores' highest, and the four large cores: Linux, "
            "arch/arm64/boot/dts/exynos/google/gs101.dtsi, https://github.com/torvalds/linux",
            "flash, ram": "memory is shared with other apps: no limit is set",
            "activations": "XNNPACK has no int8 HARD_SWISH: tested with ai-edge-litert 2.3",
        },
    ),
    Device(
        "host",
        "this computer, LiteRT with XNNPACK",
        threads=1,
        sources={
            "latency": "measured here, call by call in turn with a reference model",
        },
    ),
)
"""All of them, microcontrollers first."""

"""Whether converting many networks in one process makes it grow.

Every network is another draw of a small space of convolutions, built, calibrated and
converted; what the process holds (resident memory, after garbage collection and after the
allocator gave back what it could) is read before the network is built, before it is
converted and after. The growth is thus told apart: of building Keras models and of
converting them. The slope is that of a line through the memory after each conversion, less
what building added, without the first ten, which fill caches.

    python benchmarks/leak.py --route int8 --count 60

Routes: `int8` (or another quantization) is `tflite_export.convert`; `export` is
`tflite_export.export`, which verifies the file and writes it; `quantizer` is the float32
conversion followed by litert-quantizer by hand; `keras` is
`tf.lite.TFLiteConverter.from_keras_model`, for comparison.
"""

from __future__ import annotations

import argparse
import ctypes
import gc
import json
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

MEGABYTE = 1 << 20
SHAPE = (16, 16, 1)


def resident() -> float:
    """Megabytes this process holds, after giving back what it can."""
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * 4096 / MEGABYTE


def network(seed: int, blocks: int) -> Any:
    """A small classifier of separable blocks, another one for each seed."""
    import keras

    rng = np.random.default_rng(seed)
    layers = keras.layers
    inputs = keras.Input(SHAPE, name="image")
    x = layers.Conv2D(int(rng.integers(4, 17)), 3, strides=2, padding="same")(inputs)
    for _ in range(rng.integers(blocks // 2, blocks + 1)):
        x = layers.DepthwiseConv2D(int(rng.choice([3, 5])), padding="same")(x)
        x = layers.ReLU(6.0)(layers.BatchNormalization()(x))
        x = layers.Conv2D(int(rng.integers(8, 33)), 1)(x)
    x = layers.GlobalAveragePooling2D()(x)
    return keras.Model(inputs, layers.Dense(10)(x))


def with_tflite_export(quantization: str) -> Callable[[Any, Any], bytes]:
    """The package's own conversion."""
    import tflite_export

    return lambda model, samples: tflite_export.convert(
        model, quantization, samples if quantization == "int8" else None
    )


def with_export() -> Callable[[Any, Any], bytes]:
    """The whole of an export: conversion, metadata, verification and the file."""
    import tflite_export

    def convert(model: Any, samples: Any) -> bytes:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "network.tflite"
            tflite_export.export(model, path, "int8", samples)
            return path.read_bytes()

    return convert


def with_quantizer() -> Callable[[Any, Any], bytes]:
    """A float32 conversion, then litert-quantizer with one rule for all operators."""
    from litert_quantizer import qtyping, quantizer

    import tflite_export

    def convert(model: Any, samples: Any) -> bytes:
        content = tflite_export.convert(model, "float32", compact=False)
        with tempfile.NamedTemporaryFile(suffix=".tflite") as file:
            file.write(content)
            file.flush()
            made = quantizer.Quantizer(file.name)
            made.add_static_config(
                regex=".*",
                operation_name=qtyping.TFLOperationName.ALL_SUPPORTED,
                activation_num_bits=8,
                weight_num_bits=8,
            )
            data = {"serving_default": [{"image": sample[None]} for sample in samples]}
            return bytes(made.quantize(made.calibrate(data)).quantized_model)

    return convert


def with_keras() -> Callable[[Any, Any], bytes]:
    """TensorFlow's own way from a Keras model."""
    import tensorflow as tf

    from tflite_export.silence import silence

    def convert(model: Any, samples: Any) -> bytes:
        converter = tf.lite.TFLiteConverter.from_keras_model(model)
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        converter.representative_dataset = lambda: ([sample[None]] for sample in samples)
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
        with silence():
            return bytes(converter.convert())

    return convert


def slope(values: list[float], skipped: int = 10) -> float:
    """Growth from one value to the next, by least squares, without the first ones."""
    kept = values[skipped:]
    return float(np.polyfit(np.arange(len(kept)), kept, 1)[0])


def measure(
    convert: Callable[[Any, Any], bytes], count: int, samples: int, blocks: int
) -> dict[str, Any]:
    """Convert `count` networks and return what memory did."""
    import keras

    x = np.random.default_rng(0).random((samples, *SHAPE), dtype=np.float32)
    converting, building, total = 0.0, 0.0, []
    converted, built = [], []
    for seed in range(count):
        before = resident()
        model = network(seed, blocks)
        between = resident()
        convert(model, x)
        del model
        keras.backend.clear_session()
        after = resident()
        building += between - before
        converting += after - between
        total.append(after)
        converted.append(converting)
        built.append(building)
        print(
            f"{seed:3} {after:8.1f} MB, converting {converting:7.1f}, building {building:6.1f}"
        )
    return {
        "conversions": count,
        "samples": samples,
        "blocks": blocks,
        "megabytes": [round(value, 1) for value in total],
        "total_slope": round(slope(total), 3),
        "conversion_slope": round(slope(converted), 3),
        "building_slope": round(slope(built), 3),
    }


def main() -> None:
    """Measure one route and print the slopes."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--route", default="int8")
    parser.add_argument("--count", type=int, default=60)
    parser.add_argument("--samples", type=int, default=32)
    parser.add_argument("--blocks", type=int, default=4, help="at most; at least half of it")
    parser.add_argument("--output", type=Path)
    arguments = parser.parse_args()
    routes = {"export": with_export, "quantizer": with_quantizer, "keras": with_keras}
    make = routes.get(arguments.route)
    convert = make() if make else with_tflite_export(arguments.route)
    figures = measure(convert, arguments.count, arguments.samples, arguments.blocks)
    result = {"route": arguments.route, **figures}
    print(json.dumps({key: value for key, value in result.items() if key != "megabytes"}))
    if arguments.output:
        with arguments.output.open("a") as file:
            file.write(json.dumps(result) + "\n")


if __name__ == "__main__":
    main()

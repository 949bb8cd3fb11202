"""What quantization costs trained networks, and what the remedies bring back.

Members of the mobile space, drawn with 3,000 to 30,000 weights, are trained on two data sets
and exported to int8; where the drop exceeds one point they are exported again with remedies.
The same networks show what 16-bit activations, float activations and 4-bit weights cost. Then
networks built to quantize badly: channels of a trained one are scaled by factors from 1 to
`SPREADS`, which changes nothing in float, and are mended by remedies with and without layers
in other precisions; in the last of them two layers read the scaled channels, so that these
cannot be equalized. Writes one JSON line a network to `--output`; those already there are
kept, so the run can be continued.

    KERASNAS_DATA=... python benchmarks/quantization.py --count 15 --output quantization.jsonl
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

DATA = ("digits", "fsdd_logmel")
SPREADS = (30, 300, 3000)
OTHERS = ("dynamic", "int16x8", "int4")
LIMIT = 0.01


def jobs(count: int) -> Iterator[dict[str, Any]]:
    """What to measure, in order: the same for the same number."""
    for number in range(count):
        yield {"network": number, "data": DATA[number % len(DATA)]}
    for spread in SPREADS:
        yield {"spread": spread, "data": "digits"}
    yield {"spread": SPREADS[-1], "readers": 2, "data": "digits"}


def measure(job: dict[str, Any]) -> dict[str, Any]:
    """Train one network and export it."""
    import keras

    from benchmarks import small_networks

    keras.backend.clear_session()
    data = small_networks.load(job["data"])
    epochs, seed = small_networks.DATASETS[job["data"]], job.get("network", 0)
    start = time.perf_counter()
    shape = data.x_train.shape[1:]
    if "readers" in job:
        model = forked(shape)
        small_networks.fit(model, data, epochs, 4e-3, seed)
        scale_fork(model, job["spread"])
    elif "spread" in job:
        described = small_networks.relu_network(shape)
        model = small_networks.trained(described, data, epochs, seed)
        model = compiled(small_networks.with_scales(model, job["spread"], seed))
    else:
        described = small_networks.network(shape, seed)
        model = small_networks.trained(described, data, epochs, seed)
    seconds = time.perf_counter() - start
    record = {**job, "params": model.count_params(), "training_seconds": round(seconds, 1)}
    record |= exported(model, data, "int8")
    if "spread" in job:
        limits = {"max_accuracy_drop": LIMIT}
        integer = {**limits, "allow_wide": False, "allow_float": False}
        record["mended"] = exported(model, data, "int8", **limits)
        record["mended_integer"] = exported(
            model, data, "int8", fine_tuning_data=(data.x_train, data.y_train), **integer
        )
        return record
    if record["drop"] > LIMIT:
        record["mended"] = exported(model, data, "int8", max_accuracy_drop=LIMIT)
    for quantization in OTHERS:
        record[quantization] = exported(model, data, quantization)
    return record


def forked(shape: tuple[int, ...]) -> Any:
    """A network in which two convolutions read the first one's output."""
    import keras
    from keras import layers

    keras.utils.set_random_seed(0)
    inputs = keras.Input(shape)
    y = layers.Conv2D(16, 3, padding="same", activation="relu", name="stem")(inputs)
    left = layers.Conv2D(32, 3, 2, padding="same", activation="relu", name="left")(y)
    right = layers.Conv2D(32, 5, 2, padding="same", activation="relu", name="right")(y)
    y = layers.Conv2D(32, 3, padding="same", activation="relu")(layers.Add()([left, right]))
    return keras.Model(inputs, layers.Dense(10)(layers.GlobalAveragePooling2D()(y)))


def scale_fork(model: Any, spread: float) -> None:
    """Scale the first layer's channels by 1 to `spread`, and the weights that read them."""
    stem = model.get_layer("stem")
    kernel, bias = stem.get_weights()
    scale = np.geomspace(1, spread, len(bias))
    stem.set_weights([kernel * scale, bias * scale])
    for name in ("left", "right"):
        kernel, bias = model.get_layer(name).get_weights()
        model.get_layer(name).set_weights([kernel / scale[:, None], bias])


def compiled(model: Any) -> Any:
    """The model, compiled as it was trained."""
    import keras

    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile("adam", loss, metrics=["accuracy"])
    return model


def exported(
    model: Any,
    data: Any,
    quantization: str,
    max_accuracy_drop: float | None = None,
    **kwargs: Any,
) -> dict[str, Any]:
    """Export a model and report what counts."""
    import tflite_export

    start = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        try:
            report = tflite_export.export(
                model,
                Path(folder) / "model.tflite",
                quantization,
                data.x_train,
                validation_data=(data.x_test, data.y_test),
                max_accuracy_drop=max_accuracy_drop,
                **kwargs,
            )
        except tflite_export.AccuracyDropError as error:
            report = error.report
    return {
        "accuracy": report.accuracy_tflite,
        "keras": report.accuracy_keras,
        "drop": report.accuracy_drop,
        "agreement": report.agreement,
        "bytes": report.bytes,
        "seconds": round(time.perf_counter() - start, 2),
        "remedies": [str(remedy) for remedy in report.remedies],
        "mixed": dict(report.mixed),
    }


def summary(records: list[dict[str, Any]]) -> str:
    """The figures of all networks as text."""
    plain = [record for record in records if "network" in record]
    drops = 100 * np.array([record["drop"] for record in plain])
    lines = [
        f"{len(plain)} networks, int8: median drop {np.median(drops):+.2f} points, mean "
        f"{drops.mean():+.2f}, worst {drops.max():+.2f}; {sum(drops > 100 * LIMIT)} above "
        f"{100 * LIMIT:g}"
    ]
    for record in plain:
        if "mended" in record:
            mended = record["mended"]
            lines.append(
                f"  network {record['network']}: {record['accuracy']:.2%} of "
                f"{record['keras']:.2%}, mended {mended['accuracy']:.2%}: "
                + "; ".join(mended["remedies"])
            )
    for other in OTHERS:
        drops = 100 * np.array([record[other]["drop"] for record in plain])
        ratio = np.median([record[other]["bytes"] / record["bytes"] for record in plain])
        lines.append(
            f"{other}: median drop {np.median(drops):+.2f} points, worst {drops.max():+.2f}, "
            f"{ratio:.2f} of the bytes of int8"
        )
    for record in records:
        if "spread" in record:
            lines.append(
                f"channels scaled by up to {record['spread']}, read by "
                f"{record.get('readers', 1)}: Keras {record['keras']:.2%}, int8 "
                f"{record['accuracy']:.2%} ({record['bytes']:,} bytes)"
            )
            for kind in ("mended", "mended_integer"):
                mended = record[kind]
                lines.append(f"  {kind}: {mended['accuracy']:.2%} ({mended['bytes']:,} bytes)")
                lines += [f"    {remedy}" for remedy in mended["remedies"]]
    return "\n".join(lines)


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=15)
    parser.add_argument("--output", type=Path, default=Path("quantization.jsonl"))
    arguments = parser.parse_args()
    output: Path = arguments.output
    lines = output.read_text().splitlines() if output.exists() else []
    records = [json.loads(line) for line in lines]
    for job in list(jobs(arguments.count))[len(records) :]:
        records.append(measure(job))
        with output.open("a") as file:
            file.write(json.dumps(records[-1]) + "\n")
    print(summary(records))


if __name__ == "__main__":
    main()

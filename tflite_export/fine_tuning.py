"""Fine-tuning a trained model for the integers it will compute with."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np

from tflite_export.calibration import draw
from tflite_export.conversion import check
from tflite_export.fake_quantization import (
    calibrate,
    convert_fake_quantized,
    fake_quantized,
    real,
)
from tflite_export.retraining import check_compiled, compile_like, retrain

__all__ = ["FineTuned", "fine_tune"]


@dataclasses.dataclass(frozen=True)
class FineTuned:
    """What fine-tuning gives.

    Attributes:
        model: The Keras model that rounds as the file does, compiled. It is saved and loaded
            like any other while `tflite_export.fake_quantization` is imported.
        float_model: The learned weights in a compiled model of stock layers that does not
            round, without batch normalisation.
        content: The bytes of the `.tflite` file: int8 activations, and weights of the width
            asked for. It computes what `model` does, to about one step of its output.
        history: Metrics by name, one number an epoch.
        weight_bits: Width of the weights.
    """

    model: keras.Model
    float_model: keras.Model
    content: bytes
    history: dict[str, list[float]]
    weight_bits: int


def fine_tune(
    model: keras.Model,
    train_data: Any,
    *,
    epochs: int = 10,
    learning_rate: float = 1e-3,
    weight_bits: int = 8,
    batch_size: int = 64,
    validation_data: Any = None,
    num_calibration: int = 256,
    seed: int | None = 0,
    callbacks: Sequence[keras.callbacks.Callback] = (),
    verbose: int = 0,
) -> FineTuned:
    """Train a model on with the rounding of its integer file, and make that file.

    The model is rebuilt so that it rounds weights and activations as the file will
    (`fake_quantized`), its ranges are set by a sample of the data, and it is trained on by
    its own loss. What quantization costs is then part of the loss, and the weights move to
    where it costs less. Ranges of activations go into the file as they were learned.

    It pays where plain quantization costs accuracy: with weights of 4 bits, and in networks
    whose channels differ much in scale. Elsewhere it changes little.

    Args:
        model: A trained, compiled model as `fold` takes it. It is not changed.
        train_data: A `tf.data.Dataset`, batched or not, or NumPy arrays; of `(x, y)`, `(x, y,
            weights)` or a TFDS dictionary such as `{"image": x, "label": y}`. Augmented data
            is welcome.
        epochs: Passes over the data. A tenth of the original training is usual. More recovers
            more, and can overfit; 0 only quantizes.
        learning_rate: Of Adam in the first epoch; it falls to zero along a cosine. Kernels
            are trained relative to their own magnitude, so that it needs little tuning.
            Higher adapts faster, and forgets faster.
        weight_bits: 8, or 4 for half the bytes at coarser weights.
        batch_size: Examples a step, of data that comes without batches.
        validation_data: As `train_data`; judged on after each epoch.
        num_calibration: How many inputs set the first ranges of activations.
        seed: Seeds the order of the examples and the sample. `None` draws fresh entropy.
        callbacks: Passed on to `fit`.
        verbose: Passed on to `fit`.

    Returns:
        The fine-tuned model, its float form and its file.

    Raises:
        ValueError: If the model is not compiled, or not made of layers that have an integer
            form; if an argument or the data does not fit. Said before any training.
        TypeError: If `model` is not a Keras model, or the data of no known form.

    Example:

    ```python
    tuned = tflite_export.fine_tune(model, train_ds, epochs=5, weight_bits=4)
    pathlib.Path("flowers.tflite").write_bytes(tuned.content)
    tuned.model.evaluate(test_ds)  # what the file will get
    ```

    Reference:
        Jacob et al., "Quantization and Training of Neural Networks for Efficient
        Integer-Arithmetic-Only Inference", CVPR 2018, https://arxiv.org/abs/1712.05877.
        Unlike the paper, batch normalisation is folded before, with the statistics of the
        whole training.
    """
    check_compiled(model)
    check(model, "float32", None)
    if epochs < 0:
        raise ValueError(
            f"epochs must not be negative. Received: epochs={epochs}. 5 to 20 are usual; 0 "
            "quantizes without training."
        )
    rounding = fake_quantized(model, weight_bits)
    sample = draw(train_data, tuple(model.input_shape[1:]), num_calibration, seed)
    calibrate(rounding, np.asarray(sample.inputs))
    history = retrain(
        rounding,
        model,
        train_data,
        epochs=epochs,
        learning_rate=learning_rate,
        batch_size=batch_size,
        validation_data=validation_data,
        seed=seed,
        callbacks=callbacks,
        verbose=verbose,
    )
    float_model = real(rounding, model)
    compile_like(float_model, model, keras.optimizers.Adam(learning_rate))
    content = convert_fake_quantized(rounding)
    return FineTuned(rounding, float_model, content, history, weight_bits)

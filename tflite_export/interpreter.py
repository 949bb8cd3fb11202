"""What a `.tflite` file computes, by the LiteRT interpreter."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from ai_edge_litert.interpreter import Interpreter
from numpy.typing import NDArray

from edge_devices.inputs import Given, as_inputs, by_name, count, input_names
from edge_devices.source import Source, content_of
from tflite_export.silence import silence

__all__ = ["TFLiteModel", "TensorInfo", "run"]

Array = NDArray[Any]


@dataclass(frozen=True)
class TensorInfo:
    """An input or output of a file.

    A quantized value `q` stands for the real number `(q - zero_point) * scale`.

    Attributes:
        name: Its name in the file.
        dtype: NumPy's name of its type.
        shape: Its shape with the batch, which is 1.
        scale: Width of one quantization step; `None` if it is not quantized.
        zero_point: The quantized value that stands for 0; `None` if it is not quantized.
    """

    name: str
    dtype: str
    shape: tuple[int, ...]
    scale: float | None
    zero_point: int | None

    def __str__(self) -> str:
        text = f"{self.dtype} {self.shape}"
        if self.scale is None:
            return text
        return f"{text}, scale {self.scale:.6g}, zero point {self.zero_point}"


class TFLiteModel:
    """A `.tflite` file that takes and returns real numbers, whatever is inside.

    Inputs are quantized, outputs dequantized, by the file's own scales and zero points. One
    example at a time is run, on one thread, as a device would.

    Args:
        source: Path or bytes of a file with one output.

    Attributes:
        input: What the file takes; of several inputs a dictionary, `inputs`.
        inputs: The same by the names of the file's signature, in the order of the file.
        output: What it returns.

    Raises:
        ValueError: If it is not a `.tflite` file, or has several outputs.
    """

    def __init__(self, source: Source) -> None:
        content = content_of(source)
        with silence():
            self._interpreter = Interpreter(model_content=content, num_threads=1)
            self._interpreter.allocate_tensors()
        inputs = self._interpreter.get_input_details()
        outputs = self._interpreter.get_output_details()
        if len(outputs) != 1:
            raise ValueError(
                "Files with several outputs are not supported yet. Received: "
                f"{len(outputs)} outputs. Use "
                "`ai_edge_litert.interpreter.Interpreter` for this one."
            )
        names = input_names(content)
        self.inputs = dict(zip(names, map(_info, inputs), strict=True))
        self.input = only(self.inputs)
        self._positions = {
            name: details["index"] for name, details in zip(names, inputs, strict=True)
        }
        self._output_index, self.output = outputs[0]["index"], _info(outputs[0])

    def predict(self, x: Given) -> NDArray[np.float32]:
        """Run a batch of examples, one after another.

        Args:
            x: Real (not quantized) inputs, `(n, *input.shape[1:])`; of several inputs an
                array for each, by name.

        Returns:
            Real outputs, `(n, *output.shape[1:])`.

        Raises:
            ValueError: If the examples have another shape than the file's input, or inputs
                are missing.
        """
        given = by_name(as_inputs(x), self.inputs)
        for name, array in given.items():
            info = self.inputs[name]
            if array.shape[1:] != info.shape[1:]:
                called = f"Inputs {name!r}" if len(given) > 1 else "Inputs"
                raise ValueError(
                    f"{called} must have shape {('n', *info.shape[1:])}. "
                    f"Received: shape {array.shape}. Reshape them, or add the batch axis with "
                    "`x[None]`."
                )
        fed = [(self._positions[k], self.inputs[k], array) for k, array in given.items()]
        results = np.empty((count(given), *self.output.shape[1:]), np.float32)
        for i in range(len(results)):
            for index, info, array in fed:
                self._interpreter.set_tensor(index, _quantized(array[i : i + 1], info))
            self._interpreter.invoke()
            raw = self._interpreter.get_tensor(self._output_index)
            results[i] = _dequantized(raw, self.output)[0]
        return results


def run(source: Source, x: Given) -> NDArray[np.float32]:
    """Run a file once over a batch of examples: `TFLiteModel(source).predict(x)`."""
    return TFLiteModel(source).predict(x)


def only(infos: Mapping[str, TensorInfo]) -> TensorInfo | Mapping[str, TensorInfo]:
    """The input where there is one, else all of them by name."""
    return next(iter(infos.values())) if len(infos) == 1 else infos


def _info(details: dict[str, Any]) -> TensorInfo:
    scale, zero_point = details["quantization"]
    quantized = scale != 0.0
    return TensorInfo(
        name=details["name"],
        dtype=np.dtype(details["dtype"]).name,
        shape=tuple(int(size) for size in details["shape"]),
        scale=float(scale) if quantized else None,
        zero_point=int(zero_point) if quantized else None,
    )


def _quantized(real: Array, info: TensorInfo) -> Array:
    if info.scale is None or info.zero_point is None:
        return real.astype(info.dtype)
    limits = np.iinfo(info.dtype)
    steps = np.round(real.astype(np.float32) / np.float32(info.scale)) + info.zero_point
    clipped: Array = np.clip(steps, limits.min, limits.max)
    return clipped.astype(info.dtype)


def _dequantized(raw: Array, info: TensorInfo) -> Array:
    if info.scale is None or info.zero_point is None:
        return raw
    real: Array = (raw.astype(np.float32) - info.zero_point) * np.float32(info.scale)
    return real

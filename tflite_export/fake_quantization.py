"""Models that compute in float what their integer file will compute."""

from __future__ import annotations

import contextvars
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from keras import layers, ops
from numpy.typing import ArrayLike, NDArray

from tflite_export.compaction import compact as compacted
from tflite_export.conversion import check
from tflite_export.folding import add_bias, folded
from tflite_export.inspection import floating_operators
from tflite_export.layer_graph import LayerGraph, Step, call
from tflite_export.silence import silence

__all__ = [
    "WEIGHT_BITS",
    "ActivationRange",
    "FakeQuantizedConv2D",
    "FakeQuantizedDense",
    "FakeQuantizedDepthwiseConv2D",
    "calibrate",
    "convert_fake_quantized",
    "fake_quantized",
    "real",
]

Array = NDArray[Any]

WEIGHT_BITS = (4, 8)
"""Widths of weights that files can hold."""

# The converter wants plain rounding: the file's own kernels will round in their way.
_converting = contextvars.ContextVar("_converting", default=False)

_ACTIVATION_BITS = 8
_MOMENTUM = 0.95
_LEAST_RANGE = 1e-3
_CALIBRATION_BATCH = 32

# What TensorFlow Lite prescribes for the outputs of these: steps of 1/256 and 1/128.
_PRESCRIBED = {
    "sigmoid": (0.0, 255 / 256),
    "softmax": (0.0, 255 / 256),
    "tanh": (-1.0, 127 / 128),
}
_FUSED = ("relu", "relu6")
_ACTIVATIONS = (*_FUSED, *_PRESCRIBED, "hard_sigmoid", "hard_silu", "leaky_relu", "silu")
_ALIASES = {"hard_swish": "hard_silu", "swish": "silu"}
# Their outputs are among their inputs, so they are on the same grid.
_SELECTING = (
    layers.Cropping2D,
    layers.Flatten,
    layers.GlobalMaxPooling2D,
    layers.MaxPooling2D,
    layers.Permute,
    layers.Reshape,
    layers.ZeroPadding2D,
)
_WEIGHTED = (layers.Conv2D, layers.DepthwiseConv2D, layers.Dense)
# Operators that clip their outputs themselves, at no cost.
_FUSING = (*_WEIGHTED, layers.Add, layers.Multiply, layers.Subtract)
_COMPUTING = (
    *_FUSING,
    layers.Activation,
    layers.AveragePooling2D,
    layers.Concatenate,
    layers.GlobalAveragePooling2D,
    layers.InputLayer,
    layers.LeakyReLU,
    layers.Rescaling,
)


def fake_quantized(model: keras.Model, weight_bits: int = 8) -> keras.Model:
    """Rebuild a model so that it rounds where its integer file will.

    Batch normalisation is folded (`fold`), activations are merged into the operators that
    apply them for nothing, and hard sigmoid, SiLU and rescalings are spelt out as the
    operators they become. Weights are rounded to `weight_bits`, symmetrically, for each
    output channel of convolutions and the whole kernel of dense layers. The input and the
    output of every operator are rounded to 8 bits over a range that training observes.

    Rounding passes gradients on as if it were not there, but for values out of range, which
    get none.

    Args:
        model: A trained model as `fold` takes it. It is not changed.
        weight_bits: 8, or 4 for half the bytes and coarser weights.

    Returns:
        An uncompiled model whose ranges are not set yet: `calibrate` it.

    Raises:
        ValueError: If `weight_bits` is neither, or layers have no such form. They are named.
        TypeError: If `model` is not a Keras model.

    Reference:
        Jacob et al., "Quantization and Training of Neural Networks for Efficient
        Integer-Arithmetic-Only Inference", CVPR 2018, https://arxiv.org/abs/1712.05877.
        Unlike the paper, batch normalisation is folded once, before, and kernels are trained
        relative to their own magnitude, so that folding does not change the learning rate.
    """
    if weight_bits not in WEIGHT_BITS:
        raise ValueError(
            f"weight_bits must be 4 or 8. Received: weight_bits={weight_bits!r}. Weights of "
            "other widths are not stored by TensorFlow Lite."
        )
    graph = _spelt_out(folded(model))
    _refuse_unknown(graph)
    return graph.build(_Builder(graph, weight_bits))


def calibrate(model: keras.Model, inputs: ArrayLike) -> None:
    """Set the ranges of a fake-quantized model by what it computes; weights stay.

    Args:
        model: From `fake_quantized`.
        inputs: Typical inputs `(n, ...)`, about 100.
    """
    samples = np.asarray(inputs)
    for start in range(0, len(samples), _CALIBRATION_BATCH):
        model(samples[start : start + _CALIBRATION_BATCH], training=True)


def convert_fake_quantized(model: keras.Model, *, compact: bool = True) -> bytes:
    """Convert a fake-quantized model to the integer file it stands for.

    Args:
        model: From `fake_quantized`, calibrated or trained.
        compact: As in `convert`.

    Returns:
        The content of a file with int8 activations and weights of the model's width.

    Raises:
        ValueError: If the model is not calibrated, or an operator has no integer form.
        TypeError: If `model` is not a Keras model.
    """
    specs = check(model, "float32", None)
    ranges = [layer for layer in model.layers if isinstance(layer, ActivationRange)]
    unset = [layer.name for layer in ranges if not layer.is_set]
    if unset or not ranges:
        raise ValueError(
            "The model must be fake-quantized and calibrated. Received: model="
            f"{model.name!r} with {f'no range in {unset[0]!r}' if unset else 'no ranges'}. "
            "Call `calibrate(fake_quantized(model), inputs)`."
        )
    values = [(variable, _uneven(variable.value.numpy())) for variable in model.variables]

    def serve(x: Any) -> dict[str, Any]:
        # The converter takes ranges from constants only.
        constants = [(variable, tf.constant(value)) for variable, value in values]
        token = _converting.set(True)
        try:
            with keras.StatelessScope(state_mapping=constants):
                return {"output": model(x, training=False)}
        finally:
            _converting.reset(token)

    function = tf.function(serve, input_signature=list(specs.values()), autograph=False)
    with silence():
        converter = tf.lite.TFLiteConverter.from_concrete_functions(
            [function.get_concrete_function()], tf.Module()
        )
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        converter.inference_input_type = converter.inference_output_type = tf.int8
        content = bytes(converter.convert())
    floating = floating_operators(content)
    if floating:
        raise ValueError(
            "TensorFlow Lite keeps some operators of the model in float. Received: model="
            f"{model.name!r} with {', '.join(f'{op} ({at})' for op, at in floating)}. Use "
            "other layers there."
        )
    return compacted(content) if compact else content


def real(model: keras.Model, original: keras.Model) -> keras.Model:
    """The float model with the weights that a fake-quantized one has learned.

    Args:
        model: From `fake_quantized(original)`, trained since.
        original: The model it was made of.

    Returns:
        A functional model of stock layers, uncompiled, without rounding and batch
        normalisation; its layers are the operators of the file.
    """
    graph = _spelt_out(folded(original))
    for step in graph:
        if step.is_a(*_WEIGHTED):
            kernel, bias, magnitude = model.get_layer(step.name).get_weights()
            step.weights = [kernel * magnitude, bias]
    return graph.build()


@keras.saving.register_keras_serializable(package="tflite_export")
class ActivationRange(layers.Layer):
    """Rounds activations to 8 bits over a range that it observes while training.

    The range is the mean of the least and the largest value of the batches seen, the latest
    counting more (an exponential average once there are many). It always contains zero,
    which is then exact. The layer returns the rounded activations, and the width of a step
    for those that compute with them.

    Args:
        prescribed: A range that stays, `(least, largest)`; `None` to observe it.
        **kwargs: As in `keras.layers.Layer`.
    """

    def __init__(
        self,
        prescribed: tuple[float, float] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.prescribed = None if prescribed is None else tuple(prescribed)

    def build(self, input_shape: Any) -> None:
        least, largest = self.prescribed or (0.0, 0.0)
        self.least = self._constant("least", least)
        self.largest = self._constant("largest", largest)
        self.batches = self._constant("batches", float(self.prescribed is not None))
        self.built = True

    @property
    def is_set(self) -> bool:
        """Whether it has seen a batch, or its range is prescribed."""
        return float(ops.convert_to_numpy(self.batches)) > 0

    def call(
        self,
        inputs: Any,
        unit: Any = None,
        gated: Any = None,
        gated_step: Any = None,
        training: bool | None = None,
        observe: bool = True,
    ) -> Any:
        """Round, having widened the range by what is seen where that is asked for.

        Args:
            inputs: Activations.
            unit: Unit of the sums that they are, if the kernel rounds these twice.
            gated: The input of the hard SiLU whose outputs they are, if they are.
            gated_step: Width of a step of it.
            training: Whether the range follows what is seen.
            observe: `False` leaves the range alone: it is another tensor's.

        Returns:
            The rounded activations, and the width of a step.
        """
        x = ops.cast(inputs, "float32")
        if training and observe and self.prescribed is None:
            rate = ops.maximum(1 - _MOMENTUM, 1 / (self.batches + 1))
            least = ops.minimum(ops.min(x), 0.0)
            largest = ops.maximum(ops.max(x), least + _LEAST_RANGE)
            self.least.assign(self.least + rate * (least - self.least))
            self.largest.assign(
                self.largest + rate * (ops.maximum(largest, 0.0) - self.largest)
            )
            self.batches.assign(self.batches + 1)
        step = (self.largest - self.least) / (2**_ACTIVATION_BITS - 1)
        if not _converting.get():
            if unit is not None:
                x = x + ops.stop_gradient(_rounded_twice(x, unit, step) - x)
            if gated is not None:
                x = x + ops.stop_gradient(_hard_silu(gated, gated_step, step) - x)
        rounded = keras.quantizers.fake_quant_with_min_max_vars(
            x, self.least, self.largest, num_bits=_ACTIVATION_BITS
        )
        return rounded, step

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "prescribed": self.prescribed}

    def _constant(self, name: str, value: float) -> Any:
        return self.add_weight(
            name=name,
            shape=(),
            initializer=keras.initializers.Constant(value),
            trainable=False,
        )


class _Rounded:
    """What layers with fake-quantized kernels share.

    The kernel that is trained is the real one over `magnitude`, its root mean square in each
    output channel relative to that of a fresh kernel. An optimizer's steps are then in
    proportion to the weights, whatever folding has made of these.
    """

    channel_axis: int | None = None
    kernel: Any
    bias: Any
    activation: Any
    strides: Any
    padding: Any
    dilation_rate: Any
    data_format: Any

    def __init__(self, *args: Any, weight_bits: int = 8, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.weight_bits = weight_bits

    def build(self, input_shape: Any) -> None:
        super().build(input_shape)  # type: ignore[misc]
        self.magnitude = self.add_weight(  # type: ignore[attr-defined]
            name="magnitude",
            shape=_magnitude_shape(self.kernel.shape, self.channel_axis),
            initializer="ones",
            trainable=False,
        )

    def compute_output_shape(self, input_shape: Any) -> Any:
        shape = super().compute_output_shape(input_shape)  # type: ignore[misc]
        return shape, () if self.channel_axis is None else (shape[-1],)

    def rounded(self, step: Any) -> tuple[Any, Any, Any]:
        """Kernel and bias as the file has them, and the unit of its sums.

        The file sums integers that count products of a step of the input and a step of the
        weights. The bias is one of them; these units are large for weights of 4 bits.

        Args:
            step: Width of a step of the input.
        """
        kernel = self.kernel * self.magnitude
        axis = self.channel_axis
        others = None if axis is None else [i for i in range(kernel.ndim) if i != axis]
        bound = ops.maximum(ops.max(ops.abs(ops.stop_gradient(kernel)), axis=others), 1e-8)
        rounded = keras.quantizers.fake_quant_with_min_max_vars(
            kernel, -bound, bound, self.weight_bits, narrow_range=True, axis=axis
        )
        unit = ops.stop_gradient(step * bound / (2 ** (self.weight_bits - 1) - 1))
        counted = ops.round(self.bias / unit) * unit
        return rounded, self.bias + ops.stop_gradient(counted - self.bias), unit

    def convolved(self, convolve: Any, inputs: Any, step: Any) -> Any:
        """The outputs of a convolution with rounded weights, and the unit of its sums."""
        kernel, bias, unit = self.rounded(step)
        outputs = convolve(
            inputs,
            kernel,
            strides=self.strides,
            padding=self.padding,
            dilation_rate=self.dilation_rate,
            data_format=self.data_format,
        )
        return self.activation(outputs + bias), unit

    # Keras' own layers save what they know of by position; this saves all there is.

    def save_own_variables(self, store: Any) -> None:
        layers.Layer.save_own_variables(self, store)

    def load_own_variables(self, store: Any) -> None:
        layers.Layer.load_own_variables(self, store)

    def get_config(self) -> dict[str, Any]:
        config = super().get_config()  # type: ignore[misc]
        return {**config, "weight_bits": self.weight_bits}


@keras.saving.register_keras_serializable(package="tflite_export")
class FakeQuantizedConv2D(_Rounded, layers.Conv2D):
    """`keras.layers.Conv2D` with weights rounded for each output channel.

    Args:
        *args: As in `keras.layers.Conv2D`.
        weight_bits: 4 or 8.
        **kwargs: As in `keras.layers.Conv2D`.
    """

    channel_axis = 3

    def call(self, inputs: Any, step: Any) -> Any:
        return self.convolved(ops.conv, inputs, step)


@keras.saving.register_keras_serializable(package="tflite_export")
class FakeQuantizedDepthwiseConv2D(_Rounded, layers.DepthwiseConv2D):
    """`keras.layers.DepthwiseConv2D` with weights rounded for each channel.

    Args:
        *args: As in `keras.layers.DepthwiseConv2D`.
        weight_bits: 4 or 8.
        **kwargs: As in `keras.layers.DepthwiseConv2D`.
    """

    channel_axis = 2

    def call(self, inputs: Any, step: Any) -> Any:
        return self.convolved(ops.depthwise_conv, inputs, step)


@keras.saving.register_keras_serializable(package="tflite_export")
class FakeQuantizedDense(_Rounded, layers.Dense):
    """`keras.layers.Dense` with weights rounded over the whole kernel.

    TensorFlow Lite's converter transposes dense kernels and cannot take ranges along.

    Args:
        *args: As in `keras.layers.Dense`.
        weight_bits: 4 or 8.
        **kwargs: As in `keras.layers.Dense`.
    """

    def call(self, inputs: Any, step: Any, training: bool | None = None) -> Any:
        kernel, bias, unit = self.rounded(step)
        return self.activation(ops.matmul(inputs, kernel) + bias), unit


_ROUNDED: dict[type, Any] = {
    layers.Conv2D: FakeQuantizedConv2D,
    layers.DepthwiseConv2D: FakeQuantizedDepthwiseConv2D,
    layers.Dense: FakeQuantizedDense,
}


class _Builder:
    """Makes the fake-quantized layer of a step, and the range of its output."""

    def __init__(self, graph: LayerGraph, weight_bits: int) -> None:
        self._graph = graph
        self._weight_bits = weight_bits
        self._ranges: dict[int, ActivationRange] = {}
        self._steps: dict[int, Any] = {}
        self._units: dict[int, Any] = {}

    def __call__(self, step: Step, inputs: list[Any]) -> Any:
        outputs = self._layer(step, inputs)
        reader = self._graph.only_reader(step)
        if step.is_a(*_FUSING) and _clips(reader):
            return outputs
        shared = step.is_a(*_SELECTING, layers.AveragePooling2D)
        if shared:
            layer = self._ranges[id(step.inputs[0])]
        else:
            name = f"{step.name}_range"
            layer = ActivationRange(_PRESCRIBED.get(_function(step) or ""), name=name)
        self._ranges[id(step)] = layer
        if step.is_a(*_SELECTING):
            self._steps[id(step)] = self._steps[id(step.inputs[0])]
            return outputs
        # The integer mean of a window is rounded to the grid of its inputs.
        known: dict[str, Any] = {"observe": not shared, "unit": self._units.get(id(step))}
        if _function(step) == "hard_silu":
            known |= {"gated": inputs[0], "gated_step": self._steps[id(step.inputs[0])]}
        outputs, self._steps[id(step)] = layer(outputs, **known)
        return outputs

    def _layer(self, step: Step, inputs: list[Any]) -> Any:
        kind = _ROUNDED.get(step.kind)
        if kind is None:
            return call(step, inputs)
        layer = kind.from_config({**step.config, "weight_bits": self._weight_bits})
        outputs, unit = layer(inputs[0], step=self._steps[id(step.inputs[0])])
        if self._weight_bits < _ACTIVATION_BITS and not step.is_a(layers.Dense):
            self._units[id(step)] = unit
        kernel, bias = step.weights
        magnitude = _magnitude(kernel, layer.channel_axis)
        # Weights come in the order in which they are trained; those that are not come last.
        layer.set_weights([kernel / magnitude, bias, magnitude])
        return outputs


def _spelt_out(graph: LayerGraph) -> LayerGraph:
    """Rewrite the layers as the operators of the file, their activations as fused ones."""
    for step in graph:
        if step.kind is layers.ReLU:
            _plain_relu(step)
        elif step.kind is layers.Softmax and step.config["axis"] in (-1, len(step.shape)):
            _become_activation(step, "softmax")
    for step in graph:
        if step.is_a(*_WEIGHTED):
            add_bias(step)
            function = _function(step)
            if function not in (None, *_FUSED):
                graph.insert_after(
                    step,
                    layers.Activation,
                    name=f"{step.name}_activation",
                    activation=step.config["activation"],
                )
                step.config["activation"] = "linear"
    for step in graph:
        if step.is_a(layers.Activation):
            spelling = _SPELLINGS.get(_function(step) or "linear")
            if spelling is not None:
                spelling(graph, step)
    for step in graph:
        if step.is_a(layers.Rescaling):
            _split_rescaling(graph, step)
    for step in graph:
        if _clips(step):
            (source,) = step.inputs
            if source.is_a(*_WEIGHTED) and graph.only_reader(source) is step:
                source.config["activation"] = _function(step)
                graph.remove(step)
    return graph


def _drop(graph: LayerGraph, step: Step) -> None:
    graph.remove(step)


def _spell_hard_sigmoid(graph: LayerGraph, step: Step) -> None:
    """`relu6(x + 3) / 6`, the sum in the bias of what comes before where that is possible."""
    (source,) = step.inputs
    absorbs = source.is_a(*_WEIGHTED) and _function(source) is None
    if absorbs and graph.only_reader(source) is step:
        source.weights[-1] = source.weights[-1] + 3.0
    else:
        shifted = Step(
            layers.Rescaling,
            {"name": graph.free_name(f"{step.name}_shift"), "scale": 1.0, "offset": 3.0},
            [],
            [source],
            step.shape,
        )
        graph.steps.insert(graph.steps.index(step), shifted)
        step.inputs = [shifted]
    _become_activation(step, "relu6")
    graph.insert_after(
        step, layers.Rescaling, name=f"{step.name}_scale", scale=1 / 6, offset=0.0
    )


def _spell_silu(graph: LayerGraph, step: Step) -> None:
    """`x * sigmoid(x)`."""
    (source,) = step.inputs
    gate = Step(
        layers.Activation,
        {"name": graph.free_name(f"{step.name}_gate"), "activation": "sigmoid"},
        [],
        [source],
        step.shape,
    )
    graph.steps.insert(graph.steps.index(step), gate)
    step.kind, step.inputs = layers.Multiply, [source, gate]
    step.config = {"name": step.name}


_SPELLINGS: dict[str, Callable[[LayerGraph, Step], None]] = {
    "linear": _drop,
    "hard_sigmoid": _spell_hard_sigmoid,
    "silu": _spell_silu,
}


def _split_rescaling(graph: LayerGraph, step: Step) -> None:
    """A product and a sum: two operators, two ranges."""
    scale, offset = (np.asarray(step.config[key]) for key in ("scale", "offset"))
    if np.any(scale != 1) and np.any(offset):
        graph.insert_after(
            step,
            layers.Rescaling,
            name=f"{step.name}_offset",
            scale=1.0,
            offset=step.config["offset"],
        )
        step.config["offset"] = 0.0


def _plain_relu(step: Step) -> None:
    config = step.config
    if config["threshold"]:
        return
    if config["negative_slope"]:
        if config["max_value"] is None:
            step.kind = layers.LeakyReLU
            step.config = {"name": step.name, "negative_slope": config["negative_slope"]}
    elif config["max_value"] in (None, 6.0):
        _become_activation(step, "relu" if config["max_value"] is None else "relu6")


def _become_activation(step: Step, function: str) -> None:
    step.kind = layers.Activation
    step.config = {"name": step.name, "activation": function}


def _function(step: Step) -> str | None:
    """Name of the activation of a step; `None` without one."""
    activation = step.config.get("activation")
    if activation is None:
        return None
    if not isinstance(activation, str):
        activation = keras.activations.serialize(keras.activations.get(activation))
    name = str(activation)
    name = _ALIASES.get(name, name)
    return None if name == "linear" else name


def _clips(step: Step | None) -> bool:
    return step is not None and step.is_a(layers.Activation) and _function(step) in _FUSED


def _refuse_unknown(graph: LayerGraph) -> None:
    unknown = [step for step in graph if not _known(step)]
    if unknown:
        raise ValueError(
            "Fine-tuning for integers knows convolutions, dense layers, pooling, sums, "
            f"products, and the activations {', '.join(_ACTIVATIONS)}. Received: model="
            f"{graph.name!r} with {', '.join(map(str, unknown))}. Use those, or keep these "
            "layers at 16 bit or in float."
        )


def _known(step: Step) -> bool:
    if step.is_a(*_WEIGHTED):
        options = ("groups", "depth_multiplier")
        return step.kind in _ROUNDED and all(step.config.get(k, 1) == 1 for k in options)
    function = _function(step)
    if step.kind is layers.Activation and function not in _ACTIVATIONS:
        return False
    return step.kind in (*_COMPUTING, *_SELECTING)


def _uneven(value: Array) -> Array:
    """A vector of equal numbers with the last one a hair larger.

    The converter (TensorFlow 2.21) would quantize a bias of equal numbers by the scale of the
    first channel for all channels.
    """
    if value.ndim == 1 and value.size > 1 and value[0] and np.all(value == value[0]):
        value = value.copy()
        value[-1] = np.nextafter(value[-1], np.float32(np.inf))
    return value


def _rounded_twice(x: Any, unit: Any, step: Any) -> Any:
    """Round as LiteRT's kernels for convolutions with weights of 4 bits do.

    A sum is multiplied by a number from 1/2 to 1 and rounded, then divided by a power of two
    and rounded again, halves upwards. The first grid is as coarse as a quarter or an eighth
    of a step with such weights: 7/16 becomes 1/2 becomes 1. Dense layers round once. (Left
    out: depthwise convolutions round negative halves down in the last `channels % 8`.)

    Args:
        x: Sums as real numbers `(..., channels)`.
        unit: What a sum of 1 stands for, `(channels,)` or `()`.
        step: What a step of the output stands for.
    """
    # The smallest power of two above the multiplier, at most 1.
    exponent = ops.floor(ops.log2(unit / step)) + 1
    coarse = ops.power(2.0, ops.minimum(exponent, 0.0))
    return ops.floor(ops.floor(x / (step * coarse) + 0.5) * coarse + 0.5) * step


def _hard_silu(x: Any, step: Any, written: Any) -> Any:
    """Hard SiLU in the 16-bit arithmetic of TensorFlow Lite's integer kernel.

    Args:
        x: Its input, rounded.
        step: Width of a step of the input.
        written: Width of a step of the output.
    """
    fine = ops.cast(ops.round(x / step), "int32") * 128
    scaled, exponent = _multiplier(step / 128 / written)
    numerator = _high_product(fine, scaled)
    # The gate, relu6(x + 3) / 6: a fraction of 32768 from one of 3 / 32768.
    scaled, shift = _multiplier(step / 128 * (32768 / 3))
    left = ops.cast(ops.power(2.0, ops.maximum(shift - 1, 0.0)), "int32")
    gate = _high_product(_saturated(fine * left), scaled)
    gate = _saturated(gate * ops.where(shift > 0, 2, 1))
    gate = _away_from_zero(ops.cast(gate, "float32") * ops.power(2.0, ops.minimum(shift, 0.0)))
    gate = ops.floor_divide(ops.cast(gate, "int32") + 32768, 2)
    product = gate * numerator
    product = ops.sign(product) * ops.floor_divide(ops.abs(product), 32768)
    return _away_from_zero(ops.cast(product, "float32") * ops.power(2.0, exponent)) * written


def _multiplier(value: Any) -> tuple[Any, Any]:
    """A number as a fraction of 32768 from a half to one, and a power of two."""
    exponent = ops.floor(ops.log2(value)) + 1
    fraction = ops.round(value * ops.power(2.0, -exponent) * 32768)
    return ops.cast(ops.minimum(fraction, 32767.0), "int32"), exponent


def _high_product(a: Any, b: Any) -> Any:
    """The product over 32768, rounded away from zero where it is halfway."""
    product = a * b
    return ops.sign(product) * ops.floor_divide(ops.abs(product) + 16384, 32768)


def _saturated(x: Any) -> Any:
    return ops.clip(x, -32768, 32767)


def _away_from_zero(x: Any) -> Any:
    return ops.sign(x) * ops.floor(ops.abs(x) + 0.5)


def _magnitude_shape(shape: Any, axis: int | None) -> tuple[int, ...]:
    return tuple(size if i == axis else 1 for i, size in enumerate(shape))


def _magnitude(kernel: Array, axis: int | None) -> Array:
    """Root mean square of a kernel over that of a fresh one, one for each output channel."""
    others = tuple(i for i in range(kernel.ndim) if i != axis)
    root = np.sqrt(np.mean(np.square(kernel), axis=others, keepdims=True))
    fan_in = kernel[..., 0].size if axis != 2 else kernel[..., 0, 0].size
    magnitude = root * np.sqrt(fan_in)
    return np.where(magnitude > 0, magnitude, 1.0).astype(np.float32)

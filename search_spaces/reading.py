"""From a Keras model to a description: the inverse of `realise`, for stock layers."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import keras
import numpy as np

from search_spaces import blocks
from search_spaces.network import Network, Node, freeze, input_node, input_nodes, layer
from search_spaces.operations import Size, single
from search_spaces.realise import sinusoid

__all__ = ["read"]

Config = Mapping[str, Any]


def read(model: keras.Model) -> Network:
    """Describe a Keras model, so that its costs are known without converting it.

    Functional and `Sequential` models of stock layers are read, nested ones too; sums and
    products written with `+` and `*` are layers like others. What only matters in training
    (initial weights, regularisers, noise, augmentation, momentum) is not described, and
    activations become layers of their own: `read(realise(network)) == network`.

    | read                                                     | with                        |
    |----------------------------------------------------------|-----------------------------|
    | `Conv2D`, `DepthwiseConv2D`, `SeparableConv2D`           | no groups                   |
    | `Dense`, `BatchNormalization`, `LayerNormalization`      | the last axis               |
    | `Rescaling`                                              | numbers, one a channel, or  |
    |                                                          | the encoding of positions   |
    | `MaxPooling2D`, `AveragePooling2D`, `ZeroPadding2D`      |                             |
    | `Cropping2D`, `UpSampling2D`, `Resizing`                 | nearest or bilinear         |
    | `GlobalAveragePooling1D`, `GlobalAveragePooling2D`       |                             |
    | `Flatten`, `Reshape`                                     |                             |
    | `Embedding`                                              | whole numbers, no mask      |
    | `EinsumDense`                                            | learned positions           |
    | `MultiHeadAttention`                                     | of a sequence to itself     |
    | `GRU`, `LSTM`, `Bidirectional`                           | Keras' defaults             |
    | `Activation`, `ReLU`, `LeakyReLU`, `ELU`, `Softmax`      | functions Keras has by name |
    | `Add`, `Multiply`, `Concatenate`, `Dropout` and the like |                             |

    Args:
        model: A built model with inputs of known shape and one output, channels last. Several
            inputs are described by their names.

    Returns:
        The description. `realise` makes an equal model of it, with other names of layers.

    Raises:
        ValueError: If the model is built otherwise or has layers that a description does not
            know; all of them are named.
        TypeError: If it is no Keras model.
    """
    if not isinstance(model, keras.Model):
        raise TypeError(
            f"Only Keras models can be described. Received: {type(model).__name__}. Load a "
            "saved one with `keras.models.load_model(path)`."
        )
    if problems := list(_problems(model)):
        raise ValueError(
            "Only functional and Sequential models of layers that a description knows can be "
            f"read. Received: model={model.name!r} with {'; '.join(problems)}. Use other "
            "layers there, or convert the model and measure the file: "
            "`edge_devices.flatbuffer.read(tflite_export.convert(model, ...))`."
        )
    for tensor in model.inputs:
        if None in tensor.shape[1:]:
            raise ValueError(
                f"A description has fixed shapes. Received: model={model.name!r} with input "
                f"shape {tuple(tensor.shape)}. Rebuild it with `keras.Input` of the full "
                "shape."
            )
    return freeze(_follow(model.get_config(), _starts(model.inputs)))


def _starts(tensors: Sequence[Any]) -> list[Node]:
    """A node for each input of a model."""
    kinds = ["int32" if str(x.dtype).startswith("int") else "float32" for x in tensors]
    if len(tensors) == 1:
        return [input_node(tensors[0].shape[1:], kinds[0])]
    names = [x.name for x in tensors]
    shapes = {x.name: x.shape[1:] for x in tensors}
    nodes = input_nodes(shapes, dict(zip(names, kinds, strict=True)))
    return [nodes[name] for name in names]


def _problems(model: keras.Model) -> Iterator[str]:
    """What of a model cannot be described, in words."""
    if type(model).__module__.split(".")[0] != "keras":
        yield f"a class of its own, {type(model).__name__}"
    elif not getattr(model, "inputs", None):
        yield "an input that is not known yet"
    elif len(model.outputs) > 1:
        yield f"{len(model.outputs)} outputs"
    else:
        for part in model.layers:
            if type(part).__module__.split(".")[0] != "keras":
                yield f"{type(part).__name__} (layer {part.name!r})"
                return  # it may not even have a configuration to look into
            if isinstance(part, keras.Model):
                yield from _problems(part)
        yield from _unknown(model.get_config()["layers"])


def _unknown(records: Sequence[Config]) -> Iterator[str]:
    for record in records:
        name, config = record["class_name"], record["config"]
        title = f"{name} (layer {config.get('name')!r})"
        if len(record.get("inbound_nodes", ())) > 1:
            yield f"{title} used in several places"
        if "layers" in config or name == "InputLayer":
            if _is_called_by_others(record):
                yield f"{title} called with a dict where it was made with a list, or back"
            continue
        if name not in _RULES:
            yield title
        if name in _SUMS and not _readable(record["inbound_nodes"][0]["args"]):
            yield f"{title} of a constant"
        if name == "MultiHeadAttention" and not _is_to_itself(record["inbound_nodes"][0]):
            yield f"{title} of several tensors, or with a mask"
        if name == "Bidirectional":
            inner = [config[part] for part in ("layer", "backward_layer") if part in config]
            yield from _unknown_directions(title, inner)
        for setting, known in _KNOWN.get(name, {}).items():
            if setting in config and not known(config[setting]):
                yield f"{title} with {setting}={_told(config[setting])}"
        if name in _TOGETHER and not _TOGETHER[name](config):
            yield f"{title} with settings that do not go together"


def _unknown_directions(title: str, inner: Sequence[Config]) -> Iterator[str]:
    """What of the layers of a `Bidirectional` cannot be described."""
    for record in inner:
        known = _KNOWN.get(record["class_name"], {})
        if record["class_name"] not in _CELLS:
            yield f"{title} of {record['class_name']}"
        for setting in known.keys() - {"go_backwards"}:
            if not known[setting](record["config"].get(setting)):
                yield f"{title} with {setting}={record['config'].get(setting)!r}"
    kinds = {(r["class_name"], r["config"].get("units")) for r in inner}
    if len(kinds) > 1:
        yield f"{title} of layers that differ"


def _told(value: Any) -> str:
    text = repr(value)
    return text if len(text) < 60 else text[:57] + "..."


def _is_to_itself(call: Config) -> bool:
    """Whether attention is called with one tensor, by itself, and nothing masked."""
    sources = set(_sources([call["args"], call["kwargs"]]))
    given = {name for name, value in call["kwargs"].items() if value is not None}
    return len(sources) == 1 and not given - {"use_causal_mask", "key", "value", "training"}


def _is_called_by_others(record: Config) -> bool:
    """Whether a nested model of several inputs is given a dict instead of a list, or back."""
    made = record["config"].get("input_layers")
    if len(list(_input_names(made))) < 2 or not record["inbound_nodes"]:
        return False
    (given, *_) = record["inbound_nodes"][0]["args"]
    return isinstance(made, Mapping) != isinstance(given, Mapping)


def _input_names(layers: Any) -> Iterator[str]:
    """Names of the layers that are the inputs of a model, in the order of its inputs."""
    if isinstance(layers, Mapping):
        for key in sorted(layers):
            yield from _input_names(layers[key])
    elif layers and isinstance(layers[0], str):
        yield layers[0]
    else:
        for part in layers or ():
            yield from _input_names(part)


def _follow(config: Config, starts: Sequence[Node]) -> Node:
    """The output of a model, or of a nested one, on the inputs `starts`."""
    names = _input_names(config.get("input_layers"))
    outputs: dict[str, Node] = dict(zip(names, starts, strict=False))
    x = starts[0]
    for record in config["layers"]:
        name = record.get("name", record["config"].get("name"))
        if record["class_name"] == "InputLayer":
            outputs.setdefault(name, x)
            continue
        if "input_layers" in config:
            (call,) = record["inbound_nodes"]
            sources = [outputs[source] for source in _sources(call["args"])]
        else:
            sources = [list(outputs.values())[-1] if outputs else x]  # Sequential
        if "layers" in record["config"]:
            outputs[name] = _follow(record["config"], sources)
        elif record["class_name"] in _SUMS and len(sources) == 1:
            number = _number(record["inbound_nodes"][0]["args"])
            outputs[name] = _SUMS[record["class_name"]](sources[0], number)
        else:
            asked = record["inbound_nodes"][0]["kwargs"] if "input_layers" in config else {}
            outputs[name] = _RULES[record["class_name"]](record["config"] | asked, *sources)
    if "output_layers" not in config:
        return list(outputs.values())[-1] if outputs else x
    ((last, *_),) = _pairs(config["output_layers"])
    return outputs[last]


def _sources(argument: Any) -> Iterator[str]:
    """Names of the layers whose outputs a call was given."""
    if isinstance(argument, Mapping):
        if "keras_history" in argument:
            yield argument["keras_history"][0]
        for key in sorted(argument):
            yield from _sources(argument[key])
    elif isinstance(argument, list | tuple):
        for part in argument:
            yield from _sources(part)


def _number(arguments: Sequence[Any]) -> float | None:
    """The number that a tensor is added to or multiplied by, as in `x + 3.0`."""
    found = [part for part in arguments if isinstance(part, int | float)]
    return found[0] if len(found) == 1 and len(arguments) == 2 else None


def _readable(arguments: Sequence[Any]) -> bool:
    return len(list(_sources(list(arguments)))) > 1 or _number(arguments) is not None


_SUMS: dict[str, Callable[[Node, Any], Node]] = {
    "Add": lambda x, number: blocks.rescale(x, 1.0, number),
    "Multiply": lambda x, number: blocks.rescale(x, number),
}


def _pairs(outputs: Sequence[Any]) -> Sequence[Sequence[Any]]:
    # A single output is written bare, several are a list.
    return [outputs] if isinstance(outputs[0], str) else outputs


def _size(value: Any) -> Size:
    return value if isinstance(value, int) else single(tuple(value))


def _padding(config: Config) -> dict[str, str]:
    return {} if config["padding"] == "same" else {"padding": config["padding"]}


def _numbers(value: Any) -> float | tuple[float, ...]:
    value = keras.saving.deserialize_keras_object(value) if isinstance(value, dict) else value
    if isinstance(value, int | float):
        return value
    return tuple(float(number) for number in value)


def _dilation(config: Config) -> dict[str, Size]:
    dilation = _size(config["dilation_rate"])
    return {} if dilation == 1 else {"dilation": dilation}


def _conv(config: Config, x: Node) -> Node:
    x = layer(
        "conv",
        x,
        filters=config["filters"],
        kernel=_size(config["kernel_size"]),
        stride=_size(config["strides"]),
        bias=config["use_bias"],
        **_padding(config),
        **_dilation(config),
    )
    return blocks.activation(x, config["activation"])


def _depthwise(config: Config, x: Node) -> Node:
    x = layer(
        "depthwise",
        x,
        kernel=_size(config["kernel_size"]),
        stride=_size(config["strides"]),
        bias=config["use_bias"],
        **_padding(config),
        **_dilation(config),
    )
    return blocks.activation(x, config["activation"])


def _separable(config: Config, x: Node) -> Node:
    x = _depthwise({**config, "use_bias": False, "activation": "linear"}, x)
    pointwise = {"kernel_size": 1, "strides": 1, "padding": "same", "dilation_rate": 1}
    return _conv({**config, **pointwise}, x)


def _dense(config: Config, x: Node) -> Node:
    x = layer("dense", x, units=config["units"], bias=config["use_bias"])
    return blocks.activation(x, config["activation"])


def _batch_norm(config: Config, x: Node) -> Node:
    left_out = {name: False for name in ("center", "scale") if not config[name]}
    return layer("batch_norm", x, **left_out)


def _pool(op: str) -> Callable[[Config, Node], Node]:
    def rule(config: Config, x: Node) -> Node:
        size, stride = _size(config["pool_size"]), _size(config["strides"])
        return layer(op, x, size=size, stride=stride, **_padding(config))

    return rule


def _pad(config: Config, x: Node) -> Node:
    vertical, horizontal = config["padding"]
    return blocks.pad(x, (tuple(vertical), tuple(horizontal)))


def _crop(config: Config, x: Node) -> Node:
    vertical, horizontal = config["cropping"]
    if config["data_format"] == "channels_first":  # which crops width and channels
        return blocks.narrow(x, x.channels - horizontal[1])
    return blocks.crop(x, (tuple(vertical), tuple(horizontal)))


def _rescale(config: Config, x: Node) -> Node:
    if np.ndim(config["offset"]) == 2:
        return blocks.sinusoid(x)
    return blocks.rescale(x, _numbers(config["scale"]), _numbers(config["offset"]))


def _resize(config: Config, x: Node) -> Node:
    return blocks.resize(x, (config["height"], config["width"]), config["interpolation"])


def _upsample(config: Config, x: Node) -> Node:
    return blocks.upsample(x, _size(config["size"]), config["interpolation"])


def _einsum(config: Config, x: Node) -> Node:
    """Learned positions: with a projection, or between two changes of shape."""
    if config["equation"] == _PROJECTED:
        return blocks.position_embedding(x, config["output_shape"][-1])
    before = x.described()[x.index]
    source = x.at(before.inputs[0]) if before.op == "reshape" else x
    if source.shape != x.shape[:-1]:
        source = blocks.reshape(x, x.shape[:-1])
    return blocks.reshape(blocks.position_embedding(source), x.shape)


def _attention(config: Config, x: Node, *_: Node) -> Node:
    width = config["num_heads"] * config["key_dim"]
    causal = bool(config.get("use_causal_mask"))
    return blocks.attention(x, config["num_heads"], width, causal)


def _recurrent(cell: str, bidirectional: bool = False) -> Callable[[Config, Node], Node]:
    def rule(config: Config, x: Node) -> Node:
        sequences = config["return_sequences"]
        return blocks.recurrent(x, config["units"], cell, sequences, bidirectional)

    return rule


def _bidirectional(config: Config, x: Node) -> Node:
    inner = config["layer"]
    return _recurrent(_CELLS[inner["class_name"]], bidirectional=True)(inner["config"], x)


def _relu(config: Config, x: Node) -> Node:
    return blocks.activation(x, {None: "relu", 6: "relu6"}[config["max_value"]])


def _reshape(config: Config, x: Node) -> Node:
    shape = list(config["target_shape"])
    if -1 in shape:
        known = -math.prod(shape)
        shape[shape.index(-1)] = math.prod(x.shape) // known
    before = x.described()[x.index]
    if before.op == "reshape" and len(x.shape) == len(shape) + 1 and x.shape[-1] == 1:
        source = x.at(before.inputs[0])
        if source.described()[source.index].op == "position" and source.shape == tuple(shape):
            return source  # the change of shape behind learned positions, see `realise`
    return blocks.reshape(x, tuple(shape))


def _same(config: Config, x: Node) -> Node:
    return x


_PROJECTED, _ADDED = "btc,cd->btd", "btci,io->btco"
_CELLS = {"GRU": "gru", "LSTM": "lstm"}

_RULES: dict[str, Callable[..., Node]] = {
    "Conv2D": _conv,
    "DepthwiseConv2D": _depthwise,
    "SeparableConv2D": _separable,
    "Dense": _dense,
    "BatchNormalization": _batch_norm,
    "LayerNormalization": lambda c, x: blocks.layer_norm(x),
    "Rescaling": _rescale,
    "MaxPooling2D": _pool("max_pool"),
    "AveragePooling2D": _pool("average_pool"),
    "GlobalAveragePooling1D": lambda c, x: blocks.global_average_pool(x),
    "GlobalAveragePooling2D": lambda c, x: blocks.global_average_pool(x, c["keepdims"]),
    "ZeroPadding2D": _pad,
    "Cropping2D": _crop,
    "Resizing": _resize,
    "UpSampling2D": _upsample,
    "Flatten": lambda c, x: blocks.flatten(x),
    "Reshape": _reshape,
    "Activation": lambda c, x: blocks.activation(x, c["activation"]),
    "ReLU": _relu,
    "LeakyReLU": lambda c, x: blocks.activation(x, "leaky_relu"),
    "ELU": lambda c, x: blocks.activation(x, "elu"),
    "Softmax": lambda c, x: blocks.activation(x, "softmax"),
    "Add": lambda c, *x: blocks.add(*x),
    "Multiply": lambda c, *x: blocks.multiply(*x),
    "Concatenate": lambda c, *x: blocks.concatenate(*x),
    "Embedding": lambda c, x: blocks.embedding(x, c["input_dim"], c["output_dim"]),
    "EinsumDense": _einsum,
    "MultiHeadAttention": _attention,
    "GRU": _recurrent("gru"),
    "LSTM": _recurrent("lstm"),
    "Bidirectional": _bidirectional,
    "Dropout": lambda c, x: blocks.dropout(x, c["rate"]),
    # These do nothing but in training.
    "SpatialDropout1D": _same,
    "SpatialDropout2D": _same,
    "GaussianDropout": _same,
    "GaussianNoise": _same,
    "ActivityRegularization": _same,
    "Identity": _same,
    "RandomFlip": _same,
    "RandomTranslation": _same,
    "RandomRotation": _same,
    "RandomZoom": _same,
    "RandomBrightness": _same,
    "RandomContrast": _same,
}


def _is(*values: Any) -> Callable[[Any], bool]:
    return lambda value: value in values


def _named(value: Any) -> bool:
    return isinstance(value, str)


_CHANNELS_LAST = {"data_format": _is("channels_last", None)}
_CONVOLUTION = {
    **_CHANNELS_LAST,
    "groups": _is(1),
    "depth_multiplier": _is(1),
    "activation": _named,
    "padding": _is("same", "valid"),
}


def _is_rescaling(offset: Any) -> bool:
    if np.ndim(offset) < 2:
        return True
    return np.ndim(offset) == 2 and np.array_equal(offset, sinusoid(*np.shape(offset)))


_RECURRENT = {
    "activation": _is("tanh"),
    "recurrent_activation": _is("sigmoid"),
    "use_bias": _is(True),
    "return_state": _is(False),
    "go_backwards": _is(False),
    "stateful": _is(False),
}


def _is_crop(config: Config) -> bool:
    (before, after), (left, _) = config["cropping"]
    return bool(config["data_format"] != "channels_first" or before == after == left == 0)


def _is_position(config: Config) -> bool:
    channels: int = config["output_shape"][-1]
    axes: str = config["bias_axes"]
    if config["equation"] == _PROJECTED:
        return axes == "td"
    return axes == "tc" and channels == 1


# Of settings that are all right each by itself.
_TOGETHER: dict[str, Callable[[Config], bool]] = {
    "Cropping2D": _is_crop,
    "EinsumDense": _is_position,
    "MultiHeadAttention": lambda c: c["value_dim"] in (None, c["key_dim"]),
}

# Of settings that descriptions do not have, the values that they stand for.
_KNOWN: dict[str, dict[str, Callable[[Any], bool]]] = {
    "Conv2D": _CONVOLUTION,
    "DepthwiseConv2D": _CONVOLUTION,
    "SeparableConv2D": _CONVOLUTION,
    "Dense": {"activation": _named, "lora_rank": _is(None)},
    "BatchNormalization": {"axis": _is(-1, 3, [-1], [3])},
    "MaxPooling2D": _CHANNELS_LAST,
    "AveragePooling2D": _CHANNELS_LAST,
    "GlobalAveragePooling2D": _CHANNELS_LAST,
    "ZeroPadding2D": _CHANNELS_LAST,
    "GlobalAveragePooling1D": {**_CHANNELS_LAST, "keepdims": _is(False)},
    "UpSampling2D": {**_CHANNELS_LAST, "interpolation": _is("nearest", "bilinear")},
    "Resizing": {
        **_CHANNELS_LAST,
        "interpolation": _is("nearest", "bilinear"),
        "crop_to_aspect_ratio": _is(False),
        "pad_to_aspect_ratio": _is(False),
        "antialias": _is(False),
    },
    "LayerNormalization": {
        "axis": _is(-1, [-1]),
        "center": _is(True),
        "scale": _is(True),
        "rms_scaling": _is(False),
    },
    "Rescaling": {"offset": _is_rescaling, "scale": lambda value: np.ndim(value) < 2},
    "Concatenate": {"axis": _is(-1, 3)},
    "Embedding": {"mask_zero": _is(False)},
    "EinsumDense": {
        "equation": _is(_PROJECTED, _ADDED),
        "activation": _is("linear"),
    },
    "MultiHeadAttention": {
        "use_bias": _is(True),
        "use_gate": _is(False),
        "output_shape": _is(None),
        "attention_axes": _is(None, (1,), [1]),
        "sliding_window": _is(None),
    },
    "GRU": {**_RECURRENT, "reset_after": _is(True)},
    "LSTM": _RECURRENT,
    "Bidirectional": {"merge_mode": _is("concat")},
    "Flatten": _CHANNELS_LAST,
    "Activation": {"activation": _named},
    "ReLU": {"max_value": _is(None, 6), "negative_slope": _is(0), "threshold": _is(0)},
    "Softmax": {"axis": _is(-1)},
}

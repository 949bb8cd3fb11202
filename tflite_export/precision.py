"""A half-precision model rebuilt in float32, the precision that converters start from."""

from __future__ import annotations

from typing import Any

import keras

__all__ = ["in_float32"]


def in_float32(model: keras.Model) -> keras.Model:
    """Rebuild a model from its configuration with every layer in float32, weights kept.

    Mixed precision is for training: its casts would stay in the file as operators.

    Args:
        model: Any Keras model that can be rebuilt from its configuration. It is not changed.

    Returns:
        A new model with the same architecture, names and weights.

    Raises:
        ValueError: If a layer or the model cannot be rebuilt from its configuration.
    """
    try:
        if getattr(model, "inputs", None) is not None:  # subclassed models have none
            clone = keras.models.clone_model(model, clone_function=_rebuilt, recursive=True)
        else:
            clone = _rebuilt(model)
            clone.build_from_config(model.get_build_config())
        clone.set_weights(model.get_weights())
    except Exception as error:
        raise ValueError(
            "A model that computes in half precision is exported from a float32 copy, and "
            f"this one cannot be copied. Received: model={model.name!r} "
            f"({type(error).__name__}: {' '.join(str(error).split())}). Give its custom "
            "layers a `get_config`, or "
            'build it under `keras.config.set_dtype_policy("float32")` and load the weights.'
        ) from error
    return clone


def _rebuilt(layer: Any) -> Any:
    return type(layer).from_config(_with_float32(layer.get_config()))


def _with_float32(config: Any) -> Any:
    # Wrappers hold their inner layers' configurations, so policies occur at any depth.
    if isinstance(config, dict):
        return {
            key: "float32" if key == "dtype" and _is_floating(value) else _with_float32(value)
            for key, value in config.items()
        }
    if isinstance(config, list | tuple):
        return type(config)(_with_float32(value) for value in config)
    return config


def _is_floating(dtype: Any) -> bool:
    name = dtype["config"].get("name", "") if isinstance(dtype, dict) else dtype
    return isinstance(name, str) and "float" in name

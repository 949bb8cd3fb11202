"""Scores made of weights and their gradients: synflow, SNIP, the norm of the gradient."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import tensorflow as tf

from kerasnas.training_free.copies import Unscorable, batch, kernels, normalizations, probe

__all__ = ["grad_norm", "snip", "synflow"]


def synflow(model: keras.Model) -> float:
    """Sum up what each weight passes on, whatever the data.

    All weights are replaced by their absolute values and an input of ones is sent through: the
    output is the sum over all paths of the products of their weights. A weight's share is the
    weight times the derivative of that sum, and the score is the sum of the shares of all
    kernels. So it counts paths, those that are deep and wide most: it grows with the number of
    layers about exponentially, and its logarithm is what can be looked at.

    Batch normalisation passes its input on, as do rectifiers (all they get is positive), so
    that the clip of ReLU6 hides nothing. A softmax or sigmoid at the end is left out; gates
    inside stay, and are open.

    Args:
        model: A built model with the weights it starts with. It is left as it is.

    Returns:
        The score, above 0; larger promises more. Computed in float64; infinite only past
        1e308.

    Raises:
        TypeError: If the model cannot be copied.
        Unscorable: If it has no kernels, or no path from them to its output.

    References:
        Tanaka et al., "Pruning Neural Networks without Any Data by Iteratively Conserving
        Synaptic Flow", NeurIPS 2020, https://arxiv.org/abs/2006.05467.
        Abdelfattah et al., "Zero-Cost Proxies for Lightweight NAS", ICLR 2021,
        https://arxiv.org/abs/2101.08134, for the sum as a score and batch normalisation left
        out. Unlike there, ReLU6 and its kin are linear too.
    """
    copy = probe(model, dtype="float64", logits=True, linear=True)
    for variable in copy.trainable_variables:
        variable.assign(np.abs(variable.numpy()))
    for layer in normalizations(copy):
        _pass_on(layer)
    ones = keras.tree.map_structure(
        lambda start: tf.ones((1, *start.shape[1:]), start.dtype), copy.input
    )
    shares = _shares(copy, lambda: _total(copy(ones, training=False)))
    return float(sum(np.abs(share).sum() for share in shares))


def snip(model: keras.Model, x: Any, y: Any) -> float:
    """Sum up how much the loss depends on each weight being there.

    The score is the sum over all kernels of |weight times derivative of the loss|: to first
    order, what the loss would change by without the weight. Normalisation uses the statistics
    of the batch; dropout is off.

    Args:
        model: A built model with the weights it starts with, compiled with the loss. It is
            left as it is.
        x: Examples `(n, *input_shape)`; 16 to 128 are usual. More say it more exactly.
        y: Their targets, in the form that the loss takes.

    Returns:
        The score, 0 or more; larger promises more.

    Raises:
        TypeError: If the model cannot be copied.
        Unscorable: If it has no kernels, or no path from them to its output.
        ValueError: If it has no loss.

    References:
        Lee et al., "SNIP: Single-shot Network Pruning Based on Connection Sensitivity", ICLR
        2019, https://arxiv.org/abs/1810.02340; as a score in Abdelfattah et al., 2021.
    """
    return float(sum(np.abs(share).sum() for share in _loss_shares(model, x, y)))


def grad_norm(model: keras.Model, x: Any, y: Any) -> float:
    """Sum up the Euclidean norms of the loss's gradient, one a kernel.

    Arguments, errors and conditions are those of `snip`.

    References:
        Abdelfattah et al., "Zero-Cost Proxies for Lightweight NAS", ICLR 2021,
        https://arxiv.org/abs/2101.08134.
    """
    gradients = _loss_shares(model, x, y, weighed=False)
    return float(sum(np.linalg.norm(gradient) for gradient in gradients))


def _pass_on(layer: Any) -> None:
    """Let a normalisation return what it gets."""
    values = {"gamma": 1.0, "beta": 0.0, "moving_mean": 0.0}
    values["moving_variance"] = 1.0 - layer.epsilon
    for name, value in values.items():
        variable = getattr(layer, name, None)
        if variable is not None:
            variable.assign(np.full(variable.shape, value))


def _loss_shares(model: keras.Model, x: Any, y: Any, *, weighed: bool = True) -> list[Any]:
    if not getattr(model, "compiled", False) or model.loss is None:
        raise ValueError(
            "The gradient is that of the loss the model was compiled with. Received: "
            f"{model.name!r}, compiled with none. Call `model.compile(loss=...)`."
        )
    copy = probe(model)
    given, targets = batch(copy, x), keras.tree.map_structure(tf.convert_to_tensor, y)

    def loss() -> Any:
        return model.compute_loss(y=targets, y_pred=copy(given, training=True))

    return _shares(copy, loss, weighed=weighed)


def _shares(copy: keras.Model, of: Any, *, weighed: bool = True) -> list[Any]:
    """Gradients of a quantity by each kernel, times the kernel if weighed."""
    variables = [variable.value for variable in kernels(copy)]
    with tf.GradientTape() as tape:
        quantity = of()
    gradients = tape.gradient(quantity, variables)
    reached = [(v, g) for v, g in zip(variables, gradients, strict=True) if g is not None]
    if not reached:
        raise Unscorable(
            "A network must lead from its kernels to its output. Received: "
            f"{copy.name!r}, where none does. Connect them, or leave the network out."
        )
    pairs = [(v.numpy(), tf.convert_to_tensor(g).numpy()) for v, g in reached]
    return [v * g if weighed else g for v, g in pairs]


def _total(outputs: Any) -> Any:
    return sum(tf.reduce_sum(one) for one in keras.tree.flatten(outputs))

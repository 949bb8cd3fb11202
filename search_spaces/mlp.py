"""Multilayer perceptrons: for tables."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import keras_tuner

from search_spaces.blocks import activation, add, batch_norm, concatenate, dense, dropout
from search_spaces.network import Node, layer
from search_spaces.space import SearchSpace
from search_spaces.task import Regression, Task

__all__ = ["MLP", "fcnet"]

_DEPTHS = [0, 1, 2, 3, 4]
_UNITS = [16, 32, 64, 128, 256, 512]


class MLP(SearchSpace):
    """Dense layers over the columns of a table.

    Columns are numbers of about unit size: `search_spaces.table.encoder` makes them of numbers
    and categories with stock Keras layers. Layers of decided width and activation follow one
    another; sums can go around all but the first, and the head can see the columns beside
    what the layers make of them, which leaves the layers what is not linear. Without any
    layer the network is linear.

    | decision              | values                     | what it sets                       |
    |-----------------------|----------------------------|------------------------------------|
    | `depth`               | 0, 1, 2, 3, 4              | layers before the head             |
    | `norm`                | False, True                | batch normalisation in each        |
    | `skip`                | False, True                | sums around the layers, with a     |
    |                       |                            | projection where widths differ     |
    | `wide`                | False, True                | the head sees the columns too      |
    | `layer{i}/units`      | 16, 32, 64, 128, 256, 512  | width                              |
    | `layer{i}/activation` | relu, tanh                 | activation                         |
    | `layer{i}/dropout`    | 0.0, 0.3, 0.6              | rate behind the layer              |

    All are conditional on the depth: `norm` and `wide` on a layer, `skip` on two, those of a
    layer on that it is there. That is `1 + 4 * 36 + 8 * (36**2 + 36**3 + 36**4)` = 13,820,689
    sets of decisions.

    Args:
        input_shape: `(features,)`: number of encoded columns.
        num_classes: Number of classes; the model returns this many logits.
        task: Any other task, instead of `num_classes`.
        rescaling: As in `SearchSpace`.

    Raises:
        ValueError: If the input is no row of a table.

    References:
        Klein and Hutter, "Tabular Benchmarks for Joint Architecture and Hyperparameter
        Optimization", 2019, https://arxiv.org/abs/1905.04970 (two layers, no sums).
        Cheng et al., "Wide & Deep Learning for Recommender Systems", 2016,
        https://arxiv.org/abs/1606.07792 (the columns beside the layers; theirs are crossed).
    """

    layouts: ClassVar[tuple[str, ...]] = ("table",)

    def __init__(
        self,
        input_shape: Sequence[int],
        num_classes: int | None = None,
        *,
        task: Task | None = None,
        rescaling: tuple[Any, Any] | None = None,
    ) -> None:
        super().__init__(input_shape, num_classes, task=task, rescaling=rescaling)
        if len(self.input_shape) != 1 or self.input_shape[0] < 1:
            raise ValueError(
                "MLP needs rows of a table (features,), at least 1 feature. Received: "
                f"input_shape={tuple(input_shape)}. Flatten what has more axes, or use a "
                "space for images or series."
            )

    def body(self, hp: keras_tuner.HyperParameters, x: Node) -> Node:
        columns = x
        # Small, with much dropout and the columns beside it: where there are few rows, larger
        # ones learn them by heart.
        depth = hp.Choice("depth", _DEPTHS, default=1)
        with hp.conditional_scope("depth", _DEPTHS[1:]):
            norm = hp.Boolean("norm", default=True)
            wide = hp.Boolean("wide", default=True)
        with hp.conditional_scope("depth", _DEPTHS[2:]):
            skip = hp.Boolean("skip")
        for i in range(_DEPTHS[-1]):
            with hp.conditional_scope("depth", _DEPTHS[i + 1 :]):
                units = hp.Choice(f"layer{i}/units", _UNITS, default=32)
                function = hp.Choice(f"layer{i}/activation", ["relu", "tanh"])
                rate = hp.Choice(f"layer{i}/dropout", [0.0, 0.3, 0.6], default=0.6)
            if i < depth:
                # Batch normalisation would undo a bias.
                y = layer("dense", x, units=units, bias=not norm)
                y = batch_norm(y) if norm else y
                if skip and i > 0:
                    y = add(y, x if x.channels == units else dense(x, units))
                x = dropout(activation(y, function), rate)
        return concatenate(x, columns) if wide else x


def fcnet(
    features: int,
    units: tuple[int, int],
    activations: tuple[str, str] = ("relu", "relu"),
    dropouts: tuple[float, float] = (0.0, 0.0),
) -> tuple[MLP, dict[str, Any]]:
    """A network of the FCNet benchmark (Klein and Hutter, 2019): its space and decisions.

    Args:
        features: Columns of the table.
        units: Widths of the two layers, of those that the space has.
        activations: Their activations, `"relu"` or `"tanh"`.
        dropouts: Rates behind them, 0, 0.3 or 0.6.
    """
    values: dict[str, Any] = {"depth": 2, "norm": False, "skip": False, "wide": False}
    for i in range(2):
        values |= {
            f"layer{i}/units": units[i],
            f"layer{i}/activation": activations[i],
            f"layer{i}/dropout": dropouts[i],
        }
    return MLP((features,), task=Regression()), values

"""Write a search space of your own and search it.

`choose` names a decision and its alternatives, each an ordinary function from node to node.
Decisions made inside one of them exist only where it is picked. Costs, limits and the
recognition of equal networks follow from the description.

    python examples/own_space.py
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence

import keras
import keras_tuner
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

import kerasnas
from search_spaces import SearchSpace, choose
from search_spaces.blocks import conv, identity, inverted_residual, max_pool
from search_spaces.network import Node


class Own(SearchSpace):
    """Three stages; each is a convolution, an inverted residual, or nothing."""

    def body(self, hp: keras_tuner.HyperParameters, x: Node) -> Node:
        x = conv(x, hp.Choice("stem/filters", [8, 16]))
        for i, width in enumerate((16, 32, 64)):
            x = self._stage(hp, x, f"stage{i}", width)
        return x  # the task adds its head

    def _stage(self, hp: keras_tuner.HyperParameters, x: Node, name: str, width: int) -> Node:
        def residual(x: Node) -> Node:
            expansion = hp.Choice(f"{name}/expansion", [3, 6])
            return max_pool(inverted_residual(x, width, expansion=expansion))

        blocks = {
            "conv": lambda x: max_pool(conv(x, width)),
            "residual": residual,
            "skip": identity,
        }
        return choose(hp, f"{name}/block", x, blocks)


def main(arguments: Sequence[str] | None = None) -> keras.Model:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--params", default="20k", help="upper bound on a network's weights")
    parser.add_argument("--max-trials", type=int, default=20, help="candidates at most")
    parser.add_argument("--epochs", type=int, help="of every training; automatic by default")
    parser.add_argument("--directory", default="searches", help="folder of searches")
    options = parser.parse_args(arguments)

    space = Own((8, 8, 1), num_classes=10)
    print(f"{space.size()} candidates; the default one costs {space.costs({})}")

    digits = load_digits()
    x_train, x_test, y_train, y_test = train_test_split(
        digits.images[..., None], digits.target, test_size=0.2, random_state=0
    )
    model = kerasnas.search(
        (x_train, y_train),
        space=Own,  # the class: it is made for the data's shape, classes and scale
        limits={"params": options.params},
        max_trials=options.max_trials,
        epochs=options.epochs,
        directory=options.directory,
        project_name="own_space",
    )
    print(kerasnas.open_search(options.directory, "own_space"))
    print(f"test accuracy: {model.evaluate(x_test, y_test, verbose=0)[1]:.2%}")
    return model


if __name__ == "__main__":
    main()

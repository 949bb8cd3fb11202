"""Tell which labels an example has, any number of them: here the digits in a strip of three.

Labels are rows of 0 and 1, a column each, from which the task is told. Scores are means over
labels; the plain method is a logistic regression for each.

    python examples/multilabel.py
    python examples/multilabel.py --dataset mine.npz      # x_train, y_train, x_test, y_test
"""

import argparse

import numpy as np
from sklearn.datasets import load_digits

import kerasnas
from kerasnas.datasets import open_dataset
from kerasnas.evaluation import Evaluation


def strips(seed: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """Images 8x24 of three digits, and which of ten are there; other digits in the test."""
    digits, rng, parts = load_digits(), np.random.default_rng(seed), []
    for count, first, last in ((3000, 0, 1300), (500, 1300, 1797)):
        chosen = rng.integers(first, last, (count, 3))
        images = digits.images[chosen].transpose(0, 2, 1, 3).reshape(count, 8, 24, 1)
        parts.append((images, np.eye(10)[digits.target[chosen]].max(axis=1)))
    return parts


def main(arguments: list[str] | None = None) -> Evaluation:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add = parser.add_argument
    add("--dataset", help="a .npz file; by default strips of scikit-learn's digits")
    add("--max-time", default="5m", help="for everything")
    add("--output", dest="directory", default="searches/multilabel", help="its folder")
    add("--seed", type=int, default=0, help="of all that is drawn")
    options = vars(parser.parse_args(arguments))
    dataset, seed = options.pop("dataset"), options["seed"]
    train, test, *_ = open_dataset(dataset) if dataset else strips(seed)
    kerasnas.search(train, **options)
    result = kerasnas.open_search(options["directory"])
    scores = result.evaluate(test, train)
    print(scores, f"the file: {result.folder / 'model.tflite'}", sep="\n")
    return scores


if __name__ == "__main__":
    main()

"""Decide by several inputs at once: a noisy picture, and what is known beside it.

Each input has a space of its own, and a searched head joins them. The file has an input a
name, `facts` in numbers that `preprocessing_facts.json` explains.

    python examples/several_inputs.py
    python examples/several_inputs.py --dataset mine.npz   # x_train_image, x_train_facts, ...
"""

import argparse

import numpy as np
from sklearn.datasets import load_digits

import kerasnas
from kerasnas.datasets import open_dataset
from kerasnas.evaluation import Evaluation


def pictures(rows: slice, seed: int) -> tuple[dict, np.ndarray]:
    """Digits in noise; how much ink there was, and whether the digit is even, are known."""
    digits, rng = load_digits(), np.random.default_rng(seed)
    images, y = digits.images[rows], digits.target[rows]
    facts = {"ink": images.sum(axis=(1, 2)), "kind": np.where(y % 2, "odd", "even")}
    noisy = images[..., None] + rng.normal(0, 6, (*images.shape, 1))
    return {"image": noisy, "facts": facts}, y


def main(arguments: list[str] | None = None) -> Evaluation:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add = parser.add_argument
    add("--dataset", help="a .npz file; by default scikit-learn's digits in noise")
    add("--max-time", default="5m", help="for everything")
    add("--output", dest="directory", default="searches/several_inputs", help="its folder")
    add("--seed", type=int, default=0, help="of all that is drawn")
    options = vars(parser.parse_args(arguments))
    dataset, seed = options.pop("dataset"), options["seed"]
    train, test = pictures(slice(0, 1300), seed), pictures(slice(1300, None), seed)
    if dataset:
        train, test, *_ = open_dataset(dataset)
    kerasnas.search(train, **options)
    result = kerasnas.open_search(options["directory"])
    scores = result.evaluate(test, train)
    print(scores, f"the file: {result.folder / 'model.tflite'}", sep="\n")
    return scores


if __name__ == "__main__":
    main()

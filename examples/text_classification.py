"""Classify texts: which package a docstring comes from, judged by its first paragraph.

Strings go in; the vocabulary is learned from the training part. The file takes the numbers of
words, and `preprocessing.json` beside it says which word has which.

    python examples/text_classification.py
    python examples/text_classification.py --dataset reviews/    # a folder of .txt a class
"""

import argparse
import inspect

import numpy as np
import scipy.special
import scipy.stats
from sklearn.model_selection import train_test_split

import kerasnas
from kerasnas.datasets import open_dataset
from kerasnas.evaluation import Evaluation


def docstrings(seed: int) -> tuple[tuple[np.ndarray, np.ndarray], ...]:
    """First paragraphs of docstrings, and the number of the package: to train, to test."""
    texts = {}
    for number, package in enumerate((np, scipy.special, scipy.stats)):
        for _, member in inspect.getmembers(package):
            texts[(inspect.getdoc(member) or "").split("\n\n")[0]] = number
    x, y = np.array(list(texts)), np.array(list(texts.values()))
    parts = train_test_split(x, y, test_size=0.25, stratify=y, random_state=seed)
    return parts[::2], parts[1::2]


def main(arguments: list[str] | None = None) -> Evaluation:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add = parser.add_argument
    add("--dataset", help="a folder with a folder of .txt files for each class")
    add("--max-time", default="5m", help="for everything")
    add(
        "--output", dest="directory", default="searches/text_classification", help="its folder"
    )
    add("--seed", type=int, default=0, help="of all that is drawn")
    options = vars(parser.parse_args(arguments))
    dataset, seed = options.pop("dataset"), options["seed"]
    train, test, *_ = open_dataset(dataset) if dataset else docstrings(seed)
    kerasnas.search(train, layout="text", **options)
    result = kerasnas.open_search(options["directory"])
    scores = result.evaluate(test, train)
    print(scores, f"the file: {result.folder / 'model.tflite'}", sep="\n")
    return scores


if __name__ == "__main__":
    main()

"""Classify the rows of a table, whose columns have names and hold numbers or categories.

What makes columns into numbers is learned from the training part and kept beside the file,
which takes the encoded row: `preprocessing.json` says how, for the program on the device.

    python examples/table.py                              # scikit-learn's wines
    python examples/table.py --dataset patients.csv --target outcome
"""

import argparse

import numpy as np
from sklearn.datasets import load_wine
from sklearn.model_selection import train_test_split

import kerasnas
from kerasnas.datasets import open_dataset
from kerasnas.evaluation import Evaluation


def wines(seed: int) -> list[tuple[dict[str, np.ndarray], np.ndarray]]:
    """Thirteen columns by name; one of numbers is made words, as real tables have them."""
    wine = load_wine()
    x = dict(zip(wine.feature_names, wine.data.T, strict=True))
    shades = np.digitize(x.pop("color_intensity"), [3.5, 5.5])
    x["colour"] = np.array(["pale", "medium", "deep"])[shades]
    rows = np.arange(len(wine.target))
    parts = train_test_split(rows, test_size=0.3, stratify=wine.target, random_state=seed)
    return [({name: x[name][part] for name in x}, wine.target[part]) for part in parts]


def main(arguments: list[str] | None = None) -> Evaluation:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add = parser.add_argument
    add("--dataset", help="a .csv file; by default scikit-learn's wines")
    add("--target", help="its column that is to be told; by default the last one")
    add("--max-time", default="5m", help="for everything")
    add("--output", dest="directory", default="searches/table", help="its folder")
    add("--seed", type=int, default=0, help="of all that is drawn")
    options = vars(parser.parse_args(arguments))
    dataset, target, seed = options.pop("dataset"), options.pop("target"), options["seed"]
    train, test, *_ = open_dataset(dataset, target=target) if dataset else wines(seed)
    kerasnas.search(train, **options)
    result = kerasnas.open_search(options["directory"])
    scores = result.evaluate(test, train)
    print(scores, f"the file: {result.folder / 'model.tflite'}", sep="\n")
    print("the first row as the file takes it:", result.read(test).x[0])
    return scores


if __name__ == "__main__":
    main()

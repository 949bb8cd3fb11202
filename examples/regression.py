"""Tell a quantity: how far diabetes has got a year on, from ten measurements of a person.

The task is told from the labels, whose unit the network and its int8 file keep. Both are
judged on people the search has not seen, beside ridge regression.

    python examples/regression.py
    python examples/regression.py --dataset houses.csv --target price
"""

import argparse

from sklearn.datasets import load_diabetes
from sklearn.model_selection import train_test_split

import kerasnas
from kerasnas.datasets import open_dataset
from kerasnas.evaluation import Evaluation


def main(arguments: list[str] | None = None) -> Evaluation:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add = parser.add_argument
    add("--dataset", help="a .csv file; by default scikit-learn's diabetes")
    add("--target", help="its column that is to be told; by default the last one")
    add("--max-time", default="5m", help="for everything")
    add("--output", dest="directory", default="searches/regression", help="its folder")
    add("--seed", type=int, default=0, help="of all that is drawn")
    options = vars(parser.parse_args(arguments))
    dataset, target = options.pop("dataset"), options.pop("target")
    if dataset:
        train, test, *_ = open_dataset(dataset, target=target, task="regression")
    else:
        x, y = load_diabetes(return_X_y=True)
        parts = train_test_split(x, y, test_size=0.2, random_state=options["seed"])
        train, test = parts[::2], parts[1::2]
    kerasnas.search(train, task="regression", layout="table", **options)
    result = kerasnas.open_search(options["directory"])
    scores = result.evaluate(test, train)
    print(scores, f"the file: {result.folder / 'model.tflite'}", sep="\n")
    return scores


if __name__ == "__main__":
    main()

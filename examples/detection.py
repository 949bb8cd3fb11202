"""Find objects, and read their boxes from what the file returns, as code on a device would.

python examples/detection.py                     # digits that lie about on noise
python examples/detection.py --dataset voc --image-size 128 128 --max-time 4h
"""

import argparse

import numpy as np
from sklearn.datasets import load_digits

import kerasnas
import search_spaces
from kerasnas.datasets import open_dataset
from kerasnas.evaluation import Evaluation
from tflite_export import TFLiteModel


def scenes(count: int, digits: range, seed: int) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Images 32x32 with one to three of some digits, and their boxes and classes."""
    (pictures, classes), rng = load_digits(return_X_y=True), np.random.default_rng(seed)
    images = rng.uniform(0, 60, (count, 32, 32, 1))
    boxes, labels = np.zeros((count, 3, 4)), np.full((count, 3), -1)  # -1 is no box
    for scene, image in enumerate(images):
        for row, which in enumerate(rng.choice(digits, rng.integers(1, 4))):
            top, left = rng.integers(0, 17, 2)
            ink = np.kron(pictures[which].reshape(8, 8), np.ones((2, 2)))
            image[top : top + 16, left : left + 16][ink > 4] = 15 * ink[ink > 4, None]
            boxes[scene, row] = np.array([top, left, top + 16, left + 16]) / 32
            labels[scene, row] = classes[which]
    return images.astype(np.uint8), {"boxes": boxes, "labels": labels}


def main(arguments: list[str] | None = None) -> Evaluation:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add = parser.add_argument
    add("--dataset", help="a TFDS set with `objects`, or a .npz file")
    add("--image-size", type=int, nargs=2, metavar=("HEIGHT", "WIDTH"), help="of its images")
    add("--max-time", default="10m", help="for everything")
    add("--output", dest="directory", default="searches/detection", help="its folder")
    add("--seed", type=int, default=0, help="of all that is drawn")
    options = vars(parser.parse_args(arguments))
    dataset, size, seed = options.pop("dataset"), options.pop("image_size"), options["seed"]
    train, test = scenes(1500, range(1300), seed), scenes(300, range(1300, 1797), seed)
    if dataset:
        train, test, *_ = open_dataset(dataset, image_size=size, task="detection")
    kerasnas.search(train, **options)
    result = kerasnas.open_search(options["directory"])
    scores = result.evaluate(test, train)
    print(scores, f"the file: {result.folder / 'model.tflite'}", sep="\n")
    images = result.read(test).x[:1]
    (grid,) = TFLiteModel(result.file()).predict(images)
    print("in the first image:", *search_spaces.decode(grid, images.shape[1:]), sep="\n")
    return scores


if __name__ == "__main__":
    main()

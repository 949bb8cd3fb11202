"""Tell the class of each pixel: masks as labels, a `UNet` over an image space, mean IoU.

Without a data set, digits lie about on noise; the plain method is a logistic regression on
the 5x5 pixels around each.

    python examples/segmentation.py
    python examples/segmentation.py --dataset oxford_iiit_pet --image-size 96 96 --max-time 2h
"""

import argparse

import numpy as np
from sklearn.datasets import load_digits

import kerasnas
from kerasnas.datasets import open_dataset
from kerasnas.evaluation import Evaluation


def scenes(count: int, digits: range, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Images 32x32 with one to three of some digits, and the class of each pixel."""
    (pictures, classes), rng = load_digits(return_X_y=True), np.random.default_rng(seed)
    images = rng.uniform(0, 60, (count, 32, 32, 1))
    masks = np.zeros((count, 32, 32), np.int32)  # 0 is the background
    for image, mask in zip(images, masks, strict=True):
        for which in rng.choice(digits, rng.integers(1, 4)):
            ink = np.kron(pictures[which].reshape(8, 8), np.ones((2, 2)))
            part = tuple(slice(start, start + 16) for start in rng.integers(0, 17, 2))
            image[part][ink > 4] = 15 * ink[ink > 4, None]
            mask[part][ink > 4] = 1 + classes[which]
    return images.astype(np.uint8), masks


def main(arguments: list[str] | None = None) -> Evaluation:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add = parser.add_argument
    add("--dataset", help="a TFDS set with `segmentation_mask`, or a .npz file")
    add("--image-size", type=int, nargs=2, metavar=("HEIGHT", "WIDTH"), help="of its images")
    add("--max-time", default="10m", help="for everything")
    add("--output", dest="directory", default="searches/segmentation", help="its folder")
    add("--seed", type=int, default=0, help="of all that is drawn")
    options = vars(parser.parse_args(arguments))
    dataset, size, seed = options.pop("dataset"), options.pop("image_size"), options["seed"]
    train, test = scenes(1500, range(1300), seed), scenes(300, range(1300, 1797), seed)
    if dataset:
        train, test, *_ = open_dataset(dataset, image_size=size, task="segmentation")
    kerasnas.search(train, task="segmentation", **options)
    result = kerasnas.open_search(options["directory"])
    scores = result.evaluate(test, train)
    print(scores, f"the file: {result.folder / 'model.tflite'}", sep="\n")
    return scores


if __name__ == "__main__":
    main()

"""Tell the ill from the healthy in images, and say how well, with intervals of 95 %.

A threshold that spares 95 % of the healthy is chosen on the validation part, which the search
does not see; how many of the ill it finds is counted on the test part.

    python examples/medical_images.py                   # images of nobody, made here
    python examples/medical_images.py --dataset pneumoniamnist.npz --max-time 1h
"""

import argparse

import numpy as np

import kerasnas
from kerasnas.evaluation import Evaluation
from search_spaces.diagnosis import at_threshold, auc_interval, threshold_at
from tflite_export import TFLiteModel


def made(seed: int) -> dict[str, np.ndarray]:
    """Images 28x28 as MedMNIST keeps them: grain, and in one of six a faint lump."""
    print("These images are made: how well they are told says nothing of medicine.")
    rng, places, data = np.random.default_rng(seed), np.indices((28, 28)), {}
    for part, count in (("train", 1200), ("val", 600), ("test", 600)):
        ill = np.arange(count) % 6 == 0
        distances = ((places - rng.uniform(6, 22, (count, 2, 1, 1))) ** 2).sum(axis=1)
        lumps = rng.uniform(20, 60, (count, 1, 1)) * np.exp(-distances / 12)
        images = rng.normal(110, 25, (count, 28, 28)) + lumps * ill[:, None, None]
        data[f"{part}_images"] = images.clip(0, 255).astype(np.uint8)
        data[f"{part}_labels"] = ill[:, None].astype(np.uint8)
    return data


def main(arguments: list[str] | None = None) -> Evaluation:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add = parser.add_argument
    add("--dataset", help="a .npz file as MedMNIST has it, of two classes; 1 is ill")
    add("--max-time", default="10m", help="for everything")
    add("--output", dest="directory", default="searches/medical_images", help="its folder")
    add("--seed", type=int, default=0, help="of all that is drawn")
    options = vars(parser.parse_args(arguments))
    data = np.load(file) if (file := options.pop("dataset")) else made(options["seed"])
    parts = [(data[f"{p}_images"], data[f"{p}_labels"]) for p in ("train", "val", "test")]
    options |= {"class_names": ["healthy", "ill"], "class_weight": "balanced"}
    model = kerasnas.search(parts[0], objective="val_auc", **options)
    result = kerasnas.open_search(options["directory"])
    scores = result.evaluate(parts[2], parts[0])
    print(scores, f"the file: {result.folder / 'model.tflite'}", "model, then file:", sep="\n")
    val, test = (result.read(part) for part in parts[1:])
    for answer in (model.predict_on_batch, TFLiteModel(result.file()).predict):
        chosen, judged = (np.diff(answer(part.x[:]))[:, 0] for part in (val, test))
        at = at_threshold(test.y, judged, threshold_at(val.y, chosen, 0.95))
        print(f"AUC {auc_interval(test.y, judged)}, sensitivity {at.sensitivity}")
        print(f"  at a specificity of {at.specificity}")
    return scores


if __name__ == "__main__":
    main()

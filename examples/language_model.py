"""Learn to write: the next character at each place of a text, asked of the file in the end.

Perplexity is between how many characters it hesitates; the plain method is an n-gram.

    python examples/language_model.py                # Python's own manual
    python examples/language_model.py --dataset novel.txt --max-time 1h
"""

import argparse
from pydoc_data.topics import topics

import numpy as np

import kerasnas
from kerasnas.datasets import open_dataset
from kerasnas.evaluation import Evaluation
from tflite_export import TFLiteModel


def write(result: kerasnas.SearchResult, start: str, count: int, seed: int) -> str:
    """Go on with a text, drawing each character from what the file makes of the last ones."""
    file, rng = TFLiteModel(result.file()), np.random.default_rng(seed)
    tokens = result.preprocessing.tokens([start])[0].tolist()
    for _ in range(count):
        window = np.array(tokens[-file.input.shape[1] :])
        logits = file.predict(window[None])[0, -1]
        logits[:2] = -np.inf  # padding, and what is no character
        tokens.append(np.argmax(logits + 0.7 * rng.gumbel(size=logits.shape)))
    return "".join(result.preprocessing.vocabulary[one] for one in tokens)


def main(arguments: list[str] | None = None) -> Evaluation:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add = parser.add_argument
    add("--dataset", help="a .txt file; by default Python's manual")
    add("--max-time", default="15m", help="for everything")
    add("--output", dest="directory", default="searches/language_model", help="its folder")
    add("--seed", type=int, default=0, help="of all that is drawn")
    options = vars(parser.parse_args(arguments))
    dataset, manual = options.pop("dataset"), "\n".join(topics.values())
    train, test = manual[:400_000], manual[400_000:]
    if dataset:
        train, test, *_ = open_dataset(dataset)
    kerasnas.search(train, task="next_token", split="character", **options)
    result = kerasnas.open_search(options["directory"])
    scores = result.evaluate(test, train)
    print(scores, f"the file: {result.folder / 'model.tflite'}", sep="\n")
    print("it writes:", write(result, test[:200], 300, options["seed"]))
    return scores


if __name__ == "__main__":
    main()

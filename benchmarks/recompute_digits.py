"""Test accuracy of a digits file, recomputed without this library.

Feeds raw pixels through the file's own input quantization and needs only `ai_edge_litert`,
scikit-learn and NumPy. The test part is the fixed one that no search sees.

    python benchmarks/recompute_digits.py demo/model.tflite
"""

import sys

import numpy as np
from ai_edge_litert.interpreter import Interpreter
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split


def main(path: str) -> None:
    """Print the accuracy and the size of the file at `path`."""
    digits = load_digits()
    _, images, _, labels = train_test_split(
        digits.images, digits.target, test_size=0.2, random_state=0, stratify=digits.target
    )
    interpreter = Interpreter(model_path=path)
    interpreter.allocate_tensors()
    taken, given = interpreter.get_input_details()[0], interpreter.get_output_details()[0]
    scale, zero_point = taken["quantization"]
    correct = 0
    for image, label in zip(images, labels, strict=True):
        quantized = np.clip(np.round(image / scale + zero_point), -128, 127).astype(np.int8)
        interpreter.set_tensor(taken["index"], quantized.reshape(taken["shape"]))
        interpreter.invoke()
        correct += int(interpreter.get_tensor(given["index"])[0].argmax() == label)
    with open(path, "rb") as file:
        size = len(file.read())
    print(
        f"{path}: {size:,} bytes, input {taken['dtype'].__name__}, output "
        f"{given['dtype'].__name__}, {correct}/{len(labels)} correct, "
        f"test accuracy {correct / len(labels):.2%}"
    )


if __name__ == "__main__":
    main(sys.argv[1])

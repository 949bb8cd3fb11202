from collections import Counter

import pytest
from ai_edge_litert.interpreter import Interpreter

import tflite_export


def test_operators_and_types_are_those_the_interpreter_sees(content):
    interpreter = Interpreter(model_content=content)
    names = Counter(operator["op_name"] for operator in interpreter._get_ops_details())
    assert tflite_export.operators(content) == names
    assert sum(tflite_export.tensor_dtypes(content).values()) == len(
        interpreter.get_tensor_details()
    )


def test_the_most_frequent_operator_comes_first(content):
    counts = list(tflite_export.operators(content).values())
    assert counts == sorted(counts, reverse=True)


def test_a_path_does_as_well(content, tmp_path):
    path = tmp_path / "m.tflite"
    path.write_bytes(content)
    assert tflite_export.operators(path) == tflite_export.operators(content)


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 a .keras file is a zip archive"])
def test_other_files_are_refused(content):
    with pytest.raises(ValueError, match=r"not a \.tflite file. Received: \d+ bytes"):
        tflite_export.operators(content)

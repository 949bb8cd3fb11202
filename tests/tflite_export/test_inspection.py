from collections import Counter

import pytest
from ai_edge_litert.interpreter import Interpreter

import tflite_export
from tflite_export.conversion import float_file
from tflite_export.inspection import operators_in, precisions
from tflite_export.quantization import quantize


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


def test_operators_are_named_by_what_they_write_and_the_weights_they_read(model):
    content = float_file(model)
    interpreter = Interpreter(model_content=content)
    names = {t["index"]: t["name"] for t in interpreter.get_tensor_details()}
    for found, seen in zip(
        operators_in(content), interpreter._get_ops_details(), strict=False
    ):
        assert found.op == seen["op_name"]
        assert found.outputs == tuple(names[index] for index in seen["outputs"])
        assert set(found.constants) <= {names[index] for index in seen["inputs"]}
        assert len(found.constants) >= found.op.endswith("CONV_2D")


def test_precisions_are_those_of_the_activations(model, x):
    content = float_file(model)
    names = [operator.name for operator in operators_in(content)]
    assert precisions(content) == dict.fromkeys(names, "float32")
    mixed = {names[2]: "int16x8", names[-1]: "float32"}
    assert precisions(quantize(content, "int8", x, mixed=mixed)) == (
        dict.fromkeys(names, "int8") | mixed
    )

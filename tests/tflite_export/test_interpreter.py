import numpy as np
import pytest

import tflite_export
from tflite_export import TensorInfo, TFLiteModel


def test_path_bytes_and_model_give_the_same(content, x, tmp_path):
    path = tmp_path / "m.tflite"
    path.write_bytes(content)
    expected = TFLiteModel(content).predict(x[:5])
    for source in (path, str(path), content):
        np.testing.assert_array_equal(tflite_export.run(source, x[:5]), expected)


def test_outputs_are_whole_steps_of_the_output_scale(content, x):
    file = TFLiteModel(content)
    steps = file.predict(x) / file.output.scale
    np.testing.assert_allclose(steps, np.rint(steps), atol=1e-4)
    assert len(np.unique(np.rint(steps))) > 20


def test_inputs_beyond_the_range_saturate(content, x):
    file = TFLiteModel(content)
    high = np.full_like(x[:1], 1.0)
    np.testing.assert_array_equal(file.predict(100 * high), file.predict(high))


def test_no_inputs_give_no_outputs(content, x):
    assert TFLiteModel(content).predict(x[:0]).shape == (0, 3)


def test_inputs_of_another_shape_are_refused(content, x):
    with pytest.raises(ValueError, match=r"\('n', 8, 8, 1\).*Received: shape \(8, 8, 1\)"):
        TFLiteModel(content).predict(x[0])


def test_a_missing_file_is_said_to_be_missing(tmp_path):
    with pytest.raises(FileNotFoundError):
        TFLiteModel(tmp_path / "none.tflite")


def test_tensor_info_reads_well():
    info = TensorInfo("image", "int8", (1, 8, 8, 1), 0.5, -128)
    assert str(info) == "int8 (1, 8, 8, 1), scale 0.5, zero point -128"
    assert str(TensorInfo("image", "float32", (1,), None, None)) == "float32 (1,)"

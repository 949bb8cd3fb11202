import io
import struct
import zipfile

import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.interpreter import Interpreter

from tflite_export import run
from tflite_export.metadata import read_metadata, with_metadata

LABELS = ["crème brûlée", "7", 'a "b"']


class Table:
    """A FlatBuffer table read by the format's description, with no library."""

    def __init__(self, data, position):
        self.data, self.position = data, position
        self.vtable = position - struct.unpack_from("<i", data, position)[0]

    def at(self, slot):
        (length,) = struct.unpack_from("<H", self.data, self.vtable)
        if 4 + 2 * slot >= length:
            return None
        (offset,) = struct.unpack_from("<H", self.data, self.vtable + 4 + 2 * slot)
        return self.position + offset if offset else None

    def number(self, slot, kind):
        return struct.unpack_from(f"<{kind}", self.data, self.at(slot))[0]

    def follow(self, place):
        return place + struct.unpack_from("<I", self.data, place)[0]

    def text(self, slot):
        start = self.follow(self.at(slot))
        (length,) = struct.unpack_from("<I", self.data, start)
        return self.data[start + 4 : start + 4 + length].decode()

    def table(self, slot):
        return Table(self.data, self.follow(self.at(slot)))

    def tables(self, slot):
        start = self.follow(self.at(slot))
        (length,) = struct.unpack_from("<I", self.data, start)
        places = (start + 4 + 4 * i for i in range(length))
        return [Table(self.data, self.follow(place)) for place in places]

    def floats(self, slot):
        start = self.follow(self.at(slot))
        (length,) = struct.unpack_from("<I", self.data, start)
        return list(struct.unpack_from(f"<{length}f", self.data, start + 4))


@pytest.fixture(scope="module")
def described(content):
    return with_metadata(
        content,
        labels=LABELS,
        input="A grey image of 8x8 pixels.",
        output="A score a class.",
        normalisation=(127.5, 63.75),
        value_range=(0, 255),
        name="sweets",
        description="Tells sweets apart.",
        version="2",
        author="A. Author",
        license="Apache-2.0",
    )


def entry(described):
    model = schema.ModelT.InitFromObj(schema.Model.GetRootAs(described))
    (found,) = [each for each in model.metadata if each.name == b"TFLITE_METADATA"]
    return bytes(model.buffers[found.buffer].data)


def test_the_entry_is_as_the_public_schema_has_it(described):
    data = entry(described)
    assert data[4:8] == b"M001"
    model = Table(data, struct.unpack_from("<I", data)[0])
    texts = ["sweets", "Tells sweets apart.", "2", None, "A. Author", "Apache-2.0"]
    assert [model.text(i) for i in (0, 1, 2, 4, 5)] == [t for t in texts if t]
    assert model.text(7) == "1.0.0"
    (graph,) = model.tables(3)
    (source,), (target,) = graph.tables(2), graph.tables(3)
    assert [source.text(0), source.text(1)] == ["image", "A grey image of 8x8 pixels."]
    content = source.table(3)
    assert content.number(0, "b") == 2  # ImageProperties
    assert content.table(1).number(0, "b") == 2  # GRAYSCALE
    size = content.table(1).table(1)
    assert (size.number(0, "I"), size.number(1, "I")) == (8, 8)
    (unit,) = source.tables(4)
    assert unit.number(0, "b") == 1  # NormalizationOptions
    assert (unit.table(1).floats(0), unit.table(1).floats(1)) == ([127.5], [63.75])
    assert (source.table(5).floats(0), source.table(5).floats(1)) == ([255.0], [0.0])
    assert [target.text(0), target.text(1)] == ["output", "A score a class."]
    assert target.table(3).number(0, "b") == 1  # FeatureProperties
    (file,) = target.tables(6)
    assert file.text(0) == "labels.txt"
    assert file.number(2, "b") == 2  # TENSOR_AXIS_LABELS


def test_the_labels_are_in_an_archive_whose_offsets_count_from_the_files_start(described):
    with zipfile.ZipFile(io.BytesIO(described)) as archive:
        (info,) = archive.infolist()
        assert archive.read("labels.txt").decode().split("\n") == [*LABELS, ""]
    assert info.compress_type == zipfile.ZIP_STORED
    assert described[info.header_offset :][:4] == b"PK\x03\x04"
    # The directory's own pointer, which readers other than Python's rely on.
    directory = struct.unpack_from("<I", described, described.rindex(b"PK\x05\x06") + 16)[0]
    assert described[directory:][:4] == b"PK\x01\x02"


def test_what_is_written_is_read(described, tmp_path):
    path = tmp_path / "m.tflite"
    path.write_bytes(described)
    told = read_metadata(path)
    assert told["labels"] == LABELS
    assert told["name"] == "sweets"
    assert told["license"] == "Apache-2.0"
    assert told["input"] == {
        "name": "image",
        "description": "A grey image of 8x8 pixels.",
        "content": "image",
        "color_space": "grayscale",
        "mean": [127.5],
        "std": [63.75],
        "min": [0.0],
        "max": [255.0],
    }
    assert told["output"]["description"] == "A score a class."


def test_the_file_computes_what_it_did_and_names_its_signature(content, described, x):
    np.testing.assert_array_equal(run(described, x[:20]), run(content, x[:20]))
    interpreter = Interpreter(model_content=described)
    assert interpreter.get_signature_list() == {
        "serving_default": {"inputs": ["image"], "outputs": ["output"]}
    }


def test_weights_stay_aligned_and_unchanged(content, described):
    before, after = schema.Model.GetRootAs(content), schema.Model.GetRootAs(described)
    start = np.frombuffer(described, np.uint8).ctypes.data
    shared = 0
    for index in range(before.BuffersLength()):
        weights, kept = before.Buffers(index), after.Buffers(index)
        assert weights.DataLength() == kept.DataLength()
        if weights.DataLength():
            assert (kept.DataAsNumpy().ctypes.data - start) % 16 == 0
            assert np.array_equal(weights.DataAsNumpy(), kept.DataAsNumpy())
            shared += 1
    assert shared > 5


def test_writing_again_replaces_what_was_there(content, described):
    again = with_metadata(described, labels=["a", "b", "c"])
    assert again == with_metadata(content, labels=["a", "b", "c"])
    assert read_metadata(again)["labels"] == ["a", "b", "c"]
    assert again.count(b"PK\x05\x06") == 1


def test_a_file_without_a_signature_is_given_one(content):
    model = schema.ModelT.InitFromObj(schema.Model.GetRootAs(content))
    model.signatureDefs = None
    import flatbuffers

    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), file_identifier=b"TFL3")
    written = with_metadata(bytes(builder.Output()))
    assert Interpreter(model_content=written).get_signature_list() == {
        "serving_default": {"inputs": ["input"], "outputs": ["output"]}
    }


def test_without_labels_there_is_no_archive(content):
    written = with_metadata(content, image=False)
    assert not zipfile.is_zipfile(io.BytesIO(written))
    told = read_metadata(written)
    assert told["labels"] == told["input"]["min"] == []
    assert told["input"]["content"] == "features"
    assert (told["input"]["mean"], told["input"]["std"]) == ([0.0], [1.0])


def test_the_microcontroller_runtime_loads_it(described, content, x):
    micro = pytest.importorskip("tflite_micro", reason="needs the extra 'micro'")
    outputs = []
    for file in (content, described):
        interpreter = micro.runtime.Interpreter.from_bytes(file)
        details = interpreter.get_input_details(0)
        value = np.zeros(details["shape"], details["dtype"])
        interpreter.set_input(value, 0)
        interpreter.invoke()
        outputs.append(interpreter.get_output(0))
    np.testing.assert_array_equal(*outputs)


def test_the_npu_compiler_loads_it(described, tmp_path):
    pytest.importorskip("ethosu.vela", reason="needs the extra 'npu'")
    from edge_devices import npu

    assert npu.npu(described, "ethos-u55-128").cycles > 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"labels": ["a", "b"]}, "one label for each of the file's 3 outputs"),
        ({"labels": ["a", "b\nc", "d"]}, "one line of text"),
        ({"labels": ["a", " ", "d"]}, "one line of text"),
        ({"normalisation": (0, 0)}, "not zero"),
        ({"normalisation": ([1, 2], 1)}, "for each of 1 channels"),
        ({"normalisation": (float("nan"), 1)}, "not zero"),
    ],
)
def test_what_does_not_fit_is_refused(content, arguments, message):
    with pytest.raises(ValueError, match=message):
        with_metadata(content, **arguments)


def test_what_is_no_file_or_has_no_metadata_is_refused(content):
    with pytest.raises(ValueError, match=r"not a \.tflite file"):
        with_metadata(b"PK\x03\x04 and so on")
    with pytest.raises(ValueError, match="has no metadata"):
        read_metadata(content)

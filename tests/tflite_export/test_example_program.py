import re
import subprocess
import sys

import numpy as np
import pytest

import tflite_export
from tflite_export.example_program import example_program
from tflite_export.metadata import read_metadata, with_metadata

LABELS = ["crème", 'a "quoted\\" one', "third"]


def ran(folder, *arguments, fails=False):
    """What the program prints, run where nothing of this library can be imported."""
    command = [sys.executable, "-I", str(folder / "example.py"), *map(str, arguments)]
    done = subprocess.run(command, cwd="/", capture_output=True, text=True, check=False)
    assert (done.returncode != 0) is fails, done.stderr
    return done.stderr if fails else done.stdout


def written(folder, content, labels=(), sample=None, inside=True, **about):
    described = with_metadata(content, labels=labels, **about)
    metadata = read_metadata(described)
    (folder / "model.tflite").write_bytes(described if inside else content)
    program = example_program(
        metadata, (1, 8, 8, 1), labels=() if inside else labels, sample=sample
    )
    (folder / "example.py").write_text(program)
    return program


@pytest.mark.parametrize("inside", [True, False])
def test_it_prints_the_labels_of_the_largest_outputs(content, x, tmp_path, inside):
    program = written(tmp_path, content, LABELS, inside=inside)
    assert not re.search(r"import (kerasnas|tflite_export|tensorflow|keras)", program)
    assert ("zipfile" in program) is inside
    np.save(tmp_path / "a.npy", x[0])
    np.save(tmp_path / "b.npy", x[1, :, :, 0])  # without its channel
    printed = ran(tmp_path, tmp_path / "a.npy", tmp_path / "b.npy").splitlines()
    expected = tflite_export.run(content, x[:2])
    assert len(printed) == 6
    for scores, lines in zip(expected, (printed[:3], printed[3:]), strict=True):
        for line, index in zip(lines, np.argsort(-scores), strict=True):
            label, score = line.split("\t")
            assert label == LABELS[index]
            assert float(score) == pytest.approx(scores[index], rel=1e-3)


def test_it_normalises_as_the_metadata_say(content, x, tmp_path):
    written(tmp_path, content, LABELS, normalisation=(0.5, 2.0))
    np.save(tmp_path / "a.npy", 2 * x[0] + 0.5)
    scores = tflite_export.run(content, x[:1])[0]
    first = ran(tmp_path, tmp_path / "a.npy").splitlines()[0]
    assert first.split("\t")[0] == LABELS[scores.argmax()]
    assert float(first.split("\t")[1]) == pytest.approx(scores.max(), abs=0.02)


def test_without_labels_it_prints_numbers(content, x, tmp_path):
    program = written(tmp_path, content, sample="example.npy")
    assert "LABELS" not in program
    np.save(tmp_path / "example.npy", x[0])
    numbers = [float(word) for word in ran(tmp_path).split()]
    assert numbers == pytest.approx(tflite_export.run(content, x[:1])[0].tolist(), rel=1e-4)


def test_without_an_input_it_says_how_it_is_run(content, tmp_path):
    program = written(tmp_path, content, LABELS, value_range=(0, 16), input="Two\nlines.")
    assert "example.py array.npy ..." in ran(tmp_path, fails=True)
    assert "PIL" not in program  # pixels of pictures are not from 0 to 16
    assert "# Two lines.\n# Its values are from 0 to 16." in program


def test_it_takes_pictures_where_their_pixels_go_in(content, x, tmp_path):
    image = pytest.importorskip("PIL.Image", reason="needs Pillow")
    program = written(tmp_path, content, LABELS, value_range=(0, 255))
    assert "picture.png" in program
    pixels = (x[0, :, :, 0] * 2).astype(np.uint8)
    image.fromarray(pixels).resize((24, 24), image.Resampling.NEAREST).save(tmp_path / "p.png")
    scores = tflite_export.run(content, pixels[None, :, :, None])[0]
    printed = ran(tmp_path, tmp_path / "p.png").splitlines()
    assert printed[0].split("\t")[0] == LABELS[scores.argmax()]

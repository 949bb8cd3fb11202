"""Texts are read from source files, and no text is in both parts."""

import re

import numpy as np
import pytest

from benchmarks import text


@pytest.fixture(scope="module", params=["manual", "docstrings"])
def language(request):
    return text.language(32, source=request.param)


@pytest.fixture(scope="module")
def origins():
    return text.origins(200)


def decoded(alphabet, tokens):
    characters = "?" + alphabet
    return "".join(characters[token] for token in tokens)


def test_docstrings_are_read_without_running_the_file(tmp_path):
    path = tmp_path / "module.py"
    path.write_text('"""One."""\nraise SystemExit\ndef f():\n    """Two."""\n')
    assert list(text.docstrings(path)) == ["One.", "Two."]


def test_a_file_with_errors_has_no_docstrings(tmp_path):
    path = tmp_path / "module.py"
    path.write_text('"""One."""\ndef f(:\n')
    assert list(text.docstrings(path)) == []


def test_targets_of_a_language_are_its_text_one_character_on(language):
    for part in language:
        np.testing.assert_array_equal(part.x[:, 1:], part.y[:, :-1])
        np.testing.assert_array_equal(part.x[1:, 0], part.y[:-1, -1])
        assert part.x.dtype == part.y.dtype == np.int32
        assert part.y.max() < part.vocabulary


def test_the_alphabet_is_that_of_the_training_text(language):
    train, test = language
    assert set(np.unique(train.x)) <= set(range(1, train.vocabulary))
    assert test.alphabet == train.alphabet
    assert (test.x == 0).mean() < 0.001


def test_language_is_english(language):
    words = re.findall(r"[a-z]+", decoded(language[0].alphabet, language[0].x[:300].ravel()))
    assert {"the", "of", "and", "is"} <= set(words)


def test_no_paragraph_of_a_language_is_in_both_parts(language):
    train, test = (
        {line for line in decoded(part.alphabet, part.x.ravel()).split("\n") if len(line) > 20}
        for part in language
    )
    # What windows cut at the ends of a part may be alike by chance.
    assert len(train & test) <= 1


def test_a_look_at_a_language_has_fewer_windows():
    train, test = text.language(32, most=10)
    assert len(train.x) == len(test.x) == 10


def test_origins_are_balanced(origins):
    for part in origins:
        _, counts = np.unique(part.y, return_counts=True)
        assert len(counts) == 4
        assert len(set(counts)) == 1


def test_no_paragraph_of_the_origins_is_in_both_parts(origins):
    train, test = (set(part.x.tolist()) for part in origins)
    assert len(train) == len(origins[0].x)
    assert not train & test


def test_paragraphs_do_not_tell_the_name_of_their_package(origins):
    for paragraph in origins[0].x:
        assert not re.search(r"\b(numpy|scipy|sklearn|keras|np)\b", paragraph.lower())


def test_the_same_seed_reads_the_same_texts(origins):
    again = text.origins(200)
    for one, two in zip(origins, again, strict=True):
        np.testing.assert_array_equal(one.x, two.x)
        np.testing.assert_array_equal(one.y, two.y)


def test_a_package_that_is_not_there_is_named(monkeypatch):
    monkeypatch.setattr(text, "PACKAGES", ("no_such_package",))
    with pytest.raises(ModuleNotFoundError, match=r"no_such_package.*Install it"):
        text.origins()

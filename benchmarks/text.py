"""English text that is always there: what Python and its packages say about themselves.

For language models, Python's manual or the docstrings of its standard library; for
classification, paragraphs of the docstrings of four packages, with the question which package
they come from. Docstrings are read from source files, so no module is run, and nothing is
stored. Parts are split by topic or module, and no paragraph is there twice, so that nothing in
the test part was seen in training.

How much text there is depends on the versions of Python and of the packages: figures are
comparable on one machine only.
"""

from __future__ import annotations

import ast
import functools
import importlib.util
import re
import sysconfig
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

__all__ = ["PACKAGES", "Language", "Paragraphs", "docstrings", "language", "origins"]

PACKAGES = ("numpy", "scipy", "sklearn", "keras")
"""Where the texts of `origins` come from: the classes, in this order."""

# `turtledemo` opens windows, `encodings` are tables; what is installed is not Python's own.
_LEFT_OUT = ("site-packages", "idlelib", "lib2to3", "turtledemo", "encodings", "__pycache__")
_QUOTES = str.maketrans("\u201c\u201d\u2018\u2019\u2013\u2014", "\"\"''--")
_WORDS = (12, 60)  # of a paragraph that is asked about
_TELLING = re.compile(r"\b(np|numpy|scipy|sp|sklearn|scikit|keras|tf|tensorflow|jax|torch)\b")
_SHARE = 0.1  # of the text that is for testing


class Language(NamedTuple):
    """Windows of a text in which the next character is asked for at each place.

    Attributes:
        x: `(n, length)`, int32: characters by their number in `alphabet`, from 1; 0 is any
            that is not there.
        y: `(n, length)`, int32: the same, one character on.
        alphabet: The characters of the training text.
    """

    x: NDArray[np.int32]
    y: NDArray[np.int32]
    alphabet: str

    @property
    def vocabulary(self) -> int:
        """Number of tokens: the alphabet, and the one for all others."""
        return len(self.alphabet) + 1


class Paragraphs(NamedTuple):
    """Texts and the number of the package each comes from.

    Attributes:
        x: `(n,)` strings.
        y: `(n,)`, int64: index in `PACKAGES`.
    """

    x: NDArray[np.str_]
    y: NDArray[np.int64]


def language(
    length: int = 64, *, source: str = "manual", most: int | None = None, seed: int = 0
) -> tuple[Language, Language]:
    """Read English about Python, character by character.

    White space is a single blank or, between paragraphs, a line break. One topic or module is
    in one part only, and so is each paragraph.

    Args:
        length: Characters of a window; windows follow one another without overlap.
        source: `"manual"` for the language reference, which Python's `help` shows: about
            300,000 characters to train on and 40,000 to test on; `"docstrings"` for those of
            the standard library: four times as many, on more diverse matters.
        most: Windows of each part at most, for a quick look.
        seed: Seeds which topics or modules are for testing.

    Returns:
        Training and test part.
    """
    texts: dict[str, str] = {}
    seen: set[str] = set()
    for name, paragraph in {"manual": _manual, "docstrings": _library}[source]():
        if paragraph.isascii() and paragraph not in seen:
            seen.add(paragraph)
            texts[name] = texts.get(name, "") + paragraph + "\n"
    train, test = _split(texts, seed)
    text = "".join(texts[name] for name in train)
    alphabet = "".join(sorted(set(text)))
    return (
        _windows(text, alphabet, length, most),
        _windows("".join(texts[name] for name in test), alphabet, length, most),
    )


def origins(most: int = 2000, *, seed: int = 0) -> tuple[Paragraphs, Paragraphs]:
    """Read paragraphs of four packages: from which is each?

    Paragraphs have 12 to 60 words, no example code, and no name of a package. Numbers of
    paragraphs are those of the package with the fewest, so that a guess is right in one of
    four.

    Args:
        most: Paragraphs of each package in the training part at most; a third as many are in
            the test part.
        seed: Seeds which modules are for testing, and the order.

    Returns:
        Training and test part.
    """
    parts: tuple[list[list[str]], list[list[str]]] = ([], [])
    seen: set[str] = set()
    for package in PACKAGES:
        texts: dict[str, list[str]] = {}
        for name, paragraph in _read(_folder(package)):
            words = " ".join(re.findall(r"[a-z]+", paragraph.lower()))
            if _is_prose(paragraph) and words not in seen:
                seen.add(words)
                texts.setdefault(name, []).append(paragraph)
        sizes = {name: "".join(found) for name, found in texts.items()}
        for part, names in zip(parts, _split(sizes, seed, 0.25), strict=True):
            part.append([paragraph for name in names for paragraph in texts[name]])
    rng = np.random.default_rng(seed)
    train, test = parts
    return _even(train, most, rng), _even(test, most // 3, rng)


def docstrings(path: Path) -> Iterator[str]:
    """The docstrings of a Python file, which is read and not run; none if it has errors."""
    try:
        tree = ast.parse(path.read_text("utf8"))
    except (SyntaxError, UnicodeDecodeError):
        return
    for node in ast.walk(tree):
        if isinstance(
            node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef
        ):
            text = ast.get_docstring(node)
            if text:
                yield text


def _sources(root: Path) -> list[Path]:
    """Python files in a folder, without tests."""
    return [
        path
        for path in sorted(root.rglob("*.py"))
        if not any(
            part in _LEFT_OUT or part.startswith("test") or part == "conftest"
            for part in path.relative_to(root).with_suffix("").parts
        )
    ]


def _folder(package: str) -> Path:
    """Where a package is installed."""
    found = importlib.util.find_spec(package)
    if found is None or found.origin is None:
        raise ModuleNotFoundError(
            f"The texts of {package} are read from where it is installed. Received: no such "
            f"package. Install it: `pip install {package}`."
        )
    return Path(found.origin).parent


def _manual() -> Iterator[tuple[str, str]]:
    """Topics of the manual, the shortest first: what is in several is of the narrowest."""
    from pydoc_data.topics import topics

    for name in sorted(topics, key=lambda name: (len(topics[name]), name)):
        for paragraph in _paragraphs([topics[name]]):
            yield name, paragraph


def _library() -> Iterator[tuple[str, str]]:
    """Modules and packages of the standard library."""
    for name, paragraph in _read(Path(sysconfig.get_paths()["stdlib"])):
        yield Path(name).with_suffix("").parts[0], paragraph


@functools.cache
def _read(root: Path) -> list[tuple[str, str]]:
    """The paragraphs of all docstrings in a folder, each behind the name of its file."""
    return [
        (str(path.relative_to(root)), paragraph)
        for path in _sources(root)
        for paragraph in _paragraphs(docstrings(path))
    ]


def _paragraphs(texts: Iterable[str]) -> Iterator[str]:
    for text in texts:
        for paragraph in re.split(r"\n\s*\n", text):
            line = re.sub(r"\s+", " ", paragraph.translate(_QUOTES)).strip()
            if len(line) > 20:
                yield line


def _is_prose(paragraph: str) -> bool:
    few, many = _WORDS
    if ">>>" in paragraph or "---" in paragraph or paragraph.startswith(".."):
        return False
    return few <= len(paragraph.split()) <= many and not _TELLING.search(paragraph.lower())


def _split(
    texts: dict[str, str], seed: int, share: float = _SHARE
) -> tuple[list[str], list[str]]:
    """Names of texts to train on, and of others that make about a share of all."""
    names = [name for name in sorted(texts) if texts[name]]
    order = [names[i] for i in np.random.default_rng(seed).permutation(len(names))]
    ends = np.cumsum([len(texts[name]) for name in order])
    count = 1 + int(np.searchsorted(ends, share * ends[-1]))
    return order[count:], order[:count]


def _windows(text: str, alphabet: str, length: int, most: int | None) -> Language:
    codes = np.zeros(128, np.int32)
    codes[[ord(character) for character in alphabet]] = 1 + np.arange(len(alphabet))
    tokens = codes[np.frombuffer(text.encode("ascii"), np.uint8)]
    count = (len(tokens) - 1) // length
    starts = np.arange(count)[:most, None] * length
    places = starts + np.arange(length)
    return Language(tokens[places], tokens[places + 1], alphabet)


def _even(texts: list[list[str]], most: int, rng: np.random.Generator) -> Paragraphs:
    """As many texts of each class, in some order."""
    count = min(most, *(len(found) for found in texts))
    x = [found[i] for found in texts for i in rng.permutation(len(found))[:count]]
    y = np.repeat(np.arange(len(texts)), count)
    order = rng.permutation(len(y))
    return Paragraphs(np.array(x)[order], y[order])

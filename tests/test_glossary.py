"""docs/glossary.md and the code use the same words."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
GLOSSARY = (ROOT / "docs/glossary.md").read_text(encoding="utf-8")
ROWS = re.findall(r"^\| ([^|]+) \| ([^|]+) \| `(\w+)` \|$", GLOSSARY, re.MULTILINE)
FOLDERS = ("fedfin", "edge_client", "aggregator", "export", "benchmarks")
# Everyday words that once stood for something exact.
NOT_TERMS = {"said", "told", "apart", "sure", "evener", "evenness", "worth", "covariances"}
LEGITIMATE = {"score_covariances"}  # between scores: covariances indeed


def identifiers(tree: ast.AST) -> Iterator[str]:
    """Every name that a file defines or uses."""
    for node in ast.walk(tree):
        match node:
            case ast.Name(id=name) | ast.Attribute(attr=name) | ast.arg(arg=name):
                yield name
            case ast.FunctionDef(name=name) | ast.ClassDef(name=name):
                yield name


def words(identifier: str) -> set[str]:
    """`_headWeight` and `head_weight`: head, weight."""
    parts = re.sub(r"([a-z])([A-Z])", r"\1_\2", identifier).lower().split("_")
    return set(filter(None, parts))


FILES = {
    path: path.read_text(encoding="utf-8") for folder in FOLDERS for path in (ROOT / folder).rglob("*.py")
}
NAMES = {path: set(identifiers(ast.parse(text))) for path, text in FILES.items()}


def test_words_of_an_identifier() -> None:
    """In either style."""
    assert words("_toldTwice") == words("told_twice") == {"told", "twice"}


@pytest.mark.parametrize(("term", "name"), [(term, name) for term, _, name in ROWS])
def test_every_term_is_a_name_in_the_code(term: str, name: str) -> None:
    """A glossary of words that nobody uses helps nobody."""
    assert any(name in names for names in NAMES.values()), f"{term}: no {name}"


def test_each_term_has_one_meaning() -> None:
    """No term and no name stands twice."""
    assert len(ROWS) > 25
    assert len({term for term, _, _ in ROWS}) == len({name for _, _, name in ROWS}) == len(ROWS)


def test_no_identifier_is_an_everyday_word_for_something_exact() -> None:
    """What the glossary calls otherwise, the code does, too."""
    found = {
        (str(path.relative_to(ROOT)), name)
        for path, names in NAMES.items()
        for name in names - LEGITIMATE
        if words(name) & NOT_TERMS
    }
    assert sorted(found) == []

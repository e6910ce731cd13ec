"""A file that the documents name is there."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
# A folder of the repository, then a path in it. Other paths in backticks are the reader's own, or of a data set.
OURS = re.compile(r"`((?:fedfin|edge_client|aggregator|export|benchmarks|tests|docs|\.ci)/[\w./-]*)`")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_path_that_a_page_names_exists(page: Path) -> None:
    """Whoever looks for it finds it."""
    named = OURS.findall(page.read_text(encoding="utf-8"))
    assert [path for path in named if not (ROOT / path).exists()] == []


def test_paths_are_found_in_prose() -> None:
    """The pattern sees what the pages write, and leaves the reader's own paths alone."""
    assert OURS.findall(
        "In `docs/protocol.md`, not `images/a.png` nor fedfin/x.py; `fedfin/codec/` too."
    ) == [
        "docs/protocol.md",
        "fedfin/codec/",
    ]

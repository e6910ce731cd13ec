"""The pages build into a site without a dead link, and what stands at the repository's root holds what it must."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

import fedfin

ROOT = Path(__file__).parents[1]


def test_the_site_builds_without_a_dead_link(tmp_path: Path) -> None:
    """README is its front page, every page of docs/ is in it, and search finds them."""
    pytest.importorskip("mkdocs", reason="mkdocs is not installed (make docs)")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", tmp_path]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    pages = {path.stem for path in tmp_path.glob("*.html")}
    assert {path.stem for path in (ROOT / "docs").glob("*.md")} < pages
    front = (tmp_path / "index.html").read_text()
    assert "The first ten minutes" in front
    assert 'href="protocol.html#rounds"' in front
    assert "../README" not in (tmp_path / "events.html").read_text()
    index = json.loads((tmp_path / "search" / "search_index.json").read_text())
    assert {entry["location"].partition(".html")[0] for entry in index["docs"]} >= pages - {"404", "index"}


@pytest.mark.parametrize("name", ["bug", "question"])
def test_who_opens_an_issue_must_say_that_it_holds_no_patient_data(name: str) -> None:
    """Asked at the top, and a box to tick."""
    form = yaml.safe_load((ROOT / f".github/ISSUE_TEMPLATE/{name}.yml").read_text())
    first, *_, last = form["body"]
    assert "No patient data" in first["attributes"]["value"]
    assert last["type"] == "checkboxes"
    assert last["attributes"]["options"][0]["required"]


def test_the_citation_is_of_this_software() -> None:
    """In the format that repositories and reference managers read, with the package's licence."""
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert {"cff-version", "message", "title", "authors"} <= citation.keys()
    assert f'license = "{citation["license"]}"' in (ROOT / "pyproject.toml").read_text()
    assert citation["title"].lower() == fedfin.__name__


def test_contributing_names_targets_that_exist() -> None:
    """`make X` is a target of the Makefile."""
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = set(re.findall(r"make ([a-z-]+)", (ROOT / "CONTRIBUTING.md").read_text()))
    assert named
    assert named <= targets


def test_security_says_what_is_not_protected() -> None:
    """And asks reporters for no patient data."""
    text = (ROOT / "SECURITY.md").read_text()
    assert "what is open" in text
    assert "The aggregator still reads each site's updates" in text
    assert "Send no patient data" in text

"""Formulas of the pages: KaTeX can draw each, and GitHub shows it, too."""

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
KATEX = ROOT / "build/katex/package/dist/katex.min.js"  # `make docs` fetches it
PAGES = sorted((ROOT / "docs").glob("*.md"))
BLOCK = re.compile(r"^```math\n(.*?)^```$", re.MULTILINE | re.DOTALL)
OTHER_BLOCK = re.compile(r"^ *```.*?^ *```$", re.MULTILINE | re.DOTALL)
CODE = re.compile(r"`[^`\n]*`")
IN_A_LINE = re.compile(r"\$(?=\S)([^$\n]+?)(?<=\S)\$")


def in_lines(text: str) -> list[str]:
    """The formulas of a page's prose and tables."""
    return IN_A_LINE.findall(CODE.sub("", OTHER_BLOCK.sub("", text)))


def formulas() -> list[str]:
    """Of all pages."""
    texts = [page.read_text(encoding="utf-8") for page in PAGES]
    return [formula for text in texts for formula in (*BLOCK.findall(text), *in_lines(text))]


def test_formulas_are_found() -> None:
    """In blocks and in lines, and not in code."""
    assert any(r"\arg\min" in formula for formula in formulas())
    assert in_lines("`$PWD` is no formula, $x_m$ is.") == ["x_m"]


@pytest.mark.skipif(not KATEX.is_file() or not shutil.which("node"), reason="KaTeX is not there (make docs)")
def test_katex_draws_every_formula() -> None:
    """One that it cannot read would stand in red on the page."""
    script = f"""
        const katex = require({json.dumps(str(KATEX))});
        for (const formula of {json.dumps(formulas())}) katex.renderToString(formula, {{ strict: "error" }});
    """
    done = subprocess.run(["node", "-e", script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_no_formula_is_broken_over_two_lines(page: Path) -> None:
    """It would not be found here, nor drawn."""
    prose = CODE.sub("", OTHER_BLOCK.sub("", page.read_text(encoding="utf-8")))
    assert [line for line in prose.splitlines() if line.count("$") % 2] == []


def test_github_shows_what_stands_in_a_line() -> None:
    """There Markdown takes a backslash before punctuation away before the formula is read."""
    texts = [page.read_text(encoding="utf-8") for page in PAGES]
    found = [formula for text in texts for formula in in_lines(text) if re.search(r"\\[^a-zA-Z]", formula)]
    assert found == []

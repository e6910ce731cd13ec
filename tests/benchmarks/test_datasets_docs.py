"""docs/datasets.md and the makers of case tables say the same."""

import importlib
import re
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DOCS = (ROOT / "docs" / "datasets.md").read_text()
MAKERS = sorted(
    path.stem for path in (ROOT / "benchmarks" / "cases").glob("*.py") if "make_parser(" in path.read_text()
)
MAKERS.remove("command")


def help_of(maker, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", [maker, "--help"])
    with pytest.raises(SystemExit) as ended:
        importlib.import_module(f"benchmarks.cases.{maker}").main()
    assert ended.value.code == 0
    return capsys.readouterr().out


@pytest.mark.parametrize("maker", [*MAKERS, "leaks"])
def test_every_maker_has_help_with_an_example(maker, monkeypatch, capsys):
    """Under the name by which it is called."""
    said = help_of(maker, monkeypatch, capsys)
    assert f"usage: python -m benchmarks.cases.{maker} " in said
    assert f"example:\n  python -m benchmarks.cases.{maker} " in said


@pytest.mark.parametrize("maker", MAKERS)
def test_every_maker_is_in_the_docs_table(maker):
    """In a row of its own."""
    assert re.search(rf"^\| .* \| `{maker}` \| ", DOCS, re.MULTILINE)


@pytest.mark.parametrize("command", re.findall(r"python -m benchmarks\.cases\.([a-z_0-9]+ [^`\n]*)", DOCS))
def test_the_docs_commands_name_options_that_are_there(command, monkeypatch, capsys):
    """Of the maker that they call."""
    maker, *words = command.split()
    said = help_of(maker, monkeypatch, capsys)
    assert all(word in said for word in words if word.startswith("--"))

"""docs/events.md lists every event of `edge run` and `aggregator serve`, with its fields, and no other."""

import ast
import dataclasses
import io
import re
from pathlib import Path
from typing import NamedTuple

import pytest
from rich.console import Console

from fedfin.command_line.progress import Lines, RoundBar
from fedfin.protocol.rounds.effects import Stalled, Throttled
from fedfin_edge.agent.costs import Costs

ROOT = Path(__file__).parents[2]
DOC = (ROOT / "docs" / "events.md").read_text(encoding="utf-8")
SERVE = ROOT / "aggregator" / "fedfin_aggregator" / "serve"
INTAKE = ROOT / "edge_client" / "fedfin_edge" / "intake"
SOURCES = {
    "A site": sorted({*(ROOT / "edge_client" / "fedfin_edge").rglob("*.py")} - {*INTAKE.glob("*.py")}),
    "The intake": sorted(INTAKE.glob("*.py")),
    "The aggregator": sorted({*SERVE.glob("*.py")} - {*SERVE.glob("shard*.py")}),
    "A shard": [*SERVE.glob("shard*.py"), SERVE / "incoming.py", SERVE / "shell.py"],
}
OPEN = "and its results"  # fields that a round's metrics name
OF_A_DATACLASS = {"costs": Costs, "stalled": Stalled, "throttled": Throttled}  # `asdict` of one of these


class Event(NamedTuple):
    """A row of the page, or a call in the code."""

    name: str
    fields: frozenset[str]


def _calls(tree: ast.Module) -> list[ast.Call]:
    """Every report("name", facts), by whatever name the function is kept."""
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call) and len(node.args) == 2]
    return [
        call
        for call in calls
        if (call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", ""))
        in {"report", "_report"}
    ]


def _fields(facts: ast.expr, tree: ast.Module, event: str) -> set[str]:
    """The keys of an expression: a literal, one that has a name in the module, a dataclass, or several joined."""
    match facts:
        case ast.Dict(keys=keys):
            return {ast.literal_eval(key) for key in keys}
        case ast.BinOp(left=left, right=right):
            return _fields(left, tree, event) | _fields(right, tree, event)
        case ast.Name(id=name):
            values = [
                node.value
                for node in ast.walk(tree)
                if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == name
            ]
            return _fields(values[0], tree, event)
        case ast.Call(func=ast.Name(id="asdict")):
            return {field.name for field in dataclasses.fields(OF_A_DATACLASS[event])}
        case ast.Call(func=ast.Name(id=name)):
            (function,) = [
                node for node in tree.body if isinstance(node, ast.FunctionDef) and node.name == name
            ]
            return _fields(function.body[-1].value, tree, event)
        case _:
            return {OPEN}


def _in_the_code(paths: list[Path]) -> set[Event]:
    events = set()
    for path in paths:
        tree = ast.parse(path.read_text(encoding="utf-8"))
        for call in _calls(tree):
            name = ast.literal_eval(call.args[0])
            events.add(Event(name, frozenset(_fields(call.args[1], tree, name))))
    return events


def _rows(title: str) -> list[list[str]]:
    section = DOC[DOC.index(f"## {title}\n") :].partition("\n## ")[0]
    return [line.strip("|").split("|") for line in section.splitlines() if line.startswith("| `")]


def _fields_of(cell: str) -> frozenset[str]:
    """Names that stand before a colon; what they may hold, after it, can be in backticks, too."""
    named = {name for part in cell.split(";") for name in re.findall(r"`([^`]+)`", part.partition(":")[0])}
    return frozenset(named | ({OPEN} if OPEN in cell else set()))


def _in_the_docs(title: str) -> set[Event]:
    return {Event(row[0].split("`")[1], _fields_of(row[1])) for row in _rows(title)}


@pytest.mark.parametrize("title", SOURCES)
def test_every_event_is_documented_with_its_fields_and_no_other_is(title: str) -> None:
    """Both ways, so that neither the code nor the page knows more."""
    code = _in_the_code(SOURCES[title])
    assert code
    assert _in_the_docs(title) == code


@pytest.mark.parametrize("title", SOURCES)
def test_every_row_says_when_and_what_to_do(title: str) -> None:
    """Nothing is left blank, and no event has two rows."""
    rows = _rows(title)
    assert all(len(row) == 4 and all(cell.strip() for cell in row) for row in rows)
    assert len({row[0] for row in rows}) == len(rows)


@pytest.mark.parametrize("title", SOURCES)
def test_what_is_marked_as_a_line_is_printed_as_one(title: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """By the reporter that the commands use without --json, into systemd's journal: no terminal, and no time."""
    monkeypatch.setenv("JOURNAL_STREAM", "9:27")
    for row in _rows(title):
        name, fields = row[0].split("`")[1], _fields_of(row[1]) - {OPEN}
        log = io.StringIO()
        lines = Lines(log) if title == "The intake" else RoundBar(Console(file=log, width=500), total=3)
        lines(name, dict.fromkeys(fields, 0))
        assert ("**line**" in row[0]) == log.getvalue().startswith((f"{name}: ", f"{name}\n")), name

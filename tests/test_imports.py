"""Imports run one way, and light parts stay light."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
# package -> its folder, and our packages that it may import
MAY = {
    "fedfin": ("fedfin", set()),
    "fedfin_aggregator": ("aggregator/fedfin_aggregator", {"fedfin"}),
    "fedfin_edge": ("edge_client/fedfin_edge", {"fedfin"}),
    "fedfin_export": ("export/fedfin_export", {"fedfin"}),
}
HEAVY = {"torch", "onnxruntime", "onnx", "PIL", "pydicom", "tokenizers", "transformers", "amqtt"}
RSS_MB = 60


def _imported(source: str) -> set[str]:
    """Top-level packages of every import statement, wherever it stands."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            names.add(node.module or "")
    return {name.partition(".")[0] for name in names}


def test_the_checker_sees_imports_anywhere() -> None:
    """At the top, inside functions, in both forms."""
    assert _imported("import a.b\ndef f():\n    from c.d import e\n    import g as h") == {"a", "c", "g"}


@pytest.mark.parametrize("package", MAY)
def test_a_package_imports_only_what_it_may(package: str) -> None:
    """edge, aggregator, export -> fedfin; never across, never back."""
    folder, may = MAY[package]
    files = sorted((ROOT / folder).rglob("*.py"))
    assert files
    for path in files:
        ours = _imported(path.read_text(encoding="utf-8")) & set(MAY) - {package}
        assert ours <= may, f"{path.relative_to(ROOT)} imports {sorted(ours - may)}"


def test_only_the_fusion_room_of_fedfin_imports_torch() -> None:
    """What both ends share runs where torch is not installed."""
    importers = {
        path.relative_to(ROOT / "fedfin").parts[0]
        for path in (ROOT / "fedfin").rglob("*.py")
        if "torch" in _imported(path.read_text(encoding="utf-8"))
    }
    assert importers == {"fusion"}


def _run(code: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd=ROOT, timeout=60
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.mark.parametrize(
    ("modules", "banned"),
    [
        ("fedfin.command_line.main", HEAVY | {"numpy"}),
        ("fedfin_aggregator.cli, fedfin_aggregator.serve.server", HEAVY),
        ("fedfin_edge.cli, fedfin_edge.agent.state, fedfin_edge.agent.explain_update", HEAVY),
        ("fedfin_edge.predict.predictor, fedfin_edge.commands.predict", {"torch", "onnx", "transformers"}),
        ("fedfin_export.cli", HEAVY),
    ],
)
def test_light_parts_load_nothing_heavy(modules: str, banned: set[str]) -> None:
    """In a fresh process, whatever the imports are called."""
    loaded = set(
        _run(f"import sys, {modules}; print(*{{name.partition('.')[0] for name in sys.modules}})").split()
    )
    assert modules.partition(".")[0] in loaded
    assert not loaded & banned


def test_the_aggregator_is_small() -> None:
    """Peak resident memory of a process that has only imported the server.

    From /proc, not ru_maxrss: that one is inherited from the process that starts this one.
    """
    code = "import fedfin_aggregator.serve.server; print(open('/proc/self/status').read())"
    (line,) = [line for line in _run(code).splitlines() if line.startswith("VmHWM:")]
    assert int(line.split()[1]) < RSS_MB * 1024


def _modules() -> dict[str, Path]:
    """Every module of ours by its name."""
    found = {}
    for folder, _ in MAY.values():
        for path in (ROOT / folder).rglob("*.py"):
            parts = path.relative_to((ROOT / folder).parent).with_suffix("").parts
            found[".".join(parts).removesuffix(".__init__")] = path
    return found


def _edges(modules: dict[str, Path]) -> dict[str, set[str]]:
    """Module -> the modules of ours that it imports."""
    edges: dict[str, set[str]] = {name: set() for name in modules}
    for name, path in modules.items():
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom):
                named = {f"{node.module}.{alias.name}" for alias in node.names}
                edges[name] |= {n if n in modules else node.module for n in named}
            elif isinstance(node, ast.Import):
                edges[name] |= {alias.name for alias in node.names}
        edges[name] = edges[name] & modules.keys() - {name}
    return edges


def _circle(edges: dict[str, set[str]]) -> list[str]:
    """What is left when everything that imports nothing that is left has been taken away, again and again."""
    left = dict(edges)
    while free := [name for name, to in left.items() if not to & left.keys()]:
        for name in free:
            del left[name]
    return sorted(left)


def test_the_circle_finder_finds_circles() -> None:
    """And nothing where imports run one way."""
    assert _circle({"a": {"b"}, "b": {"c"}, "c": set()}) == []
    assert _circle({"a": {"b"}, "b": {"a"}, "c": set()}) == ["a", "b"]


def test_no_file_and_no_room_imports_in_a_circle() -> None:
    """Rooms are the folders below a package."""
    edges = _edges(_modules())
    assert len(edges) > 150
    assert _circle(edges) == []
    rooms: dict[str, set[str]] = {}
    for name, to in edges.items():
        room = ".".join(name.split(".")[:2])
        rooms.setdefault(room, set()).update(".".join(one.split(".")[:2]) for one in to)
        rooms[room].discard(room)
    assert _circle(rooms) == []

"""README's commands run, in its order, on a machine that has nothing but them."""

import re
import shlex
from pathlib import Path

import pytest
from federation import broker, fedfin, set_up, start

from fedfin.command_line.main import main
from fedfin.demo.synthetic import make_cases

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()
STAND_IN = "mqtt://broker.example:1883"


def commands() -> list[str]:
    """Every line of README's ```sh blocks."""
    return [
        line
        for block in re.findall(r"```sh\n(.*?)```", README, re.DOTALL)
        for line in block.strip().splitlines()
    ]


def find(start_: str) -> str:
    """The one command that starts so."""
    (command,) = [line for line in commands() if line.startswith(start_)]
    return command


def words(command: str, url: str, site: str = "st-mary") -> list[str]:
    """Its arguments, with this test's broker and, for a second site, another name."""
    line = command.partition(">")[0].replace(STAND_IN, url).replace("st-mary", site)
    return shlex.split(line)[1:]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What README's user has: images to calibrate on, cases, one image."""
    table = make_cases(tmp_path / "made", 40, 1)
    (tmp_path / "xrays").symlink_to(tmp_path / "made" / "images")
    (tmp_path / "images").symlink_to(tmp_path / "made" / "images")
    (tmp_path / "cases.csv").write_text(table.read_text())
    (tmp_path / "chest.png").write_bytes(next((tmp_path / "made" / "images").glob("*.png")).read_bytes())
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_first_ten_minutes_work_as_written(folder: Path) -> None:
    """Coordinator and two hospitals follow README to the letter, over the embedded broker, to a prediction."""
    with broker("embedded", folder) as url:

        def run(start_: str, site: str = "st-mary") -> str:
            return fedfin(*words(find(start_), url, site)).stdout

        def export(start_: str) -> None:
            set_up(*words(find(start_), url))  # here, where torch is imported already

        export("fedfin export encoder --preset efficientnet-lite0")
        export("fedfin export encoder --preset minilm-l6")
        draft = run("fedfin aggregator draft").replace("count = 20", "count = 2")
        (folder / "plan.toml").write_text(draft)
        run("fedfin aggregator init")
        for site in ("st-mary", "st-john"):
            run("fedfin edge init", site)
            run("fedfin edge encode", site)
        running = [start(*words(find("fedfin aggregator serve"), url), log=folder / "serve.log")]
        running += [
            start(*words(find("fedfin edge run"), url, site), log=folder / f"{site}.log")
            for site in ("st-mary", "st-john")
        ]
        try:
            assert [process.wait(120) for process in running] == [0, 0, 0], (folder / "serve.log").read_text()
        finally:
            for process in running:
                process.kill()
        assert "macro AUC" in run("fedfin aggregator show")
        export("fedfin export model")
        assert "eval." in run("fedfin edge explain-update")
        assert "imputed: text" in run("fedfin edge predict")
        assert "macro" in run("fedfin edge evaluate")
    followed = "export encoder|export model|aggregator|edge"
    assert all(re.match(rf"fedfin ({followed})", command) for command in commands())


def test_readme_names_make_targets_that_exist() -> None:
    """`make X` in README is a target of the Makefile."""
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = set(re.findall(r"make (demo|test|check|[a-z]+)\b(?=`| |\n)", README))
    assert {"demo", "test", "check"} <= named & targets


def test_where_things_are_names_every_room_and_no_other() -> None:
    """A room: a folder that Python files are in, down to the packages' own."""
    section = README[README.index("## Where things are") :].partition("\nDocs:")[0]
    rows = [line.split("|")[1] for line in section.splitlines() if line.startswith("| `")]
    named = {folder for row in rows for folder in re.findall(r"`([^`]+)/`", row)}
    packages = ("fedfin", "edge_client/fedfin_edge", "aggregator/fedfin_aggregator", "export/fedfin_export")
    rooms = {
        path.parent.relative_to(ROOT).as_posix() for name in packages for path in (ROOT / name).rglob("*.py")
    }
    assert named == rooms | {"examples", "benchmarks", "tests", "fuzz", "docs"}


def test_files_that_where_things_are_points_at_are_in_their_rooms() -> None:
    """A name in a row is a file in that row's folder."""
    section = README[README.index("## Where things are") :].partition("\nDocs:")[0]
    named = re.findall(r"^\| `([^`]+)/` \|(.*)$", section, re.MULTILINE)
    files = [ROOT / room / name for room, text in named for name in re.findall(r"`(\w+\.py)`", text)]
    assert files
    assert [path for path in files if not path.is_file()] == []


@pytest.mark.parametrize(
    "command",
    [
        "",
        "demo",
        "export",
        "edge",
        "aggregator",
        "export encoder",
        "export model",
        "aggregator draft",
        "aggregator init",
        "aggregator serve",
        "aggregator show",
        "aggregator model",
        "broker",
        "broker kit",
        "broker check",
        "edge init",
        "edge encode",
        "edge run",
        "edge predict",
        "edge evaluate",
        "edge explain-update",
    ],
)
def test_every_command_has_help_with_an_example(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    """--help answers, and shows how the command is used."""
    with pytest.raises(SystemExit, match="0"):
        main([*command.split(), "--help"])
    told = capsys.readouterr().out
    assert "example" in told
    assert f"fedfin {command}" in told

"""README's commands run, in its order, on a machine that has nothing but them."""

import re
import shlex
from pathlib import Path

import pytest
from federation import fedfin, need_mosquitto, set_up, start
from kit_broker import KitBroker

from fedfin.command_line.main import main
from fedfin.demo.processes import free_port
from fedfin.demo.synthetic import make_cases
from fedfin.trust.request import read_request
from fedfin_aggregator.coordinator import Coordinator

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()
STAND_IN = "broker.example"
SITES = ("st-mary", "st-john")


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


def words(command: str, host: str, site: str = "st-mary") -> list[str]:
    """Its arguments, with this test's broker and, for a second site, another name."""
    line = command.partition(">")[0].replace(STAND_IN, host).replace("st-mary", site)
    return shlex.split(line)[1:]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What README's users have: images to calibrate on, cases, one image, a list of sites, a folder for requests."""
    table = make_cases(tmp_path / "made", 80, 1)  # a held-out fifth of them above the floor
    (tmp_path / "xrays").symlink_to(tmp_path / "made" / "images")
    (tmp_path / "images").symlink_to(tmp_path / "made" / "images")
    (tmp_path / "cases.csv").write_text(table.read_text())
    (tmp_path / "chest.png").write_bytes(next((tmp_path / "made" / "images").glob("*.png")).read_bytes())
    (tmp_path / "sites.txt").write_text("\n".join(SITES))
    (tmp_path / "requests").mkdir()
    (tmp_path / "data").mkdir()
    monkeypatch.chdir(tmp_path)
    return tmp_path


def fingerprints(*names: str) -> list[str]:
    """What these parties read to the coordinator by telephone."""
    keys = [read_request(Path(f"requests/{name}.request")).keys.fingerprint for name in names]
    return [word for key in keys for word in ("--fingerprint", key)]


@pytest.mark.broker
def test_the_first_ten_minutes_work_as_written(folder: Path) -> None:
    """All of README's people follow it to the letter, over mosquitto from the kit, to a prediction."""
    need_mosquitto()
    kit = KitBroker(folder, free_port())
    host = f"localhost:{kit.port}"

    def run(start_: str, *more: str, site: str = "st-mary") -> str:
        return fedfin(*words(find(start_), host, site), *more).stdout

    def here(start_: str, *more: object) -> None:
        set_up(*words(find(start_), host), *more)  # in this process, where much is imported already

    here("fedfin export encoder --preset efficientnet-lite0")
    here("fedfin export encoder --preset minilm-l6")
    draft = run("fedfin aggregator draft").replace("count = 40", "count = 2")
    (folder / "plan.toml").write_text(draft)
    here("fedfin aggregator init")
    here("fedfin aggregator request")
    for site in SITES:
        run("fedfin edge init", site=site)
        run("fedfin edge encode", site=site)
        run("fedfin edge request", site=site)
    place = ("--port", kit.port, "--etc", folder / "kit/broker", "--data", folder / "data")
    set_up(*words(find("fedfin broker kit"), "localhost"), *place)
    here("fedfin aggregator charter", *fingerprints("aggregator"))
    here("fedfin aggregator admit", *fingerprints(*SITES))
    coordinator = ("--fingerprint", Coordinator(Path("study")).charter.fingerprint)
    here("fedfin aggregator accept", *coordinator)
    for site in SITES:
        assert "what leaves this site" in run("fedfin edge accept", *coordinator, site=site)
    with kit.running():
        run("fedfin edge doctor")
        running = [start(*words(find("fedfin aggregator serve"), host), log=folder / "serve.log")]
        running += [
            start(*words(find("fedfin edge run"), host, site), log=folder / f"{site}.log") for site in SITES
        ]
        try:
            assert [process.wait(120) for process in running] == [0, 0, 0], (folder / "serve.log").read_text()
        finally:
            for process in running:
                process.kill()
    assert "doing: finished" in run("fedfin edge status")
    assert "eval." in run("fedfin edge explain-update")
    assert "each follows from the one before" in run("fedfin edge audit")
    assert "macro AUC" in run("fedfin aggregator show")
    here("fedfin export model")
    assert "imputed: text" in run("fedfin edge predict")
    assert "macro" in run("fedfin edge evaluate")
    followed = "export encoder|export model|aggregator|edge|broker kit"
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
    assert named == rooms | {"debian", "examples", "benchmarks", "tests", "fuzz", "docs"}


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
        "aggregator request",
        "aggregator charter",
        "aggregator admit",
        "aggregator remove",
        "aggregator accept",
        "aggregator audit",
        "aggregator serve",
        "aggregator show",
        "aggregator include",
        "aggregator leave-out",
        "aggregator model",
        "broker",
        "broker kit",
        "broker check",
        "edge init",
        "edge encode",
        "edge request",
        "edge accept",
        "edge review",
        "edge approve",
        "edge doctor",
        "edge status",
        "edge support",
        "edge audit",
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

"""Write a folder of tests/upgrades: a federation of an earlier revision under secure sums, killed in the middle of one.

    python tests/upgrades/write_secure.py REVISION NAME.tar.gz

That revision's own programs and tests, from this repository's history, make it: three sites with keys, invented cases.
The aggregator is killed when it has named the survivors of its second sum, and the sites after it.
"""

import io
import os
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[2]
POINT = "survivors named"
LAST_DAY = "2099-12-31"  # of the charter: the folder is to be read for longer than a year
SECONDS = 120.0
LEFT_OUT = {".log", ".request", ".conf"}
COORDINATOR = "study"


def main() -> None:
    """Of the command line; or, called by it with the earlier revision's modules, the federation itself."""
    if sys.argv[1] == "--inside":
        run(Path(sys.argv[2]))
        return
    revision, out = sys.argv[1:]
    with tempfile.TemporaryDirectory() as folder:
        tree, ward = Path(folder) / "tree", Path(folder) / "ward"
        source(revision, tree)
        ward.mkdir()
        rooms = (".", "edge_client", "aggregator", "tests", "tests/system")
        path = ":".join(str(tree / room) for room in rooms)
        environment = os.environ | {"PYTHONPATH": path}
        command = [sys.executable, __file__, "--inside", str(ward)]
        subprocess.run(command, env=environment, cwd=tree, check=True)
        pack(ward, Path(out))


def source(revision: str, tree: Path) -> None:
    """All that was committed then."""
    words = ["git", "archive", revision]
    archive = subprocess.run(words, cwd=ROOT, capture_output=True, check=True).stdout
    with tarfile.open(fileobj=io.BytesIO(archive)) as files:
        files.extractall(tree, filter="data")


def run(ward: Path) -> None:
    """Until the aggregator is killed; then nobody lives."""
    import crash_point
    from federation import Federation, broker, set_up, start

    from fedfin.plan import Privacy

    with broker("mosquitto", ward) as url:
        federation = Federation(ward, url, keys=True, privacy=Privacy(level="secure"))
        set_up("aggregator", "charter", ward / COORDINATOR, "--until", LAST_DAY)
        set_up("aggregator", "accept", ward / "agg", ward / COORDINATOR / "charter")
        sites = [start("edge", "run", ward / name, log=ward / f"{name}.log") for name in federation.names]
        serve = ["aggregator", "serve", ward / "agg", "--broker", url]
        words = [crash_point.__file__, POINT, "process", ward / "mark.log", *serve]
        try:
            subprocess.run([sys.executable, *map(str, words)], timeout=SECONDS, check=False)  # it is killed
        finally:
            for site in sites:
                site.kill()
                site.wait()
    assert (ward / "mark.log").exists(), f"the aggregator did not come to {POINT!r}"


def pack(ward: Path, out: Path) -> None:
    """All but the coordinator's folder and what only this script wanted; @FOLDER@ stands for where it lay."""
    for settings in ward.glob("*/site.toml"):
        settings.write_text(settings.read_text().replace(str(ward), "@FOLDER@"))
    with tarfile.open(out, "w:gz") as archive:
        archive.add(ward, "ward", filter=wanted)


def wanted(member: tarfile.TarInfo) -> tarfile.TarInfo | None:
    """Owned by nobody in particular."""
    place = Path(member.name)
    if place.suffix in LEFT_OUT or COORDINATOR in place.parts or "admissions" in place.parts:
        return None
    member.uid = member.gid = 0
    member.uname = member.gname = ""
    return member


if __name__ == "__main__":
    main()

"""Scripts of the Debian packages by dpkg itself, beside a systemctl that keeps a list; test-deb has the real one."""

import importlib.util
import os
import shutil
import subprocess
from pathlib import Path
from types import ModuleType

import pytest

CHECKOUT = Path(__file__).parents[1]
CONTROL = """\
Package: {name}
Version: {version}
Architecture: all
Maintainer: the authors of FedFIN <fedfin@localhost>
Description: the scripts of {name}
"""
SYSTEMCTL = """\
#!/bin/sh
case $1 in
    list-units) sed 's/$/ loaded active running FedFIN/' {running} ;;
    stop) sed -i "/^$2$/d" {running} ;;
    start) echo "$2" >> {running} ;;
esac
echo "$1" "$2" >> {calls}
"""


def load(path: str) -> ModuleType:
    """A script of the checkout as a module."""
    spec = importlib.util.spec_from_file_location(Path(path).stem, CHECKOUT / path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class Debian:
    """A system of dpkg's in a folder, its packages, and the services that run."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.run = folder, folder / "run"
        self.running, self.calls = folder / "running", folder / "calls"
        (self.run / "systemd/system").mkdir(parents=True)
        (folder / "root/var/lib/dpkg").mkdir(parents=True)
        (folder / "root/var/lib/dpkg/status").touch()
        (folder / "bin").mkdir()
        program = folder / "bin/systemctl"
        program.write_text(SYSTEMCTL.format(running=self.running, calls=self.calls))
        program.chmod(0o755)

    def package(self, name: str, version: str) -> Path:
        """One with the scripts of ours that look for /run here, and a file."""
        tree = self.folder / f"{name}-{version}"
        (tree / "DEBIAN").mkdir(parents=True)
        (tree / "DEBIAN/control").write_text(CONTROL.format(name=name, version=version))
        build = load("debian/build.py")
        for script in build.SCRIPTS:
            path = tree / "DEBIAN" / script
            path.write_text(build.script(name, script).replace("/run/", f"{self.run}/"))
            path.chmod(0o755)
        (tree / "usr/lib").mkdir(parents=True)
        (tree / "usr/lib" / name).write_bytes(os.urandom(300_000))
        out = tree.with_suffix(".deb")
        subprocess.run(
            ["dpkg-deb", "--build", "--root-owner-group", tree, out], check=True, capture_output=True
        )
        return out

    def install(self, package: Path) -> int:
        """Its exit code."""
        path = {"PATH": f"{self.folder / 'bin'}:/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C.UTF-8"}
        options = [f"--root={self.folder / 'root'}", "--force-script-chrootless", "--log=/dev/null"]
        return subprocess.run(["dpkg", *options, "--install", package], env=path, check=False).returncode


@pytest.fixture
def debian(tmp_path: Path) -> Debian:
    """Nothing is installed yet."""
    if shutil.which("dpkg") is None or os.geteuid() != 0:
        pytest.skip("needs dpkg, and root")
    return Debian(tmp_path)


@pytest.mark.parametrize("name", ["fedfin", "fedfin-edge"])
def test_an_upgrade_that_breaks_off_starts_again_what_it_stopped(debian: Debian, name: str) -> None:
    """The package ends in its middle, as on a full disk. A site runs on the base package, too."""
    assert debian.install(debian.package(name, "1")) == 0
    debian.running.write_text("fedfin-edge@st-mary.service\n")
    cut = debian.package(name, "2")
    os.truncate(cut, 200_000)
    assert debian.install(cut) != 0
    assert "stop fedfin-edge@st-mary.service" in debian.calls.read_text()
    assert debian.running.read_text() == "fedfin-edge@st-mary.service\n"
    assert [path.name for path in debian.run.iterdir()] == ["systemd"]


def test_a_good_upgrade_starts_also_what_one_before_it_left_stopped(debian: Debian) -> None:
    """As when the power failed meanwhile, and not the machine."""
    assert debian.install(debian.package("fedfin-edge", "1")) == 0
    (debian.run / "fedfin-edge.upgrade").write_text("fedfin-intake@st-mary.service\n")
    debian.running.write_text("fedfin-edge@st-mary.service\n")
    assert debian.install(debian.package("fedfin-edge", "2")) == 0
    assert sorted(debian.running.read_text().split()) == [
        "fedfin-edge@st-mary.service",
        "fedfin-intake@st-mary.service",
    ]


def test_the_diff_of_a_file_system_sees_links_where_they_lead_and_what_files_hold(tmp_path: Path) -> None:
    """A service that stays enabled is a link and nothing else."""
    machine = load("tests/packaging/machine.py").Machine(tmp_path, 0)
    settings, wanted = tmp_path / "etc/settings", tmp_path / "etc/wants/fedfin-edge@st-mary.service"
    wanted.parent.mkdir(parents=True)
    settings.write_text("one")
    before = machine.files()
    wanted.symlink_to("/lib/systemd/system/fedfin-edge@.service")
    settings.write_text("two")
    after = machine.files()
    assert after.keys() - before.keys() == {"etc/wants/fedfin-edge@st-mary.service"}
    assert {name for name in before if before[name] != after[name]} == {"etc/settings"}
    wanted.unlink()
    wanted.symlink_to("/dev/null")
    assert machine.files() != after

"""The image at work as its own user, without any right, on a root that cannot be written: by buildah and runc.

    make deb && make test-image        as root; Debian is test-deb's root, the image stays in build/deb/images

In a user namespace, as rootless podman has it: the image's root is nobody on this machine. Without a network: `doctor`
ends with 7, for there is no broker. Ends with 1 where anything else goes wrong.
"""

import contextlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from federation import make_bundle, write_cases
from machine import BUILD, ROOT, make_root

CHECKOUT = Path(__file__).parents[2]
IMAGES = BUILD / "images"
BASE, IMAGE = "localhost/debian:12", "localhost/fedfin"
IDS = 100_000  # the image's users begin here on this machine
HOME = "/var/lib/fedfin"
INSIDE = """\
set -eu
id
grep CapBnd /proc/self/status
if touch /usr/x 2>/dev/null; then echo "the root can be written"; exit 1; fi
fedfin --version
fedfin --help >/dev/null
fedfin edge init st-mary --site st-mary --federation ward --broker mqtt://127.0.0.1 \
  --cases cases.jsonl --bundle bundles/image
fedfin edge encode st-mary
fedfin edge doctor st-mary || test $? = 7
"""


def main() -> int:
    """Make it, run it; the exit code of what runs inside."""
    for tool in ("buildah", "runc"):
        if shutil.which(tool) is None:
            sys.exit(f"{tool} is not installed (apt-get install {tool})")
    make_root()
    make_base()
    options = ["--isolation=chroot", "--file=debian/Containerfile", f"--build-arg=BASE={BASE}"]
    buildah("build", "--quiet", *options, f"--tag={IMAGE}", str(CHECKOUT))
    print(f"{IMAGE}: {buildah('images', '--format={{.Size}}', IMAGE)}", flush=True)
    with tempfile.TemporaryDirectory(dir=BUILD) as name, mounted(Path(name)) as root:
        state = bring(Path(name), root)
        config = configure(Path(name), root, state)
        return subprocess.run(
            ["runc", "run", "--bundle", config.parent, "fedfin-image"], check=False
        ).returncode


def buildah(*words: str) -> str:
    """What it prints; what it keeps is in `IMAGES` alone."""
    storage = ["--root", str(IMAGES / "root"), "--runroot", str(IMAGES / "run")]
    done = subprocess.run(
        ["buildah", *storage, *words], check=True, stdout=subprocess.PIPE, text=True, cwd=CHECKOUT
    )
    return done.stdout.strip()


def make_base() -> None:
    """An image of Debian, of the clean root, once."""
    if BASE in buildah("images", "--format={{.Name}}:{{.Tag}}").splitlines():
        return
    container = buildah("from", "scratch")
    with tempfile.TemporaryDirectory(dir=BUILD) as name:
        archive = Path(name, "debian.tar")
        subprocess.run(["tar", "-C", ROOT, "-cf", archive, "."], check=True)
        buildah("add", "--quiet", container, str(archive), "/")
    buildah("commit", "--quiet", "--rm", container, BASE)


@contextlib.contextmanager
def mounted(folder: Path) -> Iterator[Path]:
    """The image's files, where another user may come to them."""
    folder.chmod(0o755)
    root = folder / "root"
    root.mkdir()
    container = buildah("from", IMAGE)
    try:
        subprocess.run(["mount", "--bind", buildah("mount", container), root], check=True)
        yield root
    finally:
        subprocess.run(["umount", root], check=False)
        buildah("rm", container)


def bring(folder: Path, root: Path) -> Path:
    """The folder that is mounted, the image's user's alone: an encoder and cases."""
    state = folder / "state"
    make_bundle(state / "bundles/image", "image", 6)
    write_cases(state / "cases.jsonl", 1, ("image",))
    user, group = account(root)
    for path in (state, *state.rglob("*")):
        os.chown(path, IDS + user, IDS + group)
    state.chmod(0o700)
    return state


def account(root: Path) -> tuple[int, int]:
    """User and group `fedfin`, as the image numbers them."""
    (line,) = [each for each in (root / "etc/passwd").read_text().splitlines() if each.startswith("fedfin:")]
    _, _, user, group, *_ = line.split(":")
    return int(user), int(group)


def configure(folder: Path, root: Path, state: Path) -> Path:
    """What runc shall do: its own draft, but without rights, with a root that is read alone, and the folder."""
    subprocess.run(["runc", "spec"], cwd=folder, check=True)
    path = folder / "config.json"
    config: dict[str, Any] = json.loads(path.read_text())
    user, group = account(root)
    config["root"] = {"path": str(root), "readonly": True}
    config["process"] |= {
        "terminal": False,
        "user": {"uid": user, "gid": group},
        "capabilities": {},
        "cwd": HOME,
        "args": ["/bin/sh", "-c", INSIDE],
    }
    ids = [{"containerID": 0, "hostID": IDS, "size": 65536}]
    config["linux"] |= {"uidMappings": ids, "gidMappings": ids}
    config["linux"]["namespaces"].append({"type": "user"})
    config["mounts"] = [mount for mount in config["mounts"] if mount["type"] != "cgroup"]
    config["mounts"].append({"type": "bind", "source": str(state), "destination": HOME, "options": ["bind"]})
    path.write_text(json.dumps(config))
    return path


if __name__ == "__main__":
    sys.exit(main())

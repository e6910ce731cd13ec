"""Build the Debian packages `fedfin` (aggregator, broker kit) and `fedfin-edge` (what a site runs) in build/deb.

    python debian/build.py [--arch amd64|arm64] [--python 3.11] [--source CHECKOUT] [--version TEXT] [--torch VERSION]

What pip resolves, from wheels alone, lies in /usr/lib/fedfin, for the distribution's own Python: that has its security
updates, adds nothing to the size, and a folder of packages runs from any place, as no environment does. Another
distribution has another Python: 3.10 is of Ubuntu 22.04 and JetPack 6, 3.11 of Debian 12, 3.12 of Ubuntu 24.04 and
JetPack 7. Wheels are only unpacked, so that packages for another architecture are made on this machine.

Needs that Python itself, for byte code that the packages bring, so that nothing is written beside them later; and pip,
dpkg-deb and a network. torch: the build for CPUs, see TORCH.
"""

import argparse
import hashlib
import re
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

HERE = Path(__file__).parent
OUT = HERE.parent / "build" / "deb"
LIB = Path("usr/lib/fedfin")
MACHINES = {"amd64": "x86_64", "arm64": "aarch64"}
GLIBC = (36, 35, 34, 33, 32, 31, 30, 29, 28, 27, 26, 24, 17)  # of Debian 12, and older
# PyPI's wheels for x86_64 are of CUDA; this is the version of constraints.txt, whose CPU build pip finds where
# PIP_FIND_LINKS or an index has it. For aarch64 it is the last version whose wheel there is for CPUs.
TORCH = {"amd64": "2.13.0", "arm64": "2.9.1"}
# Of what its wheel names; networkx, sympy and others are for torch.compile: 2,800 files that no training here imports.
TORCH_NEEDS = ("typing-extensions",)
SERVICES = {"fedfin": ("aggregator",), "fedfin-edge": ("edge", "intake")}  # the first has the folder's name
# What imports a package's modules, and must not run while they are exchanged: a site's services the base's, too.
STOPPED = {"fedfin": ("aggregator", "edge", "intake"), "fedfin-edge": ("edge", "intake")}
SCRIPTS = ("postinst", "prerm", "postrm")
BESIDE = ("openpyxl",)  # case tables in Excel workbooks; pyarrow, for Parquet, would add 150 MB
# tokenizers names it for models from a hub, and we read files: it would bring an HTTP client into the hospital.
NOT_NEEDED = ("huggingface_hub", "hf_xet", "httpx", "httpx2", "httpcore", "httpcore2", "anyio", "h11", "click", "tqdm",
              "filelock", "fsspec", "shellingham", "typer", "truststore", "pyyaml", "sniffio")  # fmt: skip
# What compiles extensions, makes graphs, tests, or is for other purposes: 100 MB, most of it torch's. dpkg waits for
# the disk at each file: the fewer, the sooner it is installed.
LEFT_OUT = re.compile(
    r"torch/(include|share|test)/|torch/bin/(?!torch_shm_manager)|onnxruntime/(quantization|tools|transformers)/"
    r"|numpy/(distutils|f2py)/|pydicom/data/(charset|test)_files/|pynetdicom/(apps|benchmarks)/"
    r"|(numpy|pynetdicom)/(.*/)?tests?/|.*/py312_intrinsics\.py$|.*\.(a|lib|pyi)$"
)
# Modules that nothing here imports, but that stay, since others of theirs may: without byte code.
NOT_IMPORTED = (
    "/(functorch|pygments)/|/torch/(_dynamo|_export/db|_inductor|_numpy|_vendor/quack|onnx)/"
    "|/torch/distributed/(_shard|checkpoint|elastic|fsdp|optim|tensor)/|/torch/testing/_internal/(distributed|opinfo)/"
)
LAUNCHER = """\
#!/usr/bin/python3 -IB
import sys

sys.path.insert(0, "/usr/lib/fedfin")
if __name__ == "__main__":
    from fedfin.command_line.main import main

    sys.exit(main())
"""


def main() -> None:
    """Build both."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--arch", choices=MACHINES, default="amd64")
    parser.add_argument("--python", default="3.11", metavar="3.N", help="the distribution's own")
    parser.add_argument("--source", type=Path, default=HERE.parent, help="the checkout to package")
    parser.add_argument("--version", help="of the packages (default: FedFIN's)")
    parser.add_argument("--torch", metavar="VERSION")
    args = parser.parse_args()
    work = OUT / f"{args.arch}-{args.python}"
    shutil.rmtree(work, ignore_errors=True)
    wheels = Wheels(work / "wheels", args.arch, args.python)
    own = wheels.make(args.source)
    base = wheels.resolve(str(own))
    torch = wheels.torch(args.torch or TORCH[args.arch])
    edge = wheels.resolve(f"{own}[intake]", *TORCH_NEEDS, *BESIDE) | {torch}
    version = (
        f"{args.version or own.name.split('-')[1]}+py{args.python}"  # each distribution's Python has its own
    )
    for name, found in (("fedfin", base), ("fedfin-edge", edge - base)):
        package = Package(work / name, name, version, args.arch, args.python)
        package.lay(found)
        print(package.build())


class Wheels:
    """What pip finds for one architecture and Python."""

    def __init__(self, folder: Path, arch: str, python: str) -> None:
        self._folder, self._python = folder, python
        machine = MACHINES[arch]
        self._platforms = [f"manylinux_2_{minor}_{machine}" for minor in GLIBC] + [f"manylinux2014_{machine}"]
        folder.mkdir(parents=True)

    def make(self, source: Path) -> Path:
        """FedFIN's own. From what git has: no stray file enters."""
        copy = self._folder / "source"
        archive = subprocess.run(
            ["git", "-C", source, "archive", "HEAD"], check=True, capture_output=True
        ).stdout
        copy.mkdir()
        subprocess.run(["tar", "-x", "-C", copy], input=archive, check=True)
        self._pip("wheel", "--no-deps", "--wheel-dir", str(self._folder), str(copy))
        shutil.rmtree(copy)
        return next(self._folder.glob("fedfin-*.whl"))

    def resolve(self, *requirements: str) -> set[Path]:
        """The wheels of these and of what they need."""
        folder = self._folder / str(len([*self._folder.iterdir()]))
        platforms = [word for name in self._platforms for word in ("--platform", name)]
        python = ["--python-version", self._python, "--implementation", "cp"]
        self._pip(
            "download", "--only-binary", ":all:", *platforms, *python, "--dest", str(folder), *requirements
        )
        found = {self._folder / path.name for path in folder.iterdir()}
        for path in folder.iterdir():
            path.replace(self._folder / path.name)
        folder.rmdir()
        return {path for path in found if _project(path) not in NOT_NEEDED}

    def torch(self, version: str) -> Path:
        """Its wheel without what it needs: pip would ask this machine's architecture for that."""
        (wheel,) = self.resolve("--no-deps", f"torch=={version}")
        with zipfile.ZipFile(wheel) as archive:
            if any(name.endswith("/libtorch_cuda.so") for name in archive.namelist()):
                sys.exit(
                    f"debian/build.py: {wheel.name} is torch for CUDA, of gigabytes; let pip find the build for CPUs"
                    " (PIP_FIND_LINKS, PIP_INDEX_URL), or name another --torch"
                )
        return wheel

    def _pip(self, *words: str) -> None:
        pip = [f"python{self._python}", "-m", "pip", "--quiet", "--disable-pip-version-check"]
        subprocess.run([*pip, *words], check=True)


class Package:
    """One Debian package in the making, in a folder of its own."""

    def __init__(self, root: Path, name: str, version: str, arch: str, python: str) -> None:
        self._root, self._name, self._version, self._arch, self._python = root, name, version, arch, python

    def lay(self, wheels: Iterable[Path]) -> None:
        """What belongs into it: packages with their byte code, and the files of debian/NAME."""
        for wheel in sorted(wheels):
            _unpack(wheel, self._root / LIB)
        compile_ = [
            "-m",
            "compileall",
            "-q",
            "-j",
            "2",
            "-x",
            NOT_IMPORTED,
            "--invalidation-mode",
            "unchecked-hash",
            "-s",
            self._root,
        ]
        subprocess.run([f"python{self._python}", *compile_, "-p", "/", self._root / LIB], check=True)
        for name in SERVICES[self._name]:
            self._put(f"lib/systemd/system/fedfin-{name}@.service", _unit(name))
        self._put(f"usr/share/doc/{self._name}/copyright", (HERE / "copyright").read_text())
        if self._name == "fedfin":
            self._put("usr/bin/fedfin", LAUNCHER, 0o755)
            self._put("usr/lib/sysusers.d/fedfin.conf", (HERE / "fedfin.sysusers").read_text())

    def build(self) -> Path:
        """The .deb."""
        minor = int(self._python.partition(".")[2])
        files = [*_files(self._root)]
        values = {
            "VERSION": self._version,
            "ARCH": self._arch,
            "SIZE": str(sum(path.stat().st_size for path in files) // 1024),
            "PYTHON": f"python3 (>= 3.{minor}), python3 (<< 3.{minor + 1})",
        }
        sums = [f"{hashlib.md5(p.read_bytes()).hexdigest()}  {p.relative_to(self._root)}\n" for p in files]  # noqa: S324 - dpkg's format
        self._put("DEBIAN/md5sums", "".join(sums))
        self._put("DEBIAN/control", _filled(HERE / f"{self._name}.control", values))
        for name in SCRIPTS:
            self._put(f"DEBIAN/{name}", script(self._name, name), 0o755)
        out = OUT / f"{self._name}_{self._version}_{self._arch}.deb"
        subprocess.run(["dpkg-deb", "-Zzstd", "-z3", "--root-owner-group", "--build", self._root, out], check=True,
                       stdout=subprocess.DEVNULL)  # fmt: skip
        return out

    def _put(self, name: str, text: str, mode: int = 0o644) -> None:
        path = self._root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        path.chmod(mode)


def script(package: str, name: str) -> str:
    """A maintainer script, as dpkg calls it (Debian Policy 6.5)."""
    names = {"SERVICES": SERVICES[package], "STOPPED": STOPPED[package]}
    values = {key: " ".join(value) for key, value in names.items()}
    return _filled(HERE / f"both.{name}", {"GROUP": SERVICES[package][0], **values})


def _filled(source: Path, values: Mapping[str, str]) -> str:
    text = source.read_text()
    for key, value in values.items():
        text = text.replace(f"@{key}@", value)
    return text


def _unpack(wheel: Path, folder: Path) -> None:
    """Its modules; scripts and headers stay behind."""
    with zipfile.ZipFile(wheel) as archive:
        for name in archive.namelist():
            inside = re.sub(r"^[^/]+\.data/(purelib|platlib)/", "", name)
            if name.endswith("/") or ".data/" in inside or LEFT_OUT.match(inside):
                continue
            path = folder / inside
            path.parent.mkdir(parents=True, exist_ok=True)
            with archive.open(name) as source, path.open("wb") as target:
                shutil.copyfileobj(source, target)


def _unit(name: str) -> str:
    """The template, as examples/ has it."""
    return (HERE.parent / "examples" / f"fedfin-{name}@.service").read_text()


def _files(root: Path) -> Iterator[Path]:
    return (path for path in sorted(root.rglob("*")) if path.is_file())


def _project(wheel: Path) -> str:
    return wheel.name.partition("-")[0].lower()


if __name__ == "__main__":
    main()

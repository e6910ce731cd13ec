"""How fast an intake takes studies: objects a second until they are safe, and until they are features.

    python -m benchmarks.intake [--count N] [--processes N] [--json]

The real command, `fedfin edge intake`, with the preset efficientnet-lite0; dcmtk's storescu sends over loopback. The
inputs are those of benchmarks/encoding.py, radiographs of 2500 x 3000 pixels of 12 bits, and small ones of 256 x 256,
twenty times as many. Each is safe when it is acknowledged: written, flushed, renamed. Memory is that of the service's
process before anything came, and at rest, once all is encoded.
"""

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table

from benchmarks.commands import positive
from benchmarks.encoding_inputs import BITS, SIDE, make_bundle, make_dicom, make_radiograph
from benchmarks.transport.process_costs import rss_mb
from fedfin.demo.processes import free_port, wait_for_port
from fedfin.errors import FedfinError
from fedfin_edge.intake.service import IDLE_S

SMALL_TIMES = 20
SECONDS = 3600.0
_OPTIONS = {"DICOM": [], "JPEG 2000, lossy": ["--propose-j2k-lossy"], "small DICOM": []}


@dataclass(frozen=True)
class Speed:
    """One kind of image: how many, objects a second until safe, and until encoded, counted from the first."""

    kind: str
    objects: int
    safe_per_s: float
    encoded_per_s: float


def make_studies(folder: Path, kind: str, count: int) -> None:
    """Files of one kind, a study each."""
    folder.mkdir()
    pixels = make_radiograph()
    pixels = pixels[:SIDE, :SIDE].copy() if kind == "small DICOM" else pixels
    for number in range(count * (SMALL_TIMES if kind == "small DICOM" else 1)):
        pixels[0, :2] = divmod(number, 1 << BITS)
        dataset = make_dicom(pixels, kind)
        dataset.AccessionNumber = dataset.PatientID = f"{kind[:5]}{number}"
        dataset.StudyInstanceUID = f"{dataset.SOPInstanceUID}.1"[:64]
        dataset.Modality = "DX"
        dataset.save_as(folder / f"{number}.dcm", enforce_file_format=True)


@contextmanager
def serving(folder: Path, bundle: Path, processes: int) -> Iterator[tuple[int, int]]:
    """A site's intake; the port of its Storage SCP, and its process."""
    port = free_port()
    command = [sys.executable, "-m", "fedfin", "edge"]
    subprocess.run(
        [*command, "init", str(folder), "--site", "a", "--federation", "b", "--broker", "mqtt://127.0.0.1:1",
         "--intake", "--bundle", str(bundle), "--label", "c"], check=True, stdout=subprocess.DEVNULL,
    )  # fmt: skip
    with (folder / "site.toml").open("a") as settings:
        settings.write(f"\n[intake.dicom]\nport = {port}\n")
    command += ["intake", str(folder), "--processes", str(processes)]
    with subprocess.Popen(command, stderr=subprocess.DEVNULL) as service:
        try:
            wait_for_port("127.0.0.1", port, 60)
            yield port, service.pid
        finally:
            service.terminate()


def measure(site: Path, port: int, files: Path, kind: str) -> Speed:
    """Send all, and wait until the spool is empty."""
    objects, begun = len(list(files.iterdir())), time.perf_counter()
    command = ["storescu", "-aec", "FEDFIN", *_OPTIONS[kind], "+sd", "127.0.0.1", str(port), str(files)]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    safe = time.perf_counter() - begun
    while any((site / "intake" / "spool").glob("[0-9]*")):
        time.sleep(0.05)
        if time.perf_counter() - begun > SECONDS:
            raise FedfinError(f"{kind}: not encoded after {SECONDS:.0f} s")
    return Speed(kind, objects, objects / safe, objects / (time.perf_counter() - begun))


def main() -> None:
    """Measure, and print a table or JSON."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--count", type=positive, default=50, help="of the large images of each kind")
    parser.add_argument("--processes", type=positive, default=2, help="that encode")
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    if shutil.which("storescu") is None:
        sys.exit("needs dcmtk's storescu: apt-get install dcmtk")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with serving(folder / "site", make_bundle(folder / "made"), args.processes) as (port, process):
            before, speeds = rss_mb(process), []
            for kind in _OPTIONS:
                make_studies(folder / kind, kind, args.count)
                speeds.append(measure(folder / "site", port, folder / kind, kind))
                shutil.rmtree(folder / kind)
            time.sleep(IDLE_S + 5)
            memory = {"before_mb": before, "at_rest_mb": rss_mb(process)}
    if args.json:
        print(json.dumps({"speeds": [asdict(each) for each in speeds], "memory": memory}))
    else:
        _print(speeds, memory)


def _print(speeds: list[Speed], memory: dict[str, float]) -> None:
    table = Table(title="an intake, objects a second")
    for column in ("image", "objects", "safe", "encoded", "10,000 encoded in"):
        table.add_column(column, justify="left" if column == "image" else "right")
    for each in speeds:
        hours = 10_000 / each.encoded_per_s / 3600
        rates = (f"{each.safe_per_s:.1f}", f"{each.encoded_per_s:.1f}", f"{hours:.1f} h")
        table.add_row(each.kind, str(each.objects), *rates)
    Console().print(table)
    print(
        f"the service's process: {memory['before_mb']:.0f} MB before, {memory['at_rest_mb']:.0f} MB at rest"
    )


if __name__ == "__main__":
    main()

"""How fast a site encodes images: images a second, where the time of one goes, and the memory of all processes.

    python -m benchmarks.encoding [--count N] [--runs N] [--processes N] [--json]

The inputs are made up: 2500 x 3000 pixels of 12 bits as DICOM, uncompressed and in JPEG 2000, without losses and at a
tenth of their bits, and PNGs of 256 x 256. The encoder is the preset efficientnet-lite0 (block:10, 224 pixels). Files
are hashed and encoded as `fedfin edge encode` does it, by its worker processes; their start is timed apart. CPU
milliseconds stand beside, for all processes together: the machine may be shared. Memory is the sum of what each process
holds alone and its part of what is shared (PSS), so it counts nothing twice; it has a run of its own, since looking
takes time.
"""

import argparse
import contextlib
import json
import os
import statistics
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import pydicom
from rich.console import Console
from rich.table import Table

from benchmarks.commands import positive
from benchmarks.encoding_inputs import TIMES, make_bundle, make_inputs
from fedfin.encoders.bundle import ImageRecipe
from fedfin.encoders.dicom_display import show
from fedfin.encoders.dicom_pixels import read_stored
from fedfin.encoders.images import read_image
from fedfin.encoders.preprocessing import image_tensor
from fedfin.memory import keep_freed_memory
from fedfin.processors import usable_cores
from fedfin_edge.cases.digests import Input, digest_input
from fedfin_edge.cases.encoder import open_encoder
from fedfin_edge.cases.workers import Workers

# A look takes 10 ms.
MEMORY_INTERVAL_S = 0.1
REPEATS = 5


@dataclass(frozen=True)
class Speed:
    """One kind of image with one number of processes; medians over the runs, memory of one more."""

    kind: str
    processes: int
    images_per_s: float
    cpu_ms_per_image: float
    start_s: float
    peak_memory_mb: float


@dataclass(frozen=True)
class Split:
    """Where the CPU milliseconds of one image go: medians over repeats."""

    kind: str
    digest_ms: float
    decode_ms: float
    show_ms: float
    resize_ms: float
    encode_ms: float


class Memory:
    """The peak of the PSS of this process and its children together, in MB of 10^6 bytes, sampled."""

    def __init__(self) -> None:
        self.peak_mb = 0.0
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch)

    def __enter__(self) -> "Memory":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._ended.wait(MEMORY_INTERVAL_S):
            self.peak_mb = max(self.peak_mb, sum(map(_pss_mb, [os.getpid(), *_children()])))


def _children() -> list[int]:
    """Those of every thread of this process."""
    lists = Path("/proc/self/task").glob("*/children")
    return [int(number) for path in lists for number in path.read_text().split()]


def _pss_mb(process: int) -> float:
    with contextlib.suppress(OSError):  # it has ended
        for line in Path(f"/proc/{process}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) * 1024 / 1e6
    return 0.0


def _cpu_s(process: int) -> float:
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def measure_speed(bundle: Path, kind: str, paths: list[Path], processes: int, runs: int) -> Speed:
    """Encode all in each run, by workers that have each encoded before."""
    measured = [_run(bundle, paths, processes) for _ in range(runs)]
    with Memory() as memory:
        _run(bundle, paths, processes)
    starts, walls, cpus = zip(*measured, strict=True)
    return Speed(
        kind,
        processes,
        len(paths) / statistics.median(walls),
        statistics.median(cpus) * 1000 / len(paths),
        statistics.median(starts),
        memory.peak_mb,
    )


def _run(bundle: Path, paths: list[Path], processes: int) -> tuple[float, float, float]:
    """Seconds until every worker has encoded, then of all paths, and their CPU seconds."""
    begun = time.perf_counter()
    with Workers(bundle, processes) as workers:
        _encode(workers, paths[:1] * processes)
        start = time.perf_counter() - begun
        cpu = sum(map(_cpu_s, [os.getpid(), *_children()]))
        begun = time.perf_counter()
        _encode(workers, paths)
        wall = time.perf_counter() - begun
        return start, wall, sum(map(_cpu_s, [os.getpid(), *_children()])) - cpu


def _encode(workers: Workers, paths: list[Path]) -> None:
    """As encoding does it: hash, encode, and fail on whatever has no features."""

    def hashed() -> Iterator[tuple[bytes, Input]]:
        for path in paths:
            yield digest_input(path), path

    for _, outcome in workers.encode(hashed()):
        if outcome.features is None:
            raise ValueError(outcome.reason)


def measure_split(bundle: Path, kind: str, path: Path) -> Split:
    """The steps of one image, one by one, in this process. `show` is 0 of photographs: they are stored as shown."""
    encoder = open_encoder(bundle)
    recipe, notes = encoder.manifest.recipe, list[str]()
    image = read_image(path).image
    decode, shown = _cpu_ms(lambda: read_image(path)), 0.0
    if kind != "PNG":
        dataset = pydicom.dcmread(path)
        stored = read_stored(dataset, notes)
        shown = _cpu_ms(lambda: show(stored, dataset, notes))
    assert isinstance(recipe, ImageRecipe)
    resize = _cpu_ms(lambda: image_tensor(recipe, image))
    feeds = {recipe.input_name: image_tensor(recipe, image)[None]}
    encode = _cpu_ms(lambda: encoder.run(feeds))
    digest = _cpu_ms(lambda: digest_input(path))
    return Split(kind, digest, decode - shown, shown, resize, encode)


def _cpu_ms(step: Callable[[], object]) -> float:
    step()
    times = []
    for _ in range(REPEATS):
        begun = time.process_time()
        step()
        times.append(time.process_time() - begun)
    return statistics.median(times) * 1000


def measure(folder: Path, count: int, runs: int, processes: int) -> tuple[list[Speed], list[Split]]:
    """Everything, below an empty folder."""
    bundle, files = make_bundle(folder), make_inputs(folder / "inputs", count)
    numbers = sorted({1, processes})
    speeds = [measure_speed(bundle, kind, paths, n, runs) for kind, paths in files.items() for n in numbers]
    return speeds, [measure_split(bundle, kind, paths[0]) for kind, paths in files.items()]


def show_tables(speeds: list[Speed], splits: list[Split]) -> None:
    """For people."""
    first = Table("kind", "processes", "images/s", "CPU ms/image", "start s", "peak memory MB")
    for speed in speeds:
        first.add_row(
            speed.kind,
            *(
                f"{value:.{n}f}"
                for value, n in zip(list(asdict(speed).values())[1:], (0, 1, 1, 1, 0), strict=True)
            ),
        )
    second = Table("kind", "digest ms", "decode ms", "show ms", "resize ms", "encode ms")
    for split in splits:
        second.add_row(split.kind, *(f"{value:.1f}" for value in list(asdict(split).values())[1:]))
    console = Console()
    console.print(first)
    console.print(second)


def main() -> int:
    """Measure and print."""
    keep_freed_memory()  # as the workers do, which the split is of
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--count", type=positive, default=8, help=f"JPEG 2000 images; times {TIMES} (default: 8)"
    )
    parser.add_argument("--runs", type=positive, default=3, help="runs to take medians of (default: 3)")
    parser.add_argument(
        "--processes", type=positive, default=usable_cores(), help="beside 1 (default: %(default)s)"
    )
    parser.add_argument("--json", action="store_true", help="print the figures as JSON")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        speeds, splits = measure(Path(folder), args.count, args.runs, args.processes)
    if args.json:
        print(
            json.dumps(
                {"speed": [asdict(each) for each in speeds], "split": [asdict(each) for each in splits]}
            )
        )
    else:
        show_tables(speeds, splits)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())

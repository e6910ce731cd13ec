"""A night of studies: whether one costs more at the end than at the beginning, and whether the cases are right.

    python -m benchmarks.intake_night [--studies 10000] [--processes N] [--side 256] [--json]

The real command, `fedfin edge intake`, with the presets efficientnet-lite0 and minilm-l6. storescu sends made-up
radiographs over loopback, an association for each hundred; meanwhile reports come as HL7 in random order, one of ten
corrected and one of fifty cancelled, some before their image and some corrections before what they correct. Whenever
a tenth, a half and all are encoded, a row says what a study of those since the last row cost in CPU time, and what
the folder and the commands on it cost now. Ends with exit code 1 where the cases are not those that were sent.
"""

import argparse
import json
import random
import resource
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from benchmarks.commands import end_children_when_ended, positive
from benchmarks.encoding_inputs import SIDE, make_bundle, make_dicom, make_radiograph
from benchmarks.transport.process_costs import children, cpu_seconds, rss_mb
from fedfin.demo.processes import free_port, wait_for_port

MARKS = (0.1, 0.5, 1.0)  # of all studies
ASSOCIATION = 100  # studies
CORRECTED, CANCELLED = 10, 50  # one of so many
_FINDINGS = ("effusion", "consolidation", "atelectasis", "cardiomegaly", "mass", "fracture", "oedema", "line")
_HEAD = """\
| studies | a second | service, ms CPU a study | encoders, ms CPU a study | service, MB | intake.sqlite, MB \
| features.sqlite, MB | `intake --show`, s CPU | `encode`, s CPU |
|---:|---:|---:|---:|---:|---:|---:|---:|---:|
"""
_FEDFIN = [sys.executable, "-m", "fedfin", "edge"]


@dataclass(frozen=True)
class Row:
    """Once so many studies are encoded.

    service_ms, encoders_ms: CPU time a study since the last row, of the service's own process and of those that
    encode; a_second: studies since the last row. rss_mb: of the service's process. intake_mb, features_mb: files.
    show_s, encode_s: CPU time of `intake --show` and `edge encode`.
    """

    studies: int
    a_second: float
    service_ms: float
    encoders_ms: float
    rss_mb: float
    intake_mb: float
    features_mb: float
    show_s: float
    encode_s: float


class Night:
    """A site's intake at work, and what was sent to it."""

    def __init__(self, folder: Path, processes: int, side: int) -> None:
        self._folder, self._site = folder, folder / "site"
        self._pixels = make_radiograph()[:side, :side].copy()
        self._processes = processes
        self._rng = random.Random(1)
        self._sent = 0

    @contextmanager
    def serving(self) -> Iterator[None]:
        """The real command, until the context is left."""
        self._dicom, self._hl7 = free_port(), free_port()
        _init(self._site, _bundles(self._folder), self._dicom, self._hl7)
        command = [*_FEDFIN, "intake", str(self._site), "--processes", str(self._processes)]
        with subprocess.Popen(command, stderr=subprocess.DEVNULL) as service:
            try:
                for port in (self._dicom, self._hl7):
                    wait_for_port("127.0.0.1", port, 60)
                self._pid = service.pid
                yield
            finally:
                service.terminate()

    def send_until(self, studies: int) -> Row:
        """Send up to this one, wait until all is encoded, and measure."""
        begun, first = time.perf_counter(), self._sent
        service, encoders = self._cpu_s()
        messages = [each for number in range(first, studies) for each in _messages(number)]
        self._rng.shuffle(messages)
        reporting = threading.Thread(target=_send_hl7, args=(self._hl7, messages))
        reporting.start()
        for start in range(first, studies, ASSOCIATION):
            self._send_images(start, min(start + ASSOCIATION, studies))
        reporting.join()
        self._sent = studies
        while any((self._site / "intake" / "spool").glob("[0-9]*")):
            time.sleep(0.2)
        elapsed, (service_now, encoders_now) = time.perf_counter() - begun, self._cpu_s()
        count = studies - first
        return Row(
            studies,
            count / elapsed,
            1000 * (service_now - service) / count,
            1000 * (encoders_now - encoders) / count,
            rss_mb(self._pid),
            _size_mb(self._site / "intake" / "intake.sqlite"),
            _size_mb(self._site / "features.sqlite"),
            _command_s("intake", self._site, "--show"),
            _command_s("encode", self._site),
        )

    def wrong(self) -> str:
        """What is not as it was sent; "" where all is."""
        command = [*_FEDFIN, "intake", str(self._site), "--show", "--json"]
        found = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)
        cancelled = sum(_is_cancelled(number) for number in range(self._sent))
        wanted = {"image": cancelled, "image+text": self._sent - cancelled}
        patients = (self._sent + 1) // 2
        if found["cases"] == {kind: n for kind, n in wanted.items() if n} and found["patients"] == patients:
            return ""
        return f"cases {found['cases']} of {found['patients']} patients, not {wanted} of {patients}"

    def _cpu_s(self) -> tuple[float, float]:
        """Of the service's process, and of those that encode; these live as long as there is something to do."""
        return cpu_seconds(self._pid), sum(map(cpu_seconds, children(self._pid)))

    def _send_images(self, start: int, end: int) -> None:
        files = self._folder / "sending"
        files.mkdir()
        for number in range(start, end):
            self._pixels[0, :2] = divmod(number, 4096)
            dataset = make_dicom(self._pixels, "DICOM")
            dataset.AccessionNumber, dataset.PatientID = f"A{number}", f"P{number // 2}"
            dataset.StudyInstanceUID, dataset.Modality = f"1.2.826.0.1.3680043.8.498.{number + 1}", "DX"
            dataset.save_as(files / f"{number}.dcm", enforce_file_format=True)
        command = ["storescu", "-aec", "FEDFIN", "+sd", "127.0.0.1", str(self._dicom), str(files)]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        shutil.rmtree(files)


def _bundles(folder: Path) -> list[Path]:
    text = folder / "text"
    export = [sys.executable, "-m", "fedfin", "export", "encoder", "--preset", "minilm-l6", str(text)]
    subprocess.run(export, check=True, stdout=subprocess.DEVNULL)
    return [make_bundle(folder / "made"), text]


def _init(site: Path, bundles: list[Path], dicom: int, hl7: int) -> None:
    words = [word for bundle in bundles for word in ("--bundle", str(bundle))]
    connection = ["--site", "a", "--federation", "b", "--broker", "mqtt://127.0.0.1:1"]
    subprocess.run(
        [*_FEDFIN, "init", str(site), *connection, "--intake", "--label", "c", *words],
        check=True,
        stdout=subprocess.DEVNULL,
    )
    with (site / "site.toml").open("a") as settings:
        settings.write(f"\n[intake.dicom]\nport = {dicom}\n\n[intake.hl7]\nport = {hl7}\n")


def _messages(number: int) -> Iterator[bytes]:
    """All that the reporting system says of a study."""
    yield _oru(number, "F", minute=0)
    if number % CORRECTED == 0:
        yield _oru(number, "C", minute=1)
    if _is_cancelled(number):
        yield _oru(number, "X", minute=2)


def _is_cancelled(number: int) -> bool:
    return number % CANCELLED == 1


def _oru(number: int, status: str, *, minute: int) -> bytes:
    rng = random.Random(f"{number} {status}")
    when = f"2026010212{minute:02}00"
    text = f"Study {number}. " + " ".join(f"{rng.choice(['No', 'Small'])} {each}." for each in _FINDINGS)
    segments = (
        f"MSH|^~\\&|RIS|HOSPITAL|FEDFIN|SITE|{when}||ORU^R01^ORU_R01|{number}{status}|P|2.5",
        f"PID|1||P{number // 2}^^^HOSPITAL",
        f"OBR|1||A{number}^RIS|71020^Chest|||{when}{'|' * 15}{when}|||{status}",
        f"OBX|1|TX|GDT^Text||{text}||||||{status}",
    )
    return "\r".join(segments).encode() + b"\r"


def _send_hl7(port: int, messages: list[bytes]) -> None:
    """One after the other, each once its answer is there."""
    with socket.create_connection(("127.0.0.1", port)) as connection:
        for message in messages:
            connection.sendall(b"\x0b" + message + b"\x1c\r")
            answer = b""
            while not answer.endswith(b"\x1c\r"):
                answer += connection.recv(1 << 16)
            if b"\rMSA|AA" not in answer:
                sys.exit(f"a report was not taken: {answer!r}")


def _size_mb(path: Path) -> float:
    """With its write-ahead log."""
    return sum(each.stat().st_size for each in path.parent.glob(f"{path.name}*")) / 1e6


def _command_s(*words: object) -> float:
    """CPU time of a command on the site."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(
        [*_FEDFIN, *map(str, words)], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main() -> None:
    """Measure, and print a table or JSON."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--studies", type=positive, default=10_000)
    parser.add_argument("--processes", type=positive, default=1, help="that encode")
    parser.add_argument("--side", type=positive, default=SIDE, help="of an image, in pixels")
    parser.add_argument("--json", action="store_true", help="a line of JSON a row")
    args = parser.parse_args()
    if shutil.which("storescu") is None:
        sys.exit("needs dcmtk's storescu: apt-get install dcmtk")
    end_children_when_ended()
    with tempfile.TemporaryDirectory() as name:
        night = Night(Path(name), args.processes, args.side)
        with night.serving():
            print(_HEAD if not args.json else "", end="", flush=True)
            for share in MARKS:
                row = night.send_until(max(1, round(share * args.studies)))
                print(json.dumps(asdict(row)) if args.json else _line(row), flush=True)
            wrong = night.wrong()
    if wrong:
        sys.exit(wrong)


def _line(row: Row) -> str:
    """Of a table in Markdown."""
    cells = [row.a_second, row.service_ms, row.encoders_ms, row.rss_mb, row.intake_mb, row.features_mb]
    cells += [row.show_s, row.encode_s]
    return f"| {row.studies:,} | " + " | ".join(f"{each:.1f}" for each in cells) + " |"


if __name__ == "__main__":
    main()

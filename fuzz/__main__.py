"""Throw hostile bytes at what reads them: `python -m fuzz --seconds N [TARGET ...]`, or `make fuzz FUZZ="..."`.

A target is a file `fuzz_{noun}.py` with a function `fuzz(data: bytes) -> None` that raises for what must not be.
With atheris the bytes are led by coverage, from the seeds on; where it is not installed, or cannot be, the seeds
(seeds.py) are mutated at random. A finding ends the run with exit code 1, and is to become a test.
"""

import argparse
import importlib
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

PACKAGES = ["fedfin", "fedfin_edge", "fedfin_aggregator", "fedfin_export"]
MOST_BYTES = 4096
TARGETS = sorted(path.stem.removeprefix("fuzz_") for path in Path(__file__).parent.glob("fuzz_*.py"))


def main() -> int:
    """Each target for so many seconds, in a process of its own: atheris ends it. 1 if any found something."""
    parser = argparse.ArgumentParser(prog="python -m fuzz")
    parser.add_argument("--seconds", type=int, default=60, help="for each target (default: 60)")
    parser.add_argument(
        "targets", nargs="*", metavar="TARGET", help=f"of {', '.join(TARGETS)} (default: all)"
    )
    args = parser.parse_args()
    if odd := sorted(set(args.targets) - set(TARGETS)):
        parser.error(f"no target {odd[0]!r}; choose of {', '.join(TARGETS)}")
    if len(args.targets) == 1:
        _fuzz(args.targets[0], args.seconds)
        return 0
    command = [sys.executable, "-m", "fuzz", "--seconds", str(args.seconds)]
    results = [subprocess.run([*command, target], check=False) for target in args.targets or TARGETS]
    return int(any(result.returncode for result in results))


def _fuzz(target: str, seconds: int) -> None:
    name = f"fuzz.fuzz_{target}"
    try:
        import atheris
    except ImportError:
        print(f"{target}: atheris is not installed; seeds mutated at random instead", flush=True)
        _mutate(target, importlib.import_module(name).fuzz, seconds)
        return
    with atheris.instrument_imports(include=PACKAGES):
        fuzz = importlib.import_module(name).fuzz
        seeds = importlib.import_module("fuzz.seeds").seeds  # not before: what it imports would stay blind
    Path("build").mkdir(exist_ok=True)
    options = {
        "max_total_time": seconds,
        "max_len": MOST_BYTES,
        "len_control": 0,  # short inputs alone would take minutes to grow
        "artifact_prefix": f"build/fuzz-{target}-",
    }
    corpus = tempfile.mkdtemp(
        prefix=f"fuzz-{target}-"
    )  # atheris ends the process: nobody is left to remove it
    for number, seed in enumerate(seeds(target)):
        (Path(corpus) / str(number)).write_bytes(seed)
    atheris.Setup([target, *(f"-{option}={value}" for option, value in options.items()), corpus], fuzz)
    atheris.Fuzz()


def _mutate(target: str, fuzz: Callable[[bytes], None], seconds: int) -> None:
    """The same inputs in every run."""
    known = importlib.import_module("fuzz.seeds").seeds(target)
    until, count = time.monotonic() + seconds, 0
    draw = random.Random(0)  # noqa: S311 - no secret
    while time.monotonic() < until:
        data = known[count] if count < len(known) else _mutated(draw, known)
        try:
            fuzz(data)
        except BaseException:
            print(f"{target}: finding {data.hex()}", file=sys.stderr, flush=True)
            raise
        count += 1
    print(f"{target}: {count:,} inputs, nothing found", flush=True)


def _mutated(draw: random.Random, known: list[bytes]) -> bytes:
    """One of the seeds with some bytes changed, cut out, repeated, or taken from another."""
    data = bytearray(draw.choice(known))
    for _ in range(1 << draw.randrange(5)):
        at = draw.randrange(len(data) + 1)
        size = draw.randrange(1, 9)
        match draw.randrange(5):
            case 0:
                data[at : at + 1] = bytes([draw.randrange(256)])
            case 1:
                del data[at : at + size]
            case 2:
                data[at:at] = data[at : at + size] * draw.randrange(1, 9)
            case 3:
                data[at : at + size] = draw.choice((b"\xff" * size, bytes(size), b"\x7f\xff\xff\xff"))
            case _:
                other = draw.choice(known)
                data[at:] = other[min(at, len(other)) :]
    return bytes(data)


if __name__ == "__main__":
    sys.exit(main())

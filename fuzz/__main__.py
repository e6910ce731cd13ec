"""Throw hostile bytes at what reads them: `python -m fuzz --seconds N [TARGET ...]`, or `make fuzz FUZZ="..."`.

A target is a file `fuzz_{noun}.py` with a function `fuzz(data: bytes) -> None` that raises for what must not be.
With atheris the bytes are led by coverage; where it is not installed, or cannot be, they are drawn at random.
"""

import argparse
import importlib
import random
import subprocess
import sys
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
        print(f"{target}: atheris is not installed; random bytes instead", flush=True)
        _random(target, importlib.import_module(name).fuzz, seconds)
        return
    with atheris.instrument_imports(include=PACKAGES):
        fuzz = importlib.import_module(name).fuzz
    Path("build").mkdir(exist_ok=True)
    options = {
        "max_total_time": seconds,
        "max_len": MOST_BYTES,
        "len_control": 0,  # short inputs alone would take minutes to grow
        "artifact_prefix": f"build/fuzz-{target}-",
    }
    atheris.Setup([target, *(f"-{option}={value}" for option, value in options.items())], fuzz)
    atheris.Fuzz()


def _random(target: str, fuzz: Callable[[bytes], None], seconds: int) -> None:
    """From a new seed each time; what was found is printed, to become a test."""
    source, until, count = random.Random(time.time_ns()), time.monotonic() + seconds, 0  # noqa: S311 - no secret
    while time.monotonic() < until:
        data = source.randbytes(source.randrange(MOST_BYTES))
        try:
            fuzz(data)
        except BaseException:
            print(f"{target}: {data.hex()}", flush=True)
            raise
        count += 1
    print(f"{target}: {count} inputs, nothing found", flush=True)


if __name__ == "__main__":
    sys.exit(main())

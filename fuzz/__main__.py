"""`python -m fuzz --seconds N [TARGET ...]`: run fuzz targets; the first finding ends the run with exit code 1.

Seeds (seeds.py) are mutated at random, the same way in every run; a finding is printed in hex.
"""

import argparse
import importlib
import random
import sys
import time
from collections.abc import Callable
from pathlib import Path

from fuzz.seeds import seeds

TARGETS = sorted(path.stem.removeprefix("fuzz_") for path in Path(__file__).parent.glob("fuzz_*.py"))


def main() -> int:
    """Each target for so many seconds."""
    parser = argparse.ArgumentParser(prog="python -m fuzz", description=__doc__)
    parser.add_argument("targets", nargs="*", metavar="TARGET", default=TARGETS)
    parser.add_argument("--seconds", type=float, default=60.0)
    args = parser.parse_args()
    for name in args.targets:
        fuzz: Callable[[bytes], None] = importlib.import_module(f"fuzz.fuzz_{name}").fuzz
        print(f"{name}: {_run(name, fuzz, args.seconds):,} inputs", flush=True)
    return 0


def _run(name: str, fuzz: Callable[[bytes], None], seconds: float) -> int:
    end, count, known = time.monotonic() + seconds, 0, seeds(name)
    draw = random.Random(count)  # noqa: S311 - the same inputs in every run
    while time.monotonic() < end:
        data = known[count] if count < len(known) else _mutated(draw, known)
        try:
            fuzz(data)
        except BaseException:
            print(f"{name}: finding {data.hex()}", file=sys.stderr, flush=True)
            raise
        count += 1
    return count


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

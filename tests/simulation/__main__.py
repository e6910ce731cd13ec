"""`make simulate`: many schedules, on all cores; a failing seed is printed with the command that replays it."""

import argparse
import gc
import multiprocessing
import os
import sys
import time
import traceback
from collections import Counter
from functools import partial

from simulation import schedules


def attempt(seed: int, only: str = "") -> tuple[int, str, Counter[str]]:
    """(seed, what went wrong or nothing, what happened)."""
    if not gc.isenabled():
        gc.collect()  # what the schedule before left
    try:
        return seed, "", schedules.run(seed, only=only).tally
    except Exception:  # noqa: BLE001 - whatever it is, the seed is what matters
        return seed, traceback.format_exc(limit=-3), Counter()


def replay(seed: int, only: str) -> int:
    """One schedule, told step by step."""
    try:
        world = schedules.run(seed, only=only, trace=print)
    except Exception:  # noqa: BLE001 - it is shown, and the exit code says it
        traceback.print_exc()
        return 1
    print(dict(world.tally))
    return 0


def main() -> int:
    """Exit code 1 when a schedule failed."""
    parser = argparse.ArgumentParser(prog="python -m simulation", description=__doc__)
    parser.add_argument("--schedules", type=int, default=10_000)
    parser.add_argument("--first", type=int, default=0, help="the first seed")
    parser.add_argument("--jobs", type=int, default=os.cpu_count())
    parser.add_argument("--seed", type=int, help="replay this one, and tell it step by step")
    parser.add_argument("--only", default="", help="variants with this in their names, such as secure")
    args = parser.parse_args()
    if args.seed is not None:
        return replay(args.seed, args.only)
    chosen = f" --only '{args.only}'" if args.only else ""
    started, total, failed = time.monotonic(), Counter(), 0
    gc.freeze()  # torch's objects are not worth looking at again and again
    with multiprocessing.get_context("fork").Pool(args.jobs, initializer=gc.disable) as pool:
        seeds = range(args.first, args.first + args.schedules)
        one = partial(attempt, only=args.only)
        for done, (seed, wrong, tally) in enumerate(pool.imap_unordered(one, seeds, chunksize=10), 1):
            total += tally
            if done % 500 == 0:
                print(f"{done} of {args.schedules}, {failed} failed", file=sys.stderr, flush=True)
            if wrong:
                failed += 1
                print(
                    f"seed {seed}: {wrong}replay: make simulate SIMULATE='--seed {seed}{chosen}'", flush=True
                )
                if failed == 10:
                    break
    print(f"{args.schedules} schedules in {time.monotonic() - started:.0f} s, {failed} failed: {dict(total)}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())

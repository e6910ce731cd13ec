"""The study's runs: every preset, data set, seed and participation. Each is appended to a file when it is done.

A file that holds some of them already is gone on with. Each run keeps one core busy for half a minute.
"""

import hashlib
import json
import multiprocessing
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import product
from pathlib import Path

from benchmarks.codec.federation import SCALES, SITES, deal
from benchmarks.codec.score import Scorer
from benchmarks.codec.simulation import Simulation
from benchmarks.data.loaders import load_cases
from benchmarks.rows import Row, append_row, read_rows
from benchmarks.study.rounds import Traffic
from fedfin.codec import PRESETS, Preset
from fedfin.files import make_folder

COMMAND = "fedfin bench codec-study"  # that writes these files


@dataclass(frozen=True)
class Job:
    """One run. `taking_part`: how many of the sites each round asks."""

    data: str
    up: Preset
    down: Preset
    taking_part: int
    seed: int
    rounds: int

    @property
    def key(self) -> str:
        """What tells this run from all others, those of the same presets with other parameters among them."""
        return "/".join(str(value) for value in asdict(self).values()) + f"/{_digest(self.up, self.down)}"


def jobs(
    data: Sequence[str],
    presets: Sequence[Preset],
    taking_part: Sequence[int],
    seeds: Sequence[int],
    rounds: int,
) -> list[Job]:
    """Every combination, one seed after the other, so that a study cut short is a small study."""
    return [
        Job(name, preset, preset, part, seed, rounds)
        for seed, part, name, preset in product(seeds, taking_part, data, presets)
    ]


def run_all(todo: Sequence[Job], out: Path, cache: Path, processes: int) -> Iterator[tuple[int, Row | None]]:
    """Run what `out` does not hold yet. Yields how many of `todo` are in the file, first, and with every new row."""
    known = {row["key"] for row in read_rows(out, COMMAND)} if out.exists() else set()
    left = [(job, cache) for job in todo if job.key not in known]
    done = len(todo) - len(left)
    yield done, None
    make_folder(out.parent)
    with multiprocessing.get_context("spawn").Pool(processes) as pool:
        for row in pool.imap_unordered(_run, left):
            append_row(out, row)
            done += 1
            yield done, row


def _run(job_and_cache: tuple[Job, Path]) -> Row:
    job, cache = job_and_cache
    return run(job, cache)


def run(job: Job, cache: Path) -> Row:
    """Train one federation; the row has the AUC and the bytes of every round."""
    started = time.process_time()
    federation = deal(load_cases(job.data, cache), SCALES[job.data], seed=job.seed, rounds=job.rounds)
    scorer = Scorer(federation)
    simulation = Simulation(federation, job.up, job.down, taking_part=job.taking_part)
    curve, traffic = [], []
    for number in range(1, job.rounds + 1):
        traffic.append(simulation.round(number))
        curve.append(round(scorer.as_held(simulation.model), 4))
    return asdict(job) | {
        "key": job.key,
        "sites": SITES,
        "auc": curve,
        "complete": scorer.complete(simulation.model),
        "alone": scorer.alone(simulation.model),
        "cpu_s": round(time.process_time() - started, 1),
        **_bytes(traffic),
    }


def is_current(row: Row) -> bool:
    """Whether the row was made with what its presets are today."""
    fields = {name: row[name] for name in Job.__dataclass_fields__}
    return bool(Job(**fields).key == row["key"])


def _digest(*presets: Preset) -> str:
    recipes = [{k: v for k, v in asdict(PRESETS[preset]).items() if k != "source"} for preset in presets]
    return hashlib.sha256(json.dumps(recipes, sort_keys=True).encode()).hexdigest()[:8]


def _bytes(traffic: Sequence[Traffic]) -> Row:
    """Mean bytes per site of every round, and those of float32."""
    return {
        "up_bytes": [round(sum(t.up.values()) / len(t.up)) for t in traffic],
        "up_float32": [round(sum(t.up_float32.values()) / len(t.up)) for t in traffic],
        "down_bytes": [t.down for t in traffic],
        "down_float32": [t.down_float32 for t in traffic],
    }

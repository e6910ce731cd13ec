"""What the closed form costs: bytes of a site's second moments, time and memory of solving them without torch.

    python -m benchmarks.closed_form [--dims N N ...] [--mixed] [--json]

1280 image and 384 text features, or modalities of as many as `--dims` says; 14 labels, ten sites of made-up cases, two
of which have all modalities and the others the first, and all eight groups of sites filled. The updates are made by the
sites' own code; a child process that never loads torch judges them and closes the round, with one BLAS thread. CPU
seconds beside the clock's: the machine may be shared.
`--mixed`: those two also have cases with the first modality alone.
"""

import argparse
import hashlib
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from unittest.mock import patch

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from benchmarks.commands import positive
from fedfin.memory import peak_rss_mb
from fedfin.plan import Plan
from fedfin.plan_sections import Modality, Model
from fedfin.plan_sections import Rounds as RoundPolicy
from fedfin.protocol.schedule import task_of
from fedfin.protocol.site.effects import Work
from fedfin_aggregator.closed_form.groups import GROUPS, group_of
from fedfin_aggregator.closed_form.pooled_moments import Sums
from fedfin_aggregator.closed_form.solve import Tensors, solve
from fedfin_aggregator.rounds.rounds import Rounds
from fedfin_aggregator.store.journal import Journal

if TYPE_CHECKING:
    from fedfin_edge.cases.dataset import Dataset

DIMS = (1280, 384)
NAMES = ("image", "text")  # of the first modalities
LABELS, SITES, COMPLETE, CASES, CAUSES = 14, 10, 2, 200, 32
# For a site with all modalities and for solving.
MOST_MB, MOST_SECONDS, MOST_MEMORY_MB = 6.0, 10.0, 500.0
ROUND = 2  # that of the second moments
RUN = "0" * 16
ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}


@dataclass(frozen=True)
class Solving:
    """What the aggregator's process took, in seconds and MB of 10^6 bytes.

    judge: per update; solve: from sums to tensors; close: with keeping sums and making the version.
    """

    judge_s: float
    solve_s: float
    solve_cpu_s: float
    close_s: float
    memory_before_mb: float
    memory_mb: float


def make_plan(dims: Sequence[int]) -> Plan:
    """The default model over modalities of so many features each."""
    names = [*NAMES, *(f"modality-{place + 1}" for place in range(len(NAMES), len(dims)))][: len(dims)]
    return Plan(
        federation="benchmark",
        labels=tuple(f"label-{i}" for i in range(LABELS)),
        modalities=tuple(
            Modality(name=m, encoder="0" * 64, dim=dim) for m, dim in zip(names, dims, strict=True)
        ),
        model=Model(),
        rounds=RoundPolicy(sites=SITES, min_sites=SITES),
    )


def site_names() -> list[str]:
    """SITES of them, in all groups."""
    names: list[str] = []
    number = 0
    while len(names) < SITES:
        name, number = f"site-{number}", number + 1
        new = group_of(name) not in {group_of(known) for known in names}
        if new or len(names) >= GROUPS:
            names.append(name)
    return names


def made_up(plan: Plan, seed: int, share_complete: float) -> "Dataset":
    """Cases from common causes; so many of them have all modalities, the others the first."""
    from fedfin_edge.cases.dataset import Dataset

    world, rng = np.random.default_rng(0), np.random.default_rng([seed, 1])
    causes = rng.normal(size=(CASES, CAUSES))
    first, *others = plan.dims
    present = {first: np.ones(CASES, np.bool_)}
    present |= dict.fromkeys(others, np.arange(CASES) < share_complete * CASES)
    features = {
        m: _noisy(rng, causes @ world.normal(size=(CAUSES, dim)) / CAUSES**0.5) * present[m][:, None]
        for m, dim in plan.dims.items()
    }
    odds = causes @ world.normal(size=(CAUSES, LABELS))
    labels = (odds + rng.logistic(size=odds.shape) > 1.0).astype(np.float32)
    rounded = {m: values.astype(np.float32) for m, values in features.items()}
    half = np.arange(CASES) % 2 == 1
    return Dataset(rounded, present, labels, np.zeros(CASES, np.bool_), second_half=half)


def _noisy(rng: np.random.Generator, values: NDArray[np.float64]) -> NDArray[np.float64]:
    return values + 0.5 * rng.normal(size=values.shape)


def make_updates(folder: Path, dims: Sequence[int], *, mixed: bool) -> dict[str, float]:
    """An aggregator in round 2 and a file for each site's update; MB of one by kind of site."""
    from fedfin.model.initial_model import initial_model
    from fedfin_edge.agent.error_feedback import Feedback
    from fedfin_edge.agent.update import make_update

    plan = make_plan(dims)
    rounds = Rounds(Journal(folder / "journal.sqlite", create=plan, run=RUN))
    rounds.close(ROUND - 1)
    rounds.journal.close()
    model, work = initial_model(plan), Work(ROUND, task_of(plan, ROUND), ROUND - 1)

    def update(site: str, seed: int, share_complete: float) -> bytes:
        dataset = made_up(plan, seed, share_complete)
        callbacks = {"report": lambda *_: None, "stop": lambda: False}
        return make_update(plan, work, model, dataset, site, RUN, Feedback(""), **callbacks).payload  # type: ignore[arg-type]

    for seed, site in enumerate(site_names()):
        share = (0.5 if mixed else 1.0) if seed < COMPLETE else 0.0
        (folder / f"{site}.update").write_bytes(update(site, seed, share))
    kinds = {"one modality": 0.0, "all": 1.0, "all for half of the cases": 0.5}
    return {kind: len(update("s", 99, share)) / 1e6 for kind, share in kinds.items()}


def solve_there(folder: Path) -> Solving:
    """The aggregator's part, in this process."""
    rounds = Rounds(Journal(folder / "journal.sqlite"))
    before, started = peak_rss_mb(), time.perf_counter()
    for path in sorted(folder.glob("*.update")):
        payload = path.read_bytes()
        receipt = rounds.judge(ROUND, path.stem, hashlib.sha256(payload).digest(), payload)
        if not receipt.accepted:
            raise SystemExit(receipt.reason)
    judged, spent = time.perf_counter(), {"wall": 0.0, "cpu": 0.0}

    def timed(plan: Plan, groups: Sequence[Sums]) -> Tensors:
        wall, cpu = time.perf_counter(), time.process_time()
        found = solve(plan, groups)
        spent.update(wall=time.perf_counter() - wall, cpu=time.process_time() - cpu)
        return found

    with patch("fedfin_aggregator.rounds.close.solve", timed):
        rounds.close(ROUND)
    closed = time.perf_counter()
    if "torch" in sys.modules:
        raise SystemExit("torch is loaded")
    return Solving(
        judge_s=(judged - started) / SITES,
        solve_s=spent["wall"],
        solve_cpu_s=spent["cpu"],
        close_s=closed - judged,
        memory_before_mb=before,
        memory_mb=peak_rss_mb(),
    )


def measure(dims: Sequence[int], *, mixed: bool) -> tuple[dict[str, float], Solving]:
    """MB by kind of site, and what a fresh process took."""
    with tempfile.TemporaryDirectory() as name:
        sizes = make_updates(Path(name), dims, mixed=mixed)
        command = [sys.executable, "-m", "benchmarks.closed_form", "--solve", name]
        done = subprocess.run(command, env=os.environ | ONE_THREAD, stdout=subprocess.PIPE, check=True)
        return sizes, Solving(**json.loads(done.stdout))


def print_table(dims: Sequence[int], sizes: dict[str, float], took: Solving) -> None:
    """Beside the bounds."""
    table = Table(
        "what",
        "measured",
        "bound",
        title=f"second moments of {' + '.join(map(str, dims))} features, ten sites, eight groups",
        caption="Halves of the cases with all, and cases with one modality alone, have second moments of their own"
        " where a site's are not more than the bound: with so many features it sends all as one population.",
    )
    for kind, megabytes in sizes.items():
        bound = "" if kind == "one modality" else f"{MOST_MB:.0f} MB"
        table.add_row(f"update of a site with {kind}", f"{megabytes:.2f} MB", bound)
    table.add_row("judge one update", f"{took.judge_s:.2f} s", "")
    table.add_row("solve", f"{took.solve_s:.1f} s ({took.solve_cpu_s:.1f} s CPU)", f"{MOST_SECONDS:.0f} s")
    table.add_row("close the round", f"{took.close_s:.1f} s", "")
    table.add_row("peak memory of the process", f"{took.memory_mb:.0f} MB", f"{MOST_MEMORY_MB:.0f} MB")
    table.add_row("... before the first update", f"{took.memory_before_mb:.0f} MB", "")
    Console().print(table)


def main() -> None:
    """See the module's docstring."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--mixed", action="store_true", help="sites with all have cases of the first alone, too"
    )
    parser.add_argument(
        "--dims", type=positive, nargs="+", default=DIMS, help="features of each modality (default: 1280 384)"
    )
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument("--solve", type=Path, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.solve is not None:
        print(json.dumps(asdict(solve_there(args.solve))))
        return
    sizes, took = measure(args.dims, mixed=args.mixed)
    if args.json:
        bounds = {"update_mb": MOST_MB, "solve_s": MOST_SECONDS, "memory_mb": MOST_MEMORY_MB}
        print(json.dumps({"update_mb": sizes} | asdict(took) | {"bounds": bounds}, indent=2))
    else:
        print_table(args.dims, sizes, took)


if __name__ == "__main__":
    main()

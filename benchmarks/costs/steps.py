"""What `fedfin bench all` runs, step by step; each leaves one JSON file, with raw samples, in the folder of results."""

import itertools
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, get_args

from benchmarks.costs.compute.fusion_subjects import FINS
from benchmarks.costs.compute.materials import MODALITIES, Materials, make
from benchmarks.costs.compute.process import Measured, measure
from benchmarks.costs.compute.timing import ratio
from benchmarks.costs.wire.federation import Case
from fedfin.codec import PRESETS
from fedfin.codec.presets import Preset
from fedfin.plan_sections import Level

Result = dict[str, Any]
Tell = Callable[[str, int, int], None]


@dataclass(frozen=True)
class Run:
    """quick: fewer of everything; materials: the folder of what is measured; cache: of data sets; tell: of progress."""

    quick: bool
    materials: Path
    cache: Path
    tell: Tell


@dataclass(frozen=True)
class Step:
    """`seconds`: about how long it takes on two cores of its own, in full and quick; 0: not part of a quick run."""

    name: str
    what: str
    seconds: tuple[float, float]
    run: Callable[[Run], Result]


# Where a ratio is claimed the two are measured by turns, in one process.
PAIRS = {
    "imputation": ("fin-gaussian", "r2gen-60"),
    "imputation-64": ("fin-gaussian-64", "r2gen-60"),
    "end to end": ("predict-image", "r2gen-whole"),
    "image int8": ("image-int8", "image-float"),
    "text int8": ("text-int8", "text-float"),
}
# In one process each: what both pairs need is made and counted once.
QUICK_PAIRS = (("imputation", "end to end"), ("image int8", "text int8"))
QUICK_SUBJECTS = ("encode-image", "task-second_moments", "task-train")
COLUMNS = (16, 64, 128)
QUICK_CASES: tuple[tuple[Level, int], ...] = (
    ("secure", 64),
)  # what the demo trains in, as claims are about that


def _made(run: Run) -> Materials:
    """What is measured, made where it is not there."""
    for number, what in enumerate(make(run.materials, 40 if run.quick else 100), 1):
        run.tell(what, number, 4)
    return Materials(run.materials)


def _materials(run: Run) -> Result:
    materials = _made(run)
    sizes = {
        m: {
            "int8": (materials.bundle(m) / "encoder.onnx").stat().st_size,
            "float": materials.float_graph(m).stat().st_size,
            "parity": materials.parity(m),
        }
        for m in MODALITIES
    }
    return {"encoders": sizes}


def _ratios(run: Run) -> Result:
    found: Result = {}
    _made(run)
    chosen = QUICK_PAIRS if run.quick else tuple((name,) for name in PAIRS)
    threads = (1,) if run.quick else _threads()
    for number, (names, count) in enumerate(itertools.product(chosen, threads)):
        run.tell(f"{', '.join(names)}, by turns", number, len(chosen) * len(threads))
        subjects = [subject for name in names for subject in PAIRS[name]]
        measured = measure(run.materials, subjects, threads=count, seconds=2.0 if run.quick else 12.0)
        for name, ours, theirs in zip(names, measured[::2], measured[1::2], strict=True):
            found[f"{name}/{count}"] = _by_turns(ours, theirs)
    return found


def _by_turns(ours: Measured, theirs: Measured) -> Result:
    times = ratio(theirs.samples, ours.samples)
    return {"ours": asdict(ours), "theirs": asdict(theirs), "times": asdict(times)}


def _threads() -> tuple[int, ...]:
    """One, and all."""
    import os

    return tuple(sorted({1, os.cpu_count() or 1}))


def _alone(run: Run) -> Result:
    """Each in a process of its own: its memory is nobody else's."""
    from benchmarks.costs.compute.subjects import SUBJECTS

    _made(run)
    names = QUICK_SUBJECTS if run.quick else tuple(SUBJECTS)
    found: Result = {}
    for number, name in enumerate(names):
        run.tell(name, number, len(names))
        (one,) = measure(run.materials, [name], threads=1, seconds=0.5 if run.quick else 1.5)
        found[name] = asdict(one)
    return found


def _wire(run: Run) -> Result:
    """The demo's federation at every level, in so many columns."""
    cases = QUICK_CASES if run.quick else tuple(itertools.product(get_args(Level), COLUMNS))
    found: Result = {}
    for number, (level, columns) in enumerate(cases):
        run.tell(f"ten sites, {level}, {columns} columns", number, len(cases))
        found[f"{level}/{columns}"] = _traffic(Case(level, columns))
    return found


def _presets(run: Run) -> Result:
    """One federation whose every round of training goes by another preset."""
    run.tell("ten sites, every preset", 0, 1)
    presets: Sequence[Preset] = tuple(PRESETS)
    return _traffic(Case("open", 64, tuple(presets)))


def _traffic(case: Case) -> Result:
    from benchmarks.costs.wire.federation import run

    traffic = run(case)
    tasks = {
        label: {
            kind: {"up": asdict(both.up), "down": asdict(both.down)}
            for kind, both in (("mean", traffic.mean(label)), ("largest", traffic.largest(label)))
        }
        for label in traffic.labels
    }
    return {"sites": case.sites, "tasks": tasks, "costs": traffic.costs}


def _learning(run: Run) -> Result:
    import msgspec

    from benchmarks.costs import learning

    presets: Sequence[Preset] = ("exact",) if run.quick else tuple(PRESETS)
    seeds = 1 if run.quick else 3
    courses = []
    for course in learning.run(run.cache, presets, seeds, run.tell):
        courses.append(course)
        run.tell("federations until 99 %", len(courses), seeds * len(presets))
    needed = {preset: learning.rounds_needed(courses, preset) for preset in presets}
    return {
        "goal": learning.goal(courses),
        "closed_forms_reach": learning.closed_forms_reach(courses),
        "rounds": needed,
        "courses": [msgspec.to_builtins(course) for course in courses],
    }


def _sizes(run: Run) -> Result:
    """Values that each federation's model has, and what frameworks make of the demo's; nothing runs."""
    import msgspec
    import numpy as np

    from benchmarks.costs.baselines.paper_federation import PaperModel
    from benchmarks.costs.baselines.r2gen import R2Gen
    from benchmarks.costs.compute.fusion_subjects import full_plan, model_of
    from benchmarks.costs.framing import framed, ours
    from benchmarks.costs.multiply_adds import parameters
    from fedfin.model.model_spec import task_specs
    from fedfin.plan_sections import Model

    run.tell("sizes", 0, 1)
    paper = PaperModel()
    fins = {fin: _trained_values(full_plan(model_of(fin))) for fin in FINS}
    plan = full_plan(Model(fin="mlp", answer="head"))
    random = np.random.default_rng(0)
    shapes = task_specs(plan, "train")
    update = {name: 0.01 * random.standard_normal(shape, np.float32) for name, shape in shapes.items()}
    lines = [*framed(update), *(ours(update, preset) for preset in PRESETS)]
    return {
        "r2gen-60": parameters(R2Gen(60)),
        "r2gen-100": parameters(R2Gen(100)),
        "paper": parameters(paper),
        "paper-fin": parameters(paper.fin),
        "paper-encoders": parameters(paper.image) + parameters(paper.text),
        "fins": fins,
        "update": {"values": sum(v.size for v in update.values()), "tensors": len(update)},
        "framing": [msgspec.to_builtins(line) for line in lines],
    }


def _install(run: Run) -> Result:
    """What the aggregator's machine needs of disk."""
    from benchmarks.footprint import installed_mb

    run.tell("installed packages", 0, 1)
    return {"packages": installed_mb()}


def _trained_values(plan: Any) -> int:
    """What a round of training sends."""
    import math

    from fedfin.model.model_spec import task_specs

    return sum(math.prod(shape) for shape in task_specs(plan, "train").values())


STEPS = (
    Step("sizes", "parameters and framing", (8, 8), _sizes),
    Step("install", "size of the base install", (1, 1), _install),
    Step("wire", "bytes on the wire, by level and columns", (150, 16), _wire),
    Step("presets", "bytes on the wire, by preset", (20, 0), _presets),
    Step("learning", "rounds until 99 % of the final AUC", (180, 10), _learning),
    Step("materials", "encoders, float and int8", (40, 30), _materials),
    Step("ratios", "ratios, measured by turns", (200, 40), _ratios),
    Step("alone", "time, memory and multiply-adds, one by one", (200, 12), _alone),
)

"""`fedfin bench all`: every step whose result is not there yet, then the report."""

import json
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.costs.steps import STEPS, Result, Run, Step
from benchmarks.costs.system import system
from fedfin.command_line.checkout import CHECKOUT
from fedfin.command_line.progress import ProgressBar
from fedfin.errors import FedfinError, InputError
from fedfin.files import make_folder, write_atomically


class Results:
    """A folder with a file for each step that is done."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def path(self, step: str) -> Path:
        """Its file."""
        return self.folder / f"{step}.json"

    def read(self) -> dict[str, Result]:
        """By step. Raises InputError for a file that is damaged, or where there is none at all."""
        found: dict[str, Result] = {}
        for step in STEPS:
            path = self.path(step.name)
            if path.is_file():
                found[step.name] = self._one(path)
        if not found:
            raise InputError(
                f"{self.folder}: there are no results; run `fedfin bench all --out {self.folder}` first"
            )
        return found

    @staticmethod
    def _one(path: Path) -> Result:
        try:
            result: Any = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise InputError(
                f"{path}: cannot read it ({error}); remove it and run `fedfin bench all` again"
            ) from None
        if not isinstance(result, dict) or "system" not in result:
            raise InputError(f"{path}: is no result of `fedfin bench all`; remove it, or give another folder")
        return result

    def has(self, step: str, *, quick: bool) -> bool:
        """A full result serves a quick run, too."""
        path = self.path(step)
        return path.is_file() and (quick or not self._one(path)["quick"])

    def write(self, step: str, result: Result, *, quick: bool) -> None:
        """Whole or not at all."""
        whole = {"quick": quick, "system": system(), **result}
        write_atomically(self.path(step), (json.dumps(whole, indent=1) + "\n").encode())


def run_all(folder: Path, cache: Path, *, quick: bool, only: Sequence[str] = ()) -> list[str]:
    """Do what is not done; the steps that failed, with the reason told on standard error."""
    make_folder(folder)
    _let_children_import()
    results, failed = Results(folder), []
    todo = [step for step in STEPS if (step.name in only if only else step.seconds[quick])]
    left = [step for step in todo if not results.has(step.name, quick=quick)]
    with ProgressBar() as bar:
        run = Run(quick, folder / "materials", cache, bar.update)
        for place, step in enumerate(left):
            _announce(step, left[place:], quick=quick)
            begun = time.monotonic()
            try:
                found = step.run(run)
            except FedfinError as error:
                failed.append(step.name)
                print(f"{step.name}: {error}", file=sys.stderr)
            else:
                results.write(step.name, found | {"seconds": time.monotonic() - begun}, quick=quick)
            bar.update("steps", place + 1, len(left))
    return failed


def _let_children_import() -> None:
    """The checkout, whatever folder this runs in: the `fedfin` command puts it on its own path alone."""
    known = os.environ.get("PYTHONPATH", "")
    if str(CHECKOUT) not in known.split(os.pathsep):
        os.environ["PYTHONPATH"] = os.pathsep.join([str(CHECKOUT), *([known] if known else [])])


def _announce(step: Step, left: Sequence[Step], *, quick: bool) -> None:
    """What comes, and how long all of it takes on two cores of one's own."""
    minutes = sum(one.seconds[quick] for one in left) / 60
    print(f"{step.name}: {step.what}; about {minutes:.0f} min left", file=sys.stderr, flush=True)

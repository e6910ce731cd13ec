"""All jobs of a study, a core each. Every row is appended when it is done; what a file holds is not run again.

A job that fails leaves a row with its error and is tried again when the study goes on. However the command ends, no
process is left behind.
"""

import os
import traceback
from collections.abc import Iterator, Sequence
from concurrent.futures import as_completed
from pathlib import Path

from benchmarks.rows import Row, append_row, read_rows
from benchmarks.study.jobs import Job
from benchmarks.study.method import NotApplicableError
from benchmarks.study.run import identity, run
from benchmarks.workers import workers
from fedfin.files import make_folder

COMMAND = "fedfin study run"  # that writes these files
# A process for each core is enough threads; they must be told before numpy is imported.
_ONE_THREAD = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
_DIED = "a process of the study died, perhaps for want of memory; run it again to go on, with a smaller --processes"


def run_all(todo: Sequence[Job], out: Path, cache: Path, processes: int) -> Iterator[tuple[int, Row | None]]:
    """Run what `out` does not hold yet. Yields how many of `todo` are done, first, and with every new row.

    Raises FedfinError when a process dies, as for want of memory; what was done stays done.
    """
    known = _known(out)
    left = [job for job in todo if job.key not in known]
    done = len(todo) - len(left)
    yield done, None
    make_folder(out.parent)
    os.environ.update(dict.fromkeys(_ONE_THREAD, "1"))
    with workers(min(processes, max(1, len(left))), _DIED) as pool:
        for future in as_completed([pool.submit(attempt, job, cache) for job in left]):
            row = future.result()
            append_row(out, row)
            done += 1
            yield done, row


def _known(out: Path) -> set[str]:
    return {row["key"] for row in read_rows(out, COMMAND) if "error" not in row} if out.exists() else set()


def attempt(job: Job, cache: Path) -> Row:
    """The job's row, or one that tells how it failed, or why the method is not for such data."""
    try:
        return run(job, cache)
    except NotApplicableError as reason:
        return identity(job) | {"skipped": str(reason)}
    except Exception as error:  # noqa: BLE001 - one method's fault must not end the study
        place = traceback.extract_tb(error.__traceback__)[-1]
        where = f"{Path(place.filename).name}:{place.lineno}"
        return identity(job) | {"error": f"{type(error).__name__}: {error} ({where})"}

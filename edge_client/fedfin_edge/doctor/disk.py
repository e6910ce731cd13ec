"""Room for the feature store, the model and updates; and that they can be written."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from fedfin.broker.check.finding import Finding, fail, passed, warn

# A model, an update, their successors: of the largest plan 128 MB each (limits.PLAN_VALUES).
LEAST_BYTES = 500_000_000
FEW_BYTES = 2_000_000_000  # features of 100,000 cases with image and report have 0.7 GB


def disk(folder: Path) -> Iterator[Finding]:
    """Free bytes where the folder is, and a file that is written and read there."""
    free = shutil.disk_usage(folder).free
    says = f"{free / 1e9:,.1f} GB free where {folder} is"
    if (problem := _unwritable(folder)) is not None:
        yield fail(
            "disk", f"{folder}: cannot write there ({problem})", "free space, or let this user write there"
        )
    elif free < LEAST_BYTES:
        yield fail(
            "disk", says, f"free space: at least {LEAST_BYTES / 1e9:g} GB, better {FEW_BYTES / 1e9:g} GB"
        )
    elif free < FEW_BYTES:
        yield warn(
            "disk", says, f"free space before it is full: {FEW_BYTES / 1e9:g} GB are enough for most sites"
        )
    else:
        yield passed("disk", says)


def _unwritable(folder: Path) -> str | None:
    try:
        with tempfile.TemporaryFile(dir=folder) as stream:
            stream.write(bytes(1 << 16))
            stream.flush()
            os.fsync(stream.fileno())
    except OSError as error:
        return error.strerror
    return None

"""Whether a folder that is watched lets us in: one that does not looks like an empty one."""

import os
from pathlib import Path

_LOOK_IN = os.R_OK | os.X_OK


def is_open(folder: Path) -> bool:
    """Whether it is a folder whose files we may list and reach."""
    return os.access(folder, _LOOK_IN, effective_ids=True) and folder.is_dir()


def may_remove(folder: Path) -> bool:
    """Whether we may take files out of it."""
    return os.access(folder, _LOOK_IN | os.W_OK, effective_ids=True)


def closed_below(folder: Path) -> int:
    """How many folders below it we may not look into; links are not followed, as they are not in watching."""
    below = (Path(parent, name) for parent, names, _ in os.walk(folder) for name in names)
    return sum(not is_open(each) for each in below if not each.is_symlink())

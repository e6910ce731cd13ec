"""A folder that appears whole or not at all, and whether others may look into one."""

import contextlib
import os
import shlex
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from fedfin.errors import StateError

_OTHERS = 0o077  # the rights of the group and of everybody


def warn_if_open(folder: Path) -> None:
    """Tell on standard error that others on this machine may look into the folder, and the remedy."""
    if folder.is_dir() and folder.stat().st_mode & _OTHERS:
        print(
            f"fedfin: warning: {folder} is open to other users of this machine;"
            f" close it: chmod -R go-rwx {shlex.quote(str(folder))}",
            file=sys.stderr,
        )


def check_free(out: Path, marker: str, *, force: bool) -> None:
    """Refuse an existing `out`, unless `force` and it holds `marker`: nothing else is ever deleted.

    Raises StateError.
    """
    if not out.exists() and not out.is_symlink():
        return
    if not force:
        raise StateError(f"{out} exists already; choose another folder, or replace it with --force")
    if not (out / marker).is_file() or out.is_symlink():
        raise StateError(f"{out}: --force replaces only a folder with a {marker}; remove it yourself")


@contextlib.contextmanager
def whole_folder(out: Path, marker: str, *, force: bool = False) -> Iterator[Path]:
    """A temporary sibling of `out` to fill; renamed to `out` when the block ends well, else deleted.

    For bundles, exported models and the like: they are handed on, and their rights are as the umask says.

    Ctrl-C counts as ending badly. With `force` an older folder with `marker` is replaced, and put back if
    the renaming fails. Raises StateError.
    """
    check_free(out, marker, force=force)
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        work = Path(tempfile.mkdtemp(dir=out.parent, prefix=f".{out.name}."))
    except OSError as error:
        raise StateError(f"{out}: cannot write there ({error.strerror}); choose another folder") from None
    try:
        new = work / "new"
        new.mkdir()
        yield new
        check_free(out, marker, force=force)
        _replace(new, out, work / "old")
    finally:
        shutil.rmtree(work, ignore_errors=True)


def _replace(new: Path, out: Path, old: Path) -> None:
    if not out.exists():
        new.rename(out)
        return
    out.rename(old)
    try:
        new.rename(out)
    except BaseException:
        os.rename(old, out)  # noqa: PTH104 - the same call in both directions reads as an undo
        raise

"""`fedfin edge support`: what the developers need to help, in one text that people read before it is written."""

import argparse
import sys
from pathlib import Path

from fedfin.command_line.parsers import Commands, add_command
from fedfin.errors import SettingsError, StateError

_DESCRIPTION = """\
Shows versions, settings without passwords, users, paths and hosts (but the broker's), the doctor's findings, the
status, sizes of files, and the ends of audit log and logs. Of patients there is nothing. Then it asks, and writes what
it showed; nothing is sent: mail the file yourself. --yes writes without asking."""
_EXAMPLE = "fedfin edge support st-mary --out st-mary.support.txt --log st-mary.log"


def add(commands: Commands) -> None:
    """Add the command."""
    summary = "gather what the developers need to help; shown before it is written"
    parser = add_command(commands, "support", summary, example=_EXAMPLE, description=_DESCRIPTION)
    parser.add_argument("folder", type=Path, help="site folder")
    parser.add_argument("--out", type=Path, required=True, metavar="FILE", help="the text file to write")
    parser.add_argument(
        "--log",
        type=Path,
        action="append",
        default=[],
        metavar="FILE",
        help="what `run --log` or `intake --log` writes, or of a service `journalctl -u UNIT -o cat`; again for others",
    )
    parser.add_argument("--yes", action="store_true", help="write it without asking")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Show, ask, write. Raises SettingsError, StateError."""
    from fedfin.files import write_atomically
    from fedfin_edge.doctor.examination import examine
    from fedfin_edge.doctor.support import support_text

    if not args.folder.is_dir():
        raise SettingsError(f"{args.folder}: there is no such folder; name a site's")
    if args.out.exists():
        raise StateError(f"{args.out} exists already; choose another name with --out")
    text = support_text(args.folder, [finding for finding, _ in examine(args.folder)], args.log)
    print(text, end="")
    _confirm(args)
    write_atomically(args.out, text.encode())
    print(f"{args.out}: written, {len(text.encode()):,} bytes; send it to whom you asked for help")
    return 0


def _confirm(args: argparse.Namespace) -> None:
    if args.yes:
        return
    if not sys.stdin.isatty():
        raise SettingsError("nothing is written: read the above, and give --yes if it may leave this site")
    if input(f"Write this to {args.out}? Type yes: ").strip().lower() != "yes":
        raise SettingsError("nothing is written")

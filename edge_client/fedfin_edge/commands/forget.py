"""`fedfin edge forget`: take a study, or a patient, out of everything that FedFIN keeps at this site."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from fedfin.command_line.parsers import Commands, add_command
from fedfin.errors import FedfinError

if TYPE_CHECKING:
    from fedfin_edge.intake.forget import Forgotten
    from fedfin_edge.site import Site

_DESCRIPTION = """\
Take the study with this accession number out of what the intake has: images, reports, labels, features, the fixed
cases, the spool, and the free pages of the files. It says how much there was, and what it cannot reach. The exit code
is 1 where nothing of it was here."""
_AGAIN = "what a source still has, or sends again, is taken again, unless --bar is given"
_BARRED = {
    "accession": "what a source still has, or sends again, of this accession number is not taken",
    "patient": "what a source still has, or sends again, of the studies that were here is not taken; other studies of"
    " this patient are",
}
_EXAMPLE = "fedfin edge forget st-mary A-1234"


def add(commands: Commands) -> None:
    """Add the command."""
    parser = add_command(
        commands,
        "forget",
        "take a study or a patient out of the intake",
        example=_EXAMPLE,
        description=_DESCRIPTION,
    )
    parser.add_argument("folder", type=Path, metavar="FOLDER", help="the site folder")
    parser.add_argument(
        "name", metavar="ACCESSION", help="the accession number; with --patient, the patient's id"
    )
    parser.add_argument("--patient", action="store_true", help="all studies of this patient id")
    parser.add_argument("--bar", action="store_true",
                        help="keep keyed hashes of its accession numbers and studies: they stay out")  # fmt: skip
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Forget, and say so; exit code 1 where there was nothing. Raises SettingsError, StateError."""
    from fedfin_edge.intake.folder import open_intake
    from fedfin_edge.intake.forget import forget
    from fedfin_edge.site import open_site

    site = open_site(args.folder)
    _require_intake(site)
    kind: Literal["patient", "accession"] = "patient" if args.patient else "accession"
    gone = forget(site, open_intake(site), kind, args.name, bar=args.bar)
    _print(site, gone)
    print(_BARRED[kind] if args.bar else _AGAIN)
    print("updates and models that were made with it, and backups of this folder, stay as they are")
    return 0 if gone.any else FedfinError.exit_code


def _require_intake(site: "Site") -> None:
    """Of a table that others keep there is nothing to take out but features. Raises SettingsError."""
    from fedfin.errors import SettingsError

    if site.settings.intake is None:
        raise SettingsError(
            f"{site.folder}: its cases come from {site.table_path}, and not from an intake; take the rows out there,"
            f" delete {site.features_path} with its features, and run `fedfin edge encode {site.folder}`"
        )


def _print(site: "Site", gone: "Forgotten") -> None:
    """The name that was given is not repeated: a terminal's output may be kept."""
    from fedfin.lock import is_at_work
    from fedfin_edge.site import ANSWERS

    if not gone.any:
        print("nothing of it is here; is it written as the archive writes it?")
    else:
        print(
            f"forgotten: {gone.images} images and {gone.reports} reports with their features, {gone.labels} labels,"
            f" {gone.spooled} files of the spool, {gone.fixed} of the cases that training reads"
        )
    if gone.fixed:
        print(
            "a run that has begun with them ends at its next start with exit code 9 (docs/edge.md, One answer);"
            f" what `fedfin edge status` shows still counts them: run `fedfin edge encode {site.folder}`"
        )
    if is_at_work(site.folder):
        print(f"`fedfin edge run {site.folder}` is at work and keeps in memory what it read: restart it")
    if site.answers_path.exists():
        print(
            f"stays for as long as nobody may subtract: {ANSWERS}, with keyed digests of each patient's id and cases"
        )
    if site.settings.intake is not None and site.settings.intake.labels is not None:
        print(f"not ours to change: {site.settings.intake.labels.table}; take its row out there, too")

"""`fedfin edge intake`: take studies and reports from archive and reporting system, as a service."""

import argparse
import json
import sys
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

from fedfin.command_line import log_file
from fedfin.command_line.parsers import Commands, add_command

if TYPE_CHECKING:
    from fedfin_edge.intake.dry_run import DryRun
    from fedfin_edge.intake.service import Service
    from fedfin_edge.intake_settings import Take

_DESCRIPTION = """\
Take images and reports from where [intake] in site.toml says: DICOM, DICOMweb, HL7, FHIR, files. What the rules
take is encoded and dropped: features and keyed hashes stay. `fedfin edge encode` then fixes the cases that there
are, for `fedfin edge run`. It may be stopped at any time and started again."""
_EXAMPLE = """\
  fedfin edge intake st-mary --dry-run /media/studies    what the rules make of real studies
  fedfin edge intake st-mary                             serve"""


def add(commands: Commands) -> None:
    """Add the command."""
    parser = add_command(
        commands,
        "intake",
        "take studies from the archive and reports, as a service",
        example=_EXAMPLE,
        description=_DESCRIPTION,
    )
    parser.add_argument("folder", type=Path, metavar="FOLDER", help="the site folder")
    parser.add_argument("--dry-run", type=Path, metavar="STUDIES",
                        help="only say which DICOM files in this folder count, which not, and why")  # fmt: skip
    parser.add_argument("--once", action="store_true",
                        help="poll what is polled once, work until nothing waits, and end")  # fmt: skip
    parser.add_argument("--show", action="store_true", help="only say what there is")
    parser.add_argument("--processes", type=int, default=1, choices=range(65), metavar="N",
                        help="read and encode in N processes, 0: in this one (default: 1)")  # fmt: skip
    parser.add_argument(
        "--json", action="store_true", help="tell everything as JSON lines on standard output"
    )
    log_file.add(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Serve, or what an option asks for instead; exit codes as in fedfin.errors."""
    from fedfin_edge.intake.folder import intake_settings, open_intake
    from fedfin_edge.site import open_site

    warnings.simplefilter("ignore")  # pydicom's quote values of what they find odd
    site = open_site(args.folder)
    if args.dry_run is not None:
        from fedfin_edge.intake.dry_run import dry_run

        rules = intake_settings(site).take
        _print_dry_run(dry_run(args.dry_run, rules), rules, as_json=args.json)
        return 0
    if args.show:
        from fedfin_edge.intake.summary import print_summary, summarize

        print_summary(summarize(site, open_intake(site)), as_json=args.json)
        return 0
    return _serve(args)


def _serve(args: argparse.Namespace) -> int:
    from fedfin.command_line.progress import JsonLines, Lines
    from fedfin.files import make_folder
    from fedfin.lock import only_process
    from fedfin.memory import map_large_blocks
    from fedfin.service.notify import Manager
    from fedfin_edge.agent.status import StatusFile
    from fedfin_edge.intake.folder import open_intake, require_source
    from fedfin_edge.intake.service import Service
    from fedfin_edge.site import open_site

    map_large_blocks()  # an image is one, several times over
    site = open_site(args.folder)
    require_source(site)
    make_folder(site.intake_path)
    reporter = JsonLines(sys.stdout) if args.json else Lines(sys.stderr)
    lock, manager = only_process(site.intake_path, "fedfin edge intake"), Manager()
    status = StatusFile(site.intake_path)
    with lock, reporter as report, status:
        heard = manager.informed(status.reported(log_file.logged(report, args.log)))
        folder = open_intake(site, make=True)
        _work(Service(site, folder, heard, processes=args.processes, manager=manager), once=args.once)
    return 0


def _work(intake: "Service", *, once: bool) -> None:
    with intake as service:
        if once:
            service.once()
        else:
            service.serve()


def _print_dry_run(found: "DryRun", rules: "tuple[Take, ...]", *, as_json: bool) -> None:
    taken = [
        {"rule": number + 1, "modality": rule.modality, "images": found.taken[number]}
        for number, rule in enumerate(rules)
    ]
    left_out = [
        {"reason": reason, "value": value, "images": images}
        for (reason, value), images in found.left_out.most_common()
    ]
    if as_json:
        facts = {
            "files": found.files,
            "studies": len(found.studies),
            "taken": taken,
            "without_patient": found.without_patient,
            "left_out": left_out,
        }
        print(json.dumps(facts))
        return
    print(f"{found.files} files; images that count in {len(found.studies)} studies")
    for each in taken:
        print(f"taken by rule {each['rule']} as {each['modality']}: {each['images']}")
    print(
        f"of these without a patient's id: {found.without_patient};"
        " their cases are left out, unless another image or a report says whose they are"
    )
    for line in left_out:
        print(
            f"left out: {line['images']}, {line['reason']}" + (f": {line['value']}" if line["value"] else "")
        )

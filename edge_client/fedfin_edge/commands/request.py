"""`fedfin edge request`: make this site's keys, and the file that asks the coordinator for a seat."""

import argparse
from pathlib import Path

from fedfin.command_line.parsers import Commands, add_command


def add(commands: Commands) -> None:
    """Add the command."""
    summary = "make this site's keys, and the request that the coordinator admits it by"
    example = "fedfin edge request st-mary --out st-mary.request"
    parser = add_command(commands, "request", summary, example=example)
    parser.add_argument("folder", type=Path, help="site folder, made by `init`")
    parser.add_argument(
        "--out", type=Path, required=True, metavar="FILE", help="the request; it holds no secret"
    )
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Keys that are there stay as they are. Raises SettingsError, StateError."""
    from fedfin.trust.request import write_request
    from fedfin_edge.site import open_site

    site = open_site(args.folder)
    settings, trust = site.settings, site.trust_path
    keys = write_request(trust, args.out, role="site", name=settings.site, federation=settings.federation)
    print(f"{args.out}: send it to the coordinator, by any mail; the private keys stay in {trust}")
    print(f"fingerprint, for coordinator and broker's operator to compare by telephone: {keys.fingerprint}")
    return 0

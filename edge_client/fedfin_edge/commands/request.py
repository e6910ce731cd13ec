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
    from fedfin.files import make_folder, write_atomically
    from fedfin.trust.identity import certificate_request, make_identity
    from fedfin.trust.request import Request, sign_request
    from fedfin_edge.site import open_site

    site = open_site(args.folder)
    identity = make_identity(site.trust_path)
    request = Request(
        role="site",
        name=site.settings.site,
        federation=site.settings.federation,
        keys=identity.public,
        certificate_request=certificate_request(site.trust_path, site.settings.site),
    )
    make_folder(args.out.parent)
    write_atomically(args.out, sign_request(request, identity).encode())
    print(f"{args.out}: send it to the coordinator, by any mail; the private keys stay in {site.trust_path}")
    print(f"fingerprint, for the coordinator to compare by telephone: {identity.public.fingerprint}")
    return 0

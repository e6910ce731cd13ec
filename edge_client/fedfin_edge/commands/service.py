"""`fedfin edge service`: a site as a service of systemd."""

import argparse
from pathlib import Path

from fedfin.command_line import no_keys
from fedfin.command_line.parsers import Commands
from fedfin.service.command import add_service
from fedfin.service.unit import EDGE


def add(commands: Commands) -> None:
    """Add the sub-command's parser."""
    parser = add_service(commands, EDGE, install, "st-mary")
    parser.add_argument("folder", type=Path, help="site folder, set up and, with keys, accepted")
    no_keys.add(parser)


def install(args: argparse.Namespace) -> int:
    """Check, move, start. Raises SettingsError, StateError."""
    from fedfin.service.host import Host
    from fedfin.service.install import check_free
    from fedfin.service.install import install as install_service
    from fedfin_edge.moving import move_paths
    from fedfin_edge.site import open_site

    host = Host()
    host.check()
    site = open_site(args.folder)
    name = site.settings.site
    no_keys.check_keys(site.trust_path, args, "fedfin edge request")
    check_free(host, EDGE, name, args.folder)
    move_paths(host, site, host.state(EDGE, name))
    options = ([] if args.text else ["--json"]) + (["--no-keys"] if args.no_keys else [])
    place = install_service(host, EDGE, name, args.folder.resolve(), options, gpu=args.gpu)
    print(f"{EDGE.instance(name)} runs, in {place}; commands for that folder run as its user:")
    print(f"  sudo -u fedfin fedfin edge explain-update {place}")
    print(f"log: journalctl -u {EDGE.instance(name)}")
    return 0

"""`fedfin edge service`: a site, and its intake where it has one, as services of systemd."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from fedfin.command_line import no_keys
from fedfin.command_line.parsers import Commands
from fedfin.service.command import add_service
from fedfin.service.unit import EDGE, INTAKE

if TYPE_CHECKING:
    from fedfin.service.install import Setup
    from fedfin_edge.site import Site


def add(commands: Commands) -> None:
    """Add the sub-command's parser."""
    parser = add_service(commands, EDGE, install, "st-mary")
    parser.add_argument("folder", type=Path, help="site folder, set up and, with keys, accepted")
    parser.add_argument("--gpu", action="store_true", help="let the service use this machine's NVIDIA GPU")
    no_keys.add(parser)


def install(args: argparse.Namespace) -> int:
    """Check, move, start. Raises SettingsError, StateError, BundleError."""
    from fedfin.service.host import Host
    from fedfin.service.install import check_free, check_programs
    from fedfin.service.install import install as install_services
    from fedfin_edge.moving import move_paths
    from fedfin_edge.site import open_site

    host = Host()
    host.check()
    site = open_site(args.folder)
    name, setups = site.settings.site, _setups(site, args)
    check_free(host, EDGE, name, args.folder)
    check_programs(host, [setup.service for setup in setups])
    move_paths(host, site)
    place = install_services(host, setups, name, args.folder.resolve(), gpu=args.gpu)
    _print_next(setups, name, place)
    return 0


def _setups(site: "Site", args: argparse.Namespace) -> "list[Setup]":
    """The intake, if there is one; and the site, unless its cases are still to come from the intake."""
    from fedfin.service.install import Setup

    log, setups = [] if args.text else ["--json"], []
    if site.settings.intake is not None:
        from fedfin_edge.intake.folder import intake_settings
        from fedfin_edge.intake.permissions import permissions

        setups.append(Setup(INTAKE, log, permissions(intake_settings(site), site.folder)))
    if site.settings.intake is None or site.table_path.exists():
        no_keys.check_keys(site.trust_path, args, "fedfin edge request")
        setups.append(Setup(EDGE, log + (["--no-keys"] if args.no_keys else [])))
    return setups


def _print_next(setups: "list[Setup]", name: str, place: Path) -> None:
    units = [setup.service.instance(name) for setup in setups]
    print(f"running: {' and '.join(units)}, in {place}; commands for that folder run as its user:")
    if EDGE in [setup.service for setup in setups]:
        print(f"  sudo -u fedfin fedfin edge explain-update {place}")
    else:
        print(f"  sudo -u fedfin fedfin edge intake {place} --show")
        print(f"  sudo -u fedfin fedfin edge encode {place}      once enough has come, then to take part:")
        print(f"  sudo fedfin edge service install {place}")
    print(f"log: journalctl {' '.join(f'-u {unit}' for unit in units)}")

"""`fedfin edge service`, `fedfin aggregator service`: install, status, uninstall; a group adds its own to install."""

import argparse
import sys
from collections.abc import Callable

from fedfin.command_line.parsers import Commands, add_command, add_commands
from fedfin.errors import StateError
from fedfin.service.unit import Service


def add_service(
    commands: Commands, service: Service, install: Callable[[argparse.Namespace], int], example: str
) -> argparse.ArgumentParser:
    """Add `service` to a group; the parser of its `install`, which `install` answers."""
    summary = "run it as a service of systemd: own user, sandbox, started with the machine"
    group = f"fedfin {service.group} service"
    parser = add_command(commands, "service", summary, example=f"sudo {group} install {example}")
    inner = add_commands(parser, example=f"sudo {group} install {example}")
    adding = add_command(
        inner, "install", "move a folder to where systemd keeps state, and start its service",
        example=f"sudo {group} install {example}",
    )  # fmt: skip
    adding.add_argument(
        "--text", action="store_true", help="log as text (default: JSON lines; both go to the journal)"
    )
    adding.set_defaults(run=install)
    _add_status(inner, service, example)
    _add_uninstall(inner, service, example)
    return adding


def _add_status(inner: Commands, service: Service, example: str) -> None:
    summary = "whether systemd runs it, since when, and what it says it is at"
    parser = add_command(
        inner, "status", summary, example=f"fedfin {service.group} service status {_name(example)}"
    )
    parser.add_argument("name", help="the name after the @ of the unit")
    parser.set_defaults(run=lambda args: _status(service, args.name))


def _add_uninstall(inner: Commands, service: Service, example: str) -> None:
    summary = "stop it and remove all that install made: the folder with keys and answers, too"
    example = f"sudo fedfin {service.group} service uninstall {_name(example)} --keep-state"
    parser = add_command(inner, "uninstall", summary, example=example)
    parser.add_argument("name", help="the name after the @ of the unit")
    parser.add_argument("--keep-state", action="store_true", help="leave the folder where it is")
    parser.add_argument("--yes", action="store_true", help="do not ask before the folder is deleted")
    parser.set_defaults(run=lambda args: _uninstall(service, args))


def _status(service: Service, name: str) -> int:
    """0: all that was installed runs. Raises StateError where there is none, or no systemd."""
    from fedfin.service.host import Host
    from fedfin.service.install import installed
    from fedfin.service.status import read_status

    host = Host()
    host.check_systemd()
    found = [read_status(each, name) for each in installed(host, service, name)]
    print(*found, sep="\n\n")
    return 0 if all(status.active for status in found) else StateError.exit_code


def _uninstall(service: Service, args: argparse.Namespace) -> int:
    """Raises StateError."""
    from fedfin.service.host import Host
    from fedfin.service.install import installed, uninstall

    host = Host()
    host.check()
    place = host.state(service, args.name)
    if place.exists() and not args.keep_state and not args.yes:
        _confirm(f"{place} with its keys and all that it remembers", args.name)
    units = [each.instance(args.name) for each in installed(host, service, args.name)]
    kept = uninstall(host, service, args.name, keep_state=args.keep_state)
    print(f"removed {' and '.join(units)}")
    for path in kept:
        print(f"kept: {path}")
    return 0


def _confirm(what: str, name: str) -> None:
    """Raises StateError for another answer than the name."""
    if not sys.stdin.isatty():
        raise StateError(f"this deletes {what}; say --keep-state or --yes")
    print(f"This deletes {what}. There is no way back. Type {name} to go on:")
    if sys.stdin.readline().strip() != name:
        raise StateError("nothing was changed")


def _name(example: str) -> str:
    return example.partition(" ")[0]

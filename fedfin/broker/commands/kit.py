"""`fedfin broker kit`: everything that a broker for one federation needs, in a folder."""

import argparse
import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fedfin.command_line.parsers import Commands, add_command

if TYPE_CHECKING:
    from fedfin.broker.kit.kit import Kit, Requests, Standing
    from fedfin.broker.kit.settings import KitSettings

_DESCRIPTION = """\
Make a folder with a private certificate authority, the broker's certificate, one for the aggregator and each site
from the request that it sends, mosquitto's configuration and rights, a systemd unit, and a page that explains all of
it. Run again, it adds what is new and leaves what is there."""
_EXAMPLE = """\
  fedfin broker kit --out kit --federation chest --host broker.example --sites sites.txt --requests requests
  fedfin broker kit --out kit --list                    # whose certificate ends when
  fedfin broker kit --out kit --revoke st-luke          # then: README.md in the kit, "Revoke"
  fedfin broker kit --out kit --requests requests --renew st-mary"""
_KEYS_TRAVEL = (
    "--make-keys: the keys of {} were made here and will travel to them. Who reads one on its way can be that client."
    " For trying things out only; otherwise let each make its own key and send a request."
)


def add(commands: Commands) -> None:
    """Add the command."""
    summary = "make, or add to, everything that a broker needs"
    parser = add_command(commands, "kit", summary, example=_EXAMPLE, description=_DESCRIPTION)
    parser.add_argument("--out", required=True, type=Path, metavar="FOLDER", help="the kit's folder")
    _add_people(parser)
    _add_certificates(parser)
    _add_broker(parser)
    parser.set_defaults(run=run)


def _add_people(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--federation", metavar="NAME", help="the federation; a new kit needs it")
    parser.add_argument(
        "--host",
        action="append",
        metavar="NAME",
        help="what clients call the broker; several times for several names",
    )
    parser.add_argument(
        "--sites", type=Path, metavar="FILE", help="the sites' names, one a line; # begins a comment"
    )
    parser.add_argument("--shards", type=int, metavar="N", help="of the aggregator, if it has any")
    parser.add_argument(
        "--requests", type=Path, metavar="FOLDER", help="certificate requests (PEM) that have come"
    )
    parser.add_argument(
        "--list", action="store_true", help="only show whose certificate ends when; change nothing"
    )
    parser.add_argument("--json", action="store_true", help="print the list as JSON")


def _add_certificates(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--renew",
        action="append",
        default=[],
        metavar="NAME",
        help="make this certificate anew; `broker` too",
    )
    parser.add_argument("--revoke", action="append", default=[], metavar="NAME", help="shut this client out")
    parser.add_argument("--csr", action="store_true", default=None,
                        help="have another CA sign: requests go into ca/to-sign, answers into ca/signed")  # fmt: skip
    parser.add_argument("--make-keys", action="store_true",
                        help="make the keys of clients without a request here; to try things out")  # fmt: skip
    parser.add_argument("--days", type=int, metavar="N", help="that a certificate is valid (default: 365)")
    parser.add_argument("--ca-days", type=int, metavar="N", help="that a new CA is valid (default: 3650)")


def _add_broker(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--mosquitto", choices=("2.0", "2.1"),
                        help="whose rules to write (default: those of the one on this machine, or 2.0)")  # fmt: skip
    parser.add_argument(
        "--plugin", metavar="FILE", help="2.1: where mosquitto_acl_file.so is on the broker's machine"
    )
    parser.add_argument("--port", type=int, metavar="N", help="where it listens (default: 8883)")
    parser.add_argument("--listen", metavar="ADDRESS",
                        help="of the broker's machine, to listen there alone (default, or empty: on all)")  # fmt: skip
    parser.add_argument(
        "--etc", metavar="FOLDER", help="where its files will lie (default: /etc/mosquitto/fedfin)"
    )
    parser.add_argument("--data", metavar="FOLDER",
                        help="where it keeps retained messages (default: /var/lib/fedfin-broker)")  # fmt: skip
    parser.add_argument(
        "--most-sites", type=int, metavar="N", help="that the limits allow for (default: 100)"
    )
    parser.add_argument(
        "--model-mb", type=int, metavar="N", help="a model's size that they allow for (default: 20)"
    )


def run(args: argparse.Namespace) -> int:
    """Make or list. Raises SettingsError, StateError."""
    from fedfin.broker.kit.asked import read_asked
    from fedfin.broker.kit.kit import Kit
    from fedfin.broker.kit.settings import settle
    from fedfin.files import make_folder
    from fedfin.lock import only_process

    settings = settle(args.out, _options(args))
    _check_names(args, settings)
    requests = read_asked(args.requests) if args.requests else {}
    make_folder(args.out)
    with only_process(args.out, "fedfin broker kit"):
        kit = Kit(args.out, settings)
        if not args.list:
            _change(args, settings, kit, requests)
        standings = kit.standings(requests)
    _print(args, settings, standings)
    return 0


def _options(args: argparse.Namespace) -> dict[str, Any]:
    """What the command line says of the settings; None: nothing. Raises SettingsError."""
    from fedfin.broker.kit.mosquitto_version import installed_version
    from fedfin.broker.kit.parties import read_sites
    from fedfin.broker.kit.settings import SETTINGS
    from fedfin.errors import SettingsError

    new = not (args.out / SETTINGS).exists()
    if args.list and new:
        raise SettingsError(f"{args.out} is no kit: it has no {SETTINGS}; make one without --list")
    same = (
        "federation",
        "shards",
        "port",
        "listen",
        "most_sites",
        "model_mb",
        "days",
        "ca_days",
        "plugin",
        "etc",
        "data",
    )
    options = {key: getattr(args, key) for key in same} | {"hosts": args.host, "other_ca": args.csr}
    options["sites"] = read_sites(args.sites) if args.sites else None
    options["mosquitto"] = args.mosquitto or (installed_version() if new else None)
    return options


def _check_names(args: argparse.Namespace, settings: "KitSettings") -> None:
    """Raises SettingsError for names that the kit does not know."""
    from fedfin.broker.kit.parties import BROKER
    from fedfin.errors import SettingsError

    if args.list and (args.renew or args.revoke):
        raise SettingsError("--list changes nothing; give --renew or --revoke without it")
    for name in args.renew:
        if name not in {BROKER, *settings.clients}:
            raise SettingsError(f"--renew {name}: the kit knows no such name; add it to the file of --sites")


def _change(args: argparse.Namespace, settings: "KitSettings", kit: "Kit", requests: "Requests") -> None:
    from fedfin.broker.kit.settings import write

    write(args.out, settings)
    for name in args.revoke:
        kit.revoke(name)
    kit.certify(requests, renew=args.renew, make_keys=args.make_keys)
    kit.write()


def _print(args: argparse.Namespace, settings: "KitSettings", standings: list["Standing"]) -> None:
    from fedfin.broker.kit.parties import certificate_of

    if args.json:
        print(json.dumps([asdict(standing) for standing in standings]))
        return
    width = max(len(standing.name) for standing in standings)
    for standing in standings:
        fingerprint = f"; fingerprint {standing.fingerprint}" if standing.fingerprint else ""
        print(f"{standing.name:{width}}  {standing.state}{fingerprint}")
    keys = {name: certificate_of(args.out, name).with_suffix(".key") for name in settings.clients}
    made = [name for name, key in keys.items() if key.exists()]
    if made:
        print(_KEYS_TRAVEL.format(", ".join(made)), file=sys.stderr)
    print(_sizing(settings))
    if not args.list:
        print(f"next: {args.out / 'README.md'} says what goes where; {_next(args)}")


def _sizing(settings: "KitSettings") -> str:
    from fedfin.broker.kit.sizing import words

    return words(settings.most_sites, settings.shards, settings.model_mb * 1_000_000)


def _next(args: argparse.Namespace) -> str:
    if args.revoke:
        return "copy broker/ to the broker's machine and reload it: only then is the revocation obeyed"
    return "copy broker/ to the broker's machine, and to each client its certificate and ca.pem"

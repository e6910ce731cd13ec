"""`fedfin aggregator service`: an aggregator as a service of systemd."""

import argparse
from pathlib import Path

from fedfin.command_line import broker_options, no_keys
from fedfin.command_line.parsers import Commands
from fedfin.service.command import add_service
from fedfin.service.unit import AGGREGATOR

# Options that name files with secrets, or CAs: copies of them go into the folder.
_FILES = ("ca", "certificate", "key", "password_file", "proxy_password_file")
_WORDS = ("broker", "user", "proxy", "proxy_user")


def add(commands: Commands) -> None:
    """Add the sub-command's parser."""
    parser = add_service(commands, AGGREGATOR, install, "chest --broker mqtts://broker.example")
    parser.add_argument("folder", type=Path, help="aggregator folder; the service has its name")
    broker_options.add(parser)
    no_keys.add(parser)


def install(args: argparse.Namespace) -> int:
    """Check, move, start. Raises SettingsError, StateError."""
    from fedfin.service.host import Host
    from fedfin.service.install import Setup, check_free, check_programs
    from fedfin.service.install import install as install_service
    from fedfin.trust.accepted import TRUST
    from fedfin_aggregator.folder import open_journal

    host = Host()
    host.check()
    folder = args.folder.resolve()
    with open_journal(folder):
        no_keys.check_keys(folder / TRUST, args, "fedfin aggregator request")
    check_free(host, AGGREGATOR, folder.name, folder)
    check_programs(host, [AGGREGATOR])
    host.make_user()
    options = _options(args, folder, host.state(AGGREGATOR, folder.name))
    setup = Setup(AGGREGATOR, options)
    place = install_service(host, [setup], folder.name, folder)
    print(f"{AGGREGATOR.instance(folder.name)} runs, in {place}; commands for that folder run as its user:")
    print(f"  sudo -u fedfin fedfin aggregator show {place}")
    print(f"log: journalctl -u {AGGREGATOR.instance(folder.name)}")
    return 0


def _options(args: argparse.Namespace, folder: Path, place: Path) -> list[str]:
    """Those of `serve`; passwords, keys and CAs from copies that only the service may read."""
    from fedfin.service.install import SECRETS, keep_secret

    broker_options.login(args)
    broker_options.proxy(args)
    words = [] if args.text else ["--json"]
    words += ["--no-keys"] if args.no_keys else []
    for name in _WORDS:
        if (value := getattr(args, name)) is not None:
            words += [_option(name), value]
    for name in _FILES:
        if (path := getattr(args, name)) is not None:
            keep_secret(folder, path)
            words += [_option(name), str(place / SECRETS / path.name)]
    return words


def _option(name: str) -> str:
    return "--" + name.replace("_", "-")

"""The command-line options that say how to connect to a broker."""

import argparse
from pathlib import Path

from fedfin.errors import SettingsError
from fedfin.link import proxy as proxies
from fedfin.link.login import VARIABLE, Login
from fedfin.link.tls import Tls


def add(parser: argparse.ArgumentParser, *, required: bool = True) -> None:
    """--broker, and what TLS and a user name need."""
    parser.add_argument(
        "--broker",
        required=required,
        metavar="URL",
        help="mqtts://HOST[:PORT] or wss://HOST[:PORT][/PATH]; without TLS mqtt:// or ws://",
    )
    add_access(parser)


def add_access(parser: argparse.ArgumentParser) -> None:
    """What TLS and a user name need."""
    parser.add_argument(
        "--ca",
        type=Path,
        metavar="FILE",
        help="mqtts: the broker's CA in PEM (default: those of this machine)",
    )
    parser.add_argument(
        "--certificate", type=Path, metavar="FILE", help="mqtts: our client certificate in PEM"
    )
    parser.add_argument("--key", type=Path, metavar="FILE", help="mqtts: its key in PEM, not encrypted")
    parser.add_argument("--user", metavar="NAME", help="user name, where the broker asks for one")
    parser.add_argument(
        "--password-file",
        type=Path,
        metavar="FILE",
        help=f"file that holds its password (default: the environment variable {VARIABLE})",
    )
    parser.add_argument(
        "--proxy",
        metavar="URL",
        help="HTTP proxy on the way, http://HOST[:PORT]; `none` for no proxy (default: for wss:// HTTPS_PROXY)",
    )
    parser.add_argument("--proxy-user", metavar="NAME", help="user name at the proxy, where it asks for one")
    parser.add_argument(
        "--proxy-password-file",
        type=Path,
        metavar="FILE",
        help=f"file that holds its password (default: the environment variable {proxies.VARIABLE})",
    )


def tls(args: argparse.Namespace) -> Tls | None:
    """The files for TLS, or None when none is named."""
    files = (args.ca, args.certificate, args.key)
    return Tls(*files) if any(files) else None


def login(args: argparse.Namespace) -> Login | None:
    """The user, or None. Raises SettingsError for a password without a user."""
    if args.user is None and args.password_file is not None:
        raise SettingsError("--password-file is given without --user; give both")
    return None if args.user is None else Login(args.user, args.password_file)


def proxy(args: argparse.Namespace) -> proxies.ProxyChoice:
    """The proxy that the options name. Raises SettingsError."""
    return proxies.choose(args.proxy, args.proxy_user, args.proxy_password_file)

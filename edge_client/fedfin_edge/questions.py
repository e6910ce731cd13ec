"""What `fedfin edge init` asks at a terminal where no option names the broker: the way to it, and who we are on it."""

import argparse
import getpass
import sys
from pathlib import Path

from fedfin.errors import SettingsError
from fedfin.link.broker_url import BrokerUrl

BROKER_PASSWORD, PROXY_PASSWORD = "broker-password", "proxy-password"
_BROKER = "The broker, mqtts://HOST[:PORT], or wss://HOST[:PORT][/PATH] where only the web is let out: "
_CA = "CA bundle in PEM: the broker's own, or that of a proxy that inspects TLS (empty: this machine's): "
_USER = "User name at the broker (empty: a certificate, or none): "
_PROXY = "HTTP proxy on the way, http://HOST[:PORT], or none (empty: for wss:// as HTTPS_PROXY says): "
_PROXY_USER = "User name at the proxy (empty: it asks for none): "


def ask_connection(args: argparse.Namespace) -> dict[str, str]:
    """Put the answers where options would be; passwords by the file of the site's folder that is to hold each.

    Raises SettingsError where there is no terminal, or for an answer that cannot be.
    """
    if not sys.stdin.isatty():
        raise SettingsError("name the broker with --broker; at a terminal `edge init` asks for it")
    args.broker = _answer(_BROKER)
    BrokerUrl.parse(args.broker)
    args.ca = args.ca or _file(_answer(_CA))
    passwords = {}
    if args.user is None and (user := _answer(_USER)):
        args.user, args.password_file = user, args.folder / BROKER_PASSWORD
        passwords[BROKER_PASSWORD] = _password("Its password: ")
    args.proxy = args.proxy or _answer(_PROXY) or None
    if args.proxy not in {None, "none"} and args.proxy_user is None and (user := _answer(_PROXY_USER)):
        args.proxy_user, args.proxy_password_file = user, args.folder / PROXY_PASSWORD
        passwords[PROXY_PASSWORD] = _password("Its password: ")
    return passwords


def _answer(question: str) -> str:
    try:
        return input(question).strip()
    except EOFError:
        raise SettingsError("the questions were not answered; give options, as --help shows") from None


def _password(question: str) -> str:
    """Not shown while it is typed."""
    password = getpass.getpass(question)
    if not password:
        raise SettingsError("a user name needs a password; begin again")
    return password


def _file(answer: str) -> Path | None:
    return Path(answer) if answer else None

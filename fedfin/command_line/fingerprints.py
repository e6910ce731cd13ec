"""Two people compare a fingerprint by telephone; then one of them says so here."""

import sys

from fedfin.errors import SettingsError


def confirm(shown: str, given: str | None, whose: str) -> None:
    """`given`: from --fingerprint; without it the person at the terminal is asked. Raises SettingsError."""
    if given is not None:
        if "".join(given.split()).lower() != "".join(shown.split()):
            raise SettingsError(
                f"the fingerprint of {whose} is {shown}, not {given}: do not accept it before you know why"
            )
        return
    print(f"fingerprint of {whose}: {shown}")
    if not sys.stdin.isatty():
        raise SettingsError("call whom it belongs to, compare it, and give it with --fingerprint")
    if input("Is that what they read to you by telephone? Type yes: ").strip().lower() != "yes":
        raise SettingsError("not accepted")

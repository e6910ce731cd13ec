"""Two people compare a fingerprint by telephone; then one of them says so here."""

import sys

from fedfin.errors import SettingsError

DIGITS = 32  # hexadecimal: 128 bits


def confirm(shown: str, given: str | None, whose: str) -> None:
    """`given`: from --fingerprint; without it the person at the terminal is asked. Raises SettingsError."""
    if given is not None:
        digits = "".join(given.split()).lower()
        if len(digits) != DIGITS:
            raise SettingsError(
                f"a fingerprint has {DIGITS} digits, {given!r} has {len(digits)}; type it again"
            )
        if digits != "".join(shown.split()):
            raise SettingsError(
                f"the fingerprint of {whose} is {shown}, not {given}: do not accept it before you know why"
            )
        return
    if not sys.stdin.isatty():  # it is not shown: whoever pastes it back has called nobody
        raise SettingsError(f"call {whose}, ask for the fingerprint, and give it with --fingerprint")
    print(f"fingerprint of {whose}: {shown}")
    if input("Is that what they read to you by telephone? Type yes: ").strip().lower() != "yes":
        raise SettingsError("not accepted")

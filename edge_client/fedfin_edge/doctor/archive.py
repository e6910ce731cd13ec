"""Whether an archive (PACS) that people name knows this site: the way out, beside the intake's way in."""

import re
from collections.abc import Iterator

from fedfin.broker.check.finding import Finding
from fedfin.errors import InputError, SettingsError
from fedfin_edge.doctor.echo import echo

_PLACE = re.compile(r"([^@\\]{1,16})@(\[[^\]]+\]|[^:@]+):(\d{1,5})")


def archive(place: str, *, calling: str) -> Iterator[tuple[Finding, int]]:
    """With the exit code of the command, if it fails. Raises SettingsError for a place that is not AE@HOST:PORT."""
    found = _PLACE.fullmatch(place)
    if found is None:
        raise SettingsError(f"--pacs {place}: write AE@HOST:PORT, as in ARCHIVE@pacs.example:104")
    called, host, port = found.groups()
    remedy = "correct AE title, host and port, or ask its operator to let this machine in"
    yield (
        echo("archive answers", host.strip("[]"), int(port), calling=calling, called=called, remedy=remedy),
        InputError.exit_code,
    )

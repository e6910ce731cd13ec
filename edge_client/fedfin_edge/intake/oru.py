r"""HL7 v2 ORU^R01 (unsolicited observation, HL7 v2.5 chapter 7.3) as reports, on the library hl7.

A message is a snapshot: what it says of an accession number replaces what an earlier one said. OBR-25 is the status of
a result, OBX-11 that of a part of it (tables 0123 and 0085): final and corrected parts are the report; when all parts
of a final result are gone, or the result is cancelled, the report is withdrawn. Preliminary ones are not taken.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import Any

import hl7

from fedfin.errors import InputError
from fedfin_edge.intake.report import Report, Status
from fedfin_edge.intake_settings import Oru

# MSH-18, table 0211. A message that names none is UTF-8 or, where that fails, Windows-1252.
_ENCODINGS = {
    "ASCII": "utf-8", "8859/1": "cp1252", "8859/2": "iso8859-2", "8859/3": "iso8859-3", "8859/4": "iso8859-4",
    "8859/5": "iso8859-5", "8859/6": "iso8859-6", "8859/7": "iso8859-7", "8859/8": "iso8859-8", "8859/9": "iso8859-9",
    "8859/15": "iso8859-15", "UNICODE UTF-8": "utf-8", "UNICODE": "utf-16", "ISO IR87": "iso2022_jp",
    "KS X 1001": "euc_kr", "GB 18030-2000": "gb18030", "BIG-5": "big5",
}  # fmt: skip
_TEXTS = {"TX", "FT", "ST"}
_FINAL, _CORRECTED, _CANCELLED = {"F", ""}, {"C"}, {"X"}  # of OBR-25
_KEPT_PARTS, _GONE_PARTS = {"F", "C", "U", ""}, {"D", "W", "X"}  # of OBX-11
_ACCEPTED = ("ORU", "R01")


class RejectedError(Exception):
    """A message of a kind that is not for us (AR); the reason quotes nothing of it."""


@dataclass
class _Result:
    """All OBR of one study in a message."""

    study: str
    moment: datetime
    corrected: bool = False
    parts: list[str] = field(default_factory=list)
    final: bool = False
    gone: bool = False  # a part of it
    waiting: bool = False  # for a part that is neither kept nor gone
    gone_whole: bool = False


def read_oru(data: bytes, settings: Oru) -> list[Report]:
    """The reports in a message; none of what is not final yet.

    Raises RejectedError for another kind of message, InputError for one that cannot be read.
    """
    try:
        message = hl7.parse(_decode(data))
    except Exception:  # noqa: BLE001  the library raises anything on damaged messages
        raise InputError("is not readable as HL7 v2") from None
    if (_value(message["MSH"][0], "9.1"), _value(message["MSH"][0], "9.2")) != _ACCEPTED:
        raise RejectedError("only ORU^R01 is taken")
    patient = _find(message, settings.patient)
    results = _results(message, settings)
    if not results:
        raise InputError("has no OBR")
    return [
        report
        for accession, result in results.items()
        if (report := _report(accession, patient, result)) is not None
    ]


def _decode(data: bytes) -> str:
    head = data[:4096].split(b"\r", 1)[0].split(b"|")
    named = head[17].decode("latin-1").partition("~")[0].strip() if len(head) > 17 else ""  # noqa: PLR2004  MSH-18
    if named in _ENCODINGS:
        text = data.decode(_ENCODINGS[named], "replace")
    else:
        try:
            text = data.decode()
        except UnicodeDecodeError:
            text = data.decode("cp1252", "replace")
    return re.sub(r"[\r\n]+", "\r", text.strip()) + "\r"


def _results(message: Any, settings: Oru) -> dict[str, _Result]:
    """By accession number or, where there is none, study. An OBX belongs to the OBR before it."""
    sent = _moment(_value(message["MSH"][0], "7"))
    study = _find(message, settings.study)
    results: dict[str, _Result] = {}
    current = None
    for segment in message:
        name = str(segment[0])
        if name == "OBR":
            accession = _in_segment(segment, settings.accession) or _find(
                message, settings.accession, but="OBR"
            )
            if not accession and not study:
                raise InputError(f"names no study: {settings.accession} and {settings.study} are empty")
            moment = _moment(_value(segment, "22")) or sent
            if moment is None:
                raise InputError("has no time: OBR-22 and MSH-7 are empty")
            current = results.setdefault(accession, _Result(study, moment))
            current.moment = max(current.moment, moment)
            _note_status(current, _value(segment, "25"))
        elif name == "OBX" and current is not None:
            _add_part(current, segment, settings)
    return results


def _note_status(result: _Result, status: str) -> None:
    result.corrected |= status in _CORRECTED
    result.final |= status in _FINAL | _CORRECTED
    result.gone_whole |= status in _CANCELLED


def _add_part(result: _Result, segment: Any, settings: Oru) -> None:
    status = _value(segment, "11")
    if _value(segment, "2") not in _TEXTS:
        return
    if settings.observations and _value(segment, "3.1") not in settings.observations:
        return
    result.corrected |= status in _CORRECTED
    if status in _KEPT_PARTS:
        result.parts.append("\n".join(_repetitions(segment[5]) if len(segment) > 5 else ()))  # noqa: PLR2004  OBX-5
    result.gone |= status in _GONE_PARTS
    result.waiting |= status not in _KEPT_PARTS | _GONE_PARTS


def _report(accession: str, patient: str, result: _Result) -> Report | None:
    text = "\n".join(part for part in result.parts if part.strip())
    if result.final and text and not result.gone_whole:
        status: Status = "corrected" if result.corrected else "final"
        return Report(accession, result.study, patient, result.moment, status, text)
    if result.gone_whole or (result.final and result.gone and not result.waiting):
        return Report(accession, result.study, patient, result.moment, "withdrawn")
    return None


def _repetitions(value: Any) -> Iterator[str]:
    for repetition in value:
        yield str(repetition)


def _find(message: Any, path: str, *, but: str = "") -> str:
    """The first value at a place like PID-3.1; not in segments called `but`."""
    return next(
        (value for segment in message if str(segment[0]) != but and (value := _in_segment(segment, path))),
        "",
    )


def _in_segment(segment: Any, path: str) -> str:
    name, _, place = path.partition("-")
    return _value(segment, place) if str(segment[0]) == name else ""


def _value(segment: Any, place: str) -> str:
    """Field and component, "3.1"; the first component where none is named. "" also for HL7's null."""
    number, _, component = place.partition(".")
    value: Any = segment[int(number)] if len(segment) > int(number) else ""
    for index in (0, int(component or 1) - 1, 0):  # repetition, component, subcomponent
        parts = [value] if isinstance(value, str) else value
        value = parts[index] if len(parts) > index else ""
    return "" if str(value) == '""' else str(value).strip()


def _moment(text: str) -> datetime | None:
    """Without a time zone it is taken for UTC: versions of a report come from one sender."""
    try:
        moment: datetime | None = hl7.parse_datetime(text)
        if moment is None or moment.tzinfo is None:
            return moment and moment.replace(tzinfo=timezone.utc)
        return moment.astimezone(timezone.utc)  # which finds an offset that is none
    except (ValueError, OverflowError):
        raise InputError("has a time that is none") from None

r"""HL7 v2 ORU^R01 (unsolicited observation, HL7 v2.5 chapter 7.3) as reports, on the library hl7.

A message is a snapshot: what it says of an accession number replaces what an earlier one said. OBR-25 is the status of
a result, OBX-11 that of a part of it (tables 0123 and 0085): final and corrected parts are the report; when all parts
of a final result are gone, or the result is cancelled, the report is withdrawn. Preliminary ones are not taken.
"""

import codecs
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timezone
from itertools import pairwise
from typing import Any

import hl7

from fedfin.errors import InputError
from fedfin_edge.intake.report import Report, Status
from fedfin_edge.intake_settings import Oru

# MSH-18, table 0211, and what senders write in its place; letters and digits alone. A message that names none, or one
# that is not here, is UTF-8; where that fails, Windows-1252 if it names none.
_ENCODINGS = {
    **{f"{prefix}8859{part}": f"iso8859-{part}" for prefix in ("", "ISO") for part in (2, 3, 4, 5, 6, 7, 8, 9, 15)},
    **dict.fromkeys(("88591", "ISO88591", "ISOIR100", "LATIN1", "WINDOWS1252", "CP1252"), "cp1252"),
    **dict.fromkeys(("ASCII", "UNICODE", "UNICODEUTF8", "UTF8"), "utf-8"),
    **dict.fromkeys(("GB180302000", "GB18030", "GBK", "GB2312"), "gb18030"),
    **dict.fromkeys(("ISOIR14", "SHIFTJIS", "SJIS"), "cp932"),
    **dict.fromkeys(("KSX1001", "ISOIR149", "EUCKR"), "euc_kr"),
    "BIG5": "big5",
}  # fmt: skip
# By the escapes of ISO 2022; named first, or after what a message begins in, as in "~ISO IR87".
_JAPANESE = {"ISOIR87", "ISOIR159", "ISO2022IR87", "ISO2022IR159"}
_TEXTS = {"TX", "FT", "ST"}
_FINAL, _CORRECTED, _CANCELLED = {"F", ""}, {"C"}, {"X"}  # of OBR-25
_KEPT_PARTS, _GONE_PARTS = {"F", "C", "U", ""}, {"D", "W", "X"}  # of OBX-11
_ACCEPTED = ("ORU", "R01")
_NULL = '""'  # HL7's null: what there was is deleted


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
    cancelled: bool = False  # one of these OBR


def read_oru(data: bytes, settings: Oru) -> list[Report]:
    """The reports in a message, or in several one after the other; none of what is not final yet.

    Raises RejectedError for another kind of message, InputError for one that cannot be read.
    """
    return [report for message in _messages(data) for report in _reports(message, settings)]


def _messages(data: bytes) -> list[bytes]:
    """Each from its MSH on: files hold batches, and some senders put several into one frame."""
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        data = data.decode("utf-16", "replace").encode()
    data = data.removeprefix(codecs.BOM_UTF8)
    starts = [match.start() for match in re.finditer(rb"(?:(?<=[\r\n])|\A)MSH(?=[^\w\s])", data)]
    return [data[start:end] for start, end in pairwise([*starts, len(data)])] or [data]


def _reports(data: bytes, settings: Oru) -> Iterator[Report]:
    text = _decode(data)
    try:
        message = hl7.parse(text)
    except Exception:  # noqa: BLE001  the library raises anything on damaged messages
        raise InputError("is not readable as HL7 v2") from None
    header = message["MSH"][0]
    if (_value(header, "9.1"), _value(header, "9.2")) != _ACCEPTED:
        raise RejectedError("only ORU^R01 is taken")
    if any(str(each[0]) == "ADD" or (str(each[0]) == "DSC" and _value(each, "1")) for each in message):
        raise InputError("is cut into continuations (ADD, DSC), which are not read")
    sent = _moment(_value(header, "7"))
    found = 0
    for segments in _patients(list(message)):
        results = _results(segments, sent, settings)
        found += len(results)
        for accession, result in results.items():
            if (report := _report(accession, _find(segments, settings.patient), result)) is not None:
                yield report
    if not found:
        raise InputError("has no OBR")


def _decode(data: bytes) -> str:
    encoding, named = _encoding(data)
    try:
        text = data.decode(encoding or "utf-8", "strict" if encoding is None else "replace")
    except UnicodeDecodeError:
        if named:
            raise InputError("names a character set in MSH-18 that is not known") from None
        text = data.decode("cp1252", "replace")
    return re.sub(r"[\r\n]+", "\r", text.strip()) + "\r"


def _encoding(data: bytes) -> tuple[str | None, bool]:
    """What MSH-18 names, as Python calls it, and whether it names any; all but the first need escapes."""
    header = re.split(rb"[\r\n]", data[:4096].lstrip(), maxsplit=1)[0].decode("latin-1")
    fields = header.split(header[3]) if len(header) > 3 else []  # noqa: PLR2004  the separator is the fourth letter
    repetitions = fields[17].split(fields[1][1:2] or "~") if len(fields) > 17 else [""]  # noqa: PLR2004  MSH-18
    first, *others = (re.sub(r"[^0-9A-Z]", "", each.upper()) for each in repetitions)
    if first in _JAPANESE or (first in {"", "ASCII", "ISOIR14"} and not _JAPANESE.isdisjoint(others)):
        return "iso2022_jp_ext", True
    return _ENCODINGS.get(first), bool(first)


def _patients(segments: list[Any]) -> list[list[Any]]:
    """The segments of each PID, behind those before the first, which are of all."""
    starts = [number for number, segment in enumerate(segments) if str(segment[0]) == "PID"]
    if not starts:
        return [segments]
    return [segments[: starts[0]] + segments[start:end] for start, end in pairwise([*starts, len(segments)])]


def _orders(segments: list[Any]) -> list[list[Any]]:
    """The segments of each OBR, from its ORC on if it has one."""
    orders: list[list[Any]] = []
    complete = True
    for segment in segments:
        name = str(segment[0])
        if name == "ORC" or (name == "OBR" and complete):
            orders.append([])
        complete = name == "OBR" or (complete and name != "ORC")
        if orders:
            orders[-1].append(segment)
    return [order for order in orders if any(str(segment[0]) == "OBR" for segment in order)]


def _results(segments: list[Any], sent: datetime | None, settings: Oru) -> dict[str, _Result]:
    """A patient's, by accession number or, where there is none, study."""
    study = _find(segments, settings.study)
    results: dict[str, _Result] = {}
    for order in _orders(segments):
        accession = _find(order, settings.accession) or _find(segments, settings.accession, but="OBR")
        if not accession and not study:
            raise InputError(f"names no study: {settings.accession} and {settings.study} are empty")
        request = next(segment for segment in order if str(segment[0]) == "OBR")
        moment = _moment(_value(request, "22")) or sent
        if moment is None:
            raise InputError("has no time: OBR-22 and MSH-7 are empty")
        result = results.setdefault(accession, _Result(study, moment))
        result.moment = max(result.moment, moment)
        _add_order(result, _value(request, "25"), order, settings)
    return results


def _add_order(result: _Result, status: str, order: list[Any], settings: Oru) -> None:
    """An OBR that is cancelled has no parts; others of its study may have."""
    if status in _CANCELLED:
        result.cancelled = True
        return
    result.corrected |= status in _CORRECTED
    result.final |= status in _FINAL | _CORRECTED
    for segment in order:
        if str(segment[0]) == "OBX":
            _add_part(result, segment, settings)


def _add_part(result: _Result, segment: Any, settings: Oru) -> None:
    status = _value(segment, "11")
    if _value(segment, "2") not in _TEXTS:
        return
    if settings.observations and _value(segment, "3.1") not in settings.observations:
        return
    result.corrected |= status in _CORRECTED
    lines = list(map(str, segment[5])) if len(segment) > 5 else []  # noqa: PLR2004  OBX-5
    is_null = lines == [_NULL]
    if status in _KEPT_PARTS and not is_null:
        result.parts.append("\n".join(lines))
    result.gone |= status in _GONE_PARTS or is_null
    result.waiting |= status not in _KEPT_PARTS | _GONE_PARTS


def _report(accession: str, patient: str, result: _Result) -> Report | None:
    text = "\n".join(part for part in result.parts if part.strip())
    if result.final and text:
        status: Status = "corrected" if result.corrected else "final"
        return Report(accession, result.study, patient, result.moment, status, text)
    if (result.gone and not result.waiting) if result.final else result.cancelled:
        return Report(accession, result.study, patient, result.moment, "withdrawn")
    return None


def _find(segments: list[Any], path: str, *, but: str = "") -> str:
    """The first value at a place like PID-3.1; not in segments called `but`."""
    return next(
        (value for segment in segments if str(segment[0]) != but and (value := _in_segment(segment, path))),
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
    return "" if str(value) == _NULL else str(value).strip()


def _moment(text: str) -> datetime | None:
    """Without a time zone it is taken for UTC: versions of a report come from one sender."""
    try:
        moment: datetime | None = hl7.parse_datetime(text)
        if moment is None or moment.tzinfo is None:
            return moment and moment.replace(tzinfo=timezone.utc)
        return moment.astimezone(timezone.utc)  # which finds an offset that is none
    except (ValueError, OverflowError):
        raise InputError("has a time that is none") from None

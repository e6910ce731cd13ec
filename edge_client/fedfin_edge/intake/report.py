"""A report as every source brings it: HL7, FHIR or a file. It is in the spool until it is encoded, and nowhere else."""

from datetime import datetime
from typing import Literal

import msgspec

Status = Literal["final", "corrected", "withdrawn"]


class Report(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is known of a study by its accession number, study UID or both; either may be "".

    moment: when it got this status, with a time zone; withdrawn reports have no text.
    """

    accession: str
    study: str
    patient: str
    moment: datetime
    status: Status
    text: str = ""


def pack(report: Report) -> bytes:
    """For the spool."""
    return msgspec.msgpack.encode(report)


def unpack(data: bytes) -> Report:
    """`pack`'s report. Raises msgspec.MsgspecError."""
    return msgspec.msgpack.decode(data, type=Report)

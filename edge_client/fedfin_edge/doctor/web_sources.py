"""The servers that the intake polls: whether each answers what it will be asked, as it will be asked.

A FHIR server says to everybody what it can do (`metadata`), and many a web server answers with a page whatever it is
asked: only an answer to the intake's own question proves address, user, password and rights.
"""

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from fedfin.broker.check.finding import Finding, fail, failed_by, not_reached, passed, warn
from fedfin.errors import FedfinError
from fedfin_edge.intake_settings import CodedLabel, Dicomweb, Fhir, Web

if TYPE_CHECKING:
    import requests

ANSWER_S = 10.0
LACKING = "requests is not installed: pip install 'fedfin[hospital]'"
REFUSED = frozenset({401, 403})
REFUSED_REMEDY = "check user, password or token in [intake], and their rights at the server"
_NO_CONTENT = 204


class _Bundle(msgspec.Struct, frozen=True, tag_field="resourceType", tag="Bundle"):
    """Of FHIR, whatever it holds."""


@dataclass(frozen=True)
class _Question:
    """`understood`: whether an answer's body is what was asked for."""

    below: str
    accept: str
    understood: Callable[[bytes], bool]
    query: Mapping[str, str] = field(default_factory=dict)


def archive_by_web(settings: Dicomweb, folder: Path) -> Finding:
    """QIDO-RS for one study. Paths start at `folder`."""
    studies = _Question("studies", "application/dicom+json", _is_studies, {"limit": "1"})
    return _asked("archive (DICOMweb)", settings, folder, [studies])


def reports_by_search(settings: Fhir, labels: Iterable[CodedLabel], folder: Path) -> Finding:
    """One resource of each kind that the intake searches for: rights differ by kind. Paths start at `folder`."""
    probe = "reports (FHIR)"
    try:
        from fedfin_edge.intake.fhir_search import searches
    except ModuleNotFoundError:
        return not_reached(probe, LACKING)
    kinds = searches(settings, labels)
    if not kinds:
        says = "the intake would ask it for nothing: neither for reports nor for a label"
        return warn(probe, says, "name labels in [intake.resources], or leave [intake.fhir] out")
    questions = [
        _Question(kind, "application/fhir+json", _is_bundle, wanted | {"_count": "1"})
        for kind, wanted in kinds.items()
    ]
    return _asked(probe, settings, folder, questions)


def _asked(probe: str, web: Web, folder: Path, questions: list[_Question]) -> Finding:
    """In the intake's own way: its user, its CA, and no proxy of the environment."""
    try:
        from fedfin_edge.intake.http_session import explained, open_session
    except ModuleNotFoundError:
        return not_reached(probe, LACKING)
    started = time.monotonic()
    try:
        with explained(web.url), open_session(web, folder) as session:
            for each in questions:
                answer = session.get(
                    f"{web.url.rstrip('/')}/{each.below}",
                    params=each.query,
                    headers={"Accept": each.accept},
                    timeout=ANSWER_S,
                )
                if (fault := _fault(answer, each)) is not None:
                    return fail(probe, *fault)
    except FedfinError as error:
        return failed_by(probe, error)
    names = ", ".join(each.below for each in questions)
    return passed(probe, f"answers for {names} in {(time.monotonic() - started) * 1000:.0f} ms")


def _fault(answer: "requests.Response", question: _Question) -> tuple[str, str] | None:
    """What is wrong with it, and the remedy."""
    says = f"{question.below}: HTTP {answer.status_code}"
    if answer.status_code in REFUSED:
        return says, REFUSED_REMEDY
    if answer.status_code >= 500:  # noqa: PLR2004 - the server's own trouble
        return says, "ask its operator: it answers with an error of its own"
    if answer.status_code >= 400:  # noqa: PLR2004 - there, but not what was meant
        return says, "look whether its URL in [intake] is right; else ask its operator"
    if answer.status_code != _NO_CONTENT and not question.understood(answer.content):
        return (
            f"{says}, and no {question.accept}",
            "correct its URL in [intake]: another server answers there",
        )
    return None


def _is_studies(body: bytes) -> bool:
    return _is_json(body, list[dict[str, Any]])


def _is_bundle(body: bytes) -> bool:
    return _is_json(body, _Bundle)


def _is_json(body: bytes, kind: Any) -> bool:
    try:
        msgspec.json.decode(body, type=kind)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return False
    return True

"""A FHIR R4 server by REST search: what was updated since the last poll, page by page.

The cursor is the server's time of the newest resource that is safe; from it on, inclusive, the next poll asks again.
"""

from collections.abc import Iterable, Iterator
from pathlib import Path
from urllib.parse import urljoin, urlsplit

import msgspec

from fedfin.errors import LinkError
from fedfin_edge.intake.fhir_reader import FhirReader, referable
from fedfin_edge.intake.fhir_resources import UNREADABLE, Bundle, Resource, in_utc
from fedfin_edge.intake.folder import IntakeFolder
from fedfin_edge.intake.http_session import TIMEOUT_S, explained, open_session
from fedfin_edge.intake.intake_store import IntakeStore
from fedfin_edge.intake.origin import origin
from fedfin_edge.intake_settings import CodedLabel, Fhir

_PAGE = "200"
# With what a report or label is about: R4's search parameters.
_INCLUDE = {
    "DiagnosticReport": ("DiagnosticReport:based-on", "DiagnosticReport:subject"),
    "Observation": ("Observation:based-on",),
    "Condition": ("Condition:evidence-detail",),
}


class FhirSearch:
    """The server of [intake.fhir]."""

    def __init__(
        self, settings: Fhir, site: Path, folder: IntakeFolder, reader: FhirReader, store: IntakeStore
    ) -> None:
        self._identity = folder.identity
        self._url = settings.url.rstrip("/") + "/"
        self._searches = searches(settings, folder.settings.resources.labels)
        self._session = open_session(settings, site)
        self._reader = reader
        self._store = store

    def poll(self) -> int:
        """How many resources said something new. Raises LinkError, FullError, StateError."""
        with explained(self._url):
            return sum(self._poll_kind(kind, wanted) for kind, wanted in self._searches.items())

    def _poll_kind(self, kind: str, wanted: dict[str, str]) -> int:
        """Each page is safe before the cursor moves."""
        since = self._store.progress.cursor(f"fhir {kind}")
        taken = 0
        for bundle in self._pages(kind, wanted, since):
            resources = [entry.resource for entry in bundle.entry]
            found = {
                self._identity.hash("file", bytes(each)): each
                for each in resources
                if _kind(each) in {kind, ""}
            }
            fresh = {mark: each for mark, each in found.items() if not self._store.progress.was_seen(mark)}
            if not fresh:
                continue  # the newest of the last poll
            owners = self._reader.take(fresh.values(), dict(referable(resources)))
            for mark, owner in zip(fresh, owners, strict=True):
                self._store.progress.mark_seen(mark, owner)
            taken += sum(owner is not None for owner in owners)
            newest = max((_updated(each) for each in resources if _kind(each) == kind), default="")
            if newest > self._store.progress.cursor(f"fhir {kind}"):
                self._store.progress.set_cursor(f"fhir {kind}", newest)
        return taken

    def _pages(self, kind: str, wanted: dict[str, str], since: str) -> Iterator[Bundle]:
        query: list[tuple[str, str]] = [*wanted.items(), ("_sort", "_lastUpdated"), ("_count", _PAGE)]
        query += [("_include", each) for each in _INCLUDE[kind]]
        query += [("_lastUpdated", f"ge{since}")] if since else []
        address: str | None = urljoin(self._url, kind)
        visited: set[str] = set()
        while address is not None:
            if address in visited:
                raise LinkError(
                    f"{self._url}: its next pages lead in a circle; what they held is taken; ask its operator"
                )
            visited.add(address)
            if not is_below(address, self._url):
                raise LinkError(
                    f"{self._url}: names a next page at another address, {origin(address)}; ask its operator, or"
                    " correct `url`"
                )
            answer = self._session.get(
                address, params=query, timeout=TIMEOUT_S, headers={"Accept": "application/fhir+json"}
            )
            answer.raise_for_status()
            try:
                bundle = msgspec.json.decode(answer.content, type=Bundle)
            except UNREADABLE:
                raise LinkError(f"{self._url}: does not answer with a FHIR Bundle; correct `url`") from None
            yield bundle
            following = next((link.url for link in bundle.link if link.relation == "next"), None)
            address, query = (urljoin(self._url, following) if following else None), []


def searches(settings: Fhir, labels: Iterable[CodedLabel]) -> dict[str, dict[str, str]]:
    """What is searched for: parameters by the kind of resource."""
    found: dict[str, dict[str, str]] = {"DiagnosticReport": {}} if settings.reports else {}
    for kind in ("Observation", "Condition"):
        if codes := [label.code for label in labels if label.resource == kind]:
            found[kind] = {"code": ",".join(codes)}
    return found


def is_below(address: str, base: str) -> bool:
    """Whether an address is at this server, which alone may hear our token: HAPI's pages are at the base itself."""
    one, other = urlsplit(address), urlsplit(base)
    if (one.scheme, one.netloc.lower()) != (other.scheme, other.netloc.lower()):
        return False
    return f"{one.path}/".startswith(other.path)


def _kind(raw: msgspec.Raw) -> str:
    return _resource(raw).resource_type


def _updated(raw: msgspec.Raw) -> str:
    moment = in_utc(_resource(raw).meta.last_updated)
    return "" if moment is None else moment.isoformat(timespec="milliseconds")


def _resource(raw: msgspec.Raw) -> Resource:
    try:
        return msgspec.json.decode(raw, type=Resource)
    except UNREADABLE:
        return Resource()

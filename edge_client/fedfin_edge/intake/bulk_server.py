"""A server that speaks FHIR Bulk Data Access 2.0.0 (hl7.org/fhir/uv/bulkdata): its requests and answers, one by one.

Who we are is said to the server of site.toml alone, and for files only where the export asks for it. No address but
that of site.toml is in an error, of others scheme, host and port: the rest is the server's, and may name patients.
"""

import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime, timezone
from email.utils import parsedate_to_datetime
from pathlib import Path
from urllib.parse import urljoin

import msgspec
import requests

from fedfin.errors import LinkError
from fedfin_edge.intake.fhir_resources import UNREADABLE, ExportFile, Manifest, OperationOutcome, Resource
from fedfin_edge.intake.http_session import TIMEOUT_S, open_session
from fedfin_edge.intake.origin import origin
from fedfin_edge.intake_settings import FhirExport

MOST_WAIT_S = 3600.0  # one poll waits so long for an export; the next one goes on with the same export
FIRST_PAUSE_S, LONGEST_PAUSE_S = 1.0, 600.0
MAX_LINE = 16 << 20
MOST_LINES = 10_000_000
_MAX_ANSWER = 16 << 20
_CHUNK = 1 << 20
_FHIR, _NDJSON, _JSON = "application/fhir+json", "application/fhir+ndjson", "application/json"
_OK, _ACCEPTED, _UNAUTHORIZED, _NOT_FOUND, _GONE, _TOO_MANY, _FAILED = 200, 202, 401, 404, 410, 429, 500
# FHIR's IssueType as far as it explains a failed export: what a server writes otherwise is not repeated.
_ISSUES = frozenset({
    "business-rule", "deleted", "exception", "expired", "forbidden", "invalid", "login", "not-found", "not-supported",
    "processing", "required", "security", "throttled", "timeout", "too-costly", "too-long", "transient", "unknown",
    "value",
})  # fmt: skip


class ExportOverError(LinkError):
    """This export will give nothing any more: another one has to be asked for."""


@dataclass(frozen=True)
class Answer:
    """A short one, as a whole."""

    code: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def issues(self) -> set[str]:
        """The codes of an OperationOutcome, none of anything else."""
        try:
            outcome = msgspec.json.decode(self.body, type=OperationOutcome)
        except UNREADABLE:
            return set()
        return {issue.code for issue in outcome.issue} & _ISSUES

    @property
    def is_at_work(self) -> bool:
        """Not complete yet, asked too often, or in trouble that the server itself says will pass."""
        return self.code in {_ACCEPTED, _TOO_MANY} or (self.code >= _FAILED and "transient" in self.issues)

    @property
    def pause(self) -> float | None:
        """Seconds to wait (RFC 9110, 10.2.3: a number of them, or a date); None where it does not say."""
        text = self.headers.get("Retry-After", "").strip()
        if text.isdecimal():
            return float(text)
        with suppress(TypeError, ValueError):
            return max(0.0, (parsedate_to_datetime(text) - datetime.now(timezone.utc)).total_seconds())
        return None

    def __str__(self) -> str:
        return ", ".join([str(self.code), *sorted(self.issues)])


class BulkServer:
    """The server of [intake.fhir_export]. Methods raise LinkError and requests.RequestException."""

    def __init__(self, settings: FhirExport, site: Path) -> None:
        """Raises SettingsError."""
        self.base = settings.url.rstrip("/") + "/"
        self.operation = f"Group/{settings.group}/$export" if settings.group else "$export"
        self._others = {origin(each) for each in settings.files_at}
        self._signed = open_session(settings, site)
        nobody = msgspec.structs.replace(settings, user=None, password_file=None, token_file=None)
        self._anonymous = open_session(nobody, site)

    def kick_off(self, query: Mapping[str, str]) -> str:
        """Ask for an export; where its status is."""
        headers = {"Accept": _FHIR, "Prefer": "respond-async"}
        answer = self._ask("GET", self.base + self.operation, headers, query)
        if answer.code != _ACCEPTED:
            raise LinkError(
                f"{self.base}: answers {answer} to {self.operation}; look in its log, and check rights and"
                " [intake.fhir_export]"
            )
        status = _joined(self.base, answer.headers.get("Content-Location", ""))
        if not status:
            raise LinkError(f"{self.base}: does not say where the export's status is; ask its operator")
        return status

    def wait(self, status: str) -> Manifest:
        """What the export has, once it is complete. Raises ExportOverError where it failed or is not there any more."""
        pause, until = FIRST_PAUSE_S, time.monotonic() + MOST_WAIT_S
        while (answer := self._ask("GET", status, {"Accept": _JSON})).is_at_work:
            pause = min(answer.pause or 2 * pause, LONGEST_PAUSE_S)
            if time.monotonic() + pause > until:
                raise LinkError(f"{self.base}: the export is not complete yet; the next poll goes on with it")
            time.sleep(pause)
        self._check(answer)
        try:
            return msgspec.json.decode(answer.body, type=Manifest)
        except UNREADABLE:
            raise ExportOverError(
                f"{self.base}: the export's manifest is not one of Bulk Data Access; ask its operator"
            ) from None

    def lines(self, file: ExportFile, *, with_token: bool) -> Iterator[bytes]:
        """A file's lines, without blank ones. Raises ExportOverError, of a file with other than `count` lines too."""
        found = 0
        with self._open(
            "GET", file.url, {"Accept": _NDJSON}, session=self._for_file(file, with_token)
        ) as answer:
            if answer.status_code != _OK:
                self._check(self._whole(answer))
            for line in filter(bytes.strip, split_lines(answer.iter_content(_CHUNK))):
                found += 1
                if found > MOST_LINES:
                    raise LinkError(f"{self.base}: a file has over {MOST_LINES:,} lines; export a `group`")
                yield line
        if file.count not in {None, found}:
            raise ExportOverError(
                f"{self.base}: a file has {found} lines, and not {file.count} as the export says; ask its operator"
            )

    def read(self, reference: str) -> Resource:
        """A resource by type and id; an empty one where there is none."""
        answer = self._ask("GET", self.base + reference, {"Accept": _FHIR})
        if answer.code not in {_OK, _NOT_FOUND, _GONE}:
            kind = reference.partition("/")[0]
            raise LinkError(
                f"{self.base}: answers {answer} to {kind}, which reports refer to; let us read it"
            )
        try:
            return msgspec.json.decode(answer.body, type=Resource)
        except UNREADABLE:
            return Resource()

    def delete(self, status: str) -> None:
        """The files are not needed any longer; a server that does not take it drops them by itself, some day."""
        with suppress(requests.RequestException):
            self._ask("DELETE", status, {"Accept": _FHIR})

    def _check(self, answer: Answer) -> None:
        """Raises ExportOverError, or LinkError for what may pass: rights, a gateway."""
        if answer.code in range(400, 502) and answer.code not in {_UNAUTHORIZED, _TOO_MANY}:
            raise ExportOverError(
                f"{self.base}: the export failed there, or is gone ({answer}); look in its log. The next poll asks for"
                " another"
            )
        if answer.code != _OK:
            raise LinkError(
                f"{self.base}: answers {answer} to what it exports; look in its log, and check rights"
            )

    def _ask(
        self, method: str, url: str, headers: Mapping[str, str], query: Mapping[str, str] | None = None
    ) -> Answer:
        """What belongs to the server, and who we are is said."""
        if origin(url) != origin(self.base):
            raise ExportOverError(
                f"{self.base}: names the export's status at another address, {origin(url)}; ask its operator, or"
                " correct `url`"
            )
        with self._open(method, url, headers, session=self._signed, query=query) as answer:
            return self._whole(answer)

    @contextmanager
    def _open(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str],
        *,
        session: requests.Session,
        query: Mapping[str, str] | None = None,
    ) -> Iterator[requests.Response]:
        """An answer, its body to be read yet. A redirection is one: it would lead past the check of addresses."""
        with session.request(
            method, url, params=query, headers=headers, timeout=TIMEOUT_S, stream=True, allow_redirects=False
        ) as answer:
            yield answer

    def _whole(self, answer: requests.Response) -> Answer:
        """Read it. Raises LinkError where it is too long for what it should be."""
        body = b""
        for chunk in answer.iter_content(_CHUNK):
            body += chunk
            if len(body) > _MAX_ANSWER:
                raise LinkError(f"{self.base}: answers with over {_MAX_ANSWER >> 20} MiB; ask its operator")
        return Answer(answer.status_code, answer.headers, body)

    def _for_file(self, file: ExportFile, with_token: bool) -> requests.Session:
        """By which it may be fetched: a password belongs to the server, a token to what asks for it."""
        if origin(file.url) == origin(self.base):
            return self._signed if with_token or self._signed.auth else self._anonymous
        if origin(file.url) not in self._others:
            raise ExportOverError(
                f"{self.base}: names a file at another address, {origin(file.url)}; ask its operator, or allow it with"
                " `files_at`"
            )
        if with_token and "Authorization" in self._signed.headers:
            raise ExportOverError(
                f"{self.base}: a file at another address, {origin(file.url)}, wants our token, which goes nowhere else;"
                " ask its operator"
            )
        return self._anonymous


def split_lines(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """Lines without their ends. Of one longer than MAX_LINE something is left that no resource can be."""
    held = b""
    for chunk in chunks:
        *whole, held = (held + chunk).split(b"\n")
        yield from whole
        if len(held) > MAX_LINE:
            held = b"too long "
    yield held


def _joined(base: str, url: str) -> str:
    """An absolute address, as it should be anyway; "" for what is none."""
    try:
        return urljoin(base, url) if url else ""
    except ValueError:
        return ""

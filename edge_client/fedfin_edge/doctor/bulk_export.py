"""Whether the server of [intake.fhir_export] has what the intake will ask it for: nothing is exported."""

from typing import TYPE_CHECKING

import msgspec

from fedfin.broker.check.finding import Finding, fail, failed_by, not_reached, passed, warn
from fedfin.errors import FedfinError
from fedfin_edge.doctor.web_sources import ANSWER_S, LACKING, REFUSED_REMEDY
from fedfin_edge.intake_settings import FhirExport
from fedfin_edge.site import Site

if TYPE_CHECKING:
    import requests

_PROBE = "reports (FHIR export)"
_UNKNOWN = 401


class _Operation(msgspec.Struct, frozen=True):
    name: str = ""


class _Resource(msgspec.Struct, frozen=True):
    type: str = ""
    operation: tuple[_Operation, ...] = ()


class _Rest(msgspec.Struct, frozen=True):
    operation: tuple[_Operation, ...] = ()
    resource: tuple[_Resource, ...] = ()


class Capabilities(msgspec.Struct, frozen=True, tag_field="resourceType", tag="CapabilityStatement"):
    """What of a FHIR R4 CapabilityStatement names its operations; others of its elements are passed over."""

    rest: tuple[_Rest, ...] = ()

    def can_export(self, kind: str | None) -> bool:
        """All that there is, or of a resource of this kind."""
        operations = [each for rest in self.rest for each in rest.operation]
        operations += [
            each
            for rest in self.rest
            for resource in rest.resource
            if resource.type == kind
            for each in resource.operation
        ]
        return any(each.name in _names(kind) for each in operations)


def _names(kind: str | None) -> set[str]:
    """Of the operation, as the specification and as servers write it."""
    names = {"export", "$export"}
    return names if kind is None else names | {"group-export", "$group-export"}


def bulk_export(site: Site, settings: FhirExport) -> Finding:
    """Asked as the intake asks: with its user, its CA, and no proxy of the environment."""
    try:
        from fedfin_edge.intake.http_session import explained, open_session
    except ModuleNotFoundError:
        return not_reached(_PROBE, LACKING)
    try:
        with explained(settings.url), open_session(settings, site.folder) as session:
            answer = _asked(session, settings, "metadata")
            answer.raise_for_status()
            capabilities = msgspec.json.decode(answer.content, type=Capabilities)
            # `metadata` is for everybody.
            refused = _asked(session, settings, "Patient?_count=1").status_code == _UNKNOWN
    except FedfinError as error:
        return failed_by(_PROBE, error)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return fail(_PROBE, "does not answer as a FHIR server", "correct `url` in [intake.fhir_export]")
    if refused:
        return fail(_PROBE, f"HTTP {_UNKNOWN}: the server does not know who asks", REFUSED_REMEDY)
    return _judged(capabilities, settings)


def _asked(session: "requests.Session", settings: FhirExport, below: str) -> "requests.Response":
    return session.get(
        f"{settings.url.rstrip('/')}/{below}",
        timeout=ANSWER_S,
        headers={"Accept": "application/fhir+json"},
        allow_redirects=False,
    )


def _judged(capabilities: Capabilities, settings: FhirExport) -> Finding:
    if capabilities.can_export(None if settings.group is None else "Group"):
        return passed(_PROBE, "the server says that it exports")
    return warn(
        _PROBE,
        "the server does not say that it exports",
        "ask its operator for Bulk Data Access ($export), or use [intake.fhir]",
    )

"""DICOMweb (PS3.18): QIDO-RS finds studies, WADO-RS fetches headers, and then the images that count.

The cursor is durable: of each study a keyed hash with the number of its objects, its accession number and its patient,
of each object another. A study that has grown or was corrected is looked at again; an object that is safe under the
same accession number and patient is not fetched again.
"""

import io
from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import requests
from dicomweb_client import DICOMwebClient
from pydicom.dataset import Dataset

from fedfin.errors import FedfinError, InputError, LinkError
from fedfin_edge.intake.dicom_header import header_of
from fedfin_edge.intake.folder import IntakeFolder
from fedfin_edge.intake.http_session import TIMEOUT_S, explained, open_session
from fedfin_edge.intake.intake_store import IntakeStore
from fedfin_edge.intake.reception import Reception
from fedfin_edge.intake_settings import Dicomweb

_STUDY, _SERIES, _OBJECT, _OBJECTS = "0020000D", "0020000E", "00080018", "00201208"
_ACCESSION, _PATIENT = "00080050", "00100020"
# As it is stored, in whatever transfer syntax.
_AS_STORED = (("application/dicom", "*"),)


class DicomwebPoll:
    """The server of [intake.dicomweb]."""

    def __init__(
        self, settings: Dicomweb, site: Path, folder: IntakeFolder, reception: Reception, store: IntakeStore
    ) -> None:
        self._url = settings.url
        self._days = settings.days
        self._identity = folder.identity
        self._reception = reception
        self._store = store
        self._client = DICOMwebClient(settings.url, session=open_session(settings, site), timeout=TIMEOUT_S)
        self._client.set_http_retry_params(retry=False)  # the next poll is the next try

    def poll(self) -> int:
        """Fetch what is new and counts; how many objects. Raises LinkError, FullError, StateError."""
        with explained(self._url):
            return sum(self._fetch_study(study) for study in self._new_studies())

    def _new_studies(self) -> Iterator[dict[str, Any]]:
        """Those of the last days that have other objects than when they were last looked at."""
        today = date.today()  # noqa: DTZ011  study dates are local
        dates = f"{today - timedelta(days=self._days):%Y%m%d}-{today + timedelta(days=1):%Y%m%d}"
        yield from (
            study for study in self._found(dates) if not self._store.progress.was_seen(self._mark_of(study))
        )

    def _found(self, dates: str) -> list[dict[str, Any]]:
        """Page by page, until one says nothing new: there are servers that do not heed `offset` (PS3.18 8.3.4.4)."""
        found: dict[str, dict[str, Any]] = {}
        offset = 0
        while page := self._client.search_for_studies(
            search_filters={"StudyDate": dates}, fields=[_OBJECTS], offset=offset
        ):
            if not all(isinstance(study, dict) for study in page):
                raise LinkError(f"{self._url}: does not answer as DICOMweb does; correct `url` in site.toml")
            before, offset = len(found), offset + len(page)
            found |= {_value(study, _STUDY): study for study in page}
            if len(found) == before:
                break
        return list(found.values())

    def _fetch_study(self, study: dict[str, Any]) -> int:
        fetched, owners = 0, set()
        for metadata in self._client.retrieve_study_metadata(_value(study, _STUDY)):
            owner = self._identity.owner(_value(metadata, _ACCESSION), _value(study, _STUDY))
            owners.add(owner)
            mark = self._mark_of_object(metadata)
            if not self._store.progress.was_seen(mark):
                fetched += self._fetch_object(metadata)
                self._store.progress.mark_seen(mark, owner)
        self._store.progress.mark_seen(self._mark_of(study), *owners)
        return fetched

    def _fetch_object(self, metadata: dict[str, Any]) -> bool:
        """Whether it counts."""
        try:
            if self._reception.judge_header(header_of(Dataset.from_json(metadata))).rule is None:
                return False
            study, series, name = (_value(metadata, tag) for tag in (_STUDY, _SERIES, _OBJECT))
            dataset = self._client.retrieve_instance(study, series, name, media_types=_AS_STORED)
            self._reception.take_object(_as_file(dataset))
        except InputError as error:
            self._reception.leave_out(f"image: {error}")
            return False
        except (FedfinError, requests.RequestException):
            raise
        except Exception:  # noqa: BLE001  pydicom raises anything on odd objects, which must not hold up the others
            self._reception.leave_out("image: is not readable as DICOM")
            return False
        return True

    def _mark_of(self, study: dict[str, Any]) -> bytes:
        tags = (_STUDY, _OBJECTS, _ACCESSION, _PATIENT)
        return self._identity.hash(
            "file", "\n".join(["dicomweb study", *(_value(study, tag) for tag in tags)])
        )

    def _mark_of_object(self, metadata: dict[str, Any]) -> bytes:
        tags = (_OBJECT, _ACCESSION, _PATIENT)
        return self._identity.hash(
            "file", "\n".join(["dicomweb object", *(_value(metadata, tag) for tag in tags)])
        )


def _value(entry: dict[str, Any], tag: str) -> str:
    """The first value of an element in DICOM JSON (PS3.18 F.2)."""
    values = entry.get(tag, {}).get("Value") or [""]
    return str(values[0])


def _as_file(dataset: Dataset) -> bytes:
    stream = io.BytesIO()
    dataset.save_as(stream, enforce_file_format=True)
    return stream.getvalue()

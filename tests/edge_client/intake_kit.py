"""Hospitals for tests of the intake: a site with tiny encoders, studies of noise, and HL7 messages."""

import random
import socket
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from dicom_files import as_bytes, make_dicom
from edge_sites import INIT, edge

from fedfin.demo.processes import free_port
from fedfin.service.notify import Manager
from fedfin_edge.cases.digests import Kept, digest_input
from fedfin_edge.cases.encoder import open_encoder
from fedfin_edge.cases.feature_store import FeatureStore
from fedfin_edge.cases.table import read_table
from fedfin_edge.intake.folder import open_intake
from fedfin_edge.intake.service import Service
from fedfin_edge.site import Site, open_site

DX = "1.2.840.10008.5.1.4.1.1.1.1"
LABELS = ("effusion", "mass")
RULE = """\
[intake]
reports = "text"
least_free_mb = 1

[[intake.take]]
modality = "image"
dicom_modality = ["DX", "CR"]
view_position = ["PA", "AP"]
"""


def make_site(folder: Path, bundles: dict[str, Path], intake: str = RULE) -> Site:
    """By the real `edge init --intake`, with this section [intake] in place of the one that it writes."""
    words = [word for name in ("image", "text") for word in ("--bundle", bundles[name])]
    words += [word for label in LABELS for word in ("--label", label)]
    assert edge("init", folder, *INIT, "--intake", *words) == 0
    settings = folder / "site.toml"
    settings.write_text(settings.read_text().partition("[intake]")[0] + intake)
    return open_site(folder)


def noise(seed: int) -> np.ndarray:
    """Pixels of 12 bits."""
    return np.random.default_rng(seed).integers(0, 4096, (40, 36)).astype(np.uint16)


@dataclass(frozen=True)
class Study:
    """One study with a PA and a lateral view."""

    number: int
    accession: str
    patient: str
    name: str = "Doe^Jane"

    @property
    def uid(self) -> str:
        """Of the study."""
        return f"1.2.826.0.1.3680043.8.498.{self.number + 1}"

    def view(self, position: str = "PA", *, seed: int | None = None, **elements) -> bytes:
        """A DICOM file."""
        given = {
            "SOPClassUID": DX,
            "SOPInstanceUID": f"{self.uid}.{1 + ('PA', 'AP', 'LL').index(position)}",
            "StudyInstanceUID": self.uid,
            "SeriesInstanceUID": f"{self.uid}.9",
            "AccessionNumber": self.accession,
            "PatientID": self.patient,
            "PatientName": self.name,
            "PatientBirthDate": "19450508",
            "StudyDate": "20260102",
            "Modality": "DX",
            "BodyPartExamined": "CHEST",
            "ViewPosition": position,
            "SeriesNumber": 1,
            "InstanceNumber": 1,
        }
        dataset = make_dicom(noise(self.number if seed is None else seed), **(given | elements))
        dataset.file_meta.MediaStorageSOPClassUID = dataset.SOPClassUID
        dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
        return as_bytes(dataset)


def studies(count: int) -> list[Study]:
    """Two studies a patient."""
    return [Study(number, f"ACC{number:05}", f"PID{number // 2:05}") for number in range(count)]


def oru(
    study: Study, text: str, *, minute: int, status: str = "F", part: str = "", names_study: bool = False
) -> bytes:
    """An ORU^R01 of this study; part: OBX-11, as the status where it is not given."""
    when = f"202601021{minute // 60:01}{minute % 60:02}00"
    segments = [
        f"MSH|^~\\&|RIS|HOSPITAL|FEDFIN|SITE|{when}||ORU^R01^ORU_R01|M{study.number}-{minute}{status}|P|2.5",
        f"PID|1||{study.patient}^^^HOSPITAL||{study.name}||19450508|F",
        f"OBR|1||{'' if names_study else study.accession}^RIS|71020^Chest|||{when}|{'|' * 14}{when}|||{status}",
        f"OBX|1|TX|GDT^Text||{text}||||||{part or status}",
        *([f"ZDS|{study.uid}^RIS^Application^DICOM"] if names_study else []),
    ]
    return "\r".join(segments).encode() + b"\r"


def send_hl7(port: int, messages: list[bytes], timeout: float = 30) -> list[str]:
    """Over MLLP in one connection; the acknowledgement code of each."""
    codes = []
    with socket.create_connection(("127.0.0.1", port), timeout=timeout) as connection:
        stream = connection.makefile("rb")
        for message in messages:
            connection.sendall(b"\x0b" + message + b"\x1c\r")
            answer = b""
            while not answer.endswith(b"\x1c\r"):
                block = stream.read1(1 << 16)
                if not block:
                    raise ConnectionError
                answer += block
            codes.append(answer.split(b"\rMSA|")[1][:2].decode())
    return codes


class Silent:
    """A reporter that keeps what it hears."""

    def __init__(self) -> None:
        self.heard: list[tuple[str, dict]] = []

    def __call__(self, event: str, facts: dict) -> None:
        """Keep it."""
        self.heard.append((event, facts))


def open_service(site: Site, report=None) -> Service:
    """A service in this process, which encodes in this process."""
    return Service(site, open_intake(site, make=True), report or Silent(), processes=0, manager=Manager())


def take(
    site: Site, objects: list[bytes] = (), messages: list[bytes] = (), order: int | None = None
) -> dict[str, int]:
    """Hand these over as a server does, shuffled by `order`, and absorb them; what came of all so far."""
    from fedfin_edge.intake.mllp import Mllp
    from fedfin_edge.intake_settings import Listener

    with open_service(site) as service:
        reception = service._reception
        mllp = Mllp(Listener(port=1), service._folder.settings.oru, site.folder, reception)
        work = [(reception.take_object, each) for each in objects] + [
            (mllp.answer, each) for each in messages
        ]
        if order is not None:
            random.Random(order).shuffle(work)
        for call, each in work:
            call(each)
        service.once()
        return service._store.counts()


def encode_text(bundle: Path, text: str) -> bytes:
    """Features of a text, as bytes."""
    return open_encoder(bundle).encode([text])[0].tobytes()


def encode_image(bundle: Path, data: bytes, folder: Path) -> bytes:
    """Features of a DICOM file, as bytes."""
    path = folder / "expected.dcm"
    path.write_bytes(data)
    return open_encoder(bundle).encode([path])[0].tobytes()


def cases_of(site: Site) -> dict[str, tuple[str, dict[str, bytes], dict[str, float]]]:
    """After `edge encode`: by case, its patient, its features by modality, as bytes, and its labels."""
    assert edge("encode", site.folder, "--processes", "1") == 0
    found = {}
    with FeatureStore(site.features_path) as store:
        for case in read_table(site).cases:
            features = {}
            for modality, kept in case.inputs.items():
                assert isinstance(kept, Kept)
                encoder = open_encoder(site.bundle_path(modality)).manifest
                vector = store.get(encoder.digest(), digest_input(kept), encoder.columns)
                assert vector is not None
                features[modality] = vector.tobytes()
            found[case.case] = (case.patient, features, case.labels)
    return found


def case_id(site: Site, accession: str) -> str:
    """What the case of this accession number is called."""
    return open_intake(site).identity.hash("accession", accession).hex()


def patient_id(site: Site, patient: str) -> str:
    """What this patient is called."""
    return open_intake(site).identity.hash("patient", patient).hex()


def two_ports() -> tuple[int, int]:
    """For DICOM and HL7."""
    one = free_port()
    other = free_port()
    assert one != other
    return one, other

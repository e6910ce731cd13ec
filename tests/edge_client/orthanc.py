"""Orthanc as a hospital's archive, with DICOMweb and a password."""

import json
import shutil
import subprocess
from pathlib import Path

import requests

from fedfin.demo.processes import free_port, wait_for_port

PLUGIN = Path("/usr/share/orthanc/plugins/libOrthancDicomWeb.so")
HERE = shutil.which("Orthanc") is not None and PLUGIN.exists()
WITHOUT = "needs Orthanc with DICOMweb: apt-get install orthanc orthanc-dicomweb"
TITLE = "ORTHANC"
USER, PASSWORD = "fedfin", "correct horse"


class Orthanc:
    """A running server; a context manager. `dicom_port`: where it knows FEDFIN, and nobody else."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._port, self.dicom_port = free_port(), free_port()
        folder.mkdir()
        settings = {
            "HttpPort": self._port,
            "DicomPort": self.dicom_port,
            "DicomAet": TITLE,
            "DicomCheckCalledAet": True,
            "DicomAlwaysAllowEcho": False,
            "DicomModalities": {"site": ["FEDFIN", "127.0.0.1", 104]},
            "StorageDirectory": str(folder),
            "IndexDirectory": str(folder),
            "Plugins": [str(PLUGIN)],
            "AuthenticationEnabled": True,
            "RegisteredUsers": {USER: PASSWORD},
            "DicomWeb": {"Enable": True, "Root": "/dicom-web/"},
        }
        (folder / "orthanc.json").write_text(json.dumps(settings))
        (folder / "password").write_text(PASSWORD)

    @property
    def address(self) -> str:
        """Of the server."""
        return f"http://127.0.0.1:{self._port}"

    @property
    def password(self) -> str:
        """Where it is."""
        return str(self._folder / "password")

    @property
    def section(self) -> str:
        """[intake.dicomweb] for it."""
        return (
            f'\n[intake.dicomweb]\nurl = "{self.address}/dicom-web"\nuser = "{USER}"\n'
            f'password_file = "{self.password}"\n'
        )

    def __enter__(self) -> "Orthanc":
        with (self._folder / "log").open("wb") as log:
            self._process = subprocess.Popen(
                ["Orthanc", str(self._folder / "orthanc.json")], stdout=log, stderr=log
            )
        wait_for_port("127.0.0.1", self._port, 30)
        return self

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        self._process.wait(30)

    def store(self, data: bytes) -> None:
        """Put an object into the archive."""
        address = f"{self.address}/instances"
        requests.post(address, data=data, auth=(USER, PASSWORD), timeout=30).raise_for_status()

"""SEKMET as a hospital's FHIR R4 server, written by others: search, Bulk Data and a token."""

import json
import os
import shutil
import subprocess
from pathlib import Path

import requests

from fedfin.demo.processes import free_port, wait_for_port

HERE = shutil.which("sekmet") is not None
WITHOUT = "needs a FHIR server: pipx install sekmet-fhir (Python 3.11 or newer)"
TOKEN = "open sesame"


class Sekmet:
    """A running server; a context manager."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._port = free_port()
        folder.mkdir()
        settings = {
            "base_url": self.url,
            "host": "127.0.0.1",
            "port": self._port,
            "data_dir": str(folder / "data"),
            "server_auth": {"types": ["bearer"], "tokens": [TOKEN]},
            "simulator": {"enabled": False, "delay_seconds": 0.2},
        }
        (folder / "settings.yaml").write_text(json.dumps(settings))  # which is YAML
        (folder / "token").write_text(TOKEN)

    @property
    def url(self) -> str:
        """The base."""
        return f"http://127.0.0.1:{self._port}/fhir"

    def section(self, name: str) -> str:
        """[intake.NAME] for it."""
        return f'\n[intake.{name}]\nurl = "{self.url}"\ntoken_file = "{self._folder / "token"}"\n'

    def put(self, resource: dict) -> None:
        """Make or replace; the server's own validation must have nothing against it."""
        self._ask("PUT", f"{resource['resourceType']}/{resource['id']}", json=resource)

    def delete(self, reference: str) -> None:
        """By type and id."""
        self._ask("DELETE", reference)

    def _ask(self, method: str, path: str, **words) -> None:
        headers = {"Authorization": f"Bearer {TOKEN}", "Content-Type": "application/fhir+json"}
        answer = requests.request(method, f"{self.url}/{path}", headers=headers, timeout=30, **words)
        assert answer.ok, answer.text

    def __enter__(self) -> "Sekmet":
        environment = os.environ | {"SEKMET_CONFIG": str(self._folder / "settings.yaml")}
        environment.pop("PYTHONPATH", None)
        with (self._folder / "log").open("wb") as log:
            self._process = subprocess.Popen(
                ["sekmet", "serve"], stdout=log, stderr=log, env=environment, cwd=self._folder
            )
        wait_for_port("127.0.0.1", self._port, 60)
        return self

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        self._process.wait()

"""A certificate authority in a folder, made with the openssl command: for tests and benchmarks on this machine."""

import subprocess
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from pathlib import Path

_CURVE = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")
_OF_A_CA = (
    "-addext",
    "basicConstraints=critical,CA:TRUE",
    "-addext",
    "keyUsage=critical,keyCertSign,cRLSign",
)
_CONFIG = """
[ca]
default_ca = this
[this]
dir = .
database = index.txt
new_certs_dir = .
certificate = ca.pem
private_key = ca.key
rand_serial = yes
default_md = sha256
policy = any
copy_extensions = copy
unique_subject = no
[any]
commonName = supplied
"""


@dataclass(frozen=True)
class Pair:
    """A certificate and its key."""

    certificate: Path
    key: Path


class Authority:
    """`ca` is its certificate; `issue` makes pairs signed by it."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True)
        self.folder = folder.absolute()
        self.ca = self.folder / "ca.pem"
        (folder / "openssl.cnf").write_text(_CONFIG)
        (folder / "index.txt").touch()
        subject = ("-subj", f"/CN=authority {folder.name}", "-days", "30", *_OF_A_CA)
        self._openssl("req", "-x509", *_CURVE, "-keyout", "ca.key", "-out", "ca.pem", *subject)

    def issue(self, name: str, *, hosts: tuple[str, ...] = (), days: int = 30) -> Pair:
        """For a broker at `hosts` ("DNS:localhost", "IP:127.0.0.1") or a client; expired when `days` is negative."""
        names = ("-addext", f"subjectAltName={','.join(hosts)}") if hosts else ()
        request = (*_CURVE, "-keyout", f"{name}.key", "-out", f"{name}.csr", "-subj", f"/CN={name}", *names)
        self._openssl("req", *request)
        start, end = (_time(0), _time(days)) if days > 0 else (_time(days - 1), _time(days))
        validity = ("-startdate", start, "-enddate", end)
        self._openssl("ca", "-batch", "-notext", "-in", f"{name}.csr", "-out", f"{name}.pem", *validity)
        return Pair(self.folder / f"{name}.pem", self.folder / f"{name}.key")

    def _openssl(self, command: str, *words: str) -> None:
        line = ["openssl", command, "-config", "openssl.cnf", *words]
        done = subprocess.run(line, cwd=self.folder, capture_output=True, text=True, check=False)
        if done.returncode:
            raise RuntimeError(f"{' '.join(line)}: {done.stderr}")


def _time(days: int) -> str:
    """Now and some days, as openssl wants it; an hour ago, so that no clock is behind it."""
    return (datetime.now(timezone.utc) + timedelta(days=days, hours=-1)).strftime("%Y%m%d%H%M%SZ")

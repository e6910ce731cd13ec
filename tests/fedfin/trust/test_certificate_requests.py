"""Certificate requests that other people's programs made, or changed."""

import base64
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization

from fedfin.errors import SettingsError
from fedfin.trust.certificate_requests import make_key, make_request, read_requests


def test_a_request_of_another_version_is_a_plain_error(tmp_path: Path) -> None:
    """Found by fuzzing: cryptography has an exception of its own for it."""
    der = bytearray(make_request("s0", make_key()).public_bytes(serialization.Encoding.DER))
    version = der.index(b"\x02\x01\x00")  # INTEGER 0
    der[version + 2] = 1
    body = base64.encodebytes(bytes(der)).decode()
    (tmp_path / "s0.csr").write_text(
        f"-----BEGIN CERTIFICATE REQUEST-----\n{body}-----END CERTIFICATE REQUEST-----\n"
    )
    with pytest.raises(SettingsError, match="cannot be signed: it is damaged"):
        read_requests(tmp_path)

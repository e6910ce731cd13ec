"""Certificate requests (PKCS #10): whoever needs a certificate makes its key itself and sends only this."""

import re
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.asymmetric.types import CertificatePublicKeyTypes
from cryptography.x509.oid import NameOID

from fedfin.errors import SettingsError

# A request with an RSA key of 8,192 bits has 3 KB; a file may hold other text around it.
MOST_BYTES = 64 * 1024
RSA_BITS = 2048  # the least that NIST SP 800-57 part 1 allows (112 bits of security)
_PEM = re.compile(
    rb"-----BEGIN (NEW )?CERTIFICATE REQUEST-----.*?-----END (NEW )?CERTIFICATE REQUEST-----", re.DOTALL
)


def make_key() -> ec.EllipticCurvePrivateKey:
    """On P-256, the curve that every TLS library speaks."""
    return ec.generate_private_key(ec.SECP256R1())


def key_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    """Unencrypted PKCS #8: whoever reads the file has the key, so it is written readable by its owner only."""
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def make_request(
    name: str, key: ec.EllipticCurvePrivateKey, extensions: tuple[x509.ExtensionType, ...] = ()
) -> x509.CertificateSigningRequest:
    """A request in this name, signed by its key."""
    builder = x509.CertificateSigningRequestBuilder().subject_name(common_name(name))
    for extension in extensions:
        builder = builder.add_extension(extension, critical=False)
    return builder.sign(key, hashes.SHA256())


def public_key(pem: str, name: str) -> CertificatePublicKeyTypes:
    """The key that a request is for. Raises SettingsError, which says whose is damaged."""
    try:
        return x509.load_pem_x509_csr(pem.encode()).public_key()
    except (ValueError, UnsupportedAlgorithm, x509.InvalidVersion):
        raise SettingsError(
            f"{name}: the certificate request in its request is damaged; ask for it again"
        ) from None


def common_name(name: str) -> x509.Name:
    """A subject of nothing but this name."""
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def name_of(subject: x509.Name) -> str | None:
    """The common name; None when there is none, or more than one."""
    names = [str(each.value) for each in subject.get_attributes_for_oid(NameOID.COMMON_NAME)]
    return names[0] if len(names) == 1 else None


def read_requests(folder: Path) -> dict[str, tuple[Path, x509.CertificateSigningRequest]]:
    """The requests in a folder, and their files, by the name that they are for; other files are passed over.

    Raises SettingsError for one that cannot be signed, and for two of one name.
    """
    if not folder.is_dir():
        raise SettingsError(
            f"{folder}: there is no such folder of certificate requests; make it, or correct --requests"
        )
    found: dict[str, tuple[Path, x509.CertificateSigningRequest]] = {}
    for path in sorted(each for each in folder.iterdir() if each.is_file()):
        if (request := _read(path)) is None:
            continue
        name = name_of(request.subject) or ""
        if name in found:
            raise SettingsError(f"{found[name][0]} and {path} both ask for {name!r}; remove the older one")
        found[name] = (path, request)
    return found


def _read(path: Path) -> x509.CertificateSigningRequest | None:
    """The request in a file, or None when it holds none; in JSON its ends of line are written out.

    Raises SettingsError.
    """
    try:
        with path.open("rb") as stream:
            pem = _PEM.search(stream.read(MOST_BYTES).replace(rb"\n", b"\n"))
    except OSError as error:
        raise SettingsError(
            f"{path}: cannot read it ({error.strerror}); correct its permissions, or move it out of --requests"
        ) from None
    if pem is None:
        return None
    try:
        request = x509.load_pem_x509_csr(pem[0])
        problem = _problem(request)
    except (ValueError, UnsupportedAlgorithm, InvalidSignature, x509.InvalidVersion):
        problem = "it is damaged"
    if problem:
        raise SettingsError(
            f"{path}: this certificate request cannot be signed: {problem}; ask for a new one"
        )
    return request


def _problem(request: x509.CertificateSigningRequest) -> str:
    """Why it cannot be signed, or nothing."""
    if name_of(request.subject) is None:
        return "its subject must hold exactly one common name (CN), the site's name"
    if not request.is_signature_valid:
        return "its signature is wrong, so who sent it does not hold its key"
    key = request.public_key()
    if isinstance(key, rsa.RSAPublicKey):
        return "" if key.key_size >= RSA_BITS else f"its RSA key has fewer than {RSA_BITS} bits"
    if isinstance(key, ec.EllipticCurvePublicKey):
        return "" if isinstance(key.curve, ec.SECP256R1 | ec.SECP384R1) else "its curve is not P-256 or P-384"
    return "" if isinstance(key, ed25519.Ed25519PublicKey) else "its kind of key is not used in TLS here"

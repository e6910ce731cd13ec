"""What targets that read files need: a file of given bytes, and the errors that readers may raise."""

import tempfile
from pathlib import Path

from fedfin.errors import FedfinError

REFUSED = FedfinError
_FOLDER = tempfile.TemporaryDirectory(prefix="fedfin-fuzz-")


def scratch_file(name: str, data: bytes) -> Path:
    """A file of this process's own folder, with these bytes."""
    path = Path(_FOLDER.name) / name
    path.write_bytes(data)
    return path

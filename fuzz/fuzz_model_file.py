"""Model files, and descriptions of exported models."""

import contextlib

from fedfin.model.exported_model import DESCRIPTION, read_exported
from fedfin.model.model_file import read_model
from fuzz.scratch import REFUSED, scratch_file


def fuzz(data: bytes) -> None:
    """A model, or a reason."""
    with contextlib.suppress(REFUSED):
        read_model(scratch_file("model.fedfin", data))
    with contextlib.suppress(REFUSED):
        read_exported(scratch_file(DESCRIPTION, data).parent)

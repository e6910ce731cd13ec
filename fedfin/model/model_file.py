"""A trained model as a file: the plan, the version and every tensor, in msgpack and exact."""

from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

import msgspec

from fedfin import limits
from fedfin.codec import Tensors, compress, every_tensor
from fedfin.decoding import UNDECODABLE
from fedfin.errors import InputError
from fedfin.files import read_at_most, write_atomically
from fedfin.model.model_spec import model_shapes
from fedfin.model.plan_size import check_size
from fedfin.plan import Plan

_KIND: Final = "fedfin-model-1"


@dataclass(frozen=True)
class ModelFile:
    """One model version with the plan it was trained by."""

    plan: Plan
    version: int
    tensors: Tensors


class _Kind(msgspec.Struct, frozen=True):
    """As much of a model file as any version must be able to read."""

    kind: str


class _Content(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    kind: Literal["fedfin-model-1"]
    plan: Plan
    version: int
    body: bytes

    def __post_init__(self) -> None:
        """Refuse a plan that is too large before its tensors are made."""
        check_size(self.plan)


def encode_model_file(model: ModelFile) -> bytes:
    """The file's bytes."""
    body = compress(model.tensors, model_shapes(model.plan), "exact").body
    return msgspec.msgpack.encode(_Content(_KIND, model.plan, model.version, body))


def write_model(path: Path, model: ModelFile) -> None:
    """Write the file whole or not at all."""
    write_atomically(path, encode_model_file(model))


def read_model(path: Path) -> ModelFile:
    """Read a model file and check every tensor against its plan. Raises InputError or ProtocolError."""
    try:
        data = read_at_most(path, limits.TRANSFER_BYTES)
    except OSError as error:
        raise InputError(f"{path}: cannot read the model file ({error.strerror})") from None
    try:
        content = msgspec.msgpack.decode(data, type=_Content)
    except UNDECODABLE as error:
        if _is_newer(data):
            raise InputError(
                f"{path}: a newer version of FedFIN wrote it; upgrade to the version that its aggregator runs"
            ) from None
        raise InputError(
            f"{path}: not a FedFIN model file ({error}); copy it again from the aggregator"
        ) from None
    return ModelFile(content.plan, content.version, every_tensor(content.body, model_shapes(content.plan)))


def _is_newer(data: bytes) -> bool:
    """Whether it is a model file of a kind that is not known here."""
    try:
        kind = msgspec.msgpack.decode(data, type=_Kind).kind
    except UNDECODABLE:
        return False
    return kind.startswith("fedfin-model-") and kind != _KIND

"""An exported model folder as both its writer (`export`) and its reader (`edge_client`) see it.

model.onnx   {m} float32 [n, dim] and {m}.present bool [n] per modality -> probability float32 [n, labels], and
             explained float32 [n, modalities]: what is known of each missing modality, in shares of its variance
model.json   this module's ExportedModel
"""

from pathlib import Path
from typing import Literal

import msgspec

from fedfin import limits
from fedfin.decoding import UNDECODABLE
from fedfin.encoders.bundle import file_digest
from fedfin.encoders.onnx_file import check_whole
from fedfin.errors import InputError
from fedfin.files import read_at_most
from fedfin.model.plan_size import check_size
from fedfin.names import Digest
from fedfin.plan import Plan

GRAPH = "model.onnx"
DESCRIPTION = "model.json"
OUTPUT, EXPLAINED = "probability", "explained"


class ExportedModel(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What model.json holds: the plan, the model's version, and the SHA-256 of model.onnx."""

    kind: Literal["fedfin-exported-model-2"] = "fedfin-exported-model-2"
    plan: Plan
    version: int
    sha256: Digest

    def __post_init__(self) -> None:
        """Refuse a plan that is too large before features of its lengths are made."""
        check_size(self.plan)


def present_name(modality: str) -> str:
    """The graph input that says which rows have a modality."""
    return f"{modality}.present"


def read_exported(folder: Path) -> ExportedModel:
    """Read model.json and check model.onnx against it. Raises InputError or BundleError."""
    path = folder / DESCRIPTION
    try:
        exported = msgspec.json.decode(read_at_most(path, limits.SETTINGS_BYTES), type=ExportedModel)
    except FileNotFoundError:
        raise InputError(
            f"{folder} is no exported model: it has no {DESCRIPTION}; make one with `fedfin export model`"
        ) from None
    except OSError as error:
        raise InputError(f"{path}: cannot read it ({error.strerror}); export the model again") from None
    except UNDECODABLE as error:
        raise InputError(f"{path}: not an exported model's description: {error}; export it again") from None
    if not (folder / GRAPH).is_file():
        raise InputError(f"{folder} is incomplete: it has no {GRAPH}; export the model again")
    if file_digest(folder / GRAPH) != exported.sha256:
        raise InputError(
            f"{folder / GRAPH} is not the graph that {DESCRIPTION} names; export the model again"
        )
    if not (folder / GRAPH).resolve().is_relative_to(folder.resolve()):
        raise InputError(f"{folder / GRAPH} is a link out of the model's folder; put the file itself there")
    check_whole(folder / GRAPH)
    return exported

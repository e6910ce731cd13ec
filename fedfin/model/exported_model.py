"""An exported model folder as both its writer (`export`) and its reader (`edge_client`) see it.

model.onnx   {m} float32 [n, dim] and {m}.present bool [n] per modality -> probability float32 [n, labels], and
             explained float32 [n, modalities]: what is known of each missing modality, in shares of its variance
model.json   this module's ExportedModel
"""

from pathlib import Path
from typing import Literal

import msgspec

from fedfin.encoders.bundle import file_digest
from fedfin.errors import InputError
from fedfin.plan import Digest, Plan

GRAPH = "model.onnx"
DESCRIPTION = "model.json"
OUTPUT, EXPLAINED = "probability", "explained"


class ExportedModel(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What model.json holds: the plan, the model's version, and the SHA-256 of model.onnx."""

    kind: Literal["fedfin-exported-model-2"] = "fedfin-exported-model-2"
    plan: Plan
    version: int
    sha256: Digest


def present_name(modality: str) -> str:
    """The graph input that says which rows have a modality."""
    return f"{modality}.present"


def read_exported(folder: Path) -> ExportedModel:
    """Read model.json and check model.onnx against it. Raises InputError."""
    path = folder / DESCRIPTION
    try:
        exported = msgspec.json.decode(path.read_bytes(), type=ExportedModel)
    except OSError:
        raise InputError(
            f"{folder} is no exported model: it has no {DESCRIPTION}; make one with `fedfin export model`"
        ) from None
    except msgspec.MsgspecError as error:
        raise InputError(f"{path}: not an exported model's description: {error}; export it again") from None
    if not (folder / GRAPH).is_file():
        raise InputError(f"{folder} is incomplete: it has no {GRAPH}; export the model again")
    if file_digest(folder / GRAPH) != exported.sha256:
        raise InputError(
            f"{folder / GRAPH} is not the graph that {DESCRIPTION} names; export the model again"
        )
    return exported

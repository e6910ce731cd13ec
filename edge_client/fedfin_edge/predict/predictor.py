"""An exported model at work: features of any modalities in, probabilities out. Imports no torch."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from fedfin.errors import BundleError, InputError
from fedfin.model.exported_model import EXPLAINED, GRAPH, OUTPUT, ExportedModel, present_name, read_exported
from fedfin.model.fin_spec import fin_variant
from fedfin.plan import Plan


@dataclass(frozen=True)
class Prediction:
    """Answers for n cases.

    probability: float32 [n, labels]; given, imputed: modality -> bool [n]. A modality that is neither
    (FIN variant `zero`) contributed nothing. explained: modality -> float32 [n], which share of its features' variance
    the imputation knows, 0 where the modality was given.
    """

    probability: NDArray[np.float32]
    given: dict[str, NDArray[np.bool_]]
    imputed: dict[str, NDArray[np.bool_]]
    explained: dict[str, NDArray[np.float32]]


class Predictor:
    """A verified exported model with its onnxruntime session."""

    def __init__(self, exported: ExportedModel, session: onnxruntime.InferenceSession) -> None:
        self.plan: Plan = exported.plan
        self.version = exported.version
        self._session = session

    def predict(
        self, features: Mapping[str, NDArray[np.float32]], present: Mapping[str, NDArray[np.bool_]]
    ) -> Prediction:
        """Answer n cases, each with at least one modality.

        features: modality -> float32 [n, dim]; present: modality -> bool [n]. A modality of the plan may be
        left out altogether. Raises InputError for a shape or modality that the model does not know, a
        case with nothing present, and features that are not finite.
        """
        count = _count(present)
        given = {m: np.asarray(present.get(m, np.zeros(count, np.bool_)), np.bool_) for m in self.plan.dims}
        _check(self.plan, features, present)
        if count and not np.logical_or.reduce(list(given.values())).all():
            raise InputError("a case has no modality of this model; there is nothing to predict from")
        feeds = {present_name(m): mask for m, mask in given.items()}
        for modality, dim in self.plan.dims.items():
            values = features.get(modality, np.zeros((count, dim), np.float32))
            feeds[modality] = np.where(given[modality][:, None], values, np.float32(0)).astype(np.float32)
            if not np.isfinite(feeds[modality]).all():
                raise InputError(f"features of modality {modality!r} are not finite; encode the case again")
        probability, explained = self._session.run([OUTPUT, EXPLAINED], feeds)
        imputes = fin_variant(self.plan) != "zero"
        return Prediction(
            probability,
            given,
            {m: ~mask & imputes for m, mask in given.items()},
            dict(zip(self.plan.dims, explained.T, strict=True)),
        )


def open_predictor(folder: Path, *, threads: int = 1) -> Predictor:
    """Open and verify an exported model folder. Raises InputError or BundleError."""
    exported = read_exported(folder)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3  # errors only
    try:
        session = onnxruntime.InferenceSession(folder / GRAPH, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime's own classes are not public
        raise BundleError(
            f"{folder / GRAPH}: onnxruntime {onnxruntime.__version__} cannot load it"
            f" ({type(error).__name__}); export it again or update onnxruntime"
        ) from error
    return Predictor(exported, session)


def _count(present: Mapping[str, NDArray[np.bool_]]) -> int:
    counts = {len(mask) for mask in present.values()}
    if len(counts) != 1:
        raise InputError("the modalities' presence must be given for the same number of cases")
    return counts.pop()


def _check(
    plan: Plan, features: Mapping[str, NDArray[np.float32]], present: Mapping[str, NDArray[np.bool_]]
) -> None:
    for modality, mask in present.items():
        if modality not in plan.dims:
            known = ", ".join(plan.dims)
            raise InputError(f"the model knows no modality {modality!r}; it knows {known}")
        wanted = (len(mask), plan.dims[modality])
        if modality not in features or features[modality].shape != wanted:
            raise InputError(f"features of modality {modality!r} must be of shape {wanted}")

"""Cases as they come (files, texts, vectors) to the model's answers: what is missing is imputed."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from fedfin.encoders.projection import check_columns
from fedfin.errors import BundleError, InputError
from fedfin_edge.cases.digests import Input
from fedfin_edge.cases.encoder import Encoder, open_encoder
from fedfin_edge.predict.predictor import Predictor


@dataclass(frozen=True)
class Answer:
    """The model's answer for one case.

    `explained`: imputed modality -> the share of its features' variance that the imputation knows;
    `left_out`: modality -> why its input could not be used; `noted`: modality -> what was noted when it was read.
    """

    case: str
    probability: dict[str, float] = field(default_factory=dict)
    given: list[str] = field(default_factory=list)
    imputed: list[str] = field(default_factory=list)
    explained: dict[str, float] = field(default_factory=dict)
    left_out: dict[str, str] = field(default_factory=dict)
    noted: dict[str, tuple[str, ...]] = field(default_factory=dict)

    @property
    def answered(self) -> bool:
        """Whether there was anything to predict from."""
        return bool(self.given)


def open_encoders(predictor: Predictor, bundles: Sequence[Path]) -> dict[str, Encoder]:
    """The bundles' encoders by the plan's modality. Raises BundleError for one that it does not name or cannot use."""
    modalities = {modality.encoder: modality for modality in predictor.plan.modalities}
    encoders = {}
    for folder in bundles:
        encoder = open_encoder(folder)
        digest = encoder.manifest.digest()
        if digest not in modalities:
            raise BundleError(f"{folder}: the model was not trained with this encoder;"
                              " give the bundles that the federation's plan names")  # fmt: skip
        check_columns(folder, encoder.manifest, modalities[digest])
        encoders[modalities[digest].name] = encoder
    return encoders


def predict_case(
    predictor: Predictor, encoders: Mapping[str, Encoder], case: str, inputs: Mapping[str, Input]
) -> Answer:
    """Encode one case's inputs and answer it. An input that cannot be used is left out, with the reason."""
    features, left_out, noted = {}, {}, {}
    for modality, value in inputs.items():
        try:
            row, notes = encoders[modality].encode_noted(value)
        except InputError as error:
            left_out[modality] = str(error)
            continue
        features[modality] = row[np.newaxis, : predictor.plan.dims[modality]]
        if notes:
            noted[modality] = notes
    if not features:
        return Answer(case, left_out=left_out)
    prediction = predictor.predict(features, {modality: np.ones(1, np.bool_) for modality in features})
    probability = dict(zip(predictor.plan.labels, prediction.probability[0].tolist(), strict=True))
    given = [modality for modality, mask in prediction.given.items() if mask[0]]
    imputed = [modality for modality, mask in prediction.imputed.items() if mask[0]]
    explained = {modality: round(float(prediction.explained[modality][0]), 4) for modality in imputed}
    return Answer(case, probability, given, imputed, explained, left_out, noted)

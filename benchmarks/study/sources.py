"""A study's data set as it is loaded: its parts joined, with the encoders of its texts."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from benchmarks.data import table
from benchmarks.data.bundles import text_bundle
from benchmarks.data.cases import Cases, group
from benchmarks.data.loaders import load_cases
from benchmarks.study.settings import Data, Part
from fedfin.errors import InputError

Step = Callable[[int, int], None]
Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Pool:
    """n cases in the data set's modalities.

    sites: for each case which sites may get it: "any", or those that hold the "common" modality, the "rare" or "both";
    encoders: text modality -> the bundle of its encoder; judge: which held-out cases judge.
    """

    cases: Cases
    sites: tuple[str, ...]
    encoders: dict[str, Path]
    judge: Literal["complete", "recorded"] = "complete"


def load_pool(data: Data, folder: Path, step: Step) -> Pool:
    """Load what `data` says, encoding what is not in the cache `folder` yet; `step` is told inputs done of all.

    Raises InputError when files or encoders cannot be had, or the parts do not fit each other.
    """
    loaded = [_load(part, folder, step) for part in data.sources]
    for cases in loaded:
        if lacking := [m for m in data.modalities if not any(m in c.features for c in loaded)]:
            raise InputError(f"the data has no modality {lacking[0]!r}; it has {', '.join(cases.features)}")
    cases = _restricted(loaded[0] if len(loaded) == 1 else _joined(loaded), data.modalities)
    sites = tuple(p.sites for p, c in zip(data.sources, loaded, strict=True) for _ in range(len(c)))
    texts = {m for m in data.modalities if m in cases.texts}
    given = {m: Path(path) for part in data.sources for m, path in part.bundles.items()}
    encoders = {m: given[m] if m in given else text_bundle(folder) for m in sorted(texts)}
    return Pool(cases, sites, encoders, data.judge)


def encode_text(bundle: Path) -> Callable[[str], Floats]:
    """One text to its features [dim]; the encoder is opened when the first text comes."""

    def encode(text: str) -> Floats:
        features: Floats = _encoder(bundle)([text])[0]
        return features

    return encode


@cache
def _encoder(bundle: Path) -> Callable[[list[str]], Floats]:
    from fedfin_edge.cases.encoder import open_encoder

    return open_encoder(bundle).encode


def _load(part: Part, folder: Path, step: Step) -> Cases:
    if part.name:
        return load_cases(part.name, folder, step, folder=Path(part.folder) if part.folder else None)
    bundles = {modality: Path(path) for modality, path in part.bundles.items()}
    return table.load(Path(part.table), bundles, folder, step)


def _restricted(cases: Cases, modalities: tuple[str, ...]) -> Cases:
    """Only these modalities, in this order."""
    return Cases(
        {m: cases.features[m] for m in modalities},
        {m: cases.present[m] for m in modalities},
        cases.labels,
        cases.groups,
        {m: cases.texts[m] for m in modalities if m in cases.texts},
        cases.label_names,
        cases.hospitals,
        cases.public,
    )


def _joined(parts: list[Cases]) -> Cases:
    """One after the other: labels by name, unknown where a part has none; groups of two parts are never one."""
    if any(len(cases.label_names) != cases.labels.shape[1] for cases in parts):
        raise InputError("data sets are joined by the names of their labels, and one has none")
    names = tuple(dict.fromkeys(name for cases in parts for name in cases.label_names))
    dims = _dims(parts)
    return Cases(
        {m: np.concatenate([_features(cases, m, dim) for cases in parts]) for m, dim in dims.items()},
        {m: np.concatenate([_present(cases, m) for cases in parts]) for m in dims},
        np.concatenate([_labels(cases, names) for cases in parts]),
        np.array(
            [group(f"{i}/{g}") for i, cases in enumerate(parts) for g in cases.groups.tolist()], np.int64
        ),
        {m: [text for cases in parts for text in _texts(cases, m)] for m in dims if _any_text(parts, m)},
        names,
    )


def _dims(parts: list[Cases]) -> dict[str, int]:
    dims: dict[str, int] = {}
    for cases in parts:
        for modality, dim in cases.dims.items():
            if dims.setdefault(modality, dim) != dim:
                raise InputError(
                    f"modality {modality!r} has {dims[modality]} features in one part and {dim} in another;"
                    " encode both with the same encoder"
                )
    return dims


def _features(cases: Cases, modality: str, dim: int) -> Floats:
    return cases.features.get(modality, np.zeros((len(cases), dim), np.float32))


def _present(cases: Cases, modality: str) -> NDArray[np.bool_]:
    return cases.present.get(modality, np.zeros(len(cases), np.bool_))


def _labels(cases: Cases, names: tuple[str, ...]) -> Floats:
    own: Mapping[str, int] = {name: place for place, name in enumerate(cases.label_names)}
    unknown = np.full(len(cases), np.nan, np.float32)
    return np.stack([cases.labels[:, own[n]] if n in own else unknown for n in names], axis=1)


def _texts(cases: Cases, modality: str) -> list[str]:
    return cases.texts.get(modality) or [""] * len(cases)


def _any_text(parts: list[Cases], modality: str) -> bool:
    return any(modality in cases.texts for cases in parts)

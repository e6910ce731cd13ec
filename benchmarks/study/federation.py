"""One experiment's data: what every site trains on, and what judges the models that come out."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from fedfin.plan import Plan
from fedfin_edge.cases.dataset import Dataset

PUBLIC = "public"  # the name of a site that has the public cases


@dataclass(frozen=True)
class Texts:
    """The raw texts behind a text modality, for methods that write some.

    train: for each site its texts in the order of its dataset's rows, blank where the site has none;
    encode: one text to its features, float32 [dim].
    """

    modality: str
    train: Mapping[str, Sequence[str]]
    encode: Callable[[str], NDArray[np.float32]]


@dataclass(frozen=True)
class Federation:
    """What trains, and what judges. No patient is on two sides.

    plan: labels, modalities, seed and the recipe that methods start from;
    sites: training cases by site, as the site holds them (held_out is False throughout);
    recorded: the same cases with every modality that was recorded of them: for upper bounds only;
    public: complete cases that everybody may see, of patients that are nowhere else: for methods that say so;
    judge: held-out cases, with every modality that was recorded of them: all modalities, unless the data says that
    incomplete ones judge, too;
    axes: features of public cases by modality, [any number, dim]: what axes of few dimensions are made of;
    inner: by site the training cases, bool [n], on which recipes are chosen (tuning.py), a fifth of the patients;
    judge_hospitals: whose each of the judge's cases is, as in `Cases`: for who looks at hospitals one by one.
    """

    plan: Plan
    sites: dict[str, Dataset]
    recorded: dict[str, Dataset]
    public: Dataset
    judge: Dataset
    texts: tuple[Texts, ...] = field(default=())
    axes: Mapping[str, NDArray[np.float32]] = field(default_factory=dict)
    inner: Mapping[str, NDArray[np.bool_]] = field(default_factory=dict)
    judge_hospitals: tuple[str, ...] = ()

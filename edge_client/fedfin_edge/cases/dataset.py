"""A site's encoded cases as arrays: what training and evaluation see."""

import hashlib
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from fedfin.encoders.projection import read_fitting_manifest
from fedfin.errors import StateError
from fedfin.plan import Plan
from fedfin.plan_sections import Modality
from fedfin_edge.cases.feature_store import FeatureStore
from fedfin_edge.cases.floor import Floor
from fedfin_edge.cases.table import Case, read_table
from fedfin_edge.site import Site

VALIDATION = 0.1  # share of the patients whose cases only calibrate the head
FEW = 30  # cases: what rests on fewer may tell about single ones
Features = dict[str, NDArray[np.float32]]


@dataclass(frozen=True)
class Dataset:
    """n cases. A row of `features[m]` is zero where `present[m]` is False.

    features: modality -> float32 [n, dim]; present: modality -> bool [n];
    labels: float32 [n, labels], 1, 0 or NaN (unknown); held_out: bool [n], never trained on;
    left_out: cases of the table without any features; unencoded: inputs of the table without features;
    validation: bool [n], training cases that the head does not train on when it is calibrated on them (None: no case);
    second_half: bool [n], cases of the half of the patients whose second moments go apart (None: no case);
    patient: int64 [n], whose case each is (None: each is of another); least_patients: the floor of
    what leaves together; rare_answers: whether sums over sites hold labels of which fewer have one of the two answers;
    patient_ids: what the table calls each patient, by number (None: the number itself).
    """

    features: dict[str, NDArray[np.float32]]
    present: dict[str, NDArray[np.bool_]]
    labels: NDArray[np.float32]
    held_out: NDArray[np.bool_]
    left_out: int = 0
    unencoded: int = 0
    validation: NDArray[np.bool_] | None = None
    second_half: NDArray[np.bool_] | None = None
    patient: NDArray[np.int64] | None = None
    least_patients: int = 0
    rare_answers: bool = True
    patient_ids: tuple[str, ...] | None = field(default=None, repr=False)

    @property
    def patient_numbers(self) -> NDArray[np.int64]:
        """`patient`, int64 [n]."""
        return np.arange(len(self)) if self.patient is None else self.patient

    def patient_id(self, number: int) -> str:
        """The same whatever the plan, and whoever else is here."""
        return str(number) if self.patient_ids is None else self.patient_ids[number]

    @property
    def floor(self) -> Floor:
        """Below which nothing leaves by itself."""
        return Floor(self.least_patients, self.patient_numbers)

    @property
    def in_second_half(self) -> NDArray[np.bool_]:
        """The cases of `second_half`, bool [n]."""
        return np.zeros(len(self), np.bool_) if self.second_half is None else self.second_half

    @property
    def calibration_held_out(self) -> NDArray[np.bool_]:
        """The validation cases, bool [n]."""
        return np.zeros(len(self), np.bool_) if self.validation is None else self.validation & ~self.held_out

    def judged_labels(self, cases: NDArray[np.bool_], *, summed: bool) -> NDArray[np.float32]:
        """Labels of these cases, bool [n], in what judges the model: NaN of those that too few patients know.

        Where this site's own are seen, or it wants that in sums, too: of which too few have one of the two answers.
        """
        floor, labels = self.floor.of(cases), self.labels[cases]
        return (
            floor.without_unfamiliar(labels)
            if summed and self.rare_answers
            else floor.without_withheld(labels)
        )

    def of(
        self,
        cases: NDArray[np.bool_],
        features: dict[str, NDArray[np.float32]],
        present: dict[str, NDArray[np.bool_]],
    ) -> "Dataset":
        """Some of the cases, bool [n], with these features of all in place of theirs."""
        return Dataset(
            {name: values[cases] for name, values in features.items()},
            {name: mask[cases] for name, mask in present.items()},
            self.labels[cases],
            self.held_out[cases],
            self.left_out,
            self.unencoded,
            None if self.validation is None else self.validation[cases],
            None if self.second_half is None else self.second_half[cases],
            self.patient_numbers[cases],
            self.least_patients,
            self.rare_answers,
            self.patient_ids,
        )

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def known_labels(self) -> NDArray[np.bool_]:
        """Which labels any case has a value for, bool [labels]."""
        return np.asarray((~np.isnan(self.labels)).any(axis=0))

    @property
    def familiar_labels(self) -> NDArray[np.bool_]:
        """Of which labels the training cases of enough patients have a value, bool [labels]."""
        train = ~self.held_out
        return ~self.floor.of(train).unfamiliar(self.labels[train])

    def digest(self) -> str:
        """SHA-256 of all of it, in hex: whether a question is asked of the same cases again."""
        total = hashlib.sha256(f"{len(self)}\n".encode())
        for modality in sorted(self.features):
            total.update(f"{modality} {self.features[modality].shape[1]}\n".encode())
            total.update(np.ascontiguousarray(self.features[modality]).data)
            total.update(np.ascontiguousarray(self.present[modality]).data)
        for part in (self.labels, self.held_out, self.calibration_held_out, self.in_second_half):
            total.update(np.ascontiguousarray(part).data)
        return total.hexdigest()


def load_dataset(site: Site, plan: Plan) -> Dataset:
    """The site's cases in the plan's modalities and labels; needs neither torch nor onnxruntime.

    Labels that the site does not know are NaN. Raises StateError when nothing is encoded, BundleError when
    the site's encoder is not the plan's or gives too few features, InputError and SettingsError as `read_table` does.
    """
    modalities = _shared_modalities(site, plan)
    columns = {m.name: read_fitting_manifest(site.bundle_path(m.name), m).columns for m in modalities}
    encode = f"run `fedfin edge encode {site.folder}` first"
    if not site.features_path.is_file():
        raise StateError(f"{site.folder}: no case is encoded yet; {encode}")
    cases = read_table(site).cases
    with FeatureStore(site.features_path) as store:
        found = [_features(store, case, modalities, columns) for case in cases]
    kept = [row for row, features in enumerate(found) if features]
    if not kept:
        raise StateError(f"{site.folder}: none of the {len(cases)} cases has features; {encode}")
    inputs = sum(modality.name in case.inputs for case in cases for modality in modalities)
    return _assemble(
        plan,
        [cases[row] for row in kept],
        [found[row] for row in kept],
        held_out=_held_out(cases, plan.seed, site.settings.held_out),
        seed=plan.seed,
        least_patients=site.settings.policy.least_patients,
        rare_answers=site.settings.policy.rare_answers,
        left_out=len(cases) - len(kept),
        unencoded=inputs - sum(map(len, found)),
    )


def _shared_modalities(site: Site, plan: Plan) -> list[Modality]:
    shared = [modality for modality in plan.modalities if modality.name in site.settings.modalities]
    if not shared:
        wanted = ", ".join(plan.dims)
        raise StateError(
            f"{site.folder}: the site has none of the plan's modalities ({wanted}); it cannot take part"
        )
    return shared


def _features(
    store: FeatureStore, case: Case, modalities: list[Modality], columns: dict[str, int]
) -> Features:
    """Those of the case's features that are in the store; of a projection's `columns` the first, as the plan says."""
    found: Features = {}
    for modality in modalities:
        if modality.name not in case.inputs:
            continue
        try:
            digest = store.digest(case.inputs[modality.name])
        except OSError:
            continue  # `fedfin edge encode` names the file; here it counts as unencoded
        vector = store.get(modality.encoder, digest, columns[modality.name])
        if vector is not None:
            found[modality.name] = vector[: modality.dim]
    return found


def _assemble(
    plan: Plan,
    cases: list[Case],
    found: list[Features],
    *,
    held_out: dict[str, bool],
    seed: int,
    least_patients: int,
    rare_answers: bool,
    left_out: int,
    unencoded: int,
) -> Dataset:
    features = {name: np.zeros((len(cases), dim), np.float32) for name, dim in plan.dims.items()}
    present = {name: np.zeros(len(cases), np.bool_) for name in plan.dims}
    for row, vectors in enumerate(found):
        for name, vector in vectors.items():
            features[name][row] = vector
            present[name][row] = True
    patients, numbers = np.unique([case.patient for case in cases], return_inverse=True)
    labels = [[case.labels.get(label, np.nan) for label in plan.labels] for case in cases]
    return Dataset(
        features,
        present,
        np.array(labels, np.float32),
        np.array([held_out[case.patient] for case in cases], np.bool_),
        left_out,
        unencoded,
        np.array([_draw(f"validation\n{case.patient}", seed) < VALIDATION for case in cases], np.bool_),
        np.array([_draw(f"half\n{case.patient}", seed) < 1 / 2 for case in cases], np.bool_),
        numbers,
        least_patients,
        rare_answers,
        tuple(patients.tolist()),
    )


def _held_out(cases: list[Case], seed: int, share: float) -> dict[str, bool]:
    """By patient, so that no patient is on both sides: held out if any of his cases is marked "test".

    Where the table gives no split, a hash of patient and seed draws the side: it does not change when cases
    are added, and it differs between federations.
    """
    splits: dict[str, set[str | None]] = {}
    for case in cases:
        splits.setdefault(case.patient, set()).add(case.split)
    return {
        patient: "test" in given or ("train" not in given and _draw(patient, seed) < share)
        for patient, given in splits.items()
    }


def _draw(patient: str, seed: int) -> float:
    """Uniform in [0, 1)."""
    digest = hashlib.sha256(f"{seed}\n{patient}".encode()).digest()
    return int.from_bytes(digest[:6], "big") / 2**48

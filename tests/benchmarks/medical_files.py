"""Invented patients in the layouts of HANCOCK's features and of UCI's heart disease files."""

import csv

import numpy as np

from benchmarks.data import hancock, heart

STAINS = ("CD3", "HE")
CODES = ("c099", "c329")


def write_csv(path, rows):
    """The first row's keys are the header."""
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)


def write_hancock(folder, patients=6):
    """Patient 1 has no blood, patient 2 no density at the front, patient 3 one stain only, patient 4 no tile."""
    folder.mkdir(parents=True, exist_ok=True)
    names = [f"{number:03}" for number in range(patients)]
    for place, stain in enumerate(STAINS):
        has = [n for n in names if n != "004" and not (n == "003" and place)]
        np.savez(
            folder / f"tma_tile_dtr_256_{stain}.npz", **{n: np.full(3, 1 + place, np.float32) for n in has}
        )
    blood = {f"{begin} [unit] in Blood": high for begin, _low, high in hancock.BLOOD}
    write_csv(folder / "blood.csv", [{"patient_id": n} | blood for n in names if n != "001"])
    write_csv(
        folder / "clinical.csv",
        [
            {
                "patient_id": n,
                "sex": 1,
                "primarily_metastasis": "",
                "smoking_status": 2,
                "age_at_initial_diagnosis": 70,
            }
            for n in names
        ],
    )
    write_csv(folder / "icd_codes.csv", [{"patient_id": n} | dict.fromkeys(CODES, 0) for n in names])
    densities = [
        dict.fromkeys(hancock.DENSITIES, 0.0) | ({"cd8_inv": ""} if n == "002" else {}) for n in names
    ]
    write_csv(
        folder / "tma_cell_density.csv",
        [{"patient_id": n} | d for n, d in zip(names, densities, strict=True)],
    )
    write_csv(folder / "pathological.csv", [{"patient_id": n} | _pathology(int(n)) for n in names])
    outcome = {"recurrence": "no", "survival_status": "deceased"}
    write_csv(folder / "targets.csv", [{"patient_id": n} | outcome for n in names])
    return folder


def _pathology(number):
    return {
        "primary_tumor_site": number % 5,
        "hpv_association_p16": number % 3,
        "number_of_positive_lymph_nodes": "" if number == 1 else float(number),
        "perinodal_invasion": "",
        "pT_stage": number,
        "grading": 1,
    }


def write_heart(folder, patients=4):
    """At Switzerland cholesterol is 0 and there is no imaging; the first patient of Hungary has no slope.

    Every other patient has the disease.
    """
    folder.mkdir(parents=True, exist_ok=True)
    whole = dict(zip(heart.COLUMNS, (54, 1, 4, 148, 290, 0, 2, 140, 1, 2, 2, 3, 7, 2), strict=True))
    for hospital in heart.HOSPITALS:
        rows = [dict(whole) for _ in range(patients)]
        for place, row in enumerate(rows):
            row |= {"age": 54 + place, "target": place % 2}
            if hospital == "switzerland":
                row |= {"chol": 0, "ca": "", "thal": "?"}
            if hospital == "hungarian" and not place:
                row |= {"slope": "?"}
        write_csv(folder / f"processed.{hospital}.data", rows)
    return folder

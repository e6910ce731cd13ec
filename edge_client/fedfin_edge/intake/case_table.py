"""The case table of a site with an intake: the cases as they were when a run was prepared, which keeps to them.

A JSON line a case, of hashes and labels alone; what is not there is null:
`{"case": ..., "patient": ..., "image": {"kept": ...}, "text": null, "mass": 1.0}`.
"""

import json
from collections.abc import Iterator

from fedfin.errors import StateError
from fedfin.files import why, write_atomically
from fedfin_edge.cases.digests import Kept, kept_cell, read_kept
from fedfin_edge.intake.join import JoinedCase
from fedfin_edge.site import Site


def write_cases(site: Site, cases: dict[bytes, JoinedCase]) -> None:
    """Fix these cases. Raises StateError."""
    names, modalities = site.settings.cases, site.settings.modalities

    def lines() -> Iterator[bytes]:
        for key, case in cases.items():
            cells: dict[str, object] = {names.case: key.hex(), names.patient: case.patient.hex()}
            cells |= {
                modality.column: kept_cell(case.inputs[name]) if name in case.inputs else None
                for name, modality in modalities.items()
            }
            cells |= {label: case.labels.get(label) for label in site.labels}
            yield json.dumps(cells).encode() + b"\n"

    write_atomically(site.table_path, lines())


def read_cases(site: Site) -> dict[bytes, JoinedCase]:
    """The fixed cases; none where nothing is fixed yet. Raises StateError."""
    path, names = site.table_path, site.settings.cases
    cases: dict[bytes, JoinedCase] = {}
    try:
        with path.open("rb") as lines:
            for line in lines:
                cells = json.loads(line)
                cases[bytes.fromhex(cells[names.case])] = JoinedCase(
                    bytes.fromhex(cells[names.patient]),
                    {
                        name: kept
                        for name, modality in site.settings.modalities.items()
                        if (kept := read_kept(cells.get(modality.column))) is not None
                    },
                    {label: float(cells[label]) for label in site.labels if cells.get(label) is not None},
                )
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise StateError(
            f"{path}: is not the case table that `fedfin edge encode` wrote ({why(error)}); delete it and run it again"
        ) from None
    return cases


def kept_in(site: Site) -> set[Kept]:
    """The inputs that the fixed cases make use of. Raises StateError."""
    return {kept for case in read_cases(site).values() for kept in case.inputs.values()}

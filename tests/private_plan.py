"""A plan with noise in its sums."""

from fedfin.plan import Plan
from fedfin.plan_sections import Modality, Model, Privacy, Rounds


def private_plan(
    image: int = 4, text: int = 3, *, labels: int = 2, min_sites: int = 5, trains: bool = False
) -> Plan:
    """Two modalities of so many features. trains: a linear head beside the experts, in three rounds."""
    return Plan(
        federation="ward",
        labels=tuple(f"l{place}" for place in range(labels)),
        modalities=tuple(
            Modality(name=name, encoder="0" * 64, dim=dim, scale="modality", deviation=1.0)
            for name, dim in (("image", image), ("text", text))
        ),
        model=Model(answer="both" if trains else "experts", basis_total=0, head_width=0),
        rounds=Rounds(sites=min_sites, min_sites=min_sites, count=3),
        privacy=Privacy(level="private", epsilon=2.0, delta=1e-5, patients=100 if trains else 0),
    )

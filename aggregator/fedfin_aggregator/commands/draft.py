"""`fedfin aggregator draft`: a plan for these encoder bundles and labels, to be edited."""

import argparse
import math
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec

from fedfin import limits
from fedfin.command_line.parsers import Commands, add_command
from fedfin.encoders.bundle import Manifest, read_manifest
from fedfin.errors import SettingsError
from fedfin.model.plan_file import plan_toml
from fedfin.model.plan_size import check_moments, check_size
from fedfin.plan import Plan
from fedfin.privacy.dimensions import LEAST, columns_for, complete_of, largest_excess
from fedfin.protocol.cohorts import threshold
from fedfin.settings import explain

PAIR = 2  # modalities
ROUNDS = 40
A_THIRD = 0.34  # of three equal sites none has more: rounding must not clip it
THREE_QUARTERS = 0.75
HEADER = """\
# A draft: docs/plan.md says what each key means. Edit it before `fedfin aggregator init`:
# afterwards every site agrees to this plan, by its digest, or to none.
"""
EXAMPLE = (
    "fedfin aggregator draft --federation chest --bundle bundles/image --bundle bundles/text"
    " --label effusion --label nodule --sites 10 --patients 3000 > plan.toml"
)


def add(commands: Commands) -> None:
    """Add `draft` to the parser of `fedfin aggregator`."""
    summary = "print a plan for these encoder bundles and labels, to be edited"
    parser = add_command(commands, "draft", summary, example=EXAMPLE)
    parser.add_argument("--federation", required=True, metavar="NAME", help="a-z, 0-9, - and _")
    parser.add_argument(
        "--bundle", required=True, action="append", type=Path, metavar="PATH", help="once per modality"
    )
    parser.add_argument("--label", required=True, action="append", metavar="NAME", help="once per label")
    parser.add_argument("--sites", type=int, default=2, help="how many sites a round waits for (default: 2)")
    parser.add_argument(
        "--patients",
        metavar="N",
        help="of all sites together, or who have each modality (image=3000,text=600): the dimensions of projected"
        " bundles follow from it (default: all there are)",
    )
    parser.add_argument(
        "--complete",
        type=int,
        metavar="N",
        help="how many of the patients have every modality (default: a fifth, with one modality all; with numbers by"
        " modality the least of these)",
    )
    parser.add_argument(
        "--epsilon",
        type=float,
        metavar="E",
        help="noise in the sums, of one exchange without training, so that they promise this to each patient"
        " (default: no noise)",
    )
    parser.add_argument(
        "--least-sites-per-block",
        type=int,
        metavar="N",
        help="with secure sums: what fewer sites have, a modality, a pair of them, a label, is in no sum; 3 or more"
        " (default: sums hold it, too)",
    )
    parser.add_argument(
        "--rounds",
        type=int,
        help=f"rounds of training at most (default: {ROUNDS}; with secure sums {limits.SUMMED_ROUNDS})",
    )
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Print the plan. Raises SettingsError, BundleError."""
    print(HEADER + plan_toml(_plan(args)), end="")
    return 0


def _plan(args: argparse.Namespace) -> Plan:
    manifests = [read_manifest(path) for path in args.bundle]
    dims = _dims(args, manifests)
    raw = {
        "federation": args.federation,
        "labels": args.label,
        "modalities": [_modality(manifest, dim) for manifest, dim in zip(manifests, dims, strict=True)],
        # Random features are dimensions, too.
        "model": {} if args.patients is None else {"basis_total": sum(dims)},
        **_privacy(args),
    }
    if args.epsilon is not None:
        raw["model"] = {"answer": "experts", "basis_total": 0}
        raw["privacy"] |= {"level": "private", "epsilon": args.epsilon}
        raw["codec"] = {}
        for modality, manifest, path in zip(raw["modalities"], manifests, args.bundle, strict=True):
            modality["deviation"] = _deviation(manifest, modality["dim"], path)
    try:
        plan = msgspec.convert(raw, Plan)
        check_size(plan)
        check_moments(plan)
    except (msgspec.ValidationError, ValueError) as error:
        reason = explain(str(error), Plan)
        raise SettingsError(
            f"the draft would be no valid plan: {reason}; correct the option for it"
        ) from None
    return plan


def _privacy(args: argparse.Namespace) -> dict[str, Any]:
    """Sums alone, where there are sites enough for one, and the rounds that this asks for."""
    secure = args.sites >= limits.LEAST_SUMMED
    # Of a cohort that an aggregator chose smaller, fewer sites would know the last one's part, or make all the noise.
    min_sites = threshold(args.sites)
    privacy: dict[str, Any] = {"level": "secure" if secure else "open"}
    if secure and args.epsilon is None:  # noise covers who has which answer
        privacy["least_answers"] = limits.LEAST_PATIENTS
    if (behind := args.least_sites_per_block) is not None:
        privacy["least_sites_per_block"] = behind
        # Of fewer, two sums of one round could differ by one or two sites that have a block.
        min_sites = max(behind, min_sites, math.ceil(THREE_QUARTERS * args.sites))
    return {
        "privacy": privacy,
        "codec": {"up": "int4" if secure else "exact"},
        "rounds": {
            "count": args.rounds or (limits.SUMMED_ROUNDS if secure else ROUNDS),
            "sites": args.sites,
            "min_sites": min(args.sites, min_sites),
            "max_share": 1.0 if secure else A_THIRD,
        },
    }


def _patients(option: str, manifests: Sequence[Manifest]) -> list[int]:
    """Who have each modality, in the bundles' order. Raises SettingsError."""
    names, by_name = [m.modality for m in manifests], {}
    for part in option.split(","):
        name, _, number = part.rpartition("=")
        if not number.isdecimal() or not int(number):
            raise SettingsError(
                f"--patients {option}: must be a number, or one for each modality: image=3000,text=600"
            )
        by_name[name] = int(number)
    if set(by_name) == {""}:
        return [by_name[""]] * len(names)
    if set(by_name) != set(names):
        raise SettingsError(
            f"--patients {option}: the modalities of the bundles are {', '.join(names)}; give each a number"
        )
    return [by_name[name] for name in names]


def _complete(args: argparse.Namespace, patients: Sequence[int]) -> int:
    """Who have every modality. Raises SettingsError."""
    if args.complete is None:
        return complete_of(patients, by_modality="=" in args.patients)
    least = 0 if len(patients) == PAIR else 1  # of more modalities nobody says how many have two of them
    if not least <= args.complete <= min(patients):
        raise SettingsError(
            f"--complete {args.complete}: must be from {least} to the number that --patients says"
        )
    complete: int = args.complete
    return complete


def _modality(manifest: Manifest, dim: int) -> dict[str, Any]:
    """Columns of a projection keep their scale."""
    scale = {"scale": "modality"} if manifest.projection else {}
    return {"name": manifest.modality, "encoder": manifest.digest(), "dim": dim, **scale}


def _deviation(manifest: Manifest, columns: int, path: Path) -> float:
    """Of public cases: with noise nobody tells the sites' own. Raises SettingsError."""
    deviation = manifest.projection.deviation(columns) if manifest.projection else None
    if deviation is None:
        raise SettingsError(
            f"--epsilon: {path} does not say how its columns vary; make it again with `fedfin export projection`"
        )
    return deviation


def _dims(args: argparse.Namespace, manifests: Sequence[Manifest]) -> list[int]:
    """How many features of each bundle, by the patients; what is not as it should be goes to standard error."""
    if args.patients is None:
        if args.complete is not None:
            raise SettingsError("--complete: says how many of --patients have every modality; give both")
        if args.sites >= limits.LEAST_SUMMED and args.epsilon is None:
            _tell(
                "--patients is not given: all columns are taken, and how few patients they would tell of is not known"
            )
        return [manifest.columns for manifest in manifests]
    patients = _patients(args.patients, manifests)
    complete = _complete(args, patients)
    columns = columns_for(patients, complete)
    parts = ", ".join(f"{dim} of {m.modality}" for dim, m in zip(columns, manifests, strict=True))
    _tell(f"{complete} patients are taken to have every modality. Dimensions: {parts}")
    if args.sites < limits.LEAST_SUMMED:
        _tell(
            f"with fewer than {limits.LEAST_SUMMED} sites nothing is summed: the aggregator sees each site's updates"
        )
    elif args.epsilon is None and (excess := largest_excess(columns, patients, complete)):
        _tell(f"{LEAST} dimensions of each modality are the least, and more than so few patients allow")
        _tell(excess.warning)
    for path, manifest in zip(args.bundle, manifests, strict=True):
        if not manifest.projection:
            _tell(
                f"{path} has no projection: all {manifest.dim} features are taken; `fedfin export projection`"
            )
    return [
        min(column, m.columns) if m.projection else m.dim
        for column, m in zip(columns, manifests, strict=True)
    ]


def _tell(line: str) -> None:
    print(f"draft: {line}", file=sys.stderr)

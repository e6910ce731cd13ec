"""`fedfin aggregator draft`: a plan for these encoder bundles and labels, to be edited."""

import argparse
from pathlib import Path

import msgspec

from fedfin.command_line.parsers import Commands, add_command
from fedfin.encoders.bundle import read_manifest
from fedfin.errors import SettingsError
from fedfin.model.plan_size import check_size
from fedfin.plan import Plan, plan_toml
from fedfin.settings import explain

QUORUM = 3  # at least, where there are as many: a sum of fewer says much about each
A_THIRD = 0.34  # of three equal sites none has more: rounding must not clip it
EXAMPLE = (
    "fedfin aggregator draft --federation chest --bundle bundles/image --bundle bundles/text"
    " --label effusion --label nodule --sites 10 > plan.toml"
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
    parser.add_argument("--rounds", type=int, default=20, help="rounds of training (default: 20)")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Print the plan. Raises SettingsError, BundleError."""
    print(plan_toml(_plan(args)), end="")
    return 0


def _plan(args: argparse.Namespace) -> Plan:
    manifests = [read_manifest(path) for path in args.bundle]
    raw = {
        "federation": args.federation,
        "labels": args.label,
        "modalities": [{"name": m.modality, "encoder": m.digest(), "dim": m.dim} for m in manifests],
        "rounds": {
            "count": args.rounds,
            "sites": args.sites,
            "min_sites": min(args.sites, QUORUM),
            "max_share": A_THIRD,
        },
    }
    try:
        plan = msgspec.convert(raw, Plan)
        check_size(plan)
    except (msgspec.ValidationError, ValueError) as error:
        reason = explain(str(error), Plan)
        raise SettingsError(
            f"the draft would be no valid plan: {reason}; correct the option for it"
        ) from None
    return plan

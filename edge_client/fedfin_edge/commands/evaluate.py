"""`fedfin edge evaluate`: how good an exported model is on a site's encoded cases. No torch."""

import argparse
import json
import sys
from pathlib import Path

from fedfin.command_line.parsers import Commands, add_command


def add(commands: Commands) -> None:
    """Add the sub-command's parser."""
    summary = "macro AUC of an exported model on this site's encoded cases, with each modality hidden in turn"
    example = "fedfin edge evaluate /srv/fedfin/st-mary --model /srv/fedfin/model --every-case"
    parser = add_command(commands, "evaluate", summary, example=example)
    parser.add_argument("folder", type=Path, help="site folder, encoded")
    parser.add_argument("--model", type=Path, required=True, metavar="FOLDER", help="an exported model")
    parser.add_argument(
        "--every-case",
        action="store_true",
        help="use all cases, not only the held-out ones: for a site that did not train",
    )
    parser.add_argument("--json", action="store_true", help="as JSON")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Print the scores."""
    from fedfin_edge.cases.dataset import load_dataset
    from fedfin_edge.predict.evaluation import print_scores, score
    from fedfin_edge.predict.predictor import open_predictor
    from fedfin_edge.site import open_site

    predictor = open_predictor(args.model)
    dataset = load_dataset(open_site(args.folder), predictor.plan)
    scores = score(predictor, dataset, every_case=args.every_case)
    if args.json:
        json.dump(scores, sys.stdout, indent=2)
        print()
    else:
        print_scores(scores)
    return 0

"""`fedfin export projection`: an encoder bundle with a last step to few public dimensions."""

import argparse
import sys
from pathlib import Path

from fedfin.command_line.parsers import Commands, add_command
from fedfin_export.commands.encoder import add_projection_options, as_json, as_text, wanted_projection

EXAMPLE = "fedfin export projection bundles/image projected/image --calibrate xrays/ --dims 128"
_DESCRIPTION = """\
Write a copy of an encoder bundle whose features are projected to a few public axes.
It has another digest: plans and sites need it in place of the first."""


def add(commands: Commands) -> None:
    """Add `projection` to the `fedfin export` parser."""
    summary = "an encoder bundle with a last step to few public dimensions"
    parser = add_command(commands, "projection", summary, example=EXAMPLE, description=_DESCRIPTION)
    parser.add_argument("bundle", metavar="BUNDLE", type=Path, help="an encoder bundle")
    parser.add_argument("out", metavar="OUT", type=Path, help="the bundle folder to make")
    parser.add_argument(
        "--calibrate",
        metavar="PATH",
        type=Path,
        help="public cases: a folder of images, a text file with one text a line, or a .npy of vectors",
    )
    add_projection_options(parser)
    parser.add_argument("--force", action="store_true", help="replace OUT if it is a bundle")
    parser.add_argument("--json", action="store_true", help="print the result as JSON")
    parser.set_defaults(run=run, project="principal")


def run(args: argparse.Namespace) -> int:
    """Make the copy; returns the exit code."""
    from fedfin.command_line.progress import ProgressBar
    from fedfin.encoders.bundle import MANIFEST, TextRecipe, read_manifest
    from fedfin.folders import check_free

    wanted = wanted_projection(args)
    assert wanted is not None, "principal axes are the default"
    check_free(args.out, MANIFEST, force=args.force)

    from fedfin_export.bundle_writer import write_projected
    from fedfin_export.quantize.calibration import MAX_AXIS_CASES, Source, read_batches

    recipe = read_manifest(args.bundle).recipe
    tokenizer = (
        (args.bundle / recipe.tokenizer).read_text("utf-8") if isinstance(recipe, TextRecipe) else None
    )
    skipped: list[str] = []
    with ProgressBar() as bar:
        source = Source(recipe, tokenizer)
        batches = read_batches(source, args.calibrate, MAX_AXIS_CASES, skipped, bar.update, "making axes")
        manifest, report = write_projected(args.bundle, batches, wanted, args.out, force=args.force)
    for each in skipped:
        print(f"skipped: {each}", file=sys.stderr)
    print(as_json(manifest, report) if args.json else as_text(args.out, manifest, report))
    return 0

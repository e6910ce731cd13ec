"""`fedfin export encoder`: a preset, a Hugging Face folder or a torch module to a verified int8 bundle."""

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from fedfin.command_line.parsers import Commands, add_command
from fedfin.errors import InputError

if TYPE_CHECKING:
    from fedfin.encoders.bundle import Manifest
    from fedfin_export.projection import Wanted
    from fedfin_export.quantize.parity import Parity
    from fedfin_export.sources.float_encoder import FloatEncoder

PRESETS = ("efficientnet-lite0", "minilm-l6", "xrv-densenet121")

EXAMPLES = """\
  fedfin export encoder --preset efficientnet-lite0 --calibrate xrays/ bundles/image
  fedfin export encoder --preset efficientnet-lite0 --layer block:10 --calibrate xrays/ bundles/image
  fedfin export encoder --preset minilm-l6 bundles/text
  fedfin export encoder --preset minilm-l6 --project principal --calibrate reports.txt bundles/text
  fedfin export encoder --hf my-bert/ --calibrate reports.txt bundles/text
  fedfin export encoder --torch encoders.py:make --recipe recipe.json --calibrate xrays/ bundles/image

The bundle is written only if its int8 features stay close to float's on held-out cases
(cosine mean >= .99, worst >= .97). Give every site the same bundle: copy it, do not export it again.
"""


def add(commands: Commands) -> None:
    """Add `encoder` to the `fedfin export` parser."""
    parser = add_command(
        commands, "encoder", "turn an encoder into a quantized, verified ONNX bundle", example=EXAMPLES
    )
    parser.add_argument("out", metavar="OUT", type=Path, help="the bundle folder to make")
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--preset", choices=PRESETS, help="an encoder that comes with its settings")
    source.add_argument(
        "--hf", metavar="FOLDER", type=Path, help="a local Hugging Face folder, text or image"
    )
    source.add_argument(
        "--torch",
        metavar="WHERE:NAME",
        help="a torch module, or what returns one: PACKAGE.MODULE:NAME or FILE.py:NAME; with --recipe",
    )
    parser.add_argument(
        "--calibrate",
        metavar="PATH",
        type=Path,
        help="folder of PNG, JPEG or DICOM images, text file with one text a line, or .npy of vectors; "
        "text encoders have built-in sentences",
    )
    parser.add_argument(
        "--layer",
        metavar="LAYER",
        help="efficientnet-lite0: pool `last` (default) or `block:N`, N from 0 to 15",
    )
    parser.add_argument(
        "--modality", metavar="NAME", help="the modality's name (default: image, text or vector)"
    )
    parser.add_argument(
        "--recipe", metavar="FILE", type=Path, help="preprocessing of --torch (or --hf images), JSON"
    )
    parser.add_argument(
        "--weights", metavar="FILE", type=Path, help="xrv-densenet121: a state dict of your own"
    )
    parser.add_argument("--name", help="the bundle's name (default: the preset's, folder's or module's)")
    add_projection_options(parser)
    parser.add_argument("--licence", help="licence of the weights, as the card states it")
    parser.add_argument("--force", action="store_true", help="replace OUT if it is a bundle")
    parser.add_argument("--json", action="store_true", help="print the result as JSON")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Export one encoder; returns the exit code."""
    from fedfin.command_line.progress import ProgressBar
    from fedfin.encoders.bundle import MANIFEST
    from fedfin.folders import check_free

    check_options(args)
    check_free(args.out, MANIFEST, force=args.force)

    import torch

    from fedfin_export.bundle_writer import write_bundle
    from fedfin_export.quantize.calibration import MAX_AXIS_CASES, Source, read_batches, read_calibration

    torch.set_num_threads(1)
    encoder = load_encoder(args)
    with ProgressBar() as bar:
        calibration = read_calibration(encoder, args.calibrate, bar.update)
    for skipped in calibration.skipped:
        print(f"skipped: {skipped}", file=sys.stderr)
    print(
        f"{encoder.name}: exporting; {len(calibration.calibrate)} cases to calibrate on, "
        f"{len(calibration.hold_out)} held out",
        file=sys.stderr,
    )
    with ProgressBar() as bar:
        projected = None
        if wanted := wanted_projection(args):
            source = Source.of(encoder)
            batches = read_batches(source, args.calibrate, MAX_AXIS_CASES, [], bar.update, "making axes")
            projected = (wanted, batches)
        manifest, report = write_bundle(
            encoder, calibration, args.out, force=args.force, projected=projected, progress=bar.update
        )
    print(as_json(manifest, report) if args.json else as_text(args.out, manifest, report))
    return 0


def check_options(args: argparse.Namespace) -> None:
    """Refuse options that would be ignored. Raises InputError."""
    wanted_projection(args)
    for option, wanted in (
        ("layer", args.preset == "efficientnet-lite0"),
        ("weights", args.preset == "xrv-densenet121"),
        ("recipe", args.preset is None),
    ):
        if getattr(args, option) is not None and not wanted:
            raise InputError(f"--{option} does not belong to {args.preset or 'this source'}; leave it out")
    if args.torch and args.recipe is None:
        raise InputError("--torch needs --recipe FILE: the preprocessing that every site will reproduce")


def add_projection_options(parser: argparse.ArgumentParser) -> None:
    """Of the commands that make one."""
    parser.add_argument(
        "--project",
        choices=("principal", "random"),
        help="a last step to few columns: principal axes of the calibration cases, or axes drawn from --seed",
    )
    parser.add_argument(
        "--dims",
        metavar="N",
        type=int,
        help="columns of --project, 1 to 256 (default: 256, or as many as the calibration cases allow)",
    )
    parser.add_argument("--seed", type=int, help="of random axes (default: 0)")


def wanted_projection(args: argparse.Namespace) -> "Wanted | None":
    """What the options ask for. Raises InputError."""
    from fedfin.encoders.bundle import MOST_COLUMNS
    from fedfin_export.projection import Wanted

    if args.project is None and (args.dims is not None or args.seed is not None):
        raise InputError("--dims and --seed are for a projection; add --project principal or random")
    if args.project == "principal" and args.seed is not None:
        raise InputError("--seed is for random axes; leave it out, or use --project random")
    if args.dims is not None and not 1 <= args.dims <= MOST_COLUMNS:
        raise InputError(f"--dims {args.dims}: a projection has 1 to {MOST_COLUMNS} columns")
    if args.seed is not None and not 0 <= args.seed < 1 << 32:
        raise InputError(f"--seed {args.seed}: must be from 0 to {(1 << 32) - 1}")
    return Wanted(args.project, args.dims, args.seed or 0) if args.project else None


def load_encoder(args: argparse.Namespace) -> "FloatEncoder":
    """The float encoder that the options name, under the user's names where given. Raises InputError."""
    import dataclasses

    encoder = _from_preset(args) if args.preset else _from_user(args)
    given = {"name": args.name, "licence": args.licence}
    return dataclasses.replace(encoder, **{key: value for key, value in given.items() if value})


def _from_preset(args: argparse.Namespace) -> "FloatEncoder":
    if args.preset == "minilm-l6":
        from fedfin_export.sources import minilm

        return minilm.load(args.modality or "text")
    if args.preset == "xrv-densenet121":
        from fedfin_export.sources import xrv

        return xrv.load(args.weights, args.modality or "image")
    from fedfin_export.sources import efficientnet

    return efficientnet.load(args.layer or "last", args.modality or "image")


def _from_user(args: argparse.Namespace) -> "FloatEncoder":
    from fedfin_export.sources import torch_module

    if args.torch:
        return torch_module.load(args.torch, args.modality, args.recipe)
    from fedfin_export.sources import hugging_face

    recipe = torch_module.read_recipe(args.recipe) if args.recipe else None
    return hugging_face.load(args.hf, args.modality, recipe)


def as_json(manifest: "Manifest", report: "Parity") -> str:
    """The result for programs: digest, manifest and parity."""
    import msgspec

    result = {"digest": manifest.digest(), "manifest": manifest, "parity": report}
    return msgspec.json.encode(result).decode()


def as_text(out: Path, manifest: "Manifest", report: "Parity") -> str:
    """The result for people."""
    from fedfin_export.card import describe_projection

    before, after, cosine = report.before, report.after, report.cosine
    return (
        f"{out}: {manifest.name}, {manifest.modality}, {manifest.dim} features\n"
        f"  projection  {describe_projection(manifest)}\n"
        f"  size     {before.bytes / 1e6:8.1f} MB -> {after.bytes / 1e6:.1f} MB\n"
        f"  latency  {before.latency_ms:8.1f} ms -> {after.latency_ms:.1f} ms  (one case, one thread)\n"
        f"  cosine to float: mean {cosine.mean:.4f}, worst {cosine.worst:.4f}, "
        f"on {report.hold_out} held-out cases ({manifest.quantization})\n"
        f"  digest   {manifest.digest()}"
    )

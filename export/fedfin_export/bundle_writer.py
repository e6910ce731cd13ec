"""From a float encoder to a bundle folder: export, quantize, judge, project, write."""

import shutil
import tempfile
from collections.abc import Iterable
from importlib.metadata import version
from pathlib import Path

import msgspec
import numpy as np

from fedfin import __version__, limits
from fedfin.decoding import UNDECODABLE
from fedfin.encoders.bundle import MANIFEST, Manifest, TextRecipe, file_digest, read_manifest
from fedfin.encoders.golden import GOLDEN, Golden, golden_parts
from fedfin.encoders.preprocessing import pool_windows
from fedfin.encoders.projection import read_projection
from fedfin.errors import BundleError
from fedfin.files import read_at_most
from fedfin.folders import whole_folder
from fedfin_export import projection
from fedfin_export.card import card
from fedfin_export.progress import Progress, counted, silent
from fedfin_export.projection import Wanted
from fedfin_export.quantize import onnx_graph, parity, quantize
from fedfin_export.quantize.calibration import Batch, Calibration
from fedfin_export.quantize.parity import Agreement, Parity
from fedfin_export.sources.float_encoder import FloatEncoder

ONNX = "encoder.onnx"
FLOAT = "float.onnx"
PARITY = "parity.json"
CARD = "CARD.md"
_GRAPH = "exporting the graph"


def write_bundle(
    encoder: FloatEncoder,
    calibration: Calibration,
    out: Path,
    *,
    force: bool,
    projected: tuple[Wanted, Iterable[Batch]] | None = None,
    keep_float: Path | None = None,
    progress: Progress = silent,
) -> tuple[Manifest, Parity]:
    """Write the bundle folder `out`, whole or not at all. `projected`: a projection, and the cases that it is made of.

    `keep_float`: where to leave the float graph, for who compares.

    Raises ParityError when no quantization stays within the bound, StateError when `out` is not free, InputError when
    there can be no such projection.
    """
    with whole_folder(out, MANIFEST, force=force) as folder, tempfile.TemporaryDirectory() as scratch:
        dim, how, report = _quantize(encoder, calibration, Path(scratch), folder / ONNX, progress)
        if keep_float is not None:
            shutil.copyfile(Path(scratch) / FLOAT, keep_float)
        files = [ONNX]
        if isinstance(encoder.recipe, TextRecipe):
            (folder / encoder.recipe.tokenizer).write_text(encoder.tokenizer or "", encoding="utf-8")
            files.append(encoder.recipe.tokenizer)
        manifest = _manifest(encoder, dim, how, {name: file_digest(folder / name) for name in files})
        if projected is not None:
            wanted, batches = projected
            manifest = projection.project(folder, manifest, batches, wanted)
        _describe(folder, manifest, report)
    return manifest, report


def write_projected(
    bundle: Path, batches: Iterable[Batch], wanted: Wanted, out: Path, *, force: bool
) -> tuple[Manifest, Parity]:
    """Write `out`: the bundle with a projection, in place of its own if it has one.

    Raises BundleError for what is no bundle, else as `write_bundle`.
    """
    manifest, report = read_manifest(bundle), read_parity(bundle)
    with whole_folder(out, MANIFEST, force=force) as folder:
        plain = without_projection(manifest)
        for name in plain.files:
            shutil.copyfile(bundle / name, folder / name)
        manifest = projection.project(folder, plain, batches, wanted)
        _describe(folder, manifest, report)
    return manifest, report


def without_projection(manifest: Manifest) -> Manifest:
    """The manifest of the encoder alone."""
    if not manifest.projection:
        return manifest
    files = {name: digest for name, digest in manifest.files.items() if name != manifest.projection.file}
    return msgspec.structs.replace(manifest, files=files, projection=msgspec.UNSET)


def read_parity(bundle: Path) -> Parity:
    """What was measured when the bundle was exported. Raises BundleError."""
    try:
        return msgspec.json.decode(read_at_most(bundle / PARITY, limits.SETTINGS_BYTES), type=Parity)
    except (OSError, *UNDECODABLE):
        raise BundleError(f"{bundle / PARITY}: is missing or damaged; export the bundle again") from None


def _describe(folder: Path, manifest: Manifest, report: Parity) -> None:
    """What is published is what a site will accept."""
    _write_json(folder / MANIFEST, manifest)
    _write_json(folder / PARITY, report)
    _write_json(folder / GOLDEN, _golden(folder, manifest))
    (folder / CARD).write_text(card(manifest, report), encoding="utf-8")
    read_manifest(folder)


def _golden(folder: Path, manifest: Manifest) -> Golden:
    """For sites to compare with."""
    parts = golden_parts(folder, manifest.recipe)
    session = onnx_graph.open_session(folder / manifest.onnx)
    rows = np.concatenate([onnx_graph.run_session(session, feeds) for feeds, _ in parts])
    features = pool_windows(rows, [weight for _, weight in parts])
    own = read_projection(folder, manifest)
    return Golden((own(features) if own else features).tolist())


def _quantize(
    encoder: FloatEncoder, calibration: Calibration, scratch: Path, target: Path, progress: Progress
) -> tuple[int, str, Parity]:
    """Quantize in the first way that passes; returns the feature dim, how, and the parity report."""
    exported, prepared = scratch / FLOAT, scratch / "prepared.onnx"
    progress(_GRAPH, 0, 2)
    dim = onnx_graph.to_float_onnx(encoder, exported)
    progress(_GRAPH, 1, 2)
    quantize.prepare(exported, prepared)
    progress(_GRAPH, 2, 2)
    held_out = calibration.hold_out
    reference = parity.float_features(encoder, counted("float features", held_out, progress))
    tried: dict[str, Agreement] = {}
    for number, (how, quantizer) in enumerate(quantize.quantizers(encoder.recipe).items(), start=1):
        quantizer(prepared, target, counted(f"quantizing, way {number}", calibration.calibrate, progress))
        features = parity.onnx_features(target, counted(f"int8 features, way {number}", held_out, progress))
        tried[how] = parity.agreement(reference, features)
        if tried[how].passes():
            return dim, how, _report(tried[how], calibration, exported, target)
    raise parity.refuse(encoder.name, tried)


def _report(cosine: Agreement, calibration: Calibration, before: Path, after: Path) -> Parity:
    typical: Batch = calibration.hold_out[0]
    return Parity(
        cosine=cosine,
        min_mean=parity.MIN_MEAN,
        min_worst=parity.MIN_WORST,
        hold_out=len(calibration.hold_out),
        calibrated_on=len(calibration.calibrate),
        before=parity.measure_cost(before, typical),
        after=parity.measure_cost(after, typical),
    )


def _manifest(encoder: FloatEncoder, dim: int, how: str, files: dict[str, str]) -> Manifest:
    versions = {name: version(name) for name in ("torch", "onnx", "onnxruntime")}
    return msgspec.convert(
        {
            "name": encoder.name,
            "modality": encoder.modality,
            "dim": dim,
            "onnx": ONNX,
            "recipe": msgspec.to_builtins(encoder.recipe),
            "files": files,
            "quantization": how,
            "source": encoder.source,
            "licence": encoder.licence,
            "versions": {"fedfin": __version__, **versions},
        },
        Manifest,
    )


def _write_json(path: Path, value: Manifest | Parity | Golden) -> None:
    path.write_bytes(msgspec.json.format(msgspec.json.encode(value), indent=2) + b"\n")

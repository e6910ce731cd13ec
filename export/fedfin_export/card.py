"""CARD.md: one page about a bundle, for people."""

from fedfin.encoders.bundle import ImageRecipe, Manifest, Recipe, TextRecipe
from fedfin_export.quantize.parity import Parity

MB = 1_000_000


def card(manifest: Manifest, report: Parity) -> str:
    """The card's Markdown."""
    before, after, cosine = report.before, report.after, report.cosine
    versions = ", ".join(f"{name} {number}" for name, number in manifest.versions.items())
    return f"""# {manifest.name}

A FedFIN encoder bundle: a frozen `{manifest.modality}` encoder, {manifest.dim} features, int8, in ONNX.

- Digest: `{manifest.digest()}`. Every site of a federation must hold this one.
- Source: {manifest.source}
- Licence: {manifest.licence}
- Input: {describe(manifest.recipe)}
- Quantization: {manifest.quantization}
- Projection: {describe_projection(manifest)}
- Made with: {versions}

| | float | int8 |
|---|---|---|
| size | {before.bytes / MB:.1f} MB | {after.bytes / MB:.1f} MB |
| one case, one thread, on the exporting machine | {before.latency_ms:.1f} ms | {after.latency_ms:.1f} ms |

Cosine between int8 and float features over {report.hold_out} held-out cases: mean {cosine.mean:.4f}
(at least {report.min_mean}), worst {cosine.worst:.4f} (at least {report.min_worst}); with the mean feature
vector taken off, mean {cosine.centred_mean:.4f}. Calibrated on {report.calibrated_on} other cases;
this folder holds none of them.

Not a medical device: what is trained on these features needs its own evaluation.
"""


def describe(recipe: Recipe) -> str:
    """One line on the input; the full recipe is in manifest.json."""
    if isinstance(recipe, ImageRecipe):
        colour = "RGB" if recipe.channels == 3 else "grey"  # noqa: PLR2004
        return f"image, {colour}, {recipe.crop} x {recipe.crop} pixels"
    if isinstance(recipe, TextRecipe):
        return f"text, cut at {recipe.max_tokens} tokens"
    return f"vector of {recipe.length} values"


def describe_projection(manifest: Manifest) -> str:
    """What becomes of the features in the end."""
    recipe = manifest.projection
    if not recipe:
        return "none"
    drawn = f", drawn from seed {recipe.seed}" if recipe.axes == "random" else ""
    return f"{recipe.columns} {recipe.axes} axes{drawn}, about the mean of {recipe.cases} calibration cases"

"""Encoder bundles as both ends see them: the manifest, its digest, and the checks when one is opened.

A bundle is a folder:

    manifest.json   this module's Manifest
    encoder.onnx    one input batch -> features [n, dim]; pooling is inside the graph
    tokenizer.json  text bundles only
    projection.f32  bundles with a projection only (projection.py)
    parity.json     how far int8 strays from float, sizes and latencies before and after
    golden.json     what it makes of a known input, for sites to compare with (golden.py)
    CARD.md         one page for people

The digest covers the manifest, and through it every file that features depend on. Sites of one federation
must hold the same digest: features of two variants of one encoder differ (cosine .97 between int8 and float).
"""

import hashlib
import math
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Literal

import msgspec

from fedfin import limits
from fedfin.decoding import UNDECODABLE
from fedfin.encoders.onnx_file import check_whole
from fedfin.errors import BundleError
from fedfin.files import read_at_most
from fedfin.names import Digest, Name
from fedfin.settings import explain, pattern

MANIFEST = "manifest.json"
FORMAT: Literal[1] = 1
# Of damage after the export. A second export rounds calibration differently: its features are another encoder's.
COPY_AGAIN = "copy the bundle again from the coordinator, who exports it anew if no whole copy is left"
# How this version reads image files into pixels (fedfin.encoders.images). Raised when a change there changes
# a pixel. It is in an image bundle's digest, so sites that read differently have different encoders, and in
# the digest of each image, so features from another reading are made anew.
READER = 2
# Likewise for texts: markup, escapes and windows (texts.py, preprocessing.py).
TEXT_READER = 4

# Pillow's filters, in the order of its numbers, which are those of `resample` in preprocessor_config.json.
Interpolation = Literal["nearest", "lanczos", "bilinear", "bicubic", "box", "hamming"]
# A name in the bundle's own folder, and nowhere else.
FileName = Annotated[
    str,
    pattern(r"^[A-Za-z0-9_][A-Za-z0-9._-]{0,127}\Z", "a file name of letters, digits, ., - and _, no path"),
]
GraphName = Annotated[
    str, pattern(r"^[A-Za-z0-9_][A-Za-z0-9._-]{0,122}\.onnx\Z", "a file name that ends in .onnx")
]
# An image is scaled up to it: 20 times as long as wide (picture.py), it has 84 million pixels.
Side = Annotated[int, msgspec.Meta(ge=1, le=2048)]
Dim = Annotated[int, msgspec.Meta(ge=1, le=65_536)]  # as in a plan
# Few dimensions are what a projection is for. The more there are, the less a sum over patients hides each of them.
MOST_COLUMNS = 256


class ImageRecipe(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="kind", tag="image"):
    """From a grey or colour image to the input tensor, in this order.

    Convert to 8-bit RGB (or one grey channel), resize with PIL's `interpolation`, crop the centre to `crop` x `crop`,
    multiply by `scale`, subtract `mean` and divide by `std` per channel. `fit` says how to resize: the shorter side to
    `resize` and the longer one in proportion, rounded down as torchvision and transformers do, or `squash`: both sides
    to `resize`.
    The tensor is float32 [n, channels, crop, crop], input name `input_name`. `reader` is the READER that files
    are read with; a manifest without one means that of whoever opens it.
    """

    resize: Side
    crop: Side
    channels: Literal[1, 3]
    interpolation: Interpolation
    scale: float
    mean: tuple[float, ...]
    std: tuple[float, ...]
    input_name: str = "pixels"
    fit: Literal["shorter side", "squash"] = "shorter side"
    reader: int = READER

    def __post_init__(self) -> None:
        """Refuse what would divide by zero, or fits no channel."""
        if not len(self.mean) == len(self.std) == self.channels:
            raise ValueError("mean and std need one number a channel")
        if not all(map(math.isfinite, (self.scale, *self.mean, *self.std))) or 0.0 in self.std:
            raise ValueError("scale, mean and std must be finite, and no std 0")


class TextRecipe(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="kind", tag="text"):
    """From a string to token ids by `tokenizer` (a Hugging Face tokenizer.json), read whole in windows.

    A window holds at most `max_tokens`, special tokens included, and repeats the last `overlap` tokens of the one
    before it. Features are the windows' mean, weighted by each window's new tokens; a text of more than
    `max_windows` is refused. One window at a time: int64 tensors [1, tokens] by the names in `inputs`, a subset of
    input_ids, attention_mask and token_type_ids. `reader` is the TEXT_READER that texts are read with.
    """

    tokenizer: FileName
    max_tokens: Annotated[int, msgspec.Meta(ge=8, le=8192)]
    pad_id: int
    inputs: tuple[Literal["input_ids", "attention_mask", "token_type_ids"], ...]
    overlap: Annotated[int, msgspec.Meta(ge=0, le=4096)] = 0
    max_windows: Annotated[int, msgspec.Meta(ge=1, le=1024)] = 64
    pooling: Literal["mean by new tokens"] = "mean by new tokens"
    reader: int = TEXT_READER


class VectorRecipe(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="kind", tag="vector"):
    """A fixed-length float vector per case, handed to the encoder as float32 [n, length]."""

    length: Dim
    input_name: str = "values"


Recipe = ImageRecipe | TextRecipe | VectorRecipe


class ProjectionRecipe(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The bundle's last step: from the encoder's features to fewer `columns`, by the means and axes in `file`.

    `axes`: principal ones of `cases` calibration cases, the widest first, or random orthonormal ones drawn from `seed`.
    Either way a plan may take the first few columns alone. `variances`: of each column over these cases; bundles of
    before lack them. With noise a plan divides by what they say, so that no site has to tell its own.
    """

    file: FileName
    axes: Literal["principal", "random"]
    columns: Annotated[int, msgspec.Meta(ge=1, le=MOST_COLUMNS)]
    cases: Annotated[int, msgspec.Meta(ge=1)]
    seed: Annotated[int, msgspec.Meta(ge=0, lt=2**32)] = 0
    variances: Annotated[tuple[float, ...], msgspec.Meta(max_length=MOST_COLUMNS)] | msgspec.UnsetType = (
        msgspec.UNSET
    )

    def deviation(self, columns: int) -> float | None:
        """The root of the mean variance of the first so many columns; None where the bundle does not say."""
        known = (self.variances or ())[:columns]
        return math.sqrt(sum(known) / columns) if len(known) == columns else None


class Manifest(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What manifest.json holds. `files` maps every file that features depend on to its SHA-256.

    `dim` is how many features the graph gives. `projection` is unset where those are the case's: so bundles of before
    keep their digest.
    """

    format: Literal[1] = FORMAT
    name: Name
    modality: Name
    dim: Dim
    onnx: GraphName
    recipe: Recipe
    files: Annotated[dict[FileName, Digest], msgspec.Meta(max_length=64)]
    quantization: str
    source: str
    licence: str
    versions: dict[str, str]
    projection: ProjectionRecipe | msgspec.UnsetType = msgspec.UNSET

    def __post_init__(self) -> None:
        """Refuse a bundle whose features depend on a file without a digest, and more columns than features."""
        used = [self.onnx] + ([self.recipe.tokenizer] if isinstance(self.recipe, TextRecipe) else [])
        if self.projection:
            used.append(self.projection.file)
            if self.projection.columns > self.dim:
                raise ValueError(f"projection.columns ({self.projection.columns}) exceeds dim ({self.dim})")
        for name in used:
            if name not in self.files:
                raise ValueError(f"files has no digest of {name}")

    @property
    def columns(self) -> int:
        """How many features a case has in the end."""
        return self.projection.columns if self.projection else self.dim

    def digest(self) -> str:
        """SHA-256 of the canonical manifest, in hex: the encoder's identity in plans and feature stores."""
        return hashlib.sha256(msgspec.json.encode(self, order="deterministic")).hexdigest()


def read_manifest(folder: Path) -> Manifest:
    """Read a bundle's manifest and check every file it names.

    Raises BundleError when the folder is no bundle, a file is missing or has changed, or the bundle is for
    another reading of images.
    """
    path = folder / MANIFEST
    try:
        manifest = msgspec.json.decode(read_at_most(path, limits.SETTINGS_BYTES), type=Manifest)
    except FileNotFoundError:
        found = (
            f"is no encoder bundle: it has no {MANIFEST}" if folder.is_dir() else "there is no such folder"
        )
        raise BundleError(
            f"{folder}: {found}; a site gets its bundles from the coordinator, who makes them with `fedfin export`"
        ) from None
    except OSError as error:
        raise _unreadable(path, error) from None
    except UNDECODABLE as error:
        raise BundleError(
            f"{path}: not a bundle manifest of format {FORMAT}: {explain(str(error), Manifest)}; {COPY_AGAIN}"
        ) from None
    _check_reader(path, manifest.recipe)
    for name, digest in manifest.files.items():
        if not (folder / name).resolve().is_relative_to(folder.resolve()):
            raise BundleError(f"{folder / name} is a link out of the bundle; put the file itself there")
        if _digest_of_state(folder / name, _state(folder / name)) != digest:
            raise BundleError(f"{folder / name} is not the file that the manifest names; {COPY_AGAIN}")
    _check_whole(folder / manifest.onnx, _state(folder / manifest.onnx))
    _check_projection(folder, manifest)
    return manifest


@lru_cache(maxsize=64)
def _digest_of_state(path: Path, _state: tuple[int, ...]) -> str:
    """The digest of a file in this state: a command opens its bundles several times, and hashes each file once."""
    return file_digest(path)


@lru_cache(maxsize=64)
def _check_whole(path: Path, _state: tuple[int, ...]) -> None:
    """Raises BundleError when the graph keeps tensors in other files."""
    check_whole(path)


def _check_projection(folder: Path, manifest: Manifest) -> None:
    """Raises BundleError when the file has not the length of what the manifest says is in it."""
    if not manifest.projection:
        return
    path, wanted = folder / manifest.projection.file, projection_bytes(manifest)
    if (found := _state(path)[-1]) != wanted:
        raise BundleError(
            f"{path} has {found:,} bytes; a mean and {manifest.columns} axes of {manifest.dim} features are {wanted:,};"
            " export the bundle again"
        )


def projection_bytes(manifest: Manifest) -> int:
    """Of a projection's file: float32 means and axes, [1 + columns, dim]."""
    return 4 * (1 + manifest.columns) * manifest.dim


def _state(path: Path) -> tuple[int, ...]:
    """What differs once a file is written anew: inode, times and size. Raises BundleError when it is missing."""
    try:
        found = path.stat()
    except OSError as error:
        raise _unreadable(path, error) from None
    return found.st_dev, found.st_ino, found.st_mtime_ns, found.st_ctime_ns, found.st_size


def _unreadable(path: Path, error: OSError) -> BundleError:
    return BundleError(f"{path}: cannot read it ({error.strerror}); {COPY_AGAIN}")


def _check_reader(path: Path, recipe: Recipe) -> None:
    if isinstance(recipe, VectorRecipe):
        return
    here = READER if isinstance(recipe, ImageRecipe) else TEXT_READER
    if recipe.reader != here:
        kind = "images" if isinstance(recipe, ImageRecipe) else "texts"
        raise BundleError(
            f"{path}: is for {kind} read in way {recipe.reader}, and this version of FedFIN reads them in way"
            f" {here}; install the version of FedFIN that the coordinator uses, or export the bundle again"
        )


def file_digest(path: Path) -> str:
    """SHA-256 of a file, in hex. Raises BundleError when it is missing or unreadable."""
    digest = hashlib.sha256()
    try:
        with path.open("rb") as stream:
            while block := stream.read(1 << 20):
                digest.update(block)
    except OSError as error:
        raise _unreadable(path, error) from None
    return digest.hexdigest()

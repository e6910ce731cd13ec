"""One encoder bundle at work: inputs in, features out.

Inputs run through the graph one at a time. Features must depend on their own input alone, or a resumed
run would differ from a whole one: in a batch, dynamic quantization takes its range, and text its padding,
from the neighbours. Measured on int8 MiniLM with 128 notes, one thread: cosine down to .981 between batches
of 32 and of 1, and 62 ms a note against 20; int8 EfficientNet-lite0: same bits, 10.1 ms an image against 8.6.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from fedfin.encoders.bundle import Manifest, read_manifest
from fedfin.encoders.preprocessing import pool_windows
from fedfin.encoders.projection import Projection, read_projection
from fedfin.errors import BundleError, InputError
from fedfin_edge.cases.digests import Input, digest_input
from fedfin_edge.cases.prepare import Feeds, Prepare, make_prepare
from fedfin_edge.providers import ON_CPU, Providers


class Encoder:
    """A verified bundle with its onnxruntime session."""

    def __init__(
        self,
        folder: Path,
        manifest: Manifest,
        session: onnxruntime.InferenceSession,
        projection: Projection | None = None,
    ) -> None:
        self.manifest = manifest
        self._projection = projection
        self.folder = folder
        self._session = session
        self._prepare: Prepare = make_prepare(folder, manifest.recipe)

    @property
    def provider(self) -> str:
        """What it runs on, by onnxruntime's name."""
        name: str = self._session.get_providers()[0]
        return name

    def encode(self, inputs: Sequence[Input]) -> NDArray[np.float32]:
        """Features float32 [n, columns]. Raises InputError, with the reason, at the first input that is bad."""
        features = np.zeros((len(inputs), self.manifest.columns), np.float32)
        for row, value in enumerate(inputs):
            features[row], _ = self.encode_noted(value)
        return features

    def encode_noted(self, value: Input) -> tuple[NDArray[np.float32], tuple[str, ...]]:
        """Features float32 [columns] of one input, and what was noted when it was read. Raises InputError."""
        prepared = self._prepare(value)
        return self.features(prepared.parts), prepared.notes

    def features(self, parts: Sequence[tuple[Feeds, int]]) -> NDArray[np.float32]:
        """Features float32 [columns] of one input's prepared parts, with their weights. As `run` raises."""
        rows = np.stack([self.run(feeds) for feeds, _ in parts])
        features = pool_windows(rows, [weight for _, weight in parts])
        return self._projection(features) if self._projection else features

    def digest_input(self, value: Input) -> bytes:
        """The input's part of the feature store's key. Raises OSError when a file cannot be read."""
        return digest_input(value)

    def run(self, feeds: Feeds) -> NDArray[np.float32]:
        """Features float32 [dim] of one prepared part. Raises BundleError, or InputError if they are not finite."""
        try:
            features = self._session.run(None, feeds)[0]
        except Exception as error:  # onnxruntime's own classes are not public
            raise BundleError(
                f"{self.folder}: the encoder does not run ({type(error).__name__});"
                " its graph and its recipe disagree; export it again"
            ) from error
        if features.shape != (1, self.manifest.dim):
            raise BundleError(
                f"{self.folder}: the encoder makes features of shape {tuple(features.shape)},"
                f" not (1, {self.manifest.dim}); export it again"
            )
        if not np.isfinite(features).all():
            raise InputError("the encoder's features of it are not finite")
        row: NDArray[np.float32] = features[0].astype(np.float32)
        return row


def open_encoder(folder: Path, providers: Providers = ON_CPU) -> Encoder:
    """Open and verify a bundle. On a CPU it runs on one thread: more processes encode more (`workers`).

    Raises BundleError when the bundle is damaged or onnxruntime refuses its graph, SettingsError for providers that
    are not there.
    """
    manifest = read_manifest(folder)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.log_severity_level = 3  # errors only: warnings are about graph details that no site can change
    wanted = providers.for_session(manifest.digest()[:16])
    try:
        session = onnxruntime.InferenceSession(folder / manifest.onnx, options, providers=wanted)
    except Exception as error:  # onnxruntime's own classes are not public
        raise BundleError(
            f"{folder / manifest.onnx}: onnxruntime {onnxruntime.__version__} cannot load it"
            f" ({type(error).__name__}); export it again or update onnxruntime"
        ) from error
    providers.check(session)
    return Encoder(folder, manifest, session, read_projection(folder, manifest))

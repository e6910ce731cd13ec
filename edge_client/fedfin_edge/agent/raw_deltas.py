"""Each training round's raw deltas as files, for whoever studies compression: `fedfin edge run --keep-deltas`."""

import io
from pathlib import Path

import numpy as np

from fedfin.codec import Tensors
from fedfin.files import make_folder, write_atomically


def keep_deltas(folder: Path, site: str, round_: int, deltas: Tensors) -> Path:
    """Write float32 arrays by tensor name to {folder}/{site}-{round}.npz; its path. Raises StateError."""
    make_folder(folder)
    stream = io.BytesIO()
    np.savez(stream, **deltas)  # type: ignore[arg-type]  # numpy types the names as if one could be allow_pickle
    path = folder / f"{site}-{round_:04d}.npz"
    write_atomically(path, stream.getvalue())
    return path

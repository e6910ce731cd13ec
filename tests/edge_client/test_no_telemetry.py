"""Encoders tell nobody but us what they are at."""

import os
import subprocess
import sys
from pathlib import Path

from federation import make_bundle


def test_an_encoder_leaves_no_trace_in_the_users_folders(tmp_path: Path) -> None:
    """Without a word onnxruntime would keep a device id there, and events that it sends to its maker."""
    make_bundle(tmp_path / "bundle", "image", 6)
    home = tmp_path / "home"
    home.mkdir()
    code = f"""
from pathlib import Path
import numpy as np
from fedfin_edge.cases.encoder import open_encoder
open_encoder(Path({str(tmp_path / "bundle")!r})).encode([np.ones(6, np.float32)])
"""
    kept = {
        name: value
        for name, value in os.environ.items()
        if name not in {"ORT_DISABLE_TELEMETRY", "XDG_CACHE_HOME"}
    }
    subprocess.run([sys.executable, "-c", code], check=True, env=kept | {"HOME": str(home)})
    assert not [*home.rglob("*")]

"""The same values give the same bytes, on every processor and in every later version."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from golden_vectors import PATH, SHAPES, make, vector

from fedfin.codec import decompress

GOLDEN = json.loads(PATH.read_text(encoding="utf-8"))
ROOT = Path(__file__).parents[3]


@pytest.mark.parametrize("case", GOLDEN["cases"], ids=lambda case: case["name"])
def test_the_committed_values_give_the_committed_bytes(case: dict) -> None:
    """Read from the file, so that the script's own arithmetic does not matter."""
    values = {
        name: np.frombuffer(bytes.fromhex(data), "<f4").astype(np.float32).reshape(SHAPES[name])
        for name, data in case["values"].items()
    }
    for expected in case["vectors"]:
        assert vector(expected["preset"], values) == expected


def test_the_script_makes_the_committed_file() -> None:
    """It says how the file came about."""
    assert json.loads(json.dumps(make())) == GOLDEN


def test_a_body_is_read_without_its_preset() -> None:
    """A receiver needs the shapes and nothing else."""
    shapes = {name: tuple(shape) for name, shape in GOLDEN["shapes"].items()}
    for case in GOLDEN["cases"]:
        for one in case["vectors"]:
            assert decompress(bytes.fromhex(one["body"]), shapes).keys() == case["values"].keys()


def test_without_vector_units_the_bytes_are_the_same() -> None:
    """Without the code for this processor's own vector units, numpy adds and compares in another order."""
    try:
        from numpy._core._multiarray_umath import __cpu_dispatch__
    except ImportError:
        from numpy.core._multiarray_umath import __cpu_dispatch__
    code = "import json, golden_vectors as g; assert json.loads(json.dumps(g.make())) == json.loads(g.PATH.read_text())"
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code],
        env=os.environ
        | {
            "NPY_DISABLE_CPU_FEATURES": " ".join(__cpu_dispatch__),
            "PYTHONPATH": os.pathsep.join([str(ROOT), str(Path(__file__).parent)]),
        },
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr

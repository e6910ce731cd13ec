"""Tasks run on torch without what torch.compile needs: debian/build.py leaves that out."""

import os
import subprocess
import sys
from pathlib import Path

TESTS = Path(__file__).parents[1]
CODE = """\
import sys

sys.modules |= dict.fromkeys(("filelock", "fsspec", "jinja2", "mpmath", "networkx", "sympy"))  # importing them fails
from pathlib import Path

import test_same_bytes

test_same_bytes._digests("trained", Path(sys.argv[1]))
print("torch" in sys.modules)
"""


def test_a_federation_trains_without_what_torch_compiles_with(tmp_path: Path) -> None:
    """Second moments, training, calibration."""
    done = subprocess.run(
        [sys.executable, "-c", CODE, tmp_path],
        env=os.environ | {"PYTHONPATH": os.pathsep.join([*sys.path, str(TESTS)])},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout == "True\n", done.stderr

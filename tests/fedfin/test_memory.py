"""What a process keeps of the memory that it frees."""

import platform
import subprocess
import sys

import pytest

ROUNDS = """
import resource, sys
from fedfin.memory import keep_freed_memory
keep_freed_memory()
def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt
def work():
    return [bytearray(5_000_000) for _ in range(4)]
work()
before = faults()
for _ in range(10):
    work()
print(faults() - before)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another malloc has other habits")
def test_what_every_round_needs_is_taken_from_the_kernel_once() -> None:
    """Ten times 20 MB are 49,000 pages: without it each of them is faulted in again."""
    done = subprocess.run([sys.executable, "-c", ROUNDS], capture_output=True, text=True, check=True)
    assert int(done.stdout) < 1000

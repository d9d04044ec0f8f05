"""What a process does with the machine it is given."""

import os
import subprocess
import sys

import pytest

FAULTS = """
import resource, torch
from legato.device import Device, use
if {kept}:
    use(Device("cpu", "fp32", 1))
for _ in range(10):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    pieces = [torch.ones(1_000_000) for _ in range(4)]
    del pieces
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="glibc's malloc")
def test_freed_memory_is_kept_for_the_next_step():
    """Four pieces of 4 MB are 4,000 pages. A glibc told to give all back asks for them anew, but for who keeps them."""
    gives_back = os.environ | {"MALLOC_MMAP_THRESHOLD_": "1000000"}
    alone, kept = (
        int(subprocess.run([sys.executable, "-c", FAULTS.format(kept=k)], env=gives_back, capture_output=True).stdout)
        for k in (False, True)
    )
    assert alone > 3000
    assert kept < 100

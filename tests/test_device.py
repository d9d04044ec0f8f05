"""What a process does with the machine it is given."""

import subprocess
import sys

import pytest

FAULTS = """
import resource, torch
from legato.device import Device, use
if {kept}:
    use(Device("cpu", "fp32", 1))
for _ in range(4):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    pieces = [torch.ones(1_000_000) for _ in range(4)]
    del pieces
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="glibc's malloc")
def test_freed_memory_is_kept_for_the_next_step():
    """Four pieces of 4 MB are 4,000 pages; who keeps them need not ask for one."""
    alone, kept = (
        int(subprocess.run([sys.executable, "-c", FAULTS.format(kept=kept)], capture_output=True, check=True).stdout)
        for kept in (False, True)
    )
    assert kept < 100
    assert kept < alone / 4

"""What all tests share: where the real data is, and threads that do not fight."""

import os
from pathlib import Path

import pytest
import torch

torch.set_num_threads(1)  # tests are small, and often several run at a time: barriers between threads cost more


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of real data sets; the test is skipped where there is none."""
    folder = os.environ.get("LEGATO_DATA")
    if not folder or not Path(folder).is_dir():
        pytest.skip("LEGATO_DATA does not name a folder of real data")
    return Path(folder)

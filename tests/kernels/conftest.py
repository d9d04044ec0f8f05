"""Kernels compiled by these tests are kept for one run only, and shared by its workers."""

import os
import tempfile
from pathlib import Path

os.environ.setdefault("LEGATO_CACHE", str(Path(tempfile.gettempdir()) / f"legato-tests-{os.getuid()}"))

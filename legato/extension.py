"""A user's own networks, tasks and cells: a Python file given by `--with`, again at each use.

A run keeps the file's name and sha256, never the file: what is executed is only ever what the user names.
"""

import hashlib
import sys
import traceback
from collections.abc import Mapping
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

from legato.errors import UsageError

GIVEN: dict[str, str] = {}  # name of each file given to this process → its sha256


def give(file: str | Path) -> None:
    """Execute the file, which registers what it defines: `@network` builders, Task classes, cells put into CELLS.

    A file given twice is executed once. Raises UsageError, with the line, for one that is not there or fails.
    """
    path = Path(file)
    if not path.is_file() or path.suffix != ".py":
        raise UsageError(f"--with {file}: not there, or no Python file; name one that ends in .py")
    try:
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError as error:
        raise UsageError(f"--with {path}: cannot be read ({error.strerror})") from None
    if GIVEN.get(path.name) == digest:
        return
    spec = spec_from_file_location(f"given_{path.stem}", path)
    assert spec is not None
    assert spec.loader is not None
    module = sys.modules[spec.name] = module_from_spec(spec)  # dataclasses look for their module there
    try:
        spec.loader.exec_module(module)
    except UsageError as error:
        raise UsageError(f"--with {path}: {error}") from None
    except Exception as error:
        raise UsageError(f"--with {path}{line_of(error, path)}: {type(error).__name__}: {error}") from None
    GIVEN[path.name] = digest


def line_of(error: Exception, path: Path) -> str:
    """`:7`, the last line of the file that was being executed; "" if none was."""
    if isinstance(error, SyntaxError):
        return f":{error.lineno}"
    lines = [f.lineno for f in traceback.extract_tb(error.__traceback__) if Path(f.filename) == path.absolute()]
    return f":{lines[-1]}" if lines else ""


def check(recorded: Mapping[str, str], where: str) -> list[str]:
    """That all files a run was made with are given; the names of those that have changed since.

    Raises UsageError for one that is not given.
    """
    for name in recorded:
        if name not in GIVEN:
            raise UsageError(f"{where} was made with {name}: give it again, --with {name}")
    return [name for name, digest in recorded.items() if GIVEN[name] != digest]

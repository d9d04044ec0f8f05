"""Files that survive: written beside and put in their place in one step, so that a crash or a full disk leaves the old
one; read with a line that says what is wrong. JSON and safetensors, never a pickle."""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor

from legato.errors import LegatoError


def json_lines(file: Path) -> list[dict[str, Any]]:
    """Of a file with an object a line, those that are whole; [] if there is no file."""
    found = []
    for line in file.read_text().splitlines() if file.exists() else []:
        try:
            found.append(json.loads(line))
        except ValueError:  # cut short
            continue
    return found


def append(file: Path, numbers: Mapping[str, Any]) -> None:
    with file.open("a", encoding="utf-8") as f:
        f.write(json.dumps(dict(numbers), ensure_ascii=False) + "\n")


def write_text(file: Path, text: str) -> None:
    with replacing(file) as beside:
        beside.write_text(text)


def write_tensors(file: Path, tensors: Mapping[str, Tensor], about: dict[str, str]) -> None:
    with replacing(file) as beside:
        save_file({k: t.detach().contiguous().cpu() for k, t in tensors.items()}, beside, about)
        if (plain := file.parent / "run.json").exists():
            beside.chmod(plain.stat().st_mode)  # safetensors makes files for their owner alone


class replacing:
    """Write beside a file, then put it in its place in one step: a crash or a full disk leaves the old one."""

    def __init__(self, file: Path) -> None:
        self.file, self.beside = file, file.with_name(file.name + ".new")

    def __enter__(self) -> Path:
        return self.beside

    def __exit__(self, kind: Any, error: BaseException | None, _: Any) -> None:
        try:
            if error is None:
                sync(self.beside)
                os.replace(self.beside, self.file)
                sync(self.file.parent)
        except OSError as failed:
            error = failed
        if isinstance(error, OSError | SafetensorError):
            self.beside.unlink(missing_ok=True)
            kept = "the last one is intact" if self.file.exists() else "nothing was there before"
            raise LegatoError(
                f"{self.file}: could not be written ({error}); {kept}; free some space and resume"
            ) from error


def sync(path: Path) -> None:
    """Wait until the disk has it."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def read_tensors(file: Path, only_about: bool = False) -> tuple[dict[str, Tensor], dict[str, str]]:
    try:
        with safe_open(file, "pt") as f:
            about = f.metadata() or {}
        return ({} if only_about else load_file(file)), about
    except (SafetensorError, OSError) as error:
        raise LegatoError(f"{file}: damaged or unreadable ({error}); restore it from a copy, or train again") from None

"""What `dream` and `style` share: pictures read and written, and networks that look at pictures."""

from pathlib import Path
from typing import Any

from torch import Tensor

from legato import picture
from legato.data.decode import read_image
from legato.errors import UsageError
from legato.values import Image

LOSSY = {"quality": 92}
FORMATS: dict[str, dict[str, Any]] = {".png": {}, ".jpg": LOSSY, ".jpeg": LOSSY, ".webp": LOSSY}


def read(file: str, channels: int = 3) -> Image | None:
    """A picture in colour, which a network for grey ones makes grey itself; None for no file."""
    return Image(read_image(Path(file), channels), file) if file else None


def check_file(file: str) -> None:
    """Raises UsageError unless a picture can be written there."""
    if Path(file).suffix.lower() not in FORMATS:
        raise UsageError(f"--save {file}: a picture file, {', '.join(FORMATS)}")


def write(pixels: Tensor, file: str | Path) -> Path:
    """(c, h, w) in [0, 1] as a picture file, its folder made."""
    path = Path(file)
    path.parent.mkdir(parents=True, exist_ok=True)
    picture.pixels(pixels).save(path, **FORMATS[path.suffix.lower()])
    return path


def side(task: Any, run: str) -> int:
    """Of the pictures that the network was trained on, pixels. Raises UsageError where it is given none."""
    if Image not in task.takes:
        raise UsageError(f"{run}: is a {task.name}, which looks at no pictures; name the run of one that does")
    try:
        return int(task.input_shape[-1])
    except UsageError:  # pictures of many sizes
        return 224

"""One style for all pictures: dark ink on white, letters readable in print, colours that everyone can tell apart."""

import logging
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from importlib.util import find_spec
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from torch import Tensor

from legato.values import Image

if TYPE_CHECKING:
    import PIL.Image

    Picture = PIL.Image.Image
else:
    Picture = "PIL.Image.Image"  # pillow and matplotlib load when the first picture is drawn

# Okabe & Ito 2008, "Color universal design": told apart with every kind of colour vision
BLACK, ORANGE, SKY, GREEN = "#000000", "#e69f00", "#56b4e9", "#009e73"
YELLOW, BLUE, VERMILLION, PURPLE = "#f0e442", "#0072b2", "#d55e00", "#cc79a7"
LINES = (BLUE, VERMILLION, GREEN, PURPLE, ORANGE, SKY, BLACK)  # yellow is lost on white
INK, GREY, FAINT = "#222222", "#767676", "#e4e4e4"
MAGNITUDE, OVER, SIGNED = "viridis", "inferno", "RdBu_r"  # even to the eye; over grey; red and blue about white

DPI = 200  # of plots: 6.4 inches make 1280 pixels, sharp on a slide and in print
STYLE: dict[str, Any] = {
    "figure.dpi": DPI,
    "figure.constrained_layout.use": True,
    "figure.constrained_layout.h_pad": 0.1,  # inches
    "figure.constrained_layout.w_pad": 0.1,
    "font.family": "DejaVu Sans",  # comes with matplotlib
    "font.size": 9.5,
    "text.color": INK,
    "text.parse_math": False,  # a class may be called "$5"
    "axes.titlesize": 11,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.titlepad": 10,
    "axes.labelcolor": INK,
    "axes.edgecolor": GREY,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": FAINT,
    "grid.linewidth": 0.7,
    "lines.linewidth": 2.0,
    "lines.solid_capstyle": "round",
    "xtick.color": INK,
    "ytick.color": INK,
    "xtick.major.size": 0,
    "ytick.major.size": 0,
    "xtick.minor.size": 0,
    "ytick.minor.size": 0,
}
logging.getLogger("matplotlib").setLevel(logging.ERROR)  # that its cache cannot be written is nobody's concern here
LOCK = threading.RLock()  # matplotlib's settings are global, and a server draws in several threads


@contextmanager
def style() -> Iterator[None]:
    """matplotlib in our style, whatever the user's own settings are, and theirs again afterwards."""
    import matplotlib

    plain: dict[Any, Any] = {k: v for k, v in matplotlib.rcParamsDefault.items() if k != "backend"}
    with LOCK, warnings.catch_warnings(), matplotlib.rc_context(plain | STYLE):
        warnings.filterwarnings("ignore", "Glyph")  # a letter that the font lacks is drawn as a box
        yield


def figure(width: float, height: float) -> Any:
    """An empty matplotlib figure of so many inches, known to nobody else (no pyplot)."""
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height))


def headline(drawn: Any, title: str) -> None:
    """The title of a whole figure, at its left."""
    drawn.suptitle(title, x=0.015, ha="left", weight="bold", fontsize=11)


def rendered(drawn: Any) -> Picture:
    """A matplotlib figure as an RGB picture."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from PIL import Image as pil

    canvas = FigureCanvasAgg(drawn)
    canvas.draw()
    return pil.fromarray(np.asarray(canvas.buffer_rgba())[..., :3].copy())


def save(picture: Picture, path: str | Path) -> Path:
    """Write a PNG; its folder is made. The same picture gives the same bytes."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(png(picture))
    return path


def png(picture: Picture) -> bytes:
    """The bytes of a PNG file."""
    file = BytesIO()
    picture.save(file, "PNG", dpi=(DPI, DPI))
    return file.getvalue()


def pixels(image: Image | Tensor) -> Picture:
    """An image as a picture, pixel for pixel: (c, h, w) or (h, w), bytes or numbers in [0, 1]; others are clipped.

    Three channels or more are red, green, blue; else the first is grey.
    """
    from PIL import Image as pil

    data = (image.pixels if isinstance(image, Image) else image).detach().cpu()
    data = data if data.dim() == 3 else data[None]
    if data.is_floating_point():
        data = (data.float().nan_to_num().clamp(0, 1) * 255).round().byte()
    if len(data) >= 3:
        return pil.fromarray(data[:3].permute(1, 2, 0).contiguous().numpy())
    return pil.fromarray(data[0].contiguous().numpy()).convert("RGB")


@lru_cache
def font(size: int, bold: bool = False) -> Any:
    """The letters of the plots, `size` pixels high, for pictures drawn without matplotlib."""
    from PIL import ImageFont

    spec = find_spec("matplotlib")
    file = Path(str(spec and spec.origin)).parent / "mpl-data/fonts/ttf" / f"DejaVuSans{'-Bold' if bold else ''}.ttf"
    return ImageFont.truetype(str(file), size, layout_engine=ImageFont.Layout.BASIC)


def shortened(text: str, letters: int) -> str:
    """At most so many letters, an ellipsis for the rest."""
    return text if len(text) <= letters else text[: max(1, letters - 1)].rstrip() + "…"


def percent(share: float) -> str:
    """87 %, 0.3 %, < 0.1 %: as many digits as one can use."""
    if 0 < share < 0.001:
        return "< 0.1 %"
    if 0.9995 <= share < 1:
        return "> 99.9 %"
    tenths = 0 < share < 0.0995 or 0.9905 < share < 1
    return f"{100 * share:.{1 if tenths else 0}f} %"


def number(value: float) -> str:
    """Three digits, thousands parted: 12,345; 0.0123; 4.1e-06."""
    if value and (abs(value) < 1e-3 or abs(value) >= 1e7):
        return f"{value:.1e}"
    return f"{value:,.0f}" if abs(value) >= 100 or float(value).is_integer() else f"{value:.3g}"

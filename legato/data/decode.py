"""One picture: from a file's bytes to (c, h, w) bytes, whatever its format, and from any size to the size wanted."""

import os
import struct
import warnings
from io import BytesIO
from pathlib import Path
from typing import Any, Literal

import numpy as np
import PIL.Image
import torch
from jaxtyping import UInt8
from torch import Tensor
from torch.nn import functional as F

from legato.errors import DataError

try:
    import simplejpeg
except ImportError:  # the extra `vision`: four times as fast as pillow, which gives the same
    simplejpeg = None

Pixels = UInt8[Tensor, "c h w"]
Fit = Literal["crop", "stretch", "pad"]

ENDINGS = (".jpg", ".jpeg", ".png", ".bmp", ".gif", ".tif", ".tiff", ".webp", ".ppm", ".pgm", ".pbm", ".jp2", ".avif")
FORMATS = ("JPEG", "PNG", "BMP", "GIF", "TIFF", "WEBP", "PPM", "JPEG2000", "AVIF")  # none that starts another program
GREY = {"1", "L", "LA", "La", "I", "F", "I;16", "I;16B", "I;16L"}
ORIENTATION = 0x0112  # the EXIF tag: 1 is upright, 2–8 are the other symmetries of a rectangle
LARGEST = int(os.environ.get("LEGATO_MAX_PIXELS", 178_000_000))
PIL.Image.MAX_IMAGE_PIXELS = LARGEST  # pillow's guard against decompression bombs, at legato's limit
warnings.filterwarnings("ignore", module=r"PIL\.")  # on damaged files: we say ourselves what is wrong


def read_image(
    source: Path | bytes, channels: int = 3, at_least: tuple[int, int] | None = None, largest: int = LARGEST
) -> Pixels:
    """The picture, upright, as bytes (channels, h, w): 1 channel grey, 3 RGB.

    16 bits are scaled to 8, transparency is laid over white, CMYK becomes RGB, the EXIF orientation is applied.
    With `at_least` (h, w) a larger JPEG may come out reduced, no smaller than that: its DCT is decoded to fewer pixels.
    The result may lie in memory channels last.

    Raises DataError for what is no picture, is cut short, or has more than `largest` pixels by its header.
    """
    where, data = contents(source)
    if data.startswith(b"\xff\xd8") and simplejpeg is not None:
        pixels = read_jpeg(where, data, channels, at_least, largest)
        if pixels is not None:
            return pixels
    try:
        with opened(where, BytesIO(data), largest) as image:
            return upright(decoded(image, channels, at_least), orientation(image))
    except DataError:
        raise
    except Exception as error:  # on damaged files pillow's plugins raise whatever they stumble over
        raise damaged(where, error) from None


def read_size(source: Path | bytes, largest: int = LARGEST) -> tuple[int, int, int]:
    """(h, w, channels) of the upright picture from its header alone; channels is 1 for grey, 3 for everything else.

    Raises DataError as read_image does, but cannot know of damage behind the header.
    """
    with opened(place(source), BytesIO(source) if isinstance(source, bytes) else source, largest) as image:
        width, height = image.size
        turned = image.format in ("JPEG", "MPO", "WEBP") or "exif" in image.info
        if turned and image.format != "TIFF" and orientation(image) >= 5:
            height, width = width, height
        return height, width, 1 if image.mode in GREY else 3


def fit(pixels: UInt8[Tensor, "*n c h w"], size: int, how: Fit = "crop") -> UInt8[Tensor, "*n c {size} {size}"]:
    """The picture, or a batch of them, as a square of `size` pixels a side, antialiased.

    crop: the short side becomes `size`, the middle is kept. stretch: both sides do. pad: the long side does, in black.
    """
    height, width = pixels.shape[-2:]
    if height == width == size:
        return pixels
    if how == "stretch":
        return resize(pixels, size, size)
    scale = size / (max if how == "pad" else min)(height, width)
    pixels = resize(pixels, max(1, round(scale * height)), max(1, round(scale * width)))
    height, width = pixels.shape[-2:]
    top, left = int((size - height) / 2), int((size - width) / 2)  # negative: what is cut away
    return F.pad(pixels, (left, size - width - left, top, size - height - top))


def resize(pixels: UInt8[Tensor, "*n c h w"], height: int, width: int) -> UInt8[Tensor, "*n c {height} {width}"]:
    """Bilinear, antialiased where it shrinks, in bytes from end to end."""
    if pixels.shape[-2:] == (height, width):
        return pixels
    batch = pixels if pixels.dim() == 4 else pixels[None]
    resized = F.interpolate(batch, (height, width), mode="bilinear", antialias=True)
    return resized if pixels.dim() == 4 else resized[0]


def with_channels(pixels: UInt8[Tensor, "*n c h w"], channels: int) -> UInt8[Tensor, "*n {channels} h w"]:
    """Grey repeated as RGB, or RGB's luma as grey (ITU-R BT.601, as pillow computes it)."""
    if pixels.shape[-3] == channels:
        return pixels
    if pixels.shape[-3] == 1:
        return pixels.expand(*pixels.shape[:-3], channels, *pixels.shape[-2:])
    r, g, b = pixels.to(torch.int32).unbind(-3)
    return ((19595 * r + 38470 * g + 7471 * b + 0x8000) >> 16).to(torch.uint8).unsqueeze(-3)


def place(source: Path | bytes) -> str:
    return f"picture of {len(source)} bytes" if isinstance(source, bytes) else str(source)


def contents(source: Path | bytes) -> tuple[str, bytes]:
    """How to call it, and its bytes."""
    where = place(source)
    try:
        data = source if isinstance(source, bytes) else source.read_bytes()
    except OSError as error:
        raise DataError(f"{where}: cannot be read ({error.strerror}); check the name and your rights") from None
    if not data:
        raise DataError(f"{where}: an empty file (0 bytes); copy it again or delete it")
    return where, data


def opened(where: str, file: Path | BytesIO, largest: int) -> PIL.Image.Image:
    """The header, read by pillow; the pixels are not decoded yet."""
    try:
        image = PIL.Image.open(file, formats=FORMATS)
    except PIL.UnidentifiedImageError:
        raise DataError(f"{where}: not a picture that can be read; save it as PNG or JPEG, or delete it") from None
    except (PIL.Image.DecompressionBombError, PIL.Image.DecompressionBombWarning) as error:
        pixels = "".join(c for c in str(error).partition(")")[0] if c.isdigit())
        raise too_large(where, f"{int(pixels or 0):,}") from None
    except Exception as error:  # a file that is not there, or plugins that stumble over a damaged header
        raise damaged(where, error) from None
    check_size(where, image.height, image.width, largest)
    return image


def damaged(where: str, error: Exception) -> DataError:
    return DataError(f"{where}: cannot be decoded ({one_line(error)}); copy it again or delete it")


def check_size(where: str, height: int, width: int, largest: int) -> None:
    if height * width > largest:
        raise too_large(where, f"{height} × {width}", largest)


def too_large(where: str, pixels: str, largest: int = LARGEST) -> DataError:
    return DataError(f"{where}: {pixels} pixels are more than {largest:,}; make it smaller or set LEGATO_MAX_PIXELS")


def read_jpeg(where: str, data: bytes, channels: int, at_least: tuple[int, int] | None, largest: int) -> Pixels | None:
    """By simplejpeg; None where pillow should judge: CMYK, damage."""
    try:
        height, width, colours, _ = simplejpeg.decode_jpeg_header(data)
        if colours not in ("YCbCr", "GRAY", "RGB"):
            return None
        check_size(where, height, width, largest)
        turn = exif_orientation(data)
        least = tuple(reversed(at_least)) if at_least and turn >= 5 else at_least or (0, 0)
        space = "GRAY" if channels == 1 else "RGB"
        array = simplejpeg.decode_jpeg(data, space, min_height=least[0], min_width=least[1])
    except ValueError:
        return None
    return upright(torch.from_numpy(array).permute(2, 0, 1), turn)


def exif_orientation(data: bytes) -> int:
    """Of a JPEG. Few have any, and pillow takes as long to look as the picture to decode."""
    if b"Exif\0\0" not in data[:65536]:
        return 1
    try:
        with PIL.Image.open(BytesIO(data), formats=FORMATS) as image:
            return orientation(image)
    except OSError:
        return 1


def orientation(image: PIL.Image.Image) -> int:
    """1–8 as in EXIF; 1 where it says nothing, or nonsense."""
    try:
        turn = image.getexif().get(ORIENTATION, 1)
    except (SyntaxError, ValueError, KeyError, TypeError, struct.error):
        return 1
    return turn if turn in range(1, 9) else 1


def upright(pixels: Pixels, turn: int) -> UInt8[Tensor, "c H W"]:
    """Undo an EXIF orientation (Exif 2.3, tag 0x0112): which edges of the scene row 0 and column 0 are."""
    if turn >= 5:  # 5 and more: rows and columns are exchanged
        pixels = pixels.transpose(1, 2)
    dims = {2: [2], 3: [1, 2], 4: [1], 6: [2], 7: [1, 2], 8: [1]}.get(turn, [])
    return pixels.flip(dims) if dims else pixels


def decoded(image: PIL.Image.Image, channels: int, at_least: tuple[int, int] | None) -> Pixels:
    """By pillow, not yet turned."""
    if at_least and orientation(image) >= 5:
        at_least = (at_least[1], at_least[0])
    if image.format == "JPEG" and image.mode in ("L", "RGB"):  # the luma as stored, the DCT decoded to fewer pixels
        image.draft("L" if channels == 1 else "RGB", at_least and (at_least[1], at_least[0]))
    array: Any = np.array(eight_bits(image).convert("L" if channels == 1 else "RGB"))
    return torch.from_numpy(array).reshape(*array.shape[:2], channels).permute(2, 0, 1)


def eight_bits(image: PIL.Image.Image) -> PIL.Image.Image:
    """Of 8 bits a channel and opaque: 16 bits scaled by 255 / 65535, transparency over white."""
    if image.mode == "F":
        raise ValueError("pixels are floating-point numbers, save it with 8 or 16 bits")
    if image.mode.startswith("I"):
        array = np.array(image).astype(np.int64)
        if array.min() < 0 or array.max() > 65535:
            raise ValueError("pixels of 32 bits, save it with 8 or 16 bits")
        return PIL.Image.fromarray(((array + 128) // 257).astype(np.uint8))
    image.load()  # a palette's transparency is known only then
    if image.has_transparency_data:
        image = image.convert("RGBA")
        return PIL.Image.alpha_composite(PIL.Image.new("RGBA", image.size, "white"), image)
    return image


def one_line(error: BaseException) -> str:
    return " ".join(str(error).split()) or type(error).__name__

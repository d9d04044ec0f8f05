"""What a network is given: a picture, a text."""

from dataclasses import dataclass

from jaxtyping import UInt8
from torch import Tensor


@dataclass(frozen=True)
class Image:
    """A picture as decoded: (c, h, w) bytes, c = 1 grey or 3 RGB; `source` says where it came from."""

    pixels: UInt8[Tensor, "c h w"]
    source: str = ""


@dataclass(frozen=True)
class Text:
    """A piece of text; `source` says where it came from."""

    text: str
    source: str = ""

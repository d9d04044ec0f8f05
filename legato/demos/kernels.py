"""Kernels made by hand on a picture of yours (lecture 001): the seven that the lecture prints."""

import torch
from jaxtyping import Float
from torch import Tensor

from legato.demos.registry import Demo, demo
from legato.layers.hand_kernels import HAND_KERNELS, filter_image
from legato.picture.page import Photo, page


def printed(kernel: Float[Tensor, "3 3"]) -> str:
    """As the lecture prints it: whole numbers over a common divisor."""
    divisor = next(d for d in (1, 9, 16) if torch.allclose((kernel * d).round(), kernel * d, atol=1e-5))
    rows = [" ".join(f"{v:.0f}".replace("-", "−") for v in row) for row in (kernel * divisor).round().tolist()]
    return f"[{' | '.join(rows)}]" + (f" / {divisor}" if divisor > 1 else "")


@demo("C6", on_picture=True)
def kernels(photo: Float[Tensor, "3 h w"]) -> Demo:
    """Gallery of the printed kernels: identity, edges, sharpen, blur.

    A sum of 1 keeps the brightness of even areas, a sum of 0 leaves nothing of them: an edge detector.
    All seven are even: convolution and correlation give the same picture. Edges are shown by their size |y|.
    """
    panels = [Photo(photo, "the picture")]
    for name, kernel in HAND_KERNELS.items():
        y = filter_image(photo[None], kernel)[0]
        edges = name.startswith("edges")
        panels.append(Photo(y.abs() if edges else y, f"{name}{', |y|' if edges else ''}\n{printed(kernel)}"))
    sums = {name: float(kernel.sum()) for name, kernel in HAND_KERNELS.items()}
    lines = [f"{name:20} {printed(kernel):34} sum {sums[name]:g}" for name, kernel in HAND_KERNELS.items()]
    h, w = photo.shape[1:]
    return Demo(page(panels, "Kernels made by hand", 4, side=2.5, height=2.5 * h / w + 0.45), lines, sums)

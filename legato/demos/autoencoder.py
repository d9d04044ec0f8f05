"""An autoencoder with σ = I is the SVD (lecture 003; Baldi & Hornik 1989, doi:10.1016/0893-6080(89)90014-2).

X = U Σ V*, and no code of k numbers keeps more than the first k columns of V do (Eckart & Young 1936).
"""

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import pad

from legato.demos.learning import digits, minimise
from legato.demos.registry import Demo, demo
from legato.picture.page import Lines, Panel, Photo, page

CODE, SHOWN = 8, 10  # numbers of the code, pictures shown


def learnt(X: Float[Tensor, "n d"], k: int) -> tuple[Float[Tensor, "d k"], Float[Tensor, "k d"]]:
    """Encoder A and decoder B of the smallest ‖X A B − X‖², by its gradient alone."""
    A, B = (0.1 * torch.randn(shape).double() / k for shape in ((X.shape[1], k), (k, X.shape[1])))
    minimise(lambda: (X @ A @ B - X).square().sum() / X.square().sum(), [A, B], steps=400, exact=True)
    return A.detach(), B.detach()


def largest_angle(P: Float[Tensor, "k d"], Q: Float[Tensor, "k d"]) -> float:
    """The largest principal angle between the spaces that the rows span, radians (Björck & Golub 1973)."""
    p, q = (torch.linalg.qr(M.T).Q for M in (P, Q))
    return float(torch.linalg.matrix_norm(q - p @ (p.T @ q), 2).clamp(max=1).asin())


@demo("F15")
def autoencoder() -> Demo:
    """A linear autoencoder, learnt, is the singular value decomposition, computed.

    The weights themselves differ: any invertible matrix may stand between encoder and decoder.
    """
    x = digits()[0].flatten(1).double()
    X = x - x.mean(0)
    A, B = learnt(X, CODE)
    S, Vh = torch.linalg.svd(X, full_matrices=False)[1:]
    angle = largest_angle(B, Vh[:CODE])
    error, tail = float((X @ A @ B - X).square().sum()), float(S[CODE:].square().sum())
    some = torch.randperm(len(X))[:SHOWN]
    kept = [x, X @ A @ B + x.mean(0), X @ Vh[:CODE].T @ Vh[:CODE] + x.mean(0)]
    rows = [torch.cat([pad(y[i].view(8, 8), (0, 1, 0, 1), value=1.0) for i in some], 1) for y in kept]
    spectrum = {"kept": (range(1, CODE + 1), S[:CODE]), "lost": (range(CODE + 1, 62), S[CODE:61])}
    panels: list[Panel] = [
        Photo(torch.cat(rows), "digits; after the autoencoder; after the SVD"),
        Lines(spectrum, "singular values σ of X", "k", log="y"),
    ]
    lines = [
        f"64 pixels → {CODE} numbers → 64 pixels, learnt from {len(X):,} digits by gradient alone",
        f"largest angle between the decoder's space and the SVD's: {angle:.1e} rad",
        f"squared error of the autoencoder {error:.4f}; Σ σ² of what the SVD leaves out {tail:.4f}",
        f"share of the variance kept: {1 - error / float(S.square().sum()):.1%}",
    ]
    drawn = page(panels, "An autoencoder without non-linearity finds the SVD", widths=[1.7, 1])
    return Demo(drawn, lines, {"angle": angle, "error": error, "tail": tail})

"""Autoencoders: a picture, through a code narrower than itself, and back. Two stages: `encode` and `decode`.

They classify nothing, so they are no entries of the registry; `walk(net, x, ["encode"])` gives the code.
"""

from collections.abc import Callable

from torch import nn

from legato.layers.conv import ConvRelu
from legato.layers.stages import stages


def autoencoder_linear(channels: int = 1, size: int = 28, code: int = 8) -> nn.Sequential:
    """x (b, channels, size, size) → the same, through `code` numbers and no nonlinearity.

    Trained on squared error it spans the principal subspace: linear units learn the SVD (Baldi & Hornik 1989).
    """
    pixels = channels * size * size
    return stages(
        encode=stages(flat=nn.Flatten(), project=nn.Linear(pixels, code)),
        decode=stages(restore=nn.Linear(code, pixels), picture=nn.Unflatten(1, (channels, size, size))),
    )


def autoencoder_denoising(channels: int = 1) -> nn.Sequential:
    """x (b, channels, h, w), noisy → pixels in [0, 1], clean; h and w multiples of 4.

    Convolutional; what makes it one is its training: it sees noise and is asked for the picture (Vincent et al. 2008,
    "Extracting and composing robust features with denoising autoencoders").
    """
    return stages(
        encode=stages(
            conv1=ConvRelu(channels, 32, 3, stride=2),                         # (b, 32, h/2, w/2)
            conv2=ConvRelu(32, 64, 3, stride=2),                               # (b, 64, h/4, w/4)
        ),
        decode=stages(
            up2=nn.ConvTranspose2d(64, 32, 4, stride=2, padding=1),            # (b, 32, h/2, w/2)
            relu2=nn.ReLU(),
            up1=nn.ConvTranspose2d(32, channels, 4, stride=2, padding=1),      # (b, channels, h, w)
            pixels=nn.Sigmoid(),
        ),
    )  # fmt: skip


AUTOENCODERS: dict[str, Callable[..., nn.Sequential]] = {
    "linear": autoencoder_linear,
    "denoising": autoencoder_denoising,
}

"""GoogLeNet (Szegedy et al. 2014, "Going deeper with convolutions", arXiv:1409.4842, table 1 and figure 3).

As published: no batch normalisation, true 5×5 filters. That makes 6 998 552 parameters, 13 378 280 with the side heads;
the lecture's "only 5M" agrees with neither. The "params" column of table 1 does not everywhere agree with the filters
printed beside it (4c: 463K, where the filters make 498K, K being 1024); we follow the filters. The paper gives no
constants for its response normalisation: these are those of the Caffe release (k = 1, α = 1e-4 / 5, β = 0.75).
"""

import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

from legato.layers.conv import ConvRelu, rectified
from legato.layers.inception import Inception
from legato.layers.normalize import LocalResponseNorm
from legato.layers.pooling import GlobalAverage
from legato.layers.stages import Sided, stages
from legato.networks.registry import network

#          in   1×1  3×3r  3×3  5×5r  5×5  pool        table 1, row by row
ROWS = {
    "3a": (192,  64,   96, 128,   16,  32,   32),
    "3b": (256, 128,  128, 192,   32,  96,   64),
    "4a": (480, 192,   96, 208,   16,  48,   64),
    "4b": (512, 160,  112, 224,   24,  64,   64),
    "4c": (512, 128,  128, 256,   24,  64,   64),
    "4d": (512, 112,  144, 288,   32,  64,   64),
    "4e": (528, 256,  160, 320,   32, 128,  128),
    "5a": (832, 256,  160, 320,   32, 128,  128),
    "5b": (832, 384,  192, 384,   48, 128,  128),
}  # fmt: skip


@network(paper="arXiv:1409.4842", params=6_998_552, size=224)
def googlenet(classes: int = 1000, channels: int = 3) -> nn.Sequential:
    """GoogLeNet as it is used, without its side heads: x (b, channels, 224, 224) → logits (b, classes)."""
    return stages(
        conv1=ConvRelu(channels, 64, 7, stride=2),    # (b,   64, 112, 112)
        pool1=halve(),                                # (b,   64,  56,  56)
        norm1=LocalResponseNorm(k=1, alpha=2e-5),
        conv2r=ConvRelu(64, 64, 1),                   # (b,   64,  56,  56)
        conv2=ConvRelu(64, 192, 3),                   # (b,  192,  56,  56)
        norm2=LocalResponseNorm(k=1, alpha=2e-5),
        pool2=halve(),                                # (b,  192,  28,  28)
        inception3a=Inception(*ROWS["3a"]),           # (b,  256,  28,  28)
        inception3b=Inception(*ROWS["3b"]),           # (b,  480,  28,  28)
        pool3=halve(),                                # (b,  480,  14,  14)
        inception4a=Inception(*ROWS["4a"]),           # (b,  512,  14,  14)  ← first side head
        inception4b=Inception(*ROWS["4b"]),           # (b,  512,  14,  14)
        inception4c=Inception(*ROWS["4c"]),           # (b,  512,  14,  14)
        inception4d=Inception(*ROWS["4d"]),           # (b,  528,  14,  14)  ← second side head
        inception4e=Inception(*ROWS["4e"]),           # (b,  832,  14,  14)
        pool4=halve(),                                # (b,  832,   7,   7)
        inception5a=Inception(*ROWS["5a"]),           # (b,  832,   7,   7)
        inception5b=Inception(*ROWS["5b"]),           # (b, 1024,   7,   7)
        average=GlobalAverage(),                      # (b, 1024)
        dropout=nn.Dropout(0.4),
        classify=nn.Linear(1024, classes),            # (b, 1000)
    )  # fmt: skip


def discounted(outputs: tuple[Tensor, ...], targets: Int[Tensor, "b"]) -> Float[Tensor, ""]:
    """Cross entropy, plus that of each side head times 0.3 (section 5)."""
    logits, *sides = outputs
    return F.cross_entropy(logits, targets) + sum(0.3 * F.cross_entropy(side, targets) for side in sides)


def first(outputs: tuple[Tensor, ...]) -> Tensor:
    """The logits of the network itself: "these auxiliary networks are discarded" at inference."""
    return outputs[0]


@network(paper="arXiv:1409.4842", params=13_378_280, size=224, loss=discounted, read=first)
def googlenet_auxiliary(classes: int = 1000, channels: int = 3) -> Sided:
    """GoogLeNet as it was trained, with two side heads (section 5): x → (logits, logits of 4a, logits of 4d)."""
    heads = {"inception4a": side(512, classes), "inception4d": side(528, classes)}
    return Sided(googlenet(classes, channels), heads)


def halve() -> nn.MaxPool2d:
    return nn.MaxPool2d(3, stride=2, ceil_mode=True)


def side(inputs: int, classes: int) -> nn.Sequential:
    """(b, inputs, 14, 14) → (b, classes)."""
    return stages(
        pool=nn.AvgPool2d(5, stride=3),               # (b, inputs, 4, 4)
        conv=ConvRelu(inputs, 128, 1),                # (b,    128, 4, 4)
        flat=nn.Flatten(),                            # (b, 2048)
        hidden=rectified(nn.Linear(128 * 4 * 4, 1024)),    # (b, 1024)
        relu=nn.ReLU(),
        dropout=nn.Dropout(0.7),
        classify=nn.Linear(1024, classes),            # (b, classes)
    )  # fmt: skip

"""Rows V1 and F13: what units like to see, and projections that merge."""

from pathlib import Path

import pytest
import torch
from torch import nn

from legato.errors import UsageError
from legato.explain.deconvnet import deconvnet
from legato.explain.projection import fisher
from legato.explain.top_patches import top_patches
from legato.layers.conv import ConvRelu
from legato.layers.fold import fold_linear
from legato.layers.stages import stages
from legato.networks import registry
from legato.networks.weights import load_published


def test_V1_the_nine_patches_of_a_channel_and_what_in_them_made_it_respond() -> None:
    """A filter that looks for a cross finds the nine pictures it was planted in, and gives the cross back."""
    torch.manual_seed(0)
    cross = torch.zeros(5, 5)
    cross[2] = cross[:, 2] = 1
    net = stages(conv=ConvRelu(1, 1, 5, padding=0), pool=nn.MaxPool2d(2))
    with torch.no_grad():
        net.conv.conv.weight.copy_(cross - cross.mean())
    x = 0.02 * torch.rand(50, 1, 24, 24)
    planted = {3 * k + 1: (2 * k, 18 - 2 * k) for k in range(9)}  # example → the cross's corner
    for example, (i, j) in planted.items():
        x[example, 0, i : i + 5, j : j + 5] += (1 - 0.02 * example) * cross
    with torch.no_grad():
        best = top_patches(((part.tolist(), net(x[part])) for part in torch.arange(50).split(8)), 9)
    assert best.belongs[0][0].tolist() == list(planted)  # the strongest first
    for example, place in zip(*(b[0].tolist() for b in best.belongs)):
        signal = deconvnet(net, "pool", x[[example]], torch.tensor([0]), torch.tensor([place]))[0, 0]
        i, j = planted[example]
        patch = signal[i : i + 5, j : j + 5]
        assert signal.count_nonzero() == patch.count_nonzero() == 25  # nothing outside
        assert (patch[cross == 1] > 0).all()
        assert (patch[cross == 0] < 0).all()


def test_V1_published_squeezenet_gives_back_where_the_unit_looks(real_data: Path) -> None:
    """In a picture that is grey but for one quarter, channels of fire5 respond there, and there alone."""
    net = registry.lookup("squeezenet").build().eval()
    load_published(net, str(real_data / "pretrained" / "squeezenet1_1" / "squeezenet1_1_fp16.npz"))
    torch.manual_seed(0)
    x = torch.zeros(1, 3, 227, 227)
    x[..., :96, :96] = 60 * torch.nn.functional.interpolate(torch.randn(1, 3, 24, 24), scale_factor=4, mode="bilinear")
    with torch.no_grad():
        maps = net[:7](x)[0]  # fire5
        blank = net[:7](torch.zeros_like(x))[0]
    channel = int((maps.amax((1, 2)) - blank.amax((1, 2))).argmax())
    signal = deconvnet(net, "fire5", x, torch.tensor([channel]))[0].abs()
    assert signal[:, :128, :128].sum() / signal.sum() > 0.99


def test_F13_projections_merge_and_a_nonlinearity_prevents_it() -> None:
    """Vᵀ Wᵀ x = (W V)ᵀ x: Fisher's projection of what a linear layer gives is one projection of what it is given."""
    torch.manual_seed(0)
    classes = torch.arange(120) % 3
    x = torch.randn(120, 12, dtype=torch.float64)
    x[:, 0] += 4.0 * classes
    W = nn.Linear(12, 8, dtype=torch.float64)
    V = fisher(W(x).detach(), classes)
    merged = fold_linear(stages(W=W, V=V))
    torch.testing.assert_close(merged(x), V(W(x)))
    torch.testing.assert_close(merged.weight, V.weight @ W.weight)
    with pytest.raises(UsageError, match="a non-linearity prevents merging"):
        fold_linear(stages(W=W, relu=nn.ReLU(), V=V))


def test_F13_fisher_parts_what_the_direction_of_most_variance_mixes() -> None:
    """Two classes like two sheets of paper, one on the other: LDA's wᵀx parts them, the first component does not."""
    torch.manual_seed(0)
    classes = torch.arange(400) % 2
    x = torch.randn(400, 2) * torch.tensor([10.0, 0.3])
    x[:, 1] += 2.0 * classes
    y = fisher(x, classes)(x)[:, 0]
    parted = y > y.mean()
    assert max((parted == classes.bool()).double().mean(), (parted != classes.bool()).double().mean()) > 0.99
    first = x @ torch.linalg.svd(x - x.mean(0), full_matrices=False)[2][0]
    mixed = ((first > first.mean()) == classes.bool()).double().mean()
    assert 0.35 < mixed < 0.65

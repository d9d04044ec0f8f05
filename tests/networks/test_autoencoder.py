"""Autoencoders: through a narrow code and back, in the shape of what went in."""

import torch

from legato.layers import walk
from legato.networks.autoencoder import autoencoder_denoising, autoencoder_linear


def test_the_linear_one_restores_any_point_of_a_subspace_as_wide_as_its_code():
    net, basis = autoencoder_linear(size=6, code=3).double(), torch.linalg.qr(torch.randn(36, 3).double())[0]
    with torch.no_grad():
        net.encode.project.weight.copy_(basis.T)
        net.decode.restore.weight.copy_(basis)
        for layer in (net.encode.project, net.decode.restore):
            layer.bias.zero_()
    x = (torch.randn(5, 3).double() @ basis.T).view(5, 1, 6, 6)
    torch.testing.assert_close(net(x), x)
    assert walk(net, x, ["encode"])["encode"].shape == (5, 3)


def test_the_denoising_one_takes_any_size_in_fours_and_gives_pixels():
    net = autoencoder_denoising(channels=3)
    for h, w in ((28, 28), (32, 48)):
        y = net(torch.randn(2, 3, h, w))
        assert y.shape == (2, 3, h, w)
        assert y.min() >= 0
        assert y.max() <= 1

"""The lecture's kernels on pictures."""

import pytest
import torch
from scipy.ndimage import correlate

from legato.layers.hand_kernels import HAND_KERNELS, filter_image


@pytest.mark.parametrize("name", HAND_KERNELS)
def test_equals_scipy_with_the_edge_repeated(name):
    image = torch.rand(1, 2, 9, 7, generator=torch.Generator().manual_seed(0))
    ours = filter_image(image, HAND_KERNELS[name])
    for channel in range(2):
        theirs = correlate(image[0, channel].numpy(), HAND_KERNELS[name].numpy(), mode="nearest")
        torch.testing.assert_close(ours[0, channel], torch.from_numpy(theirs))


def test_blurs_and_sharpening_keep_a_flat_picture_and_edges_lose_it():
    flat = torch.full((1, 1, 5, 5), 0.7)
    for name, kernel in HAND_KERNELS.items():
        expected = 0.0 if "edges" in name else 0.7
        torch.testing.assert_close(filter_image(flat, kernel), torch.full_like(flat, expected))

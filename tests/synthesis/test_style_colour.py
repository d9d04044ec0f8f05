"""Lightness and colour: NTSC's definition written again by colorsys, moments by NumPy."""

import colorsys

import numpy as np
import pytest
import torch

from legato.errors import UsageError
from legato.synthesis import colour


def picture(height=13, width=17, seed=0):
    return torch.rand(1, 3, height, width, generator=torch.Generator().manual_seed(seed))


def yiq(pixels):
    """(h w, 3) by Python's own library, whose coefficients are rounded to two digits."""
    return np.array([colorsys.rgb_to_yiq(*rgb) for rgb in pixels[0].permute(1, 2, 0).reshape(-1, 3).tolist()])


def test_luma_and_differences_are_those_of_yiq():
    x = picture()
    expected = yiq(x)
    np.testing.assert_allclose(colour.luminance(x).flatten(), expected[:, 0], atol=0.011)
    np.testing.assert_allclose(colour.chrominance(x)[0].flatten(1).T, expected[:, 1:], atol=0.02)


def test_grey_has_a_luma_and_no_colour():
    grey = torch.full((1, 3, 2, 2), 0.37)
    torch.testing.assert_close(colour.luminance(grey), torch.full((1, 1, 2, 2), 0.37))
    torch.testing.assert_close(colour.chrominance(grey), torch.zeros(1, 2, 2, 2), atol=1e-6, rtol=0)


def test_lit_anew_colours_stay_and_nothing_leaves_the_unit_cube():
    content, luma = picture(), torch.rand(1, 1, 13, 17)
    lit = colour.with_luminance(content, luma)
    torch.testing.assert_close(colour.chrominance(lit), colour.chrominance(content), atol=1e-6, rtol=0)
    assert lit.min() >= -1e-6
    assert lit.max() <= 1 + 1e-6
    possible = ((content - colour.luminance(content) + luma) - 0.5).abs().amax(dim=1, keepdim=True) < 0.5
    assert possible.any()
    torch.testing.assert_close(colour.luminance(lit)[possible], luma[possible], atol=1e-6, rtol=0)


def test_lit_by_its_own_luma_a_picture_is_itself():
    content = picture()
    torch.testing.assert_close(colour.with_luminance(content, colour.luminance(content)), content)


def test_matched_luma_has_mean_and_deviation_of_the_other():
    a, b = picture(seed=1).mean(1, keepdim=True) ** 2, picture(9, 11, seed=2)[:, :1]
    found = colour.matched_luminance(a, b)
    np.testing.assert_allclose([found.mean(), found.std()], [b.mean(), b.std()], atol=1e-5)


def test_matched_colours_have_mean_and_covariance_of_the_other():
    mix = torch.tensor([[1.0, 0.4, 0.0], [0.2, 0.5, 0.1], [0.0, 0.3, 0.9]])
    a = torch.einsum("dc,bchw->bdhw", mix, picture(seed=1))
    b = torch.einsum("dc,bchw->bdhw", mix.T, picture(9, 11, seed=2)) ** 2
    found = colour.matched_colours(a, b)[0].flatten(1).numpy()
    aim = b[0].flatten(1).numpy()
    np.testing.assert_allclose(found.mean(1), aim.mean(1), atol=1e-4)
    np.testing.assert_allclose(np.cov(found, bias=True), np.cov(aim, bias=True), atol=1e-4)


def test_matched_to_themselves_colours_stay():
    a = picture()
    torch.testing.assert_close(colour.matched_colours(a, a), a, atol=1e-5, rtol=0)


def test_a_grey_painting_takes_the_mean_of_the_content_and_stays_finite():
    grey, aim = torch.rand(1, 1, 8, 8).expand(1, 3, 8, 8), picture()
    found = colour.matched_colours(grey, aim)
    assert found.isfinite().all()
    torch.testing.assert_close(found.mean(dim=(2, 3)), aim.mean(dim=(2, 3)), atol=1e-4, rtol=0)


def test_pictures_without_colours_are_refused():
    with pytest.raises(UsageError, match="pictures of 1 channels have no colours"):
        colour.coloured(torch.zeros(1, 1, 2, 2), "--colour luminance")

"""Anchors where and as large as the paper says; levels by its equation; the pyramid's figure."""

import torch
from torch.nn import functional as F

from legato.layers.regions import FeaturePyramid, anchors, area, crop_levels, fitted_shapes, level_of, roi_align, shapes


def test_the_papers_nine_shapes():
    # Faster R-CNN: 128², 256², 512² pixels, ratios 1:1, 1:2, 2:1
    nine = shapes((128, 256, 512), (0.5, 1, 2))
    torch.testing.assert_close(nine.prod(1), torch.tensor([128.0**2] * 3 + [256.0**2] * 3 + [512.0**2] * 3))
    torch.testing.assert_close(nine[:, 1] / nine[:, 0], torch.tensor([0.5, 1, 2] * 3))


def test_anchors_stand_on_the_middle_of_their_cell_row_by_row():
    made = anchors(2, 3, 16, torch.tensor([[8.0, 4.0], [16.0, 16.0]]))
    assert made.shape == (2 * 3 * 2, 4)
    assert made[0].tolist() == [4, 6, 12, 10]  # cell (0, 0), middle (8, 8)
    assert made[1].tolist() == [0, 0, 16, 16]
    assert made[3].tolist() == [16, 0, 32, 16]  # one to the right
    assert made[7].tolist() == [0, 16, 16, 32]  # one down


def test_a_picture_of_1000_by_600_has_about_20000_anchors():
    # section 3.3: "for a typical 1000 × 600 image, there will be roughly 20000 (≈ 60 × 40 × 9) anchors"
    assert len(anchors(600 // 16 + 1, 1000 // 16 + 1, 16, shapes((128, 256, 512), (0.5, 1, 2)))) == 38 * 63 * 9


def test_levels_by_equation_1():
    strides = (4, 8, 16, 32)
    sides = torch.tensor([10.0, 111, 112, 223, 224, 447, 448, 4000])
    boxes = torch.stack([torch.zeros(8), torch.zeros(8), sides, sides], dim=1)
    assert level_of(boxes, strides).tolist() == [0, 0, 1, 1, 2, 2, 3, 3]


def test_the_pyramid_is_lateral_plus_coarser_enlarged():
    fine, coarse = torch.randn(1, 3, 5, 7), torch.randn(1, 6, 3, 4)
    pyramid = FeaturePyramid((3, 6), 2)
    got = pyramid([fine, coarse])
    lateral = pyramid.even([pyramid.lateral[0](fine), pyramid.lateral[1](coarse)])
    top = lateral[1]
    below = lateral[0] + F.interpolate(top, (5, 7), mode="nearest")
    torch.testing.assert_close(got[1], pyramid.smooth[1](top))
    torch.testing.assert_close(got[0], pyramid.smooth[0](below))


def test_each_region_is_cut_from_its_own_level_and_picture():
    maps = [torch.randn(2, 3, 64 // s, 64 // s) for s in (8, 16)]
    boxes = [torch.tensor([[0.0, 0, 20, 20], [0, 0, 300, 300]]), torch.zeros(0, 4)]
    pooled = crop_levels(maps, boxes, 4, (8, 16), (0.0, 3.0))
    assert area(boxes[0]).tolist() == [400, 90000]
    zero = torch.tensor([0])
    torch.testing.assert_close(pooled[:1], roi_align(maps[0], boxes[0][:1], zero, 4, 8))
    torch.testing.assert_close(pooled[1:], roi_align(maps[1], boxes[0][1:] - 3, zero, 4, 16))


def test_fitted_shapes_find_the_sizes_of_the_data():
    g = torch.Generator().manual_seed(0)
    true = torch.tensor([[10.0, 10], [20, 60], [90, 45]])
    sizes = true[torch.arange(300) % 3] * (1 + 0.05 * torch.randn(300, 2, generator=g))
    torch.testing.assert_close(fitted_shapes(sizes, 3), true, rtol=0.03, atol=0)
    assert fitted_shapes(sizes[:2], 9).shape == (9, 2)  # fewer boxes than shapes asked for

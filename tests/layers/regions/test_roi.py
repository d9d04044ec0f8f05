"""RoI align against values derived by hand and the definition written as loops; RoI pool likewise."""

import math

import pytest
import torch

from legato.layers.regions import roi_align, roi_pool


def ramp(h: int, w: int) -> torch.Tensor:
    """A map that holds 10 y + x at the pixel (x, y) it stands for: bilinear reading of it is exact."""
    y, x = torch.meshgrid(torch.arange(h) + 0.5, torch.arange(w) + 0.5, indexing="ij")
    return (10 * y + x)[None, None]


def read(map_, y, x):
    """One bilinear reading at map coordinates, as published: nothing further than one position outside."""
    h, w = map_.shape
    if not (-1 <= y <= h and -1 <= x <= w):
        return 0.0
    y, x = min(max(y, 0), h - 1), min(max(x, 0), w - 1)
    y0, x0 = int(y), int(x)
    y1, x1 = min(y0 + 1, h - 1), min(x0 + 1, w - 1)
    dy, dx = y - y0, x - x0
    top = (1 - dx) * map_[y0, x0] + dx * map_[y0, x1]
    return float((1 - dy) * top + dy * ((1 - dx) * map_[y1, x0] + dx * map_[y1, x1]))


def loops(maps, boxes, picture, size, stride, samples):
    out = torch.zeros(len(boxes), maps.shape[1], size, size)
    for r, ((x1, y1, x2, y2), i) in enumerate(zip((boxes / stride - 0.5).tolist(), picture.tolist())):
        for c in range(maps.shape[1]):
            for p in range(size):
                for q in range(size):
                    points = [
                        read(
                            maps[i, c],
                            y1 + (p + (s + 0.5) / samples) * (y2 - y1) / size,
                            x1 + (q + (t + 0.5) / samples) * (x2 - x1) / size,
                        )
                        for s in range(samples)
                        for t in range(samples)
                    ]
                    out[r, c, p, q] = sum(points) / samples**2
    return out


def test_a_linear_map_is_read_at_the_middle_of_each_bin():
    # box (2, 1)–(6, 5), 2 × 2 bins: middles at x = 3, 5 and y = 2, 4, where 10 y + x is 23, 25, 43, 45
    pooled = roi_align(ramp(8, 8), torch.tensor([[2.0, 1, 6, 5]]), torch.tensor([0]), 2, stride=1)
    torch.testing.assert_close(pooled[0, 0], torch.tensor([[23.0, 25], [43, 45]]))


def test_stride_scales_the_box_and_keeps_the_half_pixel():
    # at stride 4 position j stands at pixel 4 j + 2; box (8, 4)–(24, 20) is (2, 1)–(6, 5) of the map
    pooled = roi_align(ramp(8, 8), torch.tensor([[8.0, 4, 24, 20]]), torch.tensor([0]), 2, stride=4)
    torch.testing.assert_close(pooled[0, 0], torch.tensor([[23.0, 25], [43, 45]]))


def test_one_sample_of_one_bin_between_four_positions():
    # middle of box (0, 0)–(2, 2) is the corner shared by the first four positions: their mean
    maps = torch.tensor([[1.0, 2, 9], [3, 6, 9], [9, 9, 9]])[None, None]
    pooled = roi_align(maps, torch.tensor([[0.0, 0, 2, 2]]), torch.tensor([0]), 1, stride=1, samples=1)
    assert pooled.item() == 3.0


@pytest.mark.parametrize("samples", [1, 2, 3])
@pytest.mark.parametrize("stride", [1.0, 2.0])
def test_equals_the_definition_also_over_the_edge(samples, stride):
    g = torch.Generator().manual_seed(samples)
    maps = torch.randn(2, 3, 5, 7, generator=g)
    boxes = torch.tensor([[0.0, 0, 7, 5], [-4, -3, 3.3, 2.2], [1.2, 0.7, 20, 18], [2, 2, 2.5, 2.5], [6, 4, 7, 5]])
    picture = torch.tensor([0, 1, 0, 1, 1])
    got = roi_align(maps, boxes, picture, 3, stride, samples)
    torch.testing.assert_close(got, loops(maps, boxes, picture, 3, stride, samples), atol=1e-5, rtol=1e-5)


def test_gradient_goes_to_the_map():
    maps = torch.randn(1, 2, 4, 5, dtype=torch.float64, requires_grad=True)
    boxes, picture = torch.tensor([[0.5, 0.2, 4.1, 3.3], [1.0, 1, 2, 3]]).double(), torch.tensor([0, 0])
    assert torch.autograd.gradcheck(lambda m: roi_align(m, boxes, picture, 2, 1.0), maps)


def test_no_boxes_and_a_map_of_one_position():
    assert roi_align(torch.ones(1, 4, 3, 3), torch.zeros(0, 4), torch.zeros(0).long(), 7, 16).shape == (0, 4, 7, 7)
    one = roi_align(torch.full((1, 1, 1, 1), 5.0), torch.tensor([[0.0, 0, 16, 16]]), torch.tensor([0]), 2, 16)
    torch.testing.assert_close(one, torch.full((1, 1, 2, 2), 5.0))


def test_roi_pool_is_the_largest_of_each_bin():
    # columns 2 … 8 and rows 0 … 4 of the map: 7 × 5 positions in 2 × 2 bins which overlap by one
    maps = ramp(6, 10)
    pooled = roi_pool(maps, torch.tensor([[32.0, 0, 128, 64]]), torch.tensor([0]), 2, stride=16)
    columns = [range(2 + math.floor(k * 3.5), 2 + math.ceil((k + 1) * 3.5)) for k in range(2)]
    rows = [range(math.floor(k * 2.5), math.ceil((k + 1) * 2.5)) for k in range(2)]
    expected = [[max(float(maps[0, 0, y, x]) for y in ys for x in xs) for xs in columns] for ys in rows]
    assert pooled[0, 0].tolist() == expected


def test_roi_pool_of_a_box_beside_the_map_reads_its_edge():
    pooled = roi_pool(ramp(3, 3), torch.tensor([[900.0, 900, 950, 950]]), torch.tensor([0]), 2, stride=16)
    assert pooled.flatten().tolist() == [ramp(3, 3)[0, 0, 2, 2].item()] * 4

"""Overlaps counted by hand and pixel by pixel; changes between boxes by the paper's equations."""

import math

import torch

from legato.layers.regions import area, clip, decode, encode, iou


def some_boxes(n: int, seed: int = 0, span: int = 40) -> torch.Tensor:
    g = torch.Generator().manual_seed(seed)
    low = torch.randint(0, span, (n, 2), generator=g)
    return torch.cat([low, low + 1 + torch.randint(0, span // 2, (n, 2), generator=g)], dim=1).float()


def test_iou_of_two_squares_by_hand():
    # 4×4 and 4×4, sharing 2×2: 4 / (16 + 16 − 4)
    square, moved = torch.tensor([[0.0, 0, 4, 4]]).double(), torch.tensor([[2.0, 2, 6, 6]]).double()
    assert iou(square, moved).item() == 4 / 28
    assert iou(torch.tensor([[0.0, 0, 4, 4]]), torch.tensor([[4.0, 0, 8, 4]])).item() == 0  # side by side


def test_iou_equals_counting_pixels():
    a, b = some_boxes(20), some_boxes(15, seed=1)

    def pixels(box):
        x1, y1, x2, y2 = box.int().tolist()
        return {(x, y) for x in range(x1, x2) for y in range(y1, y2)}

    counted = [[len(pixels(p) & pixels(q)) / len(pixels(p) | pixels(q)) for q in b] for p in a]
    torch.testing.assert_close(iou(a, b), torch.tensor(counted))


def test_empty_boxes_overlap_nothing_not_even_themselves():
    point = torch.tensor([[3.0, 3, 3, 3]])
    assert iou(point, point).item() == 0
    assert iou(torch.zeros(0, 4), point).shape == (0, 1)
    assert area(torch.tensor([[5.0, 5, 3, 9]])).item() == 0


def test_encode_is_the_papers_equations():
    p, g = torch.tensor([[10.0, 20, 30, 60]]), torch.tensor([[15.0, 10, 55, 30]])
    # p: centre (20, 40), size (20, 40); g: centre (35, 20), size (40, 20)
    expected = [[(35 - 20) / 20, (20 - 40) / 40, math.log(40 / 20), math.log(20 / 40)]]
    torch.testing.assert_close(encode(p, g), torch.tensor(expected))


def test_decode_undoes_encode():
    a, b = some_boxes(50), some_boxes(50, seed=2)
    torch.testing.assert_close(decode(a, encode(a, b)), b, atol=1e-4, rtol=1e-5)
    assert decode(a, torch.full((50, 4), 1e6)).isfinite().all()  # an untrained network may say anything


def test_clip_keeps_boxes_on_the_picture():
    torch.testing.assert_close(clip(torch.tensor([[-5.0, 2, 50, 99]]), 40, 30), torch.tensor([[0.0, 2, 30, 40]]))


def test_gradient_goes_through_iou():
    a = some_boxes(3).double().requires_grad_()
    b = some_boxes(4, seed=3).double() + 0.3
    assert torch.autograd.gradcheck(lambda a: iou(a, b), (a + 0.1).detach().requires_grad_())

"""Selective search: colours by their standards, segments by the rule written out, boxes around what is there."""

import colorsys

import numpy as np
import torch

from legato.layers.regions import iou
from legato.layers.regions.proposals import Remembering, grouped, hsv, lab, segments, selective_search, spanning_edges


def test_colours():
    rgb = np.random.default_rng(0).random((4, 5, 3))
    expected = [[colorsys.rgb_to_hsv(*pixel) for pixel in row] for row in rgb]
    np.testing.assert_allclose(hsv(rgb), expected, atol=1e-9)
    red = lab(np.array([[[1.0, 0, 0], [1, 1, 1], [0, 0, 0]]]))[0] * [100, 255, 255] - [0, 128, 128]
    np.testing.assert_allclose(
        red, [[53.2, 80.1, 67.2], [100, 0, 0], [0, 0, 0]], atol=0.3
    )  # published values of sRGB red


def test_the_tree_joins_all_pixels_with_the_least_weight():
    planes = np.random.default_rng(1).random((6, 7, 3))
    start, end, weight = spanning_edges(planes)
    assert len(start) == 6 * 7 - 1
    assert weight == sorted(weight)
    true = [np.linalg.norm(planes[a // 7, a % 7] - planes[b // 7, b % 7]) for a, b in zip(start, end)]
    np.testing.assert_allclose(weight, true, atol=1e-9)


def test_segments_by_all_edges_are_those_by_the_tree():
    """The rule with every edge of the graph in order of weight, as the paper states it."""
    planes = np.random.default_rng(2).random((9, 8, 3))
    k, h, w = 120.0, 9, 8
    edges = []
    for y in range(h):
        for x in range(w):
            for dy, dx in ((0, 1), (1, 0), (1, 1), (1, -1)):
                if 0 <= y + dy < h and 0 <= x + dx < w:
                    weight = np.linalg.norm(255 * (planes[y, x] - planes[y + dy, x + dx]))
                    edges.append((weight, y * w + x, (y + dy) * w + x + dx))
    owner, size, inner = list(range(h * w)), [1] * (h * w), [0.0] * (h * w)
    for weight, a, b in sorted(edges):
        a, b = owner[a], owner[b]
        if a != b and weight <= min(inner[a] + k / size[a], inner[b] + k / size[b]):
            owner = [a if o == b else o for o in owner]
            size[a], inner[a] = size[a] + size[b], weight
    expected = np.unique(owner, return_inverse=True)[1].reshape(h, w)
    got = segments(planes, k, min_size=1, sigma=0.0)
    same = lambda labels: labels.ravel()[:, None] == labels.ravel()
    assert 1 < got.max() + 1 < h * w
    assert np.array_equal(same(got), same(expected))


def test_two_halves_are_two_segments_and_then_one():
    planes = np.zeros((20, 30, 3))
    planes[:, 12:] = 1
    labels = segments(planes, 50, min_size=5, sigma=0.0)
    assert labels.max() == 1
    assert grouped(planes, labels) == [(0, 0, 12, 20), (12, 0, 30, 20), (0, 0, 30, 20)]


def test_it_proposes_boxes_around_plain_objects():
    g = torch.Generator().manual_seed(0)
    pixels = (80 + 10 * torch.rand(3, 60, 80, generator=g)).byte()
    objects = torch.tensor([[10.0, 12, 30, 40], [45, 20, 70, 50]])
    for (x1, y1, x2, y2), colour in zip(objects.int().tolist(), ([220, 30, 30], [30, 30, 220])):
        pixels[:, y1:y2, x1:x2] = torch.tensor(colour, dtype=torch.uint8)[:, None, None]
    proposed = selective_search(pixels)
    assert (iou(objects, proposed).amax(dim=1) > 0.85).all()
    assert torch.equal(selective_search(pixels), proposed)
    assert selective_search(pixels[:1], most=3).shape == (3, 4)  # grey


def test_the_same_picture_is_searched_once():
    calls = []

    def search(pixels):
        calls.append(pixels)
        return torch.zeros(1, 4)

    remembering, pixels = Remembering(search), torch.zeros(3, 4, 4, dtype=torch.uint8)
    for picture in (pixels, pixels.clone(), pixels + 1, pixels):
        remembering(picture)
    assert len(calls) == 2

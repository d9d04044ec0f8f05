"""Where something might be, by colour and texture alone: selective search on a graph segmentation, in numpy and scipy.

Felzenszwalb & Huttenlocher 2004, "Efficient graph-based image segmentation"; Uijlings et al. 2013, "Selective search
for object recognition". What R-CNN and Fast R-CNN look at.
"""

from collections.abc import Callable, Iterator
from hashlib import blake2b
from heapq import heapify, heappop, heappush
from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Float64, Int64, UInt8
from scipy.ndimage import gaussian_filter, gaussian_filter1d
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import minimum_spanning_tree
from torch import Tensor

Pixels = UInt8[Tensor, "_c _h _w"]
Boxes = Float[Tensor, "_n 4"]
Planes = Float64[np.ndarray, "h w 3"]
COLOURS, GRADIENTS, DIRECTIONS = 25, 10, 8  # bins of the histograms, and directions of a gradient (section 3.2)
SCALES = (50.0, 100.0)  # k of the segmentations: "fast" search of the paper, with two colour spaces
SMALLEST = 8  # pixels a side of a region worth looking at


def selective_search(pixels: Pixels, most: int = 1000) -> Boxes:
    """Boxes x1 y1 x2 y2 around regions that were segments, or grew together from similar ones; later unions first.

    Two colour spaces × two scales; boxes that occur twice are told once.
    """
    rgb = np.moveaxis(pixels.expand(3, -1, -1).numpy() if len(pixels) == 1 else pixels.numpy(), 0, 2) / 255.0
    ranked: dict[tuple[int, int, int, int], float] = {}
    for planes in (hsv(rgb), lab(rgb)):
        for k in SCALES:
            boxes = grouped(planes, segments(planes, k, min_size=int(k)))
            for place, box in enumerate(reversed(boxes)):
                ranked[box] = min(place, ranked.get(box, place))
    large = [b for b in sorted(ranked, key=lambda b: (ranked[b], b)) if min(b[2] - b[0], b[3] - b[1]) >= SMALLEST]
    return torch.tensor(large[:most], dtype=torch.float32).reshape(-1, 4)


class Remembering:
    """A search that is done once for each picture, known again by its pixels: training comes back every epoch."""

    def __init__(self, search: Callable[[Pixels], Boxes]) -> None:
        self.search, self.found = search, dict[bytes, Boxes]()

    def __call__(self, pixels: Pixels) -> Boxes:
        key = blake2b(pixels.contiguous().numpy().tobytes(), digest_size=16).digest()
        if key not in self.found:
            self.found[key] = self.search(pixels)
        return self.found[key]


# colours
def hsv(rgb: Planes) -> Planes:
    """Hue, saturation, value, each in [0, 1] (Smith 1978)."""
    value, low = rgb.max(2), rgb.min(2)
    span = np.maximum(value - low, 1e-12)
    r, g, b = np.moveaxis(rgb, 2, 0)
    hue = np.select([value == r, value == g], [(g - b) / span % 6, (b - r) / span + 2], (r - g) / span + 4) / 6
    return np.stack([hue * (value > low), (value - low) / np.maximum(value, 1e-12), value], axis=2)


def lab(rgb: Planes) -> Planes:
    """CIE 1976 L*a*b* of sRGB under D65, each brought to [0, 1]."""
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    to_xyz = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])
    xyz = linear @ to_xyz.T / np.array([0.9505, 1.0, 1.089])
    f = np.where(xyz > 0.008856, np.cbrt(xyz), 7.787 * xyz + 16 / 116)
    lightness, a, b = 116 * f[..., 1] - 16, 500 * (f[..., 0] - f[..., 1]), 200 * (f[..., 1] - f[..., 2])
    return np.stack([lightness / 100, (a + 128) / 255, (b + 128) / 255], axis=2)


# segments
def segments(planes: Planes, k: float, min_size: int, sigma: float = 0.8) -> Int64[np.ndarray, "h w"]:
    """The segment of each pixel, 0 … n − 1: neighbours join while their difference is small beside those within.

    Two join over an edge of weight w if w ≤ min(Int(C) + k / |C|) (equations 3 and 4), edges in order of weight. Only
    edges of the minimum spanning tree can join anything: where one does not, one of the two sides is finished (lemma 1
    of the paper), so a heavier edge between them cannot either.
    """
    height, width = planes.shape[:2]
    smooth = gaussian_filter(planes, (sigma, sigma, 0))
    start, end, weight = spanning_edges(255 * smooth)
    joined = Joined(height * width)
    difference = [k] * (height * width)  # Int(C) + k / |C| of each component, by its root
    for a, b, w in zip(start, end, weight):
        a, b = joined.root(a), joined.root(b)
        if a != b and w <= difference[a] and w <= difference[b]:
            root = joined.join(a, b)
            difference[root] = w + k / joined.size[root]
    for a, b in zip(start, end):
        a, b = joined.root(a), joined.root(b)
        if a != b and min(joined.size[a], joined.size[b]) < min_size:
            joined.join(a, b)
    roots = np.array([joined.root(i) for i in range(height * width)])
    return np.unique(roots, return_inverse=True)[1].reshape(height, width)


def spanning_edges(planes: Planes) -> tuple[list[int], list[int], list[float]]:
    """Of the graph of pixels and their eight neighbours the minimum spanning tree, lightest edges first."""
    height, width = planes.shape[:2]
    index = np.arange(height * width).reshape(height, width)
    pairs: list[tuple[Any, Any]] = [  # from a pixel to the next one right, below, below right, below left
        (np.s_[:, :-1], np.s_[:, 1:]),
        (np.s_[:-1], np.s_[1:]),
        (np.s_[:-1, :-1], np.s_[1:, 1:]),
        (np.s_[:-1, 1:], np.s_[1:, :-1]),
    ]
    start = np.concatenate([index[a].ravel() for a, _ in pairs])
    end = np.concatenate([index[b].ravel() for _, b in pairs])
    weight = np.concatenate([np.linalg.norm(planes[a] - planes[b], axis=2).ravel() for a, b in pairs])
    graph = coo_matrix((weight + 1.0, (start, end)), shape=(index.size, index.size))  # + 1: scipy takes 0 for no edge
    tree = minimum_spanning_tree(graph.tocsr()).tocoo()
    order = np.argsort(tree.data, kind="stable")
    return tree.row[order].tolist(), tree.col[order].tolist(), (tree.data[order] - 1.0).tolist()


class Joined:
    """Disjoint sets (Tarjan 1975): union by size, paths halved."""

    def __init__(self, count: int) -> None:
        self.parent, self.size = list(range(count)), [1] * count

    def root(self, i: int) -> int:
        parent = self.parent
        while parent[i] != i:
            parent[i] = i = parent[parent[i]]
        return i

    def join(self, a: int, b: int) -> int:
        """Two roots become one; which."""
        if self.size[a] < self.size[b]:
            a, b = b, a
        self.parent[b] = a
        self.size[a] += self.size[b]
        return a


# grouping
class Region(NamedTuple):
    """What similarity is measured by, and what holds it."""

    size: int
    box: tuple[int, int, int, int]
    colour: Float64[np.ndarray, "_bins"]
    texture: Float64[np.ndarray, "_bins"]


def grouped(planes: Planes, labels: Int64[np.ndarray, "h w"]) -> list[tuple[int, int, int, int]]:
    """Boxes of all segments, then of their unions: again and again the most similar neighbours join (algorithm 1)."""
    regions, area = dict(enumerate(described(planes, labels))), labels.size
    around = neighbours(labels, len(regions))
    queue = [(-similarity(regions[a], regions[b], area), a, b) for a in around for b in around[a] if a < b]
    heapify(queue)
    boxes = [region.box for region in regions.values()]
    while queue:
        _, a, b = heappop(queue)
        if a not in regions or b not in regions:  # has joined another meanwhile
            continue
        new = len(boxes)
        regions[new] = union(regions.pop(a), regions.pop(b))
        around[new] = (around.pop(a) | around.pop(b)) - {a, b}
        for c in around[new]:
            around[c] = (around[c] - {a, b}) | {new}
            heappush(queue, (-similarity(regions[new], regions[c], area), c, new))
        boxes.append(regions[new].box)
    return boxes


def described(planes: Planes, labels: Int64[np.ndarray, "h w"]) -> Iterator[Region]:
    """Size, box and histograms of each segment."""
    count = int(labels.max()) + 1
    y, x = np.indices(labels.shape)
    size = np.bincount(labels.ravel(), minlength=count)
    low, high = np.full((count, 2), np.iinfo(np.int64).max), np.zeros((count, 2), np.int64)
    at = np.stack([x, y], axis=2).reshape(-1, 2)
    np.minimum.at(low, labels.ravel(), at)
    np.maximum.at(high, labels.ravel(), at + 1)
    colour = histograms(labels, list(np.moveaxis(planes, 2, 0)), COLOURS, count)
    texture = histograms(labels, list(gradients(planes)), GRADIENTS, count)
    for i in range(count):
        box = (int(low[i, 0]), int(low[i, 1]), int(high[i, 0]), int(high[i, 1]))
        yield Region(int(size[i]), box, colour[i], texture[i])


def histograms(labels: np.ndarray, planes: list[np.ndarray], bins: int, count: int) -> Float64[np.ndarray, "n _bins"]:
    """Of each segment the histograms of all planes end to end, L1-normalised."""
    parts = []
    for plane in planes:
        bin_of = np.clip((plane * bins).astype(np.int64), 0, bins - 1)
        parts.append(np.bincount((labels * bins + bin_of).ravel(), minlength=count * bins).reshape(count, bins))
    whole = np.concatenate(parts, axis=1).astype(np.float64)
    return whole / whole.sum(1, keepdims=True)


def gradients(planes: Planes) -> Iterator[np.ndarray]:
    """Gaussian derivatives (σ = 1) in 8 directions of each channel, from −¼ … ¼ brought to 0 … 1."""
    for plane in np.moveaxis(planes, 2, 0):
        dx, dy = (gaussian_filter1d(gaussian_filter1d(plane, 1, 1 - axis), 1, axis, order=1) for axis in (1, 0))
        for turn in np.arange(DIRECTIONS) * (2 * np.pi / DIRECTIONS):
            yield np.maximum(0, np.cos(turn) * dx + np.sin(turn) * dy) * 4


def neighbours(labels: Int64[np.ndarray, "h w"], count: int) -> dict[int, set[int]]:
    around: dict[int, set[int]] = {i: set() for i in range(count)}
    for a, b in ((labels[:, :-1], labels[:, 1:]), (labels[:-1], labels[1:])):
        for i, j in np.unique(np.stack([a[a != b], b[a != b]], axis=1), axis=0).tolist():
            around[i].add(j)
            around[j].add(i)
    return around


def similarity(a: Region, b: Region, area: int) -> float:
    """Colour + texture + small ones first + the two fill their box (equations 3 to 6)."""
    x1, y1, x2, y2 = around_both(a, b)
    together = a.size + b.size
    alike = float(np.minimum(a.colour, b.colour).sum() + np.minimum(a.texture, b.texture).sum())
    return alike + 1 - together / area + 1 - ((x2 - x1) * (y2 - y1) - together) / area


def union(a: Region, b: Region) -> Region:
    size = a.size + b.size
    colour = (a.size * a.colour + b.size * b.colour) / size
    return Region(size, around_both(a, b), colour, (a.size * a.texture + b.size * b.texture) / size)


def around_both(a: Region, b: Region) -> tuple[int, int, int, int]:
    (a1, a2, a3, a4), (b1, b2, b3, b4) = a.box, b.box
    return min(a1, b1), min(a2, b2), max(a3, b3), max(a4, b4)

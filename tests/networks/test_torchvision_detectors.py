"""Twins of torchvision's detectors and segmenter: names, shapes and counts as published, and every rule a second time,
written from the descriptions of its sources with functional calls, NumPy and loops."""

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from legato.layers.regions.objects import Canvas, Truth
from legato.networks import faster_rcnn_torchvision, mask_rcnn_torchvision
from legato.networks.faster_rcnn_torchvision import FasterRCNNTorchvision, own_names
from legato.networks.fcn_torchvision import FCNTorchvision
from legato.networks.mask_rcnn_torchvision import MaskRCNNTorchvision

Shapes = dict[str, tuple[int, ...]]
CLASSES = 5


# the published files, name by name
def norm(name: str, n: int, counted: bool) -> Shapes:
    found: Shapes = {f"{name}.{part}": (n,) for part in ("weight", "bias", "running_mean", "running_var")}
    return found | ({f"{name}.num_batches_tracked": ()} if counted else {})


def body(prefix: str, counted: bool) -> Shapes:
    found: Shapes = {f"{prefix}conv1.weight": (64, 3, 7, 7)} | norm(f"{prefix}bn1", 64, counted)
    inputs = 64
    for layer, (width, count) in enumerate(((64, 3), (128, 4), (256, 6), (512, 3)), start=1):
        for block in range(count):
            own = f"{prefix}layer{layer}.{block}."
            for i, shape in enumerate(((width, inputs, 1, 1), (width, width, 3, 3), (4 * width, width, 1, 1)), start=1):
                found[f"{own}conv{i}.weight"] = shape
                found |= norm(f"{own}bn{i}", shape[0], counted)
            if block == 0:
                found[f"{own}downsample.0.weight"] = (4 * width, inputs, 1, 1)
                found |= norm(f"{own}downsample.1", 4 * width, counted)
            inputs = 4 * width
    return found


def layer(name: str, *shape: int, outputs: int = 0) -> Shapes:
    return {f"{name}.weight": shape, f"{name}.bias": (outputs or shape[0],)}


def faster_file(classes: int) -> Shapes:
    found = body("backbone.body.", counted=False)
    for i, n in enumerate((256, 512, 1024, 2048)):
        found |= layer(f"backbone.fpn.inner_blocks.{i}", 256, n, 1, 1)
        found |= layer(f"backbone.fpn.layer_blocks.{i}", 256, 256, 3, 3)
    found |= layer("rpn.head.conv", 256, 256, 3, 3)
    found |= layer("rpn.head.cls_logits", 3, 256, 1, 1) | layer("rpn.head.bbox_pred", 12, 256, 1, 1)
    found |= layer("roi_heads.box_head.fc6", 1024, 256 * 49) | layer("roi_heads.box_head.fc7", 1024, 1024)
    found |= layer("roi_heads.box_predictor.cls_score", classes + 1, 1024)
    return found | layer("roi_heads.box_predictor.bbox_pred", 4 * (classes + 1), 1024)


def mask_file(classes: int) -> Shapes:
    found = faster_file(classes)
    for i in (1, 2, 3, 4):
        found |= layer(f"roi_heads.mask_head.mask_fcn{i}", 256, 256, 3, 3)
    found |= layer("roi_heads.mask_predictor.conv5_mask", 256, 256, 2, 2)
    return found | layer("roi_heads.mask_predictor.mask_fcn_logits", classes + 1, 256, 1, 1)


def fcn_file(classes: int) -> Shapes:
    found = body("backbone.", counted=True)
    for name, n in (("classifier", 2048), ("aux_classifier", 1024)):
        found |= {f"{name}.0.weight": (n // 4, n, 3, 3)} | norm(f"{name}.1", n // 4, True)
        found |= layer(f"{name}.4", classes, n // 4, 1, 1)
    return found


def drawn(shapes: Shapes) -> dict[str, Tensor]:
    """Weights that keep numbers of the size of one."""
    g = torch.Generator().manual_seed(0)
    found = {}
    for name, shape in shapes.items():
        if name.endswith("running_var") or (len(shape) == 1 and name.endswith("weight")):
            found[name] = (0.5 if name.endswith("weight") else 1.0) * (0.5 + torch.rand(shape, generator=g))
        elif len(shape) > 1:
            found[name] = torch.randn(shape, generator=g) * (1 / np.prod(shape[1:])) ** 0.5
        else:
            found[name] = torch.zeros(shape, dtype=torch.int64) if not shape else 0.1 * torch.randn(shape, generator=g)
    return found


@pytest.mark.parametrize(
    ("net", "shapes", "published"),
    [
        (FasterRCNNTorchvision, faster_file, 41_755_286),
        (MaskRCNNTorchvision, mask_file, 44_401_393),
        (FCNTorchvision, fcn_file, 35_322_218),
    ],
)
def test_names_shapes_and_parameters_are_those_published(net, shapes, published):
    classes = 21 if net is FCNTorchvision else 90
    with torch.device("meta"):
        twin = net(classes)
    assert {name: tuple(t.shape) for name, t in twin.state_dict().items()} == shapes(classes)
    assert sum(p.numel() for p in twin.parameters()) == published


def test_names_of_later_releases_are_brought_to_the_published_ones():
    later = {}
    for name in mask_file(CLASSES):
        name = name.replace("inner_blocks.1.", "inner_blocks.1.0.").replace("layer_blocks.3.", "layer_blocks.3.0.")
        name = name.replace("rpn.head.conv.", "rpn.head.conv.0.0.")
        for i in (1, 2, 3, 4):
            name = name.replace(f"mask_fcn{i}.", f"{i - 1}.0.")
        later[name] = torch.zeros(())
    assert set(own_names(later)) == set(mask_file(CLASSES))


# the forward pass a second time
def fixed(w, name, x, eps=0.0):
    return F.batch_norm(
        x, w[f"{name}.running_mean"], w[f"{name}.running_var"], w[f"{name}.weight"], w[f"{name}.bias"], eps=eps
    )


def conv(w, name, x, **how):
    return F.conv2d(x, w[f"{name}.weight"], w.get(f"{name}.bias"), **how)


def body_of(w, prefix, x, eps=0.0, dilated=False):
    x = F.max_pool2d(F.relu(fixed(w, f"{prefix}bn1", conv(w, f"{prefix}conv1", x, stride=2, padding=3), eps)), 3, 2, 1)
    seen = []
    spread = {
        1: [1] * 3,
        2: [1] * 4,
        3: [1, 2, 2, 2, 2, 2] if dilated else [1] * 6,
        4: [2, 4, 4] if dilated else [1] * 3,
    }
    for stage, dilations in spread.items():
        for block, d in enumerate(dilations):
            own = f"{prefix}layer{stage}.{block}."
            stride = 2 if block == 0 and stage > 1 and not (dilated and stage > 2) else 1
            y = F.relu(fixed(w, f"{own}bn1", conv(w, f"{own}conv1", x), eps))
            y = F.relu(fixed(w, f"{own}bn2", conv(w, f"{own}conv2", y, stride=stride, padding=d, dilation=d), eps))
            y = fixed(w, f"{own}bn3", conv(w, f"{own}conv3", y), eps)
            if block == 0:
                x = fixed(w, f"{own}downsample.1", conv(w, f"{own}downsample.0", x, stride=stride), eps)
            x = F.relu(x + y)
        seen.append(x)
    return seen


def pyramid_of(w, maps):
    inner = [conv(w, f"backbone.fpn.inner_blocks.{i}", x) for i, x in enumerate(maps)]
    results = {3: inner[3]}
    for i in (2, 1, 0):
        results[i] = inner[i] + F.interpolate(results[i + 1], size=inner[i].shape[-2:], mode="nearest")
    out = [conv(w, f"backbone.fpn.layer_blocks.{i}", results[i], padding=1) for i in range(4)]
    return [*out, F.max_pool2d(out[3], 1, 2, 0)]


def anchors_of(shape, stride, side):
    """One after another: rows, columns, ratios ½, 1, 2 of height to width."""
    found = []
    for y in range(shape[0]):
        for x in range(shape[1]):
            for ratio in (0.5, 1.0, 2.0):
                w, h = side / ratio**0.5, side * ratio**0.5
                corners = np.round(np.array([-w, -h, w, h], np.float32) / 2)
                found.append(corners + [x * stride, y * stride] * 2)
    return np.array(found, np.float64)


def moved_by(boxes, deltas):
    width, height = boxes[:, 2] - boxes[:, 0], boxes[:, 3] - boxes[:, 1]
    x, y = boxes[:, 0] + width / 2 + deltas[:, 0] * width, boxes[:, 1] + height / 2 + deltas[:, 1] * height
    w, h = (s * np.exp(np.minimum(d, np.log(1000 / 16))) for s, d in ((width, deltas[:, 2]), (height, deltas[:, 3])))
    return np.stack([x - w / 2, y - h / 2, x + w / 2, y + h / 2], axis=1)


def greedy(boxes, scores, groups, limit):
    order, kept = np.argsort(-scores, kind="stable"), []
    area = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
    while len(order):
        best, order = order[0], order[1:]
        kept.append(best)
        low, high = np.maximum(boxes[best, :2], boxes[order, :2]), np.minimum(boxes[best, 2:], boxes[order, 2:])
        both = np.clip(high - low, 0, None).prod(axis=1)
        order = order[(both / (area[best] + area[order] - both) <= limit) | (groups[order] != groups[best])]
    return np.array(kept, np.int64)


def clipped(boxes, height, width):
    return np.clip(boxes, 0, [width, height, width, height])


def bin_by_bin(x, box, scale, bins):
    """RoI align as its first release computes it, two points a bin and axis, no half pixel."""
    c, h, w = x.shape
    x1, y1, x2, y2 = (v * scale for v in box)
    across, down = max(x2 - x1, 1.0) / bins, max(y2 - y1, 1.0) / bins
    found = np.zeros((c, bins, bins))
    for i in range(bins):
        for j in range(bins):
            for a in (0.25, 0.75):
                for b in (0.25, 0.75):
                    y, u = y1 + (i + a) * down, x1 + (j + b) * across
                    if y < -1 or y > h or u < -1 or u > w:
                        continue
                    y, u = max(y, 0.0), max(u, 0.0)
                    r, s = min(int(y), h - 1), min(int(u), w - 1)
                    r2, s2 = min(r + 1, h - 1), min(s + 1, w - 1)
                    p, q = (y - r if r2 > r else 0.0), (u - s if s2 > s else 0.0)
                    top, bottom = x[:, r, s] * (1 - q) + x[:, r, s2] * q, x[:, r2, s] * (1 - q) + x[:, r2, s2] * q
                    found[:, i, j] += (top * (1 - p) + bottom * p) / 4
    return found


def cut_all(maps, boxes, bins, some):
    """Of the chosen boxes."""
    found = []
    for i in some:
        box = boxes[i]
        level = int(np.clip(np.floor(4 + np.log2(np.sqrt((box[2] - box[0]) * (box[3] - box[1])) / 224) + 1e-6), 2, 5))
        found.append(bin_by_bin(maps[level - 2][0].double().numpy(), box, 0.5**level, bins))
    return np.stack(found)


@pytest.fixture(scope="module")
def scene():
    """A picture of 90 × 120 on a canvas of 96 × 128, and weights as the file of a Mask R-CNN has them."""
    g = torch.Generator().manual_seed(1)
    pixels = torch.zeros(1, 3, 96, 128)
    pixels[:, :, :90, :120] = torch.rand(1, 3, 90, 120, generator=g)
    w = drawn(mask_file(CLASSES))
    net = MaskRCNNTorchvision(CLASSES).eval()
    net.load_state_dict(w)
    normal = torch.zeros_like(pixels)
    mean, sd = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    normal[:, :, :90, :120] = (pixels[:, :, :90, :120] - mean[:, None, None]) / sd[:, None, None]
    with torch.no_grad():
        maps = pyramid_of(w, body_of(w, "backbone.body.", normal))
    return net, w, Canvas(pixels, torch.tensor([[90, 120]]), torch.ones(1, 2), []), maps


@torch.no_grad()
def test_every_stage_equals_its_second_writing(scene):
    net, w, canvas, maps = scene
    said = net(canvas.pixels, canvas.sizes, faster_rcnn_torchvision.use(canvas.sizes))
    for ours, theirs in zip(said.maps, maps, strict=True):
        torch.testing.assert_close(ours, theirs, atol=2e-4, rtol=1e-4)

    boxes, logits, deltas, level = [], [], [], []
    for i, (x, side) in enumerate(zip(maps, (32, 64, 128, 256, 512))):
        seen = F.relu(conv(w, "rpn.head.conv", x, padding=1))
        logits.append(conv(w, "rpn.head.cls_logits", seen)[0].permute(1, 2, 0).reshape(-1))
        deltas.append(
            conv(w, "rpn.head.bbox_pred", seen)[0].view(3, 4, *x.shape[2:]).permute(2, 3, 0, 1).reshape(-1, 4)
        )
        boxes.append(anchors_of(x.shape[2:], 96 // x.shape[2], side))
        level += [i] * len(boxes[-1])
    boxes, level = np.concatenate(boxes), np.array(level)
    np.testing.assert_allclose(said.found.anchors.numpy(), boxes, atol=1e-4)
    score, delta = torch.cat(logits).double().numpy(), torch.cat(deltas).double().numpy()
    np.testing.assert_allclose(said.found.objectness[0].numpy(), score, atol=1e-3)
    likely = np.concatenate(
        [own[np.argsort(-score[own], kind="stable")[:1000]] for own in (np.flatnonzero(level == i) for i in range(5))]
    )
    proposals = clipped(moved_by(boxes[likely], delta[likely]), 90, 120)
    real = ((proposals[:, 2:] - proposals[:, :2]) >= 1e-3).all(axis=1)
    proposals, score, level = proposals[real], score[likely][real], level[likely][real]
    kept = greedy(proposals, score, level, 0.7)[:1000]
    regions = said.found.regions[0].double().numpy()
    assert abs(len(regions) - len(kept)) <= 3  # where an overlap is 0.7 to six digits, either may stay
    np.testing.assert_allclose(regions[:40], proposals[kept[:40]], atol=0.02)

    some = [0, 1, 5, 17]
    cut = torch.from_numpy(cut_all(maps, regions, 7, some)).float()
    hidden = cut.flatten(1)
    for name in ("fc6", "fc7"):
        hidden = F.relu(F.linear(hidden, w[f"roi_heads.box_head.{name}.weight"], w[f"roi_heads.box_head.{name}.bias"]))
    out = [
        F.linear(hidden, w[f"roi_heads.box_predictor.{n}.weight"], w[f"roi_heads.box_predictor.{n}.bias"])
        for n in ("cls_score", "bbox_pred")
    ]
    torch.testing.assert_close(said.found.scores[some], out[0], atol=1e-3, rtol=1e-3)
    torch.testing.assert_close(said.found.refinements[some].flatten(1), out[1][:, 4:], atol=1e-3, rtol=1e-3)


@pytest.mark.slow
@torch.no_grad()
def test_answers_equal_their_second_writing(scene):
    net, w, canvas, maps = scene
    found, own = net(canvas.pixels, canvas.sizes, faster_rcnn_torchvision.use(canvas.sizes))
    regions = found.regions[0].double().numpy()
    sure = found.scores.double().softmax(1).numpy()[:, 1:]
    pairs = np.argwhere(sure > 0.05)
    moves = found.refinements.double().numpy()[pairs[:, 0], pairs[:, 1]] / [10, 10, 5, 5]
    boxes = clipped(moved_by(regions[pairs[:, 0]], moves), 90, 120)
    real = ((boxes[:, 2:] - boxes[:, :2]) >= 1e-2).all(axis=1)
    boxes, score, label = boxes[real], sure[pairs[:, 0], pairs[:, 1]][real], pairs[real, 1]
    kept = greedy(boxes, score, label, 0.5)[:100]
    [answer] = mask_rcnn_torchvision.detect(net, canvas)
    assert len(answer.labels) >= 20
    np.testing.assert_allclose(answer.scores[:20].numpy(), score[kept[:20]], atol=1e-4)
    np.testing.assert_allclose(answer.boxes[:20].numpy(), boxes[kept[:20]], atol=0.02)
    assert answer.labels[:20].tolist() == label[kept[:20]].tolist()

    x = torch.from_numpy(cut_all(maps, answer.boxes.double().numpy(), 14, [0, 3])).float()
    for i in (1, 2, 3, 4):
        x = F.relu(conv(w, f"roi_heads.mask_head.mask_fcn{i}", x, padding=1))
    name = "roi_heads.mask_predictor.conv5_mask"
    x = F.relu(F.conv_transpose2d(x, w[f"{name}.weight"], w[f"{name}.bias"], stride=2))
    x = conv(w, "roi_heads.mask_predictor.mask_fcn_logits", x)[:, 1:]
    torch.testing.assert_close(net.outline(own, [answer.boxes[[0, 3]]]), x, atol=2e-3, rtol=2e-3)
    assert answer.bitmaps.shape == (len(answer.labels), 90, 120)


@torch.no_grad()
def test_the_segmenter_equals_its_second_writing():
    w = drawn(fcn_file(4))
    net = FCNTorchvision(4).eval()
    net.load_state_dict(w)
    x = torch.randn(1, 3, 64, 80, generator=torch.Generator().manual_seed(2))
    seen = body_of(w, "backbone.", x, eps=1e-5, dilated=True)
    assert [tuple(m.shape[2:]) for m in seen] == [(16, 20), (8, 10), (8, 10), (8, 10)]
    scores = F.relu(fixed(w, "classifier.1", conv(w, "classifier.0", seen[-1], padding=1), 1e-5))
    expected = F.interpolate(conv(w, "classifier.4", scores), (64, 80), mode="bilinear", align_corners=False)
    torch.testing.assert_close(net(x), expected, atol=1e-3, rtol=1e-3)


@pytest.mark.slow
def test_the_twins_learn(scene):
    net, _, canvas, _ = scene
    outline = torch.zeros(1, 90, 120, dtype=torch.bool)
    outline[:, 10:60, 20:70] = True
    truth = Truth(torch.tensor([[20.0, 10, 70, 60]]), torch.tensor([2]), torch.tensor([True]), outline)
    torch.manual_seed(0)
    values = mask_rcnn_torchvision.loss(net, canvas, [truth])
    assert set(values) == {"objectness", "proposals", "classes", "boxes", "masks"}
    sum(values.values()).backward()
    assert all(p.grad is not None for p in net.parameters())

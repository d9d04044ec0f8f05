"""Detectors piece by piece: assignment and losses against the papers' words, shapes against their figures."""

import pytest
import torch
from safetensors.torch import load, save
from torch import nn

from legato import networks as networks
from legato.errors import UsageError
from legato.layers import stages
from legato.layers.regions import decode, roi_align
from legato.layers.regions.objects import Canvas, Truth, none_outlined
from legato.networks import detectors as detectors
from legato.networks import fast_rcnn, faster_rcnn, mask_rcnn, rcnn, sliding_window, windows, yolo
from legato.networks.detector import DETECTORS, Parts, lookup_detector
from legato.networks.registry import lookup
from legato.networks.trunk import taps, trunk

SHAPES = tuple((8.0 * k, 6.0 * k) for k in range(1, 10))
PARTS = Parts("squeezenet", 2, 3, (0.5,) * 3, (0.25,) * 3, SHAPES)


def boxes(*corners: tuple[float, ...]) -> torch.Tensor:
    return torch.tensor(corners, dtype=torch.float32).reshape(-1, 4)


def truth(corners: torch.Tensor, labels: list[int], sure: list[bool] | None = None) -> Truth:
    certain = torch.tensor(sure if sure is not None else [True] * len(labels), dtype=torch.bool)
    return Truth(corners, torch.tensor(labels, dtype=torch.int64), certain, none_outlined())


def canvas(*sizes: tuple[int, int], side: int = 64, regions: int = 0) -> Canvas:
    pixels = torch.rand(len(sizes), 3, side, side, generator=torch.Generator().manual_seed(0))
    proposed = boxes((0, 0, 30, 30), (20, 10, 60, 50), (5, 5, 12, 60))
    return Canvas(pixels, torch.tensor(sizes), torch.ones(len(sizes), 2), [proposed] * regions)


OBJECTS = truth(boxes((4, 4, 24, 20), (30, 30, 60, 60)), [0, 1])
EMPTY = truth(boxes(), [])


# the trunk
def test_taps_are_the_last_stage_of_each_stride():
    assert [(t.stage, t.channels, t.stride) for t in taps(lookup("resnet18"), 3)] == [
        ("conv1", 64, 2), ("conv2_x", 64, 4), ("conv3_x", 128, 8), ("conv4_x", 256, 16), ("conv5_x", 512, 32)
    ]  # fmt: skip
    assert [t.stage for t in taps(lookup("squeezenet"), 3)] == ["conv1", "fire3", "fire5", "fire9"]  # not conv10


@pytest.mark.parametrize("name", ["squeezenet", "resnet18"])
def test_an_offset_is_where_the_middle_of_a_position_stands(name):
    net = trunk(name, [8], 3, (0.0,) * 3, (1.0,) * 3).eval()
    for layer in list(net.modules()):  # all weights alike, and means for maxima: what a position sees is symmetric
        for name, pool in layer.named_children():
            if isinstance(pool, nn.MaxPool2d):
                mean = nn.AvgPool2d(pool.kernel_size, pool.stride, pool.padding, pool.ceil_mode)
                setattr(layer, name, mean)
    with torch.no_grad():
        for p in net.parameters():
            p.fill_(0.02)
    [tap] = net.taps
    at = 12  # far enough from the edges
    x = torch.zeros(1, 3, 192, 192, requires_grad=True)
    (net(x + 0.5)[0][0, :, at, at]).sum().backward()
    seen = x.grad.abs().sum(dim=(0, 1, 2)).nonzero().flatten()
    middle = (int(seen[0]) + int(seen[-1]) + 1) / 2
    assert middle == (at + 0.5) * tap.stride + tap.offset


def test_a_stride_it_has_not_is_named():
    with pytest.raises(UsageError, match="lenet5 has no map of stride 16; it has 1, 2"):
        trunk("lenet5", [16], 1, (0.5,), (0.5,))
    with pytest.raises(UsageError, match="did you mean faster_rcnn"):
        lookup_detector("fasterrcnn")


# every detector
@pytest.mark.parametrize("name", sorted(DETECTORS))
def test_it_learns_from_objects_and_from_none_and_answers_in_one_form(name):
    torch.manual_seed(0)
    detector = DETECTORS[name]
    net = detector.build(PARTS)
    side = detector.side or 64
    seen = canvas((side, side), (side - 8, side - 20), side=side, regions=2 if detector.propose else 0)
    outlined = OBJECTS._replace(bitmaps=torch.ones(2, side, side, dtype=torch.bool))
    values = detector.loss(net, seen, [outlined, EMPTY])
    sum(values.values()).backward()
    assert len(load(save(net.state_dict()))) == len(net.state_dict())  # no tensor under two names
    frozen = {n for n, p in net.named_parameters() if not p.requires_grad}
    assert [n for n, p in net.named_parameters() if p.grad is None and n not in frozen] == []
    nothing = detector.loss(net, seen, [EMPTY, EMPTY])
    sum(nothing.values()).backward()
    assert all(v.isfinite() for v in (*values.values(), *nothing.values()))
    assert nothing.keys() == values.keys()
    for key in {"boxes", "proposals", "masks"} & nothing.keys():
        assert float(nothing[key].detach()) == 0  # nothing to move, and yet a gradient: zero
    with torch.no_grad():
        answers = detector.detect(net.eval(), seen)
    for answer, (height, width) in zip(answers, seen.sizes.tolist()):
        assert len(answer.boxes) == len(answer.labels) == len(answer.scores) <= 100
        assert (answer.boxes >= 0).all()
        assert (answer.boxes[:, 2:] <= torch.tensor([width, height])).all()
        assert (answer.scores.diff() <= 0).all()


# Faster R-CNN
def test_anchors_are_assigned_by_the_papers_rule():
    anchors = boxes(
        (0, 0, 10, 10), (1, 0, 11, 10), (0, 0, 10, 30), (40, 40, 50, 50), (90, 90, 110, 110), (20, 0, 30, 10)
    )
    objects = truth(boxes((0, 0, 10, 10), (28, 8, 60, 60)), [0, 1])
    yes, no, which = faster_rcnn.assign(anchors, objects, torch.tensor([100, 100]))
    # the first two overlap object 0 by 1 and 0.82; the third by ⅓: neither; the fourth is the best for object 1
    assert yes.tolist() == [True, True, False, True, False, False]
    assert no.tolist() == [False, False, False, False, False, True]  # the fifth has its middle beside the picture
    assert which[:4].tolist() == [0, 0, 0, 1]


def test_what_is_not_sure_is_neither_object_nor_background():
    anchors = boxes((0, 0, 10, 10), (50, 50, 60, 60))
    yes, no, _ = faster_rcnn.assign(anchors, truth(boxes((0, 0, 10, 10)), [0], [False]), torch.tensor([100, 100]))
    assert yes.tolist() == [False, False]
    assert no.tolist() == [False, True]
    labels, _ = faster_rcnn.region_targets(anchors, truth(boxes((0, 0, 10, 10)), [0], [False]))
    assert labels.tolist() == [-1, 0]


def test_regions_know_their_class_and_their_way():
    regions = boxes((0, 0, 10, 10), (0, 0, 12, 10), (50, 50, 60, 60))
    labels, moves = faster_rcnn.region_targets(regions, truth(boxes((0, 0, 10, 10)), [1]))
    assert labels.tolist() == [2, 2, 0]
    back = decode(regions[:2], moves[:2] * torch.tensor(faster_rcnn.UNIT))
    torch.testing.assert_close(back, boxes((0, 0, 10, 10), (0, 0, 10, 10)))


def test_a_sample_holds_no_more_objects_than_its_share():
    regions = torch.cat([boxes((0, 0, 10, 10)).repeat(50, 1), boxes((50, 50, 60, 60)).repeat(50, 1)])
    taken = faster_rcnn.sampled(regions, truth(boxes((0, 0, 10, 10)), [0]), 16, 0.25)
    assert (taken[:, 0] == 0).sum() == 4
    assert len(taken) == 16


def test_a_perfect_second_stage_is_read_back_exactly():
    regions = boxes((2, 2, 22, 22), (30, 28, 62, 60), (0, 40, 20, 60))
    labels, moves = faster_rcnn.region_targets(regions, OBJECTS)
    logits = 20 * torch.nn.functional.one_hot(labels, 3).float()
    [answer] = faster_rcnn.read([regions], logits, moves[:, None].repeat(1, 2, 1), torch.tensor([[64, 64]]))
    order = answer.labels.argsort()
    torch.testing.assert_close(answer.boxes[order], OBJECTS.boxes, atol=1e-3, rtol=0)
    assert answer.labels[order].tolist() == [0, 1]


def test_a_batch_of_two_equals_two_of_one():
    torch.manual_seed(1)
    net = faster_rcnn.faster_rcnn(PARTS).eval()
    seen = canvas((64, 64), (64, 64))
    with torch.no_grad():
        both = faster_rcnn.detect(net, seen)
        first = faster_rcnn.detect(net, Canvas(seen.pixels[:1], seen.sizes[:1], seen.scales[:1], []))
    torch.testing.assert_close(both[0].scores, first[0].scores, atol=1e-5, rtol=1e-4)


# Mask R-CNN
def test_a_mask_cut_out_and_pasted_back_is_itself():
    bitmap = torch.zeros(1, 40, 50, dtype=torch.bool)
    bitmap[0, 8:30, 10:40] = True
    bitmap[0, 8:16, 10:20] = False
    box = boxes((10, 8, 40, 30))
    pasted = mask_rcnn.paste(mask_rcnn.cut(bitmap, box, torch.tensor([0]), 28), box, 40, 50) > 0.5
    assert (pasted & bitmap).sum() / (pasted | bitmap).sum() > 0.95
    assert not pasted[0, :8].any()
    assert mask_rcnn.mask_head(8, 3)(torch.rand(2, 8, 14, 14)).shape == (2, 3, 28, 28)


# YOLO
def test_the_published_network_is_figure_3():
    with torch.device("meta"):
        net = yolo.published(20)
        cells = net(torch.empty(1, 3, 448, 448))
    layers = list(net.modules())
    assert sum(isinstance(m, nn.Conv2d) for m in layers) == 24
    assert sum(isinstance(m, nn.Linear) for m in layers) == 2
    assert [m.out_features for m in layers if isinstance(m, nn.Linear)] == [4096, 7 * 7 * 30]
    assert cells.boxes.shape == (1, 7, 7, 2, 4)
    assert cells.classes.shape == (1, 7, 7, 20)


def test_equation_3_by_hand():
    # one object in the middle of a 64 × 64 picture, 16 × 32 pixels; S = 2: its middle lies at the corner of cell (1, 1)
    one = truth(boxes((24, 16, 40, 48)), [1])
    said = torch.zeros(1, 2, 2, 2, 4)
    said[0, 1, 1, 0] = torch.tensor([0.1, 0.0, 0.5, 0.5])  # √w, √h of 16 / 64 and 16 / 64
    said[0, 1, 1, 1] = torch.tensor([0.0, 0.0, 0.1, 0.1])
    confidence = torch.full((1, 2, 2, 2), 0.5)
    kinds = torch.zeros(1, 2, 2, 2)
    kinds[0, 1, 1] = torch.tensor([0.25, 0.5])
    values = yolo.cell_losses(yolo.Cells(said, confidence, kinds), canvas((64, 64)), [one])
    # box 0: middle (0.55, 0.5), size (0.25, 0.25): x 0.425 … 0.675, true 0.375 … 0.625: shares 0.2 × 0.25
    overlap = 0.2 * 0.25 / (0.25 * 0.25 + 0.25 * 0.5 - 0.2 * 0.25)
    assert values["boxes"].item() == pytest.approx(5 * (0.1**2 + (0.5**0.5 - 0.5) ** 2), rel=1e-4)
    assert values["objects"].item() == pytest.approx((0.5 - overlap) ** 2, rel=1e-4)
    assert values["nothing"].item() == pytest.approx(0.5 * 7 * 0.5**2)  # 4 cells × 2 boxes less the responsible one
    assert values["classes"].item() == pytest.approx(0.25**2 + 0.5**2)


def test_true_cells_are_read_back_as_the_true_boxes():
    grid = 7
    picture, row, column, box, label = yolo.owners([OBJECTS], torch.tensor([[64, 64]]), grid)
    cells = yolo.Cells(torch.zeros(1, grid, grid, 2, 4), torch.zeros(1, grid, grid, 2), torch.zeros(1, grid, grid, 2))
    middle = (box[:, :2] + box[:, 2:]) / 2 * grid - torch.stack([column, row], dim=1)
    cells.boxes[picture, row, column, 0] = torch.cat([middle, (box[:, 2:] - box[:, :2]).sqrt()], dim=1)
    cells.confidence[picture, row, column, 0] = 1
    cells.classes[picture, row, column, label] = 1
    [answer] = yolo.read(cells, torch.tensor([[64, 64]]))
    order = answer.labels.argsort()
    torch.testing.assert_close(answer.boxes[order], OBJECTS.boxes, atol=1e-3, rtol=0)


# R-CNN
def test_a_warped_region_shows_its_box_and_16_pixels_in_227_around_it():
    seen = canvas((64, 64))
    box = boxes((20, 24, 44, 40))
    warped = rcnn.warp(seen, box, torch.zeros(len(box), dtype=torch.int64))
    inner = warped[:, :, rcnn.CONTEXT : -rcnn.CONTEXT, rcnn.CONTEXT : -rcnn.CONTEXT]
    direct = roi_align(seen.pixels, box, torch.tensor([0]), rcnn.SIDE - 2 * rcnn.CONTEXT, 1, samples=1)
    torch.testing.assert_close(inner, direct, atol=1e-4, rtol=1e-4)
    corner = rcnn.warp(seen, boxes((0, 0, 10, 10)), torch.tensor([0]))[0, :, 0, 0]
    assert corner.abs().sum() == 0  # beside the picture it is black


def test_svms_and_moves_are_fitted_after_training():
    torch.manual_seed(0)
    net = rcnn.rcnn(PARTS)
    pictures = []
    for i in range(6):
        seen = canvas((64, 64), regions=1)
        pixels = 0.1 * seen.pixels
        x = 5 * i
        pixels[0, 0, 10:34, x : x + 24] = 1  # a red square
        g = torch.Generator().manual_seed(i)
        near = boxes((x, 10, x + 24, 34)) + torch.randn(12, 4, generator=g)
        far = boxes((40, 40, 60, 60), (0, 40, 20, 62), (44, 2, 62, 12))
        pictures.append(
            (seen._replace(pixels=pixels, regions=[torch.cat([near, far])]), [truth(boxes((x, 10, x + 24, 34)), [0])])
        )
    rcnn.finish(net, pictures)
    [answer] = rcnn.detect(net, pictures[2][0])
    assert answer.labels[0] == 0
    torch.testing.assert_close(answer.boxes[0], boxes((10, 10, 34, 34))[0], atol=3, rtol=0)
    assert answer.scores[0] > 0.3


def test_fast_rcnn_pools_the_map_under_each_region():
    net = fast_rcnn.fast_rcnn(PARTS).eval()
    seen = canvas((64, 64), (64, 64), regions=2)
    scores, moves = net(seen.pixels, seen.regions)
    assert (scores.shape, moves.shape) == ((6, 3), (6, 2, 4))


# the sliding window
def test_windows_are_where_the_classifier_looked():
    torch.manual_seed(0)
    classifier = stages(
        conv=nn.Conv2d(3, 4, 3, stride=2), relu=nn.ReLU(), flat=nn.Flatten(), classify=nn.Linear(4 * 7 * 7, 3)
    )
    net = sliding_window.SlidingWindow(classifier.eval(), (3, 16, 16))
    picture = torch.rand(1, 3, 32, 40)
    found, logits = net(picture, 1.0)
    for box, row in zip(found[::7].int().tolist(), logits[::7]):
        x1, y1, x2, y2 = box
        torch.testing.assert_close(row, classifier(picture[:, :, y1:y2, x1:x2])[0], atol=1e-4, rtol=1e-4)
    halved, _ = net(picture, 0.5)
    assert halved.tolist() == [[0, 0, 32, 32], [4, 0, 36, 32], [8, 0, 40, 32]]


def test_windows_stand_where_their_maps_look():
    """The middle of what a window's logits see, followed back, is the window's own middle, at every scale."""
    torch.manual_seed(0)
    net = windows.windows(PARTS).eval()
    for scale in (1.0, 2.0):
        x = torch.rand(1, 3, 160, 160, requires_grad=True)
        found, logits = net.at(x, scale)
        chosen = int((((found[:, :2] + found[:, 2:]) / 2 - 80).abs().sum(1)).argmin())
        logits[0, chosen].square().sum().backward()
        weight = x.grad.abs().sum((0, 1))
        at = torch.arange(160) + 0.5
        seen = torch.stack([(weight.sum(0) * at).sum(), (weight.sum(1) * at).sum()]) / weight.sum()
        middle = (found[chosen, :2] + found[chosen, 2:]) / 2
        assert (seen - middle).abs().max() < 6 / scale
        assert found[chosen, 2] - found[chosen, 0] == windows.SIDE / scale


def test_windows_learn_from_halves_and_from_the_hardest_nothing():
    every = boxes((0, 0, 48, 48), (8, 0, 56, 48), (40, 0, 88, 48), (100, 100, 148, 148), (200, 0, 248, 48))
    logits = torch.tensor([[0.0, 5, 0], [0, 0, 0], [0, 0, 0], [0, 0, 4], [0, 9, 9]])
    loss = windows.picture_loss(every, logits, truth(boxes((0, 0, 48, 48)), [0]), torch.tensor([160, 160]))
    # the first two lie on it, by 1 and 0.71; two on nothing; the last beside the picture
    expected = [-logits.log_softmax(1)[i, k] for i, k in ((0, 1), (1, 1), (2, 0), (3, 0))]
    torch.testing.assert_close(loss, torch.stack(expected).mean())


def test_it_finds_a_bright_square_once():
    classifier = stages(pool=nn.AvgPool2d(16), flat=nn.Flatten(), classify=nn.Linear(3, 2))
    with torch.no_grad():
        classifier.classify.weight.copy_(torch.tensor([[-20.0, -20, -20], [20, 20, 20]]))
        classifier.classify.bias.copy_(torch.tensor([50.0, -50.0]))
    pixels = torch.zeros(3, 64, 64, dtype=torch.uint8)
    pixels[:, 32:48, 16:32] = 255
    found = sliding_window.detect(sliding_window.SlidingWindow(classifier, (3, 16, 16)), pixels, background=0)
    assert found.boxes.tolist() == [[16, 32, 32, 48]]
    assert found.labels.tolist() == [1]

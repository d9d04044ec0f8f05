"""Rows D5 to D9 of the lectures: detection by windows, by regions, in one look, and outlines."""

import pytest
import torch
from torch import nn

from legato import networks as networks
from legato.layers import stages
from legato.layers.regions import nms
from legato.layers.regions.objects import Canvas, Truth, none_outlined
from legato.networks import detectors as detectors
from legato.networks import mask_rcnn, sliding_window, yolo
from legato.networks.detector import DETECTORS, Parts

PARTS = Parts("resnet18", 3, 3, (0.5,) * 3, (0.25,) * 3, tuple((6.0 * k, 6.0 * k) for k in range(1, 10)))


def test_D5_detection_as_classification_of_windows_of_several_sizes():
    """The lecture's cat and dog: a window is classified, the next window is classified, …; one answer an object."""
    net = stages(pool=nn.AvgPool2d(12), flat=nn.Flatten(), classify=nn.Linear(3, 2))
    with torch.no_grad():
        net.classify.weight.copy_(torch.tensor([[0.0, 0, 0], [30, 30, 30]]))
        net.classify.bias.copy_(torch.tensor([0.0, -80.0]))
    pixels = torch.zeros(3, 72, 96, dtype=torch.uint8)
    pixels[:, 12:24, 12:24] = 255
    pixels[:, 36:60, 48:72] = 255  # twice as large: found at half the scale
    window = sliding_window.SlidingWindow(net, (3, 12, 12))
    small = sliding_window.detect(window, pixels[:, :36], background=0, threshold=0.9)
    large = sliding_window.detect(window, pixels[:, 36:], background=0, threshold=0.9, scales=(0.5,))
    assert small.boxes.tolist() == [[12, 12, 24, 24]]
    assert large.boxes.tolist() == [[48, 0, 72, 24]]
    assert large.labels.tolist() == [1]


@pytest.mark.parametrize(
    ("row", "name", "paper"),
    [
        ("D6", "rcnn", "arXiv:1311.2524"),
        ("D6", "fast_rcnn", "arXiv:1504.08083"),
        ("D7", "yolo", "arXiv:1506.02640"),
        ("D8", "faster_rcnn", "arXiv:1506.01497"),
        ("D8", "faster_rcnn_pyramid", "arXiv:1612.03144"),
        ("D9", "mask_rcnn", "arXiv:1703.06870"),
    ],
)
def test_D6_D7_D8_D9_every_detector_of_the_lectures_learns_on_a_resnet(row, name, paper):
    torch.manual_seed(0)
    detector = DETECTORS[name]
    assert detector.paper == paper
    side = detector.side or 64
    net = detector.build(PARTS)
    proposed = [torch.tensor([[4.0, 4, 30, 28], [30, 30, 60, 60]])] if detector.propose else []
    canvas = Canvas(torch.rand(1, 3, side, side), torch.tensor([[side, side]]), torch.ones(1, 2), proposed)
    outline = torch.zeros(1, side, side, dtype=torch.bool)
    outline[:, 4:28, 4:30] = True
    truth = Truth(torch.tensor([[4.0, 4, 30, 28]]), torch.tensor([2]), torch.tensor([True]), outline)
    values = detector.loss(net, canvas, [truth])
    sum(values.values()).backward()
    assert any(p.grad is not None and p.grad.any() for p in net.trunk.parameters()), row


def test_D7_yolo_says_S_times_S_times_5_B_plus_C_numbers():
    with torch.device("meta"):
        net = yolo.published(20)  # 20 classes of VOC, B = 2, S = 7
    assert net.head.predict.out_features == 7 * 7 * (5 * 2 + 20) == 1470


def test_D7_post_processing_merges_what_tells_of_the_same_thing():
    boxes = torch.tensor([[0.0, 0, 10, 10], [1, 0, 11, 10], [0, 0, 10, 10], [30, 30, 40, 40]])
    scores, classes = torch.tensor([0.6, 0.9, 0.5, 0.3]), torch.tensor([0, 0, 1, 0])
    assert nms(boxes, scores, 0.5, classes).tolist() == [1, 2, 3]


def test_D9_an_outline_is_drawn_in_28_by_28_pixels_for_each_class():
    head = mask_rcnn.mask_head(16, 5)
    assert head(torch.rand(3, 16, 14, 14)).shape == (3, 5, 28, 28)
    masks = torch.full((1, 28, 28), 0.9)
    pasted = mask_rcnn.paste(masks, torch.tensor([[2.0, 3, 12, 9]]), 20, 20) > 0.5
    assert pasted[0].nonzero().amin(0).tolist() == [3, 2]
    assert int(pasted.sum()) == 10 * 6
    assert none_outlined().shape == (0, 0, 0)

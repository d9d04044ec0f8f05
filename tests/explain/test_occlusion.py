"""Occlusion: against captum, against its definition, its batches, and whether it points at the object."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from legato.data.scenes import SHAPES, Scene, shapes
from legato.explain import grad_cam, occlusion, saliency
from legato.explain.gradcam import enlarged
from legato.explain.occlusion import starts
from legato.layers import ConvNormRelu, GlobalMax, stages
from tests.explain.subjects import network, of_class, pictures


def test_it_is_captums():
    attr = pytest.importorskip("captum.attr")
    net, x = network(), pictures(1)
    theirs = attr.Occlusion(net).attribute(x, (3, 4, 4), strides=(3, 2, 2), baselines=0.25, target=1)
    ours = occlusion(of_class(net), x, patch=4, stride=2, cover=0.25)
    torch.testing.assert_close(ours, theirs[0, 0], atol=1e-4, rtol=1e-4)


def test_of_a_linear_score_it_is_what_the_patch_held():
    w = torch.randn(1, 6, 6, generator=torch.Generator().manual_seed(0))
    x = pictures(1, 1, 6)
    linear = lambda x: (w * x).sum(dim=(1, 2, 3))
    lost = occlusion(linear, x, patch=1, stride=1)
    torch.testing.assert_close(lost, (w * (x - x.mean()))[0, 0])
    lost = occlusion(linear, x, patch=6, stride=1)
    torch.testing.assert_close(lost, (w * (x - x.mean())).sum().expand(6, 6))


def test_batches_change_nothing():
    net, x = network(), pictures(1)
    alone = occlusion(of_class(net), x, batch_size=1)
    for size in (0, 7, 1000):
        torch.testing.assert_close(occlusion(of_class(net), x, batch_size=size), alone)


def test_patches_cover_every_pixel_and_end_flush():
    assert starts(10, 4, 3) == [0, 3, 6]
    assert starts(11, 4, 3) == [0, 3, 6, 7]
    assert starts(4, 4, 3) == [0]


SIDE, TRAIN, TEST = 48, 1500, 200


def large_shapes(count: int) -> list[Scene]:
    """Scenes of one shape at least 14 of 48 pixels wide: smaller ones turned at will cannot be told apart."""
    found: list[Scene] = []
    number = 0
    while len(found) < count:
        scene = shapes(3, number, SIDE, most=1)
        number += 1
        if len(scene.boxes) and float(scene.boxes.xyxy[0, 2] - scene.boxes.xyxy[0, 0]) >= 14:
            found.append(scene)
    return found


def small_classifier() -> nn.Sequential:
    return stages(
        conv1=ConvNormRelu(3, 16, 3), pool1=nn.MaxPool2d(2),   # (b, 16, 24, 24)
        conv2=ConvNormRelu(16, 32, 3), pool2=nn.MaxPool2d(2),  # (b, 32, 12, 12)
        conv3=ConvNormRelu(32, 48, 3), pool3=nn.MaxPool2d(2),  # (b, 48,  6,  6)
        conv4=ConvNormRelu(48, 64, 3),                         # (b, 64,  6,  6)
        largest=GlobalMax(),                                   # (b, 64)
        out=nn.Linear(64, len(SHAPES)),                        # (b,  4)
    )  # fmt: skip


def train(net: nn.Sequential, x: torch.Tensor, y: torch.Tensor, epochs: int = 8) -> None:
    optimizer = torch.optim.AdamW(net.parameters(), weight_decay=1e-2)
    steps = epochs * -(-len(x) // 32)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 4e-3, total_steps=steps)
    for _ in range(epochs):
        for some in torch.randperm(len(x)).split(32):
            flipped = [axis for axis in (2, 3) if torch.rand(()) < 0.5]
            F.cross_entropy(net(x[some].flip(flipped)), y[some]).backward()
            optimizer.step()
            optimizer.zero_grad()
            schedule.step()


@pytest.mark.slow
def test_maps_point_at_the_object():
    """The pointing game (Zhang et al. 2018, arXiv:1608.00507): the largest place lies in the drawn truth's box."""
    torch.manual_seed(0)
    scenes = large_shapes(TRAIN + TEST)
    x = torch.stack([scene.image.pixels for scene in scenes]).float() / 255
    y = torch.stack([scene.boxes.labels[0] for scene in scenes])
    net = small_classifier()
    train(net, x[:TRAIN], y[:TRAIN])
    net.eval()
    with torch.no_grad():
        assert (net(x[TRAIN:]).argmax(1) == y[TRAIN:]).float().mean() > 0.95
    hits = {"gradcam": 0, "occlusion": 0, "saliency": 0}
    for one, k, scene in zip(x[TRAIN:, None], y[TRAIN:].tolist(), scenes[TRAIN:]):
        score = lambda x, k=k: net(x)[:, k]
        evidence = lambda x, k=k: net(x).softmax(1)[:, k]
        found = {
            "gradcam": enlarged(grad_cam(score, one, net, "conv4"), SIDE, SIDE)[0],
            "occlusion": occlusion(evidence, one),
            "saliency": saliency(score, one)[0],
        }
        x1, y1, x2, y2 = scene.boxes.xyxy[0].tolist()
        for name, map in found.items():
            row, column = divmod(int(map.argmax()), SIDE)
            hits[name] += x1 <= column + 0.5 <= x2 and y1 <= row + 0.5 <= y2
    assert hits["gradcam"] / TEST >= 0.9, hits
    assert hits["occlusion"] / TEST >= 0.9, hits

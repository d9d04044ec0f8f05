"""Rows D1 to D4, and C20 as FCN uses it: pixels, boxes and joints."""

from itertools import pairwise

import torch
from torch import nn
from torch.nn import functional as F

from legato.layers.tracing import on_meta
from legato.layers.transposed import bilinear_upsampling
from legato.metrics import pose, segmentation
from legato.networks import fcn, registry, scene_parsing
from legato.networks.deconvnet import deconvnet
from legato.networks.deeppose import DeepPose, Refinement, Regression
from legato.networks.localizer import Localizer
from legato.networks.trunk import trunk
from legato.values import keypoints

CLASSES = ("grass", "cat", "tree", "sky")


def test_D1_a_label_for_every_pixel_by_patches_and_by_the_recurrent_network() -> None:
    x = torch.rand(1, 3, 24, 32)
    for build in (scene_parsing.multiscale, scene_parsing.recurrent):
        assert build(len(CLASSES))(x).shape == (1, 4, 24, 32)
    patch = nn.Sequential(nn.Conv2d(3, 4, 5), nn.Flatten())
    assert scene_parsing.patch_by_patch(patch, x, 5).shape == (1, 4, 24, 32)


def test_D2_fcn_32_16_8_and_deconvnet_say_a_class_for_each_of_H_by_W_pixels() -> None:
    with torch.device("meta"):
        sliding = fcn.fully_convolutional(registry.NETWORKS["vgg16"].build(2, 3), (3, 224, 224))
        nets = [fcn.fcn(name, sliding, 21) for name in ("fcn32s", "fcn16s", "fcn8s")]
        nets.append(deconvnet(21))  # type: ignore[arg-type]
    counts = [sum(p.numel() for p in net.parameters()) for net in nets[:3]]
    assert [b - a for a, b in pairwise(counts)] == [513 * 21 + 21 * 21 * 16, 257 * 21 + 21 * 21 * 16]  # the skips
    for net in nets:
        assert on_meta(net.eval(), torch.empty(1, 3, 224, 224, device="meta")).shape == (1, 21, 224, 224)


def test_D2_pixel_accuracy_and_mean_iou() -> None:
    said, true = torch.tensor([[0, 0, 1, 1]]), torch.tensor([[[0, 1, 1, 1]]], dtype=torch.uint8)
    maps = F.one_hot(said, 2).permute(2, 0, 1)[None].float()
    found = segmentation.scores(segmentation.tally(maps, true), ("a", "b"))
    assert (found["pixel_accuracy"], found["mean_iou"]) == (3 / 4, (1 / 2 + 2 / 3) / 2)


def test_D3_one_trunk_two_heads_what_and_x_y_w_h() -> None:
    net = Localizer(trunk("squeezenet", [16], 3, (0.5,) * 3, (0.25,) * 3), classes=20, size=96).eval()
    what, where = net(torch.rand(2, 3, 96, 96))
    assert (what.shape, where.shape) == ((2, 20), (2, 4))


def test_D4_fourteen_joints_by_regression_and_a_cascade() -> None:
    joints = len(keypoints.LSP.names)
    classifier = registry.build("[conv8-relu-pool]*3-fc", 2 * joints, 3, 32)
    net = DeepPose(Regression(classifier), [Refinement(joints), Refinement(joints)])
    assert net.course(torch.rand(2, 3, 32, 32)).shape == (3, 2, 14, 2)


def test_D4_pcp_pck_and_pdj() -> None:
    """All joints right but the left wrist, which is off by 0.3 torsos and by 0.6 of its forearm."""
    truth = torch.arange(14.0)[None, :, None] * torch.tensor([10.0, 5.0])
    place = {name: i for i, name in enumerate(keypoints.LSP.names)}
    truth[0, place["left shoulder"]], truth[0, place["right hip"]] = (
        torch.tensor([0.0, 0.0]),
        torch.tensor([0.0, 100.0]),
    )
    truth[0, place["left elbow"]], truth[0, place["left wrist"]] = torch.tensor([50.0, 0.0]), torch.tensor([50.0, 50.0])
    said = truth.clone()
    said[0, place["left wrist"], 0] += 30.0
    found = pose.scores(pose.tally(said, truth, keypoints.LSP), keypoints.LSP)
    assert abs(found["pck@0.2"] - 13 / 14) < 1e-6
    assert found["pdj@0.2/wrist"] == 0.5
    assert found["pdj@0.4"] == 1
    assert (found["pcp@0.5/forearm"], found["pcp@0.5"]) == (0.5, 7 / 8)


def test_C20_upsampling_begins_as_bilinear() -> None:
    x = torch.rand(1, 2, 6, 6)
    up = bilinear_upsampling(2, 2)(x)
    expected = F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)
    torch.testing.assert_close(up[..., 1:-1, 1:-1], expected[..., 1:-1, 1:-1])

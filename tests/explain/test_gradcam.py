"""Grad-CAM: against captum, against CAM where they are one, on which stage, and whether it points at the object."""

from dataclasses import replace

import pytest
import torch
from torch import nn

from legato.errors import UsageError
from legato.explain import fitting, grad_cam
from legato.explain.gradcam import at_last_map, enlarged
from legato.explain.guided import guided_gradient
from legato.explain.stages import last_map
from legato.layers import with_normalization
from legato.networks.fcn import FCN, taps_of
from legato.networks.registry import NETWORKS, for_size
from tests.contract import size_of
from tests.explain.subjects import labels, network, of_class, pictures, subject


def test_it_is_captums():
    attr = pytest.importorskip("captum.attr")
    net, x = network(), pictures()
    for stage in ("conv1", "conv2"):
        theirs = attr.LayerGradCam(net, net.get_submodule(stage)).attribute(x, target=1, relu_attributions=True)
        torch.testing.assert_close(grad_cam(of_class(net), x, net, stage), theirs[:, 0], atol=1e-4, rtol=1e-4)
    guided = attr.GuidedGradCam(net, net.conv2)
    with pytest.warns(UserWarning, match="hooks"):
        theirs = guided.attribute(x.clone().requires_grad_(), target=1, interpolate_mode="bilinear")
    where = enlarged(grad_cam(of_class(net), x, net, "conv2"), 12, 12)
    ours = guided_gradient(of_class(net), x) * where[:, None]
    torch.testing.assert_close(ours, theirs, atol=1e-4, rtol=1e-4)


def test_before_a_mean_and_a_linear_layer_it_is_cam():
    """Zhou et al. 2016, equation 2: the weights of the class, over the number of places."""
    net, x = network(), pictures()
    with torch.no_grad():
        A = net[:3](x)
        cam = torch.einsum("k,bkhw->bhw", net.out.weight[1], A) / A[0, 0].numel()
        adds_up = cam.sum(dim=(1, 2)) + net.out.bias[1]
        torch.testing.assert_close(adds_up, net(x)[:, 1])
    torch.testing.assert_close(grad_cam(of_class(net), x, net, "conv2"), cam.clamp(min=0))


def test_a_batch_is_its_pictures_and_nothing_is_left_behind():
    net, x = network(), pictures()
    both = grad_cam(of_class(net), x, net, "conv2")
    torch.testing.assert_close(both[1:], grad_cam(of_class(net), x[1:], net, "conv2"))
    assert not net.conv2._forward_hooks
    assert all(p.grad is None for p in net.parameters())


@pytest.mark.parametrize(
    ("name", "stage"),
    [
        ("alexnet", "conv5"), ("vgg16", "conv5_3"), ("googlenet", "inception5b"), ("resnet50", "conv5_x"),
        ("squeezenet", "fire9"), ("lenet5", "conv3"), ("cifarnet", "relu2"), ("lenet5_1998", "squash3"),
        ("locally_connected", "relu3"), ("googlenet_auxiliary", "trunk.inception5b"),
    ],
)  # fmt: skip
def test_the_last_map_is_the_papers(name, stage):
    entry = NETWORKS[name]
    with torch.device("meta"):
        net = for_size(entry, 10, entry.channels, size_of(entry))
        net = with_normalization(net, [0.5] * entry.channels, [0.5] * entry.channels).eval()
        x = torch.empty(1, entry.channels, size_of(entry), size_of(entry))
        assert last_map(net, lambda: net(x)) == stage


def test_of_a_network_that_decodes_the_last_map_lies_before_the_decoder():
    with torch.device("meta"):
        trunk = nn.Sequential(*[layer for c in (3, 8, 16) for layer in (nn.Conv2d(c, 16 if c > 3 else 8, 3, 2, 1),)])
        net = nn.Sequential(FCN(trunk, taps_of(trunk, [8]), 4)).eval()
        assert last_map(net, lambda: net(torch.empty(1, 3, 64, 64))) == "0.trunk.2"


def test_what_has_no_maps_says_so_and_what_does_instead():
    mlp = subject("mlp")
    with pytest.raises(UsageError, match=r"gradcam makes no sense here: .*no maps.*these do: .*occlusion"):
        fitting("gradcam", mlp.task, mlp.net)
    with pytest.raises(UsageError, match="makes no map of places"):
        last_map(mlp.net, lambda: mlp.net(mlp.pixels))


def test_stages_that_do_not_exist_or_make_no_map():
    net, x = network(), pictures()
    with pytest.raises(UsageError, match="no stage called 'conv3' in Sequential; did you mean conv2"):
        grad_cam(of_class(net), x, net, "conv3")
    with pytest.raises(UsageError, match="out makes no map of places"):
        grad_cam(of_class(net), x, net, "out")


def test_a_tag_has_a_map_of_its_own():
    maps = []
    for tag in ("cat", "fish"):
        one = labels(what=tag)
        maps.append(grad_cam(one.score_of, one.pixels, one.net, "relu2"))
        row = one.task.known.names.index(tag)
        A = one.net[:6](one.pixels).detach()  # normalize, conv1, relu1, pool1, conv2, relu2
        assert [name for name, _ in one.net.named_children()][5] == "relu2"
        A.requires_grad_()
        (own,) = torch.autograd.grad(one.net[6:](A)[0, row], A)
        expected = (own.mean((2, 3), keepdim=True) * A).sum(1).clamp(min=0)
        torch.testing.assert_close(maps[-1], expected.detach())
    assert not torch.allclose(*maps)


class Choosing(nn.Module):
    """Answers by its trunk, and has another convolution behind it that only chooses, as a detector has."""

    def __init__(self, trunk: nn.Module) -> None:
        super().__init__()
        self.trunk, self.choose = trunk, nn.Conv2d(3, 1, 3)

    def forward(self, x):
        return self.trunk(x) * (self.choose(x).amax(dim=(1, 2, 3)) > 0).float()[:, None]


def test_a_map_that_the_answer_does_not_depend_on_is_passed_over():
    one = subject()
    choosing = replace(one, net=Choosing(one.net).eval())
    stage, found = at_last_map(choosing)
    assert stage == "trunk.relu2"
    torch.testing.assert_close(found, at_last_map(one)[1] * float(choosing.net(one.pixels).any()))
    with pytest.raises(UsageError, match="does not depend on choose"):
        at_last_map(replace(choosing, stage="choose"))

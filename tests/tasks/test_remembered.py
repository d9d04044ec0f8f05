import torch
from torch import nn

from legato.layers.stages import stages
from legato.tasks.remembered import KNOWN, through


def frozen_net():
    torch.manual_seed(0)
    net = stages(
        conv=nn.Conv2d(3, 4, 3), relu=nn.ReLU(), flat=nn.Flatten(), scale=nn.BatchNorm1d(144, affine=False),
        dropout=nn.Dropout(0.5), classify=nn.Linear(144, 2),
    )  # fmt: skip
    net.conv.requires_grad_(False)
    return net.train()


def near(a, b):
    torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-5)  # one picture and many are added up in other orders


def counted(net):
    """How many pictures have gone through its first stage."""
    seen = []
    net.conv.register_forward_hook(lambda module, inputs, output: seen.append(len(output)))
    return seen


def test_a_picture_goes_through_frozen_stages_once_whatever_it_comes_with():
    net, x = frozen_net(), torch.rand(6, 3, 8, 8)
    seen = counted(net)
    for order in ([0, 1, 2], [2, 1, 0], [3, 0, 5], [4, 4, 1]):
        through(net, x[order])
    assert sum(seen) == 6


def test_it_equals_the_network_and_so_do_its_gradients():
    net, x = frozen_net(), torch.rand(6, 3, 8, 8)
    for _ in range(2):  # computed, then remembered
        torch.manual_seed(1)
        ours = through(net, x)
        gradient = torch.autograd.grad(ours.sum(), net.classify.weight)[0]
        torch.manual_seed(1)
        plain = net(x)
        near(ours, plain)
        near(gradient, torch.autograd.grad(plain.sum(), net.classify.weight)[0])
    net.eval()
    near(through(net, x), net(x))


def test_other_weights_are_not_answered_with_old_features():
    net, x = frozen_net(), torch.rand(2, 3, 8, 8)
    before = through(net.eval().train(), x)
    net.load_state_dict({k: v / 2 for k, v in net.state_dict().items() if v.is_floating_point()}, strict=False)
    torch.manual_seed(1)
    ours = through(net, x)
    torch.manual_seed(1)
    near(ours, net(x))
    assert not torch.equal(ours, before)


def test_nothing_is_remembered_where_all_is_trained_or_the_picture_is_to_change():
    net, x = frozen_net(), torch.rand(2, 3, 8, 8)
    x.requires_grad_()
    assert through(net, x).grad_fn is not None
    assert torch.autograd.grad(through(net, x).sum(), x)[0].abs().sum() > 0
    assert net not in KNOWN
    net.conv.requires_grad_(True)
    through(net, x.detach())
    assert KNOWN[net] is None

"""Every registered network keeps its contract; how networks are found by name, and refuse what they cannot take."""

import pytest
import torch
from torch import nn

from legato.errors import UsageError
from legato.layers import Sided, with_normalization
from legato.networks.registry import NETWORKS, Entry, build, check_size, lookup, network
from tests.contract import check_network


@pytest.mark.parametrize("entry", NETWORKS.values(), ids=NETWORKS)
def test_contract(entry: Entry):
    check_network(entry)


def test_a_contract_notices_what_it_is_for():
    class Leaky(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.used, self.unused = nn.Linear(12, 2), nn.Linear(12, 2)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.used(x.flatten(1))

    def leaky(classes: int = 2, channels: int = 3) -> nn.Module:
        """A network with a part that is never used."""
        return Leaky()

    with pytest.raises(AssertionError, match="no gradient reaches unused"):
        check_network(Entry("leaky", leaky, "none", 52, 2))
    with pytest.raises(AssertionError, match="leaky: parameters"):
        check_network(Entry("leaky", leaky, "none", 26, 2))


def test_an_entry_knows_its_paper_and_what_it_was_published_for():
    entry = lookup("googlenet")
    assert (entry.paper, entry.size, entry.classes, entry.channels) == ("arXiv:1409.4842", 224, 1000, 3)
    assert entry.about.startswith("GoogLeNet")
    assert all(entry.about.rstrip(".").count("\n") == 0 for entry in NETWORKS.values())


def test_an_unknown_name_is_answered_with_the_nearest():
    with pytest.raises(UsageError, match=r"no network called 'resnet8'; did you mean resnet18\?"):
        lookup("resnet8")


def test_a_pattern_is_a_network_too():
    entry = lookup("[conv8-relu-pool]*2-fc")
    assert entry.size == 0
    assert build(entry.name, 4, 3, 16)(torch.rand(2, 3, 16, 16)).shape == (2, 4)
    with pytest.raises(UsageError, match="character 7"):
        lookup("conv8-rleu-fc")


def test_a_fixed_head_refuses_other_sizes_and_says_where_and_why():
    check_size("alexnet", 227)
    with pytest.raises(UsageError) as error:
        check_size("alexnet", 224)
    assert str(error.value) == (
        "alexnet takes no 224×224 pictures: fc6 is given 6400 and has weights for 9216; "
        "it was drawn for 227×227: give --size 227"
    )
    with pytest.raises(UsageError, match=r"vgg16 takes no 20×20 pictures: pool5 is given 512×1×1"):
        build("vgg16", 10, 3, 20)


@pytest.mark.parametrize("name", ["resnet18", "squeezenet", "googlenet", "resnet20", "resnet9"])
def test_a_global_average_takes_any_size(name: str):
    for size in (64, 97):
        check_size(name, size)


@pytest.mark.parametrize(("name", "size"), [("linear", 32), ("mlp", 12)])
def test_networks_whose_weights_belong_to_pixels_are_told_the_size(name: str, size: int):
    assert lookup(name).size == 0
    assert build(name, 5, 3, size)(torch.rand(1, 3, size, size)).shape == (1, 5)


def test_a_name_is_given_once():
    def lenet5(classes: int = 10, channels: int = 1) -> nn.Module:
        """Another network of that name."""
        return nn.Identity()

    with pytest.raises(UsageError, match="a network called lenet5 already"):
        network(paper="none", params=0, size=1)(lenet5)


def test_side_heads_keep_their_names_behind_a_normalization():
    net = with_normalization(lookup("googlenet_auxiliary").build(10), (0.5,) * 3, (0.25,) * 3)
    assert isinstance(net, Sided)
    with torch.no_grad():
        main, first, second = net.eval()(torch.rand(1, 3, 224, 224))
    assert main.shape == first.shape == second.shape == (1, 10)


def test_side_losses_count_three_tenths():
    entry = lookup("googlenet_auxiliary")
    main, first, second = torch.randn(3, 4, 10).double()
    targets = torch.tensor([1, 2, 3, 4])

    def nll(logits: torch.Tensor) -> torch.Tensor:  # −log of the softmax, as one writes it down
        return -(logits.exp() / logits.exp().sum(1, keepdim=True))[range(4), targets].log().mean()

    assert entry.loss is not None
    loss = entry.loss((main, first, second), targets)
    torch.testing.assert_close(loss, nll(main) + 0.3 * nll(first) + 0.3 * nll(second))
    assert entry.read((main, first, second)) is main

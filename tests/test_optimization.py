"""Groups of parameters: which learn how fast, and that a step is exactly so much smaller; what has no such stage."""

from dataclasses import replace

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from legato.errors import LegatoError, UsageError
from legato.layers import stages
from legato.optimization import groups_of, optimizer_of, set_lr, shares_of
from legato.recipe import Recipe
from tests.contract import check_resume
from tests.toy import Toy

SGD = Recipe(optimizer="sgd", momentum=0.0, lr=0.5, warmup=0.0, schedule="constant", epochs=1, precision="fp32")


def net() -> nn.Sequential:
    torch.manual_seed(0)
    head = nn.Linear(48, 2)
    return stages(conv1=nn.Conv2d(1, 2, 3), relu=nn.ReLU(), conv2=nn.Conv2d(2, 3, 3), flat=nn.Flatten(), head=head)


def step(recipe: Recipe) -> dict[str, Tensor]:
    """How far one step moves each parameter."""
    model = net()
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    optimizer = optimizer_of(model, recipe)
    x = torch.linspace(-1, 1, 4 * 64).view(4, 1, 8, 8)
    nn.functional.cross_entropy(model(x), torch.tensor([0, 1, 0, 1])).backward()
    set_lr(optimizer, recipe.lr)
    optimizer.step()
    return {name: p.detach() - before[name] for name, p in model.named_parameters()}


@pytest.mark.parametrize("optimizer", ["sgd", "adamw"])
def test_T1_the_trunk_moves_by_its_share_and_the_head_as_ever(optimizer):
    recipe = replace(SGD, optimizer=optimizer, lr=0.01)
    whole, part = step(recipe), step(replace(recipe, lr_scale="trunk=0.1,conv2=0.5"))
    for name, share in (("conv1", 0.1), ("conv2", 0.5), ("head", 1.0)):
        for kind in ("weight", "bias"):
            moved = whole[f"{name}.{kind}"]
            assert moved.abs().max() > 0
            torch.testing.assert_close(part[f"{name}.{kind}"], share * moved, rtol=1e-3, atol=1e-7)


def test_shares_by_stage_and_by_part_of_a_stage():
    class Detector(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.trunk, self.boxes, self.classes = net(), nn.Linear(2, 4), nn.Linear(2, 2)

    shares = shares_of(Detector(), "trunk=0.1,trunk.conv1=0")
    assert {n.rpartition(".")[0]: s for n, s in shares.items()} == {
        "trunk.conv1": 0, "trunk.conv2": 0.1, "trunk.head": 0.1, "boxes": 1, "classes": 1,
    }  # fmt: skip


def test_decay_is_for_weights_alone_and_frozen_ones_are_in_no_group():
    model = net()
    model.conv1.requires_grad_(False)
    groups = groups_of(model, replace(SGD, weight_decay=0.3, lr_scale="trunk=0.1"))
    assert {(g["share"], g["weight_decay"], len(g["params"])) for g in groups} == {
        (0.1, 0.3, 1), (0.1, 0.0, 1), (1.0, 0.3, 1), (1.0, 0.0, 1),
    }  # fmt: skip
    with pytest.raises(LegatoError, match="nothing to train"):
        optimizer_of(model.requires_grad_(False), SGD)


@pytest.mark.parametrize(
    ("spec", "told"),
    [("trnk=0.1", "did you mean trunk"), ("conv3=1", "did you mean conv"), ("relu=1", "no stage of that name with")],
)
def test_a_stage_that_is_not_there_is_named_with_the_nearest(spec, told):
    with pytest.raises(UsageError, match=told):
        optimizer_of(net(), replace(SGD, lr_scale=spec))


@pytest.mark.parametrize("spec", ["trunk", "trunk=", "trunk=slow", "trunk=-1", "trunk=inf"])
def test_a_share_that_is_no_number(spec):
    with pytest.raises(UsageError, match="--lr-scale trunk"):
        Recipe(lr_scale=spec)


class Fine(Toy):
    """A recipe with shares of the rate."""

    def recipe(self) -> Recipe:
        return replace(super().recipe(), lr_scale="trunk=0.1")


def test_resume_keeps_the_shares_to_the_bit(tmp_path):
    check_resume(Fine(), tmp_path)
    check_resume(Toy(), tmp_path / "plain")
    slow, fast = (load_file(tmp_path / name / "state.safetensors") for name in ("whole", "plain/whole"))
    assert not torch.equal(slow["net/0.weight"], fast["net/0.weight"])

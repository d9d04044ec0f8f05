"""Attacks against what is known in closed form on linear classifiers, and their promises on any."""

from itertools import pairwise
from math import log

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn import functional as F

from legato.draws import generator, seed_from
from legato.perturb import L2, LInf
from legato.synthesis.adversarial import (
    Aim,
    apply,
    carlini_wagner,
    eight_bit,
    fgsm,
    iterative,
    pgd,
    rounded,
    smallest_epsilon,
    universal,
)
from tests.test_perturb import check_inside


class Linear:
    """logits W x + b of pictures 1 × 4 × 4."""

    def __init__(self, classes: int, seed: int = 0) -> None:
        rng = generator("linear", seed)
        self.W, self.b = torch.randn(classes, 16, generator=rng), 0.1 * torch.randn(classes, generator=rng)

    def __call__(self, x: Tensor) -> Tensor:
        return x.flatten(1) @ self.W.T + self.b


def middling(count: int, seed: int = 0) -> Tensor:
    """Pictures with pixels from 0.3 to 0.7, so that small changes do not meet the edges of the range."""
    return 0.3 + 0.4 * torch.rand(count, 1, 4, 4, generator=generator("middling", seed))


def small_net() -> nn.Module:
    seed_from("small")
    return nn.Sequential(nn.Conv2d(1, 6, 3), nn.Tanh(), nn.Flatten(), nn.Linear(24, 5))


# --- what is wanted


def test_the_objective_is_the_log_odds_against_a_class_and_its_opposite_towards_it():
    z = torch.tensor([[2.0, 0.0, 1.0]])
    p = float((z.exp() / z.exp().sum())[0, 2])
    away, towards = (Aim(torch.tensor([2]), t).objective(lambda x: z) for t in (False, True))
    assert float(away(z)) == pytest.approx(log((1 - p) / p))
    assert float(towards(z)) == pytest.approx(-log((1 - p) / p))


def test_it_rises_where_cross_entropy_does_and_also_where_the_probability_rounds_to_one():
    z = torch.randn(8, 5, generator=generator("z")).requires_grad_()
    y = torch.arange(8) % 5
    (odds,) = torch.autograd.grad(Aim(y).odds(z).sum(), z)
    (entropy,) = torch.autograd.grad(F.cross_entropy(z, y, reduction="sum"), z)
    p = z.softmax(1).gather(1, y[:, None]).detach()
    torch.testing.assert_close(entropy, (1 - p) * odds)
    sure = torch.tensor([[60.0, 0.0, 0.0]], requires_grad=True)
    assert float(torch.autograd.grad(F.cross_entropy(sure, torch.tensor([0])), sure)[0][0, 0]) == 0  # lost
    assert torch.autograd.grad(Aim(torch.tensor([0])).odds(sure).sum(), sure)[0].tolist() == [[-1.0, 0.5, 0.5]]


def test_the_margin_says_by_how_much_and_what_is_reached():
    z = torch.tensor([[2.0, 0.5, 1.0], [0.0, 3.0, 1.0]])
    away, towards = Aim(torch.tensor([0, 0])), Aim(torch.tensor([1, 1]), True)
    assert away.margin(z).tolist() == [-1.0, 3.0]
    assert towards.margin(z).tolist() == [-1.5, 2.0]
    assert away.reached(z).tolist() == [False, True]
    assert towards.reached(z, 0.8).tolist() == [False, True]
    assert towards.reached(z, 0.9).tolist() == [False, False]  # e³ / (e³ + e + 1) is 0.84


# --- closed forms


@pytest.mark.parametrize("attack", [fgsm, iterative, pgd], ids=lambda a: a.__name__)
def test_between_two_classes_the_optimum_in_an_linf_ball_is_the_sign_of_the_difference(attack):
    logits, x = Linear(2), torch.rand(4, 1, 4, 4, generator=generator("x"))
    y = logits(x).argmax(1)
    towards = (logits.W[1 - y] - logits.W[y]).view(-1, 1, 4, 4)
    optimum = (x + 0.1 * towards.sign()).clamp(0, 1)
    torch.testing.assert_close(attack(logits, x, Aim(y), LInf(0.1)), optimum, atol=1e-6, rtol=0)
    torch.testing.assert_close(attack(logits, x, Aim(1 - y, towards=True), LInf(0.1)), optimum, atol=1e-6, rtol=0)


@pytest.mark.parametrize("attack", [fgsm, iterative, pgd], ids=["fgsm", "iterative", "pgd"])
def test_between_two_classes_the_optimum_in_an_l2_ball_is_along_the_difference(attack):
    torch.manual_seed(0)  # the least share depends on where the random start lies
    logits, x = Linear(2), middling(4)
    y = logits(x).argmax(1)
    towards = (logits.W[1 - y] - logits.W[y]).norm(dim=1)
    gained = Aim(y).margin(logits(attack(logits, x, Aim(y), L2(0.2)))) - Aim(y).margin(logits(x))
    share = gained / (0.2 * towards)  # of ε ‖w − w′‖; a random start leaves a little that is not along w − w′
    assert 0.97 < float(share.min()) <= float(share.max()) < 1 + 1e-5


def test_carlini_and_wagner_find_the_distance_to_the_nearest_hyperplane():
    logits, x = Linear(4), middling(6)
    z = logits(x)
    y = z.argmax(1)
    gap = z.gather(1, y[:, None]) - z  # to the boundary of class k: (z_y − z_k) / ‖w_y − w_k‖
    distance = (gap / (logits.W[y][:, None] - logits.W).norm(dim=2)).scatter(1, y[:, None], torch.inf).amin(1)
    found = carlini_wagner(logits, x, Aim(y), steps=100, searches=8)
    assert Aim(y).reached(logits(found)).all()
    near = (found - x).flatten(1).norm(dim=1)
    assert (near >= distance * (1 - 1e-4)).all()  # nearer is impossible
    assert (near <= distance * 1.02).all()


def test_carlini_and_wagner_with_a_target_and_a_margin():
    logits, x = Linear(2), middling(3)
    y = logits(x).argmax(1)
    found = carlini_wagner(logits, x, Aim(1 - y, True), kappa=1.0, steps=100, searches=8)
    z, towards = logits(x), (logits.W[1 - y] - logits.W[y]).norm(dim=1)
    distance = ((z.gather(1, y[:, None]) - z.gather(1, 1 - y[:, None])).squeeze(1) + 1.0) / towards
    assert (Aim(1 - y, True).margin(logits(found)) >= 1.0).all()
    assert ((found - x).flatten(1).norm(dim=1) / distance).tolist() == pytest.approx([1.0] * 3, rel=0.02)


def test_carlini_and_wagner_return_the_picture_where_nothing_succeeds():
    x = middling(2)
    found = carlini_wagner(lambda x: x.flatten(1)[:, :2] * 0 + torch.tensor([1.0, 0.0]), x, Aim(torch.zeros(2).long()))
    assert torch.equal(found, x)


def test_one_change_for_all_is_on_a_linear_classifier_the_sign_of_the_difference():
    logits = Linear(2)
    x = middling(40)
    aim = Aim(torch.ones(40).long(), towards=True)
    change = universal(logits, x, aim, LInf(0.1), epochs=5, batch_size=10, rng=generator("u"))
    torch.testing.assert_close(change, 0.1 * (logits.W[1] - logits.W[0]).sign().view(1, 1, 4, 4))
    assert logits(apply(change, x, LInf(0.1))).diff(dim=1).min() > logits(x).diff(dim=1).min()


# --- promises


@settings(max_examples=25, deadline=None)
@given(
    epsilon=st.sampled_from([0.5 / 255, 4 / 255, 0.1, 0.3]),
    kind=st.sampled_from([LInf, L2]),
    which=st.sampled_from(["fgsm", "iterative", "pgd", "universal", "rounded"]),
    towards=st.booleans(),
    seed=st.integers(0, 10**6),
)
def test_every_attack_stays_in_its_ball_and_in_range(epsilon, kind, which, towards, seed):
    net, ball = small_net(), kind(epsilon)
    x = (torch.rand(3, 1, 4, 4, generator=generator(seed)) * 255).round() / 255
    aim = Aim(torch.tensor([0, 1, 2]), towards)
    match which:
        case "pgd":
            found = pgd(net, x, aim, ball, steps=5, restarts=2, rng=generator(seed))
        case "universal":
            found = apply(universal(net, x, aim, ball, epochs=3), x, ball)
        case "rounded":
            found = rounded(pgd(net, x, aim, ball, steps=5), x, ball)
            torch.testing.assert_close(found * 255, (found * 255).round(), atol=1e-4, rtol=0)
            ball = kind(epsilon * (1 + 2e-6))  # of levels n/255, which no float32 holds exactly
        case _:
            found = {"fgsm": fgsm, "iterative": iterative}[which](net, x, aim, ball)
    check_inside(found, x, ball)


def test_a_picture_within_whole_levels_rounds_to_whole_levels():
    x = (torch.rand(2, 3, 8, 8, generator=generator("x")) * 255).round() / 255
    for levels in (1, 4, 8):
        far = LInf(levels / 255).project(x + 1, x)
        assert ((rounded(far, x, LInf(levels / 255)) - x) * 255).round().max() == levels
    assert torch.equal(rounded(x + 0.4 / 255, x, LInf(0.4 / 255)), x)  # less than a level cannot be held
    assert ((rounded((x + 1.6 / 255).clamp(0, 1), x, LInf(1.6 / 255)) - x) * 255).round().max() == 1  # 2 would lead out


def test_a_random_start_leaves_a_plateau_that_one_step_from_the_picture_does_not():
    """Flat within 0.05 of the picture: its gradient there is nothing, as a masked gradient is."""
    logits = lambda x: torch.stack([torch.full((len(x),), 0.5), ((x - 0.5).flatten(1).sum(1) - 0.05).relu()], 1)
    x, aim, ball = torch.full((1, 1, 4, 4), 0.5), Aim(torch.tensor([1]), True), LInf(0.1)
    assert torch.equal(fgsm(logits, x, aim, ball), x)
    assert torch.equal(iterative(logits, x, aim, ball), x)
    assert aim.reached(logits(pgd(logits, x, aim, ball, restarts=8, rng=generator("start")))).all()


def test_restarts_never_lose_what_an_earlier_one_has_found():
    net = small_net()
    x = torch.rand(24, 1, 4, 4, generator=generator("x"))
    with torch.no_grad():
        aim = Aim(net(x).argmax(1))
    margins = [
        aim.margin(net(pgd(net, x, aim, LInf(0.2), 3, restarts, generator("r")))).detach() for restarts in (1, 2, 6)
    ]
    assert (margins[0] > 0).any()
    assert (margins[0] < 0).any()
    for fewer, more in pairwise(margins):
        assert ((more > 0) >= (fewer > 0)).all()
    assert (margins[2] > 0).sum() >= (margins[0] > 0).sum()


def test_what_is_enough_ends_the_attack_early():
    calls = []

    def logits(x: Tensor) -> Tensor:
        calls.append(1)
        return torch.stack([x.mean(dim=(1, 2, 3)), torch.full((len(x),), 0.55)], 1)

    x, aim = torch.full((1, 1, 4, 4), 0.5), Aim(torch.tensor([0]), True)
    found = pgd(logits, x, aim, LInf(0.3), steps=100, rng=generator("r"), enough=0.0)
    assert aim.reached(logits(found)).all()
    early = len(calls)
    pgd(logits, x, aim, LInf(0.3), steps=100, rng=generator("r"))
    assert early < (len(calls) - early) / 2


def test_rounding_has_the_gradient_of_what_was_not_rounded():
    x, weights = (
        torch.tensor([0.1234, 0.5]).view(1, 2, 1, 1).requires_grad_(),
        torch.tensor([2.0, 3.0]).view(1, 2, 1, 1),
    )
    held = eight_bit(x)
    torch.testing.assert_close(held * 255, torch.tensor([31.0, 128.0]).view(1, 2, 1, 1))
    (held * weights).sum().backward()
    assert torch.equal(x.grad, weights)


def test_the_smallest_epsilon_is_found_to_a_part_of_the_largest():
    asked = []

    def succeeds(epsilon: float) -> bool:
        asked.append(epsilon)
        return epsilon >= 0.0123

    found = smallest_epsilon(succeeds, 0.1, halvings=10)
    assert 0.0123 <= found <= 0.0123 + 0.1 / 2**10
    assert len(asked) == 10

"""Balls to the last bit, and steps that climb: in exact arithmetic, and on objectives whose optimum is known."""

from fractions import Fraction

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from legato.draws import generator
from legato.errors import UsageError
from legato.perturb import L2, Ball, LInf, ascend, gradient, share, step_size

EPSILONS = st.sampled_from([0.0, 1e-7, 0.1 / 255, 1 / 255, 4 / 255, 8 / 255, 0.1, 0.3, 0.5, 1.0])
BALLS = st.sampled_from([LInf, L2])


def pictures(seed: int, spread: float) -> tuple[torch.Tensor, torch.Tensor]:
    """Pictures with pixels at and near 0, 1 and levels of 255; and places far from them."""
    rng = generator("pictures", seed)
    centre = (torch.rand(3, 1, 5, 5, generator=rng) * 255).round() / 255
    centre[0] = centre[0].round()
    return centre, centre + spread * torch.randn(centre.shape, generator=rng)


def distances(x: torch.Tensor, centre: torch.Tensor) -> list[tuple[Fraction, Fraction]]:
    """Of each picture the largest change, and the sum of squared changes, as rational numbers: no rounding."""
    rows = zip(x.flatten(1).tolist(), centre.flatten(1).tolist())
    changes = [[Fraction(a) - Fraction(b) for a, b in zip(*row)] for row in rows]
    return [(max(map(abs, row)), sum((c * c for c in row), Fraction())) for row in changes]


def check_inside(x: torch.Tensor, centre: torch.Tensor, ball: Ball) -> None:
    epsilon = Fraction(ball.epsilon)
    assert float(x.min()) >= 0
    assert float(x.max()) <= 1
    for largest, squares in distances(x, centre):
        if isinstance(ball, LInf):
            assert largest <= epsilon
        else:
            assert float(squares) <= float(epsilon**2) * (1 + 1e-12)  # the root of a rational has no exact form


@settings(max_examples=60, deadline=None)
@given(kind=BALLS, epsilon=EPSILONS, seed=st.integers(0, 10**6), spread=st.sampled_from([1e-8, 0.01, 1.0, 100.0]))
def test_a_projection_is_in_the_ball_and_in_range_to_the_last_bit(kind, epsilon, seed, spread):
    centre, x = pictures(seed, spread)
    ball = kind(epsilon)
    held = ball.project(x, centre)
    check_inside(held, centre, ball)
    check_inside(ball.anywhere(centre, generator(seed)), centre, ball)
    torch.testing.assert_close(ball.project(held, centre), held, atol=1e-6, rtol=0)
    assert (ball.size(ball.limit(x - centre)) <= epsilon * (1 + 1e-6)).all()


@pytest.mark.parametrize("ball", [LInf(0.1), L2(0.4)])
def test_what_is_inside_stays(ball):
    centre = torch.full((2, 3, 4, 4), 0.5)
    inside = centre + 0.05 * torch.rand(centre.shape, generator=generator(1))
    assert torch.equal(ball.project(inside, centre), inside)


def test_a_projection_is_the_nearest_point():
    centre = torch.tensor([[0.5, 0.5], [0.9, 0.5]])
    x = torch.tensor([[0.9, 0.8], [1.4, 0.5]])
    torch.testing.assert_close(LInf(0.3).project(x, centre), torch.tensor([[0.8, 0.8], [1.0, 0.5]]))
    torch.testing.assert_close(L2(0.25).project(x, centre), torch.tensor([[0.7, 0.65], [1.0, 0.5]]))  # 0.25 (0.8, 0.6)


@pytest.mark.parametrize("kind", [LInf, L2])
def test_the_steepest_direction_is_of_length_one_and_none_is_steeper(kind):
    rng = generator("steepest")
    slope, ball = torch.randn(4, 3, 5, 5, generator=rng), kind(1.0)
    best = ball.steepest(slope)
    assert ball.size(best).tolist() == pytest.approx([1.0] * 4)
    for _ in range(50):
        other = torch.randn(slope.shape, generator=rng)
        other = other / ball.size(other).view(-1, 1, 1, 1)
        assert ((best - other) * slope).flatten(1).sum(1).min() > 0
    assert torch.equal(ball.steepest(torch.zeros(1, 4)), torch.zeros(1, 4))  # nowhere to go


def test_random_starts_fill_the_ball_and_are_a_function_of_the_generator():
    centre = torch.full((2000, 1, 2, 2), 0.5)
    flat, round_ = LInf(0.1).anywhere(centre, generator(0)), L2(0.1).anywhere(centre, generator(0))
    assert float((flat - 0.5).abs().mean()) == pytest.approx(0.05, rel=0.05)  # uniform on [−ε, ε]
    radius = L2(0.1).size(round_ - centre) / 0.1
    assert float(radius.mean()) == pytest.approx(4 / 5, rel=0.02)  # of a ball in n dimensions: n / (n + 1)
    assert torch.equal(flat, LInf(0.1).anywhere(centre, generator(0)))


def test_a_gradient_is_each_examples_own_and_leaves_the_weights_alone():
    net = nn.Linear(3, 2)
    x = torch.rand(4, 3)
    with torch.no_grad():
        found = gradient(lambda x: net(x).square().sum(1), x)
    torch.testing.assert_close(found, 2 * net(x).detach() @ net.weight.detach())
    assert net.weight.grad is None
    assert not x.requires_grad


@pytest.mark.parametrize("steps", [1, 4, 40])
def test_ascent_reaches_the_optimum_of_a_linear_objective(steps):
    rng = generator("linear")
    slope, centre = torch.randn(1, 1, 4, 4, generator=rng), torch.rand(3, 1, 4, 4, generator=rng)
    ball = LInf(0.2)
    start = ball.anywhere(centre, rng)
    reached = ascend(lambda x: (x * slope).flatten(1).sum(1), start, centre, ball, step_size(ball, steps), steps)
    optimum = (centre + 0.2 * slope.sign()).clamp(0, 1)
    if steps > 1:  # a single step of 1.25 ε does not cross the ball
        torch.testing.assert_close(reached, optimum)
    assert ((reached - start) * slope).sum() > 0


def test_steps_reach_every_edge_of_the_ball():
    for steps in (2, 7, 40):
        assert step_size(LInf(0.3), steps) * steps == pytest.approx(2.5 * 0.3)
    assert step_size(LInf(0.3), 1) == pytest.approx(1.25 * 0.3)


@pytest.mark.parametrize(("text", "number"), [("8/255", 8 / 255), ("0.03", 0.03), ("0", 0.0), ("1e-2", 0.01)])
def test_distances_are_read_as_people_write_them(text, number):
    assert share(text) == number


@pytest.mark.parametrize("text", ["", "much", "8/0", "-0.1", "nan", "inf", "8/255/2", "8/"])
def test_what_is_no_distance_is_refused(text):
    with pytest.raises(UsageError, match="8/255"):
        share(text)

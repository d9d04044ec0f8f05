"""What is left of an attack once its picture is saved, on a classifier that says whether a picture is bright."""

import pytest
import torch

from legato.device import Device
from legato.perturb import L2, Ball, LInf
from legato.synthesis.adversarial import Aim
from legato.synthesis.adversarial_pictures import smallest, trick, with_middle
from legato.synthesis.adversarial_plan import Plan, Victim
from legato.tasks.classify import Classify
from legato.tasks.pictures import Learnt
from legato.values import Image

SIZE, LOAD = 8, 10  # the network sees the middle of a square
BRIGHT = Aim(torch.tensor([1]), towards=True)


def victim(threshold: float) -> Victim:
    """Bright (class 1) where the mean of the pixels is above the threshold, which it holds for certain."""
    learnt = Learnt(
        "drawn", ("dark", "bright"), 1, SIZE, LOAD, (0.0,), (1.0,), (), (1, 1), (2, 0, 0), "", ""
    )  # fmt: skip
    task = Classify(network="linear", size=SIZE, augmentation="none", learnt=learnt)
    net = task.build().eval()
    weight, bias = (p for p in net.parameters())
    with torch.no_grad():
        weight.copy_(torch.stack([torch.zeros(SIZE * SIZE), torch.full((SIZE * SIZE,), 100.0 / SIZE**2)]))
        bias.copy_(torch.tensor([0.0, -100.0 * threshold]))
    return Victim(task, net, Device("cpu", "fp32", 1))


def grey(level: int) -> Image:
    return Image(torch.full((1, LOAD, LOAD), level, dtype=torch.uint8), "grey.png")


def mean_seen(image: Image) -> float:
    return float(image.pixels[:, 1:9, 1:9].float().mean()) / 255


def plan(ball: Ball, **more: object) -> Plan:
    return Plan("pgd", ball, **more)  # type: ignore[arg-type]


@pytest.mark.parametrize("how", ["pgd", "fgsm", "iterative"])
def test_a_picture_is_changed_by_whole_levels_and_only_where_the_network_looks(how):
    one = victim(0.51)
    done = trick(one, grey(128), BRIGHT, Plan(how, LInf(4 / 255)), Plan(how, LInf(4 / 255)).attack)
    assert done.worked
    assert not done.inside
    change = done.after.pixels.int() - done.before.pixels.int()
    assert change[:, 1:9, 1:9].unique().tolist() == [4]
    assert int(change.abs().sum()) == 4 * SIZE * SIZE
    assert float(done.change.max()) == pytest.approx(4 / 255)
    assert mean_seen(done.after) > 0.51


def test_what_less_than_a_level_does_cannot_be_saved_and_that_is_said():
    one = victim((128 + 0.3) / 255)
    small = plan(LInf(0.5 / 255))
    done = trick(one, grey(128), BRIGHT, small, small.attack)
    assert done.worked  # in floating point
    assert torch.equal(done.after.pixels, done.before.pixels)


def test_an_attack_that_rounding_undoes_is_made_again_for_rounded_pictures():
    """The nearest picture in L2 changes every pixel by 0.3 levels, of which 8 bits keep nothing."""
    one = victim((128 + 0.3) / 255)
    nearest = Plan("cw", L2(1.0), steps=100)
    done = trick(one, grey(128), BRIGHT, nearest, nearest.attack)
    assert done.worked
    assert done.inside
    assert mean_seen(done.after) > (128 + 0.3) / 255


@pytest.mark.parametrize("ball", [LInf(8 / 255), L2(8 * 8 / 255)])
def test_the_smallest_epsilon_is_the_distance_to_the_threshold(ball):
    one = victim((128 + 2) / 255)
    found = smallest(one, grey(128), BRIGHT, plan(ball))
    least = 2 / 255 if isinstance(ball, LInf) else 2 * SIZE / 255  # √(8 · 8 · 2²)
    assert least <= found * (1 + 1e-5)
    assert found <= least * 1.05 + ball.epsilon / 2**7


def test_a_confidence_asks_for_more():
    one = victim((128 + 2) / 255)
    found = smallest(one, grey(128), BRIGHT, plan(LInf(16 / 255), confidence=0.9))
    least = 2 / 255 + float(torch.tensor(9.0).log()) / 100  # log(p / (1 − p)) / slope
    assert least <= found * (1 + 1e-5) <= least + 16 / 255 / 2**6


def test_the_margin_for_a_confidence_is_enough_whatever_the_others_are():
    nearest = Plan("cw", L2(1.0), confidence=0.98)
    kappa = nearest.kappa(lambda x: torch.zeros(1, 1000), torch.zeros(1, 1, 2, 2))
    z = torch.zeros(1, 1000)
    z[0, 3] = kappa  # all others as near as a margin of κ allows
    assert float(z.softmax(1)[0, 3]) == pytest.approx(0.98, rel=1e-4)


def test_the_middle_of_a_square():
    square, middle = torch.zeros(3, 10, 10, dtype=torch.uint8), torch.ones(3, 8, 8, dtype=torch.uint8)
    assert with_middle(square, middle).sum() == 3 * 64
    assert square.sum() == 0

"""Adversarial examples: pictures changed a little, so that a classifier answers otherwise, or what one wants it to.

Every attack is a function of `logits`, x (b, c, h, w) → (b, k), of pictures x with pixels in [0, 1], and of an `Aim`.
What it gives is in [0, 1] and within its ball to the last bit; Carlini and Wagner's has no ball, and seeks the nearest.
"""

from collections.abc import Callable
from math import ceil
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Generator, Tensor
from torch.nn import functional as F

from legato.perturb import L2, Ball, Objective, ascend, gradient, step_size

Logits = Callable[[Tensor], Tensor]
Pictures = Float[Tensor, "b c h w"]
LEVELS = 255  # of 8 bits a channel


class Aim(NamedTuple):
    """Away from these classes; or `towards` them."""

    classes: Int[Tensor, "b"]
    towards: bool = False

    def objective(self, logits: Logits) -> Objective:
        """What rises as the attack succeeds: log (1 − p) / p, the odds against class y; towards y its opposite.

        The papers' J(x, y) = −log p = log(1 + odds) has the same direction, ∇J = (1 − p) ∇ log odds, but loses the part
        of z_y where p rounds to 1: a network can be so sure that it only seems robust.
        """
        sign = -1 if self.towards else 1
        return lambda x: sign * self.odds(logits(x))

    def odds(self, z: Float[Tensor, "b k"]) -> Float[Tensor, "b"]:
        """log Σ exp z over the other classes, less z_y."""
        own, others = z.gather(1, self.classes[:, None]), z.scatter(1, self.classes[:, None], -torch.inf)
        return others.logsumexp(1) - own.squeeze(1)

    def margin(self, z: Float[Tensor, "b k"]) -> Float[Tensor, "b"]:
        """By how much the logits z favour what is wanted: max over the others less z_y; towards y its opposite."""
        own = z.gather(1, self.classes[:, None])
        others = z.scatter(1, self.classes[:, None], -torch.inf).amax(1, keepdim=True)
        return ((own - others) if self.towards else (others - own)).squeeze(1)

    def reached(self, z: Float[Tensor, "b k"], probability: float = 0.0) -> Bool[Tensor, "b"]:
        """Whether the network says what is wanted, and holds its answer at least so probable."""
        return (self.margin(z) > 0) & (z.softmax(1).amax(1) >= probability)

    def of(self, chosen: Tensor) -> "Aim":
        """The same for some of the examples."""
        return Aim(self.classes[chosen], self.towards)


def fgsm(logits: Logits, x: Pictures, aim: Aim, ball: Ball) -> Pictures:
    """The fast gradient sign method: x + ε sign ∇ₓ J(x, y); in an L2 ball x + ε ∇ₓ J / ‖∇ₓ J‖₂.

    Goodfellow, Shlens & Szegedy 2015, "Explaining and harnessing adversarial examples", arXiv:1412.6572, section 4.
    """
    return ascend(aim.objective(logits), x, x, ball, ball.epsilon, 1)


def iterative(logits: Logits, x: Pictures, aim: Aim, ball: Ball, steps: int = 0) -> Pictures:
    """The basic iterative method: x ← Clip(x + α sign ∇ₓ J(x, y)), from the picture itself.

    Kurakin, Goodfellow & Bengio 2017, "Adversarial examples in the physical world", arXiv:1607.02533, sections 2.2 and
    2.3. Without `steps` theirs in an L∞ ball: α is one of 255 levels, and min(ε + 4, 1.25 ε) steps with ε in levels.
    Else α = 2.5 ε / steps.
    """
    levels = ball.epsilon * LEVELS
    theirs = max(1, ceil(min(levels + 4, 1.25 * levels)))
    if steps or isinstance(ball, L2):
        return ascend(aim.objective(logits), x, x, ball, step_size(ball, steps or 20), steps or 20)
    return ascend(aim.objective(logits), x, x, ball, 1 / LEVELS, theirs)


def pgd(
    logits: Logits,
    x: Pictures,
    aim: Aim,
    ball: Ball,
    steps: int = 40,
    restarts: int = 1,
    rng: Generator | None = None,
    enough: float = torch.inf,
) -> Pictures:
    """Projected gradient ascent from random starts: x ← Π(x + α sign ∇ₓ J(x, y)); of all restarts each example's best.

    Mądry et al. 2018, "Towards deep learning models resistant to adversarial attacks", arXiv:1706.06083, section 2.1;
    α = 2.5 ε / steps as in section 5. Examples that one restart has turned are left alone by the next. A restart ends
    early once all are turned and hold their answers at least as probable as `enough`.
    """
    best, most = x.clone(), x.new_full((len(x),), -torch.inf)
    standing = torch.arange(len(x), device=x.device)
    for _ in range(restarts):
        centre, own = x[standing], aim.of(standing)
        objective, found = own.objective(logits), ball.anywhere(centre, rng)
        for burst in bursts(steps):
            found = ascend(objective, found, centre, ball, step_size(ball, steps), burst)
            if enough <= 1 and own.reached(without_gradient(logits, found), enough).all():
                break
        z = without_gradient(logits, found)
        value = own.margin(z)
        better = value > most[standing]
        best[standing[better]], most[standing[better]] = found[better], value[better]
        standing = standing[~own.reached(z)]
        if not len(standing):
            break
    return best


def bursts(steps: int, length: int = 10) -> list[int]:
    """So many steps in parts, between which one may look whether it is enough."""
    return [length] * (steps // length) + [steps % length] * (steps % length > 0)


@torch.no_grad()
def without_gradient(logits: Logits, x: Pictures) -> Float[Tensor, "b k"]:
    return logits(x)


def carlini_wagner(
    logits: Logits,
    x: Pictures,
    aim: Aim,
    kappa: float = 0.0,
    steps: int = 200,
    searches: int = 9,
    c: float = 0.1,
    lr: float = 0.01,
) -> Pictures:
    """The nearest picture in L2 that succeeds: min over w of ‖½(tanh w + 1) − x‖² + c · f(½(tanh w + 1)),
    f(x') = max(−margin(x'), −κ). Where none is found, x as it was.

    Carlini & Wagner 2017, "Towards evaluating the robustness of neural networks", arXiv:1608.04644, section VI-A: Adam
    for each c, and for each example the least c that succeeds by `searches` halvings; κ in logits.
    """
    best, nearest = x.clone(), x.new_full((len(x),), torch.inf)
    low, high, weight = torch.zeros_like(nearest), nearest.clone(), torch.full_like(nearest, c)
    for _ in range(searches):
        near, distance = carlini_wagner_at(weight, logits, x, aim, kappa, steps, lr)
        found = distance.isfinite()
        nearer = distance < nearest
        best[nearer], nearest[nearer] = near[nearer], distance[nearer]
        high, low = torch.where(found, weight, high), torch.where(found, low, weight)
        weight = torch.where(high.isfinite(), (low + high) / 2, 10 * weight)
    return best


def carlini_wagner_at(
    c: Float[Tensor, "b"], logits: Logits, x: Pictures, aim: Aim, kappa: float, steps: int, lr: float
) -> tuple[Pictures, Float[Tensor, "b"]]:
    """For this c the nearest success on Adam's way, and its squared distance, ∞ where there is none."""
    best, nearest = x.clone(), x.new_full((len(x),), torch.inf)
    w = torch.atanh((2 * x - 1) * (1 - 1e-6)).requires_grad_()  # so that ½(tanh w + 1) is x, and stays in [0, 1]
    adam, last = torch.optim.Adam([w], lr=lr), torch.inf
    for step in range(steps):
        with torch.enable_grad():
            near = (w.tanh() + 1) / 2
            margin = aim.margin(logits(near))
            distance = (near - x).square().sum(dim=(1, 2, 3))
            cost = distance + c * (-margin).clamp(min=-kappa)
            (w.grad,) = torch.autograd.grad(cost.sum(), w)
        nearer = (margin > 0) & (margin >= kappa) & (distance < nearest)
        best[nearer], nearest[nearer] = near.detach()[nearer], distance.detach()[nearer]
        if step % max(1, steps // 10) == 0:  # the authors' early end, where a tenth of the steps has brought nothing
            if (now := float(cost.detach().sum())) > 0.9999 * last:
                break
            last = now
        adam.step()
    return best, nearest


def universal(
    logits: Logits,
    x: Pictures,
    aim: Aim,
    ball: Ball,
    epochs: int = 10,
    batch_size: int = 64,
    rng: Generator | None = None,
    most: float = 9.0,
) -> Float[Tensor, "1 c h w"]:
    """One change v for all pictures: v ← Π(v + α · steepest Σ ∇ᵥ min(J(x + v, y), β)) over batches of them.

    That there are such changes, Moosavi-Dezfooli et al. 2017 found, "Universal adversarial perturbations",
    arXiv:1610.08401. This way to one, the loss cut off at β (`most`) lest one picture outweigh the others, is that of
    Shafahi et al. 2020, "Universal adversarial training", arXiv:1811.11304. `apply` adds it to pictures.
    """
    batches = max(1, ceil(len(x) / batch_size))
    change = torch.zeros_like(x[:1])
    alpha = max(step_size(ball, epochs * batches), ball.epsilon / 10)
    for _ in range(epochs):
        for some in torch.randperm(len(x), generator=rng).to(x.device).chunk(batches):
            own, near = aim.of(some), x[some]
            J = lambda v: F.softplus(own.odds(logits((near + v).clamp(0, 1))))  # noqa: B023
            wanted = (lambda v: -J(v)) if aim.towards else (lambda v: J(v).clamp(max=most))  # noqa: B023
            slope = gradient(wanted, change)
            change = ball.limit(change + alpha * ball.steepest(slope))
    return change


def apply(change: Float[Tensor, "1 c h w"], x: Pictures, ball: Ball) -> Pictures:
    """x + v, in [0, 1] and in the ball around x."""
    return ball.project(x + change, x)


def eight_bit(x: Pictures) -> Pictures:
    """Rounded to 255 levels, with the gradient of what was not rounded (Bengio, Léonard & Courville 2013, straight
    through): an attack on `lambda x: logits(eight_bit(x))` is made for pictures that are saved as bytes."""
    return x + ((x * LEVELS).round() / LEVELS - x).detach()


def rounded(x: Pictures, centre: Pictures, ball: Ball) -> Pictures:
    """The picture as bytes hold it, still in the ball: each value's nearest level, or where that leads out the next
    level towards the centre, which is made of levels."""
    levels, origin = x * LEVELS, (centre * LEVELS).round()
    change = (levels - origin).round()
    out = ball.size(change) > LEVELS * ball.epsilon * (1 + 1e-6)  # 255 · 4/255 may be a little less than 4
    return (origin + torch.where(out.view(-1, 1, 1, 1), (levels - origin).trunc(), change)) / LEVELS


def smallest_epsilon(succeeds: Callable[[float], bool], most: float, halvings: int = 7) -> float:
    """The least ε of those tried that succeeds, by bisection, to 2^−halvings of `most`, which is known to succeed."""
    low, high = 0.0, most
    for _ in range(halvings):
        middle = (low + high) / 2
        low, high = (low, middle) if succeeds(middle) else (middle, high)
    return high

"""Where the evidence for an answer lies, by the gradients of the last map (Grad-CAM).

Selvaraju et al. 2017, "Grad-CAM: visual explanations from deep networks via gradient-based localization",
arXiv:1610.02391, section 3.
"""

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from legato import picture
from legato.errors import UsageError
from legato.explain.saliency import Score
from legato.explain.stages import is_map, last_maps, with_maps
from legato.explain.subject import AnyTask, Shown, Subject, method, scored_pictures
from legato.watch import watch


def grad_cam(score: Score, x: Float[Tensor, "b c h w"], net: nn.Module, stage: str) -> Float[Tensor, "b _h _w"]:
    """relu(Σₖ αₖ Aᵏ), αₖ the mean of ∂ score / ∂ Aᵏ over the places of map k of the stage (equations 1 and 2).

    Behind a stage whose maps are averaged and weighed linearly, what is rectified here adds up to the score, less its
    bias: the map then is CAM (Zhou et al. 2016).
    Raises UsageError where the stage makes no map, or the score does not depend on it.
    """
    with torch.enable_grad(), watch(net, stage) as seen:
        value = score(x.detach().requires_grad_()).sum()
        A = seen[stage][-1] if seen[stage] else None
        if A is None or not is_map(A):
            raise UsageError(f"{stage} makes no map of places; `legato describe` shows the stages that do")
        (gradient,) = torch.autograd.grad(value, A, allow_unused=True) if value.requires_grad else (None,)
    if gradient is None:
        raise UsageError(f"the answer does not depend on {stage} by a gradient")
    alpha = gradient.mean(dim=(2, 3), keepdim=True)
    return F.relu((alpha * A.detach()).sum(dim=1))


def enlarged(map: Float[Tensor, "b _h _w"], height: int, width: int) -> Float[Tensor, "b {height} {width}"]:
    """Bilinear, to the size of the picture."""
    return F.interpolate(map[:, None], (height, width), mode="bilinear", align_corners=False)[:, 0]


def at_last_map(subject: Subject) -> tuple[str, Float[Tensor, "1 _h _w"]]:
    """The stage in question and its Grad-CAM; without one in question, of the last stage that the answer depends on.

    Detectors, for one, end with maps that choose where to look, which no gradient leads to.
    """
    x, refusal = subject.pixels, None
    stages = [subject.stage] if subject.stage else last_maps(subject.net, lambda: subject.score_of(x))
    for stage in stages:
        try:
            return stage, grad_cam(subject.score_of, x, subject.net, stage)
        except UsageError as error:
            refusal = refusal or error
    assert refusal is not None, "last_maps gives one, or complains"
    raise refusal


def fits(task: AnyTask, net: nn.Module) -> str:
    return scored_pictures(task, net) or with_maps(task, net)


@method("gradcam", fits=fits)
def show_grad_cam(subject: Subject) -> list[Shown]:
    """Where the evidence for the answer lies: maps of the last convolution, weighed by their gradients."""
    x = subject.pixels
    stage, found = at_last_map(subject)
    drawn = picture.heat(
        enlarged(found, *x.shape[2:])[0], x[0], f"Grad-CAM: {subject.target}", f"what {stage} adds to the score"
    )
    h, w = found.shape[1:]
    empty = ("  nothing speaks for this answer there",) if not found.any() else ()
    return [Shown(drawn, lines=(f"Grad-CAM at {stage}, {h} × {w} places", *empty))]

"""Pixels that excite what excites the answer: guided backpropagation, and Grad-CAM in its detail.

Springenberg, Dosovitskiy, Brox & Riedmiller 2015, "Striving for simplicity", arXiv:1412.6806, section 3.4;
Selvaraju et al. 2017, arXiv:1610.02391, section 3.1. What it draws depends little on the answer (Adebayo et al. 2018,
"Sanity checks for saliency maps", arXiv:1810.03292): it shows what is seen, Grad-CAM what speaks for a class.
"""

from jaxtyping import Float
from torch import Tensor

from legato import picture
from legato.explain.gradcam import at_last_map, enlarged, fits
from legato.explain.rectified import rectifying
from legato.explain.saliency import Score, gradient
from legato.explain.subject import Shown, Subject, method, scored_pictures


def guided_gradient(score: Score, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h w"]:
    """∂ score / ∂ x, where no rectifier passes a negative gradient on."""
    with rectifying("guided"):
        return gradient(score, x)


@method("guided", fits=scored_pictures)
def show_guided(subject: Subject) -> list[Shown]:
    """Guided backpropagation: pixels that excite what excites the answer, in detail."""
    x = subject.pixels
    found = guided_gradient(subject.score_of, x)[0]
    return [Shown(detail(x[0], found, f"Guided backpropagation: {subject.target}"))]


@method("guided-gradcam", fits=fits)
def show_guided_grad_cam(subject: Subject) -> list[Shown]:
    """Guided Grad-CAM: the detail of guided backpropagation where Grad-CAM sees the answer."""
    x = subject.pixels
    stage, found = at_last_map(subject)
    where = enlarged(found, *x.shape[2:])
    both = (guided_gradient(subject.score_of, x) * where[:, None])[0]
    return [Shown(detail(x[0], both, f"Guided Grad-CAM: {subject.target}"), lines=(f"Grad-CAM at {stage}",))]


def detail(image: Float[Tensor, "c h w"], found: Float[Tensor, "c h w"], title: str) -> picture.Picture:
    """The picture beside the gradient as a picture, grey for zero, its largest hundredth cut off."""
    most = found.abs().flatten().quantile(0.99).clamp(min=1e-12)
    grey = (found / (2 * most) + 0.5).clamp(0, 1)
    return picture.pair(image, grey, title, "picture", "gradient; grey is zero")

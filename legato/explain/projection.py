"""A data set as a map: the features of many examples brought to a plane that keeps neighbours, or parts classes.

Fisher's projection, or linear discriminant analysis (Fisher 1936, "The use of multiple measurements in taxonomic
problems"), is linear, y = Wᵀx: what it parts, a linear layer can. t-SNE (van der Maaten & Hinton 2008, JMLR 9) is not:
it shows who is whose neighbour, and distances between its islands mean nothing.
"""

from collections.abc import Sequence

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional as F

from legato.errors import UsageError
from legato.explain.features import PIXELS, Gallery, collected, sampled, stage_of
from legato.explain.subject import Shown, Subject, method, pictures
from legato.picture import cloud
from legato.picture.style import percent

MOST, PICTURES = 2000, 600  # examples on a map; of these as pictures
COMPONENTS = 50  # that t-SNE is given, as its authors do


def tsne(x: Float[Tensor, "n d"], perplexity: float = 30.0, seed: int = 0) -> Float[Tensor, "n 2"]:
    """t-SNE of the rows' directions, from their first principal components. Raises UsageError for fewer than five."""
    from sklearn.decomposition import PCA
    from sklearn.manifold import TSNE

    if len(x) < 5:
        raise UsageError(f"a map of {len(x)} examples shows nothing; it takes five or more")
    rows = F.normalize(x, dim=1).double().numpy()
    if min(rows.shape) > COMPONENTS:
        rows = PCA(COMPONENTS, svd_solver="full").fit_transform(rows)
    near = min(perplexity, (len(x) - 1) / 3)
    return torch.from_numpy(TSNE(perplexity=near, init="pca", random_state=seed).fit_transform(rows)).float()


def fisher(x: Float[Tensor, "n d"], classes: Int[Tensor, "n"], dimensions: int = 2) -> nn.Linear:
    """The projection y = Wᵀx + b that spreads the means of classes most, each class being as wide as one.

    W holds the first generalised eigenvectors of S_B w = λ S_W w, the scatter between and within classes; S_W is shrunk
    as Ledoit & Wolf 2004 advise, so that there may be fewer examples than dimensions. Two classes have one dimension
    only; the second is then the direction of most variance at a right angle to it. Raises UsageError for one class.
    """
    from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

    count = len(classes.unique())
    if count < 2:
        raise UsageError("Fisher's projection parts classes, and here is only one")
    rows = x.double()
    machine = LinearDiscriminantAnalysis(solver="eigen", shrinkage="auto").fit(rows.numpy(), classes.numpy())
    W = torch.from_numpy(machine.scalings_[:, : min(dimensions, count - 1)])
    if W.shape[1] < dimensions:
        W = torch.cat([W, beside(rows, W, dimensions - W.shape[1])], dim=1)
    layer = nn.Linear(x.shape[1], dimensions, dtype=torch.float64)
    with torch.no_grad():
        layer.weight.copy_(W.T)
        layer.bias.copy_(-W.T @ rows.mean(0))
    return layer.to(x.dtype).requires_grad_(False)


def beside(x: Float[Tensor, "n d"], W: Float[Tensor, "d k"], more: int) -> Float[Tensor, "d {more}"]:
    """Principal directions at a right angle to the columns of W, of unit deviation."""
    Q = torch.linalg.qr(W).Q
    centred = x - x.mean(0)
    _, s, Vt = torch.linalg.svd(centred - centred @ Q @ Q.T, full_matrices=False)
    return Vt[:more].T / (s[:more] / len(x) ** 0.5).clamp(min=1e-12)


def nearest_mean(
    y: Float[Tensor, "n k"], classes: Int[Tensor, "n"], others: Float[Tensor, "m k"], truth: Int[Tensor, "m"]
) -> float:
    """The share of `others` that lie nearest to the mean of their own class in y."""
    names = classes.unique()
    means = torch.stack([y[classes == k].mean(0) for k in names])
    return (names[torch.cdist(others, means).argmin(dim=1)] == truth).double().mean().item()


@method("map", pictures, needs_input=False)
def show_map(subject: Subject) -> list[Shown]:
    """The data set as a map (t-SNE): what the network takes for alike lies together."""
    gallery = Gallery(subject, stage_of(subject))
    found = collected(gallery, sampled(len(gallery), MOST))
    points, (classes, names) = tsne(found.rows), numbered(found.classes, subject)
    some = sampled(len(points), PICTURES)

    def title(count: int) -> str:
        return f"t-SNE of {gallery.stage}: {count:,} of {len(gallery):,} pictures"

    images = [found.pictures[i] for i in some]
    return [
        Shown(cloud.cloud({"": (points, classes)}, names, title(len(points))), lines=gallery.lines()),
        Shown(cloud.mural(points[some], images, classes[some], len(names) > 1, title(len(some))), "pictures"),
    ]


@method("fisher", pictures, needs_input=False)
def show_fisher(subject: Subject) -> list[Shown]:
    """Fisher's linear projection (LDA) of the data set: its pixels, and what the network makes of them."""
    gallery = Gallery(subject, stage_of(subject))
    found = collected(gallery, sampled(len(gallery), MOST))
    classes, names = numbered(found.classes, subject)
    if len(names) < 2:
        raise UsageError("Fisher's projection parts classes, and these pictures have none: put each class in a folder")
    fitted = torch.zeros(len(classes), dtype=torch.bool)
    fitted[sampled(len(classes), len(classes) // 2)] = True
    panels, lines = {}, []
    for name, rows in {f"{PIXELS} × {PIXELS} pixels": found.pixels, gallery.stage: found.rows}.items():
        y = fisher(rows[fitted], classes[fitted], max(2, len(classes[fitted].unique()) - 1))(rows)
        right = [nearest_mean(z[fitted], classes[fitted], z[~fitted], classes[~fitted]) for z in (y[:, :2], y)]
        shares = f"{percent(right[0])} in the plane, {percent(right[1])} in {y.shape[1]} dimensions"
        lines.append(f"{name}: own class nearest for {shares}")
        panels[lines[-1]] = y[~fitted, :2], classes[~fitted]
    found_on, drawn_of = int(fitted.sum()), int((~fitted).sum())
    title = f"Fisher's projection to a plane, found on {found_on:,} pictures and drawn of {drawn_of:,} others"
    return [Shown(cloud.cloud(panels, names, title), lines=(*lines, *gallery.lines()))]


def numbered(found: Sequence[str], subject: Subject) -> tuple[Int[Tensor, "n"], tuple[str, ...]]:
    """Classes by number, and their names: the task's own in its order, or those that were met."""
    met = set(found)
    names = subject.task.names if met <= set(subject.task.names) else tuple(sorted(met))
    return torch.tensor([names.index(name) for name in found]), names

"""Fisher's projection against its own definition; t-SNE on planted clusters; the maps that are drawn of them."""

import re
from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.linalg import eigh

from legato.device import Device
from legato.errors import UsageError
from legato.explain.projection import fisher, nearest_mean, show_fisher, show_map, tsne
from legato.explain.subject import Subject
from legato.picture import cloud
from legato.tasks.classify import Classify


def clusters(count: int = 60, classes: int = 3, width: int = 6) -> tuple[torch.Tensor, torch.Tensor]:
    g = torch.Generator().manual_seed(0)
    means = 3 * torch.randn(classes, width, generator=g)
    own = torch.arange(count) % classes
    stretch = torch.linspace(0.3, 3, width)  # classes are not round
    return means[own] + stretch * torch.randn(count, width, generator=g), own


def test_fisher_spreads_the_means_as_no_other_plane_does() -> None:
    """J(W) = tr (Wᵀ S_W W)⁻¹ Wᵀ S_B W is at its maximum, Σ of the largest λ of S_B w = λ S_W w."""
    x, classes = clusters(600)
    rows, own = x.double().numpy(), classes.numpy()
    within = sum(np.cov(rows[own == k].T, bias=True) for k in range(3)) / 3
    between = np.cov(np.stack([rows[own == k].mean(0) for k in range(3)]).T, bias=True)
    best = eigh(between, within, eigvals_only=True)[-2:].sum()

    def criterion(W: np.ndarray) -> float:
        return float(np.trace(np.linalg.solve(W.T @ within @ W, W.T @ between @ W)))

    W = fisher(x.double(), classes).weight.T.numpy()
    assert criterion(W) > 0.98 * best  # Ledoit & Wolf shrink the scatter a little
    assert criterion(np.linalg.svd(rows - rows.mean(0), full_matrices=False)[2][:2].T) < 0.9 * best


def test_projected_classes_are_round_and_the_middle_is_zero() -> None:
    x, classes = clusters(600)
    y = fisher(x, classes)(x)
    assert y.mean(0).abs().max() < 1e-4
    within = sum(torch.cov(y[classes == k].T) for k in range(3)) / 3
    torch.testing.assert_close(within, torch.eye(2), atol=0.1, rtol=0)


def test_two_classes_have_one_direction_and_the_other_stands_upright_on_it() -> None:
    x, classes = clusters(100, classes=2)
    W = fisher(x, classes).weight
    assert W.shape == (2, 6)
    assert abs(float(W[0] @ W[1] / W[0].norm() / W[1].norm())) < 1e-4
    assert float((x @ W[1]).std()) == pytest.approx(1, rel=0.02)
    with pytest.raises(UsageError, match="only one"):
        fisher(x, torch.zeros_like(classes))


def test_more_dimensions_than_examples() -> None:
    g = torch.Generator().manual_seed(1)
    x = torch.randn(30, 200, generator=g)
    classes = torch.arange(30) % 3
    x[:, 0] += 20.0 * classes
    y = fisher(x, classes)(x)
    assert nearest_mean(y, classes, y, classes) == 1
    assert nearest_mean(y, classes, y, (classes + 1) % 3) == 0


def test_tsne_keeps_clusters_together_and_is_the_same_every_time() -> None:
    x, classes = clusters(90)
    y = tsne(x)
    near = torch.cdist(y, y).fill_diagonal_(torch.inf).argmin(1)
    same = (classes[near] == classes).double().mean()
    plain = torch.nn.functional.normalize(x, dim=1)
    near = torch.cdist(plain, plain).fill_diagonal_(torch.inf).argmin(1)
    assert same >= (classes[near] == classes).double().mean() - 0.05
    assert torch.equal(y, tsne(x))
    with pytest.raises(UsageError, match="five or more"):
        tsne(x[:4])


def test_the_map_and_the_projection_of_a_data_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("legato.explain.projection.MOST", 300)
    torch.manual_seed(0)
    task = Classify("digits", network="lenet5", size=28, augmentation="none").adapt()
    found = task.examples("train")
    few = [(found[i][0], "") for i in range(40)]
    subject = Subject(task, task.build().eval(), Device(), None, among=few)
    dots, pictures = show_map(subject)
    assert (dots.name, pictures.name) == ("", "pictures")
    with pytest.raises(UsageError, match="put each class in a folder"):
        show_fisher(subject)  # pictures in no folder have no classes
    [shown] = show_fisher(replace(subject, among=()))
    shares = [[float(share) for share in re.findall(r"([\d.]+) %", line)] for line in shown.lines]
    assert len(shares) == 2
    assert all(30 < plane < whole <= 100 for plane, whole in shares)  # ten classes, by chance 10 %


def test_every_example_has_a_cell_of_its_own_near_its_point() -> None:
    points = torch.cartesian_prod(torch.arange(8.0), torch.arange(5.0))  # already a grid of 8 across and 5 up
    shades = [torch.full((1, 4, 4), k / 40) for k in range(40)]
    drawn = np.asarray(cloud.mural(points, shades, torch.zeros(40, dtype=torch.int64), False, "t"))
    step = cloud.LARGEST + 8
    top = drawn.shape[0] - 5 * step - 16
    read = drawn[top + step // 2 :: step, 16 + step // 2 :: step, 0][:5, :8]
    expected = [[round(255 * (8 - 8 + x * 5 + (4 - y)) / 40) for x in range(8)] for y in range(5)]
    np.testing.assert_allclose(read, expected, atol=1)

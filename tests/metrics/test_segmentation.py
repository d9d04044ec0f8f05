import numpy as np
import pytest
import torch
from scipy import ndimage

from legato.metrics import segmentation as s
from legato.values import VOID

NAMES = ("sky", "road", "car")


def maps(rows: list[list[int]], k: int) -> torch.Tensor:
    """Probabilities that say just that."""
    return torch.nn.functional.one_hot(torch.tensor(rows), k).permute(2, 0, 1)[None].float()


def test_by_hand() -> None:
    """True: 0 0 1 1, VOID 2. Said: 0 1 1 1, 0 1."""
    targets = torch.tensor([[[0, 0, 1], [1, VOID, 2]]], dtype=torch.uint8)
    found = s.scores(s.tally(maps([[0, 1, 1], [1, 0, 1]], 3), targets), NAMES)
    assert found["pixel_accuracy"] == pytest.approx(3 / 5)
    assert found["mean_accuracy"] == pytest.approx((1 / 2 + 1 + 0) / 3)
    assert found["iou/sky"] == pytest.approx(1 / 2)
    assert found["iou/road"] == pytest.approx(2 / 4)
    assert found["iou/car"] == 0
    assert found["mean_iou"] == pytest.approx(1 / 3)


def test_a_class_that_nowhere_occurs_does_not_count() -> None:
    targets = torch.zeros(1, 2, 2, dtype=torch.uint8)
    assert s.scores(s.tally(maps([[0, 0], [0, 0]], 3), targets), NAMES)["mean_iou"] == 1


def test_sums_of_two_pictures_are_those_of_both() -> None:
    torch.manual_seed(0)
    outputs, targets = torch.rand(4, 2, 20, 30), torch.randint(2, (4, 20, 30), dtype=torch.uint8)
    a, b, both = (s.tally(outputs[i], targets[i]) for i in (slice(2), slice(2, 4), slice(4)))
    assert all(torch.equal(a[k] + b[k], both[k]) for k in both)


def test_relaxed_counts_are_those_of_distance_maps() -> None:
    """Mnih & Hinton: a predicted pixel is right if a true one lies within 3 pixels of it, and the other way round."""
    rng = np.random.default_rng(0)
    true, said = rng.random((1, 60, 70)) < 0.01, rng.random((1, 60, 70)) < 0.02
    to_true = ndimage.distance_transform_edt(~true[0])
    to_said = ndimage.distance_transform_edt(~said[0])
    expected = [(said[0] & (to_true <= 3)).sum(), said.sum(), (true[0] & (to_said <= 3)).sum(), true.sum()]
    assert s.relaxed(torch.from_numpy(said), torch.from_numpy(true), 3).tolist() == expected


def test_a_road_beside_the_road_is_wrong_but_not_relaxedly() -> None:
    true = torch.zeros(1, 20, 20, dtype=torch.uint8)
    true[:, 10] = 1
    said = torch.zeros(20, 20, dtype=torch.long)
    said[12] = 1
    found = s.scores(s.tally(maps(said.tolist(), 2), true), ("land", "road"))
    assert (found["precision"], found["relaxed_precision"], found["relaxed_recall"]) == (0, 1, 1)

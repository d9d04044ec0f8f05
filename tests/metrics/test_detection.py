"""Average precision against faster-coco-eval, which equals pycocotools; by hand; and merged over batches."""

import pytest
import torch

from legato.layers.regions.objects import Detections, Truth, none_outlined
from legato.metrics.detection import average_precision, curve, interval, scores, tally

NAMES = ("cat", "dog", "mouse")


def picture(seed: int, found: int, objects: int, crowds: bool) -> tuple[Detections, Truth]:
    """Objects, and boxes that are most of them moved a little."""
    g = torch.Generator().manual_seed(seed)
    low = torch.rand(objects, 2, generator=g) * 80
    boxes = torch.cat([low, low + 5 + 40 * torch.rand(objects, 2, generator=g)], dim=1)
    labels = torch.randint(3, (objects,), generator=g)
    sure = torch.rand(objects, generator=g) > (0.2 if crowds else -1)
    if objects:
        of = torch.randint(objects, (found,), generator=g)
        moved = boxes[of] + 3 * torch.randn(found, 4, generator=g)
        kinds = torch.where(torch.rand(found, generator=g) < 0.85, labels[of], torch.randint(3, (found,), generator=g))
    else:
        moved, kinds = torch.tensor([[1.0, 1, 30, 30]]).repeat(found, 1), torch.zeros(found, dtype=torch.int64)
    moved[:, 2:] = torch.maximum(moved[:, 2:], moved[:, :2] + 1)
    certain = torch.rand(found, generator=g).sort(descending=True).values
    return Detections(moved, kinds, certain, none_outlined()), Truth(boxes, labels, sure, none_outlined())


def table_of(pictures, classes=3):
    found, truths = zip(*pictures)
    return tally(found, truths, range(len(pictures)), len(pictures), classes)


@pytest.mark.parametrize("crowds", [False, True])
def test_equals_faster_coco_eval(crowds):
    coco_eval = pytest.importorskip("faster_coco_eval")
    pictures = [picture(s, found=s % 13, objects=s % 7, crowds=crowds) for s in range(40)]
    images, truths, answers = [], [], []
    for i, (found, truth) in enumerate(pictures, 1):
        images.append({"id": i, "width": 200, "height": 200})
        for box, label, sure in zip(truth.boxes.double(), truth.labels.tolist(), truth.sure.tolist()):
            x1, y1, x2, y2 = box.tolist()
            one = {"id": len(truths) + 1, "image_id": i, "category_id": label + 1, "bbox": [x1, y1, x2 - x1, y2 - y1]}
            truths.append(one | {"area": (x2 - x1) * (y2 - y1), "iscrowd": int(not sure)})
        for box, label, score in zip(found.boxes.double(), found.labels.tolist(), found.scores.tolist()):
            x1, y1, x2, y2 = box.tolist()
            one = {"image_id": i, "category_id": label + 1, "bbox": [x1, y1, x2 - x1, y2 - y1]}
            answers.append(one | {"score": score})
    categories = [{"id": k + 1, "name": name} for k, name in enumerate(NAMES)]
    truth = coco_eval.COCO({"images": images, "annotations": truths, "categories": categories})
    theirs = coco_eval.COCOeval_faster(truth, truth.loadRes(answers), "bbox", print_function=lambda *_: None)
    theirs.evaluate()
    theirs.accumulate()
    theirs.summarize()
    ours = scores(table_of(pictures), NAMES)
    expected = {"AP": theirs.stats[0], "AP50": theirs.stats[1], "AP75": theirs.stats[2], "AR100": theirs.stats[8]}
    expected |= {"AP small": theirs.stats[3], "AP medium": theirs.stats[4]}
    assert {k: ours[k] for k in expected} == pytest.approx(expected, abs=1e-9)
    assert 0.05 < ours["AP"] < 0.9


def test_sizes_are_those_of_the_picture_before_it_was_enlarged():
    """A 40 × 40 object on a picture enlarged twice is 20 × 20, small; a ghost of another size does not count."""
    truth = Truth(boxes((0, 0, 40, 40)), torch.tensor([0]), torch.ones(1).bool(), none_outlined())
    at = boxes((50, 50, 250, 250), (0, 0, 40, 40))
    found = Detections(at, torch.zeros(2, dtype=torch.int64), torch.tensor([0.9, 0.8]), none_outlined())
    told = scores(tally([found], [truth], [0], 1, 1, torch.full((1, 2), 2.0)), ["a"])
    assert (told["AP small"], "AP medium" in told, told["AP50"]) == (1, False, 0.5)


def boxes(*corners: tuple[float, ...]) -> torch.Tensor:
    return torch.tensor(corners, dtype=torch.float32).reshape(-1, 4)


def test_by_hand():
    # two objects; the surest box hits, the second is nothing, the third hits: precision 1, ½, ⅔ at recall ½, ½, 1
    truth = Truth(boxes((0, 0, 10, 10), (20, 20, 30, 30)), torch.tensor([0, 0]), torch.ones(2).bool(), none_outlined())
    at = boxes((0, 0, 10, 10), (50, 50, 60, 60), (20, 20, 30, 30))
    found = Detections(at, torch.zeros(3, dtype=torch.int64), torch.tensor([0.9, 0.8, 0.7]), none_outlined())
    table = table_of([(found, truth)], classes=1)
    precision, recall = curve(table, 0)
    assert precision[:, 0].tolist() == pytest.approx([1, 1 / 2, 2 / 3])
    assert recall[:, 0].tolist() == pytest.approx([1 / 2, 1 / 2, 1])
    # 101 recalls: 0 … 0.50 at precision 1, the other 50 at ⅔
    assert average_precision(table)[0, 0] == pytest.approx((51 + 50 * 2 / 3) / 101)


def test_two_boxes_on_one_object_are_one_hit_and_one_ghost():
    truth = Truth(boxes((0, 0, 10, 10)), torch.tensor([0]), torch.ones(1).bool(), none_outlined())
    found = Detections(
        boxes((0, 0, 10, 9), (0, 0, 10, 10)), torch.tensor([0, 0]), torch.tensor([0.9, 0.8]), none_outlined()
    )
    assert table_of([(found, truth)], classes=1)["hits"][0, :2, 0].tolist() == [1, 0]


def test_outlines_are_compared_where_both_have_them():
    left, all_of_it = torch.zeros(1, 4, 4, dtype=torch.bool), torch.ones(1, 4, 4, dtype=torch.bool)
    left[..., :1] = True
    truth = Truth(boxes((0, 0, 4, 4)), torch.tensor([0]), torch.ones(1).bool(), all_of_it)
    found = Detections(boxes((0, 0, 4, 4)), torch.tensor([0]), torch.tensor([0.9]), left)
    assert scores(table_of([(found, truth)], classes=1), ["a"])["AP50"] == 0  # same box, a quarter of the outline
    assert scores(table_of([(found._replace(bitmaps=all_of_it), truth)], classes=1), ["a"])["AP"] == 1


def test_batches_add_up():
    pictures = [picture(s, 6, 4, False) for s in range(8)]
    found, truths = zip(*pictures)
    halves = [tally(found[a:b], truths[a:b], range(a, b), 8, 3) for a, b in ((0, 3), (3, 8))]
    merged = {k: halves[0][k] + halves[1][k] for k in halves[0]}
    whole = table_of(pictures)
    assert all(torch.equal(merged[k], whole[k]) for k in whole)


def test_nothing_found_and_nothing_there_is_zero():
    nothing, empty = picture(0, 0, 0, False)
    assert scores(table_of([(nothing, empty)]), NAMES)["AP50"] == 0


def test_the_interval_holds_the_value_and_narrows_with_more_pictures():
    few = table_of([picture(s, 6, 4, False) for s in range(10)])
    many = table_of([picture(s, 6, 4, False) for s in range(160)])
    (a, b), (c, d) = interval(few, draws=100), interval(many, draws=100)
    assert a < scores(few, NAMES)["AP50"] < b
    assert (d - c) < 0.5 * (b - a)

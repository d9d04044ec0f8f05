import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import PIL.Image
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from legato.data import legends
from legato.device import Device
from legato.draws import Draws
from legato.errors import UsageError
from legato.metrics.segmentation import soft_dice
from legato.run import Run
from legato.task import Decoding
from legato.tasks.segment import Segment
from legato.tasks.tiles import tiled
from legato.training import evaluate, fit
from legato.values import VOID, Image, LabelMap
from legato.values.labelmap import from_json
from legato.views import looked_at

TRUNK = "[conv8-relu-pool]*5-fc"  # five pools: stride 32


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Discs, brighter than what they lie on; of one picture nothing is known at the edge."""
    root = tmp_path_factory.mktemp("discs")
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:64, :80]
    for i in range(20):
        inside = (y - rng.integers(10, 54)) ** 2 + (x - rng.integers(10, 70)) ** 2 < rng.integers(100, 400)
        pixels = (inside[..., None] * (120, 90, 20) + rng.integers(30, 90, (64, 80, 3))).astype(np.uint8)
        split = "test" if i < 3 else "train"
        for folder in ("images", "masks"):
            (root / split / folder).mkdir(parents=True, exist_ok=True)
        PIL.Image.fromarray(pixels).save(root / split / "images" / f"{i}.png")
        PIL.Image.fromarray((inside * 255).astype(np.uint8)).save(root / split / "masks" / f"{i}.png")
    return root


@pytest.fixture(scope="module")
def task(data: Path) -> Segment:
    return Segment(data=str(data), trunk=TRUNK).adapt()


def test_what_is_learnt_from_the_data(task: Segment) -> None:
    known = task.known
    assert (known.names, known.size, known.examples) == (("background", "foreground"), 64, (15, 2, 3))
    assert sum(known.counts) == 15 * 64 * 80


def test_picture_and_mask_vary_alike(task: Segment) -> None:
    """A picture that is its own mask stays its own mask, wherever nothing has to be averaged."""
    y, x = np.mgrid[:64, :80]
    blocks = torch.from_numpy(((y // 16 + x // 16) % 2).astype(np.uint8))
    image, labels = Image((blocks * 255).expand(3, -1, -1)), LabelMap(blocks, task.known.names)
    seen = set()
    for i in range(30):
        varied, mask = task.augment(image, labels, Draws((0, "augment", 0), [i]))
        assert varied.pixels.shape[1:] == mask.labels.shape == (64, 64)
        sure = (mask.labels != VOID) & ((varied.pixels[0] < 5) | (varied.pixels[0] > 250))
        agree = (varied.pixels[0][sure] > 128) == (mask.labels[sure] == 1)
        assert agree.float().mean() > 0.99
        seen.add((int(varied.pixels.sum()), bool((mask.labels == VOID).any())))
    assert len(seen) > 20
    again, _ = task.augment(image, labels, Draws((0, "augment", 0), [29]))
    assert torch.equal(again.pixels, varied.pixels)


def test_dice_is_the_overlap_of_each_class_that_is_there() -> None:
    """Counted by hand where the scores are sure; half sure, both it and its gradient are between."""
    targets = torch.tensor([[[1, 1, 0, 0], [1, 0, 0, VOID]]], dtype=torch.uint8)
    said = torch.tensor([[[1, 0, 0, 0], [1, 1, 0, 1]]])
    sure = 50 * F.one_hot(said, 3).permute(0, 3, 1, 2).float()
    # of class 1: 2 of 3 + 3; of class 0: 3 of 4 + 4; class 2 is not there
    torch.testing.assert_close(soft_dice(sure, targets), torch.tensor((2 * 2 / 6 + 2 * 3 / 8) / 2))
    vague = torch.zeros(1, 3, 2, 4, requires_grad=True)
    soft_dice(vague, targets).backward()
    expected = (2 * 3 / 3 / (7 / 9 + 3) + 2 * 4 / 3 / (7 / 9 + 4)) / 2
    torch.testing.assert_close(soft_dice(vague, targets), torch.tensor(expected))
    assert vague.grad is not None
    assert vague.grad[0, :, 1, 3].abs().max() == 0


def test_overlap_counts_where_asked(task: Segment) -> None:
    torch.manual_seed(0)
    weighed = replace(task, dice=0.5)
    net = weighed.build()
    inputs, targets = weighed.batch(weighed.examples("train"), [0, 1], None)
    values = weighed.loss(net, inputs, targets, None).values
    assert set(values) == {"pixels", "overlap"}
    torch.testing.assert_close(values["overlap"], 0.5 * (1 - soft_dice(net(inputs.pixels), targets)))
    assert set(task.loss(net, inputs, targets, None).values) == {"pixels"}


def test_turned_upside_down_the_mask_still_fits(task: Segment) -> None:
    """A disc off the middle: wherever it comes to lie, the mask lies on it; at the corners nothing is known."""
    wild = replace(task, augmentation="updown,rotate180,scale20")
    y, x = np.mgrid[:64, :64]
    disc = torch.from_numpy(((y - 20) ** 2 + (x - 40) ** 2 < 100).astype(np.uint8))
    image, labels = Image((disc * 200 + 55).expand(3, -1, -1)), LabelMap(disc, task.known.names)
    middles = []
    for i in range(20):
        varied, mask = wild.augment(image, labels, Draws((0, "augment", 0), [i]))
        sure = mask.labels != VOID
        assert not sure.all() or (varied.pixels > 0).all()
        assert ((varied.pixels[0][sure] > 155) == (mask.labels[sure] == 1)).float().mean() > 0.98
        middles.append((mask.labels == 1).nonzero().float().mean(0))
    assert torch.stack(middles).std(0).min() > 5  # it comes to lie on all sides


def test_pictures_of_several_sizes_are_judged_as_if_alone(task: Segment) -> None:
    torch.manual_seed(0)
    net = task.build().eval()
    for layer in net.network.scores.values():  # type: ignore[union-attr, operator]
        nn.init.normal_(layer.weight)
    images = [Image(torch.randint(256, (3, h, w), dtype=torch.uint8)) for h, w in ((64, 80), (96, 50))]
    together = task.encode_inputs(images)
    with torch.inference_mode():
        outputs, _ = task.outputs(net, together, None)
        for i, image in enumerate(images):
            alone, _ = task.outputs(net, task.encode_inputs([image]), None)
            h, w = image.pixels.shape[1:]
            torch.testing.assert_close(outputs[i, :, :h, :w], alone[0], atol=1e-5, rtol=1e-4)
    answers = task.predict(outputs, together, Decoding())
    assert [answer["map"]["size"] for answer in answers] == [[64, 80], [96, 50]]


def test_tiles_give_what_one_piece_gives(task: Segment) -> None:
    torch.manual_seed(0)
    net = task.build().eval()
    for layer in net.network.scores.values():  # type: ignore[union-attr, operator]
        nn.init.normal_(layer.weight)
    x = torch.rand(1, 3, 330, 410)
    with torch.inference_mode():
        torch.testing.assert_close(tiled(net, x, core=128), net(x), atol=1e-4, rtol=1e-4)


def test_unknown_pixels_teach_nothing(task: Segment) -> None:
    torch.manual_seed(0)
    net = task.build().eval()
    inputs, targets = task.batch(task.examples("train"), [0, 1], None)
    targets[0, :, :40] = VOID
    step = task.loss(net, inputs, targets, None)
    logits = net(inputs.pixels).log_softmax(1)
    known = targets != VOID
    by_hand = -logits.gather(1, targets.long().clamp(max=1)[:, None])[:, 0][known].mean()
    torch.testing.assert_close(step.values["pixels"], by_hand)
    assert step.weight == 2 * 64 * 80 - 64 * 40
    nothing = task.loss(net, inputs, torch.full_like(targets, VOID), None)
    assert nothing.values["pixels"].item() == 0


def test_class_weights_are_median_frequency_over_frequency(task: Segment) -> None:
    weighted = replace(task, class_weights=True)
    background, foreground = task.known.counts
    found = weighted.weights(torch.device("cpu"))
    assert found is not None
    torch.testing.assert_close(found[1] / found[0], torch.tensor(background / foreground))
    net = weighted.build().eval()
    inputs, targets = task.batch(task.examples("train"), [0], None)
    step = weighted.loss(net, inputs, targets, None)
    torch.testing.assert_close(step.values["pixels"], F.cross_entropy(net(inputs.pixels), targets.long(), found))


def test_learns_the_discs_and_says_so_in_files(task: Segment, tmp_path: Path) -> None:
    recipe = replace(task.recipe(), epochs=12, batch_size=5, lr=1e-2, precision="fp32", workers=0)
    device = Device(threads=1)
    run = Run.begin(tmp_path / "run", task, recipe, device)
    fit(task, recipe, run, device)
    assert run.task() == task
    net = run.network()
    scores = evaluate(task, net, "test", recipe, device).scores
    assert scores["mean_iou"] > 0.75
    image, truth = task.examples("test")[0]
    inputs = task.encode_inputs([image])
    [answer] = json.loads(json.dumps(task.predict(task.outputs(net, inputs, None)[0], inputs, Decoding())))
    labels = from_json(answer["map"])
    assert (labels.labels == truth.labels).float().mean() > 0.9
    assert task.draw(image, answer).pixels.shape[2] == 480
    saved = task.export(image, answer, tmp_path / "out", "answer")
    assert legends.Legend(task.known.names).read(saved) == labels


@pytest.mark.parametrize("network", ["deconvnet_small", "multiscale", "recurrent"])
def test_networks_without_a_trunk(task: Segment, network: str) -> None:
    chosen = replace(task, network=network)
    net = chosen.build()
    inputs, targets = task.batch(task.examples("train"), [0, 1], None)
    chosen.loss(net, inputs, targets, None).values["pixels"].backward()
    outputs, _ = chosen.outputs(net.eval(), inputs, None)
    assert outputs.shape == (2, 2, 64, 80)
    with pytest.raises(UsageError, match=f"{network} has no trunk that was published"):
        replace(chosen, start_from="imagenet").adapt()


def test_what_cannot_be_done_is_said(data: Path, task: Segment) -> None:
    with pytest.raises(UsageError, match="did you mean fcn8s"):
        Segment(data=str(data), network="fcn8", trunk=TRUNK).adapt()
    with pytest.raises(UsageError, match="masks vary by flip, updown, rotate, scale and light"):
        Segment(data=str(data), trunk=TRUNK, augmentation="shear").adapt()
    with pytest.raises(UsageError, match="did you mean foreground"):
        task.evidence(torch.rand(1, 2, 4, 4), "foregrund")


def test_views_are_averaged_where_they_belong(task: Segment) -> None:
    """Pictures of several sizes in one batch: as numpy turns each alone and back."""
    torch.manual_seed(0)
    net = task.build().eval()
    rng = np.random.default_rng(0)
    images = [
        Image(torch.from_numpy(rng.integers(0, 256, (3, h, w), dtype=np.uint8)), "") for h, w in ((64, 96), (40, 50))
    ]

    def alone(pixels: np.ndarray) -> np.ndarray:
        return task.outputs(net, task.encode_inputs([Image(torch.from_numpy(pixels.copy()), "")]), None)[0][0].numpy()

    with torch.no_grad():
        found = looked_at(task, net, Device("cpu"), images, [0, 1], 8)
        for maps, image in zip(found, images):
            pixels, wanted = image.pixels.numpy(), 0.0
            for quarters in range(4):
                turned = np.rot90(pixels, quarters, (1, 2))
                wanted = wanted + np.rot90(alone(turned), -quarters, (1, 2))
                wanted = wanted + np.rot90(alone(turned[..., ::-1])[..., ::-1], -quarters, (1, 2))
            np.testing.assert_allclose(maps[:, : pixels.shape[1], : pixels.shape[2]], wanted / 8, atol=1e-5)

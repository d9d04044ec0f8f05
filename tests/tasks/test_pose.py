import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from legato.data import scene_files
from legato.device import Device
from legato.draws import Draws
from legato.errors import UsageError
from legato.networks.deeppose import DeepPose, windows
from legato.networks.heatmaps import bell, places, summits
from legato.networks.trunk import Tap
from legato.run import Run
from legato.task import Decoding
from legato.tasks import pose as p
from legato.tasks.pose import Pose
from legato.training import evaluate, fit
from legato.values import Image
from legato.values.keypoints import LSP, from_json, truth

TRUNK = "[conv16-relu-pool]*4-conv32-relu-pool-fc"


@pytest.fixture(scope="module")
def task(tmp_path_factory: pytest.TempPathFactory) -> Pose:
    """Drawn people, who bend in all directions."""
    root = scene_files.write("lsp", tmp_path_factory.mktemp("people") / "a", train=48, valid=0, test=16, size=64)
    return Pose(data=str(root), trunk=TRUNK, size=64, augmentation="flip,rotate10,shift3").adapt()


def dots() -> tuple[Image, torch.Tensor]:
    """14 bright dots on black, wider than high, and where they are."""
    points = torch.stack([torch.linspace(20, 100, 14), torch.linspace(15, 60, 14).flip(0)], dim=1).round() + 0.5
    pixels = torch.zeros(3, 80, 120)
    for x, y in points.long().tolist():
        pixels[:, y - 2 : y + 3, x - 2 : x + 3] = 255
    return Image(pixels.byte()), points


def lightness_at(pixels: torch.Tensor, points: torch.Tensor) -> torch.Tensor:
    return torch.stack([pixels[0, int(y), int(x)] for x, y in points.tolist()])


def test_picture_and_joints_move_alike(task: Pose) -> None:
    image, points = dots()
    people = truth(points[None], [[True] * 14], LSP)
    wild = replace(task, augmentation="flip,rotate40,scale30,shift8", learnt=replace(task.known, size=120))
    for i in range(12):
        varied, joints = wild.augment(image, people, Draws((0, "augment", 0), [i]))
        where = joints.points[0]
        inside = ((where > 2) & (where < 118)).all(dim=1)
        assert inside.sum() >= 7
        assert (lightness_at(varied.pixels, where[inside]) > 150).all()


def test_answers_are_in_the_pixels_of_each_picture(task: Pose) -> None:
    people = [truth(torch.rand(1, 14, 2) * torch.tensor([w, h]), [[True] * 14], LSP) for h, w in ((80, 120), (200, 90))]
    images = [Image(torch.zeros(3, h, w, dtype=torch.uint8)) for h, w in ((80, 120), (200, 90))]
    inputs = task.encode_inputs(images)
    answers = task.predict(task.encode_targets(people, inputs), inputs, Decoding())
    for answer, person in zip(json.loads(json.dumps(answers)), people):
        torch.testing.assert_close(from_json([answer], LSP).points, person.points, atol=0.02, rtol=0)


def test_both_networks_learn_from_what_is_known(task: Pose) -> None:
    inputs, targets = task.batch(task.examples("train"), [0, 1], None)
    targets[0, 3] = torch.nan
    for network, trunk, terms in (
        ("heatmaps", TRUNK, {"maps"}),
        ("deeppose", "[conv8-relu-pool]*3-fc", {"stage1", "stage2", "stage3"}),
    ):
        chosen = replace(task, network=network, trunk=trunk)
        net = chosen.build()
        step = chosen.loss(net, inputs, targets, None)
        assert set(step.values) == terms
        assert step.weight == 2 * 14 * 2 - 2
        sum(step.values.values()).backward()  # type: ignore[union-attr]
        assert all(p.grad is not None and p.grad.isfinite().all() for p in net.parameters())
        assert net(inputs.pixels).shape == (2, 14, 2)


def cascade(task: Pose) -> DeepPose:
    net = replace(task, network="deeppose", trunk="[conv8-relu-pool]*3-fc").build().eval().get_submodule("network")
    assert isinstance(net, DeepPose)
    return net


def test_a_refinement_that_has_learnt_nothing_changes_nothing(task: Pose) -> None:
    inputs, _ = task.batch(task.examples("train"), [0], None)
    first, second, third = cascade(task).course(inputs.pixels)
    torch.testing.assert_close(first, third)
    torch.testing.assert_close(second, third)


def test_a_bell_stands_on_the_joint_and_is_read_back() -> None:
    """Where the truth lies between places, the summit of its own bell is it, to a third of a place."""
    at = places(20, 160, Tap("", 1, 8, 3.5))
    assert at[0].item() == pytest.approx(7.5 / 160)  # the middle of the first cell is at 4 pixels, 3.5 beside it
    truth = 0.2 + 0.6 * torch.rand(5, 14, 2, generator=torch.Generator().manual_seed(0))
    bells = bell(truth, at)
    torch.testing.assert_close(bells.sum(-1), torch.ones(5, 14))
    expected = torch.exp(-(((at[:, None] - truth[0, 0, 1]) ** 2 + (at - truth[0, 0, 0]) ** 2) * 20**2) / 2).flatten()
    torch.testing.assert_close(bells[0, 0], expected / expected.sum())
    found = summits(bells.log().view(5, 14, 20, 20), at)
    assert (found - truth).abs().max() < 0.3 / 20  # of three places in a row the tails are missing


def test_the_likelier_of_two_places_is_the_answer_not_their_middle() -> None:
    at = places(20, 160, Tap("", 1, 8, 0.0))
    scores = torch.full((1, 1, 20, 20), -20.0)
    scores[0, 0, 3, 4], scores[0, 0, 15, 16] = 2.0, 1.5
    torch.testing.assert_close(summits(scores, at), torch.tensor([[[4.5 / 20, 3.5 / 20]]]))


def test_windows_show_what_lies_around_a_joint() -> None:
    image, points = dots()
    square = torch.nn.functional.pad(image.pixels.float() / 255, (0, 0, 20, 20))[None]
    shares = (points + torch.tensor([0.0, 20.0])) / 120
    cut = windows(square, shares[None])
    assert cut.shape == (14, 3, 32, 32)
    assert (cut[:, :, 15:17, 15:17] > 0.9).all()


def test_learns_to_find_drawn_people(task: Pose, tmp_path: Path) -> None:
    recipe = replace(task.recipe(), epochs=8, lr=4e-3, precision="fp32", workers=0)
    device = Device(threads=1)
    run = Run.begin(tmp_path / "run", task, recipe, device)
    fit(task, recipe, run, device)
    assert run.task() == task
    net = run.network()
    scores = evaluate(task, net, "test", recipe, device).scores
    middle = torch.cat([k.points for _, k in task.examples("train")]).mean(0) / 64
    inputs, targets = task.batch(task.examples("test"), range(len(task.examples("test"))), None)
    guess = task.scores(task.tally(middle.expand_as(targets), targets))
    assert scores["pck@0.2"] > guess["pck@0.2"] + 0.1
    image, _ = task.examples("test")[0]
    inputs = task.encode_inputs([image])
    [answer] = task.predict(task.outputs(net, inputs, None)[0], inputs, Decoding())
    assert task.draw(image, answer).pixels.shape == (3, 512, 512)


def test_what_cannot_be_done_is_said(task: Pose) -> None:
    with pytest.raises(UsageError, match="did you mean deeppose"):
        replace(task, network="deppose").adapt()
    with pytest.raises(UsageError, match="heatmaps looks once"):
        replace(task, refinements=1).adapt()
    with pytest.raises(UsageError, match="joints vary by flip, rotate, scale and shift"):
        replace(task, augmentation="elastic").adapt()


def test_real_people(real_data: Path) -> None:
    found = p.pose_set(str(real_data / "lsp"), "")
    assert [len(s) for s in found.splits.values()] == [1453, 144, 399]
    image, joints = found.splits["train"][0]
    assert np.isclose(joints.points[0, 13].numpy(), (106.83293, 27.617426)).all()
    assert image.pixels.shape[0] == 3

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from legato.data import scene_files
from legato.device import Device
from legato.errors import UsageError
from legato.metrics.localization import iou
from legato.run import Run
from legato.task import Decoding
from legato.tasks.localize import Localize
from legato.training import evaluate, fit
from legato.values import boxes as b

TRUNK = "[conv12-relu-pool]*2-conv24-relu-pool-fc"


@pytest.fixture(scope="module")
def task(tmp_path_factory: pytest.TempPathFactory) -> Localize:
    """Drawn shapes, one a picture."""
    root = scene_files.write("voc", tmp_path_factory.mktemp("one") / "a", train=400, valid=24, test=40, size=32, most=1)
    return Localize(data=str(root), trunk=TRUNK, size=32).adapt()


def test_overlap_by_hand() -> None:
    a = torch.tensor([[0.0, 0.0, 0.4, 0.4], [0.0, 0.0, 0.2, 0.2], [0.1, 0.1, 0.3, 0.3]])
    other = torch.tensor([[0.2, 0.2, 0.4, 0.4], [0.5, 0.5, 0.2, 0.2], [0.1, 0.1, 0.3, 0.3]])
    torch.testing.assert_close(iou(a, other), torch.tensor([0.04 / 0.28, 0.0, 1.0]))


def test_boxes_come_back_in_the_pixels_of_their_picture(task: Localize) -> None:
    image, truth = task.examples("train")[3]
    inputs = task.encode_inputs([image])
    targets = task.encode_targets([truth], inputs)
    certain = torch.nn.functional.one_hot(targets.classes, len(task.known.names)).float()
    [answer] = task.predict(torch.cat([certain, targets.boxes], 1), inputs, Decoding())
    found = b.from_json([json.loads(json.dumps(answer))], task.known.names)
    torch.testing.assert_close(found.xyxy, truth.xyxy, atol=0.01, rtol=0)
    assert torch.equal(found.labels, truth.labels)


def test_the_loss_is_softmax_and_squared_distance(task: Localize) -> None:
    torch.manual_seed(0)
    net = task.build().eval()
    inputs, targets = task.batch(task.examples("train"), [0, 1, 2], None)
    values = task.loss(net, inputs, targets, None).values
    outputs, _ = task.outputs(net, inputs, None)
    own = outputs[torch.arange(3), targets.classes]
    torch.testing.assert_close(values["what"], -own.log().mean())
    torch.testing.assert_close(values["where"], 10 * (outputs[:, -4:] - targets.boxes).square().sum(1).mean())


def test_learns_what_and_where(task: Localize, tmp_path: Path) -> None:
    recipe = replace(task.recipe(), epochs=8, lr=3e-3, precision="fp32", workers=0)
    device = Device(threads=1)
    run = Run.begin(tmp_path / "run", task, recipe, device)
    fit(task, recipe, run, device)
    assert run.task() == task
    scores = evaluate(task, run.network(), "test", recipe, device).scores
    _, truth = task.batch(task.examples("test"), range(len(task.examples("test"))), None)
    guess = iou(truth.boxes.mean(0).expand_as(truth.boxes), truth.boxes).mean()
    assert scores["mean_iou"] > guess + 0.08
    image, _ = task.examples("test")[0]
    inputs = task.encode_inputs([image])
    [answer] = task.predict(task.outputs(run.network(), inputs, None)[0], inputs, Decoding())
    assert task.draw(image, answer).pixels.shape == (3, 480, 480)


def test_what_cannot_be_done_is_said(task: Localize) -> None:
    with pytest.raises(UsageError, match="localize knows flip"):
        replace(task, augmentation="rotate").adapt()
    with pytest.raises(UsageError, match="no class called 'stars'; did you mean star"):
        task.evidence(torch.rand(1, 8), "stars")

"""The tasks detect and instances, on drawn scenes in the layouts that users have; and on real cells."""

import json
from dataclasses import replace
from pathlib import Path

import PIL.Image
import pytest
import torch

import legato
from legato.data import scene_files
from legato.data.scenes import shapes
from legato.device import Device
from legato.draws import Draws
from legato.errors import DataError, UsageError
from legato.layers.regions import iou
from legato.layers.regions.objects import Detections, none_outlined
from legato.metrics import detection
from legato.run import Run
from legato.task import TASKS, Decoding
from legato.tasks.box_variations import upside_down
from legato.tasks.detect import Detect, Finding
from legato.tasks.instances import Instances
from legato.training import evaluate, fit
from legato.values import Boxes
from legato.values.boxes import truth as certain
from legato.values.masks import to_runs

CPU = Device("cpu", "fp32", 1)


@pytest.fixture(scope="module")
def drawn(tmp_path_factory) -> Path:
    """A COCO set of 12 drawn pictures; the last one is empty."""
    root = tmp_path_factory.mktemp("drawn")
    for split, numbers in (("train", range(8)), ("val", range(8, 12))):
        (root / split).mkdir()
        images, annotations, names = [], [], ()
        for n in numbers:
            scene = shapes(0, n, size=64 + 8 * (n % 2), most=3)
            names = scene.boxes.names
            height, width = scene.image.pixels.shape[1:]
            PIL.Image.fromarray(scene.image.pixels.permute(1, 2, 0).numpy()).save(root / split / f"{n}.png")
            images.append({"id": n, "file_name": f"{n}.png", "height": height, "width": width})
            if n == 7:
                continue
            for box, label, bitmap in zip(scene.boxes.to_coco(), scene.boxes.labels.tolist(), scene.instances.bitmaps):
                one = {"id": len(annotations), "image_id": n, "category_id": label, "bbox": box, "iscrowd": 0}
                runs = {"size": [height, width], "counts": to_runs(bitmap)}
                annotations.append(one | {"segmentation": runs})
        kinds = [{"id": k, "name": name} for k, name in enumerate(names)]
        about = {"images": images, "annotations": annotations, "categories": kinds}
        (root / "annotations").mkdir(exist_ok=True)
        (root / f"annotations/instances_{split}.json").write_text(json.dumps(about))
    return root


@pytest.fixture(scope="module")
def detect(drawn) -> Detect:
    return Detect(data=str(drawn), network="faster_rcnn").adapt()


def test_it_is_a_task_with_flags():
    assert TASKS["detect"] is Detect
    assert TASKS["instances"] is Instances


def test_what_adapt_learns(detect):
    known = detect.known
    assert known.format == "coco"
    assert known.examples == (8, 4, 0)
    assert known.size == 64  # the median short side
    assert len(known.shapes) == 9
    areas = [w * h for w, h in known.shapes]
    assert areas == sorted(areas)


def test_training_is_one_process_of_pure_steps_and_use_gives_json(detect, tmp_path):
    recipe = replace(detect.recipe(), epochs=1, steps=2, batch_size=4, workers=0, precision="fp32")
    run = Run.begin(tmp_path / "run", detect, recipe, CPU)
    fit(detect, recipe, run, CPU)
    task, net = run.task(), run.network()
    assert task == detect
    found = evaluate(task, net, "valid", recipe, CPU, keep_worst=2)
    assert next(iter(found.scores)) == "AP50"
    assert len(found.worst) == 2
    inputs = task.encode_inputs([task.examples("valid")[0][0]])
    with torch.no_grad():
        outputs, _ = task.outputs(net, inputs, None)
    answers = task.predict(outputs, inputs, Finding(threshold=0.0))
    assert json.loads(json.dumps(answers)) == answers
    picture = task.draw(task.examples("valid")[0][0], answers[0])
    assert picture.pixels.shape[0] == 3


def test_the_same_draws_make_the_same_picture_and_boxes_move_with_it(detect):
    task = replace(detect, augmentation="flip,updown,light,zoom")
    examples = task.examples("train")
    for i in range(4):
        draws = [Draws((0, "augment", 0), [i]) for _ in range(2)]
        (a, boxes), (b, again) = (task.augment(*examples[i], d) for d in draws)
        assert torch.equal(a.pixels, b.pixels)
        assert boxes == again
        height, width = a.pixels.shape[1:]
        assert (boxes.xyxy >= 0).all()
        assert (boxes.xyxy <= torch.tensor([width, height, width, height])).all()


def test_turned_upside_down_twice_is_the_same():
    boxes = certain([[1, 2, 30, 12]], [0], ("a",))
    assert upside_down(boxes, 40).xyxy.tolist() == [[1, 28, 30, 38]]
    assert upside_down(upside_down(boxes, 40), 40) == boxes


def test_pictures_of_any_size_share_a_canvas_and_answers_come_back_in_their_own_pixels(detect):
    images = [shapes(1, n, size=side).image for n, side in enumerate((32, 64, 96))]
    canvas = detect.encode_inputs(images)
    assert canvas.pixels.shape == (3, 3, 64, 64)
    assert canvas.scales[:, 0].tolist() == pytest.approx([2, 1, 2 / 3])
    targets = [certain([[4, 4, 16, 20]], [0], detect.known.names)] * 3
    truths = detect.encode_targets(targets, canvas).truths
    assert truths[0].boxes.tolist() == [[8, 8, 32, 40]]
    found = [Detections(t.boxes, t.labels, torch.tensor([0.9]), none_outlined()) for t in truths]
    for answer in detect.predict(found, canvas, Decoding()):
        assert answer["objects"][0]["box"] == pytest.approx([4, 4, 16, 20], abs=0.01)
    assert detect.predict(found, canvas, Finding(threshold=0.95)) == [{"objects": []}] * 3


def test_a_perfect_answer_scores_one_and_a_tally_knows_its_pictures(detect):
    examples = detect.examples("valid")
    tallies = []
    for indices in ([0, 1], [2, 3]):
        _, targets = detect.batch(examples, indices, None)
        perfect = [Detections(t.boxes, t.labels, torch.ones(len(t.labels)), none_outlined()) for t in targets.truths]
        tallies.append(detect.tally(perfect, targets))
        assert detect.badness(perfect, targets).tolist() == [0, 0]
        nothing = [Detections(t.boxes[:0], t.labels[:0], torch.zeros(0), none_outlined()) for t in targets.truths]
        assert detect.badness(nothing, targets).tolist() == [len(t.labels) for t in targets.truths]
        assert detect.evidence(perfect, "").tolist() == [len(t.labels) for t in targets.truths]
    whole = {k: tallies[0][k] + tallies[1][k] for k in tallies[0]}
    assert whole["seen"].tolist() == [1, 1, 1, 1]
    assert detect.scores(whole)["AP"] == pytest.approx(1)
    assert detection.interval(whole, draws=20) == (pytest.approx(1), pytest.approx(1))


def test_outlines_grow_with_their_picture(drawn):
    task = Instances(data=str(drawn), size=128).adapt()
    examples = task.examples("train")
    canvas, targets = task.batch(examples, [0, 7], None)
    first, empty = targets.truths
    assert first.bitmaps.shape[1:] == tuple(canvas.sizes[0].tolist())
    around = [
        b.any(0).nonzero().flatten()[[0, -1]].tolist() + b.any(1).nonzero().flatten()[[0, -1]].tolist()
        for b in first.bitmaps
    ]
    corners = torch.tensor([[x1, y1, x2 + 1, y2 + 1] for x1, x2, y1, y2 in around]).float()
    assert (iou(corners, first.boxes).diag() > 0.85).all()
    assert len(empty.boxes) == 0
    perfect = [Detections(t.boxes, t.labels, torch.ones(len(t.labels)), t.bitmaps) for t in targets.truths]
    answers = task.predict(perfect, canvas, Decoding())
    image, masks = examples[0]
    runs = [to_runs(b) for b in masks.bitmaps]
    for told, true in zip(answers[0]["objects"], runs):
        assert abs(sum(told["segmentation"]["counts"][1::2]) - sum(true[1::2])) <= 0.1 * sum(true[1::2]) + 4
    assert answers[1] == {"objects": []}
    assert task.draw(image, answers[0]).pixels.shape[0] == 3


def test_what_cannot_be_asked_for_is_named(drawn, tmp_path):
    with pytest.raises(UsageError, match="did you mean faster_rcnn"):
        Detect(data=str(drawn), network="fasterrcnn").adapt()
    with pytest.raises(UsageError, match="no such variation of boxes; did you mean flip"):
        Detect(data=str(drawn), augmentation="flop").adapt()
    with pytest.raises(UsageError, match="finds boxes, no outlines"):
        Instances(data=str(drawn), network="yolo").adapt()
    with pytest.raises(UsageError, match="no class called 'stra'; did you mean star"):
        Detect(data=str(drawn)).adapt().evidence([], "stra")
    with pytest.raises(DataError, match="not found"):
        Detect(data=str(tmp_path / "nowhere")).adapt()


def test_frozen_stages_are_the_trunks(drawn):
    task = Detect(data=str(drawn), freeze="conv1,fire2").adapt()
    net = task.build()
    frozen = {name.split(".")[2] for name, p in net.named_parameters() if not p.requires_grad}
    assert frozen == {"conv1", "fire2"}
    with pytest.raises(UsageError, match="did you mean fire2"):
        replace(task, freeze="fire02").build()


def test_imagenet_weights_go_into_the_trunk(drawn, real_data):
    file = real_data / "pretrained/squeezenet1_1/squeezenet1_1_fp16.npz"
    task = Detect(data=str(drawn), start_from=str(file)).adapt()
    net = task.build()
    assert "50 tensors taken over" in task.initialise(net)
    assert task.known.mean[0] == pytest.approx(123 / 255)


def test_a_voc_set_of_cells(real_data):
    task = Detect(data=str(real_data / "bccd")).adapt()
    assert task.known.names == ("Platelets", "RBC", "WBC")
    assert task.known.size == 240
    canvas, targets = task.batch(task.examples("train"), [0, 1], Draws((0,), [0, 1]))
    assert canvas.pixels.shape == (2, 3, 256, 320)
    assert isinstance(task.examples("train")[0][1], Boxes)
    assert targets.of == 255


def test_what_is_learnt_after_the_last_epoch_is_in_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """R-CNN's SVMs: they are in the best weights, and a training that was killed before them gets them by resuming."""
    root = scene_files.write("coco", tmp_path / "shapes", train=12, valid=4, test=4, size=48)
    flags = {"network": "rcnn", "trunk": "[conv8-relu-pool]*4-conv16-relu-fc", "epochs": 1, "workers": 0}
    trained = legato.train(root, "detect", tmp_path / "run", **flags)
    best = trained.run.best()
    assert best["fitted"] == 1
    assert best["svm.weight"].abs().sum() > 0
    unfitted = {name: torch.zeros_like(t) if name in ("fitted", "svm.weight") else t for name, t in best.items()}
    trained.run.keep_best(unfitted)
    (trained.run.folder / "summary.json").unlink()
    with monkeypatch.context() as patch:
        patch.setattr(Detect, "finish", interrupted)
        with pytest.raises(KeyboardInterrupt):
            legato.resume(trained.run.folder)
    again = legato.resume(trained.run.folder).run.best()
    torch.testing.assert_close(again["svm.weight"], best["svm.weight"], atol=1e-3, rtol=1e-3)
    assert again["fitted"] == 1


def interrupted(*_: object) -> None:
    raise KeyboardInterrupt

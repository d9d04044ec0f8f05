"""R-CNN (Girshick et al. 2014, "Rich feature hierarchies", arXiv:1311.2524): each proposal, warped, through a network.

In three steps, as published: the network is fine-tuned to tell warped regions apart (section 2.3); then a linear SVM a
class decides on its features, learnt from true boxes and hard negatives; and a ridge regression moves the boxes
(appendix C). The last two come after training, in `finish`; until then the network's own scores decide.
"""

from collections.abc import Iterable, Iterator, Sequence
from os import SEEK_END
from tempfile import TemporaryFile
from typing import IO, NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Int64, UInt8
from torch import Tensor, nn
from torch.nn import functional as F

from legato.layers.regions import clip, decode, encode, iou, nms, roi_align
from legato.layers.regions.objects import MOST, Canvas, Detections, Truth, none_outlined
from legato.layers.regions.proposals import Remembering, selective_search
from legato.layers.stages import stages
from legato.networks.detector import SURE, Detector, Parts, enter
from legato.networks.faster_rcnn import Boxes, best_overlap, sampled, small
from legato.networks.trunk import Trunk
from legato.recipe import Recipe

SIDE, CONTEXT = 112, 8  # of a warped region, and of what is seen around it, pixels; 227 and 16 in the paper
FEATURES = 256
PROPOSED = 300  # regions a picture
FAR = 200  # regions a picture that are far from everything, kept to learn from
NEVER = -20.0  # logit of a class without examples
BLOCK = 50_000  # regions whose features are in memory at once
TOGETHER = 256  # regions that go through the network at once
TUNE = Recipe(epochs=12, batch_size=4, optimizer="adamw", lr=5e-4, weight_decay=1e-4, warmup=0.05, clip_norm=10)


class RCNN(nn.Module):
    """Warped regions (r, c, 112, 112) → features (r, 256); on them hang classes, SVMs and moves of the box."""

    fitted: Tensor

    def __init__(self, trunk: Trunk, classes: int) -> None:
        super().__init__()
        self.trunk = trunk
        self.describe = stages(
            even=nn.GroupNorm(1, trunk.channels[0]),
            pool=nn.AdaptiveMaxPool2d(3),
            flat=nn.Flatten(),
            fc7=nn.Linear(9 * trunk.channels[0], FEATURES), relu7=nn.ReLU(),
        )  # fmt: skip
        self.classify = small(nn.Linear(FEATURES, classes + 1))
        self.svm, self.move = nn.Linear(FEATURES, classes), nn.Linear(FEATURES, 4 * classes)
        for layer in (self.svm, self.move):  # fitted by `finish`, not trained
            layer.requires_grad_(False)
            nn.init.zeros_(layer.weight)
            nn.init.zeros_(layer.bias)
        self.register_buffer("fitted", torch.zeros(()))

    def forward(self, warped: Float[Tensor, "r c s s"]) -> Float[Tensor, "r f"]:
        return self.describe(self.trunk(warped)[-1]).float()

    def features(self, canvas: Canvas, regions: Sequence[Boxes]) -> Float[Tensor, "r f"]:
        """Of the regions of all pictures, one picture after another; so many at once that memory is bounded."""
        boxes, counts = torch.cat(list(regions)), torch.tensor([len(r) for r in regions])
        picture = torch.repeat_interleave(counts).to(boxes.device)
        parts = [self(warp(canvas, *some)) for some in zip(boxes.split(TOGETHER), picture.split(TOGETHER))]
        return torch.cat([*parts, canvas.pixels.new_zeros(0, FEATURES)])


def rcnn(parts: Parts) -> RCNN:
    return RCNN(parts.trunk([16]), parts.classes)


def warp(canvas: Canvas, boxes: Boxes, picture: Int64[Tensor, "r"]) -> Float[Tensor, "r c s s"]:
    """Each region, whatever its shape, stretched to a square, with 8 pixels of context around it (appendix A).

    picture: the number of the one it lies in. What lies beside a picture is black.
    """
    margin = (boxes[:, 2:] - boxes[:, :2]) * CONTEXT / (SIDE - 2 * CONTEXT)
    wide = torch.cat([boxes[:, :2] - margin, boxes[:, 2:] + margin], dim=1)
    return roi_align(canvas.pixels, wide, picture, SIDE, stride=1, samples=1)


def loss(net: RCNN, canvas: Canvas, truths: Sequence[Truth]) -> dict[str, Tensor]:
    """Fine-tuning: 32 regions a picture, a quarter of them at least half on an object, told apart by cross-entropy."""
    regions = [
        sampled(torch.cat([proposed, truth.boxes[truth.sure]]), truth, 32, 0.25)
        for proposed, truth in zip(canvas.regions, truths)
    ]
    labels = torch.cat([label_of(boxes, truth, 0.5) for boxes, truth in zip(regions, truths)])
    return {"classes": F.cross_entropy(net.classify(net.features(canvas, regions)).float(), labels, ignore_index=-1)}


def label_of(boxes: Boxes, truth: Truth, least: float) -> Int64[Tensor, "_r"]:
    """The class of each region that overlaps an object by so much, from 1; else 0, or −1 on something unsure."""
    overlap, which = best_overlap(boxes, truth)
    if not len(truth.boxes):
        return which
    return torch.where(overlap >= least, torch.where(truth.sure[which], truth.labels[which] + 1, -1), 0)


# after training
Rows = Int64[np.ndarray, "_"]


class Seen(NamedTuple):
    """What one training picture shows: its true boxes, then its proposals, far ones thinned out."""

    true: Int64[np.ndarray, "n"]  # class of a true box; −1: a proposal
    overlap: Float[np.ndarray, "n k"]  # largest, with an object of each class
    moves: Float[np.ndarray, "n k 4"]  # to that object


@torch.no_grad()
def finish(net: RCNN, pictures: Iterable[tuple[Canvas, Sequence[Truth]]]) -> RCNN:
    """An SVM and a regression for each class, from one pass over the training pictures; scikit-learn fits both.

    Positive are true boxes, negative regions that overlap none of the class by 0.3 (section 2.3); moves are learnt from
    regions that overlap one by 0.6 (appendix C).
    """
    net.eval()
    classes = net.svm.out_features
    rng = np.random.default_rng(0)
    with TemporaryFile() as file:
        features = Features(file)
        every = [seen(net, c, i, t, classes, rng, features) for c, truths in pictures for i, t in enumerate(truths)]
        true, overlap, moves = (np.concatenate(parts) for parts in zip(*every))
        for k in range(classes):
            objects, nothing = np.flatnonzero(true == k), np.flatnonzero(overlap[:, k] < 0.3)
            near = np.flatnonzero(overlap[:, k] >= 0.6)
            if len(objects) and len(nothing):
                fit_svm(net, k, features, objects, nothing)
            else:
                net.svm.bias[k] = NEVER
            if len(near):
                fit_moves(net, k, features[near], moves[near, k])
    net.fitted.fill_(1)
    return net


class Features:
    """Features of many regions, a row each, in half precision in a file: of thousands of pictures they would not fit in
    memory."""

    def __init__(self, file: IO[bytes]) -> None:
        self.file = file

    def add(self, rows: Float[Tensor, "n f"]) -> None:
        self.file.seek(0, SEEK_END)
        self.file.write(rows.cpu().numpy().astype(np.float16).tobytes())
        self.file.flush()

    def __getitem__(self, rows: Rows) -> Float[np.ndarray, "_ f"]:
        every = np.memmap(self.file, np.float16, "r").reshape(-1, FEATURES)
        found: np.ndarray = every[rows].astype(np.float32)
        return found

    def blocks(self, rows: Rows) -> Iterator[Float[np.ndarray, "_ f"]]:
        return (self[rows[i : i + BLOCK]] for i in range(0, len(rows), BLOCK))


def seen(
    net: RCNN, canvas: Canvas, i: int, truth: Truth, classes: int, rng: np.random.Generator, features: Features
) -> Seen:
    """Of picture i, whose features are added to the others."""
    boxes = torch.cat([truth.boxes, canvas.regions[i]])
    true = torch.cat([torch.where(truth.sure, truth.labels, -1), truth.labels.new_full((len(canvas.regions[i]),), -1)])
    table = iou(boxes, truth.boxes)
    overlap, moves = boxes.new_zeros(len(boxes), classes), boxes.new_zeros(len(boxes), classes, 4)
    for k in truth.labels.unique().tolist():
        own = (truth.labels == k).nonzero().squeeze(1)
        overlap[:, k], which = table[:, own].max(dim=1)
        moves[:, k] = encode(boxes, truth.boxes[own[which]])
    far = (overlap.amax(dim=1) < 0.3).cpu().numpy()
    kept = np.flatnonzero(~far | (rng.random(len(far)) < FAR / max(1, far.sum())))
    boxes = boxes[torch.from_numpy(kept).to(boxes.device)]
    features.add(net.features(canvas._replace(pixels=canvas.pixels[i : i + 1]), [boxes]))
    return Seen(*(x.cpu().numpy()[kept] for x in (true, overlap, moves)))


def fit_svm(
    net: RCNN, k: int, features: Features, objects: Rows, nothing: Rows, rounds: int = 3, keep: int = 4000
) -> None:
    """Hard negative mining (Felzenszwalb et al. 2010): fit, look for what is wrong among all, fit with that again.

    The margin is then brought to a probability (Platt 1999), so that classes can be compared and a threshold chosen.
    """
    from sklearn.linear_model import LogisticRegression
    from sklearn.svm import LinearSVC

    positive, chosen = features[objects], nothing[np.random.default_rng(k).permutation(len(nothing))[:keep]]
    scale = 1 / max(1e-6, float(np.linalg.norm(positive, axis=1).mean()))
    svm = LinearSVC(C=1.0, class_weight="balanced", dual=False)  # more regions than features
    for _ in range(rounds):
        known = np.concatenate([positive, features[chosen]]) * scale
        svm.fit(known, np.arange(len(known)) < len(objects))
        margin = np.concatenate([svm.decision_function(block * scale) for block in features.blocks(nothing)])
        hard = np.argsort(-margin, kind="stable")[: keep // 2]
        still = chosen[svm.decision_function(features[chosen] * scale) > -1.2]
        chosen = np.union1d(still, nothing[hard])
    margins = np.concatenate([svm.decision_function(positive * scale), margin])[:, None]
    platt = LogisticRegression().fit(margins, np.arange(len(margins)) < len(objects))
    a, b = float(platt.coef_[0, 0]), float(platt.intercept_[0])
    net.svm.weight[k] = torch.from_numpy(a * scale * svm.coef_[0]).float()
    net.svm.bias[k] = a * float(svm.intercept_[0]) + b


def fit_moves(net: RCNN, k: int, features: np.ndarray, moves: np.ndarray) -> None:
    """Equation 5 of appendix C, λ = 1000, as published."""
    from sklearn.linear_model import Ridge

    ridge = Ridge(alpha=1000.0).fit(features, moves)
    net.move.weight[4 * k : 4 * k + 4] = torch.from_numpy(ridge.coef_).float()
    net.move.bias[4 * k : 4 * k + 4] = torch.from_numpy(ridge.intercept_).float()


# what was found
def detect(net: RCNN, canvas: Canvas) -> list[Detections]:
    """Scores of every region and class, boxes moved, repetitions within a class gone (at 0.3, as published)."""
    features = net.features(canvas, canvas.regions)
    fitted = bool(net.fitted)
    sure = net.svm(features).sigmoid() if fitted else net.classify(features).float().softmax(dim=1)[:, 1:]
    counts = [len(r) for r in canvas.regions]
    moves = net.move(features).unflatten(1, (-1, 4)).split(counts)
    answers = []
    for boxes, scores, change, size in zip(canvas.regions, sure.float().split(counts), moves, canvas.sizes):
        region, label = (scores > SURE).nonzero().unbind(1)
        moved = clip(decode(boxes[region], change[region, label].float()), *size.tolist())
        score = scores[region, label]
        kept = nms(moved, score, 0.3, label, most=MOST)
        answers.append(Detections(moved[kept], label[kept], score[kept], none_outlined(boxes.device)))
    return answers


def propose(pixels: UInt8[Tensor, "c h w"]) -> Boxes:
    """The first 300 of selective search; about 2,000 in the paper, whose pictures show more."""
    return selective_search(pixels, PROPOSED)


enter(Detector("rcnn", "arXiv:1311.2524", rcnn, loss, detect, propose=Remembering(propose), finish=finish, recipe=TUNE))

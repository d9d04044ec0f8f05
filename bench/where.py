"""What is where, beside the plainest PyTorch writing of the same networks; and what boxes cost beyond products.

`plain` is the same layers in a bare `nn.Sequential` or functional calls, a loop of forward, backward and step, fp32.
Faster R-CNN's glue is its whole inference beside its trunk, pyramid and heads alone on the regions it chose.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from bench.timing import race, seconds
from legato.layers.regions import nms
from legato.layers.regions.objects import Canvas, Truth, none_outlined
from legato.networks import detectors as detectors
from legato.networks import faster_rcnn, registry
from legato.networks.detector import DETECTORS, Parts
from legato.networks.fcn import fcn, fully_convolutional

BATCH, HEIGHT, WIDTH = 2, 240, 320
SHAPES = tuple((8.0 * 1.5**k, 8.0 * 1.5**k) for k in range(9))
PARTS = Parts("squeezenet", 3, 3, (0.5,) * 3, (0.25,) * 3, SHAPES)


def canvas(side: int = 0) -> tuple[Canvas, list[Truth]]:
    """Pictures of noise with twelve objects each."""
    height, width = (side, side) if side else (HEIGHT, WIDTH)
    torch.manual_seed(0)
    low = torch.rand(12, 2) * torch.tensor([width - 60.0, height - 60.0])
    boxes = torch.cat([low, low + 20 + 40 * torch.rand(12, 2)], dim=1)
    truth = Truth(boxes, torch.arange(12) % 3, torch.ones(12, dtype=torch.bool), none_outlined())
    sizes = torch.tensor([[height, width]] * BATCH)
    return Canvas(torch.rand(BATCH, 3, height, width), sizes, torch.ones(BATCH, 2), []), [truth] * BATCH


def stepped(net: nn.Module, loss: Callable[[], Tensor]) -> Callable[[], float]:
    optimizer = torch.optim.AdamW(net.parameters(), 1e-4)

    def step() -> None:
        net.train()
        loss().backward()
        optimizer.step()
        optimizer.zero_grad()

    return lambda: BATCH / seconds(step)


def asked(net: nn.Module, answer: Callable[[], Any]) -> Callable[[], float]:
    @torch.no_grad()
    def ask() -> None:
        net.eval()
        answer()

    return lambda: BATCH / seconds(ask)


def suppression() -> None:
    """2,000 boxes, a third of them repetitions."""
    torch.manual_seed(0)
    low = torch.rand(2000, 2) * 600
    boxes, scores = torch.cat([low, low + 20 + 100 * torch.rand(2000, 2)], dim=1), torch.rand(2000)

    def plain() -> None:
        order, kept = scores.argsort(descending=True), []
        while len(order):
            best, order = order[0], order[1:]
            kept.append(best)
            a, b = boxes[best], boxes[order]
            both = (torch.minimum(a[2:], b[:, 2:]) - torch.maximum(a[:2], b[:, :2])).clamp(min=0).prod(1)
            areas = (a[2:] - a[:2]).prod() + (b[:, 2:] - b[:, :2]).prod(1)
            order = order[both / (areas - both) <= 0.7]

    jobs = {"torch: the greedy loop": plain, "legato": lambda: nms(boxes, scores, 0.7)}
    race("suppression of 2,000 boxes", {name: lambda job=job: 1 / seconds(job) for name, job in jobs.items()})


def segmenter() -> None:
    """FCN-8s: its own enlargement beside `interpolate` between the same trunk's stages."""
    x, y = canvas()[0].pixels, torch.randint(11, (BATCH, HEIGHT, WIDTH))
    trunk = fully_convolutional(registry.build("squeezenet", 2, 3, 224), (3, 224, 224))
    net = fcn("fcn8s", trunk, 11)
    cuts = [list(dict(net.trunk.named_children())).index(tap) + 1 for tap in net.taps]
    layers = list(net.trunk.children())
    pieces = nn.ModuleList(nn.Sequential(*layers[a:b]) for a, b in zip([0, *cuts], cuts))
    heads = nn.ModuleList(nn.Conv2d(head.in_channels, 11, 1) for head in net.scores.values())
    bare = nn.ModuleList([pieces, heads])

    def plain() -> Tensor:
        seen, z = [], x
        for piece in pieces:
            z = piece(z)
            seen.append(z)
        score = heads[2](seen[2])
        for head, finer in ((heads[1], seen[1]), (heads[0], seen[0])):
            score = head(finer) + F.interpolate(score, finer.shape[2:], mode="bilinear")
        return F.interpolate(score, x.shape[2:], mode="bilinear")

    title = f"FCN-8s on SqueezeNet, {WIDTH} × {HEIGHT}, batch {BATCH}"
    learn = {
        "torch: plain": stepped(bare, lambda: F.cross_entropy(plain(), y)),
        "legato": stepped(net, lambda: F.cross_entropy(net(x), y)),
    }
    race(f"{title}: training", learn, rounds=3)
    race(f"{title}: inference", {"torch: plain": asked(bare, plain), "legato": asked(net, lambda: net(x))}, rounds=3)


def faster(name: str) -> None:
    """Inference, and the products it cannot do without: trunk, neck, proposals, and the head on as many regions."""
    detector, (pictures, truths) = DETECTORS[name], canvas()
    net = detector.build(PARTS)
    with torch.no_grad():
        chosen = net.eval()(pictures.pixels, faster_rcnn.use(pictures.sizes)).regions
        crops = net.crop(net.neck(net.trunk(pictures.pixels)), chosen, faster_rcnn.BINS)

    def products() -> None:
        maps = net.neck(net.trunk(pictures.pixels))
        net.proposals(maps)
        net.head(crops)

    title = f"{name} on SqueezeNet, {WIDTH} × {HEIGHT}, batch {BATCH}, {sum(map(len, chosen))} regions"
    jobs = {
        "trunk, neck and heads alone": asked(net, products),
        "legato: all of it": asked(net, lambda: detector.detect(net, pictures)),
    }
    race(f"{title}: inference", jobs, rounds=5)
    train = {"legato": stepped(net, lambda: torch.stack(list(detector.loss(net, pictures, truths).values())).sum())}
    race(f"{title}: training", train, rounds=3)


def other(name: str) -> None:
    """Pictures a second; there is no plainer writing of these to race."""
    detector = DETECTORS[name]
    pictures, truths = canvas(detector.side)
    outline = torch.zeros(12, *pictures.pixels.shape[2:], dtype=torch.bool)
    for bitmap, (x1, y1, x2, y2) in zip(outline, truths[0].boxes.long().tolist()):
        bitmap[y1:y2, x1:x2] = True
    truths = [truth._replace(bitmaps=outline) for truth in truths]
    net = detector.build(PARTS)
    title = f"{name} on SqueezeNet, {pictures.pixels.shape[3]} × {pictures.pixels.shape[2]}, batch {BATCH}"
    learn = stepped(net, lambda: torch.stack(list(detector.loss(net, pictures, truths).values())).sum())
    race(f"{title}: training", {"legato": learn}, rounds=3)
    race(f"{title}: inference", {"legato": asked(net, lambda: detector.detect(net, pictures))}, rounds=3)


def main() -> None:
    suppression()
    segmenter()
    faster("faster_rcnn_pyramid")
    faster("faster_rcnn")
    other("yolo")
    other("mask_rcnn")


if __name__ == "__main__":
    main()

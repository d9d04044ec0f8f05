"""What is where, beside the plainest PyTorch writing of the same networks; and what boxes cost beyond products.

`plain` is the same layers as torch runs them by default (maps channel by channel, fp32) in a bare loop of forward,
backward and step; of FCN-8s also its pieces by functional calls. legato's side is placed as a run places it. Faster
R-CNN's glue is its whole inference beside its trunk, pyramid and heads alone on the regions it chose, both placed.
"""

from collections.abc import Callable
from copy import deepcopy
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from bench.timing import race, seconds
from legato.device import Device
from legato.layers.regions import nms
from legato.layers.regions.objects import Canvas, Truth, none_outlined
from legato.networks import detectors as detectors
from legato.networks import faster_rcnn, registry
from legato.networks.deconvnet import deconvnet_small
from legato.networks.deeppose import DeepPose, Refinement, Regression
from legato.networks.detector import DETECTORS, Parts
from legato.networks.fcn import fcn, fully_convolutional
from legato.networks.fpn import fpn
from legato.networks.heatmaps import HeatMaps
from legato.networks.localizer import Localizer
from legato.networks.scene_parsing import multiscale, recurrent

BATCH, HEIGHT, WIDTH = 2, 240, 320
PLACED = Device(threads=torch.get_num_threads())
SHAPES = tuple((8.0 * 1.5**k, 8.0 * 1.5**k) for k in range(9))
PARTS = Parts("squeezenet", 3, 3, (0.5,) * 3, (0.25,) * 3, SHAPES)


def canvas(side: int = 0) -> tuple[Canvas, list[Truth]]:
    """Pictures of noise with twelve objects each."""
    height, width = (side, side) if side else (HEIGHT, WIDTH)
    torch.manual_seed(0)
    low = torch.rand(12, 2) * torch.tensor([width - 60.0, height - 60.0])
    boxes = torch.cat([low, low + 20 + 40 * torch.rand(12, 2)], dim=1)
    truth = Truth(boxes, torch.arange(12) % 3, torch.ones(12, dtype=torch.bool), none_outlined())
    outlines = torch.zeros(12, height, width, dtype=torch.bool)
    for bitmap, (x1, y1, x2, y2) in zip(outlines, boxes.long().tolist()):
        bitmap[y1:y2, x1:x2] = True
    truth = truth._replace(bitmaps=outlines)
    sizes, regions = torch.tensor([[height, width]] * BATCH), [torch.cat([boxes] * 25)] * BATCH
    return Canvas(torch.rand(BATCH, 3, height, width), sizes, torch.ones(BATCH, 2), regions), [truth] * BATCH


def stepped(net: nn.Module, loss: Callable[[], Tensor], batch: int = BATCH) -> Callable[[], float]:
    optimizer = torch.optim.AdamW(net.parameters(), 1e-4)

    def step() -> None:
        net.train()
        loss().backward()
        optimizer.step()
        optimizer.zero_grad()

    return lambda: batch / seconds(step)


def asked(net: nn.Module, answer: Callable[[], Any], batch: int = BATCH) -> Callable[[], float]:
    @torch.no_grad()
    def ask() -> None:
        net.eval()
        answer()

    return lambda: batch / seconds(ask)


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
    pixels, y = canvas()[0].pixels, torch.randint(11, (BATCH, HEIGHT, WIDTH))
    x = PLACED.move(pixels)
    trunk = fully_convolutional(registry.build("squeezenet", 2, 3, 224), (3, 224, 224))
    net = fcn("fcn8s", trunk, 11)
    cuts = [list(dict(net.trunk.named_children())).index(tap) + 1 for tap in net.taps]
    layers = list(net.trunk.children())
    pieces = nn.ModuleList(nn.Sequential(*layers[a:b]) for a, b in zip([0, *cuts], cuts))
    heads = nn.ModuleList(nn.Conv2d(head.in_channels, 11, 1) for head in net.scores.values())
    bare = deepcopy(nn.ModuleList([pieces, heads]))
    pieces, heads = bare  # type: ignore[misc, assignment]
    PLACED.place(net)

    def plain() -> Tensor:
        seen, z = [], pixels
        for piece in pieces:
            z = piece(z)
            seen.append(z)
        score = heads[2](seen[2])
        for head, finer in ((heads[1], seen[1]), (heads[0], seen[0])):
            score = head(finer) + F.interpolate(score, finer.shape[2:], mode="bilinear")
        return F.interpolate(score, pixels.shape[2:], mode="bilinear")

    title = f"FCN-8s on SqueezeNet, {WIDTH} × {HEIGHT}, batch {BATCH}"
    learn = {
        "torch: plain": stepped(bare, lambda: F.cross_entropy(plain(), y)),
        "legato": stepped(net, lambda: F.cross_entropy(net(x), y)),
    }
    race(f"{title}: training", learn, rounds=3)
    race(f"{title}: inference", {"torch: plain": asked(bare, plain), "legato": asked(net, lambda: net(x))}, rounds=3)


def faster(name: str, trunk: str = "squeezenet") -> None:
    """Inference, and the products it cannot do without: trunk, neck, proposals, and the head on as many regions."""
    detector, pictures = DETECTORS[name], PLACED.move(canvas()[0])
    net: Any = PLACED.place(detector.build(replace(PARTS, network=trunk)))
    with torch.no_grad():
        chosen = net.eval()(pictures.pixels, faster_rcnn.use(pictures.sizes)).regions
        crops = net.crop(net.neck(net.trunk(pictures.pixels)), chosen, faster_rcnn.BINS)

    def products() -> None:
        maps = net.neck(net.trunk(pictures.pixels))
        net.proposals(maps)
        net.head(crops)

    title = f"{name} on {trunk}, {WIDTH} × {HEIGHT}, batch {BATCH}, {sum(map(len, chosen))} regions"
    jobs = {
        "trunk, neck and heads alone": asked(net, products),
        "legato: all of it": asked(net, lambda: detector.detect(net, pictures)),
    }
    race(f"{title}: inference", jobs, rounds=5)


def detection(name: str) -> None:
    """Training and use of a detector."""
    detector = DETECTORS[name]
    pictures, truths = canvas(detector.side)
    title = f"{name} on SqueezeNet, {pictures.pixels.shape[3]} × {pictures.pixels.shape[2]}, batch {BATCH}"
    learn = lambda net, x: torch.stack(list(detector.loss(net, x, truths).values())).sum()
    beside_defaults(title, detector.build(PARTS), pictures, learn, detector.detect)


def pixelwise(name: str, net: nn.Module) -> None:
    """Training and use of what judges every pixel."""
    y = torch.randint(11, (BATCH, HEIGHT, WIDTH))
    learn = lambda net, x: F.cross_entropy(net(x), y)
    title = f"{name}, {WIDTH} × {HEIGHT}, batch {BATCH}"
    beside_defaults(title, net, canvas()[0].pixels, learn, lambda net, x: net(x))


def joints() -> None:
    """Heat maps, and DeepPose with two refinements."""
    classifier = registry.build("squeezenet", 28, 3, 160)
    cascade = DeepPose(Regression(classifier), [Refinement(14), Refinement(14)])
    pixels, points = torch.rand(8, 3, 160, 160), torch.rand(8, 14, 2)
    for name, net in (("heat maps", HeatMaps(PARTS.trunk([8, 16]), 14)), ("DeepPose, three stages", cascade)):
        learn = lambda net, x: torch.stack(list(net.losses(x, points).values())).sum()
        title = f"{name} on SqueezeNet, 160 × 160, batch 8"
        beside_defaults(title, net, pixels, learn, lambda net, x: net(x), batch=8)


def one_object() -> None:
    """What and where by two heads."""
    pixels, kinds, places = torch.rand(8, 3, 128, 128), torch.randint(4, (8,)), torch.rand(8, 4)

    def learn(net: Any, x: Tensor) -> Tensor:
        what, where = net(x)
        return F.cross_entropy(what, kinds) + F.mse_loss(where, places)

    net = Localizer(PARTS.trunk([16]), 4, 128)
    beside_defaults("two heads on SqueezeNet, 128 × 128, batch 8", net, pixels, learn, lambda net, x: net(x), batch=8)


def beside_defaults(
    title: str,
    net: nn.Module,
    x: Any,
    learn: Callable[[Any, Any], Tensor],
    use: Callable[[Any, Any], Any],
    batch: int = BATCH,
) -> None:
    """The same layers as torch runs them by default, and as a run places them."""
    placed, moved = PLACED.place(deepcopy(net)), PLACED.move(x)
    train = {
        "torch: plain": stepped(net, lambda: learn(net, x), batch),
        "legato": stepped(placed, lambda: learn(placed, moved), batch),
    }
    race(f"{title}: training", train, rounds=3)
    answer = {
        "torch: plain": asked(net, lambda: use(net, x), batch),
        "legato": asked(placed, lambda: use(placed, moved), batch),
    }
    race(f"{title}: inference", answer, rounds=3)


def main() -> None:
    suppression()
    segmenter()
    faster("faster_rcnn_pyramid")
    faster("faster_rcnn")
    faster("faster_rcnn_pyramid", "resnet18")
    faster("faster_rcnn_pyramid", "resnet50")
    trunk = fully_convolutional(registry.build("squeezenet", 2, 3, 224), (3, 224, 224))
    pixelwise("FPN on SqueezeNet", fpn(trunk, 11))
    pixelwise("DeconvNet, small", deconvnet_small(11))
    pixelwise("Farabet's patches, convolved", multiscale(11))
    pixelwise("recurrent convolutions", recurrent(11))
    for name in ("rcnn", "fast_rcnn", "faster_rcnn", "faster_rcnn_pyramid", "yolo", "yolo_fine", "mask_rcnn"):
        detection(name)
    joints()
    one_object()


if __name__ == "__main__":
    main()

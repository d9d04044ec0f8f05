"""Pictures drawn by legato itself, with exact truth: shapes that overlap, stick people, roads seen from above.

Everything about scene n of a seed is a function of (seed, n). A pixel belongs to a shape if its centre lies inside and
nothing covers it; in the picture it is mixed from 3 × 3 points, so that edges are smooth as in a photograph.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import ceil, cos, floor, pi, sin

import torch
from jaxtyping import Bool, Float, UInt8
from torch import Tensor
from torch.nn import functional as F

from legato.draws import Draws
from legato.values import Boxes, Image, Keypoints, LabelMap, Masks
from legato.values import boxes as of_boxes
from legato.values.keypoints import LSP
from legato.values.keypoints import truth as certain
from legato.values.masks import around, from_polygons

Points = list[tuple[float, float]]  # x, y in pixels
Colour = tuple[float, float, float]  # red, green, blue in [0, 1]

MOTIONS = ("left", "right", "up", "down", "larger", "smaller", "clockwise", "anticlockwise")
SHAPES = ("disc", "square", "triangle", "star")
CORNERS = {"disc": 48, "square": 4, "triangle": 3, "star": 10}
GROUND = ("ground", "road")
SMOOTH = 3  # points a pixel and axis


@dataclass(frozen=True)
class Scene:
    """A picture and its shapes; hidden ones are left out."""

    image: Image
    instances: Masks  # what can be seen of each; boxes around that

    @property
    def boxes(self) -> Boxes:
        return self.instances.boxes

    @property
    def labels(self) -> LabelMap:
        """The class of each pixel; 0 is the background."""
        classes = torch.zeros(self.image.pixels.shape[1:], dtype=torch.uint8)
        for bitmap, label in zip(self.instances.bitmaps, self.boxes.labels.tolist()):
            classes[bitmap] = label + 1
        return LabelMap(classes, ("background", *self.boxes.names))


def shapes(seed: int, number: int, size: int = 96, most: int = 5) -> Scene:
    """One to `most` shapes on a ground that varies, the later ones covering the earlier."""
    draws = Draws(("shapes", seed), [number])
    canvas = ground(draws, size)
    count = 1 + int(draws.integers("count", most))
    kinds = draws.integers("kinds", len(SHAPES), count)[0].tolist()
    bitmaps = torch.zeros(count, size, size, dtype=torch.bool)
    for i, kind in enumerate(kinds):
        x, y, turn, extent = draws.uniform(f"place {i}", 4)[0].tolist()
        radius = size * (0.09 + 0.16 * extent)
        middle = (radius + x * (size - 2 * radius), radius + y * (size - 2 * radius))
        outline = polygon(SHAPES[kind], middle, radius, 2 * pi * turn)
        canvas, inside = laid(canvas, [outline], vivid(draws, f"colour {i}"))
        bitmaps[:i] &= ~inside
        bitmaps[i] = inside
    seen = bitmaps.flatten(1).sum(1) >= 12
    labels = torch.tensor(kinds)[seen]
    found = of_boxes.truth([around(b) for b in bitmaps[seen]], labels, SHAPES)
    return Scene(finished(canvas, draws, f"shapes {number}"), Masks(bitmaps[seen], found))


def one_shape(seed: int, number: int, size: int = 64) -> tuple[Image, int]:
    """A single shape of a class that goes round, for classification: classes are equally frequent."""
    draws = Draws(("one shape", seed), [number])
    kind = number % len(SHAPES)
    x, y, turn, extent = draws.uniform("place", 4)[0].tolist()
    radius = size * (0.2 + 0.2 * extent)
    middle = (radius + x * (size - 2 * radius), radius + y * (size - 2 * radius))
    outline = polygon(SHAPES[kind], middle, radius, 2 * pi * turn)
    canvas, _ = laid(ground(draws, size), [outline], vivid(draws, "colour"))
    return finished(canvas, draws, f"shape {number}"), kind


def person(seed: int, number: int, size: int = 96) -> tuple[Image, Keypoints]:
    """A stick figure seen from the front, with the 14 joints of LSP: right limbs warm, left limbs cold."""
    draws = Draws(("person", seed), [number])
    bend = 2 * draws.uniform("bend", 12)[0] - 1
    joints = body(bend.tolist(), size)
    canvas = ground(draws, size)
    width = 0.028 * size
    for (a, b), limb in zip(LSP.pairs, LSP.limbs):
        canvas, _ = laid(canvas, [stroke(joints[a], joints[b], width)], limb_colour(limb))
    (x1, y1), (x2, y2) = joints[LSP.names.index("neck")], joints[LSP.names.index("head top")]
    head = polygon("disc", ((x1 + x2) / 2, (y1 + y2) / 2), 0.06 * size, 0.0)
    canvas, _ = laid(canvas, [head], (0.95, 0.8, 0.65))
    return finished(canvas, draws, f"person {number}"), certain([joints], [[True] * len(joints)], LSP)


def roads(seed: int, number: int, size: int = 96, most: int = 4) -> tuple[Image, LabelMap]:
    """Grey roads across fields and roofs, as an aeroplane sees them."""
    draws = Draws(("roads", seed), [number])
    canvas = ground(draws, size)
    for i in range(8):
        x, y, turn = draws.uniform(f"roof {i}", 3)[0].tolist()
        outline = polygon("square", (size * x, size * y), 0.05 * size, 2 * pi * turn)
        canvas, _ = laid(canvas, [outline], tuple(draws.uniform(f"roof colour {i}", 3)[0].tolist()))
    is_road = torch.zeros(size, size, dtype=torch.bool)
    for i in range(1 + int(draws.integers("count", most))):
        angle, offset, bend, width = draws.uniform(f"road {i}", 4)[0].tolist()
        pieces = curve(pi * angle, (offset - 0.5) * size, (bend - 0.5) * size, (0.02 + 0.02 * width) * size, size)
        canvas, inside = laid(canvas, pieces, (0.55, 0.55, 0.57))
        is_road |= inside
    return finished(canvas, draws, f"roads {number}"), LabelMap(is_road.byte(), GROUND)


def motion(seed: int, number: int, size: int = 64, frames: int = 12) -> tuple[list[Image], Boxes]:
    """A shape that moves before a ground that stands still: frames, and the shape's box in each, all of one class, the
    motion's. Motions go round, so that they are equally frequent; a still picture does not tell them apart."""
    draws = Draws(("motion", seed), [number])
    kind = number % len(MOTIONS)
    x, y, phase, extent, pace = draws.uniform("place", 5)[0].tolist()
    shape = ("square", "triangle", "star")[int(draws.integers("shape", 3))]  # a turn of a disc cannot be seen
    colour, still = vivid(draws, "colour"), ground(draws, size)
    radius, speed = size * (0.12 + 0.08 * extent), size * (0.015 + 0.015 * pace)
    pictures, boxes = [], []
    for k in range(frames):
        t = k - (frames - 1) / 2
        dx, dy, grown, turned = moved(MOTIONS[kind], t, speed)
        far = size / 2 - 0.2 * size - speed * frames / 2  # so that it stays on the picture
        middle = (size / 2 + far * (2 * x - 1) + dx, size / 2 + far * (2 * y - 1) + dy)
        outline = polygon(shape, middle, radius * grown, 2 * pi * phase + turned)
        canvas, inside = laid(still, [outline], colour)
        pictures.append(finished(canvas, Draws(("motion", seed, k), [number]), f"motion {number}, frame {k}"))
        boxes.append(around(inside))
    return pictures, of_boxes.truth(boxes, [kind] * frames, MOTIONS)


def moved(motion: str, t: float, speed: float) -> tuple[float, float, float, float]:
    """How far right and down, how much larger, and by what angle clockwise something is at time t, in frames."""
    along = {"left": (-1, 0), "right": (1, 0), "up": (0, -1), "down": (0, 1)}.get(motion, (0, 0))
    growth = {"larger": 1.06, "smaller": 1 / 1.06}.get(motion, 1.0) ** t
    turn = {"clockwise": 0.12, "anticlockwise": -0.12}.get(motion, 0.0) * t  # y points down: clockwise is positive
    return along[0] * speed * t, along[1] * speed * t, growth, turn


# outlines
def polygon(kind: str, middle: tuple[float, float], radius: float, turn: float) -> Points:
    """A regular figure with its corners on a circle; a star's inner ones on one of 0.45 the radius."""
    count = CORNERS[kind]
    far = [radius * (0.45 if kind == "star" and k % 2 else 1.0) for k in range(count)]
    angles = [turn + 2 * pi * k / count for k in range(count)]
    return [(middle[0] + r * cos(a), middle[1] + r * sin(a)) for r, a in zip(far, angles)]


def stroke(start: tuple[float, float], end: tuple[float, float], width: float) -> Points:
    """A line as thick as `width` to either side."""
    (x1, y1), (x2, y2) = start, end
    length = max(1e-6, ((x2 - x1) ** 2 + (y2 - y1) ** 2) ** 0.5)
    dx, dy = (y1 - y2) / length * width, (x2 - x1) / length * width
    return [(x1 + dx, y1 + dy), (x2 + dx, y2 + dy), (x2 - dx, y2 - dy), (x1 - dx, y1 - dy)]


def curve(angle: float, offset: float, bend: float, width: float, size: int, parts: int = 12) -> list[Points]:
    """A parabola across the picture in straight pieces that overlap."""
    c, s, half = cos(angle), sin(angle), size / 2
    along = [1.5 * size * (k / parts - 0.5) for k in range(parts + 1)]
    across = [offset + bend * (t / size) ** 2 for t in along]
    points = [(half + t * c - u * s, half + t * s + u * c) for t, u in zip(along, across)]
    bends = [polygon("disc", point, width, 0.0) for point in points[1:-1]]
    return [*(stroke(a, b, width) for a, b in pairwise(points)), *bends]


def body(bend: Sequence[float], size: int) -> Points:
    """Joints in LSP's order, from twelve numbers in [−1, 1]: place, lean, and angles of the limbs. y points down."""
    unit = size / 8
    hips = (size / 2 + 0.8 * unit * bend[0], 4.4 * unit + 0.4 * unit * bend[1])
    lean = 0.25 * bend[2]
    neck = towards(hips, lean - pi / 2, 2.2 * unit)
    joint = {"neck": neck, "head top": towards(neck, lean + 0.2 * bend[3] - pi / 2, 1.1 * unit)}
    for side, sign, (arm, forearm, thigh, shin) in (("right", -1, bend[4:8]), ("left", 1, bend[8:12])):
        shoulder = towards(
            neck, lean + (0 if sign > 0 else pi), 0.7 * unit
        )  # seen from the front: its right is our left
        hip = towards(hips, lean + (0 if sign > 0 else pi), 0.45 * unit)
        elbow = towards(shoulder, pi / 2 - sign * (0.9 + 0.8 * arm), 1.1 * unit)
        knee = towards(hip, pi / 2 - sign * (0.25 + 0.35 * thigh), 1.5 * unit)
        joint |= {
            f"{side} shoulder": shoulder,
            f"{side} elbow": elbow,
            f"{side} wrist": towards(elbow, pi / 2 - sign * (0.9 + 0.8 * arm + 0.9 * forearm), 1.0 * unit),
            f"{side} hip": hip,
            f"{side} knee": knee,
            f"{side} ankle": towards(knee, pi / 2 - sign * (0.25 + 0.35 * thigh - 0.4 * abs(shin)), 1.5 * unit),
        }
    return [joint[name] for name in LSP.names]


def towards(start: tuple[float, float], angle: float, length: float) -> tuple[float, float]:
    return start[0] + length * cos(angle), start[1] + length * sin(angle)


def limb_colour(limb: tuple[str, str]) -> Colour:
    sides = {name.partition(" ")[0] for name in limb} & {"left", "right"}
    return {"right": (0.85, 0.35, 0.1), "left": (0.1, 0.4, 0.8)}[sides.pop()] if len(sides) == 1 else (0.9, 0.85, 0.3)


# paint
def ground(draws: Draws, size: int) -> Float[Tensor, "3 {size} {size}"]:
    """A muted colour with slow waves of light."""
    coarse = draws.uniform("waves", 3, 5, 5)
    waves = F.interpolate(coarse, (size, size), mode="bicubic", align_corners=False)[0]
    base = 0.25 + 0.3 * draws.uniform("ground", 3)[0]
    return (base[:, None, None] + 0.25 * (waves - 0.5)).clamp(0, 1)


def laid(
    canvas: Float[Tensor, "3 h w"], pieces: list[Points], colour: Colour
) -> tuple[Float[Tensor, "3 h w"], Bool[Tensor, "h w"]]:
    """The canvas with a shape laid over it, pixels on its edge mixed; and the pixels whose centres lie inside."""
    fine = bitmap([[(SMOOTH * x, SMOOTH * y) for x, y in piece] for piece in pieces], SMOOTH * canvas.shape[-1])
    cover = F.avg_pool2d(fine[None].float(), SMOOTH)
    mixed = canvas * (1 - cover) + torch.tensor(colour)[:, None, None] * cover
    return mixed, fine[SMOOTH // 2 :: SMOOTH, SMOOTH // 2 :: SMOOTH]  # of 3 × 3 points the middle one is the centre


def bitmap(pieces: list[Points], size: int) -> Bool[Tensor, "{size} {size}"]:
    """The pixels inside any of these outlines, each rasterised within its own frame only."""
    inside = torch.zeros(size, size, dtype=torch.bool)
    for piece in pieces:
        left, top = (max(0, floor(min(v))) for v in zip(*piece))
        right, bottom = (min(size, ceil(max(v))) for v in zip(*piece))
        if left < right and top < bottom:
            moved = [v for x, y in piece for v in (x - left, y - top)]
            inside[top:bottom, left:right] |= from_polygons([moved], bottom - top, right - left)
    return inside


def vivid(draws: Draws, name: str) -> Colour:
    """A colour that stands off the ground: one channel high, one low."""
    high, low, middle = draws.uniform(name, 3)[0].tolist()
    order = draws.uniform(f"{name} order", 3)[0].argsort().tolist()
    values = (0.75 + 0.25 * high, 0.15 * low, middle)
    return values[order[0]], values[order[1]], values[order[2]]


def finished(canvas: Float[Tensor, "3 h w"], draws: Draws, source: str) -> Image:
    """With the noise of a camera, in bytes."""
    noise = 0.02 * draws.normal("noise", *canvas.shape)[0]
    pixels: UInt8[Tensor, "3 h w"] = ((canvas + noise).clamp(0, 1) * 255).round().byte()
    return Image(pixels, source)

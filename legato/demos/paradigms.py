"""Four ways to make a machine read digits (lecture 001; Goodfellow et al. 2016, figure 1.5): by hand, and learnt."""

import torch
from jaxtyping import Float, Int
from PIL import Image, ImageDraw
from torch import Tensor, nn
from torch.nn.functional import interpolate, normalize, one_hot

from legato.demos.learning import classifier, seen_and_new, share
from legato.demos.registry import Demo, demo
from legato.explain.hog import hog, linear_svm
from legato.picture.graph import chains
from legato.picture.page import page
from legato.picture.style import BLUE, GREY, font

ROWS = {  # what stands between a picture and an answer: grey is written by hand, blue is learnt
    "rules": [("program", GREY)],
    "classic machine learning": [("features", GREY), ("classifier", BLUE)],
    "representation learning": [("features", BLUE), ("classifier", BLUE)],
    "deep learning": [("simple\nfeatures", BLUE), ("abstract\nfeatures", BLUE), ("classifier", BLUE)],
}


def program(x: Float[Tensor, "n 1 8 8"]) -> Int[Tensor, "n"]:
    """No learning: of the printed digits, the one at the smallest angle to x."""
    printed = Image.new("L", (16, 160))
    for digit in range(10):
        ImageDraw.Draw(printed).text((8, 8 + 16 * digit), str(digit), 255, font(19), "mm")
    letters = torch.frombuffer(bytearray(printed.tobytes()), dtype=torch.uint8).view(10, 1, 16, 16)
    templates = normalize(interpolate(letters.float(), 8, mode="area").flatten(1))
    return (x.flatten(1) @ templates.T).argmax(1)


def by_hand(x: Float[Tensor, "n 1 8 8"]) -> Float[Tensor, "n k"]:
    """Histograms of oriented gradients."""
    return hog(interpolate(x, 16, mode="bilinear"), cell=4)


def by_line(v: Float[Tensor, "n k"], y: Int[Tensor, "n"], w: Float[Tensor, "m k"]) -> Int[Tensor, "m"]:
    """What the best linear map (least squares) from features v to classes y says of features w."""
    return (w @ torch.linalg.lstsq(v, one_hot(y, 10).float(), driver="gelsd").solution).argmax(1)


@demo("F12")
def paradigms() -> Demo:
    """Learning paradigms: rules, features by hand, features learnt, features of features.

    What people knew of pictures (HOG) is hard to beat on so few digits; the deep network was told nothing of it.
    Its features are also easier for a linear map than the pixels are: that is what they are for.
    """
    (x, y), (new, truth) = seen_and_new()
    conv = [nn.Sequential(nn.Conv2d(i, o, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)) for i, o in ((1, 16), (16, 32))]
    deep = classifier(nn.Sequential(*conv, nn.Flatten(), nn.Linear(128, 10)), x, y, 400)
    flat = classifier(nn.Sequential(nn.Flatten(), nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 10)), x, y, 400)
    machine = linear_svm(by_hand(x), y)
    with torch.no_grad():
        answers = [
            program(new),
            torch.from_numpy(machine.predict(by_hand(new))),
            flat(new).argmax(1),
            deep(new).argmax(1),
        ]
        stages = {"pixels": nn.Identity(), "simple features": deep[0], "abstract features": deep[:2]}
        read = {name: by_line(phi(x).flatten(1), y, phi(new).flatten(1)) for name, phi in stages.items()}
    right = {name: share(answer == truth) for name, answer in zip(ROWS, answers)}
    linear = {f"a linear map from {name}": share(answer == truth) for name, answer in read.items()}
    rows = {name: [("input", GREY), *boxes, (f"{right[name]:.1%} right", "white")] for name, boxes in ROWS.items()}
    chart = chains(rows, "grey: by hand; blue: learnt; and the share of new digits read right")
    lines = [f"{name:38} {value:.1%} of 360 new digits right" for name, value in (right | linear).items()]
    return Demo(page([chart], "Learning paradigms", side=7.6, height=3), lines, right | linear)

"""How the recognition of pictures grew: the winners of the ImageNet challenge, and LeNet beside AlexNet.

All figures here are quoted, each with its source, and none is measured by legato; only the numbers of layers are
counted, from our networks, by a test.
"""

from collections.abc import Sequence
from math import log10
from typing import Any, NamedTuple

from legato.picture.style import BLUE, GREY, VERMILLION, Picture, figure, headline, rendered, style

HUMAN = 5.1  # % top-5 errors of the better annotator (Russakovsky et al. 2015, section 6.4)


class Winner(NamedTuple):
    """An entry of the challenge: its top-5 errors on the test pictures in %, its layers, or 0 before deep networks."""

    year: int
    name: str
    error: float
    layers: int
    source: str


RUSSAKOVSKY = "Russakovsky et al. 2015, arXiv:1409.0575"
WINNERS = (
    Winner(2010, "NEC-UIUC", 28.2, 0, RUSSAKOVSKY),
    Winner(2011, "XRCE", 25.8, 0, RUSSAKOVSKY),
    Winner(2012, "AlexNet", 16.4, 8, f"{RUSSAKOVSKY}: five networks, data of the challenge alone"),
    Winner(2013, "ZFNet", 11.7, 8, f"{RUSSAKOVSKY}: the entry of Zeiler's company, Clarifai; not the paper's 14.8"),
    Winner(2014, "VGG", 7.3, 19, f"{RUSSAKOVSKY}: second place"),
    Winner(2014, "GoogLeNet", 6.7, 22, RUSSAKOVSKY),
    Winner(2015, "ResNet", 3.57, 152, "He et al. 2015, arXiv:1512.03385: six networks"),
)


class Scale(NamedTuple):
    """What a network was trained with and on, as lecture 003 lists it: powers of ten."""

    year: int
    name: str
    transistors: float  # of the processor
    pixels: float  # used in training
    source: str


SCALES = (
    Scale(1998, "LeNet", 1e6, 1e7, "lecture 003: a Pentium, NIST"),
    Scale(2012, "AlexNet", 1e9, 1e14, "lecture 003: graphics processors, ImageNet"),
)


def winners(entries: Sequence[Winner] = WINNERS) -> Picture:
    """The bar chart of lectures 003 and 004: errors by year, layers over the bars, and a line for what a human does."""
    with style():
        drawn = figure(7.4, 3.9)
        headline(drawn, "ImageNet challenge: top-5 errors of the winners, and their layers")
        axes = drawn.add_subplot(ylabel="top-5 errors, %")
        axes.axhline(HUMAN, color=VERMILLION, linewidth=1.2, zorder=0.5)
        axes.text(len(entries) - 0.4, HUMAN, f"a human,\n{HUMAN:g} %", color=VERMILLION, va="center", fontsize=8.5)
        for place, entry in enumerate(entries):
            axes.bar(place, entry.error, 0.7, color=BLUE if entry.layers else GREY)
            label = f"{entry.error:g} %\n{f'{entry.layers} layers' if entry.layers else 'shallow'}"
            height = max(entry.error, HUMAN)  # the line goes through no words
            axes.annotate(label, (place, height), (0, 3), textcoords="offset points", ha="center", fontsize=8.5)
        name(axes, [f"{entry.name}\n{entry.year}" for entry in entries])
        axes.set(xlim=(-0.6, len(entries) - 0.45), ylim=(0, 1.2 * max(entry.error for entry in entries)))
        return rendered(drawn)


def scaling(entries: Sequence[Scale] = SCALES) -> Picture:
    """From LeNet to AlexNet (lecture 003): transistors of a processor and pixels in training, on logarithmic axes."""
    amounts = {
        "transistors of the processor": [entry.transistors for entry in entries],
        "pixels used in training": [entry.pixels for entry in entries],
    }
    with style():
        drawn = figure(7.2, 3.2)
        headline(drawn, "From LeNet to AlexNet")
        for axes, (what, values), colour in zip(drawn.subplots(1, 2), amounts.items(), (BLUE, VERMILLION)):
            exponents = [log10(value) for value in values]
            axes.bar(range(len(entries)), exponents, 0.6, color=colour)
            for place, exponent in enumerate(exponents):
                words = f"$10^{{{exponent:.0f}}}$"
                axes.text(place, exponent + 0.2, words, ha="center", va="bottom", parse_math=True)
            axes.set_title(what, fontsize=9.5, weight="normal")
            axes.set(ylim=(0, 16), yticks=range(0, 16, 2), ylabel="power of ten")
            name(axes, [f"{entry.name}\n{entry.year}" for entry in entries])
        return rendered(drawn)


def name(axes: Any, names: Sequence[str]) -> None:
    """Each bar's name under it."""
    axes.set_xticks(range(len(names)), names)
    axes.grid(axis="x", visible=False)

"""The one place that draws: plain values in, pictures out, all in one style. Knows nothing of tasks, runs or networks.

Every function returns a PIL image, which notebooks show by themselves; `save` writes it. The same values give the same
bytes on every machine: fonts come with the package, and nothing reads a clock, a locale or a user's settings.
Boxes, masks, label maps and skeletons are drawn on pictures by `legato.picture.overlays`.
"""

from legato.picture.card import card
from legato.picture.diagram import Stage, stage_diagram
from legato.picture.maps import heat, matrix, overlay
from legato.picture.mosaic import ladder, mosaic
from legato.picture.panels import pair, panels
from legato.picture.plots import bars, curves, profile, reliability, scatter
from legato.picture.sheets import filters, sheet
from legato.picture.style import BLACK, BLUE, GREEN, GREY, ORANGE, PURPLE, SKY, VERMILLION, Picture, pixels, save

__all__ = [
    "BLACK",
    "BLUE",
    "GREEN",
    "GREY",
    "ORANGE",
    "PURPLE",
    "SKY",
    "VERMILLION",
    "Picture",
    "Stage",
    "bars",
    "card",
    "curves",
    "filters",
    "heat",
    "ladder",
    "matrix",
    "mosaic",
    "overlay",
    "pair",
    "panels",
    "pixels",
    "profile",
    "reliability",
    "save",
    "scatter",
    "sheet",
    "stage_diagram",
]

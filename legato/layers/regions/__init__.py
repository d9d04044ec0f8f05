"""Regions of a picture: anchors, the changes between boxes, suppression, and pieces cut from maps.

Plain torch operations on any device; nothing is compiled. Knows nothing of networks, losses or classes' names.
"""

from legato.layers.regions.anchors import anchors, fitted_shapes, shapes
from legato.layers.regions.boxes import area, clip, decode, encode, intersection, iou
from legato.layers.regions.nms import nms
from legato.layers.regions.pyramid import EvenScale, FeaturePyramid, crop_levels, level_of
from legato.layers.regions.roi import roi_align, roi_align_levels, roi_pool

__all__ = [
    "anchors", "shapes", "fitted_shapes", "area", "clip", "decode", "encode", "intersection", "iou", "nms",
    "roi_align", "roi_align_levels", "roi_pool", "EvenScale", "FeaturePyramid", "level_of", "crop_levels",
]  # fmt: skip

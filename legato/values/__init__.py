"""What goes in and what comes out: pictures and texts on one side, answers on the other, to and from JSON.

A file a kind of answer. None knows of networks or tasks; geometry (flip, crop, scale, rotate) is here, because what
happens to a picture happens to everything drawn on it.
"""

from legato.values.boxes import Boxes
from legato.values.inputs import Image, Text
from legato.values.keypoints import Keypoints, Skeleton
from legato.values.labelmap import VOID, LabelMap
from legato.values.masks import Masks
from legato.values.scores import Scores

__all__ = ["Image", "Text", "Scores", "Boxes", "LabelMap", "VOID", "Masks", "Keypoints", "Skeleton"]

"""A file a question. A task knows data, a network, a loss and a measure; nothing of devices, run folders or drawing."""

from legato.tasks.classify import Classify as Classify
from legato.tasks.label import Label as Label
from legato.tasks.localize import Localize as Localize
from legato.tasks.pose import Pose as Pose
from legato.tasks.reconstruct import Reconstruct as Reconstruct
from legato.tasks.regress import Regress as Regress
from legato.tasks.segment import Segment as Segment

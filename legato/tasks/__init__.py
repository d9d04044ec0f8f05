"""A file a question. A task knows data, a network, a loss and a measure; nothing of devices, run folders or drawing.

In this order they are asked whether data is theirs: those with formats of their own before those that read any picture.
"""

from legato.tasks.segment import Segment as Segment  # isort: skip
from legato.tasks.pose import Pose as Pose  # isort: skip
from legato.tasks.detect import Detect as Detect  # isort: skip
from legato.tasks.instances import Instances as Instances  # isort: skip
from legato.tasks.localize import Localize as Localize  # isort: skip
from legato.tasks.caption import Caption as Caption  # isort: skip
from legato.tasks.translate import Translate as Translate  # isort: skip
from legato.tasks.tag import Tag as Tag  # isort: skip
from legato.tasks.classify_text import ClassifyText as ClassifyText  # isort: skip
from legato.tasks.language import Language as Language  # isort: skip
from legato.tasks.classify import Classify as Classify  # isort: skip
from legato.tasks.label import Label as Label  # isort: skip
from legato.tasks.regress import Regress as Regress  # isort: skip
from legato.tasks.reconstruct import Reconstruct as Reconstruct  # isort: skip

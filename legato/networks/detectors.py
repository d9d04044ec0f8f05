"""All detectors by name: importing this enters them. A file a paper; what they share is in detector.py."""

from legato.networks import fast_rcnn as fast_rcnn
from legato.networks import faster_rcnn as faster_rcnn
from legato.networks import faster_rcnn_torchvision as faster_rcnn_torchvision
from legato.networks import mask_rcnn as mask_rcnn
from legato.networks import mask_rcnn_torchvision as mask_rcnn_torchvision
from legato.networks import rcnn as rcnn
from legato.networks import windows as windows
from legato.networks import yolo as yolo

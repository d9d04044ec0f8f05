"""Networks that are chosen by name: a file a paper, the paper's table from top to bottom, shapes at the right margin.

They know layers, and nothing of data, tasks or training. Importing this package enters them all into the registry.
"""

from legato.networks import alexnet as alexnet
from legato.networks import autoencoder as autoencoder
from legato.networks import dense as dense
from legato.networks import digits as digits
from legato.networks import googlenet as googlenet
from legato.networks import googlenet_torchvision as googlenet_torchvision
from legato.networks import lenet as lenet
from legato.networks import lenet_1998 as lenet_1998
from legato.networks import madry as madry
from legato.networks import resnet as resnet
from legato.networks import resnet9 as resnet9
from legato.networks import resnet_cifar as resnet_cifar
from legato.networks import resnet_torchvision as resnet_torchvision
from legato.networks import squeezenet as squeezenet
from legato.networks import vgg as vgg
from legato.networks import weights as weights
from legato.networks import wong as wong
from legato.networks import zfnet as zfnet

"""Bricks: a layer a file, an `nn.Module` each, with its formula or figure and its shapes. They know of nothing above.

The bricks that many networks share are here by name; the others are imported from their files.
"""

from legato.layers.conv import ConvNorm as ConvNorm
from legato.layers.conv import ConvNormRelu as ConvNormRelu
from legato.layers.conv import ConvRelu as ConvRelu
from legato.layers.inception import Inception as Inception
from legato.layers.normalize import LocalResponseNorm as LocalResponseNorm
from legato.layers.normalize import Normalize as Normalize
from legato.layers.normalize import with_normalization as with_normalization
from legato.layers.residual import BasicBlock as BasicBlock
from legato.layers.residual import Bottleneck as Bottleneck
from legato.layers.residual import Residual as Residual
from legato.layers.stages import Sided as Sided
from legato.layers.stages import stages as stages
from legato.layers.stages import walk as walk

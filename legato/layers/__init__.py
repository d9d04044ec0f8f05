"""Bricks: a layer a file, an `nn.Module` each, with its formula or figure and its shapes. They know of nothing above.

The bricks that many networks share are here by name; the others are imported from their files.
"""

from legato.layers.conv import ConvNorm as ConvNorm
from legato.layers.conv import ConvNormRelu as ConvNormRelu
from legato.layers.conv import ConvRelu as ConvRelu
from legato.layers.convolutional import Sliding as Sliding
from legato.layers.convolutional import to_convolutional as to_convolutional
from legato.layers.dropout import LectureDropout as LectureDropout
from legato.layers.fold import fold_batch_norm as fold_batch_norm
from legato.layers.fold import fold_linear as fold_linear
from legato.layers.inception import Inception as Inception
from legato.layers.locally_connected import LocallyConnected2d as LocallyConnected2d
from legato.layers.maxout import Maxout as Maxout
from legato.layers.normalize import LocalResponseNorm as LocalResponseNorm
from legato.layers.normalize import Normalize as Normalize
from legato.layers.normalize import with_normalization as with_normalization
from legato.layers.pooling import GlobalAverage as GlobalAverage
from legato.layers.pooling import GlobalMax as GlobalMax
from legato.layers.pooling import LearnedNormPool2d as LearnedNormPool2d
from legato.layers.pooling import PNormPool2d as PNormPool2d
from legato.layers.rearrange import conv_to_dense as conv_to_dense
from legato.layers.rearrange import dense_to_conv as dense_to_conv
from legato.layers.residual import BasicBlock as BasicBlock
from legato.layers.residual import Bottleneck as Bottleneck
from legato.layers.residual import Residual as Residual
from legato.layers.stages import Sided as Sided
from legato.layers.stages import stages as stages
from legato.layers.stages import walk as walk
from legato.layers.true_conv import TrueConv2d as TrueConv2d

"""The foundations of the lectures as small live demonstrations: a file each, worth reading, that draws one picture and
measures what it says. `legato demo --list`; `run("backprop")` from Python.

A demonstration has at most 40 lines of code; `learning.py` holds what several need and none is about.
"""

from legato.demos import activations as activations
from legato.demos import approximation as approximation
from legato.demos import autoencoder as autoencoder
from legato.demos import backprop as backprop
from legato.demos import boundary as boundary
from legato.demos import clipping as clipping
from legato.demos import convolution as convolution
from legato.demos import crossentropy as crossentropy
from legato.demos import deblur as deblur
from legato.demos import depth as depth
from legato.demos import descent as descent
from legato.demos import dropout as dropout
from legato.demos import equivariance as equivariance
from legato.demos import exploding as exploding
from legato.demos import features as features
from legato.demos import folding as folding
from legato.demos import hello as hello
from legato.demos import hidden as hidden
from legato.demos import invariance as invariance
from legato.demos import kernels as kernels
from legato.demos import matched_filter as matched_filter
from legato.demos import maxout as maxout
from legato.demos import paradigms as paradigms
from legato.demos import pointwise as pointwise
from legato.demos import pooling as pooling
from legato.demos import predictor as predictor
from legato.demos import projections as projections
from legato.demos import receptive as receptive
from legato.demos import sizes as sizes
from legato.demos import sliding as sliding
from legato.demos import solver as solver
from legato.demos import stamps as stamps
from legato.demos import surface as surface
from legato.demos import unrolled as unrolled
from legato.demos.registry import DEMOS as DEMOS
from legato.demos.registry import Demo as Demo
from legato.demos.registry import lookup as lookup
from legato.demos.registry import run as run

"""Reads a trained network: pure functions from tensors to maps; what they show is drawn by `legato.picture`."""

from legato.explain.occlusion import occlusion as occlusion
from legato.explain.saliency import saliency as saliency

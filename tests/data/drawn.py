"""Small sets of pictures drawn on the spot: noise, so that no two are equal."""

from pathlib import Path

import numpy as np
from PIL import Image


def noise(seed: int, height: int = 8, width: int = 8, channels: int = 3) -> np.ndarray:
    """(h, w, 3) bytes, or (h, w) for one channel."""
    shape = (height, width, channels) if channels > 1 else (height, width)
    return np.random.default_rng(seed).integers(0, 256, shape, np.uint8)


def smooth(height: int, width: int) -> np.ndarray:
    """(h, w, 3) bytes: ramps of three colours, which JPEG keeps well."""
    y, x = np.mgrid[0 : 1 : height * 1j, 0 : 1 : width * 1j]
    return np.stack([255 * x, 255 * y, 255 * (1 - x * y)], -1).round().astype(np.uint8)


def draw_folder(root: Path, counts: dict[str, int], suffix: str = ".png", channels: int = 3) -> Path:
    """{"train/daisy": 3} → root/train/daisy/000.png …"""
    seed = 0
    for folder, count in counts.items():
        (root / folder).mkdir(parents=True, exist_ok=True)
        for k in range(count):
            Image.fromarray(noise(seed, channels=channels)).save(root / folder / f"{k:03}{suffix}")
            seed += 1
    return root

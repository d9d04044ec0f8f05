"""The set that is always there: 1,797 handwritten digits of 8×8 pixels that scikit-learn brings along.

E. Alpaydin, C. Kaynak, "Optical Recognition of Handwritten Digits", 1998 (the test part of the UCI set).
"""

from pathlib import Path

import numpy as np

from legato.data.examples import PictureSet, Pixels, pictures
from legato.data.policy import TENTHS, tenths

NAME = "digits"


def recognises(path: Path) -> bool:
    return str(path) == NAME


def read(path: Path) -> PictureSet:
    from sklearn.datasets import load_digits  # takes half a second to import

    images, targets = load_digits(return_X_y=True)
    pixels = np.round(images.reshape(-1, 1, 8, 8) * (255 / 16)).astype(np.uint8)  # there 0 to 16
    every = pictures(Pixels(NAME, pixels), targets.astype(np.int64))
    return PictureSet("digits", "class", tuple("0123456789"), tenths(every), TENTHS)

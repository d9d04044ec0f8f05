"""Rows of the ledger about data: the size of ImageNet, and the augmentation AlexNet was trained with."""

import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from legato.data.augment import colour_axes, parse
from legato.data.examples import Paths, pictures
from legato.draws import Draws

ILSVRC = {"train": 1_281_167, "valid": 50_000, "test": 100_000}  # Russakovsky et al. 2015, table 2


@pytest.fixture(scope="module")
def imagenet() -> Paths:
    """The names of all its files, as they lie on disk."""
    return Paths(
        Path("ILSVRC"), (f"{split}/n{k % 1000:08}/{k:08}.JPEG" for split in ILSVRC for k in range(ILSVRC[split]))
    )


def test_N2_imagenet_has_1431167_pictures(imagenet):
    assert sum(ILSVRC.values()) == len(imagenet) == 1_431_167
    assert len(imagenet.folders) == 3 * 1000
    assert imagenet[1_431_166] == "test/n00000999/00099999.JPEG"


def test_N2_a_table_of_imagenet_takes_a_tenth_of_a_gibibyte(imagenet):
    targets = np.arange(len(imagenet)) % 1000
    table = pictures(imagenet, targets)
    held = sum(map(sys.getsizeof, (imagenet.text, imagenet.end, imagenet.folder)))
    assert held + table.rows.nbytes + table.targets.nbytes < 2**30 / 10
    assert table.name(1_281_167) == "valid/n00000000/00000000.JPEG"


def test_N12_alexnet_crops_224_of_256_at_random_and_mirrors():
    how = parse("alexnet")
    assert (how.load_size(224), how.flip) == (256, 50)
    images = torch.arange(256 * 256).view(1, 1, 256, 256) / 256**2
    seen = set()
    crops = parse("crop,flip").apply(images.expand(400, -1, -1, -1), Draws((0,), range(400)), 224)
    for first, last in (crops[:, 0, 0, [0, -1]] * 256**2).round().int().tolist():
        seen.add((min(first, last) // 256, min(first, last) % 256, first > last))
    tops, lefts, mirrored = (set(values) for values in zip(*seen))
    assert tops == lefts == set(range(33)), "256 − 224 + 1 places; the paper counts 32 × 32 × 2 = 2048 pictures of one"
    assert mirrored == {False, True}


def test_N12_alexnet_shifts_colours_by_a_tenth_of_the_principal_components():
    how, rng = parse("alexnet"), np.random.default_rng(0)
    pixels = rng.multivariate_normal([128] * 3, [[900, 700, 500], [700, 900, 600], [500, 600, 900]], (64, 16, 16))
    images = torch.from_numpy(pixels.clip(0, 255).round().astype(np.uint8)).permute(0, 3, 1, 2)
    λ, p = np.linalg.eigh(np.cov(images.permute(1, 0, 2, 3).flatten(1).numpy() / 255))
    grey = torch.full((5000, 3, 1, 1), 0.5)
    moved = how.apply(grey, Draws((0,), range(5000)), 1, colour_axes(images))[:, :, 0, 0].numpy() - 0.5
    assert (moved @ p).std(0) == pytest.approx(0.1 * λ, rel=0.05)

"""Neighbours in feature space against all pairs; the pass over a gallery; what is kept of however many."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image as pil
from torch import nn

from legato.device import Device
from legato.errors import DataError, UsageError
from legato.explain.among import Among
from legato.explain.features import Gallery, Largest, before_head, front, merged, sampled, vectors
from legato.explain.neighbours import nearest, show_neighbours
from legato.explain.subject import Subject
from legato.explain.top_patches import show_patches, top_patches
from legato.layers.normalize import with_normalization
from legato.networks import registry
from legato.tasks.classify import Classify


@pytest.fixture(scope="module")
def digits() -> Subject:
    """An untrained LeNet-5 and the handwritten digits of scikit-learn."""
    torch.manual_seed(0)
    task = Classify("digits", network="lenet5", size=28, augmentation="none").adapt()
    return Subject(task, task.build().eval(), Device(), None)


def test_the_nearest_are_those_of_all_pairs_whatever_the_batches() -> None:
    torch.manual_seed(0)
    queries, rows = torch.randn(5, 16), torch.randn(103, 16)
    everywhere = np.argsort(-(unit(queries) @ unit(rows).T), axis=1)[:, :9]
    for size in (1, 10, 103):
        parts = torch.arange(103).split(size)
        found = nearest(queries, ((part.tolist(), rows[part]) for part in parts), 9)
        assert found.belongs[0].tolist() == everywhere.tolist()
    assert nearest(queries, [([7, 8], rows[7:9])], 9).values.shape == (5, 2)  # no more than there are


def unit(x: torch.Tensor) -> np.ndarray:
    return (x / x.norm(dim=1, keepdim=True)).numpy()


def test_of_equals_the_first_one_met_is_kept() -> None:
    def one(number: int) -> Largest:
        return Largest(torch.tensor([[1.0]]), (torch.tensor([[number]]),))

    best = merged(merged(merged(None, one(4), 2), one(5), 2), one(6), 2)
    assert best.of(0) == [(1.0, 4), (1.0, 5)]


def test_top_patches_are_the_strongest_of_each_channel_one_a_picture() -> None:
    torch.manual_seed(0)
    maps = torch.rand(40, 3, 4, 5)
    found = top_patches(((part.tolist(), maps[part]) for part in torch.arange(40).split(7)), 9)
    for channel in range(3):
        strongest = maps[:, channel].flatten(1).max(1)
        order = strongest.values.argsort(descending=True)[:9]
        assert found.belongs[0][channel].tolist() == order.tolist()
        assert found.belongs[1][channel].tolist() == strongest.indices[order].tolist()
        torch.testing.assert_close(found.values[channel], strongest.values[order])


def test_a_gallery_gives_what_the_whole_network_gives(digits: Subject) -> None:
    gallery, task = Gallery(digits, "relu6"), digits.task
    chosen = [3, 1, 40, 41, *range(50, 90)]
    batches = list(gallery.seen(chosen))
    assert [i for seen in batches for i in seen.indices] == chosen
    inputs, targets = task.batch(task.examples("train"), chosen, None)
    with torch.no_grad():
        expected = digits.net[:-1](inputs)
    torch.testing.assert_close(torch.cat([seen.found for seen in batches]), expected)
    assert [name for seen in batches for name in seen.classes] == [task.names[k] for k in targets.tolist()]


def test_finds_itself_and_copies_in_a_folder_and_leaves_out_what_is_broken(digits: Subject, tmp_path: Path) -> None:
    pictures = [digits.task.examples("train")[i][0].pixels[0].numpy() for i in range(12)]
    for k, pixels in enumerate(pictures):
        pil.fromarray(pixels).save(tmp_path / f"{k}.png")
    pil.fromarray(pictures[5]).save(tmp_path / "again.png")
    (tmp_path / "torn.png").write_bytes((tmp_path / "3.png").read_bytes()[:40])
    asked = digits.task.read_input(str(tmp_path / "5.png"))
    [shown] = show_neighbours(replace(digits, input=asked, among=Among(digits.task, str(tmp_path))))
    similarity, source = shown.lines[0].split("\t")
    assert float(similarity) == pytest.approx(1, abs=1e-4)
    assert Path(source).name == "again.png"  # and not the picture itself
    assert "5.png" not in {Path(line.split("\t")[1]).name for line in shown.lines[:9]}
    assert shown.lines[-1].startswith("1 left out: ")
    assert "torn.png" in shown.lines[-1]


def test_published_weights_have_no_data_set_behind_them(digits: Subject) -> None:
    ready = replace(digits, task=replace(digits.task, data=""))
    for among in ((), Among(ready.task, "valid")):
        with pytest.raises(UsageError, match="no data set stands behind published weights: name a folder"):
            Gallery(replace(ready, among=among), "relu6")


def test_a_folder_of_broken_pictures_is_told(digits: Subject, tmp_path: Path) -> None:
    (tmp_path / "torn.png").write_bytes(b"no picture")
    with pytest.raises(DataError, match=r"torn\.png"):
        list(Gallery(replace(digits, among=Among(digits.task, str(tmp_path))), "relu6").seen())


def test_patches_are_drawn_of_the_data_set(digits: Subject) -> None:
    few = [(digits.task.examples("train")[i][0], f"digit {i}") for i in range(30)]
    [shown] = show_patches(replace(digits, stage="conv1", among=few))
    assert len(shown.lines) == 6  # conv1 has six channels
    assert shown.lines[0].startswith("conv1 channel ")
    [one] = show_patches(replace(digits, stage="conv1", channel=2, among=few))
    assert [line.split(":")[0] for line in one.lines] == ["conv1 channel 2"]
    with pytest.raises(UsageError, match="conv1 has channels 0 to 5, not 6"):
        show_patches(replace(digits, stage="conv1", channel=6, among=few))


@pytest.mark.parametrize(
    ("name", "stage"),
    [
        ("lenet5", "relu6"), ("squeezenet", "fire9"), ("squeezenet_linear", "scale"), ("resnet18", "average"),
        ("googlenet_auxiliary", "trunk.average"), ("vgg11", "relu7"), ("[conv8-relu-pool]*2-fc", None),
    ],
)  # fmt: skip
def test_what_enters_the_head(name: str, stage: str | None) -> None:
    with torch.device("meta"):
        net = with_normalization(registry.for_size(registry.lookup(name), 10, 3, 32), (0.5,) * 3, (0.25,) * 3)
    found = before_head(net)
    assert found == stage or (stage is None and found in dict(net.named_modules()))


def test_says_what_has_no_head_and_no_stage() -> None:
    with pytest.raises(UsageError, match="name one with --stage"):
        before_head(nn.Sequential(nn.Linear(3, 4)))
    with pytest.raises(UsageError, match="no stage called 'conv9'"):
        front(registry.lookup("lenet5").build(), "conv9")
    with pytest.raises(UsageError, match="tokens gives 3×4 numbers"):
        vectors(torch.zeros(2, 3, 4), "tokens")


def test_a_sample_is_decided_by_hash_and_never_shuffled() -> None:
    some = sampled(1000, 100)
    assert len(some) == 100
    assert some == sorted(set(some))
    assert some == sampled(1000, 100)
    assert set(sampled(1000, 50)) < set(some)  # a smaller one is a part of it
    assert sampled(5, 100) == [0, 1, 2, 3, 4]
    assert 380 < np.median(sampled(1000, 400)) < 620

"""Classification beside the plain PyTorch a user would write: whole epochs, single steps, decoding, augmentation."""

import json
import os
import sys
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import PIL.Image
import torch
from torch import nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, Dataset

from bench.timing import race, seconds
from legato.data.decode import fit as fitted
from legato.data.decode import read_image
from legato.device import choose
from legato.draws import Draws
from legato.layers.fused import fused
from legato.networks import registry
from legato.run import Run
from legato.task import Task
from legato.tasks.classify import Classify
from legato.training import fit

DATA = Path(os.environ.get("LEGATO_DATA", ""))


class Rows(Dataset):
    """The usual Dataset: a PIL image made, augmented and converted for each example."""

    def __init__(self, pixels: torch.Tensor, labels: torch.Tensor, augment: bool = False) -> None:
        self.pixels, self.labels, self.augment = pixels, labels, augment

    def __len__(self) -> int:
        return len(self.pixels)

    def __getitem__(self, i: int) -> tuple[torch.Tensor, int]:
        array = self.pixels[i].permute(1, 2, 0).numpy()
        image = PIL.Image.fromarray(array[..., 0] if array.shape[2] == 1 else array)
        if self.augment:
            padded = PIL.Image.new(image.mode, (image.width + 8, image.height + 8))
            padded.paste(image, (4, 4))
            x, y = torch.randint(9, (2,)).tolist()
            image = padded.crop((x, y, x + image.width, y + image.height))
            if torch.rand(()) < 0.5:
                image = image.transpose(PIL.Image.Transpose.FLIP_LEFT_RIGHT)
        tensor = torch.from_numpy(np.array(image)).float().div(255)
        return (tensor[None] if tensor.dim() == 2 else tensor.permute(2, 0, 1)), int(self.labels[i])


def plain_epoch(net: nn.Module, rows: Dataset, batch_size: int, workers: int, count: int) -> Callable[[], float]:
    """The tutorial's loop: DataLoader, fp32, SGD, `loss.item()`."""
    optimizer = torch.optim.SGD(net.parameters(), 0.01, momentum=0.9)

    def run() -> float:
        net.train()

        def epoch() -> None:
            for x, y in DataLoader(rows, batch_size, shuffle=True, num_workers=workers):
                optimizer.zero_grad()
                loss = F.cross_entropy(net(x), y)
                loss.backward()
                optimizer.step()
                loss.item()

        return count / seconds(epoch)

    return run


def legato_epoch(task: Task, batch_size: int, count: int) -> Callable[[], float]:
    """The same number of steps in legato's own loop, everything it does in training included."""
    recipe = replace(
        task.recipe(), epochs=1, steps=count // batch_size, batch_size=batch_size, optimizer="sgd", lr=0.01
    )

    def run() -> float:
        with tempfile.TemporaryDirectory() as folder:
            at = Run.begin(Path(folder, "run"), task, recipe, choose())
            no_validation = Quick(task)
            fit(no_validation, recipe, at, choose())
            [line] = (at.folder / "timing.jsonl").read_text().splitlines()
            return count / json.loads(line)["seconds"]

    return run


class Quick:
    """The task without its validation split, which the plain loop does not have either."""

    def __init__(self, task: Task) -> None:
        self.task = task

    def __getattr__(self, name: str) -> object:
        return getattr(self.task, name)

    def examples(self, split: str) -> object:
        return self.task.examples(split) if split == "train" else []


def small_pictures() -> None:
    cases = [("mnist", "lenet5", 64, 12_800, "none"), ("cifar10_small", "resnet20", 128, 2_560, "cifar")]
    for name, network, batch_size, count, augmentation in cases:
        task = Classify(data=str(DATA / name), network=network, augmentation=augmentation).adapt()
        train = task.examples("train")
        pixels, labels = train.pixels(range(count)), train.targets(range(count))
        rows = Rows(pixels, labels, augmentation != "none")
        race(
            f"{network} on {name}, batch {batch_size}, an epoch from memory",
            {
                "torch: Dataset, DataLoader, fp32": plain_epoch(task.build(), rows, batch_size, 0, count),
                "torch: the same, 2 workers": plain_epoch(task.build(), rows, batch_size, 2, count),
                "legato": legato_epoch(task, batch_size, count),
            },
            rounds=3,
        )


def steps(network: str, batch: int, size: int) -> None:
    """Forward, backward and update on the same random batch."""
    x, y = torch.rand(batch, 3, size, size), torch.randint(1000, (batch,))

    device = choose()

    def contestant(amp: bool, legato: bool) -> Callable[[], float]:
        net, inputs = registry.build(network, 1000, 3, size), x
        if legato:
            net, inputs = fused(device.place(net)), device.move(x)
        optimizer = torch.optim.SGD(net.parameters(), 0.01, momentum=0.9, fused=legato or None)

        def step() -> None:
            with torch.autocast("cpu", torch.bfloat16, enabled=amp):
                loss = F.cross_entropy(net(inputs).float(), y)
            loss.backward()
            optimizer.step()
            optimizer.zero_grad()

        return lambda: batch / seconds(step)

    half = device.precision == "bf16"
    jobs = {"torch: fp32": contestant(False, False)}
    if half:
        jobs["torch: bf16 autocast"] = contestant(True, False)
    jobs[f"legato: {device.precision}, channels last, fused"] = contestant(half, True)
    race(f"{network} training step, batch {batch}, {size} × {size}", jobs, rounds=3)


def decoding() -> None:
    files = sorted((DATA / "coco_mini" / "train2017").glob("*.jpg"))

    def pillow() -> None:
        for file in files:
            image = PIL.Image.open(file).convert("RGB")
            torch.from_numpy(np.array(image.resize((224, 224), PIL.Image.Resampling.BILINEAR)))

    def ours() -> None:
        for file in files:
            fitted(read_image(file, 3, (224, 224)), 224)

    race(
        "JPEG → 224 × 224, one thread",
        {"PIL": lambda: len(files) / seconds(pillow), "legato": lambda: len(files) / seconds(ours)},
    )


def augmenting() -> None:
    task = Classify(data=str(DATA / "cifar10_small"), network="resnet20", augmentation="cifar").adapt()
    train, count = task.examples("train"), 5_120
    rows = Rows(train.pixels(range(count)), train.targets(range(count)), augment=True)

    def loader() -> None:
        for _ in DataLoader(rows, 256, shuffle=True):
            pass

    def ours() -> None:
        for first in range(0, count, 256):
            indices = list(range(first, first + 256))
            task.batch(train, indices, Draws((0, "augment", 0), indices))

    jobs = {"torch: DataLoader, PIL crop and flip": loader, "legato: a batch at a time": ours}
    race("32 × 32 crop and flip", {name: lambda job=job: count / seconds(job) for name, job in jobs.items()})


def main() -> None:
    if not DATA.name:
        sys.exit("bench: set LEGATO_DATA to the folder of real data sets")
    decoding()
    augmenting()
    small_pictures()
    steps("resnet18", 16, 224)
    steps("googlenet", 16, 224)
    steps("vgg11", 8, 224)


if __name__ == "__main__":
    main()

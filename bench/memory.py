"""Peak memory of training ResNet-50 on 224 × 224 pictures, batch 32: `python bench/memory.py`. The target is 6 GiB."""

import torch
from torch.nn import functional as F

from legato.device import GIB, choose, peak_memory
from legato.networks import registry


def main(steps: int = 2) -> None:
    device = choose()
    net = device.place(registry.build("resnet50", 1000, 3, 224))
    optimizer = torch.optim.SGD(net.parameters(), 0.01, momentum=0.9, fused=True)
    x, y = device.move(torch.rand(32, 3, 224, 224)), torch.randint(1000, (32,))
    for _ in range(steps):
        with device.autocast():
            loss = F.cross_entropy(net(x).float(), y)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    print(f"resnet50, batch 32, {device.precision}: {peak_memory() / GIB:.2f} GiB at most")


if __name__ == "__main__":
    main()
